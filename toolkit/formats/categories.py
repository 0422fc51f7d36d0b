"""Which schema a file's keypoints follow, found from its categories."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache

import msgspec
from msgspec import Raw

from toolkit.formats.fields import Place, integer, kind, load_record
from toolkit.formats.rules import Findings
from toolkit.schema import Keypoint, Schema


@dataclass(frozen=True)
class Category:
    """A category as the file gives it.

    Attributes:
        index: In the file's list.
        id: Its id, -1 where unusable.
        name: Its name.
        keypoints: Keypoint names; empty where the category has none.
        skeleton: Pairs of 1-based indices, as in the file; unusable ones are left out.
    """

    index: int
    id: int
    name: str
    keypoints: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Choice:
    """The schema of a file.

    Attributes:
        schema: What the arrays follow.
        other: Ids of categories that have other keypoints.
    """

    schema: Schema
    other: frozenset[int]


def decode_categories(raws: list[Raw], findings: Findings) -> tuple[Category, ...]:
    """The categories, with findings for what is wrong in them."""
    found = []
    for index, raw in enumerate(raws):
        place = Place(findings, "categories", index, None)
        record = load_record(bytes(raw), place)
        if record is None:
            continue
        place = Place(findings, "categories", index, record.get("id"))
        found.append(_category(record, index, place))
    return tuple(found)


def _category(record: dict[str, object], index: int, place: Place) -> Category:
    name = record.get("name")
    if not isinstance(name, str):
        got = f"got {kind(name)}" if "name" in record else "it is missing"
        place.add("category-type", "name", f"{got}; expected a string")
        name = ""
    names = record.get("keypoints")
    if names is None:
        names = []
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        place.add("category-type", "keypoints", "expected a list of keypoint names")
        names = []
    for repeated, number in Counter(names).items():
        if number > 1:
            place.add(
                "keypoint-name-duplicate",
                "keypoints",
                f"keypoint '{repeated}' is named {number} times; names must differ",
            )
    edges = _skeleton(record.get("skeleton"), len(names), place)
    return Category(index, integer(record, "id", place), name, tuple(names), edges)


def _skeleton(value: object, num_keypoints: int, place: Place) -> tuple[tuple[int, int], ...]:
    """The edges that name keypoints; one finding for all that do not."""
    if value is None or not num_keypoints:
        return ()
    if not isinstance(value, list):
        place.add("skeleton-index", "skeleton", f"got {kind(value)}; expected a list")
        return ()
    good, bad = [], []
    for edge in value:
        if (
            isinstance(edge, list)
            and len(edge) == 2
            and all(type(end) is int and 1 <= end <= num_keypoints for end in edge)
        ):
            good.append((edge[0], edge[1]))
        else:
            bad.append(edge)
    if bad:
        numbers = [end for edge in value if isinstance(edge, list) for end in edge]
        largest = max((end for end in numbers if type(end) is int), default=0)
        borrowed = f": a skeleton of {largest} keypoints on {num_keypoints}"
        place.add(
            "skeleton-index",
            "skeleton",
            f"{len(bad)} of {len(value)} edges, the first {json.dumps(bad[0])[:40]}, do "
            f"not name two keypoints; indices run from 1 to {num_keypoints}"
            + (borrowed if largest > num_keypoints else ""),
        )
    return tuple(good)


def choose_schema(
    categories: tuple[Category, ...],
    raws: list[Raw],
    wanted: Schema | None,
    findings: Findings,
) -> Choice:
    """The schema of a file: the one asked for, a built-in one, or one of its own.

    Without `wanted` it is that of the first category that names keypoints: the built-in
    schema with these names, else a schema made of the category, without sigmas. Where no
    category names keypoints, the first instance's number of keypoints is taken.
    """
    named = [c for c in categories if c.keypoints]
    if wanted is not None:
        return _fit_wanted(categories, wanted, findings)
    if not named:
        return _unnamed(categories, raws, findings)
    chosen = named[0]
    schema = _builtin(chosen.keypoints) or _own_schema(chosen)
    other = frozenset(c.id for c in categories if c.keypoints != chosen.keypoints)
    return Choice(schema, other - {-1})


def _fit_wanted(categories: tuple[Category, ...], wanted: Schema, findings: Findings) -> Choice:
    named = [c for c in categories if c.keypoints]
    if not named:
        return Choice(wanted, frozenset())
    if any(c.keypoints == wanted.names for c in named):
        other = frozenset(c.id for c in categories if c.keypoints != wanted.names)
        return Choice(wanted, other - {-1})
    first = named[0]
    place = Place(findings, "categories", first.index, first.id)
    known = _builtin(first.keypoints)
    is_known = f" (they are those of '{known.name}')" if known else ""
    place.add(
        "category-schema",
        "keypoints",
        f"category '{first.name}' names {len(first.keypoints)} keypoints{is_known}; schema "
        f"'{wanted.name}' has {wanted.num_keypoints}: {_difference(first, wanted)}",
    )
    return Choice(wanted, frozenset())


def _difference(category: Category, wanted: Schema) -> str:
    for index, (got, want) in enumerate(zip(category.keypoints, wanted.names, strict=False)):
        if got != want:
            return f"keypoint {index + 1} is '{got}', not '{want}'"
    return "one list is longer than the other"


@cache
def builtin_schemas() -> tuple[Schema, ...]:
    """The built-in schemas, loaded once."""
    return tuple(Schema.load(name) for name in Schema.builtin_names())


def _builtin(names: tuple[str, ...]) -> Schema | None:
    return next((s for s in builtin_schemas() if s.names == names), None)


def _own_schema(category: Category) -> Schema:
    """A schema with a category's names and edges; no sigmas are known."""
    names: list[str] = []
    for name in category.keypoints:
        # A repeated name is a finding already; the schema needs distinct ones.
        again = names.count(name)
        names.append(name if not again else f"{name} ({len(names) + 1})")
    return Schema(
        name=category.name or "unnamed",
        title=f"Category '{category.name}' of the file",
        keypoints=tuple(Keypoint(name) for name in names),
        edges=tuple((names[a - 1], names[b - 1]) for a, b in category.skeleton),
        category_id=category.id,
        category_name=category.name,
    )


class _Keypoints(msgspec.Struct):
    keypoints: list[float] = msgspec.field(default_factory=list)


def _unnamed(categories: tuple[Category, ...], raws: list[Raw], findings: Findings) -> Choice:
    """A schema of numbered keypoints for a file in which no category names any."""
    schema = numbered_schema(raws)
    if categories:
        findings.add(
            "category-without-keypoints",
            f"no category names its keypoints; {schema.num_keypoints} are counted in the "
            "first instance and get numbers for names; add names, or pass --schema",
            section="categories",
        )
        first = categories[0]
        schema = replace(
            schema,
            name=first.name or schema.name,
            category_id=first.id,
            category_name=first.name or schema.category_name,
        )
    return Choice(schema, frozenset())


def numbered_schema(raws: list[Raw]) -> Schema:
    """A schema of as many keypoints as the first record that has any, with numbers."""
    count = 0
    for raw in raws:
        try:
            length = len(msgspec.json.decode(raw, type=_Keypoints).keypoints)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if length and length % 3 == 0:
            count = length // 3
            break
    return Schema(
        name="unnamed",
        title="Keypoints without names",
        keypoints=tuple(Keypoint(f"keypoint_{index + 1}") for index in range(count)),
    )
