"""Merging one record three ways: field by field, and keypoint by keypoint.

The units of a merge are the fields of a record. In `keypoints` each keypoint is a unit of
its own: its x, y and visibility belong together. A unit that one side changed is taken from
that side; a unit that both changed alike is taken once; a unit that both changed
differently is a conflict, and keeps what OURS has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.curate.records import MISSING, Key, Record, fields_of, same
from toolkit.formats.document import field_texts, number_tokens, patch_record, with_tokens
from toolkit.printed import printable


@dataclass(frozen=True)
class Conflict:
    """A unit that both sides changed, each in another way.

    Attributes:
        section: Top-level key of the list; nothing for the document itself.
        key: The record's id, or the top-level key.
        field: The field; nothing for the whole record.
        keypoint: Name of the keypoint, or nothing.
        base: Its value in BASE, `MISSING` for none.
        ours: In OURS; this is what the result has.
        theirs: In THEIRS.
        reason: What happened, in words.
    """

    section: str
    key: Key
    field: str
    keypoint: str
    base: object
    ours: object
    theirs: object
    reason: str

    @property
    def place(self) -> str:
        """Where it is, in words that a terminal can show."""
        if not self.section:
            return printable(f"'{self.key}'")
        words = [self.section, f"id={self.key}"]
        words += [f"'{self.field}'"] if self.field else []
        words += [self.keypoint] if self.keypoint else []
        return printable(" ".join(words))


@dataclass(frozen=True)
class MergedRecord:
    """A record after the merge.

    Attributes:
        record: Its bytes: OURS with the changes of THEIRS.
        taken: Number of units that THEIRS changed and OURS did not.
        conflicts: Units that both changed.
    """

    record: bytes
    taken: int
    conflicts: tuple[Conflict, ...]


def merge_record(
    section: str,
    key: Key,
    versions: tuple[bytes, bytes, bytes],
    names: Sequence[str],
) -> MergedRecord:
    """Merge a record, an object, that all three files have.

    Args:
        section: The list it is in.
        key: Its id.
        versions: Its bytes in BASE, OURS and THEIRS.
        names: Names of its keypoints, for the conflicts; may be empty.
    """
    merge = _Fields(section, key, versions, names)
    merge.run()
    record = patch_record(versions[1], merge.changes) if merge.changes else versions[1]
    return MergedRecord(record, merge.taken, tuple(merge.conflicts))


class _Fields:
    def __init__(
        self,
        section: str,
        key: Key,
        versions: tuple[bytes, bytes, bytes],
        names: Sequence[str],
    ) -> None:
        self.section, self.key, self.names = section, key, names
        self.values = [fields_of(version) for version in versions]
        self.texts = [field_texts(version) for version in versions]
        self.changes: dict[str, str | None] = {}
        self.conflicts: list[Conflict] = []
        self.taken = 0
        # What the merged record says of its keypoints, for the count of the labelled.
        self.keypoints: object = self.values[1].get("keypoints")

    def run(self) -> None:
        """Decide on every field."""
        counted = all(_counts(values) for values in self.values)
        for field in dict.fromkeys(key for values in self.values for key in values):
            base, ours, theirs = (values.get(field, MISSING) for values in self.values)
            if same(base, theirs) or same(ours, theirs):
                continue
            if field == "num_keypoints" and counted:
                continue
            if field == "keypoints" and self._mergeable(base, ours, theirs):
                self._merge_keypoints()
            elif same(base, ours):
                self._take(field)
            else:
                self._conflict(field, "", base, ours, theirs)
        if counted:
            self._count()

    def _take(self, field: str) -> None:
        self.changes[field] = self.texts[2].get(field)
        self.taken += 1
        if field == "keypoints":
            self.keypoints = self.values[2].get(field)

    def _conflict(
        self, field: str, name: str, base: object, ours: object, theirs: object
    ) -> None:
        reason = "changed in both, differently"
        if ours is MISSING or theirs is MISSING:
            gone, kept = ("ours", "theirs") if ours is MISSING else ("theirs", "ours")
            reason = f"removed in {gone}, changed in {kept}"
        self.conflicts.append(
            Conflict(self.section, self.key, field, name, base, ours, theirs, reason)
        )

    def _mergeable(self, *lists: object) -> bool:
        """Whether all three are flat lists of numbers of one length, three a keypoint."""
        sizes = {len(item) for item in lists if isinstance(item, list)}
        tokens = {len(number_tokens(text.get("keypoints"))) for text in self.texts}
        return (
            all(isinstance(item, list) for item in lists)
            and sizes == tokens
            and len(sizes) == 1
            and not sizes.pop() % 3
        )

    def _merge_keypoints(self) -> None:
        base, ours, theirs = (_numbers(values["keypoints"]) for values in self.values)
        tokens = [number_tokens(text["keypoints"]) for text in self.texts]
        merged, spelled = list(ours), list(tokens[1])
        for k in range(len(ours) // 3):
            part = slice(3 * k, 3 * k + 3)
            if same(base[part], theirs[part]) or same(ours[part], theirs[part]):
                continue
            if same(base[part], ours[part]):
                merged[part], spelled[part] = theirs[part], tokens[2][part]
                self.taken += 1
            else:
                name = self.names[k] if len(self.names) == len(ours) // 3 else f"keypoint {k}"
                self._conflict("keypoints", name, base[part], ours[part], theirs[part])
        if spelled != tokens[1]:
            self.changes["keypoints"] = with_tokens(self.texts[1]["keypoints"], spelled)
        self.keypoints = merged

    def _count(self) -> None:
        """Where all three counts agree with their keypoints, so does the merged one."""
        count = _labelled(self.keypoints)
        if count is not None and count != self.values[1]["num_keypoints"]:
            self.changes["num_keypoints"] = str(count)


def _numbers(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _counts(values: Record) -> bool:
    """Whether num_keypoints is the number of labelled keypoints."""
    count = _labelled(values.get("keypoints"))
    return count is not None and same(values.get("num_keypoints", MISSING), count)


def _labelled(keypoints: object) -> int | None:
    """Number of keypoints with a visibility above 0; None where it cannot be told."""
    if not isinstance(keypoints, list) or not keypoints or len(keypoints) % 3:
        return None
    flags = keypoints[2::3]
    if not all(isinstance(flag, int | float) for flag in flags):
        return None
    return sum(1 for flag in flags if flag > 0)
