"""The pre-annotator with the real mediapipe, on photographs and on practice data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.formats import read, read_predictions, scan, write_predictions
from toolkit.metrics.oks import OksTruth, pair_oks
from toolkit.models import PoseModel, TrainRequest
from toolkit.preannotate import MEDIAPIPE


@pytest.fixture(scope="module")
def for_coco() -> PoseModel:
    """The pre-annotator; where it is missing, 'make test' sets it up."""
    return MEDIAPIPE.load("coco", "cpu")


@pytest.fixture(scope="module")
def sample(root: Path) -> tuple[Dataset, Path]:
    """Six people of the hockey sample."""
    folder = root / "datasets" / "hockey" / "sample"
    dataset = read(folder / "annotations.json")
    return dataset.subset(slice(0, 6)), folder / "images"


def test_bodies_land_on_the_people_of_real_photographs(
    shared_data: Path, for_coco: PoseModel
) -> None:
    folder = shared_data / "mmpose" / "coco"
    dataset = scan(folder / "test_coco.json").dataset
    people = dataset.annotations

    found = for_coco.predict(dataset, folder)

    truth = OksTruth(
        np.nan_to_num(people.keypoints),
        people.labelled,
        people.bbox_xywh,
        people.area,
        dataset.schema.sigmas,
    )
    rows = np.arange(len(people))
    oks = pair_oks(truth, found.keypoints, rows, rows)[people.labelled.any(axis=1)]
    assert len(oks) == 12
    assert oks.mean() > 0.72, oks  # 0.77 measured
    assert (oks > 0.5).sum() >= 11


def test_people_who_are_not_there_get_score_zero(
    sample: tuple[Dataset, Path], for_coco: PoseModel
) -> None:
    dataset, images = sample
    people = dataset.annotations
    boxes = people.bbox_xywh.copy()
    boxes[0] = [-400, -400, 60, 120]  # beside the picture: black
    told = []

    found = for_coco.predict(
        dataset, images, boxes=boxes, progress=lambda done, total: told.append((done, total))
    )

    assert found.scores[0] == 0
    assert (found.scores[1:] > 0).any()
    assert np.isfinite(found.keypoints).all()
    assert told[-1] == (6, 6)


def test_sticks_come_from_the_checkpoint_and_bodies_from_mediapipe(
    sample: tuple[Dataset, Path], tmp_path: Path
) -> None:
    from toolkit.models import get_model

    dataset, images = sample
    model = MEDIAPIPE.load("hockey", "cpu")
    own = get_model("tokenclipose-small").load("hockey", "cpu").predict(dataset, images)

    found = model.predict(dataset, images)

    stick = dataset.schema.is_extension
    assert np.array_equal(found.keypoints[:, stick], own.keypoints[:, stick])
    assert not np.array_equal(found.keypoints[:, ~stick], own.keypoints[:, ~stick])
    assert found.annotation_id.tolist() == dataset.annotations.instance_id.tolist()
    assert model.facts["mediapipe"] == "0.10.14"
    assert model.num_parameters is None  # nobody has counted mediapipe's: no number in a table
    write_predictions(found, tmp_path / "p.json")
    again = read_predictions(tmp_path / "p.json", dataset.schema)
    assert np.array_equal(again.keypoints, found.keypoints)


def test_nobody_to_look_at_is_no_error(
    sample: tuple[Dataset, Path], for_coco: PoseModel
) -> None:
    dataset, images = sample
    nobody = dataset.subset(slice(0, 0))

    assert len(for_coco.predict(nobody, images)) == 0


@pytest.mark.parametrize("name", ["tennis", "weights.safetensors"])
def test_what_is_no_schema_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"has no weights '{name}'; wanted a schema: coco"):
        MEDIAPIPE.load(name, "cpu")


def test_it_cannot_be_trained(tmp_path: Path) -> None:
    request = TrainRequest(data=tmp_path, images=tmp_path, out=tmp_path)

    with pytest.raises(UsageError, match="cannot be trained"):
        MEDIAPIPE.train(request)


@pytest.mark.parametrize("schema", ["crowdpose", "lacrosse"])
def test_other_schemas_are_served(schema: str, toolkit_cli: Callable, tmp_path: Path) -> None:
    done = toolkit_cli(
        "synth", schema, tmp_path / "d", "--instances", 3, "--seed", 5, "--workers", 1
    )
    assert done.exit_code == 0
    dataset = read(tmp_path / "d" / "annotations.json")

    found = MEDIAPIPE.load(schema, "cpu").predict(dataset, tmp_path / "d" / "images")

    assert found.schema.name == schema
    assert np.isfinite(found.keypoints).all()
