"""The demo's test sets: rendered from their seeds on first use, kept in the cache.

A set's folder is named by everything that its bytes depend on (schema, seed, number of
people, generator version), so a new generator never meets old data.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from toolkit.benchmark.demo import TEST_PEOPLE, Suite
from toolkit.errors import WriteError
from toolkit.files import atomic_directory
from toolkit.places import cache_root


def demo_set(
    suite: Suite,
    *,
    people: int = TEST_PEOPLE,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Folder of a suite's test set: `annotations.json`, `images/` and `card.md`.

    Args:
        suite: Whose set.
        people: At least this many.
        progress: Called with (people rendered, people in all) while rendering.

    Raises:
        WriteError: The cache folder cannot be made or written.
    """
    from toolkit.synth import GENERATOR_VERSION, render_dataset  # lazy: opencv

    name = f"{suite.schema}-seed{suite.seed}-n{people}-generator{GENERATOR_VERSION}"
    folder = make_cache("demo") / name
    if (folder / "data" / "annotations.json").is_file():
        return folder / "data"
    with atomic_directory(folder, force=True) as temporary:
        render_dataset(suite.schema, temporary / "data", people, suite.seed, progress=progress)
    return folder / "data"


def make_cache(room: str) -> Path:
    """A folder of the cache, made where it does not exist.

    Raises:
        WriteError: It cannot be made.
    """
    folder = cache_root() / room
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"{folder}: cannot make the cache folder: {error.strerror}; set TOOLKIT_CACHE to "
            "a folder that can be written"
        ) from error
    return folder
