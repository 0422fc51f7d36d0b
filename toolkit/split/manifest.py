"""The manifest of a frozen split: what went where, by which rule, with hashes.

One JSON file beside the split's annotation files. Everything in it follows from the input,
the options and the toolkit's version; there is no date, so that the same call gives the
same bytes. Each image has one line, so that two versions can be compared by `diff`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from toolkit.errors import InvalidDataError, ReadError
from toolkit.schema import Schema

NAME = "manifest.json"
KIND = "toolkit-split"
Json = Mapping[str, object]


@dataclass(frozen=True)
class ImageEntry:
    """One image of a split.

    Attributes:
        id: The image's id.
        file_name: As in the annotation file.
        group: What it must stay together with.
        instances: Ids of its annotations.
        sha256: Of the image file's bytes, or None where no images were given.
        hash64: The perceptual hash, 16 hexadecimal digits, or None.
    """

    id: int
    file_name: str
    group: str
    instances: tuple[int, ...]
    sha256: str | None = None
    hash64: str | None = None

    def to_json(self) -> dict[str, object]:
        """The entry; hashes only where there are any."""
        document: dict[str, object] = {
            "id": self.id,
            "file_name": self.file_name,
            "group": self.group,
            "instances": list(self.instances),
        }
        if self.sha256 is not None:
            document |= {"sha256": self.sha256, "hash64": self.hash64}
        return document


@dataclass(frozen=True)
class Part:
    """One split.

    Attributes:
        file: Name of its annotation file, beside the manifest.
        sha256: Of that file.
        figures: Counts, fractions and strata, as they are printed.
        images: Its images in the file's order.
    """

    file: str
    sha256: str
    figures: Json
    images: tuple[ImageEntry, ...]


@dataclass(frozen=True)
class Manifest:
    """A frozen split.

    Attributes:
        settings: Version, source, schema, group, seed, fractions, size edges and so on.
        parts: The splits by name.
    """

    settings: Json
    parts: Mapping[str, Part]

    @property
    def group(self) -> str:
        """What the images were grouped by."""
        return str(self.settings.get("group"))

    @property
    def by_frame(self) -> bool:
        """Whether clips were allowed on several sides."""
        return bool(self.settings.get("by_frame"))

    @property
    def schema(self) -> str | None:
        """Name of the built-in schema; None where the files themselves must tell."""
        name = str(self.settings.get("schema"))
        return name if name in Schema.builtin_names() else None

    def groups(self) -> dict[str, str]:
        """The split of each group, by the group's name."""
        return {e.group: name for name, part in self.parts.items() for e in part.images}

    def files(self) -> dict[str, str]:
        """The split of each image, by its file name."""
        return {e.file_name: name for name, part in self.parts.items() for e in part.images}


def manifest_text(manifest: Manifest) -> str:
    """The manifest's JSON, one image a line."""
    head = json.dumps({"kind": KIND, **manifest.settings}, indent=1, ensure_ascii=False)
    blocks = []
    for name, part in manifest.parts.items():
        fields = {"file": part.file, "sha256": part.sha256, **part.figures}
        inner = json.dumps(fields, indent=1, ensure_ascii=False, allow_nan=False)[2:-2]
        images = ",\n".join(
            "   " + json.dumps(entry.to_json(), ensure_ascii=False) for entry in part.images
        )
        body = "\n".join(f"  {line}" for line in inner.splitlines())
        listed = f"[\n{images}\n  ]" if part.images else "[]"
        block = f'  {json.dumps(name)}: {{\n{body},\n   "images_list": {listed}\n  }}'
        blocks.append(block)
    return head[:-2] + ',\n "splits": {\n' + ",\n".join(blocks) + "\n }\n}\n"


def read_manifest(folder: Path) -> Manifest:
    """Read a split's manifest.

    Raises:
        ReadError: There is none, or it cannot be read or is not JSON.
        InvalidDataError: It is no manifest of a split.
    """
    path = folder / NAME
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ReadError(
            f"{folder}: no {NAME}; expected a folder that 'toolkit split' wrote"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ReadError(f"{path}: cannot read the manifest: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise InvalidDataError(f"{path}: no manifest of a split; expected \"kind\": '{KIND}'")
    try:
        splits = document.pop("splits")
        parts = {str(name): _part(fields) for name, fields in splits.items()}
        if not parts:
            raise ValueError("it names no split")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidDataError(
            f"{path}: the manifest is damaged ({type(error).__name__}: {error}); restore the "
            "file that was published"
        ) from error
    del document["kind"]
    return Manifest(cast("Json", document), parts)


def _part(fields: dict[str, object]) -> Part:
    rest = dict(fields)
    listed = cast("list[dict[str, object]]", rest.pop("images_list"))
    file, digest = str(rest.pop("file")), str(rest.pop("sha256"))
    if Path(file).name != file or file in ("", ".", ".."):
        raise ValueError(f"file {file!r} is no plain name")
    return Part(file, digest, rest, tuple(_entry(entry) for entry in listed))


def _entry(fields: dict[str, object]) -> ImageEntry:
    return ImageEntry(
        id=int(cast("int", fields["id"])),
        file_name=str(fields["file_name"]),
        group=str(fields["group"]),
        instances=tuple(int(i) for i in cast("list[int]", fields["instances"])),
        sha256=_optional(fields, "sha256"),
        hash64=_optional(fields, "hash64"),
    )


def _optional(fields: Json, key: str) -> str | None:
    value = fields.get(key)
    return None if value is None else str(value)


def rounded(value: float) -> float | None:
    """A share for JSON: six digits, None where nothing was counted."""
    return None if math.isnan(value) else round(float(value), 6)
