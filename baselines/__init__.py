"""Models to compare with, and the rooms that all networks share.

`MODELS` lists the entries; nothing here imports torch. The map: `config` (recipes), `crops`
(frames to network input), `hrnet`, `codecs` and `rle` (networks, targets, losses),
`hrnet_names` (weights that others published), `family` (what the loop needs to know of a
network), `training`, `checkpoints`, `predictor`, `onnx_export` and `onnx_runtime` (a network
for deployment), `controls` (mean pose and body-to-stick).

Adding a model: a recipe in `recipes/`, an entry below, a line in `pyproject.toml`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baselines.entries import network_entry
from baselines.lazy import load_control, train_control
from toolkit.models import ModelEntry

if TYPE_CHECKING:
    from baselines.hrnet_names import load_hrnet_checkpoint as load_hrnet_checkpoint

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
HRNET_W48 = network_entry(
    "hrnet-w48",
    "HRNet-W48, human box",
    role="baseline",
    recipe="hrnet_w48",
    note="The paper's size; no trained weights ship with the project.",
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
    HRNET_W48,
    MEAN_POSE,
    BODY_TO_STICK,
    BODY_TO_STICK_PREDICTED,
)


def __getattr__(name: str) -> object:
    if name == "load_hrnet_checkpoint":
        from baselines.hrnet_names import load_hrnet_checkpoint  # lazy: torch costs seconds

        return load_hrnet_checkpoint
    raise AttributeError(f"module 'baselines' has no attribute '{name}'")
