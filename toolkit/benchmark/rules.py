"""The lines under a table: by which rules its numbers were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.benchmark.demo import GROUP, Suite
from toolkit.dataset import Dataset
from toolkit.metrics import Evaluation

# of what is ignored: the rest counts the results of one row
OF_THE_TRUTH = ("crowd", "num_keypoints_zero", "num_keypoints_zero_but_labelled")


def rule_lines(
    suite: Suite,
    truth: Dataset,
    evaluation: Evaluation,
    *,
    given_boxes: bool,
    synthetic: bool,
) -> tuple[str, ...]:
    """Data, boxes, head size, mean, strata, area, bands, intervals: the same for all rows.

    Args:
        suite: Whose table it is.
        truth: Ground truth.
        evaluation: Of any entrant; what differs between them is in `lines_by_row`.
        given_boxes: Whether models were run, which are given true boxes.
        synthetic: Whether the data was rendered.
    """
    settings = evaluation.settings
    lines = [_data_line(suite, truth, synthetic)]
    if given_boxes:
        lines.append(
            "boxes: models are given the ground truth's human boxes; with detected boxes "
            "results are several points lower"
        )
    if suite.schema != suite.trained_on:
        lines.append(
            f"zero-shot: models trained on {suite.trained_on} only, keypoints mapped by name"
        )
    if "head_size" in settings and suite.profile == "extension":
        used = ", ".join(f"{key} {count:,}" for key, count in _used(settings).items() if count)
        lines.append(f"head size (rule and how often it was used): {used}")
        lines.append(f"mean: {settings['mean_rule']}")
        lines.append(f"strata: {settings['strata_rule']}; {settings['unmatched_rule']}")
        outside = _outside_count(evaluation)
        if outside is not None:
            lines.append(f"{suite.headline.key}: {outside:,} keypoints")
    if "area_rule" in settings and suite.profile == "crowdpose":
        lines.append(f"OKS area: {settings['area_rule']}; profile {evaluation.profile}")
        people = {k: n for k, n in settings["ignored"].items() if k in OF_THE_TRUTH}
        lines.append(f"ignored: {_counts(people)}")
    if "bands" in settings:
        lines.append(_bands_line(settings["bands"]))
    if "bootstrap" in settings:
        drawn = settings["bootstrap"]
        lines.append(
            f"intervals: 95 % percentile bootstrap, {drawn['resamples']:,} resamples by "
            f"{drawn['by']}, seed {drawn['seed']}; they hold for this test set, not for the "
            "chance of training"
        )
    lines.append(f"ground truth sha256: {evaluation.ground_truth_sha256 or 'not from a file'}")
    return tuple(lines)


def lines_by_row(kind: str, told: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What evaluations tell, once each: `note: ...` of all rows, else `note, ROW, ROW: ...`.

    Args:
        kind: `note` or `warning`.
        told: Row label -> its sentences.
    """
    rows: dict[str, list[str]] = {}
    for label, sentences in told.items():
        for sentence in sentences:
            rows.setdefault(sentence, []).append(label)
    return tuple(
        f"{kind}: {sentence}"
        if len(labels) == len(told)
        else f"{kind}, {', '.join(labels)}: {sentence}"
        for sentence, labels in rows.items()
    )


def _data_line(suite: Suite, truth: Dataset, synthetic: bool) -> str:
    what = f"{len(truth.annotations):,} people in {len(truth.images):,} images"
    if synthetic:
        return f"data: {what}, all of it synthetic (rendered from test seed {suite.seed})"
    return f"data: {truth.name}, {what}"


def _used(settings: Mapping[str, Any]) -> Mapping[str, int]:
    used: Mapping[str, int] = settings["head_size"]["used"]
    return used


def _outside_count(evaluation: Evaluation) -> int | None:
    cell = evaluation.strata.get("out_of_box", {}).get(GROUP)
    return None if cell is None else cell.n


def _counts(counts: Mapping[str, int]) -> str:
    named = [f"{key.replace('_', ' ')} {value:,}" for key, value in counts.items() if value]
    return ", ".join(named) or "nothing"


def _bands_line(bands: Mapping[str, Any]) -> str:
    low, high = bands["limits"]
    counts = bands["images"]
    shown = "" if counts is None else f" (images: {_counts(counts)})"
    return f"crowd bands: easy crowdIndex < {low:g}, medium < {high:g}, hard the rest{shown}"
