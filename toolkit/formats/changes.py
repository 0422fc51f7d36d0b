"""What a person changed in a file since it was written, applied to what it was made from.

Three documents: `kept` is the original, `written` is what the foreign file held when it was
written, `now` is what it holds today. Only what differs between `written` and `now` is
applied to `kept`; everything that the foreign format cannot hold stays as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from toolkit.formats.compare import (
    MISSING,
    SECTIONS,
    field_differences,
    identity,
    record_keys,
    same,
)
from toolkit.formats.foreign import CocoDocument, Record, records_of
from toolkit.formats.match import match_people


@dataclass
class SectionChanges:
    """Changes to one list of records; indices are those of the original.

    Attributes:
        fields: New value of each changed field by record; `MISSING` removes it.
        removed: Records that are gone.
        added: Records that are new.
    """

    fields: dict[int, dict[str, object]] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    added: list[Record] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of changed values and of records that came or went."""
        return sum(map(len, self.fields.values())) + len(self.removed) + len(self.added)


@dataclass
class Changes:
    """Changes to a document.

    Attributes:
        top: New value of each changed top-level key.
        sections: Changes to images, annotations and categories.
    """

    top: dict[str, object] = field(default_factory=dict)
    sections: dict[str, SectionChanges] = field(
        default_factory=lambda: {name: SectionChanges() for name in SECTIONS}
    )

    def __len__(self) -> int:
        """Number of changed values and of records that came or went."""
        return len(self.top) + sum(map(len, self.sections.values()))

    @property
    def told(self) -> str:
        """Which records came and went, to end a line with; nothing where none did."""
        parts = [
            f"{len(records):,} of {name} {how}"
            for name, section in self.sections.items()
            for how, records in (("gone", section.removed), ("new", section.added))
            if records
        ]
        return f" ({', '.join(parts)})" if parts else ""


def _set_fields(record: Record, fields: dict[str, object]) -> None:
    for name, value in fields.items():
        if value is MISSING:
            record.pop(name, None)
        else:
            record[name] = value


def find_changes(
    kept: CocoDocument,
    written: CocoDocument,
    now: CocoDocument,
    dropped: Iterable[int] = (),
    numbered: Collection[str] = (),
) -> Changes:
    """What differs between `written` and `now`, as changes to `kept`.

    Args:
        kept: The original document.
        written: What the foreign file held when it was written from `kept`.
        now: What it holds now.
        dropped: Indices of `kept["annotations"]` that the format has no place for.
        numbered: Sections whose ids the format does not keep: it numbers them anew, and
            where the original counts from 1 as well, only by chance alike.
    """
    changes = Changes()
    for key, was, value in field_differences(written, now):
        # One that is gone went with the record that carried it, and was nobody's wish.
        if key not in SECTIONS and value is not MISSING:
            old = kept.get(key, MISSING)
            changes.top[key] = merged(old, was, value)
    finder = _Finder(kept, written, now, set(dropped), numbered)
    for section in ("categories", "images", "annotations"):
        finder.section(section, changes.sections[section])
    return changes


def merged(kept: object, written: object, now: object, name: str = "") -> object:
    """A value with what changed between `written` and `now`, part by part where it fits."""
    if same(written, now):
        return kept
    if isinstance(kept, dict) and isinstance(written, dict) and isinstance(now, dict):
        result = dict(kept)
        changed = {
            key: merged(kept.get(key, MISSING), was, value)
            for key, was, value in field_differences(written, now)
        }
        _set_fields(result, changed)
        return result
    lists = [value for value in (kept, written, now) if isinstance(value, list)]
    if len(lists) == 3 and len(lists[0]) == len(lists[1]) == len(lists[2]):
        if name == "keypoints" and len(lists[0]) % 3 == 0:
            return _merged_keypoints(*lists)
        return [merged(*values) for values in zip(*lists, strict=True)]
    return now


def _merged_keypoints(
    kept: list[object], written: list[object], now: list[object]
) -> list[object]:
    """Keypoint by keypoint; one that appeared or vanished is taken whole."""
    result: list[object] = []
    for at in range(0, len(kept), 3):
        old, was, new = kept[at : at + 3], written[at : at + 3], now[at : at + 3]
        if same(was[2], 0) != same(new[2], 0):
            result += new
        else:
            result += [merged(*values) for values in zip(old, was, new, strict=True)]
    return result


class _Finder:
    """Matches records of the three documents and translates ids between them."""

    def __init__(
        self,
        kept: CocoDocument,
        written: CocoDocument,
        now: CocoDocument,
        dropped: set[int],
        numbered: Collection[str],
    ) -> None:
        self.kept, self.written, self.now = kept, written, now
        self.dropped, self.numbered = dropped, numbered
        self._images: dict[int, int] = {}  # rows of `now` and of `written`
        # Ids of `now` as those of `kept`, by section; filled as sections are done.
        self.ids: dict[str, dict[str, object]] = {"images": {}, "categories": {}}

    def section(self, name: str, changes: SectionChanges) -> None:
        """Find the changes of one section; annotations must come last."""
        kept, now = records_of(self.kept, name), records_of(self.now, name)
        to_kept = self._written_to_kept(name)
        written = records_of(self.written, name)
        keeps_ids = name not in self.numbered and all(
            same(record.get("id"), kept[to_kept[row]].get("id"))
            for row, record in enumerate(written)
            if row in to_kept
        )
        pairs = self._now_to_written(name, keeps_ids)
        for row, record in enumerate(now):
            origin = pairs.get(row)
            index = None if origin is None else to_kept.get(origin)
            if index is None or origin is None:
                changes.added.append(self._new(name, record, changes, keeps_ids))
                continue
            fields = self._changed(name, kept[index], written[origin], record, keeps_ids)
            if fields:
                changes.fields[index] = fields
            if name in self.ids:
                new_id = fields.get("id", kept[index].get("id"))
                self.ids[name][identity(record.get("id"))] = new_id
        stays = set(pairs.values())
        changes.removed = {i for row, i in to_kept.items() if row not in stays}

    def _written_to_kept(self, name: str) -> dict[int, int]:
        dropped = self.dropped if name == "annotations" else set[int]()
        places = {
            key: index
            for index, key in enumerate(record_keys(self.kept, name, dropped))
            if key is not None
        }
        keys = record_keys(self.written, name)
        found = {row: places[key] for row, key in enumerate(keys) if key in places}
        if name == "categories":  # a format without names makes one up: its place tells
            free = set(range(len(places))) - set(found.values())
            found |= {row: row for row in range(len(keys)) if row not in found and row in free}
        return found

    def _now_to_written(self, name: str, keeps_ids: bool) -> dict[int, int]:
        if name == "annotations":
            return match_people(self.written, self._under_old_names(), keeps_ids)
        places = {key: row for row, key in enumerate(record_keys(self.written, name))}
        keys = record_keys(self.now, name)
        pairs = {row: places[key] for row, key in enumerate(keys) if key in places}
        # A renamed image or category keeps its id.
        taken = set(pairs.values())
        free = {
            identity(record.get("id")): row
            for row, record in enumerate(records_of(self.written, name))
            if row not in taken and keeps_ids
        }
        for row, record in enumerate(records_of(self.now, name)):
            if row not in pairs and identity(record.get("id")) in free:
                pairs[row] = free.pop(identity(record.get("id")))
        if name == "images":
            self._images = pairs
        return pairs

    def _under_old_names(self) -> CocoDocument:
        """`now` with renamed images under the names that they had, for finding their people."""
        written = records_of(self.written, "images")
        images = [
            image | {"file_name": written[self._images[row]].get("file_name")}
            if row in self._images
            else image
            for row, image in enumerate(records_of(self.now, "images"))
        ]
        return self.now | {"images": images}

    def _changed(
        self, name: str, kept: Record, written: Record, now: Record, keeps_ids: bool
    ) -> dict[str, object]:
        """New value of each field that differs between `written` and `now`."""
        fields = {}
        for key, was, value in field_differences(written, now):
            if key in ("id", "image_id") and not (keeps_ids and key == "id"):
                continue  # images are matched by name: their ids are followed, not compared
            if key == "category_id":
                value = self.ids["categories"].get(identity(value), value)
                if same(value, kept.get(key, MISSING)):
                    continue
                fields[key] = value
                continue
            fields[key] = merged(kept.get(key, MISSING), was, value, key)
        if name == "annotations":
            image = self.ids["images"].get(identity(now.get("image_id")))
            if image is not None and not same(image, kept.get("image_id")):
                fields["image_id"] = image
        return fields

    def _new(
        self, name: str, record: Record, changes: SectionChanges, keeps_ids: bool
    ) -> Record:
        """A new record with ids that fit the original."""
        new = dict(record)
        for key, section in (("image_id", "images"), ("category_id", "categories")):
            if name == "annotations" and key in new:
                new[key] = self.ids[section].get(identity(new[key]), new[key])
        used = [r.get("id") for r in [*records_of(self.kept, name), *changes.added]]
        known = {identity(value) for value in used}
        if not keeps_ids or identity(new.get("id")) in known:
            new["id"] = 1 + max((i for i in used if isinstance(i, int)), default=0)
        if name in self.ids:
            self.ids[name][identity(record.get("id"))] = new["id"]
        return new
