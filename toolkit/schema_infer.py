"""A first schema from a COCO category, for people who come with keypoints of their own.

What a name says is used: mirrored partners (`left_`, `right_`, `l_`, `R...`), equipment
(`stick`, `ski`, `racket`, ... become the group `extension`), a head for PCKh. What nobody
can know from names stays open and says so: OKS sigmas are left out, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats.base import Scan
from toolkit.formats.categories import Category
from toolkit.formats.coco_write import CocoSource

EQUIPMENT = (
    "stick", "ski", "racket", "racquet", "club", "bat", "pole", "paddle", "oar", "sword",
    "shaft", "rod", "broom", "rifle", "mallet", "butt_end",
)  # fmt: skip
_SIDES = {"left": "right", "l": "r", "lt": "rt", "lft": "rgt"}
_OTHER_SIDE = _SIDES | {right: left for left, right in _SIDES.items()}
_QUOTED = '"\\'  # what a backslash goes before
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+|[\W_]+")


@dataclass(frozen=True)
class Inferred:
    """A drafted schema.

    Attributes:
        name: Of the schema.
        category: Of the file.
        text: The schema file, with comments that say what to fill in.
        keypoints: Names in order.
        pairs: Mirrored partners, by name.
        extension: Keypoints taken for equipment.
        edges: Number of edges.
        notices: What could not be known, one line each.
    """

    name: str
    category: str
    text: str
    keypoints: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    extension: tuple[str, ...]
    edges: int
    notices: tuple[str, ...]


def infer_schema(
    scanned: Scan, file: Path, name: str | None = None, category: str | None = None
) -> Inferred:
    """Draft a schema from the categories of a file that was read.

    Args:
        scanned: What reading the file found.
        file: For messages, and for the name where none is given.
        name: Of the schema; the category's by default.
        category: Which category, where several have keypoints.

    Raises:
        InvalidDataError: No category names its keypoints, or names repeat or are empty.
        UsageError: Several do and none was chosen, or the chosen one does not exist.
    """
    source = scanned.dataset.source
    categories = source.categories if isinstance(source, CocoSource) else ()
    chosen = _choose(categories, file, category)
    names = chosen.keypoints
    if len(set(names)) < len(names):
        repeated = sorted({n for n in names if names.count(n) > 1})
        raise InvalidDataError(
            f"{file.name}: categories[{chosen.index}] field 'keypoints': names repeat: "
            f"{', '.join(repeated)}; give each keypoint a name of its own"
        )
    if "" in names:
        raise InvalidDataError(
            f"{file.name}: categories[{chosen.index}] field 'keypoints': name "
            f"{names.index('')} is empty, counted from 0; a schema needs a name for each"
        )
    edges = [(names[start - 1], names[end - 1]) for start, end in chosen.skeleton]
    told = [f for f in scanned.findings if f.rule == "skeleton-index"]
    wrong = sum(finding.count for finding in told if finding.index == chosen.index)
    pairs = mirrored_pairs(names)
    extension = tuple(name for name in names if _is_equipment(name))
    notices = _notices(names, pairs, extension, wrong)
    label = name or _slug(chosen.name) or _slug(file.stem) or "schema"
    text = _text(label, chosen, edges, dict(_both_ways(pairs)), set(extension), notices)
    return Inferred(label, chosen.name, text, names, pairs, extension, len(edges), notices)


def mirrored_pairs(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Partners by name: the same words but for one that says left in one, right in the other.

    Example:
        >>> mirrored_pairs(("nose", "left_eye", "right_eye", "LHip", "RHip"))
        (('left_eye', 'right_eye'), ('LHip', 'RHip'))
    """
    by_words = {_split(name): name for name in names}
    found = []
    for name in names:
        words = _split(name)
        for at, word in enumerate(words):
            if word in _SIDES:
                other = by_words.get((*words[:at], _OTHER_SIDE[word], *words[at + 1 :]))
                if other is not None:
                    found.append((name, other))
                    break
    return tuple(found)


def _split(name: str) -> tuple[str, ...]:
    """Words of a name in lower case: `left_eye`, `leftEye`, `LEye` and `eye.l` alike."""
    words = (word.strip("_").lower() for word in _WORDS.findall(name))
    return tuple(word for word in words if re.search(r"\w", word))


def _is_equipment(name: str) -> bool:
    """Whether a word of the name, or two in a row, is a piece of equipment or several."""
    words = _split(name)
    spoken = {*words, *(f"{a}_{b}" for a, b in pairwise(words))}
    return any({word, f"{word}s"} & spoken for word in EQUIPMENT)


def _choose(categories: tuple[Category, ...], file: Path, wanted: str | None) -> Category:
    usable = [category for category in categories if category.keypoints]
    if wanted is not None:
        named = [category for category in usable if category.name == wanted]
        if not named:
            known = ", ".join(f"'{category.name}'" for category in usable) or "none"
            raise UsageError(
                f"{file.name}: no category '{wanted}' with keypoints; those that have them: "
                f"{known}"
            )
        return named[0]
    if not usable:
        raise InvalidDataError(
            f"{file.name}: field 'categories': no category names its keypoints; add "
            "'keypoints' to the category, in the order of the annotations' numbers"
        )
    if len({category.keypoints for category in usable}) > 1:
        known = ", ".join(f"'{category.name}'" for category in usable)
        raise UsageError(
            f"{file.name}: {len(usable)} categories have keypoints ({known}); choose one "
            "with --category"
        )
    return usable[0]


def _both_ways(pairs: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [*pairs, *((right, left) for left, right in pairs)]


def _notices(
    names: tuple[str, ...],
    pairs: tuple[tuple[str, str], ...],
    extension: tuple[str, ...],
    wrong: int,
) -> tuple[str, ...]:
    silent = [name for name in names if not re.search(r"[^\W\d_]{2}", name)]
    notices = [f"OKS sigmas are unknown for all {len(names)} keypoints and left out"]
    if silent:
        notices.append(
            f"{len(silent)} of {len(names)} keypoint names say nothing "
            f"({', '.join(silent[:5])}{', ...' if len(silent) > 5 else ''}): mirrored pairs, "
            "groups and prompts could not be guessed for them"
        )
    elif not pairs:
        notices.append("no mirrored pairs found by name; flipped images keep left and right")
    if not extension:
        notices.append("no name says equipment; every keypoint is in group 'body'")
    if wrong:
        notices.append(f"{wrong} skeleton edges name no keypoint and were left out")
    return tuple(notices)


def _text(
    label: str,
    category: Category,
    edges: list[tuple[str, str]],
    partners: dict[str, str],
    extension: set[str],
    notices: tuple[str, ...],
) -> str:
    """The schema file; every value that is text is quoted, so that `1` and `no` stay text."""
    lines = [
        "# A first schema, drafted from a COCO category. Check every line marked CHECK or",
        "# FILL IN; the other lines are the file's own.",
        *(f"# Note: {_printable(notice)}." for notice in notices),
        f"name: {_quoted(label)}",
        f"title: {_quoted(category.name or label)}  # FILL IN: a title for people",
        f"category: {{id: {max(category.id, 0)}, name: {_quoted(category.name)}, "
        "supercategory: person}",
        *_head_lines(category.keypoints, partners),
        "edges:  # pairs of keypoints to draw a line between" if edges else "edges: []",
        *(f"  - [{_quoted(start)}, {_quoted(end)}]" for start, end in edges),
        "keypoints:  # in the order of the annotations' numbers; do not reorder",
    ]
    for name in category.keypoints:
        lines += _keypoint_lines(name, partners.get(name), name in extension)
    return "\n".join(lines) + "\n"


def _keypoint_lines(name: str, partner: str | None, is_extension: bool) -> list[str]:
    spoken = " ".join(_split(name)) or name
    lines = [f"  - name: {_quoted(name)}"]
    if is_extension:
        lines.append("    group: extension  # CHECK: equipment, by its name")
        lines.append(f"    report_group: {_quoted(spoken.title())}")
        lines.append("    region: anywhere")
    else:
        lines.append("    group: body  # 'extension' for what reaches beyond the person")
    if partner is not None:
        lines.append(f"    flip: {_quoted(partner)}  # CHECK: its mirror image, by its name")
    lines.append("    # FILL IN an OKS sigma with its source, or OKS cannot be computed:")
    lines.append('    # sigma: {value: 0.05, published: false, source: "where it is from"}')
    if not re.search(r"[^\W\d_]{2}", name):
        lines.append("    prompts: []  # FILL IN at least five sentences, or none")
        return lines
    lines.append("    prompts:  # CHECK: drafted from the name; at least five, or none")
    lines += [f"      - {_quoted(sentence)}" for sentence in _prompts(spoken, is_extension)]
    return lines


def _prompts(spoken: str, is_extension: bool) -> list[str]:
    whose = "of the equipment that a person holds" if is_extension else "of a person"
    return [
        f"a photo of the {spoken} {whose}",
        f"the {spoken} {whose}",
        f"the position of the {spoken}",
        f"a close view of the {spoken}",
        f"where the {spoken} is, seen or hidden",
    ]


def _head_lines(names: tuple[str, ...], partners: dict[str, str]) -> list[str]:
    """PCKh's head size: from a head box, else from the torso where the names show one."""
    lines = [
        "head_size:  # for PCKh: the first step that can be computed is used",
        "  - {method: head_box, factor: 0.6}",
    ]
    torso = []
    for side in ("left", "right"):
        ends = [n for part in ("shoulder", "hip") for n in names if _is(n, side, part)]
        torso.append(ends)
    if all(len(ends) == 2 for ends in torso):
        spans = ", ".join(f"[{_quoted(a)}, {_quoted(b)}]" for a, b in torso)
        lines.append(f"  - {{method: torso, factor: 0.35, pairs: [{spans}]}}")
    return lines


def _is(name: str, side: str, part: str) -> bool:
    words = set(_split(name))
    return words in ({side, part}, {side[0], part})


def _quoted(text: str) -> str:
    """Text as a YAML scalar in double quotes, on one line."""
    return f'"{_printable(text, also=_QUOTED)}"'


def _printable(text: str, also: str = "") -> str:
    """Text with everything escaped that a line of YAML cannot hold, and `also`."""
    return "".join(
        letter
        if letter.isprintable() and letter not in also
        else f"\\{letter}"
        if letter in also
        else f"\\U{ord(letter):08x}"
        for letter in text
    )


def _slug(text: str) -> str:
    return re.sub(r"[^\w-]+", "_", text.strip().lower()).strip("_")
