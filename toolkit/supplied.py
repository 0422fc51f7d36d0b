"""Whether the files of a known data set that a user was given are its authors'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit import formats
from toolkit.catalog import list_datasets
from toolkit.checks.images import check_images
from toolkit.dataset import front_matter
from toolkit.errors import ReadError, UsageError
from toolkit.files import sha256_file
from toolkit.parallel import Progress
from toolkit.places import datasets_root
from toolkit.report import Finding, Severity
from toolkit.schema import Schema

State = Literal["right", "other hash", "other counts", "counts agree", "absent"]


@dataclass(frozen=True)
class SuppliedFile:
    """One annotation file that the authors hand out.

    Attributes:
        name: Its name.
        state: `right` (the hash is known and the same), `counts agree` (no hash is known,
            the numbers are right), `other hash`, `other counts`, or `absent`.
        said: The state in a sentence.
        path: Where it was found, or None.
        sha256: Of what was found, or None.
        images: Findings about the images that it names; None where not looked at.
    """

    name: str
    state: State
    said: str
    path: Path | None = None
    sha256: str | None = None
    images: tuple[Finding, ...] | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """What is wrong with its images."""
        return tuple(f for f in self.images or () if f.severity is Severity.ERROR)


@dataclass(frozen=True)
class Supplied:
    """What was found in a folder.

    Attributes:
        name: The data set.
        ask_at: Where to ask for what is absent.
        files: One entry for each file of the card, in its order.
        images_dir: The folder of the images, or None where there is none.
    """

    name: str
    ask_at: str | None
    files: tuple[SuppliedFile, ...]
    images_dir: Path | None

    @property
    def ok(self) -> bool:
        """Whether something is there, and nothing that is there is wrong."""
        there = [file for file in self.files if file.state != "absent"]
        wrong = [f for f in there if f.state.startswith("other") or f.errors]
        return bool(there) and not wrong


def check_supplied(
    name: str,
    folder: Path,
    *,
    images_dir: Path | None = None,
    progress: Progress | None = None,
) -> Supplied:
    """Compare a folder with what the data set's card says of its files.

    Annotation files are looked for in the folder, in `annotations` and in `json` below it;
    images in `images`, unless another folder is named. The card holds hashes of annotation
    files only: images are checked by what the records say of them (there, readable, size).

    Raises:
        UsageError: There is no such data set, or nothing is known of its files.
        ReadError: The folder does not exist, or an annotation file cannot be read.
        UnsafeInputError: An image file is refused.
    """
    front = _card_front(name)
    files = front.get("files")
    if not isinstance(files, dict):
        raise UsageError(f"nothing is known of the files of '{name}'; its card lists none")
    if not folder.is_dir():
        raise ReadError(f"{folder}: no such folder; name the folder that holds '{name}'")
    pictures = images_dir or folder / "images"
    looked = pictures if pictures.is_dir() else None
    if images_dir is not None and looked is None:
        raise ReadError(f"{images_dir}: no such folder; name the folder of the images")
    schema = Schema.load(name)
    results = tuple(
        _check_file(str(file), facts, folder, looked, schema, progress)
        for file, facts in files.items()
    )
    url = front.get("source_url")
    return Supplied(name, None if url is None else str(url), results, looked)


def _card_front(name: str) -> Mapping[str, object]:
    if name not in list_datasets():
        raise UsageError(f"no data set '{name}'; known: {', '.join(list_datasets())}")
    return front_matter(datasets_root() / name / "card.md")[0]


def _check_file(
    name: str,
    facts: Mapping[str, object],
    folder: Path,
    images_dir: Path | None,
    schema: Schema,
    progress: Progress | None,
) -> SuppliedFile:
    places = [folder / name, folder / "annotations" / name, folder / "json" / name]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return SuppliedFile(name, "absent", "is not there")
    sha256 = sha256_file(path)
    dataset = formats.scan(path, schema).dataset
    counts = {"images": len(dataset.images), "instances": len(dataset.annotations)}
    wrong = [
        f"{count:,} {what} where {facts[what]:,} are expected"
        for what, count in counts.items()
        if what in facts and facts[what] != count
    ]
    state: State
    if "sha256" in facts:
        state = "right" if facts["sha256"] == sha256 else "other hash"
        said = "is the file that its authors hand out"
        if state == "other hash":
            said = f"has another SHA-256 ({', '.join(wrong) or 'its counts are right'})"
    elif wrong:
        state, said = "other counts", f"has {', '.join(wrong)}"
    else:
        state, said = "counts agree", "has as many images as expected; no hash is known"
    found = None
    if images_dir is not None:
        found = tuple(check_images(dataset, images_dir, progress=progress))
    return SuppliedFile(name, state, said, path, sha256, found)
