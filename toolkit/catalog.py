"""Where the data that ships with the toolkit lies, and what is known about each set.

`datasets/` in the checkout holds data and no Python; a wheel carries it as
`toolkit/_datasets`. A regular package called `datasets` may be installed beside us, so
the folder is never found by import.
"""

from __future__ import annotations

import os
from pathlib import Path

from toolkit.errors import ReadError, UsageError


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


def list_datasets() -> tuple[str, ...]:
    """Names of the shipped data sets, sorted."""
    return tuple(sorted(path.parent.name for path in datasets_root().glob("*/schema.yaml")))


def sample_path(name: str) -> Path:
    """The annotation file of a shipped sample; its images lie in `images` beside it.

    Raises:
        UsageError: There is no such data set, or it ships no sample.
    """
    path = datasets_root() / name / "sample" / "annotations.json"
    if not path.is_file():
        with_sample = [
            n
            for n in list_datasets()
            if (datasets_root() / n / "sample" / "annotations.json").is_file()
        ]
        raise UsageError(f"no sample '{name}'; known: {', '.join(with_sample)}")
    return path


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
