"""A data set: images and annotations under one schema, and the card that describes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Images, Selector
from toolkit.errors import InvalidDataError, ReadError
from toolkit.schema import Schema

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Dataset:
    """Images and annotations as arrays, with the document they were read from.

    Attributes:
        schema: What the keypoints are.
        images: I images.
        annotations: N instances.
        path: The file it was read from, or None.
        digest: Gives the SHA-256 of that file's bytes (see `sha256`), or None.
        source: The lossless document that the reader keeps, or None.
    """

    schema: Schema
    images: Images
    annotations: Annotations
    path: Path | None = None
    digest: Callable[[], str] | None = field(default=None, repr=False, compare=False)
    source: object | None = field(default=None, repr=False, compare=False)

    @cached_property
    def sha256(self) -> str | None:
        """SHA-256 of the file's bytes; computed when it is asked for, it takes a while."""
        return None if self.digest is None else self.digest()

    @cached_property
    def image_row(self) -> NDArray[np.int64]:
        """(N,) row in `images` of each annotation's image.

        Raises:
            InvalidDataError: An annotation names an image that does not exist.
        """
        order = np.argsort(self.images.ids, kind="stable")
        sorted_ids = self.images.ids[order]
        wanted = self.annotations.image_id
        at = np.searchsorted(sorted_ids, wanted)
        inside = at < len(sorted_ids)
        found = np.zeros(len(wanted), dtype=bool)
        found[inside] = sorted_ids[at[inside]] == wanted[inside]
        if not found.all():
            first = int(wanted[~found][0])
            raise InvalidDataError(
                f"{self.name}: {int((~found).sum())} annotations name images that do not "
                f"exist, the first image_id {first}; run 'toolkit validate' for the list"
            )
        return np.asarray(order[at], dtype=np.int64)

    @property
    def name(self) -> str:
        """The file's name, or the schema's where there is no file."""
        return self.schema.name if self.path is None else self.path.name

    @property
    def size_wh(self) -> NDArray[np.int64]:
        """(N, 2) size of each annotation's image in px."""
        return self.images.size_wh[self.image_row]

    @property
    def clips(self) -> list[str | None]:
        """N clip ids, one for each annotation, None where its image has none."""
        return [self.images.clips[row] for row in self.image_row]

    def subset(self, rows: Selector) -> Dataset:
        """The same data set with only these annotations; all images stay."""
        return replace(self, annotations=self.annotations[rows])

    def to_pandas(self) -> pandas.DataFrame:
        """One row an instance, for people who think in tables.

        Columns: `annotation_id`, `image_id`, `file_name`, `clip`, `frame`, `bbox_x`,
        `bbox_y`, `bbox_w`, `bbox_h`, `area`, and `NAME_x`, `NAME_y`, `NAME_v` for each
        keypoint (NaN where not labelled).
        """
        import pandas  # lazy: pandas costs 0.6 s

        people = self.annotations
        rows = self.image_row
        columns: dict[str, object] = {
            "annotation_id": people.instance_id,
            "image_id": people.image_id,
            "file_name": [self.images.file_names[row] for row in rows],
            "clip": self.clips,
            "frame": self.images.frames[rows],
            "area": people.area,
        }
        for axis, letter in enumerate("xywh"):
            columns[f"bbox_{letter}"] = people.bbox_xywh[:, axis]
        for index, name in enumerate(self.schema.names):
            columns[f"{name}_x"] = people.keypoints[:, index, 0]
            columns[f"{name}_y"] = people.keypoints[:, index, 1]
            columns[f"{name}_v"] = people.visibility[:, index]
        return pandas.DataFrame(columns)


@dataclass(frozen=True)
class Card:
    """What a person must know before using a data set.

    `licence` has no default: a data set whose licence nobody stated cannot have a card.

    Attributes:
        name: Name of the data set.
        licence: Terms of use, in the words of whoever owns the data.
        version: Version of the data, not of the toolkit.
        citation: How to cite it.
        source_url: Where to ask for it, or None.
        counts: Numbers of images, instances and so on, by name.
        text: The prose below the front matter.
    """

    name: str
    licence: str
    version: str
    citation: str
    source_url: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    text: str = ""

    @classmethod
    def load(cls, path: Path) -> Card:
        """Read `card.md`: YAML front matter between two `---` lines, then prose.

        Raises:
            ReadError: The file cannot be read or has no front matter.
            InvalidDataError: A required field is missing, or `counts` is of another kind.
        """
        import yaml

        given, written, prose = front_matter(path)
        required = ("name", "licence", "version", "citation")
        missing = [f"'{name}'" for name in required if given.get(name) in (None, "", [], {})]
        if missing:
            fields = "field" if len(missing) == 1 else "fields"
            are = "is" if len(missing) == 1 else "are"
            raise InvalidDataError(
                f"{path}: {fields} {' and '.join(missing)} {are} missing; a card states "
                "name, licence, version and citation between its two '---' lines"
            )
        counts = given.get("counts") or {}
        if not isinstance(counts, dict):
            raise InvalidDataError(
                f"{path}: field 'counts': got {counts!r}; wanted numbers by name, such as "
                "'images: 12'"
            )
        url = given.get("source_url")
        # As written: YAML takes `version: 1.10` for the number 1.1.
        spelled = yaml.load(written, Loader=yaml.BaseLoader)
        return cls(
            name=str(spelled["name"]),
            licence=str(spelled["licence"]),
            version=str(spelled["version"]),
            citation=str(spelled["citation"]),
            source_url=None if url is None else str(url),
            counts=counts,
            text=prose.strip(),
        )


def front_matter(path: Path) -> tuple[dict[str, object], str, str]:
    """What a card says: YAML between two `---` lines, then prose.

    Returns:
        The YAML's fields (none where it is no mapping), its text, and the prose.

    Raises:
        ReadError: The file cannot be read, has no front matter, or it is not YAML.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: cannot read the card: {error}") from error
    parts = text.split("---\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ReadError(f"{path}: no front matter; expected YAML between two '---' lines")
    try:
        front = yaml.safe_load(parts[1])
    except yaml.YAMLError as error:
        raise ReadError(f"{path}: front matter is not YAML: {error}") from error
    except (ValueError, LookupError, AttributeError, RecursionError) as error:
        # What YAML takes for a date or a tagged number, and Python does not.
        raise ReadError(
            f"{path}: front matter is not YAML: {error}; put quotes round dates and "
            "numbers that are text"
        ) from error
    return front if isinstance(front, dict) else {}, parts[1], parts[2]
