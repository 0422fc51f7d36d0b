"""Every row of the fault catalogue has a test whose name or id begins with its number."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

CATALOGUE = {
    1: "empty file",
    2: "truncated file",
    3: "trailing garbage",
    4: "UTF-8 byte order mark",
    5: "UTF-16 or Latin-1 bytes",
    6: "NaN or Infinity token",
    7: "a number that overflows",
    8: "an object key twice",
    9: "200,000 levels of nesting",
    10: "a list or a number at the top",
    11: "an id beyond 64 bits",
    12: "an id that is a fraction, a boolean or a string",
    13: "a compressed file",
    14: "unknown keys",
    15: "NUL or half of a surrogate pair in a string",
    16: "a file larger than memory",
    17: "images, annotations or categories missing",
    18: "info or licenses missing",
    19: "annotations that are no list",
    20: "an image id twice",
    21: "an annotation id twice",
    22: "a category id or name twice",
    23: "annotation id 0",
    24: "an image_id that no image has",
    25: "a category_id that no category has",
    26: "a file name twice, or unlike only in case",
    27: "no annotations",
    28: "keypoints missing or null",
    29: "keypoints that are not three numbers each",
    30: "keypoints of another schema",
    31: "visibility 3, 1.5 or -1",
    32: "coordinates under visibility 0",
    33: "labelled keypoints outside the image",
    34: "num_keypoints that is not the count",
    35: "a box that is negative, empty, not four numbers, or outside the image",
    36: "area missing, 0 or negative",
    37: "iscrowd missing or 2",
    38: "a skeleton index out of range",
    39: "a keypoint name twice, or without its mirror image",
    40: "sigmas missing or wrong",
    41: "an outline that is no polygon and no mask",
    42: "an image size that is 0 or not the file's",
    43: "crowdIndex missing, negative or above 1",
    44: "detections for an unknown image",
    45: "a score missing, not a number, or a string",
    46: "more than 20 detections in an image",
    47: "tied scores",
    48: "no results",
    49: "truth and predictions swapped",
    50: "a head size missing or 0",
    51: "a file name that leaves the folder",
    52: "a symbolic link that leaves the folder",
    53: "an archive that reaches out of its folder",
    54: "an archive that explodes",
    55: "an image that explodes, or is of a format that may",
    56: "a damaged image",
    57: "an unusual image",
    58: "images missing",
    59: "a checkpoint that runs code",
    60: "a checkpoint that lies",
    61: "a full disk",
    62: "a folder that is missing or takes no files",
    63: "kill -9 or Ctrl-C in a write",
    64: "two processes that write one file",
    65: "an output that is the input",
    66: "names that the terminal cannot show",
    67: "a labelling or viewing service that fails",
    68: "label text that attacks whoever shows it",
}
_NUMBER = re.compile(r"(?:test_)?(\d+)[ _]")


def covered() -> dict[int, list[str]]:
    """Names of tests, and ids of their rows, by the number that they begin with."""
    found: dict[int, list[str]] = defaultdict(list)
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                names = [node.name]
            # A row of a table: a tuple that begins with "number what".
            elif isinstance(node, ast.Tuple) and node.elts:
                first = node.elts[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    names = [first.value]
            for name in names:
                match = _NUMBER.match(name)
                if match:
                    found[int(match[1])].append(f"{path.name}: {name}")
    return found


def test_every_row_has_a_test() -> None:
    found = covered()

    missing = {row: text for row, text in CATALOGUE.items() if row not in found}

    assert missing == {}


def test_no_test_names_a_row_that_does_not_exist() -> None:
    assert set(covered()) <= set(CATALOGUE)


def test_the_catalogue_has_68_rows() -> None:
    assert list(CATALOGUE) == list(range(1, 69))
