"""One function over many files: on this machine's cores, or on a Dask cluster.

The results come in the order of the items and do not depend on who computed them. Threads
serve on one machine: Pillow lets go of the interpreter while it decodes, and a thread costs
nothing to start. A cluster is used only when its scheduler is named; its workers must have
the toolkit installed and see the files under the same paths.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from toolkit.errors import MissingExtraError, ServiceError, UsageError

if TYPE_CHECKING:
    import distributed

Item = TypeVar("Item")
Value = TypeVar("Value")
Progress = Callable[[int, int], None]

BATCH = 16  # items that travel together: a message to a cluster costs about a picture
AHEAD = 4  # batches in flight for each worker, so that none waits and memory is bounded
SECONDS_TO_ANSWER = 10


def map_in_order(
    function: Callable[[Item], Value],
    items: Sequence[Item],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
    batch: int = BATCH,
) -> list[Value]:
    """Call a function on every item.

    Args:
        function: For a cluster it must be importable there: defined at a module's top.
        items: What to call it on.
        workers: Threads; None is one for each core this process may use. With a scheduler
            the cluster's own workers count, and this must be None.
        scheduler: Address of a Dask scheduler, such as `tcp://127.0.0.1:8786`.
        progress: Called with (done, total), in this thread.
        batch: Items that go to a worker together; 1 where each is long work.

    Returns:
        One value an item, in the order of the items.

    Raises:
        UsageError: `workers` is below 1, or given together with a scheduler.
        MissingExtraError: A scheduler is named and `distributed` is not installed.
        ServiceError: The scheduler does not answer, has no workers, or goes away.
        Exception: What `function` raised on the first item (in order) that failed.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"workers {workers}: expected at least 1")
    if workers is not None and scheduler is not None:
        raise UsageError("workers and scheduler together: the cluster decides its workers")
    batches = [items[start : start + batch] for start in range(0, len(items), batch)]
    if scheduler is not None:
        results = _on_cluster(function, batches, scheduler)
    else:
        results = _on_threads(function, batches, workers or available_cores())
    values: list[Value] = []
    for part in results:
        values.extend(part)
        if progress is not None:
            progress(len(values), len(items))
    return values


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _run_batch(function: Callable[[Item], Value], batch: Sequence[Item]) -> list[Value]:
    return [function(item) for item in batch]


def _on_threads(
    function: Callable[[Item], Value], batches: list[Sequence[Item]], workers: int
) -> Iterator[list[Value]]:
    if workers == 1 or len(batches) < 2:
        for batch in batches:
            yield _run_batch(function, batch)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = iter(batches)
        ahead: deque[Future[list[Value]]] = deque()
        try:
            for batch in islice(waiting, workers * AHEAD):
                ahead.append(pool.submit(_run_batch, function, batch))
            while ahead:
                done = ahead.popleft().result()
                for batch in islice(waiting, 1):
                    ahead.append(pool.submit(_run_batch, function, batch))
                yield done
        finally:  # a failure or Ctrl-C must not wait for what nobody will read
            pool.shutdown(wait=False, cancel_futures=True)


def _on_cluster(
    function: Callable[[Item], Value], batches: list[Sequence[Item]], scheduler: str
) -> Iterator[list[Value]]:
    with _connected(scheduler) as client:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise ServiceError(
                f"Dask scheduler '{scheduler}' has no workers; start some with: "
                f"dask worker {scheduler}"
            )
        waiting = iter(batches)
        ahead: deque[distributed.Future[list[Value]]] = deque()
        for batch in islice(waiting, workers * AHEAD):
            ahead.append(client.submit(_run_batch, function, batch, pure=False))
        while ahead:
            done: list[Value] = _gathered(ahead.popleft(), scheduler)
            for batch in islice(waiting, 1):
                ahead.append(client.submit(_run_batch, function, batch, pure=False))
            yield done


def _connected(scheduler: str) -> distributed.Client:
    try:
        import distributed  # lazy: only where a cluster is asked for
    except ImportError:
        raise MissingExtraError(
            "a cluster needs distributed, which is not installed; install it with: "
            "pip install 'extension-keypoints[cluster]'"
        ) from None
    try:
        return distributed.Client(  # type: ignore[no-untyped-call, unused-ignore]
            scheduler, timeout=SECONDS_TO_ANSWER, set_as_default=False
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise ServiceError(
            f"no Dask scheduler answers at '{scheduler}' ({error}); start one with "
            "'dask scheduler', or leave the scheduler away to use this machine's cores"
        ) from error


def _gathered(future: distributed.Future[list[Value]], scheduler: str) -> list[Value]:
    from distributed import CancelledError  # lazy: connected already
    from distributed.scheduler import KilledWorker  # lazy: connected already

    try:
        done: list[Value] = future.result()
    except (CancelledError, KilledWorker) as error:
        raise ServiceError(
            f"the Dask cluster at '{scheduler}' lost the work ({error}); see its workers' "
            "logs, then run again"
        ) from error
    return done
