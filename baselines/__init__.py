"""Models to compare with, and the rooms that all networks share.

`MODELS` lists the entries; nothing here imports torch. The map: `config` (recipes), `crops`
(frames to network input), `hrnet`, `codecs` and `rle` (networks, targets, losses),
`hrnet_names` (weights that others published), `family` (what the loop needs to know of a
network), `training` (the loop; `augmentation`, `precision`, `shards`, `run_state`, `validation`
and `monitor` are its parts), `checkpoints`, `predictor`, `pipeline` (frames to predictions),
`onnx_export`, `onnx_model` and `onnx_runtime` (a network for deployment), `controls` (mean
pose and body-to-stick).

Adding a model: a recipe in `recipes/`, an entry below, a line in `pyproject.toml`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baselines.entries import network_entry
from baselines.lazy import (
    adopt_rcnn,
    load_control,
    load_faster_rcnn,
    load_keypoint_rcnn,
    load_rcnn_detector,
    load_small_detector,
    train_control,
    train_rcnn,
    train_small_detector,
)
from toolkit.detectors import DetectorEntry
from toolkit.models import ModelEntry

if TYPE_CHECKING:
    from baselines.family import Family
    from baselines.hrnet_names import load_hrnet_checkpoint as load_hrnet_checkpoint


def _regression() -> Family:
    from baselines.regression import REGRESSION  # lazy: torch costs seconds

    return REGRESSION


HRNET_SMALL = network_entry(
    "hrnet-small",
    "HRNet-small, human box",
    role="baseline",
    recipe="hrnet_small",
    note="Heatmaps on the human's box: it cannot see outside its crop.",
)
HRNET_SMALL_ENLARGED = network_entry(
    "hrnet-small-enlarged",
    "HRNet-small, enlarged box",
    role="baseline",
    recipe="hrnet_small_enlarged",
    box="enlarged",
    note="The human's box enlarged by a fixed factor that knows nothing of the stick.",
)
HRNET_SMALL_ORACLE = network_entry(
    "hrnet-small-oracle",
    "HRNet-small, true-stick box (oracle)",
    role="oracle",
    recipe="hrnet_small_oracle",
    box="oracle",
    note="The box is drawn round the true stick: it has seen the answer.",
)
HRNET_W32 = network_entry(
    "hrnet-w32",
    "HRNet-W32, human box",
    role="baseline",
    recipe="hrnet_w32",
    published="heatmaps",
    note="The published size; no trained weights ship with the project.",
)
HRNET_W48 = network_entry(
    "hrnet-w48",
    "HRNet-W48, human box",
    role="baseline",
    recipe="hrnet_w48",
    published="heatmaps",
    note="The paper's size; no trained weights ship with the project.",
)
SIMPLEBASELINE_R50 = network_entry(
    "simplebaseline-r50",
    "SimpleBaseline-R50",
    role="baseline",
    recipe="simplebaseline_r50",
    published="heatmaps",
    note="Heatmaps by deconvolution; no trained weights ship with the project.",
)
VITPOSE_S = network_entry(
    "vitpose-s",
    "ViTPose-S",
    role="baseline",
    recipe="vitpose_s",
    published="vitpose",
    note="Heatmaps of a vision transformer; no trained weights ship with the project.",
)
VITPOSE_B = network_entry(
    "vitpose-b",
    "ViTPose-B",
    role="baseline",
    recipe="vitpose_b",
    published="vitpose",
    note="Heatmaps of a vision transformer; no trained weights ship with the project.",
)
RLE_SMALL = network_entry(
    "rle-small",
    "RLE regression (small)",
    role="baseline",
    recipe="rle_small",
    note="Direct regression: the human's box only, keypoints outside it are regressed.",
    family=_regression,
)
RLE_R50 = network_entry(
    "rle-r50",
    "RLE regression, ResNet-50",
    role="baseline",
    recipe="rle_r50",
    note="Direct regression; no trained weights ship with the project.",
    family=_regression,
)
RLE_W32 = network_entry(
    "rle-w32",
    "RLE regression, HRNet-W32",
    role="baseline",
    recipe="rle_w32",
    note="Direct regression; no trained weights ship with the project.",
    family=_regression,
)
KEYPOINT_RCNN = ModelEntry(
    name="keypoint-rcnn",
    title="Keypoint R-CNN, ResNet-50",
    role="baseline",
    load=load_keypoint_rcnn,
    train=train_rcnn,
    adopt=adopt_rcnn,
    note="Keypoints of given boxes from whole frames; no trained weights ship.",
)
MEAN_POSE = ModelEntry(
    name="mean-pose",
    title="Mean pose",
    role="control",
    load=load_control("mean-pose"),
    train=train_control("mean-pose"),
    box="none",
    note="The mean training pose, stretched to the box; it does not look at the image.",
)
BODY_TO_STICK = ModelEntry(
    name="body-to-stick",
    title="Body-to-stick, true joints",
    role="control",
    load=load_control("body-to-stick"),
    train=train_control("body-to-stick"),
    box="none",
    note="An MLP from the TRUE body joints; its body columns are the truth itself.",
)
BODY_TO_STICK_PREDICTED = ModelEntry(
    name="body-to-stick-predicted",
    title="Body-to-stick, predicted joints",
    role="control",
    load=load_control("body-to-stick-predicted"),
    train=train_control("body-to-stick-predicted"),
    box="human",
    note="The same MLP, trained on and given the joints that hrnet-small predicts.",
)

MODELS = (
    HRNET_SMALL,
    HRNET_SMALL_ENLARGED,
    HRNET_SMALL_ORACLE,
    HRNET_W32,
    HRNET_W48,
    SIMPLEBASELINE_R50,
    VITPOSE_S,
    VITPOSE_B,
    RLE_SMALL,
    RLE_R50,
    RLE_W32,
    KEYPOINT_RCNN,
    MEAN_POSE,
    BODY_TO_STICK,
    BODY_TO_STICK_PREDICTED,
)

PERSON_SMALL = DetectorEntry(
    name="person-small",
    title="Small detector, rendered frames",
    load=load_small_detector,
    train=train_small_detector,
    note="Has seen rendered people only; its weights ship.",
)
FASTER_RCNN = DetectorEntry(
    name="fasterrcnn",
    title="Faster R-CNN, ResNet-50",
    load=load_faster_rcnn("fasterrcnn"),
    note="torchvision's; weights by tag or file.",
)
FASTER_RCNN_V2 = DetectorEntry(
    name="fasterrcnn-v2",
    title="Faster R-CNN v2, ResNet-50",
    load=load_faster_rcnn("fasterrcnn-v2"),
    note="torchvision's; weights by tag or file.",
)
FASTER_RCNN_MOBILE = DetectorEntry(
    name="fasterrcnn-mobile",
    title="Faster R-CNN, MobileNetV3",
    load=load_faster_rcnn("fasterrcnn-mobile"),
    note="torchvision's; weights by tag or file.",
)
KEYPOINT_RCNN_BOXES = DetectorEntry(
    name="keypoint-rcnn",
    title="Keypoint R-CNN's own boxes",
    load=load_rcnn_detector,
    note="The boxes that the model of this name finds; a checkpoint of it.",
)


def __getattr__(name: str) -> object:
    if name == "load_hrnet_checkpoint":
        from baselines.hrnet_names import load_hrnet_checkpoint  # lazy: torch costs seconds

        return load_hrnet_checkpoint
    raise AttributeError(f"module 'baselines' has no attribute '{name}'")
