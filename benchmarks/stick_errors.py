"""Which way predictions of a stick beyond the box are wrong: along the stick, or across it.

    python benchmarks/stick_errors.py [--models tokenclipose-small,MINE=run/last.safetensors]

Renders hockey practice data of the demo's validation seed, lets each model predict, and takes
the error of every heel and toe outside the human's box apart: *across* the true stick it is
one of direction, *along* it one of length. Also by how far outside the box the keypoint lies.
In head sizes; a keypoint counts as right within half a head.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.benchmark.demo import HOCKEY, VALIDATION_SEEDS
from toolkit.benchmark.demo_data import demo_set
from toolkit.benchmark.entrants import load_models
from toolkit.dataset import Dataset
from toolkit.formats import read
from toolkit.geometry import inside_box
from toolkit.metrics.errors_in_heads import errors_in_heads

MODELS = (
    "tokenclipose-small,hrnet-small,hrnet-small-enlarged,body-to-stick,body-to-stick-predicted"
)
THRESHOLD = 0.5  # heads
FAR = (0.0, 0.5, 1.0, 2.0, np.inf)  # heads outside the box
STICK = ("butt_end", "stick_heel")  # ends of the shaft
ENDS = ("stick_heel", "stick_toe")


def main() -> int:
    """Render, predict, take apart, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=MODELS, help="names, or LABEL=CHECKPOINT")
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    suite = replace(HOCKEY, seed=VALIDATION_SEEDS["hockey"])
    folder = demo_set(suite, people=given.people)
    truth = read(folder / "annotations.json", "hockey")
    contenders, _ = load_models(suite, given.models.split(","), "cpu")
    rows = []
    for one in contenders:
        predictions = one.model.predict(truth, folder / "images")
        rows.append({"model": one.label, **measure(truth, predictions)})
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
    row = {"people": len(people), "keypoints": len(heads), "PCKh": _share(right)}
    row["median"] = float(np.median(heads))
    for way, values in ways.items():
        row[way] = float(np.median(values))
        row[f"{way} right"] = _share(values <= THRESHOLD)
    for low, high in itertools.pairwise(FAR):
        row[f"{low:g} to {high:g}"] = _share(right[(far > low) & (far <= high)])
    return row


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
