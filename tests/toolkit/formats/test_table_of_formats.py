"""Every format declares exactly what going there and back changes."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.formats import FORMATS
from toolkit.formats.adapter import document_bytes
from toolkit.formats.convert import convert
from toolkit.formats.roundtrip import roundtrip

Document = dict[str, Any]
NAMES = tuple(item.name for item in FORMATS)
FOREIGN = tuple(item.name for item in FORMATS if not item.is_json and item.name != "results")

_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
_word = st.text("abcxyz", min_size=1, max_size=5)
_number = st.integers(-3, 120) | st.floats(-50, 500, allow_nan=False).map(lambda x: round(x, 3))
_json = st.recursive(
    st.none() | st.booleans() | _number | _text,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_word, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def _person(draw: st.DrawFn, images: list[int], categories: list[int], width: int) -> Document:
    flags = draw(st.lists(st.sampled_from([0, 1, 2]), min_size=width, max_size=width))
    points = [v for flag in flags for v in (draw(_number), draw(_number), flag)]
    person: Document = {
        "image_id": draw(st.sampled_from(images)),
        "category_id": draw(st.sampled_from(categories)),
        "keypoints": points,
        "iscrowd": draw(st.sampled_from([0, 0, 0, 1])),
    }
    if draw(st.booleans()):
        person["num_keypoints"] = draw(st.sampled_from([0, sum(f > 0 for f in flags)]))
    if draw(st.booleans()):
        size = st.floats(1, 90).map(lambda x: round(x, 2))
        person["bbox"] = [draw(_number), draw(_number), draw(size), draw(size)]
    if draw(st.booleans()):
        person["area"] = draw(st.floats(0, 900).map(lambda x: round(x, 2)))
    if draw(st.booleans()):
        person["mine"] = draw(_json)
    return person


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Sound COCO documents with and without all that formats may lose."""
    width = draw(st.integers(1, 3))
    keypoints = draw(st.lists(_word, min_size=width, max_size=width, unique=True))
    image_ids = draw(st.lists(st.integers(0, 30), min_size=1, max_size=3, unique=True))
    names = draw(st.lists(_word, min_size=len(image_ids), max_size=len(image_ids), unique=True))
    images = []
    for image_id, name in zip(image_ids, names, strict=True):
        image: Document = {"id": image_id, "file_name": f"{name}.jpg"}
        image |= {"width": draw(st.integers(1, 200)), "height": draw(st.integers(1, 200))}
        if draw(st.booleans()):
            image |= {"clip": draw(_word), "frame": draw(st.integers(0, 9))}
        if draw(st.booleans()):
            image["colour"] = draw(_json)
        images.append(image)
    labels = draw(st.lists(_word, min_size=1, max_size=2, unique=True))
    categories = [
        {"id": row + draw(st.sampled_from([1, 4])), "name": name, "keypoints": keypoints}
        for row, name in enumerate(labels)
    ]
    for row, category in enumerate(categories):
        category["id"] += row  # ids differ
        if draw(st.booleans()):
            category["skeleton"] = [[1, width]]
    ids = [category["id"] for category in categories]
    people = draw(st.lists(_person(image_ids, ids, width), max_size=4))
    numbers = draw(st.permutations(range(1, len(people) + 1)))
    annotations = [{"id": n} | p for n, p in zip(numbers, people, strict=True)]
    document: Document = {"images": images, "annotations": annotations}
    document["categories"] = categories
    if draw(st.booleans()):
        document["info"] = draw(_json)
    return document


@pytest.mark.parametrize("via", NAMES)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
@given(document=documents())
def test_a_format_loses_exactly_what_it_declares(via: str, document: Document) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.json"
        path.write_bytes(document_bytes(document))

        trip = roundtrip(path, via)

        assert dict(trip.measured) == dict(trip.declared)


@pytest.mark.parametrize("via", FOREIGN)
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
@given(document=documents())
def test_with_a_sidecar_the_original_comes_back_byte_for_byte(
    via: str, document: Document
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, there = Path(folder) / "file.json", Path(folder) / "there"
        again = Path(folder) / "again.json"
        path.write_bytes(b" " + orjson.dumps(document, option=orjson.OPT_INDENT_2))

        convert(path, there, target_format=via, sidecar=True, strict=True)
        convert(there, again, target_format="coco")

        assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("via", ["parquet", "labelstudio"])
def test_some_formats_lose_nothing_of_anything(via: str, document: Document, save: Any) -> None:
    assert roundtrip(save(document), via).names == []
