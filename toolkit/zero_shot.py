"""A model on a schema that it was not trained on, by keypoint names or by their prompts.

*names*: a keypoint is answered by the model's keypoint of the same name. *prompts*: the model's
text tokens are swapped for those of the new schema, through the text encoder it was trained
with; the counterpart of a keypoint is the one whose prompts are most alike, and names are not
read. Only a model that has language can do that (it then has a method `by_prompts`).

A keypoint without a counterpart is not predicted: it stands at (0, 0) with score 0 and no
sigma (NaN; a results file then holds no `sigmas`, which are finite for all or not there), and
`scored_part` takes it out of the truth, so that a model is scored on the keypoints it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.models import PoseModel, Progress
from toolkit.schema import Schema

How = Literal["names", "prompts"]
CHOICES: tuple[How, ...] = ("names", "prompts")


@dataclass(frozen=True)
class Counterpart:
    """Which keypoint of a model answers for one of a new schema.

    Attributes:
        keypoint: Of the new schema.
        source: Of the model; None where there is none.
        likeness: Cosine of the prompts' embeddings (that of the nearest keypoint where
            `source` is None); None by names.
    """

    keypoint: str
    source: str | None
    likeness: float | None = None


class ZeroShotModel:
    """A model that answers in another schema, behind the `PoseModel` protocol.

    Attributes:
        model: What computes; by names the trained model, by prompts one with new tokens.
        name: Of the model.
        schema: The new one.
        counterparts: K of them, in the schema's order.
        num_parameters: Of the model.
        facts: Of the model, plus `zero_shot`.
    """

    def __init__(
        self, model: PoseModel, schema: Schema, how: How, counterparts: Sequence[Counterpart]
    ) -> None:
        """Keep the model and who answers for whom."""
        self.model, self.schema, self.counterparts = model, schema, tuple(counterparts)
        self.name, self.num_parameters = model.name, model.num_parameters
        pairs = {one.keypoint: one.source for one in self.counterparts}
        self.facts: dict[str, object] = {**model.facts, "zero_shot": {how: pairs}}

    @property
    def runtime(self) -> str:
        """What computes: `torch`, or the runtime that the model was converted to."""
        return str(getattr(self.model, "runtime", "torch"))

    @property
    def missing(self) -> tuple[str, ...]:
        """Keypoints without a counterpart."""
        return tuple(one.keypoint for one in self.counterparts if one.source is None)

    def predict(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        boxes: NDArray[np.float64] | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Predictions:
        """Predict every instance in the new schema; see `toolkit.models.PoseModel`."""
        found = self.model.predict(
            dataset, images_dir, boxes=boxes, batch_size=batch_size, progress=progress
        )
        known = np.array([one.source is not None for one in self.counterparts])
        names = found.schema.names
        # By prompts the model answers in the new schema's own names.
        asked = (
            self.schema.names
            if names == self.schema.names
            else [one.source or names[0] for one in self.counterparts]
        )
        columns = np.array([names.index(name) for name in asked])
        scores = np.where(known, found.keypoint_scores[:, columns], 0.0)
        sigma = found.sigma
        if sigma is not None:
            sigma = np.where(known[:, None], sigma[:, columns], np.nan)
        return replace(
            found,
            schema=self.schema,
            keypoints=np.where(known[:, None], found.keypoints[:, columns], 0.0),
            keypoint_scores=scores,
            scores=scores[:, known].mean(axis=1) if known.any() else np.zeros(len(found)),
            sigma=sigma,
            source=None,
        )


def zero_shot(model: PoseModel, schema: Schema, how: How) -> ZeroShotModel:
    """A model that answers in another schema.

    Args:
        model: Trained on any schema.
        schema: To answer in.
        how: `names` or `prompts`.

    Raises:
        UsageError: No keypoint has a counterpart, or the model has no language.
        SchemaError: A keypoint of the schema has no prompts.
    """
    if how == "names":
        counterparts = tuple(
            Counterpart(name, name if name in model.schema.names else None)
            for name in schema.names
        )
    else:
        swap = getattr(model, "by_prompts", None)
        if swap is None:
            raise UsageError(f"model '{model.name}' has no text tokens; use --zero-shot names")
        model, counterparts = swap(schema)
    if all(one.source is None for one in counterparts):
        raise UsageError(
            f"no keypoint of schema '{schema.name}' has a counterpart in '{model.name}' "
            f"(by {how})"
        )
    return ZeroShotModel(model, schema, how, counterparts)


def scored_part(truth: Dataset, missing: Sequence[str]) -> Dataset:
    """The truth with some keypoints unlabelled: what a model can be scored on."""
    if not missing:
        return truth
    people = truth.annotations
    columns = [truth.schema.index(name) for name in missing]
    keypoints, visibility = people.keypoints.copy(), people.visibility.copy()
    keypoints[:, columns], visibility[:, columns] = np.nan, 0
    return replace(
        truth, annotations=replace(people, keypoints=keypoints, visibility=visibility)
    )


def explain(model: ZeroShotModel) -> list[str]:
    """Lines for people: who answers for whom where it is not plain, and who is missing."""
    lines = []
    other = [
        f"{one.keypoint} by {one.source}"
        for one in model.counterparts
        if one.source not in (None, one.keypoint)
    ]
    if other:
        lines.append(f"answered under another name: {', '.join(other)}")
    if model.missing:
        nearest = {one.keypoint: one.likeness for one in model.counterparts}
        named = [
            name if nearest[name] is None else f"{name} (nearest prompts {nearest[name]:.2f})"
            for name in model.missing
        ]
        lines.append(
            f"no counterpart, so not predicted (0, 0, score 0): {', '.join(named)}; "
            "'toolkit benchmark --zero-shot' scores the others only"
        )
    return lines
