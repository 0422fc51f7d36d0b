"""Where things lie: the shipped data sets, the cache, the user's registry.

`datasets/` in the checkout holds data and no Python; a wheel carries it as
`toolkit/_datasets`. A regular package called `datasets` may be installed beside us, so
the folder is never found by import.
"""

from __future__ import annotations

import os
from pathlib import Path

from toolkit.errors import ReadError


def datasets_root() -> Path:
    """The folder of shipped data sets.

    `$TOOLKIT_DATASETS` if set, else the copy inside the installed package, else the
    checkout's folder (only where our own `pyproject.toml` is beside it).

    Raises:
        ReadError: None of the three exists.
    """
    named = os.environ.get("TOOLKIT_DATASETS")
    if named:
        if not Path(named).is_dir():
            raise ReadError(f"TOOLKIT_DATASETS is '{named}', which is not a folder")
        return Path(named)
    package = Path(__file__).resolve().parent
    packaged = package / "_datasets"
    if packaged.is_dir():
        return packaged
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "datasets").is_dir():
        return checkout / "datasets"
    raise ReadError(
        f"no data sets beside '{package}': the installation is incomplete; reinstall, or "
        "set TOOLKIT_DATASETS to a checkout's 'datasets' folder"
    )


def cache_root() -> Path:
    """Where rendered demo data is kept: `$TOOLKIT_CACHE`, else `.cache` in the checkout.

    Outside a checkout (an installed wheel) it is `.cache` in the working folder. The
    folder is not made here.
    """
    named = os.environ.get("TOOLKIT_CACHE")
    if named:
        return Path(named)
    checkout = Path(__file__).resolve().parent.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout / ".cache"
    return Path.cwd() / ".cache"


def registry_root() -> Path:
    """Where the user's own data sets are registered, one folder each; it may not exist.

    `$TOOLKIT_REGISTRY`, else `$XDG_DATA_HOME/extension-keypoints/datasets`, else
    `~/.local/share/extension-keypoints/datasets`. Nothing is written outside it.
    """
    named = os.environ.get("TOOLKIT_REGISTRY")
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "extension-keypoints" / "datasets"
