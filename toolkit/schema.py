"""Schemas: what the keypoints of a data set are, and everything derived from that.

One YAML file a data set (`datasets/NAME/schema.yaml`, or a file of the user's own) names
the keypoints in order and says for each: its group (`body` or `extension`), flip partner,
OKS sigma with the source of that number, report group, allowed region, and at least five
prompt sentences; then the edges of the skeleton, the rule for head size (PCKh), and the
COCO category. Edges and partners are names, not indices: COCO's 1-based indices exist
only at the border.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import SchemaError, UsageError
from toolkit.places import datasets_root

Group = Literal["body", "extension"]
Region = Literal["box", "image", "anywhere"]
HeadSizeMethod = Literal["head_box", "segment", "torso"]
MIN_PROMPTS = 5


@dataclass(frozen=True)
class Keypoint:
    """One keypoint of a schema.

    Attributes:
        name: Unique in the schema, for example `stick_heel`.
        group: `body`, or `extension` for what reaches beyond the person.
        flip: The keypoint it becomes in a mirrored image; its own name when unpaired.
        sigma: OKS constant (COCO's sigma, k = 2 sigma), or None where unknown.
        sigma_source: Where that number comes from.
        sigma_published: False for a default that nobody has published.
        report_group: The column it counts in: Body, Butt End, Stick Heel, Stick Toe.
        region: Where it may lie: in the `box`, in the `image`, or `anywhere`.
        prompts: At least five sentences that describe it, for text encoders.
    """

    name: str
    group: Group = "body"
    flip: str = ""
    sigma: float | None = None
    sigma_source: str = "unknown"
    sigma_published: bool = False
    report_group: str = "Body"
    region: Region = "anywhere"
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeadSizeStep:
    """One step of the rule for head size; the first step that can be computed is used.

    Attributes:
        method: `head_box` (the annotation's `head_box_xywh`, its diagonal), `segment`
            (distance between two keypoints) or `torso` (mean left and right distance
            between the `pairs`).
        factor: What the length is multiplied with.
        pairs: Keypoint names the lengths are taken between; empty for `head_box`.
    """

    method: HeadSizeMethod
    factor: float
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """A name for results, such as `0.6*head_box_diagonal`."""
        if self.method == "head_box":
            return f"{self.factor:g}*head_box_diagonal"
        spans = "+".join("-".join(pair) for pair in self.pairs)
        return (
            f"{self.factor:g}*mean({spans})" if self.pairs[1:] else f"{self.factor:g}*{spans}"
        )


@dataclass(frozen=True)
class SchemaMapping:
    """Which keypoint of one schema is which of another, by name.

    Attributes:
        source_index: (M,) int64 indices in the source schema.
        target_index: (M,) int64 indices in the target schema, ascending in source order.
        unmatched_source: Names that only the source has.
        unmatched_target: Names that only the target has.
    """

    source_index: NDArray[np.int64]
    target_index: NDArray[np.int64]
    unmatched_source: tuple[str, ...]
    unmatched_target: tuple[str, ...]


@dataclass(frozen=True)
class Schema:
    """The keypoints of a data set and what is derived from them.

    Attributes:
        name: Short name, such as `hockey`.
        title: For people.
        keypoints: K keypoints in the order of the file.
        edges: Pairs of keypoint names to draw.
        head_size: Steps of the rule for head size, first to last.
        category: COCO's `id`, `name` and `supercategory`.

    Raises:
        SchemaError: Names repeat, an edge or partner is unknown, partners do not agree, a
            sigma is not positive, or a keypoint with prompts has fewer than five.
    """

    name: str
    title: str
    keypoints: tuple[Keypoint, ...]
    edges: tuple[tuple[str, str], ...] = ()
    head_size: tuple[HeadSizeStep, ...] = ()
    category_id: int = 1
    category_name: str = "person"
    supercategory: str = "person"

    def __post_init__(self) -> None:
        """Check what the derived values rely on."""
        known = set(self.names)
        if len(known) != len(self.keypoints):
            repeated = sorted({n for n in self.names if self.names.count(n) > 1})
            raise SchemaError(
                f"schema '{self.name}': keypoint names repeat: {', '.join(repeated)}"
            )
        for start, end in self.edges:
            self._require_known(known, "edge", start, end)
        for step in self.head_size:
            for pair in step.pairs:
                self._require_known(known, "head size", *pair)
        partner = {k.name: k.flip or k.name for k in self.keypoints}
        for keypoint in self.keypoints:
            self._require_known(known, "flip partner", partner[keypoint.name])
            if partner[partner[keypoint.name]] != keypoint.name:
                raise SchemaError(
                    f"schema '{self.name}': keypoint '{keypoint.name}' flips to "
                    f"'{partner[keypoint.name]}', which flips to "
                    f"'{partner[partner[keypoint.name]]}'; partners must name each other"
                )
            if keypoint.sigma is not None and not 0 < keypoint.sigma < float("inf"):
                raise SchemaError(
                    f"schema '{self.name}': keypoint '{keypoint.name}' has sigma "
                    f"{keypoint.sigma}; expected a positive number"
                )
            if keypoint.prompts and len(keypoint.prompts) < MIN_PROMPTS:
                raise SchemaError(
                    f"schema '{self.name}': keypoint '{keypoint.name}' has "
                    f"{len(keypoint.prompts)} prompts; expected none or at least {MIN_PROMPTS}"
                )

    def _require_known(self, known: set[str], what: str, *names: str) -> None:
        for name in names:
            if name not in known:
                raise SchemaError(
                    f"schema '{self.name}': {what} names keypoint '{name}', which does not "
                    f"exist{_did_you_mean(name, self.names)}"
                )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """K keypoint names in order."""
        return tuple(keypoint.name for keypoint in self.keypoints)

    @property
    def num_keypoints(self) -> int:
        """K."""
        return len(self.keypoints)

    def index(self, name: str) -> int:
        """0-based index of a keypoint.

        Raises:
            SchemaError: There is no such keypoint.
        """
        self._require_known(set(self.names), "the caller", name)
        return self.names.index(name)

    @cached_property
    def edge_index(self) -> NDArray[np.int64]:
        """(E, 2) int64, 0-based."""
        pairs = [(self.names.index(a), self.names.index(b)) for a, b in self.edges]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def flip_index(self) -> NDArray[np.int64]:
        """(K,) int64: where each keypoint goes in a mirrored image; an involution."""
        return np.array([self.names.index(k.flip or k.name) for k in self.keypoints], np.int64)

    @property
    def has_sigmas(self) -> bool:
        """Whether every keypoint has an OKS sigma."""
        return all(keypoint.sigma is not None for keypoint in self.keypoints)

    @cached_property
    def sigmas(self) -> NDArray[np.float64]:
        """(K,) OKS sigmas.

        Raises:
            SchemaError: A keypoint has none: OKS would be a guess.
        """
        missing = [k.name for k in self.keypoints if k.sigma is None]
        if missing:
            raise SchemaError(
                f"schema '{self.name}' has no OKS sigma for {', '.join(missing)}; add "
                "'sigma' to the schema file, or pass --schema with a file that has them"
            )
        return np.array([k.sigma for k in self.keypoints], dtype=np.float64)

    @cached_property
    def is_extension(self) -> NDArray[np.bool_]:
        """(K,) bool: which keypoints reach beyond the person."""
        return np.array([k.group == "extension" for k in self.keypoints], dtype=bool)

    @cached_property
    def report_groups(self) -> dict[str, NDArray[np.int64]]:
        """Keypoint indices of each report group, in order of first appearance."""
        groups: dict[str, list[int]] = {}
        for index, keypoint in enumerate(self.keypoints):
            groups.setdefault(keypoint.report_group, []).append(index)
        return {name: np.array(rows, dtype=np.int64) for name, rows in groups.items()}

    @property
    def prompts(self) -> tuple[tuple[str, ...], ...]:
        """K tuples of prompt sentences."""
        return tuple(keypoint.prompts for keypoint in self.keypoints)

    def coco_category(self) -> dict[str, object]:
        """The COCO category: names, and the skeleton with COCO's 1-based indices."""
        return {
            "id": self.category_id,
            "name": self.category_name,
            "supercategory": self.supercategory,
            "keypoints": list(self.names),
            "skeleton": (self.edge_index + 1).tolist(),
        }

    def mapping_to(self, target: Schema) -> SchemaMapping:
        """Match keypoints by name, as a zero-shot run from one schema to another needs."""
        shared = [n for n in self.names if n in target.names]
        return SchemaMapping(
            source_index=np.array([self.names.index(n) for n in shared], dtype=np.int64),
            target_index=np.array([target.names.index(n) for n in shared], dtype=np.int64),
            unmatched_source=tuple(n for n in self.names if n not in target.names),
            unmatched_target=tuple(n for n in target.names if n not in self.names),
        )

    def require_same_keypoints(self, wanted: Schema, what: str, next_step: str) -> None:
        """Refuse other keypoints than a network's, or the same in another order.

        Args:
            wanted: Whose names and order this schema's must be.
            what: Has this schema; begins the message.
            next_step: Ends it.

        Raises:
            SchemaError: They differ; the first odd keypoint is named.
        """
        if self.names == wanted.names:
            return
        odd = [name for name in self.names if name not in wanted.names]
        odd += [name for name in wanted.names if name not in self.names]
        how = f"such as '{odd[0]}'" if odd else "in another order"
        raise SchemaError(
            f"{what}: is of schema '{self.name}' with {self.num_keypoints} keypoints, not of "
            f"'{wanted.name}' with {wanted.num_keypoints} ({how}); {next_step}"
        )

    @staticmethod
    def builtin_names() -> tuple[str, ...]:
        """Names of the schemas that come with the toolkit, sorted."""
        root = datasets_root()
        return tuple(sorted(path.parent.name for path in root.glob("*/schema.yaml")))

    @classmethod
    def load(cls, name_or_path: str | Path) -> Schema:
        """A built-in schema by name, or a schema file of the user's own.

        Raises:
            UsageError: Neither a built-in name nor a file.
            ReadError: The file cannot be read or is not YAML.
            SchemaError: The file does not describe a schema.
        """
        names = cls.builtin_names()
        if str(name_or_path) in names:
            path = datasets_root() / str(name_or_path) / "schema.yaml"
        else:
            path = Path(name_or_path)
            if not path.is_file():
                raise UsageError(
                    f"no schema '{name_or_path}': not a file, and not a built-in name"
                    f"{_did_you_mean(str(name_or_path), names)}; known: {', '.join(names)}"
                )
        from toolkit.schema_file import parse_schema

        return parse_schema(path)


def _did_you_mean(name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
