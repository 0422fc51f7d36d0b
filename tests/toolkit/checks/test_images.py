"""Image files: every rule with a sound and a faulty file, and the same findings everywhere."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit import formats
from toolkit.checks.files import IMAGE_RULES
from toolkit.checks.images import check_images
from toolkit.errors import ReadError, UnsafeInputError
from toolkit.report import Finding

WriteJson = Callable[..., Path]
SIZE = (64, 48)


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)


class Folder:
    """A folder of images and the records about it."""

    def __init__(self, root: Path, write_json: WriteJson) -> None:
        self.root = root / "images"
        self.root.mkdir()
        self.write_json = write_json
        self.records: list[dict[str, object]] = []

    def add(self, name: str, image: Image.Image | bytes | None, **fields: object) -> Path:
        path = self.root / name
        if isinstance(image, bytes):
            path.write_bytes(image)
        elif image is not None:
            image.save(path, exif=image.getexif())
        record = {"id": 10 + len(self.records), "file_name": name, "width": 64, "height": 48}
        self.records.append(record | fields)
        return path

    def check(self, **options: object) -> list[Finding]:
        document = {
            "images": self.records,
            "annotations": [],
            "categories": [{"id": 1, "name": "person", "keypoints": ["a"], "skeleton": []}],
        }
        dataset = formats.scan(self.write_json(document)).dataset
        return check_images(dataset, self.root, **options)


@pytest.fixture
def folder(tmp_path: Path, write_json: WriteJson) -> Folder:
    return Folder(tmp_path, write_json)


def told(findings: list[Finding]) -> list[tuple[str, str, int | None, int | str | None]]:
    return [(f.rule, f.severity.value, f.index, f.id) for f in findings]


def jpeg(image: Image.Image) -> bytes:
    from io import BytesIO

    stream = BytesIO()
    image.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def turned(image: Image.Image, orientation: int) -> Image.Image:
    image.getexif()[274] = orientation
    return image


def test_sound_images_have_no_finding(folder: Folder) -> None:
    for number in range(3):
        folder.add(f"{number}.png", picture(number), clip=f"c{number}")
    folder.add("no-size.png", picture(9), width=0, height=0)

    assert folder.check() == []


def test_a_missing_image_is_named(folder: Folder) -> None:
    folder.add("a.png", picture(1))
    folder.add("b.png", None)

    (finding,) = folder.check()

    assert told([finding]) == [("image-missing", "error", 1, 11)]
    assert finding.field == "file_name"
    assert "'b.png' is not in" in finding.message


def test_an_image_without_a_name_is_missing(folder: Folder) -> None:
    folder.add("a.png", picture(1))
    folder.add("", None)

    (finding,) = folder.check()

    assert told([finding]) == [("image-missing", "error", 1, 11)]
    assert "file_name is empty" in finding.message


@pytest.mark.parametrize(
    "content",
    [b"", b"not an image", jpeg(picture(1))[:700], b"GIF89a" + bytes(20)],
    ids=["empty", "text", "cut", "gif"],
)
def test_an_unreadable_image_is_named_and_the_others_go_on(
    folder: Folder, content: bytes
) -> None:
    folder.add("bad.jpg", content)
    folder.add("wrong-size.png", picture(2), width=65)

    found = folder.check()

    assert told(found) == [
        ("image-unreadable", "error", 0, 10),
        ("image-size-mismatch", "error", 1, 11),
    ]
    assert "bad.jpg: " in found[0].message


def test_another_size_than_the_record_says_is_told_with_both(folder: Folder) -> None:
    folder.add("a.png", picture(1), width=48, height=64)

    (finding,) = folder.check()

    assert told([finding]) == [("image-size-mismatch", "error", 0, 10)]
    assert finding.message == "the record says 48 x 64, 'a.png' has 64 x 48"


def test_a_size_before_exif_turns_the_image_is_told(folder: Folder) -> None:
    folder.add("a.png", turned(picture(1), 6))
    folder.add("right.png", turned(picture(2), 6), width=48, height=64)
    folder.add("other.png", turned(picture(3), 6), width=50, height=64)

    found = folder.check()

    assert told(found) == [
        ("image-size-mismatch", "error", 2, 12),
        ("image-exif-rotated", "error", 0, 10),
        ("image-exif-orientation", "info", 1, 11),
    ]
    assert "64 x 48, the size before EXIF orientation 6 turns 'a.png' to 48 x 64" in (
        found[1].message
    )


def test_the_same_bytes_under_two_names_are_told_once(folder: Folder) -> None:
    folder.add("a.png", picture(1), clip="x")
    folder.add("b.png", picture(1), clip="x")
    folder.add("A.png", picture(2), clip="y")

    (finding,) = folder.check()

    assert told([finding]) == [("image-duplicate", "warning", 1, 11)]
    assert finding.message == "'b.png' is 'a.png' (id=10), byte for byte"


def test_one_file_named_twice_is_left_to_the_rule_about_names(folder: Folder) -> None:
    folder.add("a.png", picture(1))
    folder.add("a.png", None)

    assert folder.check() == []


def test_a_frame_of_another_clip_saved_again_is_told_and_of_its_own_clip_is_not(
    folder: Folder,
) -> None:
    folder.add("a.png", picture(1), clip="x")
    folder.add("own.jpg", jpeg(picture(1)), clip="x")
    folder.add(
        "other.jpg", jpeg(picture(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)), clip="y"
    )

    (finding,) = folder.check()

    assert told([finding]) == [("image-near-duplicate", "warning", 2, 12)]
    assert "'other.jpg' of clip 'y' looks like" in finding.message
    assert "mirrored (distance 0.0" in finding.message


def test_every_rule_is_found_by_the_faults_above(folder: Folder) -> None:
    folder.add("1.png", None)
    folder.add("2.png", b"")
    folder.add("3.png", picture(3), width=1)
    folder.add("4.png", turned(picture(4), 8))
    folder.add("5.png", turned(picture(5), 3))
    folder.add("6.png", picture(6), clip="x")
    folder.add("7.png", picture(6), clip="x")
    folder.add("8.jpg", jpeg(picture(6)), clip="y")

    found = folder.check()

    assert told(found) == [
        (rule.code, rule.severity["coco"], index, 10 + index)
        for rule, index in zip(IMAGE_RULES, (0, 1, 2, 3, 4, 6, 7), strict=True)
    ]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_unusual_modes_are_accepted(folder: Folder, mode: str) -> None:
    deep = Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64))
    image = deep if mode == "I;16" else picture(1).convert(mode)
    suffix = "jpg" if mode in ("CMYK", "YCbCr") else "png"
    folder.add(f"x.{suffix}", image)

    assert folder.check() == []


def test_an_animation_counts_as_its_first_picture(folder: Folder) -> None:
    path = folder.add("x.webp", None)
    picture(1).save(path, save_all=True, append_images=[picture(2)])

    assert folder.check() == []


def test_damaged_exif_is_no_orientation(folder: Folder) -> None:
    path = folder.add("x.jpg", None)
    picture(1).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff\x01\x12\0\x03")

    assert folder.check() == []


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
        (b"%PDF-1.7\n", "PDF"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"gd2\0\0\2", "GD"),
        (b"\xff\xfe\0\x10\0\x10\1\0\0", "GD"),
    ],
)
def test_types_that_libraries_were_attacked_through_are_refused(
    folder: Folder, head: bytes, kind: str
) -> None:
    folder.add("a.png", picture(1))
    folder.add("b.png", head + bytes(100))

    with pytest.raises(UnsafeInputError, match=rf"b\.png: image refused .*it is {kind}"):
        folder.check()


def test_text_in_utf16_is_unreadable_and_not_unsafe(folder: Folder) -> None:
    folder.add("a.jpg", "keine Bilder".encode("utf-16"))

    assert [f.rule for f in folder.check()] == ["image-unreadable"]


def test_names_and_links_that_leave_the_folder_are_refused(
    folder: Folder, tmp_path: Path
) -> None:
    picture(1).save(tmp_path / "secret.png")
    (folder.root / "link.png").symlink_to(tmp_path / "secret.png")
    folder.add("link.png", None)

    with pytest.raises(UnsafeInputError, match=r"id=10 .*symbolic link"):
        folder.check()
    folder.records[0]["file_name"] = "../secret.png"
    with pytest.raises(UnsafeInputError, match=r"id=10 .*climbs out"):
        folder.check()


def test_a_pipe_named_as_an_image_is_missing_and_nobody_waits(folder: Folder) -> None:
    os.mkfifo(folder.root / "a.png")
    folder.add("a.png", None)

    assert [f.rule for f in folder.check()] == ["image-missing"]


def test_a_folder_that_does_not_exist_is_told(folder: Folder) -> None:
    folder.add("a.png", None)
    folder.root.rmdir()

    with pytest.raises(ReadError, match="no such folder"):
        folder.check()


def bomb(side: int) -> bytes:
    """A whole PNG of `side` x `side` white and black pixels, all black: 200 MB as bits."""
    packer = zlib.compressobj(1)
    row = bytes(1 + side // 8) * 100
    body = b"".join(packer.compress(row) for _ in range(side // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


_LOOK = """
import sys, time
from pathlib import Path
from toolkit.checks.images import look
from toolkit.errors import UnsafeInputError
start = time.perf_counter()
try:
    look(Path(sys.argv[1]))
except UnsafeInputError:
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    print(time.perf_counter() - start, int(peak) / 1024)
"""


def test_a_bomb_is_refused_within_a_second_and_300_megabytes(folder: Folder) -> None:
    path = folder.add("bomb.png", bomb(40_000))

    ended = subprocess.run(
        [sys.executable, "-c", _LOOK, str(path)], capture_output=True, text=True, check=True
    )

    seconds, megabytes = map(float, ended.stdout.split())
    assert seconds < 1
    assert megabytes < 300
    with pytest.raises(UnsafeInputError, match=r"bomb\.png: image refused before decoding"):
        folder.check()


@pytest.fixture
def mixed(folder: Folder) -> Folder:
    """Eighty images, every seventh with a fault."""
    for number in range(80):
        kinds = (None, b"", jpeg(picture(number))[:600], picture(3))
        image = kinds[number // 7 % 4] if number % 7 == 0 else picture(number)
        suffix = "jpg" if isinstance(image, bytes) else "png"
        folder.add(
            f"{number}.{suffix}", image, clip=f"c{number}", width=64 + (number % 11 == 5)
        )
    return folder


def test_findings_are_the_same_whatever_the_number_of_threads(mixed: Folder) -> None:
    alone = mixed.check(workers=1)

    assert len(alone) > 15
    assert mixed.check(workers=2) == alone
    assert mixed.check(workers=7) == alone
    assert mixed.check() == alone


def test_findings_are_the_same_through_a_cluster_of_two_workers(mixed: Folder) -> None:
    from distributed import LocalCluster

    alone = mixed.check(workers=1)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        assert len(cluster.workers) == 2

        assert mixed.check(scheduler=cluster.scheduler_address) == alone

        mixed.add("bad.png", b"%PDF-1.7")
        with pytest.raises(UnsafeInputError, match=r"bad\.png: image refused .*PDF"):
            mixed.check(scheduler=cluster.scheduler_address)
