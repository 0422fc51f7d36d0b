"""The fields, the skeleton and the looks of a data set, said to FiftyOne once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from toolkit.ink import PREDICTED_BODY, PREDICTED_STICK, TRUTH_BODY, Color
from toolkit.schema import Schema
from toolkit.views.documents import BOXES, POINTS, Column, Content

if TYPE_CHECKING:
    from fiftyone import Dataset as FiftyOneDataset

# Attributes of both labels of an instance: name → FiftyOne's field, its items, what it is.
_SHARED = (
    ("annotation_id", "IntField", None, "id in the annotation file; joins box and keypoints"),
    ("iscrowd", "BooleanField", None, "a crowd, which no score counts"),
    ("labelled", "IntField", None, "number of labelled keypoints"),
    ("strata", "ListField", "StringField", "where any of its keypoints lies"),
    ("extension_strata", "ListField", "StringField", "the same of the stick alone"),
    ("missing", "ListField", "StringField", "keypoints that are not labelled"),
    ("worst_finding", "StringField", None, "worst finding of 'toolkit validate'"),
)
_PER_KEYPOINT = (
    ("visibility", "ListField", "IntField", "0 not labelled, 1 hidden, 2 visible"),
    ("stratum", "ListField", "StringField", "where each keypoint lies"),
    ("group", "ListField", "StringField", "body or extension"),
)
_FRAME = (
    ("image_id", "IntField", None, "id in the annotation file"),
    ("clip", "StringField", None, "clip of the frame"),
    ("frame", "IntField", None, "number in the clip"),
    ("instances", "IntField", None, "number of people"),
    ("worst_finding", "StringField", None, "worst finding of 'toolkit validate'"),
)
_PREDICTED = (
    ("annotation_id", "IntField", None, "the instance it was predicted for"),
    ("score", "FloatField", None, "score of the instance"),
)
_FURTHER: tuple[Color, ...] = (PREDICTED_BODY, PREDICTED_STICK, (255, 214, 64), (170, 120, 255))
_Row = tuple[str, str, str | None, str]


def declare(view: FiftyOneDataset, content: Content) -> None:
    """Declare every field of the documents, so that the App can filter by it."""
    import fiftyone as fo  # lazy: 2 to 7 s

    embedded = fo.EmbeddedDocumentField
    view.add_sample_field(BOXES, embedded, embedded_doc_type=fo.Detections)
    view.add_sample_field(POINTS, embedded, embedded_doc_type=fo.Keypoints)
    people = [*_SHARED, *_rows(content.columns)]
    _add(view, "", [*_FRAME, *_rows(content.image_columns)])
    _add(view, f"{BOXES}.detections.", people)
    _add(view, f"{POINTS}.keypoints.", [*people, *_PER_KEYPOINT])
    for name, (_, columns) in content.predictions.items():
        view.add_sample_field(name, embedded, embedded_doc_type=fo.Keypoints)
        _add(view, f"{name}.keypoints.", [*_PREDICTED, *_rows(columns)])


def field_names(content: Content) -> tuple[str, ...]:
    """Names of the fields and attributes that the toolkit writes."""
    rows = [*_SHARED, *_PER_KEYPOINT, *_FRAME]
    columns = [*content.columns, *content.image_columns]
    names = {row[0] for row in rows} | {column.name for column in columns}
    return tuple(sorted(names | {BOXES, POINTS} | set(content.predictions)))


def _rows(columns: Iterable[Column]) -> list[_Row]:
    return [(column.name, column.kind, None, column.about) for column in columns]


def _add(view: FiftyOneDataset, prefix: str, rows: Iterable[_Row]) -> None:
    import fiftyone as fo  # lazy: 2 to 7 s

    for name, kind, items, about in rows:
        inner = {} if items is None else {"subfield": getattr(fo, items)}
        view.add_sample_field(prefix + name, getattr(fo, kind), description=about, **inner)


def dress(view: FiftyOneDataset, schema: Schema, predictions: Iterable[str]) -> None:
    """Set the skeleton, the colours, and what the App shows at first."""
    import fiftyone as fo  # lazy: 2 to 7 s

    names = list(predictions)
    skeleton = fo.KeypointSkeleton(labels=list(schema.names), edges=schema.edge_index.tolist())
    view.skeletons = dict.fromkeys([POINTS, *names], skeleton)
    view.default_skeleton = skeleton
    colours: dict[str, Color] = {BOXES: (255, 255, 255), POINTS: TRUTH_BODY}
    for at, name in enumerate(names):
        colours[name] = _FURTHER[at % len(_FURTHER)]
    view.app_config.color_scheme = fo.ColorScheme(
        color_by="field",
        show_skeletons=True,
        fields=[
            {"path": path, "fieldColor": "#{:02x}{:02x}{:02x}".format(*colour)}
            for path, colour in colours.items()
        ],
    )
    view.app_config.grid_media_field = "filepath"
    view.save()
