"""`toolkit schema infer`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit.schema import Schema


def test_it_writes_a_schema_that_validate_accepts(
    toolkit_cli: Callable[..., Any],
    write_json: Callable[..., Path],
    coco_document: dict[str, Any],
    tmp_path: Path,
) -> None:
    path, out = write_json(coco_document), tmp_path / "schema.yaml"
    result = toolkit_cli("schema", "infer", path, "--out", out, "--name", "mine")

    assert result.exit_code == 0
    assert "17 keypoints, 8 mirrored pairs" in result.stdout
    assert "OKS sigmas are unknown" in result.stderr
    assert Schema.load(out).name == "mine"
    report = json.loads(toolkit_cli("validate", path, "--schema", out, "--json").stdout)
    assert report["schema"] == "mine"
    assert report["ok"]


def test_json_is_one_document_and_nothing_is_overwritten(
    toolkit_cli: Callable[..., Any],
    write_json: Callable[..., Path],
    coco_document: dict[str, Any],
    tmp_path: Path,
) -> None:
    path, out = write_json(coco_document), tmp_path / "schema.yaml"
    result = toolkit_cli("schema", "infer", path, "--out", out, "--json")
    again = toolkit_cli("schema", "infer", path, "--out", out)
    forced = toolkit_cli("schema", "infer", path, "--out", out, "--force")
    itself = toolkit_cli("schema", "infer", path, "--out", path, "--force")
    document = json.loads(result.stdout)

    assert document["pairs"][0] == ["left_eye", "right_eye"]
    assert document["extension"] == []
    assert [again.exit_code, forced.exit_code, itself.exit_code] == [2, 0, 2]
    assert "pass --force" in again.stderr


def test_a_file_without_keypoint_names_leaves_nothing_behind(
    toolkit_cli: Callable[..., Any],
    write_json: Callable[..., Path],
    coco_document: dict[str, Any],
    tmp_path: Path,
) -> None:
    coco_document["categories"] = [{"id": 1, "name": "person"}]
    out = tmp_path / "schema.yaml"
    result = toolkit_cli("schema", "infer", write_json(coco_document), "--out", out)

    assert result.exit_code == 1
    assert "no category names its keypoints" in result.stderr
    assert not out.exists()


def test_the_ski_file_gives_a_schema_that_validate_and_stats_accept(
    toolkit_cli: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    path, out = shared_data / "roboflow_ski" / "annotations_jump7.json", tmp_path / "ski.yaml"
    result = toolkit_cli("schema", "infer", path, "--out", out)

    assert result.exit_code == 0
    assert "23 of 23 keypoint names say nothing" in result.stderr
    report = json.loads(toolkit_cli("validate", path, "--schema", out, "--json").stdout)
    assert report["schema"] == "skier"
    assert "category-schema" not in {finding["rule"] for finding in report["findings"]}
    stats = toolkit_cli("stats", path, "--schema", out, "--json")
    assert stats.exit_code == 0
    assert json.loads(stats.stdout)["schema"] == "skier"
