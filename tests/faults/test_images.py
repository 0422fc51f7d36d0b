"""Rows 42, 52 and 55 to 57 of the catalogue: image files that are not what they seem."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from toolkit.images import load_image

Document = dict[str, Any]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def annotated(coco_document: Document, write_json: Callable[..., Path]) -> Callable[..., Path]:
    """The tiny document with these file names, each an image of 100 x 80 px of its own."""

    def build(*names: str) -> Path:
        first = coco_document["images"][0]
        coco_document["images"] = [
            first | {"id": 7 + at, "file_name": name} for at, name in enumerate(names)
        ]
        return write_json(coco_document)

    return build


def picture(seed: int = 0, size: tuple[int, int] = (100, 80)) -> Image.Image:
    """A picture like no other."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 255, (10, 10, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def jpeg(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def test_42_a_size_unlike_the_image_s_is_an_error(
    annotated: Callable[..., Path], images: Path, fault: Callable[..., str]
) -> None:
    (images / "a.jpg").write_bytes(jpeg(picture(size=(90, 80))))

    fault(
        "validate",
        annotated("a.jpg"),
        "--images",
        images,
        exit_code=1,
        message=r"images\[0\] id=7 field 'width': the record says 100 x 80, 'a.jpg' has 90",
    )


def test_42_a_size_from_before_the_exif_rotation_is_an_error(
    annotated: Callable[..., Path], images: Path, fault: Callable[..., str]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    (images / "a.jpg").write_bytes(jpeg(picture(), exif=exif))

    fault(
        "validate",
        annotated("a.jpg"),
        "--images",
        images,
        exit_code=1,
        message=r"images\[0\] id=7 field 'width': .*100 x 80, the size before EXIF",
    )


@pytest.mark.parametrize("command", ["validate", "show", "diff"])
@pytest.mark.parametrize("link", ["file", "folder"])
def test_52_a_link_that_leaves_the_folder_is_refused(
    annotated: Callable[..., Path],
    images: Path,
    tmp_path: Path,
    fault: Callable[..., str],
    command: str,
    link: str,
) -> None:
    (tmp_path / "secret.jpg").write_bytes(jpeg(picture()))
    if link == "file":
        (images / "a.jpg").symlink_to(tmp_path / "secret.jpg")
        path = annotated("a.jpg")
    else:
        (images / "sub").symlink_to(tmp_path)
        path = annotated("sub/secret.jpg")
    words: tuple[object, ...] = (command, path, "--images", images)
    if command == "show":
        words += ("--out", tmp_path / "out")
    if command == "diff":
        other = json.loads(path.read_text("utf-8"))
        other["annotations"][0]["keypoints"][0] += 9
        (tmp_path / "new.json").write_text(json.dumps(other), "utf-8")
        words = ("diff", path, tmp_path / "new.json", "--images", images)
        words += ("--out", tmp_path / "page.html")

    fault(
        *words, exit_code=4, message="image id=7 field 'file_name': .*symbolic link that leaves"
    )


def test_52_a_link_within_the_folder_is_followed(
    annotated: Callable[..., Path], images: Path, fault: Callable[..., str]
) -> None:
    (images / "real.jpg").write_bytes(jpeg(picture()))
    (images / "a.jpg").symlink_to("real.jpg")

    fault(
        "validate", annotated("a.jpg"), "--images", images, exit_code=0, message="valid under"
    )


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


# The check itself, in a process of its own: seconds and megabytes that it took.
MEASURED = """
import pathlib, sys, time
import PIL.Image, cv2, numpy
from toolkit.errors import UnsafeInputError
from toolkit.images import load_image

start = time.process_time()
try:
    load_image(sys.argv[1])
except UnsafeInputError as error:
    seconds = time.process_time() - start
    # Of this program alone: `ru_maxrss` is handed down from the process that started it.
    peak = pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(seconds, int(peak) / 1024, error)
"""


def test_55_an_image_bomb_is_refused_at_once_and_in_little_memory(images: Path) -> None:
    bomb = images / "a.png"
    bomb.write_bytes(png_of(40_000, 40_000))

    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, str(bomb)], capture_output=True, text=True, check=True
    )

    seconds, megabytes, message = ended.stdout.split(" ", 2)
    assert "image refused before decoding" in message
    assert float(seconds) < 1
    assert float(megabytes) < 300


def test_55_an_image_bomb_ends_the_command(
    annotated: Callable[..., Path], images: Path, fault: Callable[..., str]
) -> None:
    (images / "a.png").write_bytes(png_of(40_000, 40_000))

    fault(
        "validate",
        annotated("a.png"),
        "--images",
        images,
        exit_code=4,
        message="a.png: image refused before decoding: .*Scale the image down",
    )


HOSTILE = {
    "FITS": b"SIMPLE  =                    T",
    "GD": b"gd2\0" + bytes(30),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0",
    "PDF": b"%PDF-1.7",
}


@pytest.mark.parametrize(("kind", "content"), HOSTILE.items(), ids=HOSTILE)
def test_55_formats_that_run_or_explode_are_refused(
    annotated: Callable[..., Path],
    images: Path,
    fault: Callable[..., str],
    kind: str,
    content: bytes,
) -> None:
    (images / "a.jpg").write_bytes(content)

    message = f"a.jpg: image refused before decoding: it is {kind}; wanted one of JPEG"
    fault("validate", annotated("a.jpg"), "--images", images, exit_code=4, message=message)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "JPEG2000", "ICO", "PPM"])
def test_55_formats_that_bombs_like_are_not_even_opened(
    annotated: Callable[..., Path], images: Path, fault: Callable[..., str], kind: str
) -> None:
    picture().save(images / "a.jpg", kind)

    fault(
        "validate",
        annotated("a.jpg"),
        "--images",
        images,
        exit_code=1,
        message=r"field 'file_name': .*a.jpg: not an image that can be read; wanted one",
    )


DAMAGED = {
    "truncated": lambda: jpeg(picture())[:-600],
    "empty": lambda: b"",
    "text": lambda: b"<html>404 Not Found</html>",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_56_a_damaged_image_is_named_and_the_others_go_on(
    annotated: Callable[..., Path],
    images: Path,
    fault: Callable[..., str],
    content: Callable[[], bytes],
) -> None:
    (images / "a.jpg").write_bytes(content())
    (images / "b.jpg").write_bytes(jpeg(picture(1, (90, 80))))

    output = fault(
        "validate",
        annotated("a.jpg", "b.jpg"),
        "--images",
        images,
        exit_code=1,
        message=r"images\[0\] id=7 field 'file_name': .*a.jpg: ",
    )

    assert "images[1] id=8 field 'width': the record says 100 x 80" in output


def grey16() -> Image.Image:
    return Image.fromarray(np.full((80, 100), 65535, np.uint16))


UNUSUAL = {
    "16 bit grey": (lambda: grey16(), "png", (255, 255, 255)),
    "CMYK": (lambda: Image.new("CMYK", (100, 80), (0, 0, 0, 0)), "jpg", (255, 255, 255)),
    "palette": (lambda: Image.new("RGB", (100, 80), "red").quantize(4), "png", (255, 0, 0)),
    "grey": (lambda: Image.new("L", (100, 80), 77), "png", (77, 77, 77)),
    "one bit": (lambda: Image.new("1", (100, 80), 1), "png", (255, 255, 255)),
    "transparent": (lambda: Image.new("RGBA", (100, 80), (1, 2, 3, 9)), "png", (1, 2, 3)),
}


@pytest.mark.parametrize(("build", "ending", "colour"), UNUSUAL.values(), ids=UNUSUAL)
def test_57_an_unusual_image_has_a_defined_result(
    annotated: Callable[..., Path],
    images: Path,
    fault: Callable[..., str],
    build: Callable[[], Image.Image],
    ending: str,
    colour: tuple[int, int, int],
) -> None:
    build().save(images / f"a.{ending}")

    pixels = load_image(images / f"a.{ending}")

    assert pixels.shape == (80, 100, 3)
    assert np.abs(pixels.astype(int) - colour).max() <= 2
    path = annotated(f"a.{ending}")
    fault("validate", path, "--images", images, exit_code=0, message="valid under")


def test_57_an_exif_rotated_image_stands_upright(images: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.new("RGB", (100, 80), "white")
    upright.paste("black", (0, 0, 100, 20))  # black at the top before, at the right after
    (images / "a.jpg").write_bytes(jpeg(upright, exif=exif))

    pixels = load_image(images / "a.jpg")

    assert pixels.shape == (100, 80, 3)
    assert pixels[50, 75].max() < 30
    assert pixels[50, 5].min() > 225


def test_57_of_an_animation_the_first_picture_counts(
    annotated: Callable[..., Path], images: Path, fault: Callable[..., str]
) -> None:
    frames = [Image.new("RGB", (100, 80), colour) for colour in ("red", "blue")]
    frames[0].save(images / "a.webp", save_all=True, append_images=frames[1:], lossless=True)

    assert load_image(images / "a.webp")[40, 50].tolist() == [255, 0, 0]
    path = annotated("a.webp")
    fault("validate", path, "--images", images, exit_code=0, message="valid under")
