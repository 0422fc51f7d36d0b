"""What a schema says about bodies and sticks: limbs, sides, shafts; names are never guessed.

A stick is a chain of extension keypoints that the schema's edges join. A point whose name
has "heel" in it is where the shaft ends and the blade begins; the chain runs from the hand
to the far end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from toolkit.schema import Schema

_FACE = ("nose", "eye", "ear", "mouth", "chin")
_FAR_END = ("toe", "tip", "blade", "head")


@dataclass(frozen=True)
class Stick:
    """A chain of extension keypoints.

    Attributes:
        path: Keypoint indices from the hand's end to the far end; at least two.
        heel: Position in `path` of the point where the shaft ends, or None.
    """

    path: tuple[int, ...]
    heel: int | None

    @property
    def shaft(self) -> tuple[int, ...]:
        """Keypoint indices that lie on one straight line."""
        return self.path if self.heel is None else self.path[: self.heel + 1]


@cache
def sticks(schema: Schema) -> tuple[Stick, ...]:
    """The chains of extension keypoints; whatever branches or closes is no stick."""
    joined: dict[int, list[int]] = {}
    for a, b in schema.edge_index.tolist():
        if schema.is_extension[a] and schema.is_extension[b] and a != b:
            joined.setdefault(a, []).append(b)
            joined.setdefault(b, []).append(a)
    found = []
    seen: set[int] = set()
    for start in sorted(joined):
        if start in seen or len(joined[start]) != 1:
            continue
        path = [start]
        while following := [k for k in joined[path[-1]] if k not in path]:
            path.append(following[0])
        seen |= set(path)
        if all(len(joined[k]) <= 2 for k in path):
            found.append(_stick(schema, path))
    return tuple(found)


def _stick(schema: Schema, path: list[int]) -> Stick:
    names = [schema.names[k].lower() for k in path]
    if any(word in names[0] for word in _FAR_END):
        path, names = path[::-1], names[::-1]
    inner = [i for i in range(1, len(path) - 1) if "heel" in names[i]]
    return Stick(tuple(path), inner[0] if inner else None)


@cache
def limbs(schema: Schema) -> tuple[tuple[int, int], ...]:
    """Edges of the skeleton between keypoints of the person, without those of the face."""
    edges = {(min(a, b), max(a, b)) for a, b in schema.edge_index.tolist() if a != b}
    return tuple(
        edge
        for edge in sorted(edges)
        if not any(schema.is_extension[k] for k in edge)
        and not all(_is_of_face(schema.names[k]) for k in edge)
    )


def _is_of_face(name: str) -> bool:
    return any(word in name.lower() for word in _FACE)


def named(schema: Schema, *names: str) -> tuple[int, ...] | None:
    """Indices of keypoints, or None where the schema lacks one of them."""
    if not set(names) <= set(schema.names):
        return None
    return tuple(schema.names.index(name) for name in names)


def containing(schema: Schema, word: str) -> tuple[int, ...]:
    """Indices of the person's keypoints with a word in their name."""
    return tuple(
        k
        for k, name in enumerate(schema.names)
        if word in name.lower() and not schema.is_extension[k]
    )
