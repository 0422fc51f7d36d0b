"""TokenCLIPose: keypoints beyond the crop, from the image and from what language knows.

`model` is the whole network in one file, `text` the text encoders, `family` what the common
training loop needs. Nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.entries import network_entry

if TYPE_CHECKING:
    from baselines.family import Family
    from toolkit.models import TextTokens

CHECKPOINTS = Path(__file__).resolve().parent / "checkpoints"


def _family() -> Family:
    from tokenclipose.family import TOKENCLIPOSE  # lazy: torch costs seconds

    return TOKENCLIPOSE


def _coarse_family() -> Family:
    from tokenclipose.family import TOKENCLIPOSE_COARSE  # lazy: torch costs seconds

    return TOKENCLIPOSE_COARSE


def _text_tokens(checkpoint: Path) -> TextTokens:
    from tokenclipose.token_map import text_tokens  # lazy: torch costs seconds

    return text_tokens(checkpoint)


TOKENCLIPOSE_SMALL = network_entry(
    "tokenclipose-small",
    "TokenCLIPose-small",
    role="model",
    recipe="tokenclipose_small",
    note="The human's box only; keypoints outside the crop are regressed.",
    family=_family,
    checkpoints=CHECKPOINTS,
)
TOKENCLIPOSE_SMALL_COARSE = network_entry(
    "tokenclipose-small-coarse",
    "TokenCLIPose-small, coarse output",
    role="baseline",
    recipe="tokenclipose_small",
    note="Reads the coarse output of any TokenCLIPose checkpoint, what it knew before its "
    "decoder; that of tokenclipose-small where none is named.",
    family=_coarse_family,
    checkpoints=CHECKPOINTS,
    reads="tokenclipose-small",
)
TOKENCLIPOSE_SMALL_ENLARGED = network_entry(
    "tokenclipose-small-enlarged",
    "TokenCLIPose-small, enlarged box",
    role="model",
    recipe="tokenclipose_small_enlarged",
    box="enlarged",
    note="The human's box enlarged by 2.0: the network sees the ends of most sticks, and the "
    "body smaller.",
    family=_family,
    checkpoints=CHECKPOINTS,
)
TOKENCLIPOSE_SMALL_TRANSFER = network_entry(
    "tokenclipose-small-transfer",
    "TokenCLIPose-small, for transfer",
    role="model",
    recipe="tokenclipose_small_transfer",
    note="The same network, trained with random tone curves: for people in other clothes and "
    "on another ground; chosen on the validation sets of hockey and lacrosse.",
    family=_family,
    checkpoints=CHECKPOINTS,
)
TOKENCLIPOSE_W48 = network_entry(
    "tokenclipose-w48",
    "TokenCLIPose-W48",
    role="model",
    recipe="tokenclipose_w48",
    note="The paper's size; no trained weights ship with the project.",
    family=_family,
    checkpoints=CHECKPOINTS,
)
TOKENPOSE_SMALL = network_entry(
    "tokenpose-small",
    "TokenPose (small): learned tokens",
    role="baseline",
    recipe="tokenpose_small",
    note="TokenCLIPose without language: its keypoint tokens start at random.",
    family=_family,
    checkpoints=CHECKPOINTS,
)

(
    TOKENCLIPOSE_SMALL,
    TOKENCLIPOSE_SMALL_ENLARGED,
    TOKENCLIPOSE_SMALL_TRANSFER,
    TOKENCLIPOSE_W48,
) = (
    replace(entry, text_tokens=_text_tokens)
    for entry in (
        TOKENCLIPOSE_SMALL,
        TOKENCLIPOSE_SMALL_ENLARGED,
        TOKENCLIPOSE_SMALL_TRANSFER,
        TOKENCLIPOSE_W48,
    )
)

MODELS = (
    TOKENCLIPOSE_SMALL,
    TOKENCLIPOSE_SMALL_COARSE,
    TOKENCLIPOSE_SMALL_ENLARGED,
    TOKENCLIPOSE_SMALL_TRANSFER,
    TOKENCLIPOSE_W48,
    TOKENPOSE_SMALL,
)
