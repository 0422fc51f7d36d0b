"""Queues of instances are read in the ways that commands print them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, ReadError
from toolkit.views.queues import read_queue


@pytest.mark.parametrize(
    "document",
    [
        {"queue": [{"annotation_id": 2, "score": 0.9}, {"annotation_id": 1, "score": 0.4}]},
        {"ranking": [{"id": 2, "score": 0.9}, {"id": 1, "score": 0.4}]},
        [
            {"instance_ids": [2, 7], "image_id": 1, "score": 0.9},
            {"instance_id": 1, "score": 0.4},
        ],
        {
            "queue": [
                {"instance_ids": {"ann": 2, "bob": 9}, "score": 0.9},
                {"id": 1, "score": 0.4},
            ]
        },
    ],
)
def test_the_first_of_a_queue_has_rank_one(
    document: object, write_json: Callable[..., Path], make_dataset: Callable[..., Dataset]
) -> None:
    queue = read_queue(write_json(document), make_dataset(3))
    assert queue.rank.tolist() == [2, 1, 0]
    assert queue.score[:2].tolist() == [0.4, 0.9]
    assert np.isnan(queue.score[2])


def test_an_id_of_another_image_is_not_taken(
    write_json: Callable[..., Path], make_dataset: Callable[..., Dataset]
) -> None:
    path = write_json(
        [{"annotation_id": 1, "image_id": 5}, {"annotation_id": 2, "image_id": 1}]
    )
    assert read_queue(path, make_dataset()).rank.tolist() == [0, 1]


def test_what_is_no_queue_is_refused(
    write_json: Callable[..., Path], make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    with pytest.raises(InvalidDataError, match="no list of instances"):
        read_queue(write_json({"kappa": 1}), make_dataset())
    with pytest.raises(InvalidDataError, match="queue of another file"):
        read_queue(write_json([{"annotation_id": 77}]), make_dataset())
    with pytest.raises(ReadError, match="is not JSON"):
        read_queue(write_json("<html>"), make_dataset())
    with pytest.raises(ReadError, match="cannot read"):
        read_queue(tmp_path / "absent.json", make_dataset())


def test_an_empty_queue_ranks_nobody(
    write_json: Callable[..., Path], make_dataset: Callable[..., Dataset]
) -> None:
    assert read_queue(write_json({"queue": []}), make_dataset()).rank.tolist() == [0, 0]


@pytest.mark.parametrize("content", [b'{"queue": "\xff"}', b"[" * 3000], ids=["bytes", "depth"])
def test_a_queue_that_no_json_reader_takes_is_refused(
    tmp_path: Path, make_dataset: Callable[..., Dataset], content: bytes
) -> None:
    path = tmp_path / "queue.json"
    path.write_bytes(content)

    with pytest.raises(ReadError, match="is not JSON"):
        read_queue(path, make_dataset())
