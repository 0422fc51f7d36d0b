"""The report page: complete, self-contained, and deaf to what labels say."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit import checks, formats
from toolkit.checks.html import report_page
from toolkit.checks.pictures import OFFENDING, worst_pictures
from toolkit.dataset import Dataset
from toolkit.images import load_image
from toolkit.ink import encode_png
from toolkit.report import Report

Document = dict[str, Any]
HOSTILE = ("<script>alert(1)</script>.jpg", '"/><img src=x onerror=alert(1)>', "a\u202egpj.jpg")


class Elements(HTMLParser):
    """Tags with their attributes, and the text, as a browser reads them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def validated(document: Document, path: Path) -> tuple[Report, Dataset]:
    path.write_text(json.dumps(document))
    scan = formats.scan(path)
    return checks.validate(scan.dataset, findings=scan.findings), scan.dataset


def page_of(document: Document, tmp_path: Path, **options: Any) -> str:
    report, dataset = validated(document, tmp_path / "a.json")
    return report_page(report, dataset, name=options.pop("name", "a.json"), **options)


def write_picture(folder: Path, name: str = "seven.jpg") -> Path:
    folder.mkdir(exist_ok=True)
    grey = np.full((80, 100, 3), 128, np.uint8)
    (folder / name).write_bytes(encode_png(grey))
    return folder


def broken(document: Document) -> Document:
    document["annotations"][0]["area"] = 0
    document["annotations"][1]["keypoints"][2] = 5
    return document


def test_the_page_says_verdict_totals_rules_and_examples(
    coco_document: Document, tmp_path: Path
) -> None:
    seen = Elements(page_of(broken(coco_document), tmp_path)).text

    for words in ("Not valid", "errors", "area-value", "An area is a finite number", "id=1"):
        assert words in seen
    assert "The worst" not in seen  # no images were named


def test_a_sound_file_has_a_page_too(coco_document: Document, tmp_path: Path) -> None:
    coco_document["annotations"] = coco_document["annotations"][:1]

    seen = Elements(page_of(coco_document, tmp_path)).text

    assert "Valid under profile coco" in seen


def test_few_examples_are_shown_and_the_others_counted(
    coco_document: Document, tmp_path: Path
) -> None:
    first = coco_document["annotations"][0] | {"area": 0}
    coco_document["annotations"] = [first | {"id": i + 1} for i in range(1200)]

    page = page_of(coco_document, tmp_path)

    assert "1,195 more" in page
    assert len(page) < 60_000


def test_nothing_is_asked_of_the_network(coco_document: Document, tmp_path: Path) -> None:
    images = write_picture(tmp_path / "images")

    page = page_of(broken(coco_document), tmp_path, images_dir=images)

    assert "default-src 'none'" in page
    for tag, attributes in Elements(page).tags:
        assert tag not in {"link", "script", "iframe", "object", "base", "form"}
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("data:image/", "#"))
    assert "url(" not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(
    text: str, coco_document: Document, tmp_path: Path
) -> None:
    document = broken(coco_document)
    document["images"][0]["file_name"] = text
    document["images"].append({"id": 8, "file_name": text, "width": 1, "height": 1})
    document["categories"][0]["name"] = text
    document["categories"][0]["keypoints"][0] = text
    document["categories"][0]["keypoints"][1] = text
    images = write_picture(tmp_path / "images")

    page = page_of(document, tmp_path, images_dir=images, name=text, notes=[text])

    elements = Elements(page)
    assert {tag for tag, _ in elements.tags} & {"script", "svg"} == set()
    assert not any(name.startswith("on") for _, a in elements.tags for name in a)
    assert all((a.get("src") or "data:").startswith("data:") for _, a in elements.tags)
    assert "\u202e" not in page
    assert text.replace("\u202e", "\\u202e") in elements.text


def red_pixels(jpeg: bytes | None, tmp_path: Path) -> int:
    """How many pixels have the colour of the circles, give or take the compression."""
    assert jpeg is not None
    (tmp_path / "drawn.jpg").write_bytes(jpeg)
    pixels = load_image(tmp_path / "drawn.jpg").astype(int)
    return int((np.abs(pixels - np.array(OFFENDING)).max(axis=2) < 40).sum())


def test_pictures_show_the_worst_first(coco_document: Document, tmp_path: Path) -> None:
    document = broken(coco_document)  # 1: the area; 2: the area and a flag
    document["annotations"][1]["area"] = 0
    report, dataset = validated(document, tmp_path / "a.json")

    pictures = worst_pictures(report.findings, dataset, write_picture(tmp_path / "images"))

    assert [p.findings[0].id for p in pictures[:2]] == [2, 1]
    assert {"area-value", "visibility-value"} <= {f.rule for f in pictures[0].findings}


def test_a_keypoint_that_a_finding_names_wears_a_circle(
    coco_document: Document, tmp_path: Path
) -> None:
    document = broken(coco_document)
    document["annotations"][1]["keypoints"][:3] = [140, 60, 2]  # the image is 100 px wide
    report, dataset = validated(document, tmp_path / "a.json")

    pictures = worst_pictures(report.findings, dataset, write_picture(tmp_path / "images"))

    red = {p.findings[0].id: red_pixels(p.jpeg, tmp_path) for p in pictures}
    assert red[2] > 100
    assert red[1] == 0


def test_a_missing_or_broken_image_leaves_a_reason(
    coco_document: Document, tmp_path: Path
) -> None:
    report, dataset = validated(broken(coco_document), tmp_path / "a.json")
    (tmp_path / "images").mkdir()

    (missing, *_) = worst_pictures(report.findings, dataset, tmp_path / "images")
    (tmp_path / "images" / "seven.jpg").write_text("no picture")
    (broken_file, *_) = worst_pictures(report.findings, dataset, tmp_path / "images")

    assert missing.jpeg is None
    assert "missing" in missing.reason
    assert broken_file.jpeg is None
    assert "seven.jpg" in broken_file.reason


def test_a_name_that_leaves_the_folder_is_not_opened(
    coco_document: Document, tmp_path: Path
) -> None:
    coco_document["images"][0]["file_name"] = "../seven.jpg"
    write_picture(tmp_path, "seven.jpg")
    report, dataset = validated(broken(coco_document), tmp_path / "a.json")
    (tmp_path / "images").mkdir()

    (picture, *_) = worst_pictures(report.findings, dataset, tmp_path / "images")

    assert picture.jpeg is None
    assert "climbs out" in picture.reason


@pytest.mark.parametrize(
    "change",
    [
        {"bbox": [1e300, 0, 4, 4]},
        {"bbox": [20, 20, -5, -9]},
        {"bbox": None},
        {"bbox": None, "keypoints": [0] * 51},
        {"keypoints": [1e12, -1e12, 2] * 17},
        {"bbox": [5, 5, 0, 0], "keypoints": [5, 5, 2] * 17},
    ],
    ids=str,
)
def test_impossible_boxes_and_points_are_drawn_all_the_same(
    change: Document, coco_document: Document, tmp_path: Path
) -> None:
    coco_document["annotations"][0].update(change | {"area": 0})
    report, dataset = validated(coco_document, tmp_path / "a.json")

    pictures = worst_pictures(report.findings, dataset, write_picture(tmp_path / "images"))

    assert pictures[0].findings[0].id == 1
    assert pictures[0].jpeg is not None


def test_different_faults_are_shown_before_many_of_one_kind(
    coco_document: Document, tmp_path: Path
) -> None:
    first, second = coco_document["annotations"]
    many = [first | {"id": i, "area": 0} for i in range(10, 40)]
    coco_document["annotations"] = [*many, second | {"num_keypoints": 3}]
    report, dataset = validated(coco_document, tmp_path / "a.json")

    pictures = worst_pictures(
        report.findings, dataset, write_picture(tmp_path / "images"), limit=6
    )

    assert len(pictures) == 6
    assert 2 in [p.findings[0].id for p in pictures]


def test_the_same_input_gives_the_same_page(coco_document: Document, tmp_path: Path) -> None:
    images = write_picture(tmp_path / "images")
    document = broken(coco_document)

    assert page_of(document, tmp_path, images_dir=images) == page_of(
        document, tmp_path, images_dir=images
    )


def test_the_anchors_of_the_table_exist(coco_document: Document, tmp_path: Path) -> None:
    page = page_of(broken(coco_document), tmp_path)

    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets
    assert targets <= set(re.findall(r'id="([^"]+)"', page))
