"""Which way predictions of a stick beyond the box are wrong: along the stick, or across it.

    python benchmarks/stick_errors.py [--models tokenclipose-small,MINE=run/last.safetensors]
    python benchmarks/stick_errors.py --models body-to-stick --noise 0,0.05,0.1,0.15,0.3

Renders hockey practice data of the demo's validation seed, lets each model predict, counts the
body (PCKh), and takes the error of every heel and toe outside the human's box apart: *across*
the true stick it is one of direction, *along* it one of length. Also by how far outside the
box the keypoint lies. In head sizes; a keypoint counts as right within half a head.

`--noise` adds rows that know how much of the stick the body gives away to somebody who sees
each joint with an error of that median, in heads: body-to-stick, trained and tested on true
joints with Gaussian noise. The training people (24,000 of the demo's training seed) are
rendered first, which takes minutes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Annotations, Predictions
from toolkit.benchmark.demo import HOCKEY, TRAIN_PEOPLE, TRAIN_SEEDS, VALIDATION_SEEDS
from toolkit.benchmark.demo_data import demo_set
from toolkit.benchmark.entrants import load_models
from toolkit.dataset import Dataset
from toolkit.formats import read
from toolkit.geometry import distance_from_box, inside_box
from toolkit.metrics.head_size import head_sizes

MODELS = (
    "tokenclipose-small,tokenclipose-small-enlarged,hrnet-small,hrnet-small-enlarged,"
    "body-to-stick,body-to-stick-predicted"
)
THRESHOLD = 0.5  # heads
FAR = (0.0, 0.5, 1.0, 2.0, np.inf)  # heads outside the box
SHAFT = ("butt_end", "stick_heel")
ENDS = ("stick_heel", "stick_toe")
RAYLEIGH_MEDIAN = float(np.sqrt(2 * np.log(2)))  # of the length of 2-D Gaussian noise, sigma 1
SEED = 0

Row = dict[str, float | None]  # None where nothing is counted


def main() -> int:
    """Render, predict, take apart, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=MODELS, help="names, or LABEL=CHECKPOINT")
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--noise", help="medians of joint errors in heads, comma-separated")
    given = parser.parse_args()
    suite = replace(HOCKEY, seed=VALIDATION_SEEDS["hockey"])
    folder = demo_set(suite, people=given.people)
    truth = read(folder / "annotations.json", "hockey")
    contenders, _ = load_models(suite, given.models.split(","), "cpu")
    rows = {}
    for one in contenders:
        predictions = one.model.predict(truth, folder / "images")
        rows[one.label] = measure(truth, predictions)
    for median in map(float, given.noise.split(",") if given.noise else ()):
        predictions = from_noisy_joints(truth, median)
        rows[f"true joints, {median:g} heads off"] = measure(truth, predictions)
    if given.json:
        print(json.dumps({"seed": suite.seed, "people": given.people, "rows": rows}, indent=2))
    else:
        print_table(rows, suite.seed, given.people)
    return 0


def measure(truth: Dataset, predictions: Predictions) -> Row:
    """Shares in per cent, errors in heads, over heels and toes outside the box.

    Predictions stand in the order of the annotations; everything is labelled.
    """
    people, schema = truth.annotations, truth.schema
    head = head_sizes(people).size[:, None]  # (N, 1) px
    gap = (predictions.keypoints - people.keypoints) / head[..., None]  # (N, K, 2) heads
    butt, heel = (people.keypoints[:, schema.index(name)] for name in SHAFT)
    shaft = (heel - butt) / np.linalg.norm(heel - butt, axis=1, keepdims=True)
    x, y = np.moveaxis(shaft[:, None], 2, 0)  # (N, 1) each

    columns = [schema.index(name) for name in ENDS]
    outside = ~inside_box(people.keypoints, people.bbox_xywh)[:, columns]  # (N, 2)
    away = np.linalg.norm(gap, axis=2)  # (N, K)
    ways = {
        "along": np.abs(gap[..., 0] * x + gap[..., 1] * y)[:, columns][outside],
        "across": np.abs(gap[..., 1] * x - gap[..., 0] * y)[:, columns][outside],
    }
    ends = away[:, columns][outside]
    right = ends <= THRESHOLD
    row: Row = {
        "body": _share(away[:, ~schema.is_extension] <= THRESHOLD),
        "PCKh": _share(right),
        "median": _median(ends),
    }
    for way, values in ways.items():
        row |= {way: _median(values), f"{way} right": _share(values <= THRESHOLD)}
    far = (distance_from_box(people.keypoints, people.bbox_xywh) / head)[:, columns][outside]
    for low, high in itertools.pairwise(FAR):
        row[f"{low:g} to {high:g}"] = _share(right[(far > low) & (far <= high)])
    return row


def from_noisy_joints(truth: Dataset, median: float) -> Predictions:
    """Body-to-stick by a network that is taught on joints as inexact as those it is given."""
    import torch  # lazy, with the next: seconds

    from baselines.controls import complete, fit_body_to_stick

    torch.set_num_threads(1)  # their number changes the rounding, and so the network
    suite = replace(HOCKEY, seed=TRAIN_SEEDS["hockey"])
    folder = demo_set(suite, people=TRAIN_PEOPLE["hockey"])
    taught = read(folder / "annotations.json", "hockey").annotations
    rng = np.random.default_rng(SEED)
    network = fit_body_to_stick(
        truth.schema,
        _noisy(taught, median, rng),
        taught.keypoints,
        taught.bbox_xywh,
        seed=SEED,
    )
    people = truth.annotations
    joints = _noisy(people, median, rng)
    return Predictions.from_arrays(
        truth.schema,
        people.image_id,
        complete(network, truth.schema, joints, people.bbox_xywh),
        annotation_id=people.instance_id,
    )


def _noisy(people: Annotations, median: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Keypoints moved by Gaussian noise whose length has that median, in heads."""
    noise = rng.normal(scale=median / RAYLEIGH_MEDIAN, size=people.keypoints.shape)
    moved: NDArray[np.float64] = (
        people.keypoints + noise * head_sizes(people).size[:, None, None]
    )
    return moved


def _share(counted: NDArray[np.bool_]) -> float | None:
    return 100 * float(counted.mean()) if counted.size else None


def _median(heads: NDArray[np.float64]) -> float | None:
    return float(np.median(heads)) if heads.size else None


def print_table(rows: dict[str, Row], seed: int, people: int) -> None:
    """The table for people."""
    print(f"heels and toes outside the human's box: {people} people, validation seed {seed}")
    columns = list(next(iter(rows.values())))
    print(f"{'model':<27}" + "".join(f"{column:>14}" for column in columns))
    for name, row in rows.items():
        cells = ("-" if value is None else f"{value:.2f}" for value in row.values())
        print(f"{name:<27}" + "".join(f"{cell:>14}" for cell in cells))
    print("in per cent: body, PCKh, right, and PCKh by heads outside the box; medians in heads")


if __name__ == "__main__":
    sys.exit(main())
