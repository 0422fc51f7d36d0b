"""Scores of a checkpoint as probabilities, where its facts hold a calibration.

Part of the decoding, so that `predict`, `export` and every runtime give the same scores. The
fit itself, and what the scores then mean, stand in `toolkit.metrics.calibration`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from baselines.config import TrainConfig
from baselines.family import Decoded, Family
from toolkit.errors import ReadError
from toolkit.metrics.calibration import EDGE, Calibration
from toolkit.schema import Schema


def with_calibration(family: Family, schema: Schema, stored: object, where: Path) -> Family:
    """The family of a checkpoint, its scores calibrated where a calibration is stored.

    Args:
        family: Gives raw scores.
        schema: Of the network.
        stored: `calibration` of the facts; None leaves the scores as they are.
        where: The checkpoint, for the message.

    Raises:
        ReadError: What is stored is no calibration of these keypoints.
    """
    if stored is None:
        return family
    try:
        fit = Calibration.from_facts(stored, schema.names)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError) as error:
        raise ReadError(
            f"{where.with_suffix('.json')}: 'calibration' does not fit the keypoints: "
            f"{error!r}; take it out, and run 'toolkit calibrate {where}'"
        ) from error
    slope, offset = torch.from_numpy(fit.slope).float(), torch.from_numpy(fit.offset).float()

    def decode(output: Tensor, config: TrainConfig) -> Decoded:
        raw = family.decode(output, config)
        odds = raw.scores.clamp(EDGE, 1 - EDGE)
        odds = (odds / (1 - odds)).log()
        scores = (offset.to(odds.device) + slope.to(odds.device) * odds).sigmoid()
        return raw._replace(scores=scores)

    return replace(family, decode=decode)
