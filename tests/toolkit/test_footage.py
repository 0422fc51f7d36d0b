"""Own footage becomes records with clip ids, whole or not at all."""

from __future__ import annotations

import json
import os
import struct
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from toolkit import formats
from toolkit.dataset import Card
from toolkit.errors import (
    InvalidDataError,
    MissingExtraError,
    OutputExistsError,
    ReadError,
    UnsafeInputError,
    UsageError,
)
from toolkit.footage import Footage, add_frames, add_videos, read_frames
from toolkit.images import load_image
from toolkit.schema import Schema

LICENCE = "Own footage; the club agreed"


def film(path: Path, frames: int = 12, codec: str = "libx264") -> Path:
    """A film of 64 x 48 at 10 frames a second whose frame k is grey of level 5 k + 20."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            grey = np.full((48, 64, 3), 5 * number + 20, np.uint8)
            grey[:8] = np.random.default_rng(number).integers(0, 255, (8, 64, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def document(folder: Path) -> dict[str, list[dict[str, object]]]:
    loaded: dict[str, list[dict[str, object]]] = json.loads(
        (folder / "annotations.json").read_text("utf-8")
    )
    return loaded


def picture(path: Path, level: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (level, level, level)).save(path, "PNG")
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_every_third_frame_of_a_video_is_kept_under_its_number(tmp_path: Path) -> None:
    video = film(tmp_path / "friday.mp4")
    told: list[tuple[int, int]] = []

    done = add_videos(
        Footage("friday", LICENCE, Schema.load("hockey")),
        [video],
        tmp_path / "out",
        every=3,
        progress=lambda now, total: told.append((now, total)),
    )

    assert (done.images, done.clips) == (4, ("friday",))
    assert told[-1] == (12, 12)
    records = document(done.path)
    assert records["images"][1] == {
        "id": 2,
        "file_name": "friday/friday-f000003.jpg",
        "width": 64,
        "height": 48,
        "clip": "friday",
        "frame": 3,
        "license": 1,
    }
    assert [image["frame"] for image in records["images"]] == [0, 3, 6, 9]
    pixels = load_image(done.path / "images" / "friday" / "friday-f000003.jpg")
    assert abs(int(pixels[30:].mean()) - 35) <= 2  # grey of level 5 * 3 + 20


def test_what_was_registered_is_read_by_the_toolkit_and_has_a_card(tmp_path: Path) -> None:
    schema = Schema.load("hockey")
    done = add_videos(
        Footage("friday", LICENCE, schema), [film(tmp_path / "a.mp4", 2)], tmp_path / "out"
    )

    scan = formats.scan(done.path / "annotations.json")
    card = Card.load(done.path / "card.md")

    assert list(scan.findings) == []
    assert scan.dataset.schema.names == schema.names
    assert scan.dataset.images.clips == ("a", "a")
    assert (card.licence, card.counts["images"]) == (LICENCE, 2)


def test_the_same_videos_give_the_same_bytes(tmp_path: Path) -> None:
    video = film(tmp_path / "a.mkv", 4)

    for name in ("one", "two"):
        add_videos(Footage("x", LICENCE), [video], tmp_path / name)

    assert everything(tmp_path / "one") == everything(tmp_path / "two")


def test_a_video_filmed_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    content = bytearray(film(tmp_path / "a.mp4", 2).read_bytes())
    matrix = content.find(b"tkhd") + 4 + 40
    # (x, y) -> (-y, x): a quarter clockwise, so that the noisy top edge comes to the right.
    content[matrix : matrix + 36] = struct.pack(
        ">9i", 0, 1 << 16, 0, -1 << 16, *[0] * 4, 1 << 30
    )
    (tmp_path / "a.mp4").write_bytes(content)

    number, pixels = next(iter(read_frames(tmp_path / "a.mp4")))

    assert (number, pixels.shape) == (0, (64, 48, 3))
    assert pixels[:, 40:].std() > 30 > pixels[:, :38].std()


def test_two_videos_of_one_name_would_be_one_clip(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    videos = [film(tmp_path / "a b.mp4", 2), film(tmp_path / "b" / "a-b.mkv", 2)]

    with pytest.raises(UsageError, match="would be one clip: a-b"):
        add_videos(Footage("x", LICENCE), videos, tmp_path / "out")


def test_a_cut_video_is_named_with_the_time_and_nothing_is_written(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mkv", 40).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ReadError, match=r"cut\.mkv: the video is damaged at [0-3]\.\d\d s"):
        add_videos(Footage("x", LICENCE), [tmp_path / "a.mkv", cut], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_damage_inside_a_video_is_named_with_the_time(tmp_path: Path) -> None:
    content = bytearray(film(tmp_path / "a.mkv", 40).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(range(200)) * 2
    (tmp_path / "hurt.mkv").write_bytes(content)

    with pytest.raises(ReadError, match=r"hurt\.mkv: the video is damaged at \d\.\d\d s \(f"):
        list(read_frames(tmp_path / "hurt.mkv"))


@pytest.mark.parametrize("content", [b"", b"no film", b"#EXTM3U\nfile:///etc/passwd\n"])
def test_what_is_no_video_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)

    with pytest.raises(ReadError, match=r"a\.mp4: cannot be opened as a video \(at 0\.00 s\)"):
        list(read_frames(tmp_path / "a.mp4"))


def test_a_video_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"a\.mp4: no such file"):
        add_videos(Footage("x", LICENCE), [tmp_path / "a.mp4"], tmp_path / "out")


def test_without_pyav_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = film(tmp_path / "a.mp4", 2)
    monkeypatch.setitem(sys.modules, "av", None)

    with pytest.raises(MissingExtraError, match=r"pip install 'extension-keypoints\[video\]'"):
        add_videos(Footage("x", LICENCE), [video], tmp_path / "out")


def test_every_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="every 0: expected at least 1"):
        add_videos(Footage("x", LICENCE), [], tmp_path / "out", every=0)


def test_each_folder_of_frames_is_a_clip_numbered_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("a/f10.png", "a/f2.png", "b/f1.png", "loose.jpg", "._x.png", "notes.txt"):
        picture(tmp_path / "in" / name)

    done = add_frames(Footage("x", LICENCE), tmp_path / "in", tmp_path / "out")

    assert [(i["file_name"], i["clip"], i["frame"]) for i in document(done.path)["images"]] == [
        ("a/f2.png", "a", 0),
        ("a/f10.png", "a", 1),
        ("b/f1.png", "b", 0),
        ("loose.jpg", "x", 0),
    ]
    assert done.clips == ("a", "b", "x")
    assert sorted(done.left_out) == ["._x.png", "notes.txt"]
    copied = done.path / "images" / "a" / "f2.png"
    assert copied.read_bytes() == (tmp_path / "in" / "a" / "f2.png").read_bytes()


def test_all_frames_that_cannot_be_read_are_listed_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.jpg").write_bytes(b"")
    (tmp_path / "in" / "c.jpg").write_text("no picture")

    with pytest.raises(InvalidDataError, match=r"2 of 3 pictures .*b\.jpg.*c\.jpg"):
        add_frames(Footage("x", LICENCE), tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_digit_that_is_no_number_is_a_letter_of_the_name(tmp_path: Path) -> None:
    for name in ("1²10.png", "1²2.png"):
        picture(tmp_path / "in" / name)

    done = add_frames(Footage("x", LICENCE), tmp_path / "in", tmp_path / "out")

    assert [i["file_name"] for i in document(done.path)["images"]] == ["1²2.png", "1²10.png"]


def test_a_frame_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    odd = os.fsencode(tmp_path / "in") + b"/\xff.png"
    try:
        os.link(tmp_path / "in" / "a.png", odd)
    except OSError:
        pytest.skip("this disk takes names in UTF-8 only")

    with pytest.raises(InvalidDataError, match="1 of 2 pictures have a name that is not UTF-8"):
        add_frames(Footage("x", LICENCE), tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_out_of_the_frames_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "secret.png")
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").symlink_to(tmp_path / "secret.png")

    with pytest.raises(UnsafeInputError, match="symbolic link"):
        add_frames(Footage("x", LICENCE), tmp_path / "in", tmp_path / "out")


def test_frames_that_are_not_there_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ReadError, match="no such folder"):
        add_frames(Footage("x", LICENCE), tmp_path / "none", tmp_path / "out")
    with pytest.raises(ReadError, match="no pictures; wanted files that end in"):
        add_frames(Footage("x", LICENCE), tmp_path / "empty", tmp_path / "out")


def test_what_is_registered_is_replaced_only_by_force(tmp_path: Path) -> None:
    picture(tmp_path / "in" / "a.png")
    add_frames(Footage("x", LICENCE), tmp_path / "in", tmp_path / "out")
    before = everything(tmp_path / "out")

    with pytest.raises(OutputExistsError, match="pass --force"):
        add_frames(Footage("x", "other"), tmp_path / "in", tmp_path / "out")
    assert everything(tmp_path / "out") == before
    add_frames(Footage("x", "other"), tmp_path / "in", tmp_path / "out", force=True)
    assert Card.load(tmp_path / "out" / "card.md").licence == "other"


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", ".x", "x" * 65, "a b", "x\n"])
def test_names_that_are_no_folder_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="wanted lower case letters"):
        Footage(name, LICENCE)


def test_a_licence_must_be_stated() -> None:
    with pytest.raises(UsageError, match="the licence is empty"):
        Footage("x", "  ")


def test_a_licence_of_any_text_survives_the_card(tmp_path: Path) -> None:
    licence = 'Eigene: "ja"\n--- # Übung 冰球'
    picture(tmp_path / "in" / "a.png")
    done = add_frames(Footage("x", licence), tmp_path / "in", tmp_path / "out")

    assert Card.load(done.path / "card.md").licence == licence
