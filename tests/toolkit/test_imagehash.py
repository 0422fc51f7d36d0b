"""A picture is known again when copied, mirrored, scaled or moved by a frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from toolkit.errors import InvalidDataError
from toolkit.imagehash import NEAR, Near, distances, fingerprint, fingerprints, near

RINK = 7  # the seed of the surroundings that all clips share


def frame(clip: int, time: int = 0) -> NDArray[np.uint8]:
    """Six figures of a clip on one rink, 2 px further right with each step of time."""
    ground = np.random.default_rng(RINK).normal(150, 12, (45, 80))
    pixels = np.asarray(
        Image.fromarray(ground.astype(np.uint8)).resize((320, 180)), dtype=np.uint8
    ).copy()
    rng = np.random.default_rng(1000 + clip)
    for _ in range(6):
        x, y = int(rng.integers(20, 260)) + 2 * time, int(rng.integers(10, 100))
        coat = rng.integers(0, 90, (14, 5)).astype(np.uint8)
        pixels[y : y + 70, x : x + 25] = np.kron(coat, np.ones((5, 5), np.uint8))
    return pixels


def save(path: Path, pixels: NDArray[np.uint8], **options: object) -> Path:
    Image.fromarray(pixels).convert("RGB").save(path, **options)
    return path


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return save(tmp_path / "original.jpg", frame(1), quality=92)


def one_pair(a: Path, b: Path) -> Near:
    (pair,) = near([fingerprint(a)], [fingerprint(b)])
    return pair


def test_a_copied_file_is_known_by_its_bytes(original: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.jpg").write_bytes(original.read_bytes())

    assert one_pair(original, tmp_path / "copy.jpg") == Near(0, 0, 0.0, False, True)


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("x.jpg", {"quality": 50}, (320, 180)),
        ("x.jpg", {"quality": 95}, (320, 180)),
        ("x.png", {}, (320, 180)),
        ("x.webp", {"quality": 70}, (320, 180)),
        ("x.jpg", {"quality": 80}, (160, 90)),
        ("x.png", {}, (533, 300)),
    ],
)
def test_a_picture_saved_again_or_scaled_is_known(
    original: Path, tmp_path: Path, name: str, options: dict[str, object], size: tuple[int, int]
) -> None:
    other = Image.open(original).resize(size, Image.Resampling.BICUBIC)
    other.save(tmp_path / name, **options)

    pair = one_pair(original, tmp_path / name)

    assert pair.distance < 0.02
    assert not pair.mirrored
    assert not pair.same_bytes


def test_a_mirrored_picture_is_known_as_mirrored(original: Path, tmp_path: Path) -> None:
    mirror = save(tmp_path / "m.jpg", np.asarray(Image.open(original))[:, ::-1], quality=75)

    pair = one_pair(original, mirror)

    assert pair.mirrored
    assert pair.distance < 0.02
    a, b = fingerprint(original), fingerprint(mirror)
    assert (a.mirror64 ^ b.hash64).bit_count() <= 6
    assert (a.hash64 ^ b.hash64).bit_count() > 12


def test_the_next_frame_is_near_and_another_clip_of_the_same_rink_is_not(
    tmp_path: Path,
) -> None:
    paths = [
        save(tmp_path / f"{clip}-{time}.jpg", frame(clip, time))
        for clip in range(12)
        for time in range(2)
    ]

    pairs = near(fingerprints(paths))

    assert [(pair.first, pair.second) for pair in pairs] == [
        (2 * clip, 2 * clip + 1) for clip in range(12)
    ]
    assert all(pair.distance < NEAR for pair in pairs)


def test_pairs_of_one_clip_are_left_out_and_none_is_no_clip(tmp_path: Path) -> None:
    prints = fingerprints([save(tmp_path / f"{n}.png", frame(1)) for n in range(3)])

    found = near(prints, first_groups=["a", "a", "b"])
    without = near(prints, first_groups=[None, None, "b"])
    across = near(prints[:1], prints, first_groups=["a"], second_groups=["a", "b", None])

    assert [(p.first, p.second) for p in found] == [(0, 2), (1, 2)]
    assert [(p.first, p.second) for p in without] == [(0, 1), (0, 2), (1, 2)]
    assert [(p.first, p.second) for p in across] == [(0, 1), (0, 2)]


def test_more_pictures_than_one_table_holds_are_all_compared() -> None:
    from toolkit.imagehash import ROWS, fingerprint_of

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (ROWS + 3, 64, 64), dtype=np.uint8)
    noise[-1] = noise[0]
    noise[-2] = noise[5][:, ::-1]

    found = near([fingerprint_of(each) for each in noise], workers=2)

    assert [(p.first, p.second, p.mirrored) for p in found] == [
        (0, ROWS + 2, False),
        (5, ROWS + 1, True),
    ]


def test_distances_are_symmetric_and_zero_for_itself() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 255, (2, 4, 64, 64), dtype=np.uint8)

    np.testing.assert_allclose(distances(a, b), distances(b, a), rtol=1e-5)
    np.testing.assert_array_equal(distances(a, a), np.zeros(4))
    assert (distances(a, b) > 1).all()  # unrelated noise


def test_a_turned_file_has_the_fingerprint_of_its_upright_picture(tmp_path: Path) -> None:
    pixels = frame(3)
    turned = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[274] = 6  # show it turned by a quarter clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    upright = save(tmp_path / "upright.png", pixels)

    assert one_pair(tmp_path / "turned.png", upright).distance < 0.01


def test_black_frames_are_alike_and_no_warning_is_given(tmp_path: Path) -> None:
    black = np.zeros((180, 320), np.uint8)
    paths = [save(tmp_path / "a.png", black), save(tmp_path / "b.jpg", black)]

    (pair,) = near(fingerprints(paths))

    assert pair.distance == 0


def test_nothing_has_no_pairs() -> None:
    assert near([]) == []
    assert near([], []) == []


def test_a_damaged_file_is_named(original: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(original.read_bytes()[:900])

    with pytest.raises(InvalidDataError, match=r"cut\.jpg: image is damaged or truncated"):
        fingerprints([original, tmp_path / "cut.jpg"])
