"""What is read and not changed is written again as it was, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.formats import (
    read,
    read_predictions,
    scan,
    scan_predictions,
    write,
    write_predictions,
)
from toolkit.formats.results import detect_results

Document = dict[str, Any]
MANY = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def exact(path: Path) -> object:
    """A document with key order, number spelling and repeated keys kept."""
    return json.loads(
        path.read_text("utf-8-sig"),
        object_pairs_hook=lambda pairs: ("object", pairs),
        parse_int=lambda digits: ("integer", digits),
        parse_float=lambda digits: ("decimal", digits),
    )


def test_every_real_annotation_file_survives(shared_data: Path, tmp_path: Path) -> None:
    paths = [p for p in sorted(shared_data.rglob("*.json")) if "labelstudio" not in p.parts]
    truths = [p for p in paths if not detect_results(p)]
    target = tmp_path / "again.json"

    for path in truths:
        write(read(path), target, force=True)

        assert exact(target) == exact(path), path.name
        assert target.read_bytes() == path.read_bytes(), path.name
    assert len(truths) >= 18


def test_every_real_results_file_survives(shared_data: Path, tmp_path: Path) -> None:
    paths = [p for p in sorted(shared_data.rglob("*.json")) if detect_results(p)]
    results = [p for p in paths if "mpii" not in p.parts and "labelstudio" not in p.parts]
    target = tmp_path / "again.json"

    for path in results:
        write_predictions(read_predictions(path, None, boxes=True), target, force=True)

        assert exact(target) == exact(path), path.name
        assert target.read_bytes() == path.read_bytes(), path.name
    assert len(results) == 4


def test_crowdpose_val_has_the_published_counts(shared_data: Path) -> None:
    dataset = read(shared_data / "crowdpose" / "crowdpose_val.json")

    assert dataset.schema.name == "crowdpose"
    assert (len(dataset.images), len(dataset.annotations)) == (2000, 8527)
    flags = dataset.annotations.visibility
    assert [(flags == value).sum() for value in (0, 1, 2)] == [40747, 51590, 27041]
    assert dataset.annotations.is_crowd.sum() == 106
    assert dataset.images.crowd_index.max() == pytest.approx(3.02)


def test_the_ski_category_with_keypoints_is_found_behind_one_without(
    shared_data: Path,
) -> None:
    dataset = read(shared_data / "roboflow_ski" / "annotations_jump5.json")

    assert dataset.schema.num_keypoints == 23
    assert dataset.schema.names[:3] == ("1", "6", "3")
    assert len(dataset.annotations) == 69


# --- generated documents -------------------------------------------------------------------

WORDS = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=6
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-999, 999).map(lambda n: n / 100),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)
    ),
    max_leaves=6,
)
EXTRA = st.dictionaries(WORDS.map(lambda word: f"x{word}"), VALUES, max_size=3)
COORDINATES = st.one_of(
    st.integers(-50, 2000), st.floats(-50, 2000), st.sampled_from([0, 0.0, 1e-7, 12.50])
)
SPACING = st.sampled_from([(None, (",", ":")), (None, (", ", ": ")), (2, (",", ": "))])


@st.composite
def shuffled(draw: st.DrawFn, fixed: Document) -> Document:
    """A record with unknown keys among its own, in any order."""
    items = list((draw(EXTRA) | fixed).items())
    return dict(draw(st.permutations(items)))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    names = ["a", "b", "c"][: draw(st.integers(1, 3))]
    images = [
        draw(shuffled({"id": n, "file_name": f"{n}.jpg", "width": 640, "height": 480}))
        for n in range(1, draw(st.integers(1, 3)) + 1)
    ]
    people = []
    for number in range(draw(st.integers(0, 4))):
        triples = [
            [draw(COORDINATES), draw(COORDINATES), draw(st.integers(0, 2))] for _ in names
        ]
        person = {
            "id": draw(st.sampled_from([number + 1, number + 2**40])),
            "image_id": draw(st.integers(1, len(images))),
            "category_id": 1,
            "keypoints": [value for triple in triples for value in triple],
            "bbox": [draw(COORDINATES) for _ in range(4)],
            "area": draw(COORDINATES),
            "num_keypoints": draw(st.integers(0, 3)),
            "iscrowd": draw(st.integers(0, 1)),
        }
        people.append(draw(shuffled(person)))
    category = draw(shuffled({"id": 1, "name": "walker", "keypoints": names}))
    sections = {"images": images, "annotations": people, "categories": [category]}
    return draw(shuffled(sections))


@MANY
@given(document=documents(), spacing=SPACING, ascii_only=st.booleans())
def test_a_generated_document_survives(
    tmp_path: Path, document: Document, spacing: Any, ascii_only: bool
) -> None:
    indent, separators = spacing
    path, target = tmp_path / "file.json", tmp_path / "again.json"
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=ascii_only)
    path.write_text(text, encoding="utf-8")

    found = scan(path)
    write(found.dataset, target, force=True)

    assert [f for f in found.findings if f.severity.value == "error"] == []
    assert len(found.dataset.annotations) == len(document["annotations"])
    assert target.read_bytes() == path.read_bytes()


@MANY
@given(document=documents(), spacing=SPACING, data=st.data())
def test_a_generated_document_loses_only_the_records_that_were_dropped(
    tmp_path: Path, document: Document, spacing: Any, data: st.DataObject
) -> None:
    indent, separators = spacing
    path, target = tmp_path / "file.json", tmp_path / "again.json"
    path.write_text(json.dumps(document, indent=indent, separators=separators), "utf-8")
    people = document["annotations"]
    kept = data.draw(st.lists(st.booleans(), min_size=len(people), max_size=len(people)))
    import numpy as np

    dataset = read(path)
    write(dataset.subset(np.array(kept, dtype=bool)), target, force=True)

    wanted = document | {
        "annotations": [p for p, keep in zip(people, kept, strict=True) if keep]
    }
    path.write_text(json.dumps(wanted), "utf-8")
    assert exact(target) == exact(path)


@st.composite
def results(draw: st.DrawFn) -> list[Document]:
    found = []
    for _ in range(draw(st.integers(1, 4))):
        record: Document = {
            "image_id": draw(st.integers(1, 2**40)),
            "category_id": 1,
            "keypoints": [draw(COORDINATES) for _ in range(9)],
            "score": draw(st.floats(0, 1)),
        }
        if draw(st.booleans()):
            record["bbox"] = [draw(COORDINATES) for _ in range(4)]
        if draw(st.booleans()):
            record["keypoint_scores"] = [draw(st.floats(0, 1)) for _ in range(3)]
        if draw(st.booleans()):
            record["sigmas"] = [draw(st.floats(0.1, 9)) for _ in range(6)]
        if draw(st.booleans()):
            record["annotation_id"] = draw(st.integers(1, 99))
        found.append(draw(shuffled(record)))
    return found


@MANY
@given(found=results(), spacing=SPACING)
def test_generated_results_survive(tmp_path: Path, found: list[Document], spacing: Any) -> None:
    indent, separators = spacing
    path, target = tmp_path / "file.json", tmp_path / "again.json"
    path.write_text(json.dumps(found, indent=indent, separators=separators), "utf-8")

    predictions, findings = scan_predictions(path, None)
    write_predictions(predictions, target, force=True)

    assert findings == []
    assert len(predictions) == len(found)
    assert target.read_bytes() == path.read_bytes()


def test_a_byte_order_mark_is_kept(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    path = save(b"\xef\xbb\xbf" + json.dumps(document).encode())

    found = scan(path)
    write(found.dataset, tmp_path / "again.json")

    assert [f.rule for f in found.findings] == ["json-bom"]
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
