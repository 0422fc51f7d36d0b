"""Several processes that do one thing together: what `torchrun` started us as.

    torchrun --nproc-per-node 2 -m toolkit predict hrnet-small --data ... --out ...

Each takes its share and all end with the whole. Plain `torch.distributed` is enough: gloo
moves CPU tensors and Python objects, NCCL those of GPUs. Without `torchrun` there is one
process, and every function here does nothing or gives back what it was given.

Only the leader (rank 0) writes files and prints. Where one process fails it says so itself,
once for all of them (`claim_error`), and `torchrun` ends the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.annotations import Predictions
    from toolkit.dataset import Dataset
    from toolkit.models import PoseModel, Progress

_T = TypeVar("_T")
_WAIT = timedelta(hours=2)  # for the slowest process, such as one that evaluates


@dataclass(frozen=True)
class Processes:
    """Which process this is, and of how many.

    Attributes:
        rank: 0 for the leader.
        size: Processes in all, on all machines.
        local_rank: Among those on this machine.
        local_size: How many are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0


def processes() -> Processes:
    """What `torchrun` says in the environment; one process where it says nothing."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return Processes()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    return Processes(*(int(os.environ[name]) for name in names))


def choose_device(device: str | None) -> str:
    """The device that was named, else a GPU where there is one, else the CPU.

    Of several processes on one machine each gets a GPU of its own, and before anything is put
    on one: a process that only looks at the first GPU keeps some hundred MB of it for good.

    Args:
        device: A torch device; None leaves the choice.

    Returns:
        The device of this process.

    Raises:
        UsageError: There are fewer GPUs than processes, one GPU was named for all, or torch
            knows no such device here.
    """
    import torch  # lazy: torch costs seconds

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    here = processes()
    own = device
    if here.local_size > 1 and device.startswith("cuda"):
        if device != "cuda":
            raise UsageError(f"device '{device}' is one GPU for {here.local_size} processes")
        if here.local_size > torch.cuda.device_count():
            raise UsageError(
                f"{here.local_size} processes for {torch.cuda.device_count()} GPUs; start as "
                "many as there are GPUs (--nproc-per-node gpu), or compute on the CPU "
                "(--device cpu)"
            )
        own = f"cuda:{here.local_rank}"
        torch.cuda.set_device(here.local_rank)
    try:
        torch.zeros(1, device=own)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n", 1)[0]
        raise UsageError(
            f"--device '{own}' cannot be used here: {reason}; 'cpu' always can"
        ) from error
    return own


def own_threads(threads: int | None) -> int | None:
    """CPU threads of this process: as asked, else a fair share where there are several."""
    here = processes()
    if threads is not None or here.local_size == 1:
        return threads
    return max(1, (os.cpu_count() or 1) // here.local_size)


def join() -> Processes:
    """Meet the other processes, once; the first call waits for all of them."""
    here = processes()
    if here.size > 1:
        import torch  # lazy: torch costs seconds

        if not torch.distributed.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            torch.distributed.init_process_group(backend, timeout=_WAIT)
    return here


def leave() -> None:
    """Part from the other processes at the end of a command."""
    if processes().size > 1:
        import torch  # lazy: torch costs seconds

        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def wait_for_all() -> None:
    """Go on when every process has come here."""
    gather(None)


def gather(value: _T) -> list[_T]:
    """The values of all processes, in the order of their ranks, in every process."""
    here = join()
    if here.size == 1:
        return [value]
    import torch  # lazy: torch costs seconds

    values: list[_T | None] = [None] * here.size
    torch.distributed.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def by_leader(function: Callable[[], _T]) -> _T:
    """What the leader's call gives; the others wait for it and do not call."""
    return gather(function() if processes().leads else None)[0]  # type: ignore[return-value]


@contextmanager
def leader_first() -> Iterator[None]:
    """The leader runs the block before the others do: it fills a cache that they read."""
    here = join()
    if here.size > 1 and not here.leads:
        wait_for_all()
    try:
        yield
    finally:
        if here.size > 1 and here.leads:
            wait_for_all()


def predict(
    model: PoseModel,
    dataset: Dataset,
    images_dir: Path,
    *,
    boxes: NDArray[np.float64] | None = None,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> Predictions:
    """`model.predict`, each process on the people of its own frames.

    Returns:
        In every process the predictions of all N annotations, in their order.
    """
    here = join()
    if here.size == 1:
        return model.predict(
            dataset, images_dir, boxes=boxes, batch_size=batch_size, progress=progress
        )
    rows = share_of_frames(dataset.image_row, here)
    part = model.predict(
        dataset.subset(rows),
        images_dir,
        boxes=None if boxes is None else boxes[rows],
        batch_size=batch_size,
        progress=progress,
    )
    return _joined(gather((rows, replace(part, source=None))))


def share_of_frames(frame_of: NDArray[np.int64], here: Processes) -> NDArray[np.int64]:
    """Rows of one process: whole frames, so that each is decoded once, and about equal shares.

    Args:
        frame_of: (N,) which frame each person is in.
        here: Which process.
    """
    order = np.argsort(frame_of, kind="stable")
    starts = np.flatnonzero(np.diff(frame_of[order], prepend=-1, append=-1) != 0)
    wanted = np.arange(here.size + 1) * len(order) / here.size
    cuts = starts[np.searchsorted(starts, wanted)] if len(order) else np.zeros(here.size + 1)
    rows = order[int(cuts[here.rank]) : int(cuts[here.rank + 1])]
    return np.sort(rows)


def _joined(parts: list[tuple[NDArray[np.int64], Predictions]]) -> Predictions:
    """Predictions of all rows, from those of each process."""
    from toolkit.annotations import Predictions

    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    given = [part for _, part in parts]

    def column(name: str) -> NDArray[np.float64]:
        return np.asarray(np.concatenate([getattr(part, name) for part in given])[order])

    has_sigma = any(part.sigma is not None for part in given)
    sigmas = [
        np.full_like(part.keypoints, np.nan) if part.sigma is None else part.sigma
        for part in given
    ]
    return Predictions.from_arrays(
        given[0].schema,
        column("image_id").astype(np.int64),
        column("keypoints"),
        scores=column("scores"),
        keypoint_scores=column("keypoint_scores"),
        sigma=np.concatenate(sigmas)[order] if has_sigma else None,
        annotation_id=column("annotation_id").astype(np.int64),
        bbox_xywh=column("bbox_xywh"),
        category_id=column("category_id").astype(np.int64),
        model=given[0].model,
    )


def claim_error() -> bool:
    """Whether this process is the first to fail, and so the one that says what happened.

    The processes ask `torchrun`'s own store, which is there before they have met.
    """
    if processes().size == 1:
        return True
    try:
        # lazy: torch costs seconds; its stubs forget the class
        from torch.distributed import TCPStore  # type: ignore[attr-defined]

        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, timeout=timedelta(seconds=10))
        round_ = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return int(store.add(f"toolkit/error/{round_}", 1)) == 1
    except (ImportError, KeyError, RuntimeError, ValueError):
        return True  # nobody to ask: better said twice than not at all
