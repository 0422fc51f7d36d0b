"""Three controls: what is known without reading the image, or from the body alone.

* Mean pose: the mean training pose in box units, stretched to each box.
* Body-to-stick: an MLP that gives the extension keypoints from the TRUE body joints. It has
  seen part of the answer (no network has true joints), so it measures how much of the stick
  a body gives away. Its body columns are the truth it was given.
* Body-to-stick, predicted: the same from the joints that hrnet-small predicts on the human's
  box, trained on such predictions too: the fair one.

Joints go in as (p - centre of the box) / height of the box; a joint that is not labelled, or
that a data set's schema does not have (faces in lacrosse), is marked as absent. Training
drops joints at random, so absence at prediction is nothing new.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.checkpoints import (
    load_weights,
    read_facts,
    read_tensors,
    save_checkpoint,
    schema_from_facts,
    schema_to_facts,
)
from baselines.crops import require_boxes
from baselines.requests import generator_of, with_sha256
from baselines.run_state import check_no_weights
from toolkit.annotations import Predictions
from toolkit.code_version import code_version
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError
from toolkit.files import make_folder, sha256_file
from toolkit.formats import read
from toolkit.geometry import points_from_box, points_to_box
from toolkit.models import PoseModel, TrainRequest
from toolkit.processes import choose_device
from toolkit.schema import Schema

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]
JOINTS = "joints.safetensors"  # beside a control that has a network of its own
EPOCHS, BATCH, LEARNING_RATE, DROP = 60, 256, 2e-3, 0.1


class MeanPose(nn.Module):
    """K mean places in box units."""

    def __init__(self, num_keypoints: int) -> None:
        """All at the box's corner until fitted."""
        super().__init__()
        self.register_buffer("places", torch.zeros(num_keypoints, 2))


class BodyToStick(nn.Module):
    """An MLP from body joints to extension keypoints.

    Args:
        body: Number of body joints.
        extension: Number of extension keypoints.
        width: Hidden units.
    """

    def __init__(self, body: int, extension: int, *, width: int = 256) -> None:
        """Three hidden layers."""
        super().__init__()
        self.extension = extension
        self.layers = nn.Sequential(
            nn.Linear(3 * body, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 2 * extension),
        )

    def forward(self, joints: Tensor, known: Tensor) -> Tensor:
        """Extension keypoints.

        Args:
            joints: (B, J, 2) relative to the box; anything where not known.
            known: (B, J) bool.

        Returns:
            (B, X, 2) relative to the box.
        """
        values = torch.where(known[..., None], joints, torch.zeros_like(joints))
        inputs = torch.cat([values.flatten(1), known.to(values.dtype)], dim=1)
        out: Tensor = self.layers(inputs)
        return out.reshape(len(joints), self.extension, 2)


@dataclass(frozen=True)
class Control:
    """How one control is loaded and trained."""

    load: Callable[[Path, str], PoseModel]
    train: Callable[[TrainRequest], Path]


class ControlModel:
    """A control behind the toolkit's `PoseModel` protocol."""

    def __init__(self, path: Path, device: str) -> None:
        """Read a control's checkpoint.

        Raises:
            UnsafeInputError: The file is a pickle.
            ReadError: It cannot be read, or its tensors do not fit.
            UsageError: It holds a model that is no control.
        """
        tensors = read_tensors(path)
        self.facts: dict[str, object] = read_facts(path)
        self.facts["checkpoint_sha256"] = sha256_file(path)
        self.folder = path.parent
        self.schema: Schema = schema_from_facts(path, self.facts)
        self.name = str(self.facts.get("model", path.stem))
        if self.name not in CONTROLS:
            raise UsageError(
                f"{path}: holds model '{self.name}', not one of {', '.join(CONTROLS)}; name "
                "that model instead"
            )
        is_extension = self.schema.is_extension
        self.network: nn.Module
        if self.name == "mean-pose":
            self.network = MeanPose(self.schema.num_keypoints)
        else:
            self.network = BodyToStick(int((~is_extension).sum()), int(is_extension.sum()))
        load_weights(path, self.network, tensors)
        self.network.eval()
        self.num_parameters = sum(v.numel() for v in self.network.state_dict().values())
        self.device = device

    def predict(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        boxes: Floats | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Predictions:
        """Predict every instance; see `toolkit.models.PoseModel`."""
        people = dataset.annotations
        chosen = people.bbox_xywh if boxes is None else boxes
        if isinstance(self.network, MeanPose):
            places = self.network.get_buffer("places").double().numpy()
            points = points_from_box(np.tile(places, (len(people), 1, 1)), chosen)
        else:
            joints = self._joints(dataset, images_dir, boxes, batch_size, progress)
            points = complete(self.network, self.schema, joints, chosen)
        return Predictions.from_arrays(
            self.schema,
            people.image_id,
            points,
            scores=np.ones(len(people)),
            keypoint_scores=np.ones(points.shape[:2]),
            annotation_id=people.instance_id,
            bbox_xywh=chosen,
            category_id=people.category_id,
            model=self.name,
        )

    def _joints(
        self,
        dataset: Dataset,
        images_dir: Path,
        boxes: Floats | None,
        batch_size: int,
        progress: Progress | None,
    ) -> Floats:
        """(N, K, 2) body joints in px, NaN where unknown: the true or the predicted ones."""
        if self.name == "body-to-stick":
            mapping = dataset.schema.mapping_to(self.schema)
            points = np.full((len(dataset.annotations), self.schema.num_keypoints, 2), np.nan)
            points[:, mapping.target_index] = dataset.annotations.keypoints[
                :, mapping.source_index
            ]
            return points
        from baselines import HRNET_SMALL  # at run time: the package's own entries

        own = self.folder / JOINTS
        network = HRNET_SMALL.load(
            own if self.facts.get("joints") else self.schema.name, self.device
        )
        network.schema.require_same_keypoints(
            self.schema,
            f"the '{network.name}' that gives the joints",
            f"fit '{self.name}' anew to the joints of a network that has these keypoints",
        )
        return network.predict(
            dataset, images_dir, boxes=boxes, batch_size=batch_size, progress=progress
        ).keypoints


def complete(network: nn.Module, schema: Schema, joints: Floats, boxes: Floats) -> Floats:
    """Joints with the network's extension keypoints beside them.

    Args:
        network: A `BodyToStick`.
        schema: K keypoints.
        joints: (N, K, 2) px; extension columns are not looked at.
        boxes: (N, 4) xywh px.

    Returns:
        (N, K, 2) px; a body joint that is not known stands at the box's centre.
    """
    body = ~schema.is_extension
    inputs, known = _inputs(joints[:, body], boxes)
    with torch.inference_mode():
        sticks = network(inputs, known).double().numpy()
    center = boxes[:, None, :2] + boxes[:, None, 2:] / 2
    points = np.where(np.isnan(joints), center, joints)
    points[:, ~body] = sticks * boxes[:, None, 3:] + center
    return points


def _inputs(joints: Floats, boxes: Floats) -> tuple[Tensor, Tensor]:
    relative = _relative(joints, boxes)
    known = np.isfinite(relative).all(axis=2)
    return torch.from_numpy(np.nan_to_num(relative)).float(), torch.from_numpy(known)


def _relative(points: Floats, boxes: Floats) -> Floats:
    center = boxes[:, None, :2] + boxes[:, None, 2:] / 2
    return (points - center) / boxes[:, None, 3:]


def fit_body_to_stick(
    schema: Schema, joints: Floats, truth: Floats, boxes: Floats, *, seed: int
) -> BodyToStick:
    """Train the MLP; a few seconds.

    Args:
        schema: K keypoints.
        joints: (N, K, 2) px what it is given (true or predicted).
        truth: (N, K, 2) px, NaN where unlabelled.
        boxes: (N, 4) xywh px.
        seed: Of weights, order, mirroring and dropped joints.

    Returns:
        The network in evaluation mode.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    extension = torch.from_numpy(schema.is_extension)
    inputs, known = _inputs(joints, boxes)
    goal, labelled = _inputs(truth, boxes)
    flip = torch.from_numpy(schema.flip_index)
    network = BodyToStick(int((~extension).sum()), int(extension.sum()))
    steps = max(1, EPOCHS * len(inputs) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=min(0.1, 2 / (steps + 2))
    )
    for _ in range(steps):
        rows = torch.randint(len(inputs), (BATCH,), generator=generator)
        mirrored = torch.rand(BATCH, generator=generator) < 0.5
        seen = torch.rand(BATCH, len(extension), generator=generator) >= DROP
        x, k = _mirror(inputs[rows], known[rows] & seen, flip, mirrored)
        y, w = _mirror(goal[rows], labelled[rows], flip, mirrored)
        error = (network(x[:, ~extension], k[:, ~extension]) - y[:, extension]).abs().sum(2)
        wanted = w[:, extension]
        loss = (error * wanted).sum() / wanted.sum().clamp_min(1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def _mirror(
    points: Tensor, known: Tensor, flip: Tensor, mirrored: Tensor
) -> tuple[Tensor, Tensor]:
    """Some rows mirrored: partners change places, x changes its sign."""
    flipped = points[:, flip] * points.new_tensor([-1.0, 1.0])
    return (
        torch.where(mirrored[:, None, None], flipped, points),
        torch.where(mirrored[:, None], known[:, flip], known),
    )


def _train_mean(request: TrainRequest) -> Path:
    dataset = _read(request, "mean-pose")
    people = dataset.annotations
    seen = np.isfinite(people.keypoints).all(axis=2).any(axis=0)  # (K,)
    bare = [dataset.schema.names[k] for k in np.flatnonzero(~seen)]
    if bare:
        raise InvalidDataError(
            f"{dataset.name}: nobody has a labelled {', '.join(bare)}, so they have no mean; "
            "give annotations that label each at least once, or a --schema without them"
        )
    make_folder(request.out)
    units = points_to_box(people.keypoints, people.bbox_xywh)
    network = MeanPose(dataset.schema.num_keypoints)
    network.get_buffer("places").copy_(torch.from_numpy(np.nanmean(units, axis=0)))
    return _save(network, "mean-pose", dataset, request, images_seen=0)


def _train_true(request: TrainRequest) -> Path:
    dataset = _read(request, "body-to-stick")
    make_folder(request.out)
    people = dataset.annotations
    network = fit_body_to_stick(
        dataset.schema,
        people.keypoints,
        people.keypoints,
        people.bbox_xywh,
        seed=request.seed,
    )
    return _save(network, "body-to-stick", dataset, request, images_seen=0)


def _train_predicted(request: TrainRequest) -> Path:
    """Trained on the joints that hrnet-small predicts for these people.

    It is the shipped one, or the checkpoint `request.joints`: that one is copied beside the
    control, which then is a whole of its own.
    """
    from baselines import HRNET_SMALL  # at run time: the package's own entries

    dataset = _read(request, "body-to-stick-predicted")
    device = choose_device(request.device)
    hrnet = HRNET_SMALL.load(request.joints or dataset.schema.name, device)
    hrnet.schema.require_same_keypoints(
        dataset.schema,
        str(request.joints or hrnet.name),
        "train hrnet-small on these keypoints and name it as the request's 'joints'",
    )
    make_folder(request.out)
    joints = hrnet.predict(dataset, request.images, progress=request.progress).keypoints
    people = dataset.annotations
    network = fit_body_to_stick(
        dataset.schema, joints, people.keypoints, people.bbox_xywh, seed=request.seed
    )
    seen = int(str(hrnet.facts.get("images_seen", 0)))
    if request.joints is not None:
        for suffix in (".safetensors", ".json"):
            shutil.copyfile(
                request.joints.with_suffix(suffix), (request.out / JOINTS).with_suffix(suffix)
            )
    return _save(
        network,
        "body-to-stick-predicted",
        dataset,
        request,
        images_seen=seen,
        joints=None if request.joints is None else str(hrnet.facts["checkpoint_sha256"]),
    )


def _read(request: TrainRequest, name: str) -> Dataset:
    """What a control is fitted to; all that can be wrong is told before the fit.

    Raises:
        OutputExistsError: The folder holds weights.
        UsageError: There is nothing to train on, or no extension keypoint to predict.
        InvalidDataError: A box is missing, not finite or empty.
    """
    check_no_weights(request.out, name)
    dataset = with_sha256(read(request.data, request.schema), request.data)
    if not len(dataset.annotations):
        raise UsageError(f"{request.data}: no annotations to train on")
    if name != "mean-pose" and not dataset.schema.is_extension.any():
        raise UsageError(
            f"schema '{dataset.schema.name}' has no extension keypoints; '{name}' has nothing "
            "to predict there"
        )
    require_boxes(dataset)
    return dataset


def _save(
    network: nn.Module,
    name: str,
    dataset: Dataset,
    request: TrainRequest,
    *,
    images_seen: int,
    joints: str | None = None,
) -> Path:
    path = request.out / "best.safetensors"
    facts: dict[str, object] = {
        "model": name,
        "schema": schema_to_facts(dataset.schema),
        "recipe": {"epochs": EPOCHS, "batch": BATCH, "learning_rate": LEARNING_RATE},
        "seed": request.seed,
        "images_seen": images_seen,
        "data_sha256": dataset.sha256,
        "generator": generator_of(dataset),
        "training_instances": len(dataset.annotations),
        "code_version": code_version(),
        "num_parameters": sum(v.numel() for v in network.state_dict().values()),
        "text_encoder": None,
        "box": "none",
        "joints": joints,
    }
    save_checkpoint(path, network, facts, force=True)
    return path


CONTROLS: Mapping[str, Control] = {
    "mean-pose": Control(ControlModel, _train_mean),
    "body-to-stick": Control(ControlModel, _train_true),
    "body-to-stick-predicted": Control(ControlModel, _train_predicted),
}
