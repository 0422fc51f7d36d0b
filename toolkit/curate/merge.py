"""Three-way merge of annotation files: two people edited one file, and both are right.

The result is OURS, byte for byte, with the changes that THEIRS made to BASE. What both
changed differently stays as OURS has it and is listed as a conflict for a person. Records
are matched by id; new records go to the end of their list; the order of OURS is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from toolkit.curate.merge_record import Conflict, merge_record
from toolkit.curate.records import (
    MISSING,
    SECTIONS,
    Key,
    fields_of,
    load_record,
    record_keys,
    same,
    top_level,
)
from toolkit.curate.splice import (
    Changes,
    Members,
    Splice,
    apply,
    member_splices,
    top_splices,
)
from toolkit.errors import InvalidDataError
from toolkit.formats.document import Document, field_texts, patch_record

# A record that points to a record of another list.
REFERENCES = {"image_id": "images", "category_id": "categories"}
_REMOVED = "removed in {}, but {} has annotations that need it"


@dataclass(frozen=True)
class Side:
    """One of the three files.

    Attributes:
        name: Its file name, for messages.
        document: What it holds.
        rows: Index of each record, by list and id.
    """

    name: str
    document: Document
    rows: dict[str, dict[Key, int]]

    @classmethod
    def of(cls, name: str, document: Document) -> Side:
        """Find every record's id.

        Raises:
            InvalidDataError: Two records of a list have one id.
        """
        rows: dict[str, dict[Key, int]] = {}
        for section in SECTIONS:
            keys = record_keys(document, section)
            rows[section] = {key: index for index, key in enumerate(keys)}
            if len(rows[section]) < len(keys):
                twice = next(k for i, k in enumerate(keys) if rows[section][k] != i)
                raise InvalidDataError(
                    f"{name}: {section}[{rows[section][twice]}] id={twice} field 'id': "
                    "the id occurs more than once, so its changes cannot be told apart; "
                    "give every record an id of its own, 'toolkit validate' lists them"
                )
        return cls(name, document, rows)

    def record(self, section: str, key: Key) -> bytes | None:
        """The bytes of a record; None where this file does not have it."""
        index = self.rows[section].get(key)
        return None if index is None else self.document.record(section, index)


@dataclass
class Taken:
    """How many changes of THEIRS went into the result."""

    fields: int = 0
    added: int = 0
    removed: int = 0
    renumbered: int = 0


@dataclass(frozen=True)
class Merged:
    """The result of a merge.

    Attributes:
        pieces: The result's bytes.
        conflicts: What a person must decide; the result has what OURS has.
        taken: Changes of THEIRS that went in, by list ('' for the document).
    """

    pieces: tuple[bytes | memoryview, ...] = field(repr=False)
    conflicts: tuple[Conflict, ...]
    taken: dict[str, Taken]

    @property
    def content(self) -> bytes:
        """The result's bytes in one piece."""
        return b"".join(self.pieces)


def merge(
    base: tuple[str, Document],
    ours: tuple[str, Document],
    theirs: tuple[str, Document],
    *,
    renumber: bool = False,
) -> Merged:
    """Merge two versions of a file.

    Args:
        base: Name and document that both started from.
        ours: Name and document of one side, whose bytes the result keeps.
        theirs: Name and document of the other side.
        renumber: Give new ids to records that THEIRS added under an id that OURS gave to
            another new record; without it they are conflicts.

    Returns:
        The result and the conflicts.

    Raises:
        InvalidDataError: A file has an id twice in one list; or the keypoints of a category
            stand in another order, so that places mean other keypoints.
    """
    datas = [document.prefix + document.data for _, document in (base, ours, theirs)]
    if datas[2] in datas[:2]:
        return Merged((datas[1],), (), {})
    sides = Side.of(*base), Side.of(*ours), Side.of(*theirs)
    if datas[0] != datas[1]:
        _check_order(sides)
    work = _Merge(sides, renumber=renumber)
    splices = list(work.run())
    if datas[0] == datas[1] and not work.conflicts:
        return Merged((datas[2],), (), work.taken)
    pieces = (ours[1].prefix, *apply(ours[1].data, splices))
    return Merged(pieces, tuple(work.conflicts), work.taken)


class _Merge:
    def __init__(self, sides: tuple[Side, Side, Side], *, renumber: bool) -> None:
        self.base, self.ours, self.theirs = sides
        self.renumber = renumber
        self.conflicts: list[Conflict] = []
        self.taken: dict[str, Taken] = {}
        self.new_ids: dict[str, dict[Key, int]] = {section: {} for section in SECTIONS}
        self.last_id: dict[str, int] = {}
        self.blocked: dict[str, set[Key]] = {section: set() for section in SECTIONS}
        self.changes = {section: Changes() for section in SECTIONS}
        self.names = _keypoint_names(self.ours)

    def run(self) -> Iterator[Splice]:
        """Decide on every record; gives what to change in OURS."""
        sections = [s for s in SECTIONS if self._is_list_in_both(s)]
        for section in sorted(sections, key=lambda s: s == "annotations"):
            self.taken[section] = Taken()
            for key in self.theirs.rows[section]:
                self._theirs_has(section, key)
            for key in self.base.rows[section]:
                if key not in self.theirs.rows[section]:
                    self._theirs_removed(section, key)
        self._keep_what_is_needed()
        for section in sections:
            rows = self.ours.document.sections[section]
            members = Members(rows.begin, rows.end, rows.starts.tolist(), rows.ends.tolist())
            yield from member_splices(self.ours.document.data, members, self.changes[section])
        yield from self._top_level()

    def _is_list_in_both(self, section: str) -> bool:
        sides = self.ours.document.sections, self.theirs.document.sections
        return all(section in side for side in sides)

    def _theirs_has(self, section: str, key: Key) -> None:
        theirs = self.theirs.record(section, key)
        base, ours = self.base.record(section, key), self.ours.record(section, key)
        if theirs is None or theirs == base:
            return
        if theirs == ours and not (section == "annotations" and self._ids_clash()):
            return
        if base is None and ours is None:
            self._add(section, key, theirs)
        elif ours is None:
            if not same(load_record(base or b"null"), load_record(theirs)):
                self._conflict(section, key, "removed in ours, changed in theirs")
        elif base is None:
            self._added_twice(section, key, ours, theirs)
        else:
            self._merge_fields(section, key, (base, ours, theirs))

    def _ids_clash(self) -> bool:
        """Whether one id of an image or a category means another record on each side."""
        return any(self.new_ids[s] or self.blocked[s] for s in REFERENCES.values())

    def _merge_fields(
        self, section: str, key: Key, versions: tuple[bytes, bytes, bytes]
    ) -> None:
        if any(not record.startswith(b"{") for record in versions):
            self._merge_values(section, key, versions)
            return
        base, ours, theirs = versions
        if section == "annotations":
            theirs = self._within_reach(key, versions)
        names = self.names.get(_category(ours), ())
        merged = merge_record(section, key, (base, ours, theirs), names)
        self.conflicts += merged.conflicts
        self.taken[section].fields += merged.taken
        if merged.record != versions[1]:
            self.changes[section].replaced[self.ours.rows[section][key]] = merged.record

    def _merge_values(
        self, section: str, key: Key, versions: tuple[bytes, bytes, bytes]
    ) -> None:
        """Records that are no objects are one unit."""
        base, ours, theirs = map(load_record, versions)
        if same(base, ours):
            self.changes[section].replaced[self.ours.rows[section][key]] = versions[2]
        elif not (same(base, theirs) or same(ours, theirs)):
            self._conflict(section, key, "changed in both, differently")

    def _within_reach(self, key: Key, versions: tuple[bytes, bytes, bytes]) -> bytes:
        """An annotation of THEIRS that names nothing which the result means otherwise.

        A changed reference to a record that was renumbered gets the new id; one to a record
        that is in conflict or gone is a conflict, and is taken back to what BASE has.
        """
        base, ours, theirs = map(fields_of, versions)
        changes: dict[str, str | None] = {}
        for name, target in REFERENCES.items():
            was, value = base.get(name, MISSING), theirs.get(name, MISSING)
            if not isinstance(value, int) or same(was, value):
                continue
            if value in self.new_ids[target]:
                changes[name] = str(self.new_ids[target][value])
            elif reason := self._out_of_reach(name, value):
                values = was, ours.get(name, MISSING), value
                reason = f"changed in theirs; {reason}"
                self.conflicts.append(Conflict("annotations", key, name, "", *values, reason))
                changes[name] = field_texts(versions[0]).get(name)
        return patch_record(versions[2], changes) if changes else versions[2]

    def _out_of_reach(self, name: str, value: int) -> str:
        """Why an annotation of THEIRS cannot name a record; nothing where it can."""
        target = REFERENCES[name]
        if value in self.blocked[target]:
            return f"its {name} is in conflict"
        if value in self.theirs.rows[target] and not self._will_have(target, value):
            return f"ours removed its {name}"
        return ""

    def _add(self, section: str, key: Key, record: bytes) -> None:
        """Take a record that only THEIRS has, if what it points to is there."""
        fields, changes = fields_of(record), {}
        for name, target in REFERENCES.items() if section == "annotations" else ():
            value = fields.get(name)
            if not isinstance(value, int):
                continue
            if value in self.new_ids[target]:
                changes[name] = str(self.new_ids[target][value])
            elif reason := self._out_of_reach(name, value):
                self._conflict(section, key, f"added in theirs; {reason}")
                return
        if key in self.new_ids[section]:
            changes["id"] = str(self.new_ids[section][key])
        self.changes[section].appended.append(
            patch_record(record, changes) if changes else record
        )
        self.taken[section].added += 1

    def _will_have(self, section: str, key: Key) -> bool:
        """Whether the result will have a record of THEIRS."""
        return key in self.ours.rows[section] or key not in self.base.rows[section]

    def _added_twice(self, section: str, key: Key, ours: bytes, theirs: bytes) -> None:
        one, other = fields_of(ours), fields_of(theirs)
        other = {name: self._value(name, value) for name, value in other.items()}
        if same(one, other):
            return
        if self.renumber and isinstance(key, int):
            self.new_ids[section][key] = self._free_id(section)
            self.taken[section].renumbered += 1
            self._add(section, key, theirs)
            return
        name = {"images": "file_name", "categories": "name"}.get(section, "")
        if not name or not same(one.get(name, MISSING), other.get(name, MISSING)):
            self.blocked[section].add(key)
        self._conflict(section, key, "added in both under one id; --renumber theirs keeps both")

    def _value(self, name: str, value: object) -> object:
        new = self.new_ids.get(REFERENCES.get(name, ""), {})
        return new.get(value, value) if isinstance(value, int) else value

    def _free_id(self, section: str) -> int:
        if section not in self.last_id:
            sides = (self.base, self.ours, self.theirs)
            used = [key for side in sides for key in side.rows[section] if isinstance(key, int)]
            self.last_id[section] = max(used, default=0)
        self.last_id[section] += 1
        return self.last_id[section]

    def _theirs_removed(self, section: str, key: Key) -> None:
        base, ours = self.base.record(section, key), self.ours.record(section, key)
        if base is None or ours is None:
            return
        if base == ours or same(load_record(base), load_record(ours)):
            self.changes[section].removed.add(self.ours.rows[section][key])
            self.taken[section].removed += 1
        else:
            self._conflict(section, key, "changed in ours, removed in theirs")

    def _keep_what_is_needed(self) -> None:
        """An image or category that THEIRS removed stays while annotations name it."""
        if not (self.changes["images"].removed or self.changes["categories"].removed):
            return
        if "annotations" not in self.ours.document.sections:
            return
        needed = self._needed()
        for section, values in needed.items():
            for key, index in self.ours.rows[section].items():
                if index in self.changes[section].removed and key in values:
                    self.changes[section].removed.discard(index)
                    self.taken[section].removed -= 1
                    self._conflict(section, key, _REMOVED.format("theirs", "ours"))

    def _needed(self) -> dict[str, set[object]]:
        """Ids that annotations name which stay, unless THEIRS lets them dangle as well."""
        found: dict[str, set[object]] = {target: set() for target in REFERENCES.values()}
        for key, index in self.ours.rows["annotations"].items():
            if index in self.changes["annotations"].removed:
                continue
            record = self.changes["annotations"].replaced.get(index)
            fields = fields_of(record or self.ours.document.record("annotations", index))
            other = fields_of(self.theirs.record("annotations", key) or b"{}")
            for name, target in REFERENCES.items():
                if not same(fields.get(name), other.get(name, MISSING)):
                    found[target].add(_hashable(fields.get(name)))
        return found

    def _conflict(self, section: str, key: Key, reason: str) -> None:
        """A conflict of whole records."""
        records = [side.record(section, key) for side in (self.base, self.ours, self.theirs)]
        base, ours, theirs = (MISSING if r is None else load_record(r) for r in records)
        self.conflicts.append(Conflict(section, key, "", "", base, ours, theirs, reason))

    def _top_level(self) -> Iterator[Splice]:
        """What stands beside the lists, each value a unit."""
        texts = [_beside(side.document, self) for side in (self.base, self.ours, self.theirs)]
        changed: dict[str, bytes | None] = {}
        taken = self.taken[""] = Taken()
        for key in dict.fromkeys(key for side in texts for key in side):
            base, ours, theirs = (
                load_record(side[key]) if key in side else MISSING for side in texts
            )
            if same(base, theirs) or same(ours, theirs):
                continue
            if same(base, ours):
                changed[key] = texts[2].get(key)
                taken.fields += 1
            else:
                reason = "changed in both, differently"
                self.conflicts.append(Conflict("", key, "", "", base, ours, theirs, reason))
        yield from top_splices(self.ours.document, changed)


def _beside(document: Document, work: _Merge) -> dict[str, bytes]:
    """The text of each top-level value, but of the lists that are merged by record."""
    texts = dict(top_level(document))
    for name, rows in document.sections.items():
        if name not in work.taken:
            texts[name] = document.data[rows.begin - 1 : rows.end + 1]
    return texts


def _check_order(sides: tuple[Side, Side, Side]) -> None:
    """Refuse keypoints in another order: lists of them are merged place by place."""
    names = [_keypoint_names(side) for side in sides]
    for one, other in combinations(range(3), 2):
        for category, before in names[one].items():
            after = names[other].get(category, before)
            place = {name: k for k, name in enumerate(before)}
            for k, name in enumerate(after):
                if after != before and place.get(name, k) != k:
                    raise InvalidDataError(
                        f"{sides[other].name}: categories id={category} field 'keypoints': "
                        f"'{name}' is number {k}, and number {place[name]} in "
                        f"{sides[one].name}; a merge compares keypoints place by place, so "
                        "bring all three files to one order first, with 'toolkit convert "
                        "--to-schema'"
                    )


def _keypoint_names(side: Side) -> dict[object, tuple[str, ...]]:
    """The keypoints of each category, by its id."""
    found: dict[object, tuple[str, ...]] = {}
    for key, index in side.rows["categories"].items():
        names = fields_of(side.document.record("categories", index)).get("keypoints")
        if isinstance(names, list):
            found[key] = tuple(map(str, names))
    return found


def _category(record: bytes) -> object:
    return _hashable(fields_of(record).get("category_id"))


def _hashable(value: object) -> object:
    return value if isinstance(value, int | str) else None
