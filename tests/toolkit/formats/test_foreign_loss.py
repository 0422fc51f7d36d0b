"""What a foreign format declares lost is exactly what changes on the way there and back."""

from __future__ import annotations

import copy
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit.formats.adapter import foreign_loss
from toolkit.formats.compare import measured_loss
from toolkit.formats.cvat import CVAT
from toolkit.formats.foreign import Foreign
from toolkit.formats.labelstudio import LABELSTUDIO
from toolkit.formats.mat import MAT
from toolkit.formats.yolo import YOLO
from toolkit.schema import Schema

FOREIGN = (YOLO, CVAT, LABELSTUDIO, MAT)
SCHEMA = Schema.load("coco")

numbers = st.one_of(
    st.integers(-500, 5000),
    st.floats(-1e5, 1e5, allow_nan=False),
    st.decimals(-100, 2000, places=2).map(float),
)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")))
values = st.one_of(st.booleans(), st.integers(-9, 9), texts, st.none(), st.lists(numbers))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    categories = [
        {"id": draw(st.integers(0, 5)), "name": "person", "keypoints": ["a", "b", "c"]},
        {"id": 9, "name": draw(st.sampled_from(["ball", "goalie"]))},
    ][: draw(st.integers(1, 2))]
    if draw(st.booleans()):
        categories[0] |= {"skeleton": [[1, 2], [3, 2]], "supercategory": "x"}
    ids = draw(st.lists(st.integers(1, 50), max_size=3, unique=True))
    images = []
    for row, image_id in enumerate(ids):
        name = draw(st.sampled_from(["a", "é b", "sub/c", "人"])) + f"{row}.jpg"
        size = {"width": draw(st.integers(1, 4000)), "height": draw(st.integers(1, 4000))}
        extra = draw(st.dictionaries(st.sampled_from(["clip", "frame"]), values, max_size=2))
        images.append({"id": image_id, "file_name": name, **size, **extra})
    annotations = []
    for index in range(draw(st.integers(0, 5))):
        category = draw(st.sampled_from(categories))
        record: dict[str, Any] = {"id": draw(st.sampled_from([index + 1, 70 + index]))}
        record["image_id"] = draw(st.sampled_from([*ids, 99]))
        record["category_id"] = category["id"]
        if draw(st.integers(0, 4)):
            triple = st.tuples(numbers, numbers, st.sampled_from([0, 1, 2, 3]))
            points = [draw(triple) for _ in category.get("keypoints", ())]
            record["keypoints"] = [value for point in points for value in point]
        if draw(st.integers(0, 4)):
            record["bbox"] = [draw(numbers) for _ in range(4)]
        if draw(st.booleans()):
            record["head_box_xywh"] = [draw(numbers) for _ in range(4)]
        names = ["area", "iscrowd", "num_keypoints", "center", "scale", "mine"]
        record |= draw(st.dictionaries(st.sampled_from(names), values, max_size=3))
        if draw(st.booleans()):
            keys = st.sampled_from(["occluded", "keyframe", "who"])
            record["attributes"] = draw(st.dictionaries(keys, values))
        annotations.append(record)
    document = {"images": images, "annotations": annotations, "categories": categories}
    return document | draw(st.dictionaries(st.sampled_from(["info", "ours"]), values))


def there_and_back(foreign: Foreign, document: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "there"
        foreign.from_coco(document, path, SCHEMA)
        assert foreign.detect(path) or not document["images"]
        back, _ = foreign.to_coco(path, None)
    return json.loads(json.dumps(back, allow_nan=False))


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda f: f.name)
@given(document=documents())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_declared_loss_is_the_measured_loss(
    foreign: Foreign, document: dict[str, Any]
) -> None:
    untouched = copy.deepcopy(document)
    back = there_and_back(foreign, document)
    dropped = foreign.dropped(document, SCHEMA)

    assert foreign_loss(foreign, document, SCHEMA) == measured_loss(document, back, dropped)
    assert document == untouched


@given(document=documents())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_label_studio_loses_nothing_where_there_is_an_image(document: dict[str, Any]) -> None:
    if not document["images"]:
        return
    back = there_and_back(LABELSTUDIO, document)

    assert measured_loss(document, back) == Counter()
    assert json.dumps(back) == json.dumps(document)


@pytest.mark.parametrize("foreign", [YOLO, CVAT], ids=lambda f: f.name)
@given(data=st.data(), width=st.integers(1, 9000), height=st.integers(1, 9000))
@settings(max_examples=40, deadline=None)
def test_yolo_and_cvat_bring_every_coordinate_back(
    foreign: Foreign, data: st.DataObject, width: int, height: int
) -> None:
    points = [data.draw(numbers) for _ in range(6)]
    box = [data.draw(numbers) for _ in range(4)]
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "keypoints": [*points[:2], 2, *points[2:4], 1, *points[4:], 0],
                "num_keypoints": 2,
                "bbox": box,
                "iscrowd": 0,
            }
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": ["a", "b", "c"]}],
    }
    lost = foreign_loss(foreign, document, SCHEMA)
    # 60 digits hold every sum but that of numbers more than 60 orders of magnitude apart.
    tiny = [abs(v) for v in box + points if v != 0 and abs(v) < 1e-30]

    assert not lost or tiny


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda f: f.name)
def test_the_same_document_gives_the_same_bytes(
    foreign: Foreign, coco_document: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        foreign.from_coco(coco_document, tmp_path / name, SCHEMA)

    def content(name: str) -> list[bytes]:
        path = tmp_path / name
        files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
        return [file.read_bytes() for file in files]

    assert content("one") == content("two")


@pytest.mark.parametrize("foreign", [YOLO, CVAT, LABELSTUDIO], ids=lambda f: f.name)
def test_a_missing_size_is_an_error_that_names_the_image(
    foreign: Foreign, coco_document: dict[str, Any], tmp_path: Path
) -> None:
    from toolkit.errors import InvalidDataError

    del coco_document["images"][0]["width"]
    with pytest.raises(InvalidDataError, match=r"images\[0\] id=7 'seven.jpg' field 'width'"):
        foreign.from_coco(coco_document, tmp_path / "out", SCHEMA)


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda f: f.name)
def test_an_unknown_category_is_an_error_that_names_the_annotation(
    foreign: Foreign, coco_document: dict[str, Any], tmp_path: Path
) -> None:
    from toolkit.errors import InvalidDataError

    coco_document["annotations"][1]["category_id"] = 8
    if foreign is MAT:  # MPII has one category and does not look
        assert foreign_loss(foreign, coco_document, SCHEMA)["annotations.category_id"] == 1
        return
    with pytest.raises(InvalidDataError, match=r"annotations\[1\] id=2 field 'category_id'"):
        foreign.from_coco(coco_document, tmp_path / "out", SCHEMA)


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda f: f.name)
def test_real_files_lose_exactly_what_is_declared(foreign: Foreign, shared_data: Path) -> None:
    for name in (
        "cvat/person_keypoints_default.excerpt.json",
        "mmpose/coco/test_coco.json",
        "mmpose/crowdpose/test_crowdpose.json",
        "roboflow_ski/annotations_jump7.json",
        "roboflow_ski/annotations_normalized_jump7.coco.json",
    ):
        document = json.loads((shared_data / name).read_bytes())
        back = there_and_back(foreign, document)
        lost = measured_loss(document, back, foreign.dropped(document, SCHEMA))
        assert lost == foreign_loss(foreign, document, SCHEMA), name
        if foreign in (YOLO, CVAT):
            assert "annotations.keypoints" not in lost
            assert "annotations.bbox" not in lost
