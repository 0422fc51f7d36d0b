"""The margin round a picture, and pictures with it: numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.errors import InvalidDataError, UsageError, WriteError
from toolkit.images import load_image
from toolkit.labelstudio.canvas import paddings_of
from toolkit.labelstudio.desk import Place
from toolkit.labelstudio.pictures import PADDED, Links, LocalFiles, Picture, Uploads

IMAGE = {"id": 1, "width": 200, "height": 100}


def person(
    *points: tuple[float, float, int], box: tuple[float, ...] = (10, 10, 20, 20)
) -> dict:
    return {"keypoints": [value for point in points for value in point], "bbox": list(box)}


def test_only_a_frame_with_something_outside_gets_a_margin() -> None:
    inside, outside = person((0, 0, 2), (200, 100, 1)), person((-1, 50, 1))

    found = paddings_of([IMAGE, IMAGE], [[inside], [outside]], [0, 1])

    # A quarter of 200 and of 100; the point at -1 needs 1 + 5 % of 200, which is less.
    assert found == {1: (50, 25, 50, 25)}


def test_a_far_point_gets_its_distance_and_a_twentieth_more_on_its_side_only() -> None:
    found = paddings_of([IMAGE], [[person((280.5, 50, 2))]], [0], margin=0.1)

    assert found == {0: (20, 10, 91, 10)}  # 80.5 + 10, rounded up


def test_a_box_that_reaches_out_counts_too() -> None:
    found = paddings_of([IMAGE], [[person(box=(10, 90, 20, 40))]], [0], margin=0.0)

    assert found == {0: (0, 0, 0, 35)}  # 30 below + 5


def test_what_is_not_labelled_does_not_count() -> None:
    assert paddings_of([IMAGE], [[person((-500, -500, 0))]], [0]) == {}


def test_all_frames_get_a_margin_where_that_is_asked_for() -> None:
    assert paddings_of([IMAGE], [[]], [0], "all", 0.5) == {0: (100, 50, 100, 50)}


@pytest.mark.parametrize(
    ("people", "pad", "message"),
    [
        ([person((500, 50, 2))], "auto", "lies 300 px outside the picture, which is 200 px"),
        ([person((201, 50, 2))], "none", "lies outside the picture.*push with --pad auto"),
    ],
)
def test_what_cannot_be_shown_is_refused(people: list, pad: str, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        paddings_of([IMAGE], [people], [0], pad)  # type: ignore[arg-type]


def test_a_margin_above_the_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="wanted a share from 0 to 1"):
        paddings_of([IMAGE], [[]], [0], margin=1.5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "a b.png")
    return tmp_path / "a b.png"


def test_a_padded_picture_has_the_picture_in_its_place(file: Path, tmp_path: Path) -> None:
    picture = Picture.of(file, "clip/a b.png", (6, 4), (3, 1, 2, 5))
    (tmp_path / "padded.png").write_bytes(picture.content())

    pixels = load_image(tmp_path / "padded.png")

    assert pixels.shape == (4 + 1 + 5, 6 + 3 + 2, 3)
    assert np.array_equal(pixels[1:5, 3:9], load_image(file))
    assert picture.stored_name == f"a_b-{picture.mark}.png"


def test_a_picture_without_a_margin_is_the_file_itself(file: Path) -> None:
    picture = Picture.of(file, "a b.png", (6, 4), None)

    assert picture.content() == file.read_bytes()
    assert picture.mark != Picture.of(file, "a b.png", (6, 4), (1, 1, 1, 1)).mark


def test_a_picture_of_another_size_than_its_record_is_refused(file: Path) -> None:
    with pytest.raises(InvalidDataError, match="is 6 x 4 px; its record says 4 x 6"):
        Picture.of(file, "a b.png", (4, 6), None)


def test_an_address_is_the_prefix_and_the_quoted_name(file: Path) -> None:
    picture = Picture.of(file, "clip/a b.png", (6, 4), None)
    uploads = Uploads.__new__(Uploads)  # nothing is uploaded: no picture has a margin
    uploads.known = {}

    assert Links("https://pictures/x/", uploads).addresses([picture]) == [
        "https://pictures/x/clip/a%20b.png"
    ]


def test_a_file_address_is_refused() -> None:
    with pytest.raises(UsageError, match="'file:///etc': wanted http, https"):
        Place("file:///etc")


@pytest.mark.parametrize(
    ("prefix", "message"), [("http://[", "is no URL"), ("https://h/x?sig=1", "holds a query")]
)
def test_an_address_that_no_name_can_follow_is_refused(prefix: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Place(prefix)


def test_a_served_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / PADDED).write_text("in the way", "utf-8")
    host = LocalFiles.__new__(LocalFiles)
    host.root, host.project = tmp_path, 3
    picture = Picture(tmp_path / "a.png", "a.png", (1, 1, 1, 1), "0" * 16)

    with pytest.raises(WriteError, match=r"--local-files .*cannot be made: Not a directory"):
        host.addresses([picture])
