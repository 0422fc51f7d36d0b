"""What a release is made from: a folder with annotations, images, schema, card and splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from toolkit import checks, formats
from toolkit.checks import Profile
from toolkit.dataset import Card, Dataset, front_matter
from toolkit.errors import InvalidDataError, ReadError, UnsafeInputError, counted
from toolkit.images import resolve_images
from toolkit.publish.manifest import file_paths
from toolkit.schema import Schema

if TYPE_CHECKING:
    from toolkit.formats.coco_write import CocoSource

PARTS = ("annotations.json", "images", "schema.yaml", "card.md", "splits")
_SHOWN = 5


@dataclass(frozen=True)
class Source:
    """A checked source folder.

    Attributes:
        folder: Where it lies.
        schema: From `schema.yaml`.
        dataset: From `annotations.json`, without errors under `profile`.
        card: From `card.md`.
        front: The card's whole front matter, fields beyond `Card`'s included.
        profile: The rules that the annotations were checked by.
        images: Names below `images/` that the annotations use, sorted.
        unused: Files below `images/` that no record names; they stay behind.
        licences: Licence by path, for images whose record names one.
    """

    folder: Path
    schema: Schema
    dataset: Dataset
    card: Card
    front: Mapping[str, object]
    profile: str
    images: tuple[str, ...]
    unused: tuple[str, ...]
    licences: Mapping[str, str]


def read_source(folder: Path, profile: Profile | None = None) -> Source:
    """Read and check a source folder.

    Args:
        folder: Holds `annotations.json`, `images/`, `schema.yaml`, `card.md`, `splits/`.
        profile: Rules of `toolkit validate`; by default those that fit the data, as there.

    Raises:
        ReadError: Something is missing (all of it is listed) or cannot be read.
        InvalidDataError: The annotations have errors, an image is missing, or the card
            states no licence.
        UnsafeInputError: A file name leads out of `images/`, or a link lies in the folder.
    """
    missing = [name for name in PARTS if not (folder / name).exists()]
    if missing:
        raise ReadError(
            f"{folder}: {', '.join(missing)} missing; a release is built from "
            f"{', '.join(PARTS)}; 'toolkit split' writes splits/"
        )
    _refuse_links(folder)
    schema = Schema.load(folder / "schema.yaml")
    card = Card.load(folder / "card.md")
    dataset, chosen = _valid(folder / "annotations.json", schema, profile)
    names = dataset.images.file_names
    resolve_images(folder / "images", names, dataset.images.ids)
    used = {_place(name) for name in names}
    return Source(
        folder=folder,
        schema=schema,
        dataset=dataset,
        card=card,
        front=front_matter(folder / "card.md")[0],
        profile=chosen,
        images=tuple(sorted(used)),
        unused=tuple(name for name in file_paths(folder / "images") if name not in used),
        licences=image_licences(dataset),
    )


def image_licences(dataset: Dataset) -> dict[str, str]:
    """`images/NAME` -> terms, for images whose record names one of the file's `licenses`."""
    source: CocoSource = dataset.source  # type: ignore[assignment]
    document = source.document
    top = msgspec.json.decode(document.data)
    listed = top.get("licenses")
    terms = {
        entry["id"]: said
        for entry in (listed if isinstance(listed, list) else [])
        if isinstance(entry, dict) and _is_id(entry.get("id")) and (said := _terms(entry))
    }
    return {
        f"images/{_place(image['file_name'])}": terms[image["license"]]
        for image in top["images"]
        if _is_id(image.get("license")) and image["license"] in terms
    }


def _place(file_name: str) -> str:
    """Where an image lies below `images/`, however its record spells that (`./a.jpg`)."""
    return PurePosixPath(file_name).as_posix()


def _terms(licence: Mapping[str, object]) -> str:
    """Name and address of an entry of `licenses`; nothing where both are empty."""
    name, url = licence.get("name"), licence.get("url")
    return f"{name} ({url})" if name and url else str(name or url or "")


def _is_id(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _valid(path: Path, schema: Schema, profile: Profile | None) -> tuple[Dataset, str]:
    scan = formats.scan(path, schema)
    report = checks.validate(
        scan.dataset, profile=profile, findings=scan.findings, limit=_SHOWN
    )
    if not report.ok:
        shown = "; ".join(f.line(path.name) for f in report.errors[:_SHOWN])
        raise InvalidDataError(
            f"{path}: {counted(report.counts()['error'], 'error')} under profile "
            f"'{report.profile}', nothing was built: {shown}; see: toolkit validate {path} "
            f"--schema {path.parent / 'schema.yaml'} --profile {report.profile}",
            report,
        )
    return scan.dataset, report.profile


def _refuse_links(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise UnsafeInputError(
                f"{path}: a symbolic link; a release holds only files that lie in its own "
                "folder. Put the file itself there."
            )
