"""A trained TokenCLIPose on another schema, by its prompts alone.

Each new keypoint looks for its counterpart among the trained ones: the most alike by the
cosine of their prompts' embeddings, most alike pairs first, no trained keypoint twice (two
keypoints of a person are two). One that is less alike than the model's own different keypoints
often are (three quarters of the pairs, mirrored ones aside) has no counterpart.

Its text token is the new embedding, standardised as the trained ones were, without what the
new schema adds to all sentences ("a lacrosse player"), plus what training had moved its
counterpart's token by. The coarse head has outputs, not tokens: it answers through the
counterpart's rows.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.calibrated import with_calibration
from baselines.checkpoints import schema_to_facts
from baselines.flip_test import bare
from baselines.predictor import CheckpointModel, NetworkModel
from tokenclipose.model import center_and_spread
from tokenclipose.text import keypoint_embeddings, require_trained_prompts
from toolkit.errors import UsageError
from toolkit.files import sha256_bytes
from toolkit.schema import Schema
from toolkit.zero_shot import Counterpart

ALIKE = 0.75  # quantile of the cosines between different trained keypoints
# Tensors with a row (or so many rows) for each keypoint.
ROWS = {
    "coarse.spot.weight": 1,
    "coarse.spot.bias": 1,
    "coarse.trail.weight": 1,
    "coarse.trail.bias": 1,
    "coarse.propose.weight": 2,
    "coarse.propose.bias": 2,
    "coarse.gate_bias": 1,
    "coarse.out.weight": 4,
    "coarse.out.bias": 4,
}


def by_prompts(
    model: CheckpointModel, schema: Schema
) -> tuple[NetworkModel, tuple[Counterpart, ...]]:
    """The model with the tokens of another schema.

    Returns:
        A model that answers in `schema` (a keypoint without counterpart through the nearest
        one: the caller leaves it out), and the counterparts.

    Raises:
        UsageError: The checkpoint has no text tokens that started from language, or its
            schema no two different keypoints.
        SchemaError: A keypoint has no prompts, or the checkpoint's facts hold none.
        MissingExtraError, ServiceError: Its text encoder cannot be had.
    """
    config = model.config
    if config.text_encoder in (None, "learned"):
        raise UsageError(
            f"checkpoint '{model.name}' was trained without a text encoder, so prompts mean "
            "nothing to it; use --zero-shot names"
        )
    require_trained_prompts(model.schema, model.path)
    old, new = (
        keypoint_embeddings(one, config.text, prompts=config.prompts)
        for one in (model.schema, schema)
    )  # (K, E), (K', E)
    likeness = (new @ old.T).numpy()  # (K', K)
    matched = match(likeness, threshold(model.schema, old))
    nearest = np.where(matched >= 0, matched, likeness.argmax(axis=1))
    stored = {key: value.cpu() for key, value in bare(model.network).state_dict().items()}
    rows = torch.from_numpy(nearest)
    tensors = {
        key: _rows(value, rows, ROWS[key]) if key in ROWS else value
        for key, value in stored.items()
    }
    tensors["text"] = swapped(stored["text"], old, new, matched, nearest)
    network = model.raw.build(schema, config, tensors)
    network.load_state_dict(tensors)
    names = model.schema.names
    counterparts = tuple(
        Counterpart(
            name,
            names[matched[row]] if matched[row] >= 0 else None,
            float(likeness[row, nearest[row]]),
        )
        for row, name in enumerate(schema.names)
    )
    calibration = _calibration(model, schema, nearest)
    facts = {
        **model.facts,
        "schema": schema_to_facts(schema),
        "calibration": calibration,
        "zero_shot_from": model.schema.name,
        # The checkpoint's hash no longer says which network it is; caches go by the facts.
        "text_sha256": sha256_bytes(tensors["text"].numpy().tobytes() + nearest.tobytes()),
    }
    transferred = NetworkModel(
        network,
        with_calibration(model.raw, schema, calibration, model.path),
        config,
        schema,
        device=model.device,
        precision=model.precision,
        name=model.name,
        facts=facts,
    )
    return transferred, counterparts


def match(likeness: NDArray[np.float32], least: float) -> NDArray[np.int64]:
    """(K',) trained keypoint of each new one, -1 for none; most alike pairs first."""
    left = likeness.astype(np.float64)
    found = np.full(len(left), -1, dtype=np.int64)
    while left.size and left.max() >= least:
        new, old = np.unravel_index(left.argmax(), left.shape)
        found[new] = old
        left[new], left[:, old] = -np.inf, -np.inf
    return found


def threshold(schema: Schema, embeddings: Tensor) -> float:
    """How alike different keypoints of a schema are: the `ALIKE` quantile of their cosines.

    Raises:
        UsageError: No two of them are other than mirror images.
    """
    cosines = (embeddings @ embeddings.T).numpy()
    count = len(cosines)
    other = ~np.eye(count, dtype=bool)
    other[np.arange(count), schema.flip_index] = False
    if not other.any():
        raise UsageError(
            f"schema '{schema.name}' has no two keypoints but mirror images, so nothing says "
            "how alike different ones are; use --zero-shot names"
        )
    return float(np.quantile(cosines[other], ALIKE))


def swapped(
    tokens: Tensor,
    old: Tensor,
    new: Tensor,
    matched: NDArray[np.int64],
    nearest: NDArray[np.int64],
) -> Tensor:
    """Text tokens of the new keypoints, (K', E).

    Args:
        tokens: (K, E) trained.
        old: (K, E) embeddings that they started from.
        new: (K', E) embeddings of the new keypoints.
        matched: (K',) counterpart, -1 for none.
        nearest: (K',) counterpart, the nearest keypoint for none.
    """
    middle, spread = center_and_spread(old)
    rows = torch.from_numpy(nearest)
    known = torch.from_numpy(matched >= 0)
    shift = torch.zeros_like(middle)
    if known.any():
        shift = (new - old[rows])[known].mean(dim=0)  # what the new schema adds to all
    moved = tokens.float() - (old - middle) / spread  # (K, E) by training
    return (new - shift - middle) / spread + moved[rows]


def _rows(values: Tensor, rows: Tensor, each: int) -> Tensor:
    """The rows of some keypoints, `each` for one."""
    grouped = values.reshape(-1, each, *values.shape[1:])
    return grouped[rows].reshape(-1, *values.shape[1:])


def _calibration(
    model: CheckpointModel, schema: Schema, nearest: NDArray[np.int64]
) -> dict[str, object] | None:
    """The stored calibration under the new names; it was fitted on the old data."""
    stored = model.facts.get("calibration")
    if not isinstance(stored, dict):
        return None
    fits = {
        name: stored["keypoints"][model.schema.names[row]]
        for name, row in zip(schema.names, nearest, strict=True)
    }
    return {**stored, "keypoints": fits, "fitted_on": model.schema.name}
