"""What each rule is about: checks say it themselves, the readers' rules are listed here."""

from __future__ import annotations

from toolkit.checks.base import FAMILIES

_FIRST_WORDS = {
    "json": "file",
    "section": "file",
    "record": "file",
    "image": "images",
    "file": "images",
    "visibility": "visibility",
    "num": "visibility",
    "keypoints": "keypoints",
    "bbox": "boxes",
    "area": "boxes",
    "head": "boxes",
    "score": "results",
    "keypoint-scores": "results",
    "sigmas": "results",
    "results": "results",
}


def reader_family(code: str) -> str:
    """The family of one of the readers' rules, by the first words of its code.

    >>> reader_family("bbox-shape"), reader_family("keypoint-scores-shape")
    ('boxes', 'results')
    >>> reader_family("id-type")
    'structure'
    """
    words = code.split("-")
    for prefix in ("-".join(words[:2]), words[0]):
        if prefix in _FIRST_WORDS:
            return _FIRST_WORDS[prefix]
    return "structure"


def family_rank(family: str) -> int:
    """The family's place in the order in which people read findings."""
    return FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
