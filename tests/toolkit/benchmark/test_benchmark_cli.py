"""`toolkit benchmark` on files, from the command line to the report folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.benchmark.demo import HOCKEY
from toolkit.cli.benchmark import benchmark
from toolkit.dataset import Dataset
from toolkit.errors import ResourceError

KEYS = {"model", "values", "intervals", "source", "citation"}


@pytest.fixture
def arguments(players: Dataset, prediction_files: dict[str, Path]) -> list[object]:
    rows = [f"--predictions={name}={path}" for name, path in prediction_files.items()]
    return ["benchmark", "--suite", "hockey", "--data", players.path, *rows]


def test_a_device_that_is_not_there_is_refused(
    toolkit_cli: Callable[..., Any], arguments: list[object]
) -> None:
    result = toolkit_cli(*arguments, "--device", "quantum")

    assert result.exit_code == 2
    assert "--device 'quantum' cannot be used here" in result.stderr


def test_predictions_that_are_not_there_are_told_before_a_test_set_is_rendered(
    toolkit_cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))

    result = toolkit_cli("benchmark", "--suite", "hockey", "--predictions=a=no.json")

    assert result.exit_code == 3
    assert "no.json: cannot read: no such file; see --predictions" in result.stderr
    assert not (tmp_path / "cache").exists()


def test_json_is_one_document_with_the_promised_keys(
    toolkit_cli: Callable[..., Any], arguments: list[object]
) -> None:
    result = toolkit_cli(*arguments, "--json", "--bootstrap", 50)

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert set(document) == {"suite", "tables", "environment"}
    (table,) = document["tables"]
    assert {"name", "columns", "rows"} <= set(table)
    assert all(set(row) >= KEYS for row in table["rows"])
    near = next(row for row in table["rows"] if row["model"] == "near")
    assert near["values"][HOCKEY.headline.key] == 1.0
    assert near["source"] == "measured"
    published = [row for row in table["rows"] if row["source"] == "published"]
    assert published
    assert all(row["citation"] for row in published)
    assert document["environment"]["python"]


def test_text_needs_no_image_and_says_what_was_measured(
    toolkit_cli: Callable[..., Any], arguments: list[object]
) -> None:
    result = toolkit_cli(*arguments, "--bootstrap", 50)

    assert result.exit_code == 0
    for wanted in ("**100.0", "improvement", "near minus: far", "not ranked", "sha256"):
        assert wanted in result.stdout


def test_the_report_folder_has_four_files_and_the_same_bytes_twice(
    toolkit_cli: Callable[..., Any], arguments: list[object], tmp_path: Path
) -> None:
    for name in ("r1", "r2"):
        result = toolkit_cli(*arguments, "--bootstrap", 20, "--out", tmp_path / name)
        assert result.exit_code == 0

    names = sorted(path.name for path in (tmp_path / "r1").iterdir())
    assert names == ["index.html", "report.md", "results.json", "tables.tex"]
    for name in names:
        first, second = ((tmp_path / r / name).read_bytes() for r in ("r1", "r2"))
        assert first == second
    again = toolkit_cli(*arguments, "--out", tmp_path / "r1")
    assert again.exit_code == 2
    assert "--force" in again.stderr


@pytest.mark.parametrize("name", ["hockey", "hrnet-small"])
def test_a_report_may_have_the_name_of_a_suite_or_a_model(
    toolkit_cli: Callable[..., Any],
    arguments: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    Path(name, "results.json").write_text("{}")

    written = toolkit_cli(*arguments, "--bootstrap", 0, "--out", name, "--force")
    asked = toolkit_cli(*arguments, "--models", name, "--out", name, "--force")

    assert written.exit_code == 0, written.stderr
    assert "the output is the input" not in asked.stderr


def test_tables_are_printed_where_the_report_cannot_be_written(
    toolkit_cli: Callable[..., Any],
    arguments: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ResourceError("report: cannot write: No space left on device")

    monkeypatch.setattr("toolkit.benchmark.runner.write_report", full)

    result = toolkit_cli(*arguments, "--bootstrap", 0, "--out", tmp_path / "report")

    assert result.exit_code == 5
    assert "No space left" in result.stderr
    assert "Table 1, ice hockey" in result.stdout


def test_the_report_is_written_where_the_reader_of_the_tables_left(
    arguments: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left(*_: object, **__: object) -> str:
        raise BrokenPipeError

    monkeypatch.setattr("toolkit.benchmark.render_text.render_text", left)
    words = [str(word) for word in arguments[1:]]

    with pytest.raises((BrokenPipeError, SystemExit)):
        benchmark.main([*words, "--bootstrap", "0", "--out", str(tmp_path / "report")])

    assert (tmp_path / "report" / "results.json").is_file()


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--suite", "demo"], "brings its own data"),
        (["--suite", "ablations"], "ablations"),
        (["--models", "hrnet-small"], "models need images"),
        (["--predictions", "nofile"], "wanted NAME=FILE"),
        (["--predictions", "near=x.json"], "comes twice"),
    ],
    ids=["demo-data", "ablations", "models", "form", "twice"],
)
def test_requests_that_make_no_sense_end_with_2(
    toolkit_cli: Callable[..., Any], arguments: list[object], extra: list[str], words: str
) -> None:
    result = toolkit_cli(*arguments, *extra)

    assert result.exit_code == 2
    assert words in result.stderr


def test_a_schema_without_the_data_that_it_is_of_is_refused(
    toolkit_cli: Callable[..., Any],
) -> None:
    for suite in ("demo", "hockey", "ablations"):
        result = toolkit_cli("benchmark", "--suite", suite, "--schema", "coco")

        assert result.exit_code == 2
        assert "option --schema: got 'coco' without --data, whose schema it is" in result.stderr


def test_data_alone_is_told_what_to_add(
    toolkit_cli: Callable[..., Any], players: Dataset
) -> None:
    result = toolkit_cli("benchmark", "--suite", "hockey", "--data", players.path)

    assert result.exit_code == 2
    assert "--predictions NAME=FILE" in result.stderr


def test_empty_ground_truth_ends_with_1(
    toolkit_cli: Callable[..., Any],
    arguments: list[object],
    players: Dataset,
) -> None:
    assert players.path is not None
    document = json.loads(players.path.read_text())
    document["annotations"] = []
    players.path.write_text(json.dumps(document))

    result = toolkit_cli(*arguments)

    assert result.exit_code == 1
    assert "no ground truth" in result.stderr


def test_predictions_for_unknown_images_end_with_1(
    toolkit_cli: Callable[..., Any], arguments: list[object], prediction_files: dict[str, Path]
) -> None:
    records = json.loads(prediction_files["far"].read_text())
    for record in records:
        record["image_id"] = 99
    prediction_files["far"].write_text(json.dumps(records))

    result = toolkit_cli(*arguments)

    assert result.exit_code == 1
    assert "99" in result.stderr


def test_a_row_that_nobody_could_be_matched_with_is_warned_of_everywhere(
    toolkit_cli: Callable[..., Any],
    arguments: list[object],
    prediction_files: dict[str, Path],
    tmp_path: Path,
) -> None:
    """Without id and box, the extent of a pose with its stick overlaps no person's box."""
    records = json.loads(prediction_files["far"].read_text())
    for record in records:
        del record["annotation_id"], record["bbox"]
    prediction_files["far"].write_text(json.dumps(records))
    out = tmp_path / "report"

    result = toolkit_cli(*arguments, "--out", out)

    said = "warning, far: 4 of 4 people count as wrong in all but AP"
    assert result.exit_code == 0
    assert f"hockey: {said}" in result.stderr
    assert said in result.stdout
    assert said in (out / "report.md").read_text()
    assert said in (out / "tables.tex").read_text()
    assert said in (out / "index.html").read_text()
    (table,) = json.loads((out / "results.json").read_text())["tables"]
    assert table["warnings"][0].startswith(said)


@pytest.mark.parametrize("names", [("hockey:near", "near"), ("hockey:", "far")])
def test_no_file_of_predictions_takes_the_row_of_another(
    toolkit_cli: Callable[..., Any],
    players: Dataset,
    prediction_files: dict[str, Path],
    names: tuple[str, str],
) -> None:
    rows = [f"--predictions={name}={prediction_files['far']}" for name in names]

    result = toolkit_cli("benchmark", "--suite", "hockey", "--data", players.path, *rows)

    assert result.exit_code == 2
    assert "give each file a name of its own" in result.stderr


def test_in_the_demo_a_file_must_say_its_table(
    toolkit_cli: Callable[..., Any], prediction_files: dict[str, Path]
) -> None:
    result = toolkit_cli("benchmark", "--predictions", f"near={prediction_files['near']}")

    assert result.exit_code == 2
    assert "TABLE:NAME=FILE" in result.stderr


def test_real_crowdpose_annotations_give_table_3_with_the_paired_test(
    toolkit_cli: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    source = shared_data / "crowdpose" / "crowdpose_val.json"
    document = json.loads(source.read_bytes())
    rng = np.random.default_rng(0)
    files = []
    for name, share in (("A", 0.02), ("B", 0.05)):
        records = []
        for person in document["annotations"]:
            points = np.array(person["keypoints"], dtype=float).reshape(14, 3)
            points[:, :2] += rng.normal(0, share * max(person["bbox"][2:]), (14, 2))
            points[:, 2] = 1
            records.append(
                {
                    "image_id": person["image_id"],
                    "category_id": 1,
                    "keypoints": points.round(1).ravel().tolist(),
                    "score": float(rng.uniform()),
                }
            )
        (tmp_path / f"{name}.json").write_text(json.dumps(records))
        files.append(f"--predictions={name}={tmp_path / name}.json")

    result = toolkit_cli(
        "benchmark",
        "--suite",
        "crowdpose",
        "--data",
        source,
        *files,
        "--bootstrap",
        30,
        "--json",
    )

    (table,) = json.loads(result.stdout)["tables"]
    a, b, gain = (row["values"] for row in table["rows"][:3])
    assert a["AP"] > b["AP"] > 0
    assert gain["AP"] == pytest.approx(a["AP"] - b["AP"])
    low, high = table["rows"][0]["intervals"]["APH"]
    assert low <= a["APH"] <= high
    (test,) = table["contrasts"]
    assert (test["model"], test["minus"], test["column"]) == ("A", "B", "AP")
    assert test["difference"] == pytest.approx(gain["AP"])
    assert any("easy 411, medium 1,240, hard 349" in line for line in table["rules"])
