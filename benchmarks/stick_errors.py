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
from toolkit.geometry import inside_box
from toolkit.metrics.errors_in_heads import errors_in_heads
from toolkit.metrics.head_size import head_sizes

MODELS = (
    "tokenclipose-small,hrnet-small,hrnet-small-enlarged,body-to-stick,body-to-stick-predicted"
)
THRESHOLD = 0.5  # heads
FAR = (0.0, 0.5, 1.0, 2.0, np.inf)  # heads outside the box
STICK = ("butt_end", "stick_heel")  # ends of the shaft
ENDS = ("stick_heel", "stick_toe")
RAYLEIGH_MEDIAN = float(np.sqrt(2 * np.log(2)))  # of the length of 2-D Gaussian noise, sigma 1
SEED = 0


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
    rows = []
    for one in contenders:
        predictions = one.model.predict(truth, folder / "images")
        rows.append({"model": one.label, **measure(truth, predictions)})
    for median in map(float, given.noise.split(",") if given.noise else ()):
        row = measure(truth, from_noisy_joints(truth, median))
        rows.append({"model": f"true joints, {median:g} heads off", **row})
    if given.json:
        print(json.dumps({"seed": suite.seed, "people": given.people, "rows": rows}, indent=2))
    else:
        print_table(rows, suite.seed, given.people)
    return 0


def measure(truth: Dataset, predictions: Predictions) -> dict[str, float]:
    """Shares in per cent, errors in heads, over heels and toes outside the box.

    Predictions stand in the order of the annotations; everything is labelled.
    """
    people = truth.annotations
    errors = errors_in_heads(truth, predictions)
    butt, heel = (people.keypoints[:, truth.schema.index(name)] for name in STICK)
    shaft = heel - butt  # (N, 2)
    shaft = shaft / np.linalg.norm(shaft, axis=1, keepdims=True)
    away, along, across, off = [], [], [], []
    for name in ENDS:
        column = truth.schema.index(name)
        place = people.keypoints[:, column]
        outside = ~inside_box(place[:, None], people.bbox_xywh)[:, 0]
        gap = (predictions.keypoints[:, column] - place) / errors.head.size[:, None]  # heads
        away.append(errors.heads[outside, column])
        along.append(np.abs((gap * shaft).sum(axis=1))[outside])
        turned = gap[:, 1] * shaft[:, 0] - gap[:, 0] * shaft[:, 1]
        across.append(np.abs(turned)[outside])
        off.append((_beyond(place, people.bbox_xywh) / errors.head.size)[outside])
    heads, far = np.concatenate(away), np.concatenate(off)
    ways = {"along": np.concatenate(along), "across": np.concatenate(across)}
    right = heads <= THRESHOLD
    body = errors.heads[:, ~truth.schema.is_extension]
    row = {"people": len(people), "body": _share(body <= THRESHOLD)}
    row |= {"keypoints": len(heads), "PCKh": _share(right)}
    row["median"] = float(np.median(heads))
    for way, values in ways.items():
        row[way] = float(np.median(values))
        row[f"{way} right"] = _share(values <= THRESHOLD)
    for low, high in itertools.pairwise(FAR):
        row[f"{low:g} to {high:g}"] = _share(right[(far > low) & (far <= high)])
    return row


def from_noisy_joints(truth: Dataset, median: float) -> Predictions:
    """Body-to-stick by a network that is taught on joints as inexact as those it is given."""
    from baselines.controls import complete, fit_body_to_stick  # lazy: torch

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


def _beyond(points: NDArray[np.float64], bbox_xywh: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) distance in px of points from their boxes; 0 inside."""
    low, high = bbox_xywh[:, :2], bbox_xywh[:, :2] + bbox_xywh[:, 2:]
    out: NDArray[np.float64] = np.linalg.norm(
        np.maximum(low - points, 0) + np.maximum(points - high, 0), axis=1
    )
    return out


def _share(counted: NDArray[np.bool_]) -> float:
    return 100 * float(counted.mean()) if len(counted) else float("nan")


def print_table(rows: list[dict[str, float]], seed: int, people: int) -> None:
    """The table for people."""
    print(f"heels and toes outside the human's box: {people} people, validation seed {seed}")
    columns = [key for key in rows[0] if key not in ("model", "people", "keypoints")]
    print(f"{'model':<27}" + "".join(f"{column:>14}" for column in columns))
    for row in rows:
        print(f"{row['model']:<27}" + "".join(f"{row[column]:>14.2f}" for column in columns))
    print(
        "PCKh, '... right' and by heads outside the box: per cent; the rest: median, in heads"
    )


if __name__ == "__main__":
    sys.exit(main())
