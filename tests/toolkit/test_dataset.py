"""A data set joins images and annotations; a card says what a person must know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.annotations import Images
from toolkit.dataset import Card, Dataset
from toolkit.errors import InvalidDataError, ReadError

CARD = "---\nname: a\nlicence: CC BY 4.0\nversion: '1'\ncitation: us\n---\nProse.\n"


@pytest.fixture
def dataset(make_dataset: Callable[..., Dataset]) -> Dataset:
    """Three people in images 9, 7, 9; image 7 is 10 x 20 and image 9 is 30 x 40."""
    made = make_dataset(3)
    images = Images.from_ids(np.array([7, 9]), size_wh=np.array([[10, 20], [30, 40]]))
    people = replace(made.annotations, image_id=np.array([9, 7, 9]))
    return replace(made, images=replace(images, clips=("a", None)), annotations=people)


def test_each_annotation_finds_its_image(dataset: Dataset) -> None:
    assert dataset.image_row.tolist() == [1, 0, 1]
    assert dataset.size_wh.tolist() == [[30, 40], [10, 20], [30, 40]]
    assert dataset.clips == [None, "a", None]


@pytest.mark.parametrize("missing", [1, 8, 99], ids=["below", "between", "above"])
def test_an_image_that_does_not_exist_is_named(dataset: Dataset, missing: int) -> None:
    dataset.annotations.image_id[1] = missing

    with pytest.raises(
        InvalidDataError,
        match=rf"tiny: 1 annotations name images .*, the first image_id {missing}",
    ):
        _ = dataset.image_row


def test_a_subset_keeps_all_images(dataset: Dataset) -> None:
    part = dataset.subset(np.array([False, True, False]))

    assert part.annotations.instance_id.tolist() == [2]
    assert part.image_row.tolist() == [0]
    assert len(part.images) == 2


def test_a_table_has_one_row_an_instance(dataset: Dataset) -> None:
    table = dataset.to_pandas()

    assert len(table) == 3
    assert table["annotation_id"].tolist() == [1, 2, 3]
    assert table["image_id"].tolist() == [9, 7, 9]
    assert table["head_x"].tolist() == [25.0, 65.0, 105.0]
    assert table["tip_v"].tolist() == [2, 2, 2]


def test_a_card_is_read(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_text(CARD, "utf-8")

    card = Card.load(path)

    assert (card.licence, card.version, card.text) == ("CC BY 4.0", "1", "Prose.")


@pytest.mark.parametrize("field", ["name", "licence", "version", "citation"])
def test_a_card_states_what_it_must(tmp_path: Path, field: str) -> None:
    path = tmp_path / "card.md"
    lines = [line for line in CARD.splitlines() if not line.startswith(f"{field}:")]
    path.write_text("\n".join(lines), "utf-8")

    with pytest.raises(InvalidDataError, match=f"card.md: field '{field}' is missing"):
        Card.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no front matter", "no front matter; expected YAML between two '---' lines"),
        ("---\na: [\n---\n", "front matter is not YAML"),
    ],
)
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "card.md"
    path.write_text(text, "utf-8")

    with pytest.raises(ReadError, match=message):
        Card.load(path)


def test_a_card_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"card.md: cannot read the card"):
        Card.load(tmp_path / "card.md")


def test_a_date_that_no_calendar_has_is_told(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_text("---\nname: a\nmade: 2024-13-45\n---\n")

    with pytest.raises(ReadError, match=r"not YAML: month must be in 1..12; put quotes round"):
        Card.load(path)
