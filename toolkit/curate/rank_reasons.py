"""Reasons in words, with the keypoints concerned: an annotator must know where to look."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from toolkit.curate.rank_evidence import (
    PAIR_COST,
    Hearing,
    Judged,
    exchanged,
    misplaced,
    missing,
    of_another,
)

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_LISTED = 4  # keypoints named in one reason
_NEAR = 0.5  # keypoints are named from half the odds of the worst


@dataclass(frozen=True)
class Reason:
    """One thing that speaks against a label.

    Attributes:
        kind: `swap`, `misplaced`, `other person`, `missing` or `rule`.
        score: Log-odds.
        words: For people.
        keypoints: Names of the keypoints concerned; empty where it is the whole instance.
    """

    kind: str
    score: float
    words: str
    keypoints: tuple[str, ...]


@dataclass(frozen=True)
class Speaker:
    """Puts the evidence of paired instances into words.

    Attributes:
        judged: N instances held against the model.
        rows: (N,) their rows in the data set.
        heads: (N,) head sizes in px, NaN where unknown.
        odds: Kind to (N,) odds, filled by the caller.
    """

    judged: Judged
    rows: Indices
    heads: Floats
    odds: dict[str, Floats] = field(default_factory=dict)

    @cached_property
    def _misplaced(self) -> Floats:
        return misplaced(self.judged)

    @cached_property
    def _missing(self) -> Floats:
        return missing(self.judged)

    @cached_property
    def _exchanged(self) -> tuple[list[tuple[int, int]], Floats]:
        return exchanged(self.judged)

    @cached_property
    def _of_another(self) -> tuple[Floats, Indices]:
        return of_another(self.judged)

    def reasons(self, at: int) -> list[Reason]:
        """What speaks against one instance, strongest first; at least one reason."""
        tell = {
            "swap": self._swap,
            "misplaced": self._stray,
            "other person": self._foreign,
            "missing": self._gap,
        }
        order = sorted(self.odds, key=lambda kind: -self.odds[kind][at])
        found = [
            tell[kind](at, float(self.odds[kind][at]))
            for kind in order
            if np.isfinite(self.odds[kind][at])
        ]
        kinds = {reason.kind for reason in found[:1]}
        if kinds & {"other person", "swap"}:  # they explain why keypoints lie elsewhere
            found = [reason for reason in found if reason.kind != "misplaced"]
        return found or [Reason("misplaced", 0.0, "nothing is labelled", ())]

    def _names(self, picked: list[int]) -> tuple[str, ...]:
        names = self.judged.labels.people.schema.names
        return tuple(names[k] for k in picked)

    def _swap(self, at: int, score: float) -> Reason:
        pairs, gains = self._exchanged
        gain = gains[at]
        if gain.sum() >= np.maximum(gain - PAIR_COST, 0).sum():
            chosen = [pair for pair, odds in zip(pairs, gain, strict=True) if odds != 0]
            words = "left and right seem exchanged in the whole body"
        else:
            chosen = [p for p, odds in zip(pairs, gain, strict=True) if odds > PAIR_COST]
            told = ", ".join("/".join(self._names(list(pair))) for pair in chosen)
            words = f"left and right seem exchanged: {told}"
        return Reason("swap", score, words, self._names([k for pair in chosen for k in pair]))

    def _stray(self, at: int, score: float) -> Reason:
        picked = _worst(self._misplaced[at])
        together, pose = self.judged.together, self.judged.pose
        first = picked[0]
        by_pose = pose.surprise[at, first] > max(together.surprise[at, first], 0)
        heard = pose if by_pose else together
        picked = [k for k in picked if np.isfinite(heard.distance[at, k])] or [first]
        told = " and ".join(self._away(heard, at, k) for k in picked[:2])
        who = "the other keypoints" if by_pose else "the model and the other keypoints"
        words = f"{told} from where {who} put it"
        if len(picked) > 1:
            words = words.removesuffix("it") + "them"
        return Reason("misplaced", score, words, self._names(picked))

    def _away(self, heard: Hearing, at: int, k: int) -> str:
        px = float(heard.distance[at, k] * self.judged.labels.size[at])
        heads = px / float(self.heads[at])
        name = self._names([k])[0]
        if np.isfinite(heads):
            return f"{name} lies {heads:.1f} heads ({px:.0f} px)"
        return f"{name} lies {px:.0f} px"

    def _foreign(self, at: int, score: float) -> Reason:
        odds, whose = self._of_another
        k = int(np.argmax(odds[at]))
        owner = int(whose[at, k])
        picked = [j for j in _worst(odds[at]) if int(whose[at, j]) == owner]
        ids = self.judged.labels.people.instance_id
        names = self._names(picked)
        verb = "fits" if len(names) == 1 else "fit"
        words = (
            f"{', '.join(names)} {verb} annotation {int(ids[owner])} better than this person"
        )
        return Reason("other person", score, words, names)

    def _gap(self, at: int, score: float) -> Reason:
        judged = self.judged
        picked = _worst(self._missing[at])
        share = float(np.exp(-self._missing[at, picked[0]]))
        names = self._names(picked)
        verb = "is" if len(names) == 1 else "are"
        sure = float(judged.labels.predicted.keypoint_scores[at, picked[0]])
        words = (
            f"{', '.join(names)} {verb} not labelled; of people for whom the model is as sure "
            f"({sure:.2f}), {1 - share:.0%} have it"
        )
        return Reason("missing", score, words, names)


def _worst(odds: Floats) -> list[int]:
    """The keypoint with the highest odds, and others that come near it; in falling order."""
    order = np.argsort(-odds, kind="stable")[:_LISTED].tolist()
    best = float(odds[order[0]])
    return [k for k in order if k == order[0] or (best > 0 and odds[k] >= _NEAR * best)]
