"""The rules that COCO files cannot break: of results, and of other tools' files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit import formats
from toolkit.formats import RULES
from toolkit.formats.cvat import CVAT
from toolkit.schema import Schema

Results = list[dict[str, Any]]

RESULTS: dict[str, Callable[[Results], object]] = {
    "score-missing": lambda r: r[0].pop("score"),
    "score-value": lambda r: r[0].update(score="high"),
    "keypoint-scores-shape": lambda r: r[0].update(keypoint_scores=[0.5] * 16),
    "sigmas-shape": lambda r: r[0].update(sigmas=[1.0] * 33),
    "results-empty": lambda r: r.clear(),
    "results-without-keypoints": lambda r: [
        (result.pop("keypoints"), result.update(bbox=[1, 2, 3, 4])) for result in r
    ],
}
SKELETON = (
    '<skeleton label="player"><points label="head" points="10,20"/>'
    '<points label="foot" points="11,90"/></skeleton>'
)
META = (
    "<meta><task><labels><label><name>player</name><type>skeleton</type></label>"
    "<label><name>head</name><type>points</type><parent>player</parent></label>"
    "<label><name>foot</name><type>points</type><parent>player</parent></label>"
    "</labels></task></meta>"
)
TOOLS = {
    "foreign-unusable": SKELETON.replace("10,20", "10,x"),
    "foreign-left-out": SKELETON + '<polygon points="1,2;3,4;5,6"/>',
    "foreign-assumed": SKELETON.replace('"player"', '"player" group_id="2"') * 2,
}


def results() -> Results:
    fields = {"category_id": 1, "keypoints": [1, 2, 0.5] * 17, "score": 0.5}
    return [{"image_id": number} | fields for number in (7, 8)]


def found_in_results(path: Path, content: Results) -> list[str]:
    path.write_text(json.dumps(content), encoding="utf-8")
    return [f.rule for f in formats.scan_predictions(path, Schema.load("coco"))[1]]


def found_in_shapes(path: Path, shapes: str) -> list[str]:
    image = f'<image id="4" name="a.jpg" width="640" height="480">{shapes}</image>'
    path.write_text(f"<annotations>{META}{image}</annotations>", encoding="utf-8")
    return [f.rule for f in CVAT.to_coco(path, None)[1]]


def test_sound_files_have_no_finding(tmp_path: Path) -> None:
    assert found_in_results(tmp_path / "a.json", results()) == []
    assert found_in_shapes(tmp_path / "a.xml", SKELETON) == []


@pytest.mark.parametrize("code", RESULTS)
def test_a_fault_of_results_is_found_alone(tmp_path: Path, code: str) -> None:
    content = results()
    RESULTS[code](content)

    assert found_in_results(tmp_path / "a.json", content) == [code]


@pytest.mark.parametrize("code", TOOLS)
def test_a_fault_of_another_tool_s_file_is_found_alone(tmp_path: Path, code: str) -> None:
    assert found_in_shapes(tmp_path / "a.xml", TOOLS[code]) == [code]


def test_every_such_rule_is_here() -> None:
    words = ("score", "keypoint-scores", "sigmas", "results", "foreign")
    codes = {rule.code for rule in RULES if rule.code.startswith(words)}

    assert codes == set(RESULTS) | set(TOOLS)
