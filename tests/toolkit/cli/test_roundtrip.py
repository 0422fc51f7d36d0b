"""`toolkit roundtrip` lists what changed and says whether that was declared."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toolkit import formats
from toolkit.formats.csv_table import CSV

Cli = Callable[..., Any]


@pytest.fixture
def truth(coco_document: dict[str, object], write_json: Callable[..., Path]) -> Path:
    return write_json(coco_document)


def test_a_format_that_holds_everything_changes_nothing(truth: Path, toolkit_cli: Cli) -> None:
    done = toolkit_cli("roundtrip", truth, "--via", "parquet")

    assert done.exit_code == 0
    assert done.stdout == f"{truth}: through parquet and back, nothing changed\n"


def test_every_changed_field_is_listed_with_its_declaration(
    truth: Path, toolkit_cli: Cli
) -> None:
    done = toolkit_cli("roundtrip", truth, "--via", "crowdpose", "--json", "--limit", "1")

    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert (report["from"], report["via"], report["agrees"]) == ("coco", "crowdpose", True)
    assert report["changes"] == [
        {
            "field": "annotations.area",
            "records": 2,
            "declared": 2,
            "examples": [{"place": "annotations[0]", "before": 300.5, "after": None}],
        }
    ]


def test_with_a_sidecar_nothing_is_lost(truth: Path, toolkit_cli: Cli) -> None:
    done = toolkit_cli("roundtrip", truth, "--via", "yolo", "--sidecar")

    assert done.exit_code == 0
    assert done.stdout == f"{truth}: through yolo with a sidecar and back, nothing changed\n"


def test_a_sidecar_beside_cocos_own_json_is_refused(truth: Path, toolkit_cli: Cli) -> None:
    done = toolkit_cli("roundtrip", truth, "--via", "crowdpose", "--sidecar")

    assert done.exit_code == 2
    assert "'crowdpose' is COCO's JSON" in done.stderr


def test_results_take_no_sidecar(truth: Path, toolkit_cli: Cli) -> None:
    done = toolkit_cli("roundtrip", truth, "--via", "results", "--sidecar")

    assert done.exit_code == 2
    assert "results have no way back" in done.stderr


def test_the_table_shows_examples(truth: Path, toolkit_cli: Cli) -> None:
    done = toolkit_cli("roundtrip", truth, "--via", "csv")

    assert done.exit_code == 0
    assert '{"description":"tiny"}' in done.stdout
    assert done.stdout.endswith("through csv and back, exactly what is declared\n")


def test_a_change_that_is_not_declared_ends_with_1(
    truth: Path, toolkit_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    boasting = replace(CSV, loses=lambda dataset: Counter())
    table = tuple(boasting if item is CSV else item for item in formats.FORMATS)
    monkeypatch.setattr(formats, "FORMATS", table)

    done = toolkit_cli("roundtrip", truth, "--via", "csv")

    assert done.exit_code == 1
    assert "NOT what is declared" in done.stdout


def test_results_are_no_annotations(write_json: Callable[..., Path], toolkit_cli: Cli) -> None:
    results = [{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 0.5], "score": 0.5}]

    done = toolkit_cli("roundtrip", write_json(results), "--via", "csv")

    assert done.exit_code == 2
    assert "is a list of results" in done.stderr


def test_a_broken_source_is_told(write_json: Callable[..., Path], toolkit_cli: Cli) -> None:
    done = toolkit_cli("roundtrip", write_json('{"images": ['), "--via", "csv")

    assert done.exit_code == 3
    assert "cut off" in done.stderr


def test_the_source_may_be_foreign_itself(
    truth: Path, tmp_path: Path, toolkit_cli: Cli
) -> None:
    table = tmp_path / "a.csv"
    assert toolkit_cli("convert", truth, table).exit_code == 0

    done = toolkit_cli("roundtrip", table, "--via", "parquet", "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["from"] == "csv"
