"""`toolkit --help` answers at once: it imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FORBIDDEN = (
    "torch", "torchvision", "fiftyone", "pandas", "matplotlib", "pycocotools", "hotcoco",
    "open_clip", "label_studio_sdk", "timm", "cv2", "PIL", "rich",
)  # fmt: skip
PROBE = """
import sys
from pathlib import Path
sys.argv = ["toolkit", "--help"]
from toolkit.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print("IMPORTED", *[name for name in {forbidden!r} if name in sys.modules])
"""


def test_help_imports_nothing_heavy() -> None:
    probe = PROBE.format(forbidden=FORBIDDEN)

    ran = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )

    assert ran.stdout.splitlines()[-1] == "IMPORTED"
    assert "benchmark" in ran.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    names = (*FORBIDDEN, "numpy")
    probe = f"import sys, toolkit; print([n for n in {names!r} if n in sys.modules])"

    ran = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "[]"


def test_help_answers_in_three_times_the_time_of_its_light_dependencies(root: Path) -> None:
    ran = subprocess.run(
        [sys.executable, root / "benchmarks" / "startup.py", "--runs", "5"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert float(ran.stdout.split()[-1]) <= 3
