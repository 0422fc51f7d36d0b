"""Everything that a view shows, gathered from the files that a person names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from toolkit.checks import Profile
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, ReadError, UsageError
from toolkit.files import sha256_bytes, sha256_file
from toolkit.formats import CocoSource, scan, scan_predictions
from toolkit.formats.coco_write import coco_bytes
from toolkit.formats.results import raise_errors
from toolkit.images import opened, resolve_images
from toolkit.schema import Schema
from toolkit.tags import tag
from toolkit.views.documents import Column, Content
from toolkit.views.neighbours import near_groups
from toolkit.views.queues import read_queue
from toolkit.views.scores import Scores, score_instances

Progress = Callable[[int, int], None]
Floats = NDArray[np.float64]
# What the annotation files' own fields and FiftyOne's are called; no model may be.
RESERVED = {
    "people", "keypoints", "tags", "metadata", "filepath", "id", "image_id", "clip", "frame",
    "frames", "instances", "split", "worst_finding", "near_duplicates", "disagreement",
    "label_error", "created_at", "last_modified_at", "media_type",
}  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """The files and folders of a view.

    Attributes:
        file: The annotations.
        images: Folder of the images.
        predictions: Results files by name.
        schema: What the keypoints are; None finds it from the file.
        profile: What counts as an error; None takes the one that fits the data.
        agreement: What `toolkit agreement --json` printed.
        ranking: What `toolkit rank --json` printed.
        splits: Folder that `toolkit split` made.
        near_duplicates: Whether to compare the pictures.
    """

    file: Path
    images: Path
    predictions: Mapping[str, Path] = field(default_factory=dict)
    schema: Schema | None = None
    profile: Profile | None = None
    agreement: Path | None = None
    ranking: Path | None = None
    splits: Path | None = None
    near_duplicates: bool = True


@dataclass(frozen=True)
class Gathered:
    """What there is to show.

    Attributes:
        content: The arrays and columns.
        coco: The annotation file's bytes.
        queues: Which of `disagreement`, `label_error`, `near_duplicates` are there.
        notes: What a person should know.
    """

    content: Content
    coco: bytes
    queues: tuple[str, ...]
    notes: tuple[str, ...]


def gather(sources: Sources, progress: Progress | None = None) -> Gathered:
    """Read, check and score everything.

    Raises:
        InvalidDataError: Images are missing, or predictions do not fit.
        ReadError: A file cannot be read.
        UsageError: A name that no field can have.
    """
    found = scan(sources.file, sources.schema)
    dataset = found.dataset
    _ = dataset.image_row  # refuses annotations of unknown images
    paths = resolve_images(sources.images, dataset.images.file_names, dataset.images.ids)
    content = Content(
        dataset=dataset,
        size_wh=_sizes(dataset, paths),
        paths=[path.resolve() for path in paths],
        tags=tag(dataset, found.findings, profile=sources.profile),
        own_tags=own_tags(dataset, "annotations"),
        image_tags=own_tags(dataset, "images"),
    )
    notes: list[str] = []
    content = _with_predictions(content, sources, notes)
    content, queues = _with_queues(content, sources)
    if sources.splits is not None:
        content = _with_split(content, sources.splits)
    if sources.near_duplicates:
        groups = near_groups(paths, dataset.images.clips, progress)
        content = replace(
            content,
            image_columns=[
                *content.image_columns,
                Column(
                    "near_duplicates", "IntField", groups, "group of pictures that look alike"
                ),
            ],
        )
        queues.append("near_duplicates")
    return Gathered(content, coco_bytes(dataset), tuple(queues), tuple(notes))


def check_names(names: Sequence[str]) -> None:
    """Refuse names of models that cannot be names of fields.

    Raises:
        UsageError: A name is taken, or holds what FiftyOne does not allow.
    """
    for name in names:
        good = name.replace("_", "").replace("-", "").isalnum() and name[0].isalpha()
        if not good or name in RESERVED:
            raise UsageError(
                f"option 'predictions': {name!r} cannot be the name of a field; wanted "
                "letters, digits, '_' and '-', beginning with a letter, for example "
                "--predictions ours=predictions.json"
            )


def own_tags(dataset: Dataset, section: str) -> list[list[str]]:
    """The list `tags` of each record of the arrays; empty where the file has none."""
    count = len(dataset.annotations if section == "annotations" else dataset.images)
    source = dataset.source
    if not isinstance(source, CocoSource) or b'"tags"' not in source.document.data:
        return [[] for _ in range(count)]
    rows = source.annotation_records if section == "annotations" else source.image_records
    return [_tags_in(source.document.record(section, index)) for index in rows.tolist()]


def _tags_in(record: bytes) -> list[str]:
    if b'"tags"' not in record:
        return []
    value = msgspec.json.decode(record).get("tags")
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _sizes(dataset: Dataset, paths: Sequence[Path]) -> NDArray[np.int64]:
    """(I, 2) px, from the file, and from the picture where the file does not say."""
    size = dataset.images.size_wh.copy()
    for row in np.flatnonzero((size <= 0).any(axis=1)).tolist():
        with opened(paths[row]) as picture:
            size[row] = picture.size
    return size


def _with_predictions(content: Content, sources: Sources, notes: list[str]) -> Content:
    columns, frames = list(content.columns), list(content.image_columns)
    predictions = dict(content.predictions)
    dataset = content.dataset
    for name, path in sources.predictions.items():
        read, findings = scan_predictions(path, dataset.schema)
        raise_errors(path, dataset.schema, findings)
        scores = score_instances(dataset, read)
        if np.isnan(scores.oks).all():
            notes.append(f"{name}: no OKS (the schema has no sigmas, or no instance an area)")
        columns += score_columns(name, scores)
        frames.append(worst_of_frame(f"{name}_rank", scores.rank, dataset))
        own = [
            Column("answers_for", "IntField", _partners(scores, dataset), "id of the instance"),
            Column("oks", "FloatField", known(scores.of_predictions(scores.oks)), "OKS"),
            Column("pckh", "FloatField", known(scores.of_predictions(scores.pckh)), "PCKh@0.5"),
        ]
        predictions[name] = (scores.predictions, own)
    return replace(content, columns=columns, image_columns=frames, predictions=predictions)


def _partners(scores: Scores, dataset: Dataset) -> list[int | None]:
    """The id of the instance that each prediction answers for, None for none."""
    partners: list[int | None] = [None] * len(scores.predictions)
    ids = dataset.annotations.instance_id.tolist()
    for row, prediction in enumerate(scores.prediction.tolist()):
        if prediction >= 0:
            partners[prediction] = ids[row]
    return partners


def score_columns(name: str, scores: Scores) -> list[Column]:
    """OKS, PCKh and the rank of each instance as attributes."""
    return [
        Column(f"{name}_oks", "FloatField", known(scores.oks), f"OKS of {name}"),
        Column(f"{name}_pckh", "FloatField", known(scores.pckh), f"PCKh@0.5 of {name}"),
        Column(f"{name}_rank", "IntField", ranks(scores.rank), f"1 where {name} is worst"),
    ]


def known(values: Floats) -> list[float | None]:
    """Plain values; None for NaN, so that the App can leave it out."""
    return [None if value != value else value for value in values.tolist()]


def ranks(values: NDArray[np.int64]) -> list[int | None]:
    """Plain ranks; None for 0."""
    return [value or None for value in values.tolist()]


def worst_of_frame(name: str, rank: NDArray[np.int64], dataset: Dataset) -> Column:
    """The first rank in each frame, None where nothing in it is ranked."""
    first = np.full(len(dataset.images), np.iinfo(np.int64).max)
    ranked = rank > 0
    np.minimum.at(first, dataset.image_row[ranked], rank[ranked])
    first[first == np.iinfo(np.int64).max] = 0
    return Column(f"worst_{name}", "IntField", ranks(first), f"least {name} in the frame")


def _with_queues(content: Content, sources: Sources) -> tuple[Content, list[str]]:
    columns, frames, queues = list(content.columns), list(content.image_columns), []
    for name, path in (("disagreement", sources.agreement), ("label_error", sources.ranking)):
        if path is None:
            continue
        queue = read_queue(path, content.dataset)
        columns += [
            Column(name, "FloatField", known(queue.score), f"score in {path.name}"),
            Column(f"{name}_rank", "IntField", ranks(queue.rank), f"place in {path.name}"),
        ]
        frames.append(worst_of_frame(f"{name}_rank", queue.rank, content.dataset))
        queues.append(name)
    return replace(content, columns=columns, image_columns=frames), queues


def _with_split(content: Content, folder: Path) -> Content:
    from toolkit.split import read_manifest

    split_of = read_manifest(folder).files()
    names = content.dataset.images.file_names
    values = [split_of.get(name) for name in names]
    if names and not any(values):
        raise InvalidDataError(
            f"{folder}: none of its images is in {content.dataset.name}; name the folder that "
            "'toolkit split' made from it"
        )
    column = Column("split", "StringField", values, f"split in {folder.name}")
    return replace(content, image_columns=[*content.image_columns, column])


def recipe_of_sources(sources: Sources) -> dict[str, str]:
    """What a view is made from, by name: contents of files, and the settings.

    Raises:
        ReadError: A file cannot be read.
    """
    files = {"file": sources.file, "agreement": sources.agreement, "rank": sources.ranking}
    if sources.splits is not None:
        files["splits"] = sources.splits / "manifest.json"
    files |= {f"predictions {name}": path for name, path in sources.predictions.items()}
    recipe = {name: _digest(path) for name, path in files.items() if path is not None}
    schema = sources.schema
    return recipe | {
        "images": str(sources.images.resolve()),
        "models": ",".join(sources.predictions),
        "profile": sources.profile or "",
        "near_duplicates": str(sources.near_duplicates),
        "schema": "" if schema is None else sha256_bytes(repr(schema).encode()),
    }


def _digest(path: Path) -> str:
    try:
        if path.is_dir():
            parts = [sha256_file(each) for each in sorted(path.rglob("*")) if each.is_file()]
            return sha256_bytes("".join(parts).encode())
        return sha256_file(path)
    except OSError as error:
        raise ReadError(f"{path}: cannot read: {error.strerror or error}") from error
