"""The controls: what they are given and what they may look at."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines import BODY_TO_STICK, BODY_TO_STICK_PREDICTED, MEAN_POSE
from baselines.checkpoints import save_checkpoint, schema_to_facts
from baselines.config import TrainConfig
from baselines.controls import (
    JOINTS,
    BodyToStick,
    ControlModel,
    MeanPose,
    fit_body_to_stick,
)
from baselines.family import HEATMAP
from baselines.run_state import STATE
from toolkit.annotations import Annotations
from toolkit.dataset import Dataset
from toolkit.errors import (
    InvalidDataError,
    OutputExistsError,
    ReadError,
    SchemaError,
    UsageError,
)
from toolkit.formats import write
from toolkit.models import ModelEntry, TrainRequest
from toolkit.schema import Schema

NOWHERE = Path("no images are read")


def saved(network: torch.nn.Module, name: str, schema: Schema, folder: Path) -> ControlModel:
    path = folder / "best.safetensors"
    facts = {"model": name, "schema": schema_to_facts(schema)}
    save_checkpoint(path, network, facts, force=True)
    return ControlModel(path, "cpu")


def test_the_mean_pose_is_stretched_to_each_box(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, _ = people
    network = MeanPose(20)
    network.get_buffer("places")[:] = torch.tensor([0.5, 0.25])
    predictions = saved(network, "mean-pose", dataset.schema, tmp_path).predict(
        dataset, NOWHERE
    )
    # Boxes (20, 20, 40, 60) and (100, 20, 40, 60).
    assert predictions.keypoints[0].tolist() == [[40, 35]] * 20
    assert predictions.keypoints[1].tolist() == [[120, 35]] * 20
    assert predictions.annotation_id.tolist() == list(range(1, 9))


def test_body_to_stick_returns_the_joints_it_was_given(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, _ = people
    model = saved(BodyToStick(17, 3), "body-to-stick", dataset.schema, tmp_path)
    predictions = model.predict(dataset, NOWHERE)
    body = ~dataset.schema.is_extension
    truth = dataset.annotations.keypoints
    assert np.array_equal(predictions.keypoints[:, body], truth[:, body])
    assert np.isfinite(predictions.keypoints).all()


def test_body_to_stick_never_looks_at_the_true_stick(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    dataset, _ = people
    model = saved(BodyToStick(17, 3), "body-to-stick", dataset.schema, tmp_path)
    people_ = dataset.annotations
    moved = people_.keypoints.copy()
    moved[:, dataset.schema.is_extension] += 1000
    other = Dataset(
        dataset.schema,
        dataset.images,
        Annotations.from_arrays(
            dataset.schema, people_.image_id, moved, people_.visibility, people_.bbox_xywh
        ),
    )
    first, second = (model.predict(d, NOWHERE).keypoints for d in (dataset, other))
    assert np.array_equal(first, second)


def test_joints_that_a_schema_lacks_are_marked_as_absent(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    """Lacrosse has no face: the hockey control runs, and gives hockey's keypoints."""
    dataset, _ = people
    lacrosse = Schema.load("lacrosse")
    mapping = dataset.schema.mapping_to(lacrosse)
    order = mapping.source_index[np.argsort(mapping.target_index)]
    people_ = dataset.annotations
    other = Dataset(
        lacrosse,
        dataset.images,
        Annotations.from_arrays(
            lacrosse,
            people_.image_id,
            people_.keypoints[:, order],
            people_.visibility[:, order],
            people_.bbox_xywh,
        ),
    )
    model = saved(BodyToStick(17, 3), "body-to-stick", dataset.schema, tmp_path)
    predictions = model.predict(other, NOWHERE)
    assert predictions.schema == dataset.schema
    assert np.isfinite(predictions.keypoints).all()
    nose = predictions.keypoints[0, dataset.schema.index("nose")]
    assert nose.tolist() == [40, 50], "the box's centre"


def test_a_stick_that_follows_from_the_body_is_learned() -> None:
    """The stick's three points lie at fixed offsets from the left wrist."""
    schema = Schema.load("hockey")
    rng = np.random.default_rng(0)
    boxes = np.tile([0.0, 0.0, 50.0, 100.0], (400, 1))
    truth = rng.random((400, 20, 2)) * [50, 100]
    wrists = [schema.index("left_wrist"), schema.index("right_wrist")]
    truth[:, schema.is_extension] = truth[:, wrists].mean(axis=1, keepdims=True)
    network = fit_body_to_stick(schema, truth, truth, boxes, seed=0)
    body = torch.from_numpy(~schema.is_extension)
    relative = torch.from_numpy((truth - [25, 50]) / 100).float()
    with torch.inference_mode():
        found = network(relative[:, body], torch.ones(400, 17, dtype=torch.bool))
    error = (found - relative[:, ~body]).norm(dim=2)
    assert error.mean() < 0.03


def test_a_control_of_another_shape_is_refused(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    schema = people[0].schema
    with pytest.raises(ReadError, match=r"tensor 'layers.0.weight' has shape"):
        saved(BodyToStick(12, 3), "body-to-stick", schema, tmp_path)


def saved_hrnet(schema: Schema, folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    config = TrainConfig()
    facts = {"schema": schema_to_facts(schema), "recipe": config.to_dict()}
    path = folder / "best.safetensors"
    folder.mkdir(exist_ok=True)
    network = HEATMAP.build(schema, config, None)
    save_checkpoint(path, network, {"model": "hrnet-small", **facts}, force=True)
    return path


def fit(control: ModelEntry, dataset: Dataset, folder: Path, **options: object) -> Path:
    """Fit a control to a data set; its weights go to the folder `run`."""
    write(dataset, folder / "people.json", force=True)
    given = {"images": NOWHERE, "schema": dataset.schema.name, **options}
    return control.train(TrainRequest(data=folder / "people.json", out=folder / "run", **given))


CONTROLS = (MEAN_POSE, BODY_TO_STICK, BODY_TO_STICK_PREDICTED)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
@pytest.mark.parametrize("held", ["best.safetensors", "last.safetensors", STATE])
def test_a_control_is_not_fitted_over_other_weights(
    people: tuple[Dataset, Path], tmp_path: Path, control: ModelEntry, held: str
) -> None:
    path = tmp_path / "run" / held
    path.parent.mkdir()
    path.write_bytes(b"precious")
    with pytest.raises(OutputExistsError, match=f"run: holds '{held}', which .* another --out"):
        fit(control, people[0], tmp_path)
    assert path.read_bytes() == b"precious"


def test_a_keypoint_that_nobody_has_labelled_has_no_mean(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    """The mean would be no number, and the checkpoint could not be read again."""
    dataset, _ = people
    annotations = dataset.annotations
    keypoints, visibility = annotations.keypoints.copy(), annotations.visibility.copy()
    keypoints[:, [0, 19]], visibility[:, [0, 19]] = np.nan, 0
    bare = replace(
        dataset, annotations=replace(annotations, keypoints=keypoints, visibility=visibility)
    )
    names = f"{dataset.schema.names[0]}, {dataset.schema.names[19]}"
    with pytest.raises(InvalidDataError, match=f"nobody has a labelled {names}, so they have"):
        fit(MEAN_POSE, bare, tmp_path)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_control_is_not_fitted_to_an_empty_box(
    people: tuple[Dataset, Path], tmp_path: Path, control: ModelEntry
) -> None:
    dataset, _ = people
    boxes = dataset.annotations.bbox_xywh.copy()
    boxes[2, 2] = 0
    empty = replace(dataset, annotations=replace(dataset.annotations, bbox_xywh=boxes))
    with pytest.raises(InvalidDataError, match=r"1 unusable boxes.*annotation id=3: bbox"):
        fit(control, empty, tmp_path)


@pytest.mark.parametrize(
    "control", [BODY_TO_STICK, BODY_TO_STICK_PREDICTED], ids=lambda control: control.name
)
def test_a_schema_without_a_stick_is_refused_before_anything_is_predicted(
    people: tuple[Dataset, Path], tmp_path: Path, control: ModelEntry
) -> None:
    """There are no weights of hrnet-small for coco either: that would be told later."""
    dataset, _ = people
    annotations, coco = dataset.annotations, Schema.load("coco")
    body = replace(
        dataset,
        schema=coco,
        annotations=replace(
            annotations,
            schema=coco,
            keypoints=annotations.keypoints[:, :17],
            visibility=annotations.visibility[:, :17],
        ),
    )
    with pytest.raises(UsageError, match="'coco' has no extension keypoints; 'body-to-stick"):
        fit(control, body, tmp_path)


def test_joints_of_a_network_with_other_keypoints_are_refused(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    """The same names in another order would put each joint in another one's place."""
    dataset, images = people
    keypoints = dataset.schema.keypoints
    turned = replace(dataset.schema, keypoints=(*keypoints[1:], keypoints[0]))
    other = saved_hrnet(turned, tmp_path / "hrnet")
    refused = r"'hockey' with 20 keypoints, not of 'hockey' with 20 \(in another order\)"
    with pytest.raises(SchemaError, match=f"best.safetensors: is of schema {refused}"):
        fit(BODY_TO_STICK_PREDICTED, dataset, tmp_path, images=images, joints=other)

    own = saved_hrnet(dataset.schema, tmp_path / "hrnet")
    path = fit(BODY_TO_STICK_PREDICTED, dataset, tmp_path, images=images, joints=own)
    other = saved_hrnet(turned, tmp_path / "hrnet")
    for suffix in (".safetensors", ".json"):
        shutil.copyfile(other.with_suffix(suffix), (path.parent / JOINTS).with_suffix(suffix))
    control = BODY_TO_STICK_PREDICTED.load(path, "cpu")
    with pytest.raises(SchemaError, match=f"gives the joints: is of schema {refused}"):
        control.predict(dataset, images)


def test_predicted_joints_come_from_the_checkpoint_that_was_named(
    people: tuple[Dataset, Path], tmp_path: Path
) -> None:
    """The named HRNet travels with the control: other joints, other sticks."""
    dataset, images = people
    write(dataset, tmp_path / "people.json")
    found = {}
    for seed in (0, 1):
        joints = saved_hrnet(dataset.schema, tmp_path / f"hrnet{seed}", seed)
        request = TrainRequest(
            data=tmp_path / "people.json",
            images=images,
            out=tmp_path / f"{seed}",
            joints=joints,
        )
        path = BODY_TO_STICK_PREDICTED.train(request)
        joints.unlink()  # the control is a whole of its own
        found[seed] = BODY_TO_STICK_PREDICTED.load(path, "cpu").predict(dataset, images)
    body = ~dataset.schema.is_extension
    assert not np.allclose(found[0].keypoints[:, body], found[1].keypoints[:, body])
