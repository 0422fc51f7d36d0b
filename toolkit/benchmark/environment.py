"""Where a benchmark ran: machine, versions, commit."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path

from toolkit.code_version import commit

PACKAGES = ("numpy", "hotcoco", "torch", "timm", "opencv-python-headless", "pillow")


def environment() -> dict[str, str | int | None]:
    """Facts that a reader of the numbers needs; None where a package is not installed."""
    from toolkit import __version__

    facts: dict[str, str | int | None] = {
        "toolkit": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
    }
    return facts | {name: _version(name) for name in PACKAGES}


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
