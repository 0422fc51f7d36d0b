"""`toolkit rank` as it is used: table, JSON, page, queue, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

Files = tuple[Path, Path, Path]


@pytest.fixture
def files(tmp_path: Path, coco_document: dict[str, object]) -> Files:
    """Forty people in twenty pictures, predictions, and the pictures; person 5 is wrong."""
    rng = np.random.default_rng(0)
    person = coco_document["annotations"][0]  # type: ignore[index]
    place = np.array(person["keypoints"], float).reshape(-1, 3)[:, :2]
    images, people, answers = [], [], []
    for number in range(1, 41):
        picture = (number + 1) // 2
        shift = [50 * (number % 2), 0]
        points = place + shift + rng.normal(0, 0.2, (17, 2))
        truth = points.copy()
        if number == 5:
            points[9] += [0, 25]  # left_wrist
        triples = np.column_stack([points, np.full(17, 2)]).round(2).ravel().tolist()
        box = [10 + shift[0], 20, 16, 32]
        people.append(
            person | {"id": number, "image_id": picture, "bbox": box} | {"keypoints": triples}
        )
        answers.append(
            {
                "image_id": picture,
                "category_id": 1,
                "annotation_id": number,
                "score": 0.9,
                "keypoints": np.column_stack([truth, np.full(17, 0.9)]).ravel().tolist(),
                "sigmas": [1.0] * 34,
            }
        )
    (tmp_path / "images").mkdir()
    for number in range(1, 21):
        name = f"{number}<b>.png"
        images.append({"id": number, "file_name": name, "width": 100, "height": 80})
        cv2.imwrite(str(tmp_path / "images" / name), np.full((80, 100, 3), 90, np.uint8))
    truth_path, answers_path = tmp_path / "annotations.json", tmp_path / "predictions.json"
    document = coco_document | {"images": images, "annotations": people}
    truth_path.write_text(json.dumps(document))
    answers_path.write_text(json.dumps(answers))
    return truth_path, answers_path, tmp_path / "images"


def test_the_table_names_the_person_and_the_keypoint(
    files: Files, toolkit_cli: Callable
) -> None:
    done = toolkit_cli("rank", *files[:2])

    assert done.exit_code == 0
    first = next(line for line in done.stdout.splitlines() if line.startswith("│"))
    assert first.split("│")[1].strip() == "5"
    assert "left_wrist" in first


def test_json_says_who_why_and_where(files: Files, toolkit_cli: Callable) -> None:
    done = toolkit_cli("rank", *files[:2], "--json", "--limit", 3)

    document = json.loads(done.stdout)
    assert document["instances"] == 40
    assert document["schema"] == "coco"
    assert len(document["queue"]) == 3
    entry = document["queue"][0]
    assert (entry["annotation_id"], entry["image_id"]) == (5, 3)
    assert entry["file_name"] == "3<b>.png"
    assert entry["keypoints"][0] == "left_wrist"
    assert entry["score"] >= document["queue"][1]["score"]
    assert entry["evidence"][0].keys() == {"kind", "score", "reason", "keypoints"}


def test_the_queue_file_holds_ids_and_reasons_and_is_the_same_each_time(
    files: Files, toolkit_cli: Callable, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"

    assert toolkit_cli("rank", *files[:2], "--out", one).exit_code == 0
    assert toolkit_cli("rank", *files[:2], "--out", two).exit_code == 0

    assert one.read_bytes() == two.read_bytes()
    document = json.loads(one.read_text())
    assert document["file"] == "annotations.json"
    assert len(document["queue"]) == 20  # a tenth of forty is four; at least twenty are kept
    assert document["queue"][0].keys() == {"image_id", "annotation_id", "score", "reason"}
    assert document["queue"][0]["annotation_id"] == 5


def test_the_page_carries_pictures_and_escapes_names(
    files: Files, toolkit_cli: Callable, tmp_path: Path
) -> None:
    out = tmp_path / "queue.html"

    done = toolkit_cli("rank", *files[:2], "--images", files[2], "--out", out, "--limit", 4)

    assert done.exit_code == 0
    page = out.read_text()
    assert page.count("data:image/jpeg;base64,") == 4
    assert "3&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert "left_wrist" in page


def test_a_page_without_images_says_so(
    files: Files, toolkit_cli: Callable, tmp_path: Path
) -> None:
    out = tmp_path / "queue.html"

    assert toolkit_cli("rank", *files[:2], "--out", out, "--limit", 70).exit_code == 0

    assert "no --images given" in out.read_text()


def test_an_output_of_another_kind_is_refused(
    files: Files, toolkit_cli: Callable, tmp_path: Path
) -> None:
    done = toolkit_cli("rank", *files[:2], "--out", tmp_path / "queue.txt")

    assert done.exit_code == 2
    assert "wanted FILE.html or FILE.json" in done.stderr


@pytest.mark.parametrize("which", [0, 1])
def test_an_input_is_never_written_over(
    files: Files, toolkit_cli: Callable, which: int
) -> None:
    before = files[which].read_bytes()

    done = toolkit_cli("rank", *files[:2], "--out", files[which], "--force")

    assert done.exit_code == 2
    assert "the output is the input" in done.stderr
    assert files[which].read_bytes() == before


def test_predictions_without_sigmas_are_taken_with_a_notice(
    files: Files, toolkit_cli: Callable
) -> None:
    answers = json.loads(files[1].read_text())
    for answer in answers:
        del answer["sigmas"]
    files[1].write_text(json.dumps(answers[:-1]))

    done = toolkit_cli("rank", *files[:2], "--json")

    assert json.loads(done.stdout)["queue"][0]["annotation_id"] == 5
    assert "no 'sigmas'" in done.stderr
    assert "1 instances have no prediction" in done.stderr


def test_a_ground_truth_file_in_place_of_predictions_is_refused(
    files: Files, toolkit_cli: Callable
) -> None:
    done = toolkit_cli("rank", files[0], files[0])

    assert done.exit_code == 3
    assert "is this a ground-truth file?" in done.stderr


def test_no_predictions_rank_nobody(files: Files, toolkit_cli: Callable) -> None:
    files[1].write_text("[]")

    done = toolkit_cli("rank", *files[:2])

    assert done.exit_code == 0
    assert "no instance can be ranked" in done.stdout


@pytest.fixture(scope="module")
def benchmark(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    """The program that measures ranking, as a module."""
    return benchmark_script("ranking")


def test_planted_errors_on_practice_data_are_found_by_the_shipped_model(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    dataset, predictions = benchmark.prepare(tmp_path, 300, 300)

    result = benchmark.measure(dataset, predictions, range(4))

    found = {bar["kind"]: bar["recall"] for bar in result["bars"]}
    assert found["missing stick"] == 1
    assert found["swap"] >= 0.8
    assert found["other person"] >= 0.6  # fewer people teach less than the 2,000 of the bar


def test_planting_changes_the_people_it_names_and_nobody_else(
    benchmark: ModuleType, tmp_path: Path
) -> None:
    benchmark.toolkit(
        "synth", "hockey", str(tmp_path / "d"), "--instances", "60", "--seed", "3"
    )
    dataset = benchmark.read(tmp_path / "d" / "annotations.json")

    faulty, planted = benchmark.plant(dataset, 0)

    moved = ~np.isclose(
        faulty.annotations.keypoints, dataset.annotations.keypoints, equal_nan=True
    ).all(axis=(1, 2))
    assert set(np.flatnonzero(moved).tolist()) == {error.row for error in planted}
    assert [error.kind for error in planted] == ["swap", "shift", "other person"]
    assert np.array_equal(faulty.annotations.bbox_xywh, dataset.annotations.bbox_xywh)
