"""Work that one process at a time may do, held by a lock on a file."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import UsageError


@contextmanager
def only_one(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold a file's lock; the system lets go of it when the process ends, however it ends.

    Args:
        path: The file; made with its folder where it is absent, and left there: whoever
            removed it would take it from under another who waits for it.
        busy: What to say where another process holds it; None waits until it does not.

    Raises:
        UsageError: Another process holds it, and `busy` says so.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if busy is None else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise UsageError(busy) from error
        except OSError:
            pass  # a network disk without locks: one process alone has no need of them
        yield
