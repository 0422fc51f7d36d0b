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
    from toolkit.models import Box, ModelEntry, TextTokens

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


def _in_language(name: str, title: str, *, note: str, box: Box = "human") -> ModelEntry:
    """An entry of TokenCLIPose with language; its recipe has its name."""
    entry = network_entry(
        name,
        title,
        role="model",
        recipe=name.replace("-", "_"),
        box=box,
        note=note,
        family=_family,
        checkpoints=CHECKPOINTS,
    )
    return replace(entry, text_tokens=_text_tokens)


TOKENCLIPOSE_SMALL = _in_language(
    "tokenclipose-small",
    "TokenCLIPose-small",
    note="The human's box only; keypoints outside the crop are regressed.",
)
TOKENCLIPOSE_SMALL_ENLARGED = _in_language(
    "tokenclipose-small-enlarged",
    "TokenCLIPose-small, enlarged box",
    box="enlarged",
    note="The human's box enlarged by 2.0: the network sees the ends of most sticks, and the "
    "body smaller.",
)
TOKENCLIPOSE_SMALL_TRANSFER = _in_language(
    "tokenclipose-small-transfer",
    "TokenCLIPose-small, for transfer",
    note="The same network, trained with random tone curves: for people in other clothes and "
    "on another ground; chosen on the validation sets of hockey and lacrosse.",
)
_UNTRAINED = "no trained weights ship with the project."
TOKENCLIPOSE_R50 = _in_language(
    "tokenclipose-r50",
    "TokenCLIPose-R50",
    note=f"On ResNet-50, one of the paper's encoders; {_UNTRAINED}",
)
TOKENCLIPOSE_W32 = _in_language(
    "tokenclipose-w32", "TokenCLIPose-W32", note=f"On HRNet-W32; {_UNTRAINED}"
)
TOKENCLIPOSE_W48 = _in_language(
    "tokenclipose-w48", "TokenCLIPose-W48", note=f"The paper's size; {_UNTRAINED}"
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
TOKENPOSE_SMALL = network_entry(
    "tokenpose-small",
    "TokenPose (small): learned tokens",
    role="baseline",
    recipe="tokenpose_small",
    note="TokenCLIPose without language: its keypoint tokens start at random.",
    family=_family,
    checkpoints=CHECKPOINTS,
)

MODELS = (
    TOKENCLIPOSE_SMALL,
    TOKENCLIPOSE_SMALL_COARSE,
    TOKENCLIPOSE_SMALL_ENLARGED,
    TOKENCLIPOSE_SMALL_TRANSFER,
    TOKENCLIPOSE_R50,
    TOKENCLIPOSE_W32,
    TOKENCLIPOSE_W48,
    TOKENPOSE_SMALL,
)
