"""The card of a release: Markdown with the front matter that dataset hubs read.

Fields `license`, `pretty_name`, `task_categories`, `tags`, `size_categories`, `configs` are
those of the Hugging Face hub's dataset cards.
"""

from __future__ import annotations

from collections.abc import Sequence

import yaml

from toolkit.errors import counted
from toolkit.publish.source import Source
from toolkit.stats import Statistics

# What the hub accepts as `license`; anything else is `other` with a name.
_HUB_LICENCES = {
    "apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "odbl", "odc-by", "pddl",
    "bsd-3-clause", "cdla-permissive-2.0", "cdla-sharing-1.0", "c-uda", "unknown",
}  # fmt: skip
_SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
)  # fmt: skip


def card_text(source: Source, statistics: Statistics, changes: Sequence[str]) -> str:
    """The README of a release.

    Args:
        source: What is published.
        statistics: What `toolkit stats` measured.
        changes: Lines about what changed since the last version; empty for a first one.
    """
    card = source.card
    front = yaml.safe_dump(
        _front(source), sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    parts = [
        f"---\n{front}---\n",
        f"# {source.schema.title or card.name}, version {card.version}\n",
        f"{card.text}\n",
        "## Terms\n",
        f"{card.licence}\n",
        *_per_image(source),
        f"Cite as: {card.citation}\n",
        "## What is in it\n",
        *_contents(source),
        "## Keypoints\n",
        _keypoints(source),
        "## Numbers\n",
        _numbers(statistics),
    ]
    if changes:
        parts += ["## Changed since the last version\n", *[f"* {line}" for line in changes], ""]
    parts += [
        "## Is it whole?\n",
        "`manifest.json` lists every file with its size and SHA-256, and lies beside the "
        "archive too:\n",
        f"    toolkit publish verify {card.name}-{card.version}.tar\n",
    ]
    return "\n".join(parts)


def _front(source: Source) -> dict[str, object]:
    card = source.card
    licence = card.licence.strip().lower().replace(" ", "-")
    known = licence in _HUB_LICENCES
    count = len(source.dataset.images)
    front: dict[str, object] = {
        "pretty_name": source.schema.title or card.name,
        "license": licence if known else "other",
    }
    if not known:
        front["license_name"] = card.licence
    front |= {
        "version": card.version,
        "task_categories": ["keypoint-detection"],
        "tags": ["pose-estimation", "keypoints", "coco", "croissant"],
        "size_categories": [next((name for top, name in _SIZES if count < top), "n>1M")],
        "citation": card.citation,
    }
    if card.source_url:
        front["source_url"] = card.source_url
    ours = {"name", "licence", "counts", "title"}
    return front | {k: v for k, v in source.front.items() if k not in ours | set(front)}


def _per_image(source: Source) -> list[str]:
    if not source.licences:
        return []
    by_terms: dict[str, int] = {}
    for terms in source.licences.values():
        by_terms[terms] = by_terms.get(terms, 0) + 1
    lines = [
        f"* {counted(count, 'image')}: {terms}" for terms, count in sorted(by_terms.items())
    ]
    return [
        "Images with terms of their own (each file's are in `manifest.json`):\n",
        *lines,
        "",
    ]


def _contents(source: Source) -> list[str]:
    people = counted(len(source.dataset.annotations), "instance")
    return [
        f"* `annotations.json`: {people} in COCO format",
        f"* `images/`: {counted(len(source.images), 'file')}",
        "* `splits/`: the same records by split, and the manifest that freezes them",
        "* `schema.yaml`: the keypoints; `statistics.json`; `croissant.json`: metadata for "
        "loaders\n",
    ]


def _keypoints(source: Source) -> str:
    rows = [
        "| # | keypoint | group | flips to | may lie | OKS sigma |",
        "|---|---|---|---|---|---|",
    ]
    for index, keypoint in enumerate(source.schema.keypoints):
        if keypoint.sigma is None:
            sigma = "unknown"
        else:
            note = "" if keypoint.sigma_published else " (a stated default, not published)"
            sigma = f"{keypoint.sigma:g}{note}"
        flip = keypoint.flip or keypoint.name
        rows.append(
            f"| {index} | `{keypoint.name}` | {keypoint.group} | `{flip}` | "
            f"{keypoint.region} | {sigma} |"
        )
    return "\n".join(rows) + "\n"


def _numbers(statistics: Statistics) -> str:
    rows = [
        "| keypoint | labelled | occluded | outside its box | outside the image |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| `{row.name}` | {row.labelled:,} | {row.occluded:,} | {row.out_of_box:,} | "
        f"{row.out_of_image:,} |"
        for row in statistics.keypoints
    ]
    return "\n".join(rows) + "\n"
