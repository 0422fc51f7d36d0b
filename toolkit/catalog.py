"""Which data sets there are, shipped and registered, and what is known about each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

from toolkit.dataset import Card, front_matter
from toolkit.errors import ReadError, UsageError, WriteError
from toolkit.files import sha256_file
from toolkit.places import datasets_root, registry_root
from toolkit.schema import Schema


def list_datasets() -> tuple[str, ...]:
    """Names of the shipped data sets, sorted."""
    return tuple(sorted(path.parent.name for path in datasets_root().glob("*/schema.yaml")))


def sample_path(name: str) -> Path:
    """The annotation file of a shipped sample; its images lie in `images` beside it.

    Raises:
        UsageError: There is no such data set, or it ships no sample.
    """
    path = datasets_root() / name / "sample" / "annotations.json"
    if not path.is_file():
        with_sample = [
            n
            for n in list_datasets()
            if (datasets_root() / n / "sample" / "annotations.json").is_file()
        ]
        raise UsageError(f"no sample '{name}'; known: {', '.join(with_sample)}")
    return path


def make_registry(root: Path) -> None:
    """Make the registry's folder, before the first data set is added.

    Raises:
        WriteError: It cannot be made.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"{root}: cannot make the registry's folder ({error.strerror}); set "
            "TOOLKIT_REGISTRY to a folder that can be written"
        ) from error


def registered_datasets() -> tuple[str, ...]:
    """Names of the user's own data sets, sorted."""
    return tuple(sorted(path.parent.name for path in registry_root().glob("[!.]*/card.md")))


class RegisteredFacts(TypedDict):
    """What `toolkit datasets` says of a data set that the user registered."""

    name: str
    path: str
    schema: str | None
    licence: str
    version: str
    citation: str
    source_url: str | None
    images: int
    instances: int
    clips: dict[str, int]
    sha256: str


def describe_registered(name: str) -> RegisteredFacts:
    """Card and records of a data set that the user registered.

    Raises:
        UsageError: There is no such data set.
        ReadError: A file of it cannot be read.
        InvalidDataError: Its card lacks a required field, such as the licence.
    """
    if name not in registered_datasets():
        known = (*list_datasets(), *registered_datasets())
        raise UsageError(f"no data set '{name}'; known: {', '.join(known)}")
    folder = registry_root() / name
    card = Card.load(folder / "card.md")
    path = folder / "annotations.json"
    try:
        document = json.loads(path.read_bytes())
        images, people = document["images"], document["annotations"]
        clips = [str(image["clip"]) for image in images]
        named = document.get("info", {}).get("schema")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReadError(
            f"{path}: cannot read what was registered ({error}); register '{name}' again, "
            "or run 'toolkit validate' on the file"
        ) from error
    return RegisteredFacts(
        name=name,
        path=str(path),
        schema=None if named is None else str(named),
        licence=card.licence,
        version=card.version,
        citation=card.citation,
        source_url=card.source_url,
        images=len(images),
        instances=len(people),
        clips={clip: clips.count(clip) for clip in dict.fromkeys(clips)},
        sha256=sha256_file(path),
    )


class SampleFacts(TypedDict):
    """What is on disk of a shipped sample; `sha256_stated` is what its card says, or None."""

    path: str
    images: int
    instances: int
    sha256: str
    sha256_stated: str | None
    splits: dict[str, int]


class DatasetFacts(TypedDict):
    """What `toolkit datasets` says of a data set."""

    name: str
    title: str
    keypoints: list[str]
    extension: list[str]
    licence: str
    version: str
    citation: str
    source_url: str | None
    counts: dict[str, int]
    sample: SampleFacts | None


def describe(name: str) -> DatasetFacts:
    """Schema, card and sample of a shipped data set, as plain values.

    Raises:
        ReadError: A file of it cannot be read.
        InvalidDataError: Its card lacks a required field, such as the licence.
    """
    folder = datasets_root() / name
    schema = Schema.load(name)
    card = Card.load(folder / "card.md")
    return DatasetFacts(
        name=name,
        title=schema.title,
        keypoints=list(schema.names),
        extension=[k.name for k in schema.keypoints if k.group == "extension"],
        licence=card.licence,
        version=card.version,
        citation=card.citation,
        source_url=card.source_url,
        counts=card.counts,
        sample=_sample_facts(folder),
    )


def _sample_facts(folder: Path) -> SampleFacts | None:
    path = folder / "sample" / "annotations.json"
    if not path.is_file():
        return None
    document = json.loads(path.read_bytes())
    card = path.parent / "card.md"
    stated = front_matter(card)[0].get("annotations_sha256") if card.is_file() else None
    splits = {
        split.stem: len(split.read_text(encoding="utf-8").split())
        for split in sorted((folder / "splits").glob("*.txt"))
    }
    return SampleFacts(
        path=str(path),
        images=len(document["images"]),
        instances=len(document["annotations"]),
        sha256=sha256_file(path),
        sha256_stated=None if stated is None else str(stated),
        splits=splits,
    )
