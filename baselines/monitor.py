"""What can be watched while a network trains: `log.csv`, and TensorBoard where asked for."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from toolkit.errors import MissingExtraError
from toolkit.files import write_text

Record = dict[str, float]


def write_log(out: Path, history: list[Record]) -> None:
    """`log.csv`, one line a validation: written anew each time, so it is never half a line."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    for record in history:
        writer.writerow({key: round(value, 4) for key, value in record.items()})
    write_text(out / "log.csv", stream.getvalue(), force=True)


class Monitor:
    """Scalars for TensorBoard, by images seen, in the folder `tensorboard`; or nothing.

    Args:
        out: Folder of the run.
        wanted: Whether TensorBoard was asked for.
        start: Images seen when a resumed run goes on: what was written later is dropped.

    Raises:
        MissingExtraError: It was, and is not installed.
    """

    def __init__(self, out: Path, *, wanted: bool, start: int = 0) -> None:
        """Open the event file."""
        self._writer: Any = None
        if not wanted:
            return
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter  # lazy: an extra

        self._writer = SummaryWriter(
            str(out / "tensorboard"), purge_step=start + 1 if start else None
        )

    def __enter__(self) -> Self:
        """The monitor itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is waiting, and close."""
        if self._writer is not None:
            self._writer.close()

    @property
    def watches(self) -> bool:
        """Whether anybody does."""
        return self._writer is not None

    def show(self, group: str, values: Record, seen: int) -> None:
        """Add values at a number of images seen."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, seen)


def require_tensorboard() -> None:
    """Refuse before training where TensorBoard is not installed.

    Raises:
        MissingExtraError: The message has the install line.
    """
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        raise MissingExtraError(
            "--tensorboard needs tensorboard, which is not installed; install it with: "
            "pip install 'extension-keypoints[tensorboard]'. log.csv is written without it"
        )
