"""Writing estimated sigmas into a schema file: only these numbers change, comments stay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import yaml

from toolkit.curate.sigmas import SigmaEstimate
from toolkit.errors import UsageError
from toolkit.places import datasets_root
from toolkit.schema import Schema


def schema_with_sigmas(
    schema: Schema,
    origin: str | None,
    estimates: Sequence[SigmaEstimate],
    names: Sequence[str] | None,
    annotators: int,
) -> tuple[str, list[str]]:
    """The text of a schema file with new sigmas.

    Args:
        schema: What was estimated for.
        origin: Its built-in name or file; None where it was found from the data.
        estimates: From `estimate_sigmas`.
        names: Keypoints to write; None for all that have an estimate and no published sigma.
        annotators: How many there were, for the source.

    Returns:
        The text, and what was written, `stick_heel 0.107 -> 0.0731` a keypoint.

    Raises:
        UsageError: There is no schema file to write into, keypoints share one entry of it
            (a YAML alias), or a name has no estimate.
    """
    text = _text_of(schema, origin)
    chosen = {row.keypoint: row for row in estimates if row.sigma}
    if names is None:
        chosen = {name: row for name, row in chosen.items() if not row.published}
    else:
        unknown = [name for name in names if name not in chosen]
        if unknown:
            raise UsageError(
                f"no estimate for {', '.join(unknown)}; there is one for "
                f"{', '.join(chosen) or 'none: too few people were labelled twice'}"
            )
        chosen = {name: chosen[name] for name in names}
    written = []
    places = _places(text)
    begins = Counter(begin for _, begin, _, _, _ in places)
    if shared := [name for name, begin, *_ in places if name in chosen and begins[begin] > 1]:
        raise UsageError(
            f"{origin}: the sigmas of {', '.join(shared[:5])} stand in one place that others "
            "name by a YAML alias (*); write each keypoint's own"
        )
    # From the end, so that earlier positions stay right.
    for name, begin, end, before, after in reversed(places):
        row = chosen.get(name)
        if row is None:
            continue
        text = text[:begin] + before + _entry(row, annotators) + after + text[end:]
        stated = "unknown" if row.stated is None else f"{row.stated:g}"
        written.append(f"{name} {stated} -> {row.sigma:.4f}")
    return text, written[::-1]


def _text_of(schema: Schema, origin: str | None) -> str:
    if origin is None and schema.name in Schema.builtin_names():
        origin = schema.name
    if origin is None:
        raise UsageError(
            "the keypoints were found in the data, so there is no schema file to write into; "
            "make one with 'toolkit schema infer' and name it with --schema"
        )
    path = Path(origin)
    if origin in Schema.builtin_names():
        path = datasets_root() / origin / "schema.yaml"
    return path.read_text(encoding="utf-8")


def _entry(row: SigmaEstimate, annotators: int) -> str:
    low, high = row.interval or (float("nan"), float("nan"))
    source = (
        f"estimated from repeated labels: {row.people} people, {row.labels} labels, "
        f"{annotators} annotators, 95 % interval {low:.4f} to {high:.4f}; toolkit sigmas"
    )
    return f'{{value: {row.sigma:.4f}, published: false, source: "{source}"}}'


def _places(text: str) -> list[tuple[str, int, int, str, str]]:
    """Keypoint, begin and end of its sigma's value, and what to write before and after it.

    Where it has none, begin and end are where its second field begins (its first, of one).
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None, "a schema file that was parsed before"
    fields = {key.value: value for key, value in root.value}
    found = []
    for item in fields["keypoints"].value:
        entries = {key.value: (key, value) for key, value in item.value}
        name = entries["name"][1].value
        if "sigma" in entries:
            node = entries["sigma"][1]
            begin, end = node.start_mark.index, _end(node, text)
            found.append((name, begin, end, " " * (begin == end), ""))  # after `sigma:`
            continue
        at = item.value[min(1, len(item.value) - 1)][0].start_mark.index
        column = entries["name"][0].start_mark.column
        after = ", " if item.flow_style else "\n" + " " * column
        found.append((name, at, at, "sigma: ", after))
    return found


def _end(node: yaml.Node, text: str) -> int:
    """Where a value ends: a block runs on to what follows, comments included."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return _end(node.value[-1][1], text)
    begin, end = node.start_mark.index, node.end_mark.index
    return begin + len(text[begin:end].rstrip())
