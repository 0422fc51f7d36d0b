"""Image names that must not be followed, and files that must not be decoded."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.errors import InvalidDataError, ReadError, UnsafeInputError
from toolkit.images import MAX_PIXELS, load_image, resolve_image, resolve_images


@pytest.mark.parametrize(
    ("file_name", "reason"),
    [
        ("../../etc/passwd", "climbs out"),
        ("a/../../b.jpg", "climbs out"),
        ("/etc/passwd", "absolute"),
        ("C:\\x", "drive"),
        ("\\\\host\\x", "absolute"),
        ("a\0.jpg", "NUL"),
        ("x" * 300, "longer than 255"),
        ("", "empty"),
    ],
    ids=["up", "up-inside", "absolute", "drive", "share", "nul", "long", "empty"],
)
def test_names_that_leave_the_folder_are_refused_with_the_image_id(
    tmp_path: Path, file_name: str, reason: str
) -> None:
    with pytest.raises(UnsafeInputError, match=rf"id=7 .*{reason}"):
        resolve_image(tmp_path, file_name, 7)


def test_a_link_out_of_the_folder_is_refused_and_a_link_inside_is_followed(
    tmp_path: Path,
) -> None:
    outside = tmp_path / "secret.png"
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (2, 2)).save(outside)
    Image.new("RGB", (2, 2)).save(folder / "real.png")
    (folder / "out.png").symlink_to(outside)
    (folder / "in.png").symlink_to(folder / "real.png")

    assert resolve_image(folder, "in.png").name == "in.png"
    with pytest.raises(UnsafeInputError, match="symbolic link"):
        resolve_image(folder, "out.png", 1)


def test_the_images_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    path = resolve_image(tmp_path / "link", "sub/a.png")

    assert path == (tmp_path / "real").resolve() / "sub" / "a.png"


def test_every_missing_image_is_listed_at_once(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "b.png")

    with pytest.raises(InvalidDataError, match=r"2 of 3 .*'a.png'.*'c.png'"):
        resolve_images(tmp_path, ["a.png", "b.png", "c.png"], [1, 2, 3])
    with pytest.raises(ReadError, match="nowhere: no such folder; name the folder of the"):
        resolve_images(tmp_path / "nowhere", ["a.png"], [1])


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 9, (9, 9, 9)),
        ("I;16", 257 * 8, (8, 8, 8)),
        ("P", 0, (0, 0, 0)),
        ("RGBA", (10, 20, 30, 0), (10, 20, 30)),
    ],
)
def test_every_mode_becomes_eight_bit_rgb(
    tmp_path: Path, mode: str, value: object, expected: tuple[int, int, int]
) -> None:
    Image.new(mode, (3, 2), value).save(tmp_path / "x.png")

    pixels = load_image(tmp_path / "x.png")

    assert pixels.shape == (2, 3, 3)
    assert pixels.dtype == np.uint8
    assert tuple(pixels[1, 2]) == expected


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 2))
    exif = image.getexif()
    exif[274] = 6  # turned by a quarter
    image.save(tmp_path / "x.jpg", exif=exif)

    assert load_image(tmp_path / "x.jpg").shape == (4, 2, 3)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:2000])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not an image")
    Image.fromarray(noise).save(tmp_path / "x.gif")

    for name, words in [
        ("cut.jpg", "truncated"),
        ("empty.jpg", "not an image"),
        ("text.jpg", "not an image"),
        ("x.gif", "not an image"),
        ("absent.jpg", "missing"),
    ]:
        with pytest.raises(InvalidDataError, match=rf"{name}.*{words}"):
            load_image(tmp_path / name)


def _png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = b""
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(kind + body))
        chunks += struct.pack(">I", len(body)) + kind + body + crc
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("side", [10_000, 40_000])
def test_an_image_bomb_is_refused_before_decoding(tmp_path: Path, side: int) -> None:
    (tmp_path / "bomb.png").write_bytes(_png_claiming(side, side))

    assert side * side > MAX_PIXELS
    with pytest.raises(UnsafeInputError, match=r"bomb\.png: image refused"):
        load_image(tmp_path / "bomb.png")
