"""Every rule by example: a sound file has no finding, a faulty one has this finding alone.

One table, `CASES`. What a fault implies besides itself is listed beside it; anything more
fails the test, and so does a rule of checking or reading without a case.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from toolkit import checks, formats
from toolkit.checks.base import PROFILES, Profile
from toolkit.checks.rulebook import explain
from toolkit.formats import RULES
from toolkit.report import Report
from toolkit.schema import Keypoint, Schema

Document = dict[str, Any]
Change = Callable[[Document], object]

# Somebody who stands and looks at the camera, in units of the box; left is the picture's right.
BODY = [
    *((0.5, 0.1), (0.55, 0.08), (0.45, 0.08), (0.6, 0.09), (0.4, 0.09), (0.7, 0.25)),
    *((0.3, 0.25), (0.8, 0.4), (0.2, 0.4), (0.85, 0.5), (0.15, 0.5), (0.62, 0.52)),
    *((0.38, 0.52), (0.62, 0.72), (0.38, 0.72), (0.62, 0.93), (0.38, 0.93)),
]
STICK = [(0.3, 0.2), (1.3, 1.0), (1.55, 1.02)]  # butt end, heel, toe
POLE_SCHEMA = Schema(
    name="pole",
    title="A pole with a middle point",
    keypoints=(
        Keypoint("head", region="box"),
        Keypoint("left_wrist"),
        Keypoint("right_wrist"),
        Keypoint("grip", group="extension"),
        Keypoint("middle", group="extension"),
        Keypoint("tip", group="extension"),
    ),
    edges=(("grip", "middle"), ("middle", "tip")),
)
POLE = [(0.5, 0.1), (0.6, 0.5), (0.4, 0.5), (0.6, 0.3), (0.75, 0.65), (0.9, 1.0)]
POSES = {"coco": BODY, "hockey": BODY + STICK, "pole": POLE}
# Left, top, width, height of the boxes, and the image of each; all boxes are apart.
PEOPLE = [((40, 50, 100, 200), 7), ((300, 60, 120, 220), 7), ((90, 40, 130, 260), 8)]


def sound(name: str) -> Document:
    """A file without any fault, under any profile."""
    schema = POLE_SCHEMA if name == "pole" else Schema.load(name)
    return {
        "info": {"description": "tiny", "ours": {"a": 1}},
        "licenses": [{"id": 1, "name": "a licence"}],
        "images": [
            {
                "id": i,
                "file_name": f"{i}.jpg",
                "width": 640,
                "height": 480,
                "clip": "a",
                "frame": i,
                "license": 1,
                "split": "train",
                "crowdIndex": 0.5,
            }
            for i in (7, 8)
        ],
        "annotations": [
            someone(POSES[name], index + 1, box, image)
            for index, (box, image) in enumerate(PEOPLE)
        ],
        "categories": [schema.coco_category()],
    }


def someone(pose: list[tuple[float, float]], number: int, box: Any, image: int) -> Document:
    x, y, w, h = box
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": list(box),
        "keypoints": [v for a, b in pose for v in (x + a * w, y + b * h, 2)],
        "num_keypoints": len(pose),
        "area": 0.4 * w * h,
        "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
        "head_box_xywh": [x + 0.35 * w, y, 0.3 * w, 0.18 * h],
    }


def person(**fields: object) -> Change:
    """Change the first person; `...` removes a field."""
    return lambda d: set_fields(d["annotations"][0], fields)


def image(**fields: object) -> Change:
    return lambda d: set_fields(d["images"][0], fields)


def category(**fields: object) -> Change:
    return lambda d: set_fields(d["categories"][0], fields)


def set_fields(record: Document, fields: Document) -> None:
    for key, value in fields.items():
        if value is ...:
            del record[key]
        else:
            record[key] = value


def place(*points: tuple[int, float, float], who: int = 0) -> Change:
    """Move keypoints of a person to places in units of the person's box."""

    def change(document: Document) -> None:
        record = document["annotations"][who]
        x, y, w, h = record["bbox"]
        for keypoint, a, b in points:
            record["keypoints"][3 * keypoint : 3 * keypoint + 2] = [x + a * w, y + b * h]

    return change


def put(keypoint: int, x: float, y: float, flag: int = 2, **fields: object) -> Change:
    """Give a keypoint of the first person px and a flag."""

    def change(document: Document) -> None:
        record = document["annotations"][0]
        record["keypoints"][3 * keypoint : 3 * keypoint + 3] = [x, y, flag]
        record.update(fields)

    return change


def exchange(*pairs: tuple[int, int]) -> Change:
    """Exchange the labels of keypoints of the first person."""

    def change(document: Document) -> None:
        points = document["annotations"][0]["keypoints"]
        for a, b in pairs:
            one, two = points[3 * a : 3 * a + 3], points[3 * b : 3 * b + 3]
            points[3 * a : 3 * a + 3], points[3 * b : 3 * b + 3] = two, one

    return change


def unlabel(*keypoints: int, everywhere: bool = False) -> Change:
    def change(document: Document) -> None:
        for record in document["annotations"] if everywhere else document["annotations"][:1]:
            for k in keypoints:
                record["keypoints"][3 * k : 3 * k + 3] = [0, 0, 0]
            record["num_keypoints"] -= len(keypoints)

    return change


def another(section: str, base: int = 0, **fields: object) -> Change:
    """Add a copy of a record with other fields."""
    return lambda d: d[section].append(json.loads(json.dumps(d[section][base])) | fields)


def outline(value: object) -> Change:
    return person(segmentation=value)


def spelled(field: str, token: str) -> Change:
    """Write a field of the first person as a token that Python would not write."""

    def change(document: Document) -> str:
        document["annotations"][0][field] = 987654
        return json.dumps(document).replace("987654", token, 1)

    return change


def text(change: Callable[[str], str]) -> Change:
    return lambda d: change(json.dumps(d))


def card(front: str) -> Change:
    """Put a card beside the file; the runner takes it from the document again."""
    return lambda d: d.update(card=f"---\n{front}\n---\nProse.\n")


def inclusive(document: Document) -> None:
    """Sticks far from three bodies, one of whose boxes holds the stick."""
    for record in document["annotations"]:
        x, y, w, h = record["bbox"]
        for keypoint, a in ((17, 0.9), (18, 2.4), (19, 2.6)):
            record["keypoints"][3 * keypoint : 3 * keypoint + 2] = [x + a * w, y + 0.5 * h]
    first = document["annotations"][0]
    first["bbox"][2] *= 2.7


def other_category(document: Document) -> None:
    document["categories"].append({"id": 2, "name": "ball"})
    document["annotations"][2]["category_id"] = 2


def many_of_one_category(document: Document) -> None:
    """A second category of the same keypoints with one instance for 63 of the first."""
    another("categories", id=2, name="goalkeeper")(document)
    for index in range(61):
        record = someone(BODY, 10 + index, (5, 5, 61 + index, 122 + index), 7)
        document["annotations"].append(record | {"image_id": 100 + index})
        document["images"].append(document["images"][0] | {"id": 100 + index})
        document["images"][-1] |= {"file_name": f"{index}.png", "frame": 20 + index}
    document["annotations"][2]["category_id"] = 2


@dataclass(frozen=True)
class Case:
    """A fault: what it is called, how to make it, and what it implies besides itself.

    `near` is a near miss: a change after which there is still no finding.
    """

    code: str
    faulty: Change
    implied: Sequence[str] = ()
    base: str = "coco"
    profile: Profile = "coco"
    near: Change | None = None


def rename(document: Document, keypoint: int, name: str) -> None:
    document["categories"][0]["keypoints"][keypoint] = name


def move_box(x: float) -> Change:
    """Move the first person, with the box, to the left edge of the image."""

    def change(document: Document) -> None:
        box = (x, 50, 100, 200)
        document["annotations"][0] = someone(BODY, 1, box, 7) | {"segmentation": []}

    return change


def stick_of(who: int, shift: float) -> Change:
    """Give the first person a stick beside another one."""

    def change(document: Document) -> None:
        x, y, w, h = document["annotations"][who]["bbox"]
        stick = [(x + (a + shift) * w, y + b * h) for a, b in STICK]
        first = document["annotations"][0]["keypoints"]
        first[51:] = [value for a, b in stick for value in (a, b, 2)]

    return change


def share_stick(document: Document) -> None:
    """Both people of the first image hold one long stick between them."""
    stick = [140, 180, 2, 300, 190, 2, 320, 192, 2]
    for record in document["annotations"][:2]:
        record["keypoints"][51:] = stick


def corners(document: Document) -> None:
    """A box of two corners that leaves the image when read as a size."""
    box = (400, 200, 150, 250)
    document["annotations"][0] = someone(BODY, 1, box, 7) | {"bbox": [400, 200, 550, 450]}


def copied(document: Document) -> None:
    """The person of the second image has the keypoints of the first person of the first."""
    document["annotations"][2]["keypoints"] = list(document["annotations"][0]["keypoints"])


BOX, IMAGE = "keypoint-outside-box", "keypoint-outside-image"
MASK = {"size": [480, 640], "counts": [100, 20, 480 * 640 - 120]}
READING = [
    Case("json-bom", text(lambda s: "\ufeff" + s)),
    Case("json-duplicate-key", text(lambda s: s.replace('{"a": 1}', '{"a": 1, "a": 2}'))),
    Case("json-number-overflow", spelled("mine", '{"deep": [1, -2E+400]}')),
    Case("json-string", person(mine="a\0b")),
    Case("section-missing", lambda d: d.pop("annotations")),
    Case("section-type", lambda d: d.update(annotations={"id": 1})),
    Case("record-type", lambda d: d["annotations"].insert(0, 5)),
    Case("id-missing", person(image_id=...)),
    Case("id-type", person(image_id="7")),
    Case("id-range", person(id=2**70)),
    Case("file-name-missing", image(file_name=3)),
    Case("image-size-type", image(width="wide")),
    Case("image-field-type", image(frame=1.5)),
    Case("category-type", category(name=3)),
    Case("category-other", other_category, ["image-unused"]),
    Case("category-without-keypoints", category(keypoints=[], skeleton=[])),
    Case("category-schema", category(keypoints=["a"] * 6), ["keypoint-name-duplicate"], "pole"),
    Case("keypoint-name-duplicate", lambda d: rename(d, 0, "left_eye")),
    Case("skeleton-index", lambda d: d["categories"][0]["skeleton"].append([0, 1])),
    Case("keypoints-missing", person(keypoints=None)),
    Case("keypoints-type", person(keypoints=[None] * 51)),
    Case("keypoints-length", person(keypoints=[0] * 60)),
    Case("visibility-value", put(0, 90, 70, -1)),
    Case("visibility-beyond", put(0, 90, 70, 3), profile="extension"),
    Case("bbox-shape", person(bbox=[1, 2, 3])),
    Case("area-type", person(area=None)),
    Case("iscrowd-missing", person(iscrowd=...)),
    Case("iscrowd-value", person(iscrowd=2)),
    Case("num-keypoints-type", person(num_keypoints=1.5)),
    Case("head-box-shape", person(head_box_xywh=[1])),
]
STRUCTURE = [
    Case("annotations-empty", lambda d: d["annotations"].clear()),
    Case(
        "image-id-duplicate",
        lambda d: d["images"][1].update(id=7),
        ["annotation-image-unknown", "image-unused"],
    ),
    Case("annotation-id-duplicate", lambda d: d["annotations"][1].update(id=1)),
    Case("annotation-id-zero", person(id=0)),
    Case("category-id-duplicate", another("categories", name="other")),
    Case("category-name-duplicate", another("categories", id=2), ["category-unused"]),
    Case("keypoint-pair-missing", lambda d: rename(d, 16, "other_ankle")),
    Case("skeleton-edge", lambda d: d["categories"][0]["skeleton"].append([6, 6])),
    Case("skeleton-edge", lambda d: d["categories"][0]["skeleton"].extend([[1, 17], [17, 1]])),
    Case("category-sigmas", category(sigmas=[0.1] * 16), near=category(sigmas=[0.1] * 17)),
    Case("category-sigmas", category(keypoint_sigmas=[0.1] * 16 + [0])),
    Case(
        "category-flip",
        category(flip_pairs=[[1, 2], [2, 3]]),
        near=category(flip_pairs=[[1, 2], [3, 4]]),
    ),
    Case("category-flip", category(flip_pairs=[["left_eye", "left_thumb"]])),
    Case(
        "category-flip",
        category(flip_index=[1, 2, 0, *range(3, 17)]),
        near=category(flip_index=[0, 2, 1, *range(3, 17)]),
    ),
    Case("annotation-image-unknown", person(image_id=99)),
    Case("annotation-category-unknown", person(category_id=9)),
    Case("file-name-duplicate", image(file_name="8.JPG")),
    Case("file-name-unsafe", image(file_name="../../etc/passwd")),
]
POINTS = [
    Case("num-keypoints-missing", person(num_keypoints=...)),
    Case("num-keypoints-mismatch", person(num_keypoints=5)),
    Case("num-keypoints-zero", person(num_keypoints=0)),
    Case("visibility-zero-coordinates", put(0, 50, 60, 0, num_keypoints=16)),
    Case("instance-unlabelled", person(keypoints=[0] * 51, num_keypoints=0)),
    Case("crowd-labelled", person(iscrowd=1)),
    Case(IMAGE, move_box(-20), ["bbox-beyond-image"], near=move_box(-15)),
    Case(BOX, put(10, 39.5, 150), near=put(10, 40, 150)),
    Case("keypoint-region", place((0, 1.6, 0.1)), [BOX], "pole", near=place((0, 1.4, 0.1))),
    Case(
        "keypoint-far", place((10, 3.2, 0.5)), [BOX, "limb-length"], near=place((10, 0.0, 0.5))
    ),
    Case("keypoint-duplicate", place((9, 0.62, 0.52)), near=place((9, 0.62, 0.53))),
    Case("keypoint-at-origin", put(4, 0, 0), [BOX]),
    Case(
        "limb-length",
        place((15, 3.0, 1.0), (13, 2.9, 0.1)),
        [BOX],
        near=place((15, 0.95, 0.99)),
    ),
    Case("sides-crossed", exchange((11, 12))),
    Case("sides-crossed", exchange((5, 6))),
    Case("sides-swapped", exchange(*((k, k + 1) for k in range(1, 17, 2)))),
    Case("sides-swapped", exchange(*((k, k + 1) for k in range(5, 17, 2)))),
]
STICKS = [
    Case("stick-order", exchange((17, 18)), base="hockey", near=place((18, 1.2, 0.95))),
    Case("stick-order", exchange((18, 19)), base="hockey"),
    Case("stick-length", place((18, 5.5, 1.6), (19, 5.8, 1.9)), base="hockey"),
    Case("stick-bent", place((4, 0.5, 0.65)), base="pole", near=place((4, 0.78, 0.65))),
    Case("stick-incomplete", unlabel(19), base="hockey", near=unlabel(17, 18, 19)),
    Case("stick-out-of-reach", stick_of(1, 0.6), base="hockey"),
    Case("stick-shared", share_stick, base="hockey"),
]
BOXES = [
    Case("bbox-missing", person(bbox=...)),
    Case("bbox-size", person(bbox=[40, 50, -100, 200]), [BOX]),
    Case(
        "bbox-outside-image",
        person(bbox=[700, 50, 100, 200]),
        [BOX, "keypoint-far", "bbox-elsewhere"],
    ),
    Case("bbox-beyond-image", person(bbox=[-10, 50, 150, 200])),
    Case("bbox-swapped", person(bbox=[40, 50, 200, 100]), [BOX]),
    Case("bbox-corners", corners, ["bbox-beyond-image"]),
    Case("bbox-elsewhere", person(bbox=[150, 50, 100, 200]), [BOX]),
    Case("bbox-convention", inclusive, base="hockey"),
    Case("head-box-size", person(head_box_xywh=[75, 50, 0, 36])),
    Case("area-missing", person(area=...)),
    Case("area-value", person(area=0)),
    Case("area-above-bbox", person(area=20_500), near=person(area=20_000)),
    Case("image-size", image(width=0)),
    Case("crowd-index-missing", image(crowdIndex=...), profile="crowdpose"),
    Case("crowd-index-value", image(crowdIndex=-0.1), profile="crowdpose"),
    Case("crowd-index-above-one", image(crowdIndex=3.02), profile="crowdpose"),
]
SEGMENTATION = [
    Case("segmentation-type", outline(None), near=outline([])),
    Case("segmentation-type", outline([["1", 2, 3, 4, 5, 6]])),
    Case("segmentation-type", outline([1, 2, 3, 4, 5, 6])),
    Case("segmentation-type", outline([[1, 2, 3, 4, [5], 6]])),
    Case("segmentation-points", outline([[1, 2, 3, 4]]), near=outline([[1, 2, 3, 4, 5, 6]])),
    Case("segmentation-points", outline([[1, 2, 3, 4, 5, 6], []])),
    Case("segmentation-length", outline([[1, 2, 3, 4, 5, 6, 7]])),
    Case("segmentation-length", outline([list(range(257))]), near=outline([list(range(258))])),
    Case(
        "segmentation-coordinate",
        outline([[1, 2, 3, 1e9, 5, 6]]),
        near=outline([[1, 2, 3, 4.123456789, 0.00001, 999999.5]]),
    ),
    Case("segmentation-coordinate", spelled("segmentation", "[[1, 2, 3, 1E9, 5, -6]]")),
    Case("segmentation-rle", outline(MASK | {"counts": [100, -20]}), near=outline(MASK)),
    Case("segmentation-rle", outline(MASK | {"counts": "52~"})),
    Case("segmentation-rle", outline(MASK | {"counts": "52P"})),
    Case("segmentation-rle", outline({"size": [480], "counts": "52"})),
    Case("segmentation-rle", outline({"size": [480, 640]})),
    Case(
        "segmentation-rle-size",
        outline(MASK | {"counts": [100, 20]}),
        near=outline(MASK | {"counts": "T3d0PoT9FnmQG"}),
    ),
    Case("segmentation-rle-size", outline({"size": [640, 480], "counts": [480 * 640]})),
]
SETS = [
    Case("instance-duplicate", another("annotations", id=9)),
    Case("instance-copied", copied, [BOX]),
    Case("clip-split", image(split="test"), near=image(split="test", clip="b")),
    Case("clip-missing", image(clip=...)),
    Case("clip-size", image(width=1280)),
    Case("frame-duplicate", image(frame=8)),
    Case("frame-missing", image(frame=...)),
    Case("category-unused", another("categories", id=2, name="goalkeeper")),
    Case("category-rare", many_of_one_category),
    Case("keypoint-never-labelled", unlabel(0, everywhere=True)),
    Case("image-unused", another("images", id=9, file_name="9.jpg", frame=9)),
    Case("licence-missing", lambda d: d.pop("licenses")),
    Case("licence-unknown", image(license=4)),
    Case("licence-id-duplicate", another("licenses", name="other")),
    Case("card-invalid", card("name: x"), near=card("licence: mine")),
    Case(
        "card-counts",
        card("licence: mine\ncounts: {images: 2, instances: 4}"),
        near=card("licence: mine\ncounts: {images: 2, instances: 3, clips: 1}"),
    ),
]
CASES = [*READING, *STRUCTURE, *POINTS, *STICKS, *BOXES, *SEGMENTATION, *SETS]
# Rules that COCO files cannot break: `test_rules_of_other_files` has their cases.
OTHER_FILES = ("score", "keypoint-scores", "sigmas", "results", "foreign")


def build(tmp_path: Path, case: Case, change: Change | None) -> Report:
    """Write a file, read it as the command line does, and validate it."""
    document = sound(case.base)
    changed = change(document) if change is not None else None
    if front := document.pop("card", None):
        (tmp_path / "card.md").write_text(front, encoding="utf-8")
    path = tmp_path / "annotations.json"
    path.write_text(changed if isinstance(changed, str) else json.dumps(document), "utf-8")
    scan = formats.scan(path, POLE_SCHEMA if case.base == "pole" else None)
    return checks.validate(scan.dataset, findings=scan.findings, profile=case.profile)


def rules(report: Report) -> set[str]:
    return {finding.rule for finding in report.findings}


def ids(cases: Sequence[Case]) -> list[str]:
    return [f"{case.code}-{index}" for index, case in enumerate(cases)]


def test_every_rule_of_a_data_set_has_a_case() -> None:
    reading = {rule.code for rule in RULES if not rule.code.startswith(OTHER_FILES)}
    checking = {check.code for check in checks.CHECKS}

    assert {case.code for case in CASES} == reading | checking


@pytest.mark.parametrize("base", POSES)
@pytest.mark.parametrize("profile", PROFILES)
def test_a_sound_file_has_no_finding(tmp_path: Path, base: str, profile: Profile) -> None:
    report = build(tmp_path, Case("", print, base=base, profile=profile), None)

    assert rules(report) <= ({BOX} if base == "hockey" else set())


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_a_fault_is_found_with_what_it_implies_and_nothing_else(
    tmp_path: Path, case: Case
) -> None:
    always = {BOX} if case.base == "hockey" else set()  # sticks reach out of the box
    assert rules(build(tmp_path, case, case.faulty)) == {case.code, *case.implied} | always


@pytest.mark.parametrize("case", NEAR := [c for c in CASES if c.near], ids=ids(NEAR))
def test_a_near_miss_is_no_fault(tmp_path: Path, case: Case) -> None:
    assert case.code not in rules(build(tmp_path, case, case.near))


@pytest.mark.parametrize("case", CASES, ids=ids(CASES))
def test_a_fault_has_the_severity_of_its_profile(tmp_path: Path, case: Case) -> None:
    for profile in PROFILES:
        report = build(tmp_path, replace(case, profile=profile), case.faulty)
        expected = explain(case.code).severity[profile]

        found = {f.severity for f in report.findings if f.rule == case.code}
        assert found == (set() if expected is None else {expected})
