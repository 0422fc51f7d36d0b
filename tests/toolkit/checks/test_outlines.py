"""No outline with a fault escapes the quick look, and plain ones need no second."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolkit.checks.outline_faults import _fault
from toolkit.checks.outlines import suspects
from toolkit.checks.rle import rle_fault, text_counts
from toolkit.formats.parse import Section

GOOD = st.one_of(
    st.integers(-999_999, 999_999), st.floats(-9e5, 9e5).map(lambda v: round(v, 2)), st.just(0)
)
ODD = st.one_of(
    st.sampled_from([1e9, -2_000_000, 1e-7, None, True, "12", 'a"[', {"a": [1]}, [], [[1]]]),
    GOOD,
)
PLAIN = st.lists(st.lists(GOOD, min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0))
ANY = st.one_of(
    PLAIN,
    st.lists(st.lists(ODD, max_size=9), max_size=3),
    st.lists(ODD, max_size=8),
    st.sampled_from([None, 5, "x", {}, {"size": [2, 2], "counts": [4]}, [[[]]], [[], []]]),
)
EXTRAS: list[tuple[str, Any]] = [
    ("keypoints", [1, 2, 2, 3, 4, 1]),
    ("note", 'says "segmentation": [[1]] and ]] [['),
    ("bbox", [1e-9, 2, 30000000, 4]),
    ("attributes", {"segmentation": [1], "deep": [[1], [[2]]]}),
    ("Epoch", "E"),
]
SPELLINGS = [
    (", ", ": "),
    (",", ":"),
    (" ,\n  ", " :\t"),
    (",      ", ":       "),
    (", ", "       :"),
]


def in_a_file(records: list[bytes]) -> tuple[bytes, Section]:
    """Records in a list, as a file has them, and where they lie."""
    data = b'{"annotations": [' + b", ".join(records) + b'], "images": []}'
    sizes = np.array([len(record) for record in records], np.int64)
    ends = len(b'{"annotations": [') + np.cumsum(sizes + 2) - 2
    return data, Section("annotations", 17, int(ends[-1]), ends - sizes, ends)


@st.composite
def record(draw: st.DrawFn, outlines: st.SearchStrategy[Any]) -> bytes:
    fields = [("segmentation", draw(outlines)), *draw(st.permutations(EXTRAS))]
    fields = draw(st.permutations(fields[: draw(st.integers(1, len(fields)))]))
    spelling = draw(st.sampled_from(SPELLINGS))
    return json.dumps(dict(fields), separators=spelling).encode()


@given(st.lists(record(ANY), min_size=1, max_size=6))
def test_no_fault_escapes(records: list[bytes]) -> None:
    data, section = in_a_file(records)

    named = set(suspects(data, section).tolist())

    assert {i for i, r in enumerate(records) if _fault(r, None) is not None} <= named


@pytest.mark.parametrize(
    "entry", ["null", "true", '"6"', "1e9", "1E9", "-12345678", "[6]", "[[6]]", '{"a": 6}']
)
def test_one_entry_among_good_ones_is_enough(entry: str) -> None:
    good = b'{"segmentation": [[1, 2, 3, 4, 5, 6]], "id": 1}'
    bad = f'{{"id": 2, "segmentation": [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, {entry}]]}}'

    assert suspects(*in_a_file([good, bad.encode(), good])).tolist() == [1]


@pytest.mark.parametrize(
    "outline",
    [
        # Up to the first two closing brackets in a row, brackets pair off as in plain lists.
        "[[1, 2, 3, 4, 5, [[1, 2, 3, 4, 5, 6]]]]",
        "[[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, [[1, 2, 3, 4, 5, 6]]]]",
        "[[[1, 2, 3, 4, 5, 6]]]",
        "[1, 2, 3, 4, 5, 6]",
    ],
)
def test_lists_of_another_depth_are_looked_at(outline: str) -> None:
    good = b'{"segmentation": [[1, 2, 3, 4, 5, 6]], "id": 1}'
    deep = f'{{"id": 2, "segmentation": {outline}}}'.encode()

    assert suspects(*in_a_file([good, deep, good])).tolist() == [1]


def test_an_outline_after_many_blanks_and_a_colon_is_looked_at() -> None:
    data, section = in_a_file([b'{"segmentation"        : [[1, 2]]}'])

    assert suspects(data, section).tolist() == [0]


def test_a_word_between_good_polygons_is_looked_at() -> None:
    good = b'{"segmentation": [[1, 2, 3, 4, 5, 6]], "id": 1}'
    word = b'{"segmentation": [[1, 2, 3, 4, 5, 6], null, [1, 2, 3, 4, 5, 6]], "id": 2}'

    assert suspects(*in_a_file([word, good])).tolist() == [0]


def test_many_decimals_are_no_large_number() -> None:
    exact = b'{"segmentation": [[1.12345678901, 2, -33.000000001, 4, 5, 0.1234567]], "id": 1}'
    large = b'{"segmentation": [[1234567.5, 2, 3, 4, 5, 6]], "id": 2}'

    assert suspects(*in_a_file([exact, large, exact])).tolist() == [1]


@given(st.lists(PLAIN, min_size=1, max_size=6))
def test_plain_outlines_are_not_looked_at_again(outlines: list[Any]) -> None:
    records = [
        json.dumps({"segmentation": o, "keypoints": [1, 2, 2]}).encode() for o in outlines
    ]

    assert suspects(*in_a_file(records)).tolist() == []


def test_many_records_are_looked_at_in_parts() -> None:
    plain = json.dumps({"segmentation": [[1, 2, 3, 4, 5, 6] * 100], "id": 5}).encode()
    wrong = json.dumps({"segmentation": [[1, 2, 3, 4]], "id": 5}).encode()

    records = [wrong if i % 199 == 0 else plain for i in range(400)]

    assert suspects(*in_a_file(records)).tolist() == [0, 199, 398]


def encoded(counts: list[int]) -> str:
    """COCO's text of lengths, number by number, as its reference implementation has it."""
    text = ""
    for index, value in enumerate(counts):
        rest = value - counts[index - 2] if index > 2 else value
        more = True
        while more:
            code = rest & 0x1F
            rest >>= 5
            more = rest != -1 if code & 0x10 else rest != 0
            text += chr(48 + (code | 0x20 if more else code))
    return text


@given(st.lists(st.integers(0, 10**9), max_size=20))
def test_the_text_of_lengths_is_decoded_as_it_was_encoded(counts: list[int]) -> None:
    assert text_counts(encoded(counts)) == counts


@given(st.text(max_size=20))
def test_any_text_is_lengths_or_an_error_and_never_a_crash(text: str) -> None:
    fault = rle_fault({"size": [3, 4], "counts": text}, None)

    assert fault is None or fault[0] in ("form", "size")


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        ({"size": [3, 4], "counts": [5, 7]}, None),
        (
            {"size": [3, 4], "counts": [5, 8]},
            "counts add up to 13 px; a mask of 4 x 3 px has 12",
        ),
        ({"size": [3, 4], "counts": [5, 1.5]}, "counts: entry 1 is 1.5; wanted whole numbers"),
        ({"size": [3, 0], "counts": []}, "size is [3, 0]; wanted [height, width] in px"),
        ({"size": [10**9, 10**9], "counts": []}, "wanted [height, width] in px"),
        ({"size": [3, 4], "counts": "P"}, "counts: it ends in the middle of a number"),
        ({"size": [3, 4], "counts": "o" * 20 + "0"}, "counts: a number in it is longer than"),
        ({"size": [4, 3], "counts": [12]}, "a mask of 3 x 4 px in an image of 4 x 3 px"),
    ],
)
def test_a_mask_s_fault_is_a_sentence(mask: dict[str, object], said: str | None) -> None:
    fault = rle_fault(mask, (4, 3))

    assert (fault is None) if said is None else (fault is not None and said in fault[1])
