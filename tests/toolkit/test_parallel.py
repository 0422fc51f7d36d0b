"""The same values in the same order, whoever computes them."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from toolkit.errors import MissingExtraError, ServiceError, UsageError
from toolkit.parallel import AHEAD, BATCH, available_cores, map_in_order


def slow_first(item: int) -> int:
    time.sleep(0.002 if item < BATCH else 0)
    return item * item


@pytest.mark.parametrize("workers", [1, 2, 5, None])
def test_values_come_in_the_order_of_the_items(workers: int | None) -> None:
    items = list(range(5 * BATCH + 3))
    told: list[tuple[int, int]] = []

    values = map_in_order(
        slow_first,
        items,
        workers=workers,
        progress=lambda done, total: told.append((done, total)),
    )

    assert values == [item * item for item in items]
    assert told[-1] == (len(items), len(items))
    assert told == sorted(told)


def test_nothing_gives_nothing() -> None:
    assert map_in_order(slow_first, []) == []


def test_the_first_failure_in_order_is_raised_and_the_rest_is_not_started() -> None:
    started: list[int] = []

    def fail(item: int) -> int:
        started.append(item)
        if item in (3, BATCH + 1):
            raise ValueError(f"item {item}")
        return item

    with pytest.raises(ValueError, match="item 3"):
        map_in_order(fail, range(1000 * BATCH), workers=2)
    assert len(started) < (2 * AHEAD + 4) * BATCH


def test_two_workers_really_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    assert map_in_order(lambda _: both.wait() >= 0, [0, 1], workers=2, batch=1) == [True, True]


def test_workers_must_make_sense() -> None:
    with pytest.raises(UsageError, match="workers 0: expected at least 1"):
        map_in_order(slow_first, [1], workers=0)
    with pytest.raises(UsageError, match="workers and scheduler together"):
        map_in_order(slow_first, [1], workers=2, scheduler="tcp://127.0.0.1:1")
    assert available_cores() >= 1


def test_a_scheduler_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.parallel.SECONDS_TO_ANSWER", 1)

    with pytest.raises(ServiceError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        map_in_order(slow_first, [1], scheduler="tcp://127.0.0.1:9")
    with pytest.raises(ServiceError, match="no Dask scheduler answers at 'nonsense://x'"):
        map_in_order(slow_first, [1], scheduler="nonsense://x")


def test_without_distributed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(
        MissingExtraError, match=r"pip install 'extension-keypoints\[cluster\]'"
    ):
        map_in_order(slow_first, [1], scheduler="tcp://127.0.0.1:9")
