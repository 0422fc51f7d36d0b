"""Pictures that are copies form groups; neighbours within a clip do not."""

from __future__ import annotations

import shutil
from pathlib import Path

from toolkit.views.neighbours import near_groups


def test_a_copy_is_found_and_frames_of_one_clip_are_no_duplicates(
    root: Path, tmp_path: Path
) -> None:
    sample = sorted((root / "datasets" / "hockey" / "sample" / "images").glob("*.jpg"))
    copy = tmp_path / "copy.jpg"
    shutil.copy(sample[0], copy)
    paths = [sample[0], sample[1], sample[-1], copy]
    assert near_groups(paths, ["a", "a", "b", "c"]) == [1, 1, None, 1]
    assert near_groups(paths[:3], ["a", "a", "b"]) == [None, None, None]


def test_equal_files_of_one_clip_are_duplicates(root: Path, tmp_path: Path) -> None:
    first = next((root / "datasets" / "hockey" / "sample" / "images").glob("*.jpg"))
    copy = tmp_path / "copy.jpg"
    shutil.copy(first, copy)
    assert near_groups([first, copy], ["a", "a"]) == [1, 1]


def test_no_pictures_have_no_groups() -> None:
    assert near_groups([], []) == []
