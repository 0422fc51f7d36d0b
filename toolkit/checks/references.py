"""References between records, and the names of image files."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from toolkit.checks.base import ERROR, Check, Hits, Subject, everywhere
from toolkit.images import one_name, unsafe_name_reason

# Names that need no closer look: nearly all, and looking closer takes time.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./ -]{0,200}").fullmatch
_ALL_PLAIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_./ -]{0,200}+\n)*+").fullmatch


def _images(subject: Subject) -> Iterator[Hits]:
    wanted = subject.dataset.annotations.image_id

    def describe(row: int) -> str:
        return f"no image has id {wanted[row]}; add the image or correct the reference"

    rows = subject.unreported("annotations", subject.image_row < 0, "image_id")
    yield Hits("annotations", rows, describe, "image does not exist", "image_id")


def _categories(subject: Subject) -> Iterator[Hits]:
    ids = [category.id for category in subject.categories if category.id != -1]
    told = any(finding.section == "categories" for finding in subject.found)
    if not ids and (subject.categories or subject.source is None or told):
        return  # no file, or one whose categories cannot be read
    wanted = subject.dataset.annotations.category_id
    listed = ", ".join(str(i) for i in sorted(set(ids))) or "none"

    def describe(row: int) -> str:
        return f"no category has id {wanted[row]}; the file has {listed}"

    dangling = ~np.isin(wanted, np.array(ids, dtype=np.int64))
    rows = subject.unreported("annotations", dangling, "category_id")
    yield Hits(
        "annotations",
        rows,
        describe,
        "category does not exist",
        "category_id",
    )


def _file_names(subject: Subject) -> Iterator[Hits]:
    names = subject.dataset.images.file_names
    seen: dict[str, int] = {}
    first = {}
    text = "".join(names)
    plain = text.isascii() and "//" not in text and "./" not in text
    keys = [(name if plain else one_name(name)).casefold() for name in names]
    if len(set(keys)) == len(keys):
        return  # nearly always, and quicker than to look at one after the other
    for row, key in enumerate(keys):
        if key and seen.setdefault(key, row) != row:
            first[row] = seen[key]

    def describe(row: int) -> str:
        earlier = first[row]
        at = subject.index("images", earlier)
        how = "the same file_name"
        if names[row] != names[earlier]:
            case = one_name(names[row]) != one_name(names[earlier])
            how = f"'{names[earlier]}', unlike only in {'case' if case else 'spelling'}"
        return f"images[{at}] has {how}; two records would share one file"

    rows = np.array(sorted(first), dtype=np.int64)
    yield Hits("images", rows, describe, "shared file_name", "file_name")


def _unsafe_names(subject: Subject) -> Iterator[Hits]:
    names = subject.dataset.images.file_names
    text = "".join(f"{name}\n" for name in names)
    if ".." not in text and text.count("\n") == len(names) and _ALL_PLAIN(text):
        return  # nearly always, and quicker than to look at one after the other
    reasons = {
        row: reason
        for row, name in enumerate(names)
        if name
        and not (_PLAIN(name) and ".." not in name)
        and (reason := unsafe_name_reason(name)) is not None
    }

    def describe(row: int) -> str:
        name = names[row]
        shown = name if len(name) <= 80 else name[:77] + "..."
        return f"{shown!r}: {reasons[row]}; wanted a relative name inside the images folder"

    rows = subject.unreported("images", _mask(reasons, len(names)), "file_name")
    yield Hits("images", rows, describe, "file_name that leaves the folder", "file_name")


def _mask(rows: dict[int, str], count: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    mask = np.zeros(count, dtype=bool)
    mask[list(rows)] = True
    return mask


ANNOTATION_IMAGE_UNKNOWN = Check(
    "annotation-image-unknown",
    "Every annotation's image_id is the id of an image in the file: evaluators drop the "
    "others without a word.",
    everywhere(ERROR),
    _images,
    needed_to_evaluate=True,
    family="structure",
)
ANNOTATION_CATEGORY_UNKNOWN = Check(
    "annotation-category-unknown",
    "Every annotation's category_id is the id of a category in the file.",
    everywhere(ERROR),
    _categories,
    needed_to_evaluate=True,
    family="structure",
)
FILE_NAME_DUPLICATE = Check(
    "file-name-duplicate",
    "No two images share a file name, also not when only upper and lower case, `./`, or the "
    "way an accent is written differ: on many disks that is one file.",
    everywhere(ERROR),
    _file_names,
    family="images",
)
FILE_NAME_UNSAFE = Check(
    "file-name-unsafe",
    "A file name stays inside the images folder: no absolute path, '..', drive letter, "
    "network share, NUL or over-long part. Commands that read images refuse it.",
    everywhere(ERROR),
    _unsafe_names,
    family="images",
)
