"""The saved views: questions about a data set that the App answers with one click."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.schema import Schema
from toolkit.views.documents import BOXES, POINTS

if TYPE_CHECKING:
    from fiftyone import Dataset as FiftyOneDataset
    from fiftyone import DatasetView, ViewExpression

WORST = 50  # instances in a view of the worst


@dataclass(frozen=True)
class Question:
    """A saved view.

    Attributes:
        name: In the App.
        about: What it shows, in words.
        view: The view itself.
    """

    name: str
    about: str
    view: DatasetView


def save_views(
    view: FiftyOneDataset, schema: Schema, models: Iterable[str], queues: Iterable[str]
) -> list[str]:
    """Save the views that fit the data; returns their names.

    Args:
        view: The data set.
        schema: Its keypoints.
        models: Names of the sets of predictions.
        queues: Which of `disagreement`, `label_error` and `near_duplicates` are there.
    """
    names = []
    for question in _questions(view, schema, list(models), set(queues)):
        view.save_view(question.name, question.view, description=question.about, overwrite=True)
        names.append(question.name)
    return names


def toe_of(schema: Schema) -> str | None:
    """The keypoint at the far end of the stick: a toe, else the last of the stick."""
    ends = [k.name for k in schema.keypoints if k.group == "extension"]
    toes = [name for name in ends if name.endswith("toe")]
    return toes[-1] if toes else ends[-1] if ends else None


def _questions(
    view: FiftyOneDataset, schema: Schema, models: list[str], queues: set[str]
) -> Iterator[Question]:
    from fiftyone import ViewField as F  # lazy: 2 to 7 s

    toe = toe_of(schema)
    if toe is not None:
        yield Question(
            "sticks outside the box",
            "People whose stick reaches beyond their box",
            _people(view, models, F("extension_strata").contains("out_of_box")),
        )
    yield Question(
        "keypoints outside the image",
        "People with a keypoint beyond the picture's edge",
        _people(view, models, F("strata").contains("out_of_image")),
    )
    if toe is not None:
        yield Question(
            f"{toe.rpartition('_')[2]} missing",
            f"People whose {toe} is not labelled",
            _people(view, models, F("missing").contains(toe)),
        )
    yield Question(
        "validator errors",
        "Frames with an error of 'toolkit validate'; labels are tagged with its rule",
        view.match(F("worst_finding") == "error"),
    )
    for model in models:
        yield Question(
            f"worst by {model}",
            f"The {WORST} people whom {model} fits worst, by OKS; worst frame first",
            _ranked(view, models, f"{model}_rank"),
        )
    if "disagreement" in queues:
        yield Question(
            "annotators disagree",
            "People whom annotators label differently, worst frame first",
            _ranked(view, models, "disagreement_rank", limit=None),
        )
    if "label_error" in queues:
        yield Question(
            "likely label errors",
            f"The {WORST} people whose label is most likely wrong",
            _ranked(view, models, "label_error_rank"),
        )
    if "near_duplicates" in queues:
        yield Question(
            "near-duplicates",
            "Pictures that look like one another, side by side",
            view.match(F("near_duplicates") > 0).sort_by("near_duplicates"),
        )


def _people(
    view: FiftyOneDataset, models: Iterable[str], condition: ViewExpression
) -> DatasetView:
    """The people that fit, what was predicted for them, and the frames that they are in."""
    from fiftyone import ViewField as F  # lazy: 2 to 7 s

    chosen = view.filter_labels(POINTS, condition, only_matches=False)
    chosen = chosen.filter_labels(BOXES, condition, only_matches=False)
    # By now the frame's own fields hold those that fit, so their ids are the ids to keep.
    shown = F(f"${POINTS}.keypoints.annotation_id"), F(f"${BOXES}.detections.annotation_id")
    partner = [F("answers_for")]
    theirs = shown[0].contains(partner) | shown[1].contains(partner)
    for model in models:
        chosen = chosen.filter_labels(model, theirs, only_matches=False)
    found = (F(f"{POINTS}.keypoints").length() > 0) | (F(f"{BOXES}.detections").length() > 0)
    return chosen.match(found)


def _ranked(
    view: FiftyOneDataset, models: Iterable[str], rank: str, limit: int | None = WORST
) -> DatasetView:
    """The first people of a ranking, the frame with the very first in front."""
    from fiftyone import ViewField as F  # lazy: 2 to 7 s

    condition = F(rank) > 0
    if limit is not None:
        condition &= F(rank) <= limit
    return _people(view, models, condition).sort_by(f"worst_{rank}")
