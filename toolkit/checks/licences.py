"""Terms of use, and the card that states them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from toolkit.checks.base import INFO, WARNING, Check, Hits, Subject, everywhere
from toolkit.dataset import front_matter
from toolkit.errors import ReadError
from toolkit.report import Finding

CARD = "card.md"


def _licences(subject: Subject) -> list[tuple[int, Mapping[str, object]]]:
    return [] if subject.facts is None else list(subject.facts.records("licenses"))


def _card(subject: Subject) -> Path | None:
    """The card beside the file, where there is one."""
    path = subject.dataset.path
    beside = None if path is None else Path(path).parent / CARD
    return beside if beside is not None and beside.is_file() else None


def _missing(subject: Subject) -> Iterator[Finding]:
    if subject.facts is None or _licences(subject) or _card(subject) is not None:
        return
    info = subject.facts.top.get("info")
    stated = isinstance(info, dict) and (info.get("license") or info.get("licence"))
    if not stated:
        yield Finding(
            "licence-missing",
            INFO,
            f"no licence is stated: neither 'licenses' nor a {CARD} beside the file; nobody "
            "may use data whose terms are unknown",
            section="licenses",
        )


def _unknown(subject: Subject) -> Iterator[Hits]:
    ids = [record.get("id") for _, record in _licences(subject)]
    known = {value for value in ids if isinstance(value, int | str)}
    facts = subject.facts
    if facts is None or subject.image_index is None or not ids:
        return  # that there is no licence at all is `licence-missing`
    # Most files use a few licences, all known: look at each once.
    wrong = {value for value in set(facts.licences) if value not in known} - {None}
    if not wrong:
        return
    stated = [facts.licences[index] for index in subject.image_index.tolist()]
    rows = [row for row, value in enumerate(stated) if value in wrong]
    listed = ", ".join(sorted(str(value) for value in known))

    def describe(row: int) -> str:
        return f"no licence has id {stated[row]}; 'licenses' has {listed}"

    yield Hits(
        "images", np.array(rows, dtype=np.int64), describe, "licence does not exist", "license"
    )


def _repeated(subject: Subject) -> Iterator[Finding]:
    seen: dict[object, int] = {}
    for index, record in _licences(subject):
        value = record.get("id")
        if not isinstance(value, int | str):
            continue
        if value in seen:
            yield Finding(
                "licence-id-duplicate",
                WARNING,
                f"licenses[{seen[value]}] has the same id; images cannot say which they mean",
                section="licenses",
                index=index,
                id=value,
                field="id",
            )
        seen.setdefault(value, index)


def _front(path: Path) -> Mapping[str, object] | str:
    """The front matter of a card, or what is wrong with it."""
    try:
        front = front_matter(path)[0]
    except ReadError as error:
        said = " ".join(str(error).removeprefix(f"{path}: ").split())
        return f"cannot be read: {said[:120]}"
    if not (front.get("licence") or front.get("license")):
        return "states no 'licence'"
    return front


def _card_invalid(subject: Subject) -> Iterator[Finding]:
    path = _card(subject)
    front = {} if path is None else _front(path)
    if isinstance(front, str):
        yield Finding("card-invalid", WARNING, f"{CARD} beside the file {front}")


def _card_counts(subject: Subject) -> Iterator[Finding]:
    path = _card(subject)
    front = {} if path is None else _front(path)
    # A card that cannot be read is `card-invalid`.
    if isinstance(front, str):
        return
    counts = front.get("counts")
    # Cards list counts of their own, or write them beside the name.
    stated = {**front, **counts} if isinstance(counts, dict) else front
    images, people = subject.dataset.images, subject.dataset.annotations
    counted = {
        "images": len(images),
        "frames": len(images),
        "clips": len({clip for clip in images.clips if clip is not None}),
        "annotations": len(people),
        "instances": len(people),
    }
    for name, number in counted.items():
        if isinstance(stated.get(name), int) and stated[name] != number:
            yield Finding(
                "card-counts",
                WARNING,
                f"{CARD} says {stated[name]} {name}; the file has {number:,}",
                field=name,
            )


LICENCE_MISSING = Check(
    "licence-missing",
    "A file, or the card beside it, states the terms under which the data may be used.",
    everywhere(INFO),
    _missing,
    family="licence",
    repair="Ask whoever owns the pictures, and write the answer into 'licenses' or card.md.",
)
LICENCE_UNKNOWN = Check(
    "licence-unknown",
    "The licence that an image names is one of the file's 'licenses'.",
    everywhere(WARNING),
    _unknown,
    family="licence",
    repair="Add the licence to 'licenses', or correct the image's 'license'.",
)
LICENCE_ID_DUPLICATE = Check(
    "licence-id-duplicate",
    "Every licence has an id of its own, or images cannot say which they mean.",
    everywhere(WARNING),
    _repeated,
    family="licence",
    repair="Give the second licence another id, and check the images that name it.",
)
CARD_INVALID = Check(
    "card-invalid",
    "The card beside a file can be read, and its front matter states a licence.",
    everywhere(WARNING),
    _card_invalid,
    family="licence",
    repair="Complete the front matter of card.md.",
)
CARD_COUNTS = Check(
    "card-counts",
    "The card beside a file counts what the file holds: images, clips, instances.",
    everywhere(WARNING),
    _card_counts,
    family="licence",
    repair="Correct the counts in card.md, or look for what is missing from the file.",
)
