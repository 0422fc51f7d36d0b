"""Which group each image belongs to: what must stay together in a split."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

import msgspec

from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats import CocoSource
from toolkit.images import one_name, one_text

BY_IMAGE = "image"
SHOWN = 10  # images or clips that a message names
_WHY = (
    "neighbouring frames of a clip are nearly the same picture, so that a test by frame "
    "measures memory"
)


def group_values(
    dataset: Dataset, group: str | None, *, own: bool = False, by_frame: bool = False
) -> tuple[str, list[str]]:
    """The group of each image.

    Args:
        dataset: Read from a file.
        group: A field of the image records (`clip`, `game`, ...), `file_name:REGEX` (its
            first parenthesis is the group), or `image`. None takes `clip`.
        own: Make an image without a value its own group.
        by_frame: Allow a grouping that tears clips apart.

    Returns:
        What was used, and I group names.

    Raises:
        UsageError: No image has the field, the expression is none, or the grouping tears
            clips apart and `by_frame` was not given.
        InvalidDataError: Some images have no value, and `own` was not given.
    """
    spec = group or "clip"
    values = [None if v is None else one_text(v) for v in _values(dataset, spec)]
    names = dataset.images.file_names
    missing = [row for row, value in enumerate(values) if value is None]
    if missing and len(missing) == len(values):
        raise _no_such_field(dataset, spec)
    if missing and not own:
        shown = _listed(f"{names[row]!r} (id={dataset.images.ids[row]})" for row in missing)
        raise InvalidDataError(
            f"{dataset.name}: {len(missing)} of {len(values)} images have no '{spec}': "
            f"{shown}; add the field, or pass --ungrouped own to make each its own group"
        )
    found = [
        f"image:{one_name(names[row])}" if value is None else value
        for row, value in enumerate(values)
    ]
    if not by_frame:
        _keep_clips_whole(dataset, spec, found)
    return spec, found


def _values(dataset: Dataset, spec: str) -> list[str | None]:
    images = dataset.images
    if spec == "clip":
        return list(images.clips)
    if spec == BY_IMAGE:
        return [
            f"{name}#{image}" for name, image in zip(images.file_names, images.ids, strict=True)
        ]
    if spec.startswith("file_name:"):
        return _by_expression(images.file_names, spec.removeprefix("file_name:"))
    return [_text(record.get(spec)) for record in image_fields(dataset)]


def image_fields(dataset: Dataset) -> list[dict[str, object]]:
    """I image records as the file has them; none where there is no file."""
    source = dataset.source
    if not isinstance(source, CocoSource):
        return [{} for _ in dataset.images.ids]
    return [
        cast(
            "dict[str, object]", msgspec.json.decode(source.document.record("images", int(at)))
        )
        for at in source.image_records
    ]


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)


def _by_expression(names: tuple[str, ...], expression: str) -> list[str | None]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise UsageError(
            f"option 'group': '{expression}' is no regular expression: {error}"
        ) from error
    if pattern.groups < 1:
        raise UsageError(
            f"option 'group': '{expression}' has no parenthesis; put one round the part of "
            "the file name that names the group, for example 'file_name:^(game[0-9]+)_'"
        )
    return [
        None if (match := pattern.search(name)) is None else match.group(1) for name in names
    ]


def _no_such_field(dataset: Dataset, spec: str) -> UsageError:
    count = len(dataset.images)
    usual = {"id", "file_name", "width", "height", "frame", "license", "date_captured"}
    known = sorted({key for record in image_fields(dataset) for key in record} - usual)
    return UsageError(
        f"{dataset.name}: none of {count} images has '{spec}'; pass --group with a field of "
        f"the image records ({', '.join(known) or 'this file has none'}), "
        "file_name:REGEX, or image to split by frame"
    )


def _keep_clips_whole(dataset: Dataset, spec: str, groups: list[str]) -> None:
    seen: dict[str, str] = {}
    torn: dict[str, None] = {}
    for clip, group in zip(dataset.images.clips, groups, strict=True):
        if clip is not None and seen.setdefault(one_text(clip), group) != group:
            torn[one_text(clip)] = None
    if torn:
        raise UsageError(
            f"{dataset.name}: grouping by '{spec}' tears {len(torn)} clips apart "
            f"({_listed(repr(clip) for clip in torn)}); {_WHY}; use --group clip, or pass "
            "--by-frame if that is what you want"
        )


def _listed(words: Iterable[str]) -> str:
    given = list(words)
    more = f" and {len(given) - SHOWN} more" if len(given) > SHOWN else ""
    return ", ".join(given[:SHOWN]) + more


def plain_values(dataset: Dataset, group: str) -> tuple[str | None, ...]:
    """The group of each image, None where it has none; for data that are not split."""
    if group == BY_IMAGE:  # names are compared as names
        return (None,) * len(dataset.images)
    return tuple(_values(dataset, group))
