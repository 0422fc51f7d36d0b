"""The document of measured numbers says what the results say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolkit.benchmark.reproduction import fill, main

RESULTS = {
    "environment": {"commit": "a" * 40, "processor": "a processor", "torch": "2.0"},
    "ablations": {
        "scale": "small",
        "images_seen": 6000,
        "seeds": [0, 1],
        "runs": {"x": {"commit": "b" * 40, "finished": "2026-01-02", "cpu_seconds": 7200.0}},
    },
    "tables": [
        {
            "name": "prompts",
            "title": "Table 6, prompts: PCKh@0.5 in per cent",
            "rules": [
                "data: 20 people in 5 images",
                "mean: pools its keypoints",
                "Heel outside box: 1,234 keypoints",
                "ground truth sha256: 5e28",
                "intervals: 95 % percentile bootstrap",
            ],
            "columns": ["Mean", "Mean, median", "params", "Body"],
            "rows": [
                {
                    "model": "none",
                    "kind": "model",
                    "source": "measured",
                    "note": "",
                    "values": {"Mean": 0.25, "Mean, median": 1.5, "params": 1236455},
                    "intervals": {"Mean": [0.2, 0.3], "Mean, median": None},
                },
                {
                    "model": "single",
                    "kind": "model",
                    "source": "measured",
                    "note": "not run: needs a thing",
                    "values": {"Mean": None, "Mean, median": None, "params": None},
                    "intervals": {"Mean": None, "Mean, median": None},
                },
            ],
            "training_seeds": [
                {"model": "none", "column": "Mean", "seeds": {"0": 0.24, "1": 0.26}}
            ],
            "contrasts": [
                {
                    "column": "Mean",
                    "model": "none",
                    "minus": "single",
                    "difference": 0.02,
                    "interval": [-0.01, 0.05],
                    "seeds": {"0": 0.01, "1": 0.03},
                    "over_seeds": [-0.107, 0.147],
                    "p_value": 0.3,
                    "stated": "prompts",
                    "stated_difference": 0.0335,
                },
                {
                    "column": "Mean",
                    "model": "none",
                    "minus": "single",
                    "difference": 0.04,
                    "interval": [0.01, 0.07],
                    "seeds": {"0": 0.03, "1": 0.05},
                    "over_seeds": [-0.087, 0.167],
                    "p_value": None,
                    "stated": None,
                    "stated_difference": None,
                },
                {
                    "column": "Body",
                    "model": "none",
                    "minus": "double",
                    "difference": -0.02,
                    "interval": [-0.03, -0.01],
                    "seeds": {"0": -0.02, "1": -0.02},
                    "over_seeds": [-0.02, -0.02],
                    "p_value": None,
                    "stated": None,
                    "stated_difference": None,
                },
            ],
        }
    ],
}
BLOCK = "before\n<!-- results: run/prompts -->\nold\n<!-- end -->\nafter\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "doc").mkdir()
    (tmp_path / "doc" / "run.json").write_text(json.dumps(RESULTS))
    return tmp_path


def test_a_block_holds_values_intervals_seeds_and_where_they_are_from(folder: Path) -> None:
    text = fill(BLOCK, folder / "doc")

    assert (
        "\nTable 6, prompts: PCKh@0.5 in per cent. 20 people in 5 images. "
        "Heel outside box: 1,234 keypoints. Intervals: 95 % percentile bootstrap.\n"
    ) in text
    assert "| none | 25.0 [20.0, 30.0]<br>24.0 26.0 | 1.50 | 1.24 M |" in text
    assert "| single |  |  |  |" in text
    assert "single: not run: needs a thing." in text
    assert "states +3.35 points for prompts" in text
    assert "+2.0 [-1.0, +5.0], seeds +1.0 +3.0, over seeds [-10.7, +14.7]" in text
    assert "`bbbbbbbbb`" in text
    assert "2.0 CPU hours or more" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert fill(text, folder / "doc") == text


def test_differences_are_a_table_and_bold_where_neither_chance_can_have_made_them(
    folder: Path,
) -> None:
    text = fill(BLOCK, folder / "doc")

    held = "+4.0 [+1.0, +7.0]<br>seeds +3.0 +5.0<br>over seeds [-8.7, +16.7]"
    shown = "**-2.0 [-3.0, -1.0]**<br>seeds -2.0 -2.0<br>over seeds [-2.0, -2.0]"
    assert (
        "\n| none minus | Mean | Body |\n"
        "| :-- | --: | --: |\n"
        f"| single | {held} |  |\n"
        f"| double |  | {shown} |\n"
    ) in text


def test_a_paired_test_without_training_seeds_has_its_p_value(folder: Path) -> None:
    results = json.loads(json.dumps(RESULTS))
    test, bound = results["tables"][0]["contrasts"][1:]
    for item in (test, bound):
        item["seeds"], item["over_seeds"] = {}, None
    test |= {"p_value": 0.0416, "p_is_bound": False}
    bound |= {"p_value": 0.002, "p_is_bound": True}
    (folder / "doc" / "run.json").write_text(json.dumps(results))

    text = fill(BLOCK, folder / "doc")

    assert "| single | +4.0 [+1.0, +7.0]<br>p=0.042 |  |\n" in text
    assert "| double |  | -2.0 [-3.0, -1.0]<br>p<=0.002 |\n" in text


def test_one_training_seed_shows_no_difference(folder: Path) -> None:
    results = json.loads(json.dumps(RESULTS))
    for item in results["tables"][0]["contrasts"]:
        item["seeds"], item["over_seeds"] = {"0": item["difference"]}, None
    (folder / "doc" / "run.json").write_text(json.dumps(results))

    assert "| double |  | -2.0 [-3.0, -1.0] |\n" in fill(BLOCK, folder / "doc")


def test_results_that_are_not_there_leave_no_number(folder: Path) -> None:
    (folder / "doc" / "run.json").unlink()

    assert "Not run yet" in fill(BLOCK, folder / "doc")


def test_a_table_that_the_results_lack_leaves_no_number(folder: Path) -> None:
    text = fill(BLOCK.replace("prompts", "boxes"), folder / "doc")

    assert "*Not run yet: `doc/run.json` has no such table.*" in text


def test_checking_finds_a_number_that_was_typed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "doc.md"
    path.write_text(BLOCK)

    assert main(["--check", str(path)]) == 1
    assert "numbers differ from the results" in capsys.readouterr().err
    assert main([str(path)]) == 0
    assert main(["--check", str(path)]) == 0


def test_the_documents_numbers_are_the_results(root: Path) -> None:
    assert main(["--check", str(root / "docs" / "reproduction.md")]) == 0
