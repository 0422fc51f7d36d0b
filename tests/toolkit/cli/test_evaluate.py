"""`toolkit evaluate`: figures, documents, options and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEYS = {
    "profile",
    "metrics",
    "strata",
    "per_keypoint",
    "intervals",
    "settings",
    "notes",
    "warnings",
    "ground_truth_sha256",
    "predictions_sha256",
    "versions",
}
Files = tuple[Path, Path, Path]


@pytest.fixture
def files(coco_document: dict[str, Any], write_json: Callable[..., Path]) -> Files:
    """Two people; the first results find both, the second only one."""
    people = coco_document["annotations"]
    results = [
        {
            "image_id": 7,
            "category_id": 1,
            "keypoints": person["keypoints"],
            "score": 0.5,
            "annotation_id": person["id"],
        }
        for person in people
    ]
    return (
        write_json(coco_document, "truth.json"),
        write_json(results, "both.json"),
        write_json(results[:1], "one.json"),
    )


@pytest.mark.parametrize("engine", ["toolkit", "hotcoco", "pycocotools"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "coco",
            {
                "AP": 0.861,
                "AP50": 0.993,
                "AP75": 0.911,
                "APM": 0.776,
                "APL": 0.937,
                "AR": 0.875,
            },
        ),
        (
            "crowdpose",
            {
                "AP": 0.788,
                "AP50": 0.988,
                "AP75": 0.731,
                "AR": 0.822,
                "APE": 1.0,
                "APM": 0.98,
                "APH": 0.412,
            },
        ),
    ],
    ids=["coco", "crowdpose"],
)
def test_the_published_examples_give_their_published_figures(
    shared_data: Path,
    toolkit_cli: Callable[..., Any],
    name: str,
    expected: dict[str, float],
    engine: str,
) -> None:
    folder = shared_data / "xtcocoapi"

    result = toolkit_cli(
        "evaluate",
        folder / f"example_{name}_val.json",
        folder / f"example_{name}_preds.json",
        "--engine",
        engine,
        "--metrics",
        "AP",
        "--json",
    )

    document = json.loads(result.stdout)
    assert document["profile"] == name
    shown = {key: round(document["metrics"][key], 3) for key in expected}
    assert shown == expected


def test_the_document_has_the_promised_keys_and_hashes(
    files: Files, toolkit_cli: Callable[..., Any]
) -> None:
    truth, both, _ = files

    result = toolkit_cli("evaluate", truth, both, "--bootstrap", 10, "--json")

    document = json.loads(result.stdout)
    assert set(document) == KEYS
    assert document["metrics"]["AP"] == pytest.approx(1)
    assert document["metrics"]["APM"] is None
    assert document["intervals"]["AP"] is None  # of one image nothing can be resampled
    assert len(document["ground_truth_sha256"]) == 64
    assert document["settings"]["matched"]["by_annotation_id"] == 2
    assert document["settings"]["area_rule"] == "area field of the annotations"
    assert document["settings"]["sigmas"]["nose"]["published"] is True
    assert document["settings"]["groups"]["extension"] == []
    cell = document["strata"]["in_box"]["Mean"]
    assert {"PCKh@0.5", "PCKh@0.1", "n", "interval", "median_error_heads"} <= set(cell)


def test_the_tables_name_profile_files_and_rules(
    files: Files, toolkit_cli: Callable[..., Any]
) -> None:
    truth, both, _ = files

    text = toolkit_cli("evaluate", truth, both).stdout

    for words in ("both.json against truth.json, profile coco", "PCKh@0.5", "out_of_box"):
        assert words in text
    assert "head size, instances by step" in text
    assert "mean_rule" in text


def test_the_headline_is_the_extension_outside_the_box(
    root: Path, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    truth = root / "datasets" / "hockey" / "sample" / "annotations.json"
    people = json.loads(truth.read_text())["annotations"]
    results = [
        {
            "image_id": person["image_id"],
            "category_id": person["category_id"],
            "keypoints": person["keypoints"],
            "score": 0.5,
            "annotation_id": person["id"],
        }
        for person in people
    ]
    predictions = write_json(results, "exact.json")

    text = toolkit_cli("evaluate", truth, predictions, "--metrics", "PCKh").stdout

    assert "profile extension" in text
    assert "extension keypoints outside the box: PCKh@0.5 100.00" in text


def test_groups_that_score_alike_have_a_row_each_and_one_group_of_two_names_has_one(
    root: Path, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    truth = root / "datasets" / "hockey" / "sample" / "annotations.json"
    people = json.loads(truth.read_text())["annotations"]
    nobody = write_json([], "nobody.json")
    found = [{**person, "score": 1.0, "annotation_id": person["id"]} for person in people]
    exact = write_json(found, "exact.json")

    text = toolkit_cli(
        "evaluate", truth, exact, "--metrics", "PCKh", "--compare", nobody, "--bootstrap", 2
    ).stdout

    rows = [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]
    groups = [row[2] for row in rows if row[1:2] == ["all"]]
    assert groups == ["body", "extension", "Butt End", "Stick Heel", "Stick Toe", "Mean"]
    outside = [line for line in text.splitlines() if "PCKh@0.5 out_of_box" in line]
    assert sum("Stick Heel" in line or "Stick Toe" in line for line in outside) == 2


def _edited(path: Path, write_json: Callable[..., Path], **fields: Any) -> Path:
    """The results with other fields; None takes a field away."""
    results = json.loads(path.read_text())
    for result in results:
        result.update(fields)
        for name in [name for name, value in fields.items() if value is None]:
            del result[name]
    return write_json(results, "edited.json")


def test_an_annotation_id_that_its_image_does_not_have_is_an_error(
    files: Files, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    truth, both, _ = files
    edited = _edited(both, write_json, annotation_id=9999)

    result = toolkit_cli("evaluate", truth, edited)

    assert result.exit_code == 1
    assert "edited.json: results[0]: annotation_id: 9999 is no annotation" in result.stderr
    assert toolkit_cli("evaluate", truth, edited, "--metrics", "AP").exit_code == 0


def test_a_repeated_annotation_id_is_warned_of(
    files: Files, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    truth, both, _ = files
    first = json.loads(both.read_text())[0]["annotation_id"]

    result = toolkit_cli(
        "evaluate", truth, _edited(both, write_json, annotation_id=first), "--json"
    )

    (warning,) = json.loads(result.stdout)["warnings"]
    assert warning.startswith("1 of 2 people count as wrong")
    assert "1 result with an annotation_id that a better scored result has" in warning


def test_the_file_that_is_compared_with_is_warned_of_by_name(
    files: Files, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    truth, both, _ = files
    first = json.loads(both.read_text())[0]["annotation_id"]
    edited = _edited(both, write_json, annotation_id=first)

    result = toolkit_cli("evaluate", truth, both, "--compare", edited, "--bootstrap", 5)

    assert "Warning: edited.json: 1 of 2 people count as wrong" in result.stderr


def test_people_lost_for_want_of_id_and_box_are_warned_of(
    root: Path, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    truth = root / "datasets" / "hockey" / "sample" / "annotations.json"
    keys = ("image_id", "category_id", "keypoints")
    people = json.loads(truth.read_text())["annotations"]
    results = [{**{key: person[key] for key in keys}, "score": 0.5} for person in people]

    result = toolkit_cli("evaluate", truth, write_json(results, "bare.json"))

    assert result.exit_code == 0
    assert "Warning: " in result.stderr
    assert "with neither annotation_id nor bbox" in result.stderr
    assert "give annotation_id or bbox" in result.stderr


def test_a_person_without_any_result_is_no_warning(
    files: Files, toolkit_cli: Callable[..., Any]
) -> None:
    truth, _, one = files

    assert json.loads(toolkit_cli("evaluate", truth, one, "--json").stdout)["warnings"] == []


def test_results_of_no_category_of_the_truth_are_an_error(
    files: Files, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    truth, both, _ = files
    edited = _edited(both, write_json, category_id=7)

    result = toolkit_cli("evaluate", truth, edited)

    assert result.exit_code == 1
    assert "edited.json: results[0]: category_id: 7" in result.stderr
    assert toolkit_cli("evaluate", truth, edited, "--metrics", "PCKh").exit_code == 0


def test_some_results_of_another_category_are_warned_of(
    files: Files, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    truth, both, _ = files
    results = json.loads(both.read_text())
    results[1]["category_id"] = 7

    result = toolkit_cli("evaluate", truth, write_json(results, "mixed.json"))

    assert result.exit_code == 0
    assert "Warning: 1 of 2 results have a category_id that no person" in result.stderr
    assert "results[1]: 7" in result.stderr


def test_names_from_files_are_neither_markup_nor_control_characters(
    coco_document: dict[str, Any],
    files: Files,
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
) -> None:
    coco_document["categories"][0]["keypoints"][0] = "[/b]:nose:\x1b[2J"
    truth = write_json(coco_document, "[b]truth[].json")

    result = toolkit_cli("evaluate", truth, files[1], "--metrics", "PCKh")

    assert result.exit_code == 0, result.stderr
    assert "[b]truth[].json" in result.stdout
    assert "[/b]:nose:\\x1b[2J" in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


@pytest.mark.parametrize("engine", ["toolkit", "hotcoco", "pycocotools"])
@pytest.mark.parametrize("width", [-3, 2**62])
def test_no_engine_stumbles_over_an_images_size(
    files: Files,
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
    width: int,
    engine: str,
) -> None:
    coco_document["images"][0]["width"] = width
    truth = write_json(coco_document, "odd.json")

    result = toolkit_cli(
        "evaluate", truth, files[1], "--engine", engine, "--metrics", "AP", "--json"
    )

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["metrics"]["AP"] == pytest.approx(1)


def test_metrics_restricts_the_work(files: Files, toolkit_cli: Callable[..., Any]) -> None:
    truth, both, _ = files

    result = toolkit_cli("evaluate", truth, both, "--metrics", "pckh", "--json")

    document = json.loads(result.stdout)
    assert set(document["metrics"]) == {"PCKh@0.5", "PCKh@0.1", "median_error_heads"}


def test_the_comparison_is_by_the_rules_and_names_the_files_of_the_evaluation(
    files: Files, toolkit_cli: Callable[..., Any], write_json: Callable[..., Path]
) -> None:
    truth, both, one = files
    unsure = json.loads(both.read_text())
    for result in unsure:
        result["keypoints"][2::3] = [0.1] * (len(result["keypoints"]) // 3)
    options = ("--ex-oks", "exococotools", "--compare", one, "--json")

    document = json.loads(
        toolkit_cli("evaluate", truth, write_json(unsure, "u.json"), *options).stdout
    )

    comparison = document["comparison"]
    assert comparison["metrics"]["ExOKS"]["a"] == document["metrics"]["ExOKS"]
    assert comparison["settings"]["a_sha256"] == document["predictions_sha256"]
    assert comparison["settings"]["b_sha256"] not in (None, document["predictions_sha256"])


def test_compare_tests_the_difference(files: Files, toolkit_cli: Callable[..., Any]) -> None:
    truth, both, one = files

    result = toolkit_cli("evaluate", truth, both, "--compare", one, "--json")
    table = toolkit_cli("evaluate", truth, both, "--compare", one, "--bootstrap", 20).stdout

    test = json.loads(result.stdout)["comparison"]["metrics"]["PCKh@0.5"]
    assert (test["a"], test["b"], test["difference"]) == (1, 0.5, 0.5)
    assert "Note: there is one image only, and nothing to resample" in result.stderr
    assert "both.json minus one.json: paired bootstrap, 20 resamples by image" in table


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metrics", "mAP"], "no metric 'mAP'; known: AP, PCKh, PCK, AUC, ExOKS"),
        (["--metrics", ","], "--metrics names none"),
        (["--bootstrap", "5", "--by", "clip"], "1 of 1 images have no 'clip'"),
        (["--bands", "0.8", "0.2", "--profile", "crowdpose"], "expected 0 <= first <= second"),
        (["--engine", "magic"], "'magic' is not one of"),
        (["--profile", "mpii"], "'mpii' is not one of"),
    ],
)
def test_wrong_usage_ends_with_2(
    files: Files, toolkit_cli: Callable[..., Any], options: list[str], message: str
) -> None:
    truth, both, _ = files

    result = toolkit_cli("evaluate", truth, both, *options)

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""


def test_a_lie_of_num_keypoints_is_told_and_the_stored_field_is_used(
    files: Files,
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
) -> None:
    coco_document["annotations"][0]["num_keypoints"] = 0
    truth = write_json(coco_document, "lie.json")

    result = toolkit_cli("evaluate", truth, files[1], "--json")

    assert result.exit_code == 0
    ignored = json.loads(result.stdout)["settings"]["ignored"]
    assert ignored["num_keypoints_zero_but_labelled"] == 1


def test_missing_area_says_which_profile_does_without(
    files: Files,
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
) -> None:
    for person in coco_document["annotations"]:
        del person["area"]
    truth = write_json(coco_document, "bare.json")

    result = toolkit_cli("evaluate", truth, files[1], "--profile", "crowdpose", "--json")
    document = json.loads(result.stdout)

    assert document["settings"]["area_rule"] == "0.53 * bbox width * bbox height"
    assert document["metrics"]["APE"] is None  # no crowdIndex in the file
    refused = toolkit_cli("evaluate", truth, files[1], "--profile", "coco")
    assert refused.exit_code == 1
    assert "area" in refused.stderr


def test_a_swap_of_the_two_files_is_told(files: Files, toolkit_cli: Callable[..., Any]) -> None:
    truth, both, _ = files

    result = toolkit_cli("evaluate", both, truth)

    assert result.exit_code == 3
    assert "results file" in result.stderr


def test_a_truth_without_people_and_categories_is_no_ground_truth(
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
) -> None:
    found = [{"image_id": 7, "category_id": 1, "score": 1, "keypoints": [1, 2, 1] * 17}]
    results = write_json(found, "results.json")
    truth = write_json(coco_document | {"annotations": [], "categories": []}, "truth.json")

    result = toolkit_cli("evaluate", truth, results)

    assert result.exit_code == 1
    assert "truth.json: no ground truth" in result.stderr
    assert "results.json" not in result.stderr
