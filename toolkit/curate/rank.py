"""Instances in the order in which their labels are likely wrong, each with the reason.

Predictions with a scale per keypoint (`sigmas`) and the rules of `toolkit validate` give the
evidence; the set itself says what is ordinary. The score of an instance is the logarithm of
the odds of its likeliest error; only its order is meant to be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.curate.rank_evidence import (
    PAIR_COST,
    Judged,
    Labels,
    exchanged,
    judge,
    misplaced,
    missing,
    of_another,
)
from toolkit.curate.rank_reasons import Reason, Speaker
from toolkit.curate.rank_rules import rule_reasons
from toolkit.dataset import Dataset
from toolkit.metrics.head_size import head_sizes
from toolkit.metrics.pairing import pair_instances
from toolkit.report import Finding

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
# How likely each error is beforehand, as it is added to its odds: set on practice data.
# A missing label has one chance to be seen, a stray one twenty.
PRIOR = {"swap": -1.0, "misplaced": 0.0, "other person": -1.0, "missing": 1.5}
_TOLD = 3  # reasons of one instance
_WORTH = 1.0  # the least odds that a second reason is told for


@dataclass(frozen=True)
class Entry:
    """One instance of the queue.

    Attributes:
        row: In the arrays of the data set.
        image_id: Of its image.
        annotation_id: Its own.
        score: Log-odds of its likeliest error; higher is likelier wrong.
        reasons: What speaks against it, strongest first; at least one.
        prediction: Row of the model's answer in the predictions, None where it has none.
    """

    row: int
    image_id: int
    annotation_id: int
    score: float
    reasons: tuple[Reason, ...]
    prediction: int | None = None

    @property
    def reason(self) -> str:
        """All reasons in words."""
        return "; ".join(reason.words for reason in self.reasons)

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Where to look: the keypoints concerned, each once."""
        return tuple(dict.fromkeys(name for r in self.reasons for name in r.keypoints))


def rank(
    dataset: Dataset,
    predictions: Predictions,
    findings: Iterable[Finding] = (),
    *,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Entry]:
    """Order instances by how likely their label is wrong, worst first.

    Args:
        dataset: The labels.
        predictions: A model's answers for their boxes, in the same schema.
        findings: What the reader found.
        limit: Entries to give; None gives every instance that can be judged.
        progress: Called with (steps done, steps in all).

    Returns:
        Entries by falling score, then image and annotation id. Groups (`iscrowd`) are left
        out, and so are instances without a prediction against which no rule speaks.

    Raises:
        InvalidDataError: An annotation names an image that does not exist.
    """
    people = dataset.annotations
    labels, rows, answers = _paired(dataset, predictions)
    scores = np.full(len(people), -np.inf)
    speaker = None
    if len(rows):
        speaker = Speaker(judge(labels, progress), rows, head_sizes(people).size[rows])
        for kind, odds in _kinds(speaker.judged).items():
            speaker.odds[kind] = odds + PRIOR[kind]
        scores[rows] = np.max(list(speaker.odds.values()), axis=0)
    rules = rule_reasons(dataset, findings)
    for row, reasons in rules.items():
        bonus = sum(reason.score for reason in reasons)
        scores[row] = max(scores[row], 0.0) + bonus
    kept = np.flatnonzero((scores > -np.inf) & ~people.is_crowd)
    keys = (people.instance_id[kept], people.image_id[kept], -scores[kept])
    position = {int(row): at for at, row in enumerate(rows)}
    entries = []
    for row in kept[np.lexsort(keys)][:limit].tolist():
        told = list(rules.get(row, ()))
        if speaker is not None and row in position:
            told += speaker.reasons(position[row])
        told.sort(key=lambda reason: -reason.score)
        strong = [r for r in told[:_TOLD] if r is told[0] or r.score > _WORTH]
        image, key = int(people.image_id[row]), int(people.instance_id[row])
        answer = int(answers[position[row]]) if row in position else None
        entries.append(Entry(row, image, key, float(scores[row]), tuple(strong), answer))
    return entries


def _paired(dataset: Dataset, predictions: Predictions) -> tuple[Labels, Indices, Indices]:
    """The instances that have a prediction, their rows, and those of their predictions."""
    people = dataset.annotations
    known = np.isin(predictions.image_id, dataset.images.ids)
    usable = np.isfinite(predictions.keypoints).all(axis=(1, 2))
    answers = predictions[known & usable]
    of_image = np.argsort(dataset.images.ids, kind="stable")
    at = np.searchsorted(dataset.images.ids[of_image], answers.image_id)
    pairing = pair_instances(
        people, dataset.image_row, answers, of_image[at], len(dataset.images)
    )
    rows = np.flatnonzero((pairing.prediction >= 0) & ~people.is_crowd)
    chosen = people[rows]
    order = np.lexsort((chosen.instance_id, chosen.image_id))
    answered = np.flatnonzero(known & usable)[pairing.prediction[rows]]
    labels = Labels(chosen, predictions[answered], dataset.image_row[rows], order)
    return labels, rows, answered


def _kinds(judged: Judged) -> dict[str, Floats]:
    """(N,) odds of each kind of error."""
    _, gains = exchanged(judged)
    whole = gains.sum(axis=1)
    part = np.maximum(gains - PAIR_COST, 0).sum(axis=1)
    swap = np.maximum(whole, part)
    return {
        "swap": np.where(swap > 0, swap, -np.inf),
        "misplaced": misplaced(judged).max(axis=1, initial=-np.inf),
        "other person": of_another(judged)[0].max(axis=1, initial=-np.inf),
        "missing": missing(judged).max(axis=1, initial=-np.inf),
    }
