"""Sigmas of simulated annotators are found again, with intervals that keep their promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.curate.annotators import Panel, panel_of
from toolkit.curate.sigma_schema import schema_with_sigmas
from toolkit.curate.sigmas import SigmaEstimate, chi_square_quantile, estimate_sigmas
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.schema import Schema
from toolkit.schema_file import parse_schema

TRUE = np.array([0.03, 0.06, 0.12])


def panel(schema: Schema, people: int, annotators: int, rng: np.random.Generator) -> Panel:
    """Labels with 2-D normal noise: E[d^2] = (sigma s)^2, so sigma s / sqrt(2) an axis."""
    scale = rng.uniform(20, 200, people)
    noise = rng.normal(size=(annotators, people, 3, 2)) / np.sqrt(2)
    noise *= TRUE[:, None] * scale[:, None, None]
    points = rng.uniform(0, 500, (people, 3, 2)) + noise
    return Panel(
        names=tuple("abcdefgh"[:annotators]),
        schema=schema,
        image_id=np.arange(people),
        group=np.arange(people),
        looked=np.ones((annotators, people), bool),
        instance_id=np.tile(np.arange(people), (annotators, 1)),
        keypoints=points,
        visibility=np.full((annotators, people, 3), 2, np.uint8),
        bbox_xywh=np.zeros((annotators, people, 4)),
        scale=scale,
        reference=None,  # type: ignore[arg-type]  # not looked at
        people=None,  # type: ignore[arg-type]  # nor this
    )


def test_intervals_hold_the_truth_in_93_to_97_of_100_runs(tiny_schema: Schema) -> None:
    runs, hits = 1000, 0
    estimates = []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        people, annotators = int(rng.integers(15, 60)), int(rng.integers(2, 5))
        found = estimate_sigmas(panel(tiny_schema, people, annotators, rng))
        estimates.append([row.sigma for row in found])
        for row, true in zip(found, TRUE, strict=True):
            low, high = row.interval
            hits += low <= true <= high

    assert 0.93 <= hits / (3 * runs) <= 0.97
    np.testing.assert_allclose(np.mean(np.square(estimates), axis=0), TRUE**2, rtol=0.02)


def test_two_labels_five_px_apart_give_the_sigma_of_the_formula(
    make_dataset: Callable[..., Dataset],
) -> None:
    one = make_dataset(2)
    people = one.annotations
    two = replace(
        one, annotations=replace(people, keypoints=people.keypoints + np.array([3.0, 4.0]))
    )

    row = estimate_sigmas(panel_of([("a", one), ("b", two)]))[0]

    # Each label lies 2.5 px from the mean: 2 * 2.5^2 / (n - 1) = 12.5 px^2, area 200.
    assert row.sigma == pytest.approx(np.sqrt(12.5 / 200))
    assert (row.people, row.labels, row.stated) == (2, 4, 0.05)


def test_keypoints_labelled_once_give_no_estimate(make_dataset: Callable[..., Dataset]) -> None:
    one = make_dataset(2)
    people = one.annotations
    flags = people.visibility.copy()
    flags[:, 2] = 0
    points = people.keypoints.copy()
    points[:, 2] = np.nan
    two = replace(one, annotations=replace(people, keypoints=points, visibility=flags))

    row = estimate_sigmas(panel_of([("a", one), ("b", two)]))[2]

    assert (row.sigma, row.interval, row.needed, row.people) == (None, None, None, 0)


def test_a_copy_gives_zero_and_no_interval(make_dataset: Callable[..., Dataset]) -> None:
    one = make_dataset(3)

    row = estimate_sigmas(panel_of([("a", one), ("b", one)]))[0]

    assert (row.sigma, row.interval) == (0.0, None)


def test_needed_people_would_make_the_interval_ten_per_cent(tiny_schema: Schema) -> None:
    rng = np.random.default_rng(3)
    few = estimate_sigmas(panel(tiny_schema, 40, 2, rng))[0]

    enough = estimate_sigmas(panel(tiny_schema, few.needed, 2, rng))[0]

    low, high = enough.interval
    assert (high - low) / 2 / enough.sigma == pytest.approx(0.1, rel=0.25)


def test_quantiles_are_those_of_the_chi_square_law() -> None:
    from scipy.stats import chi2

    for freedom in (10, 40, 500):
        for share in (0.025, 0.5, 0.975):
            assert chi_square_quantile(share, freedom) == pytest.approx(
                chi2.ppf(share, freedom), rel=0.01
            )


def test_only_unpublished_sigmas_are_written_and_comments_stay(
    tmp_path: Path, tiny_schema: Schema
) -> None:
    schema = Schema.load("hockey")
    found = [
        replace(row, keypoint=k.name, published=k.sigma_published, stated=k.sigma)
        for k, row in zip(
            schema.keypoints,
            estimate_sigmas(panel(tiny_schema, 30, 2, np.random.default_rng(0))) * 7,
            strict=False,
        )
    ]
    from toolkit.places import datasets_root

    before = (datasets_root() / "hockey" / "schema.yaml").read_text(encoding="utf-8")

    text, written = schema_with_sigmas(schema, "hockey", found, None, 2)
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    after = parse_schema(tmp_path / "mine.yaml")

    assert [line.split()[0] for line in written] == ["butt_end", "stick_heel", "stick_toe"]
    changed = [
        (a, b) for a, b in zip(before.splitlines(), text.splitlines(), strict=True) if a != b
    ]
    assert len(changed) == 3
    assert after.keypoints[:17] == schema.keypoints[:17]
    assert after.keypoints[18].sigma == pytest.approx(found[18].sigma, abs=5e-5)
    assert after.keypoints[18].sigma_published is False
    assert "30 people, 60 labels, 2 annotators" in after.keypoints[18].sigma_source


def test_a_keypoint_without_a_sigma_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\ntitle: Own\nkeypoints:\n"
        "  - name: tip  # of the ski\n    group: extension\n    region: anywhere\n"
    )
    schema = Schema.load(path)
    row = estimate_sigmas(
        replace(
            panel(schema, 30, 2, np.random.default_rng(0)),
            schema=schema,
        )
    )[0]

    text, written = schema_with_sigmas(schema, str(path), [row], None, 2)
    path.write_text(text)

    assert written == [f"tip unknown -> {row.sigma:.4f}"]
    assert Schema.load(path).keypoints[0].sigma == pytest.approx(row.sigma, abs=5e-5)
    assert "  - name: tip  # of the ski\n    sigma: {value" in text


@pytest.mark.parametrize(
    ("keypoints", "kept"),
    [
        ("[{name: nose, group: body}, {name: tip}]", "group: body}, {sigma: {"),
        (
            "[{name: nose, sigma: {value: 0.1, source: x}, group: body}, {name: tip}]",
            "}, group: body}, {",
        ),
        (
            "\n  - name: nose\n    sigma:\n      value: 0.1\n      source: x\n"
            "    # of the ski\n  - name: tip\n    sigma:\n",
            "\n    # of the ski\n  - name: tip\n    sigma: {",
        ),
        (
            "\n  - name: nose\n    sigma: null\n  - name: tip\n    sigma:\n    group: body\n",
            "}\n    group: body",
        ),
    ],
)
def test_a_schema_in_any_style_of_yaml_gets_the_sigmas_and_keeps_the_rest(
    keypoints: str, kept: str, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"name: own\ntitle: Own\nkeypoints: {keypoints}\n", "utf-8")
    schema = Schema.load(path)
    rows = [
        SigmaEstimate(name, sigma, (0.04, 0.06), 10, 20, 5, None, published=False)
        for name, sigma in (("nose", 0.05), ("tip", 0.06))
    ]

    text, written = schema_with_sigmas(schema, str(path), rows, None, 2)
    path.write_text(text, "utf-8")
    after = Schema.load(path)

    assert [line[:3] for line in written] == ["nos", "tip"]
    assert [point.sigma for point in after.keypoints] == [0.05, 0.06]
    assert [point.group for point in after.keypoints] == ["body", "body"]
    assert kept in text


def test_sigmas_that_share_an_entry_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\ntitle: Own\nkeypoints:\n"
        "- {name: nose, sigma: &one {value: 0.1, published: false, source: guessed}}\n"
        "- {name: tip, sigma: *one}\n",
        "utf-8",
    )
    row = SigmaEstimate("tip", 0.05, (0.04, 0.06), 10, 20, 5, None, published=False)

    with pytest.raises(UsageError, match=r"the sigmas of tip stand in one place .* alias"):
        schema_with_sigmas(Schema.load(path), str(path), [row], None, 2)


def test_a_name_without_an_estimate_is_refused(tiny_schema: Schema) -> None:
    found = estimate_sigmas(panel(tiny_schema, 30, 2, np.random.default_rng(0)))

    with pytest.raises(
        UsageError, match="no estimate for nose; there is one for head, foot, tip"
    ):
        schema_with_sigmas(tiny_schema, "hockey", found, ["nose"], 2)
    with pytest.raises(UsageError, match="so there is no schema file to write into"):
        schema_with_sigmas(tiny_schema, None, found, None, 2)
