"""Keypoint R-CNN: boxes and keypoints of all people of a frame by one network.

Source: He et al., "Mask R-CNN", ICCV 2017; the network, its losses and its decoding are
torchvision's (BSD-3-Clause). Two ways to ask it:

* as a model, for given boxes: the keypoint head looks at each box, so that one answer stands
  for each annotation, as with every top-down network;
* as a detector (`--boxes keypoint-rcnn=FILE`), for the boxes that it finds itself.

Its maps reach over the box: what lies outside the box has no target and is never answered.
`toolkit export` cannot write it: it takes frames, not crops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.keypoint_rcnn import (
    KeypointRCNN,
    KeypointRCNNHeads,
    KeypointRCNNPredictor,
)
from torchvision.models.detection.roi_heads import keypointrcnn_inference
from torchvision.models.detection.transform import resize_boxes, resize_keypoints
from torchvision.ops import MultiScaleRoIAlign

from baselines.checkpoints import (
    load_weights,
    read_facts,
    read_tensors,
    save_checkpoint,
    schema_from_facts,
    schema_to_facts,
)
from baselines.crops import require_boxes
from baselines.detector import ONE_FRAME, DetectorConfig, Maps, config_of
from baselines.detector_training import fit, load_frames, training_facts
from baselines.precision import whole_float32, within_memory
from baselines.requests import with_sha256
from baselines.run_state import check_no_weights
from baselines.torchvision_weights import freeze_batchnorm
from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import ReadError, UsageError
from toolkit.files import make_folder, sha256_file
from toolkit.formats import read
from toolkit.images import load_image, resolve_images
from toolkit.models import Progress, TrainRequest
from toolkit.processes import choose_device
from toolkit.schema import Schema

NAME = "keypoint-rcnn"
BACKBONES = ("resnet50", "hrnet-small")
LAST_LAYER = "roi_heads.keypoint_predictor."


@dataclass(frozen=True)
class KeypointRCNNConfig(DetectorConfig):
    """As `DetectorConfig`; frames of 640 px, a rate for weights to start from (`--init`).

    Attributes:
        backbone: `resnet50`, torchvision's; or `hrnet-small`, which a CPU trains.
        frozen_eps: BatchNorm stays as the weights have it, with this `eps`, as torchvision
            builds the network for its weights; None where it is learned from nothing.
    """

    input_wh: tuple[int, int] = (640, 384)
    images_seen: int = 200_000
    learning_rate: float = 2e-4
    backbone: str = "resnet50"
    frozen_eps: float | None = None


def build_keypoint_rcnn(num_keypoints: int, config: KeypointRCNNConfig) -> KeypointRCNN:
    """An untrained network of one class with K keypoints."""
    width, height = config.input_wh
    sizes = {"min_size": height, "max_size": width}
    if config.backbone == "resnet50":
        network: KeypointRCNN = detection.keypointrcnn_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=2,
            num_keypoints=num_keypoints,
            **sizes,
        )
        if config.frozen_eps is not None:
            freeze_batchnorm(network, config.frozen_eps)
        return network
    names = ["0", "1", "2"]
    return KeypointRCNN(
        Maps(config.dim),
        num_classes=2,
        rpn_anchor_generator=AnchorGenerator(((32,), (64,), (128,)), ((0.5, 1.0, 2.0),) * 3),
        box_roi_pool=MultiScaleRoIAlign(names, 7, 2),
        keypoint_roi_pool=MultiScaleRoIAlign(names, 14, 2),
        keypoint_head=KeypointRCNNHeads(config.dim, (config.dim,) * 4),
        keypoint_predictor=KeypointRCNNPredictor(config.dim, num_keypoints),
        rpn_post_nms_top_n_train=200,
        box_batch_size_per_image=64,
        **sizes,
    )


class KeypointRCNNModel:
    """Keypoint R-CNN behind the toolkit's `PoseModel` protocol, for given boxes.

    Attributes:
        name: Of the model.
        schema: Whose keypoints it predicts.
        num_parameters: Of the network.
        facts: What stands beside the weights.
    """

    def __init__(self, path: Path, device: str) -> None:
        """Read a checkpoint and its facts.

        Raises:
            UnsafeInputError: The file is a pickle.
            ReadError: It cannot be read, or its tensors do not fit its facts.
        """
        tensors, facts = read_tensors(path), read_facts(path)
        config = _config_of(path, facts)
        self.name, self.schema, self.device = NAME, schema_from_facts(path, facts), device
        self.net: Any = build_keypoint_rcnn(self.schema.num_keypoints, config)
        load_weights(path, self.net, tensors)
        self.net.to(device).eval()
        self.num_parameters = sum(p.numel() for p in self.net.parameters())
        self.facts: dict[str, object] = {
            **facts,
            "box": "human",
            "checkpoint_sha256": sha256_file(path),
        }

    def predict(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        boxes: NDArray[np.float64] | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Predictions:
        """Predict every instance; see `toolkit.models.PoseModel`. Frames go one by one."""
        people, images = dataset.annotations, dataset.images
        given = require_boxes(dataset) if boxes is None else boxes
        count, keypoints = len(people), self.schema.num_keypoints
        points, scores = np.full((count, keypoints, 2), np.nan), np.zeros((count, keypoints))
        frames = np.unique(dataset.image_row)
        names = [images.file_names[frame] for frame in frames]
        paths = resolve_images(images_dir, names, images.ids[frames].tolist())
        done = 0
        for frame, path in zip(frames, paths, strict=True):
            rows = np.flatnonzero(dataset.image_row == frame)
            points[rows], scores[rows] = self._look(load_image(path), given[rows])
            done += len(rows)
            if progress is not None:
                progress(done, count)
        return Predictions.from_arrays(
            self.schema,
            people.image_id,
            points,
            scores=scores.mean(axis=1),
            keypoint_scores=scores,
            annotation_id=people.instance_id,
            bbox_xywh=given,
            category_id=people.category_id,
            model=self.name,
        )

    def _look(
        self, pixels: NDArray[np.uint8], boxes_xywh: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Keypoints (n, K, 2) in image px and scores (n, K) of n boxes of one frame.

        Raises:
            ResourceError: The GPU has not the memory for it.
        """
        net = self.net
        corners = np.concatenate([boxes_xywh[:, :2], boxes_xywh[:, :2] + boxes_xywh[:, 2:]], 1)
        with within_memory(self.device, ONE_FRAME), torch.inference_mode(), whole_float32():
            image = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device)
            tensor = image.permute(2, 0, 1).float() / 255
            batch, _ = net.transform([tensor])
            size, old = batch.image_sizes[0], tensor.shape[-2:]
            boxes = torch.from_numpy(corners).float().to(self.device)
            boxes = resize_boxes(boxes, old, size)  # (n, 4) xyxy
            features = net.backbone(batch.tensors)
            heads = net.roi_heads
            pooled = heads.keypoint_roi_pool(features, [boxes], batch.image_sizes)
            maps = heads.keypoint_predictor(heads.keypoint_head(pooled))  # (n, K, 56, 56)
            (found,), _ = keypointrcnn_inference(maps, [boxes])
            found = resize_keypoints(found, size, old)  # (n, K, 3)
            share = maps.flatten(2).softmax(dim=2).amax(dim=2)  # (n, K)
        return found[:, :, :2].double().cpu().numpy(), share.double().cpu().numpy()


def _config_of(path: Path, facts: dict[str, Any]) -> KeypointRCNNConfig:
    """What a checkpoint was built by.

    Raises:
        ReadError: It is of another model, or its facts do not say.
    """
    recipe = facts.get("recipe")
    if facts.get("model") != NAME or not isinstance(recipe, dict):
        raise ReadError(f"{path}: not weights of '{NAME}' but of '{facts.get('model')}'")
    config = config_of(path, recipe, KeypointRCNNConfig())
    if config.backbone not in BACKBONES:
        raise ReadError(
            f"{path.with_suffix('.json')}: recipe: 'backbone' is '{config.backbone}'; expected "
            f"one of {', '.join(BACKBONES)}; fetch both files again"
        )
    return config


def start_from(path: Path, schema: Schema, config: KeypointRCNNConfig) -> KeypointRCNN:
    """A network with a checkpoint's weights, to train on.

    BatchNorm is frozen where the checkpoint's is. Where the keypoints are others, the last
    layer, which has a map for each, starts at random.

    Args:
        path: A checkpoint of this model, such as `toolkit adopt` writes.
        schema: Whose keypoints are to be learned.
        config: Built as the checkpoint is; see `_config_of`.

    Raises:
        UnsafeInputError: The file is a pickle.
        ReadError: It cannot be read, or its tensors do not fit.
    """
    tensors = read_tensors(path)
    network = build_keypoint_rcnn(schema.num_keypoints, config)
    if schema_from_facts(path, read_facts(path)).names != schema.names:
        own = network.state_dict().items()
        tensors |= {key: value for key, value in own if key.startswith(LAST_LAYER)}
    load_weights(path, network, tensors)
    return network


def train_keypoint_rcnn(
    request: TrainRequest, config: KeypointRCNNConfig | None = None
) -> Path:
    """Train on frames, boxes and keypoints; torchvision's losses.

    Raises:
        UsageError: A recipe or --resume was given; it has neither.
        OutputExistsError: The folder holds weights.
        InvalidDataError: A box is unusable, or an image is missing.
        WriteError: The folder cannot be made or written.
        ReadError: The checkpoint to start from cannot be read, or is of another model.
    """
    if request.recipe is not None or request.resume:
        raise UsageError(f"'{NAME}' has one recipe and no --resume; leave both away")
    config = config or KeypointRCNNConfig(
        images_seen=request.images_seen or KeypointRCNNConfig.images_seen
    )
    init: dict[str, object] = {}
    if request.init is not None:
        before = _config_of(request.init, read_facts(request.init))
        config = replace(
            config, backbone=before.backbone, dim=before.dim, frozen_eps=before.frozen_eps
        )
        init = {"init_sha256": sha256_file(request.init)}
    dataset = with_sha256(read(request.data, request.schema), request.data)
    check_no_weights(request.out, NAME)
    make_folder(request.out)
    torch.manual_seed(request.seed)
    if request.init is None:
        network = build_keypoint_rcnn(dataset.schema.num_keypoints, config)
    else:
        network = start_from(request.init, dataset.schema, config)
    frames = load_frames(dataset, request.images, config, keypoints=True)
    fit(
        network, frames, config, request, choose_device(request.device),
        flip_index=dataset.schema.flip_index,
    )  # fmt: skip
    facts = {
        "model": NAME,
        "schema": schema_to_facts(dataset.schema),
        **training_facts(network, dataset, config, request),
        **init,
    }
    out = request.out / "best.safetensors"
    save_checkpoint(out, network.cpu(), facts)
    return out
