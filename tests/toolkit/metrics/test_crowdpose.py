"""The CrowdPose profile against xtcocotools' own numbers, and its bands."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from toolkit import Dataset, Schema
from toolkit.annotations import Annotations, Images, Predictions
from toolkit.metrics import evaluate
from toolkit.metrics.files import read_sides

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def reference_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_crowdpose_reference", HERE / "make_crowdpose_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_all_nine_numbers_equal_those_of_xtcocotools(
    shared_data: Path, tmp_path: Path, reference_script: ModuleType, seed: str
) -> None:
    source = shared_data / "crowdpose" / "crowdpose_val.json"
    results = reference_script.random_predictions(json.loads(source.read_text()), int(seed))
    (tmp_path / "results.json").write_text(json.dumps(results))
    expected = json.loads((HERE / "crowdpose_reference.json").read_text())["numbers"][seed]

    sides = read_sides(source, [tmp_path / "results.json"])
    found = evaluate(sides.truth, *sides.predictions, metrics=["AP"])

    assert found.profile == "crowdpose"
    assert found.metrics == pytest.approx(expected, abs=1e-12)


def test_the_published_example_gives_its_published_figures(shared_data: Path) -> None:
    folder = shared_data / "xtcocoapi"
    sides = read_sides(
        folder / "example_crowdpose_val.json", [folder / "example_crowdpose_preds.json"]
    )

    found = evaluate(sides.truth, *sides.predictions, "crowdpose", metrics=["AP"]).metrics

    shown = {name: round(value, 3) for name, value in found.items() if value is not None}
    expected = {"AP": 0.788, "AP50": 0.988, "AP75": 0.731, "AR": 0.822}
    assert shown | expected | {"APE": 1.0, "APM": 0.98, "APH": 0.412} == shown


@pytest.fixture
def three_crowds() -> Callable[[list[float]], tuple[Dataset, Predictions]]:
    """One person an image; the prediction is exact in the first image, far off elsewhere."""

    def make(crowd_index: list[float]) -> tuple[Dataset, Predictions]:
        schema = Schema.load("crowdpose")
        count = len(crowd_index)
        ids = np.arange(1, count + 1)
        images = Images(
            ids=ids,
            file_names=tuple(f"{i}.jpg" for i in ids),
            size_wh=np.full((count, 2), 100),
            clips=(None,) * count,
            frames=np.full(count, -1),
            crowd_index=np.array(crowd_index),
        )
        points = np.tile(np.linspace(10, 60, 28).reshape(1, 14, 2), (count, 1, 1))
        people = Annotations.from_arrays(
            schema,
            ids,
            points,
            np.full((count, 14), 2),
            np.tile([10.0, 10, 50, 50], (count, 1)),
        )
        points = points.copy()
        points[1:] += 1000
        predictions = Predictions.from_arrays(
            schema, ids, points, scores=np.linspace(0.9, 0.5, count)
        )
        return Dataset(schema, images, people), predictions

    return make


def test_bands_part_the_images_by_crowd_index_below_and_at_the_limits(
    three_crowds: Callable[[list[float]], tuple[Dataset, Predictions]],
) -> None:
    found = evaluate(*three_crowds([0.19, 0.2, 0.8, 3.02]), metrics=["AP"])

    assert found.settings["bands"]["images"] == {"easy": 1, "medium": 1, "hard": 2}
    assert found.metrics["APE"] == pytest.approx(1)
    assert found.metrics["APM"] == 0
    assert found.metrics["APH"] == 0


def test_limits_of_the_bands_can_be_moved(
    three_crowds: Callable[[list[float]], tuple[Dataset, Predictions]],
) -> None:
    found = evaluate(*three_crowds([0.15, 0.2, 0.8]), metrics=["AP"], bands=(0.1, 0.8))

    assert found.settings["bands"]["limits"] == [0.1, 0.8]
    assert found.metrics["APE"] is None
    assert found.metrics["APM"] == pytest.approx(0.504950495)  # precision 1 to recall 1/2


@pytest.mark.parametrize("bad", [np.nan, -0.1], ids=["missing", "negative"])
def test_an_unusable_crowd_index_is_listed_and_the_bands_are_null(
    three_crowds: Callable[[list[float]], tuple[Dataset, Predictions]], bad: float
) -> None:
    found = evaluate(*three_crowds([0.1, bad, 0.9]), "crowdpose", metrics=["AP"])

    assert found.settings["bands"]["images_without_crowd_index"] == [2]
    assert [found.metrics[name] for name in ("APE", "APM", "APH")] == [None] * 3
    assert found.metrics["AP"] is not None
    assert any("1 images (2)" in note for note in found.notes)


@pytest.mark.parametrize("engine", ["hotcoco", "pycocotools"])
def test_other_engines_give_the_same_bands(
    three_crowds: Callable[[list[float]], tuple[Dataset, Predictions]], engine: str
) -> None:
    truth, predictions = three_crowds([0.1, 0.3, 0.9, 0.15])

    ours = evaluate(truth, predictions, metrics=["AP"])
    theirs = evaluate(truth, predictions, metrics=["AP"], engine=engine)

    assert theirs.metrics == pytest.approx(ours.metrics, abs=1e-12)
    assert engine in theirs.versions


def test_every_band_has_an_interval_or_null(
    three_crowds: Callable[[list[float]], tuple[Dataset, Predictions]],
) -> None:
    found = evaluate(*three_crowds([0.1, 0.15, 0.3]), metrics=["AP"], bootstrap=200)

    assert set(found.intervals) == set(found.metrics)
    assert found.intervals["APH"] is None
    low, high = found.intervals["APE"] or (-1.0, -1.0)
    assert (low, high) == pytest.approx((0, 1), abs=1e-6)
    assert found.intervals["APM"] == (0, 0)


def test_results_whose_keypoint_scores_are_all_zero_are_left_out_as_the_authors_do(
    three_crowds: Callable[[list[float]], tuple[Dataset, Predictions]],
) -> None:
    truth, predictions = three_crowds([0.1, 0.3])
    confidence = predictions.keypoint_scores.copy()
    confidence[0] = 0

    found = evaluate(
        truth, replace(predictions, keypoint_scores=confidence), "crowdpose", metrics=["AP"]
    )

    assert found.metrics["AP"] == 0
    assert found.settings["ignored"]["detections_with_all_keypoint_scores_zero"] == 1
    assert any(
        note.startswith("1 result with keypoint scores that are") for note in found.notes
    )
