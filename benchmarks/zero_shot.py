"""How much body PCKh a hockey network loses on lacrosse, a sport that it never saw.

    python benchmarks/zero_shot.py --set test

Renders hockey and lacrosse practice data (2,000 people of the demo's test seeds; 1,000 of the
validation seeds, on which the network for transfer was chosen), lets the shipped hockey
checkpoints answer on hockey, and on lacrosse by names and by prompts, and prints PCKh@0.5 of
the body keypoints that both schemas have, under the same head rule, with 95 % intervals by
clip. Ends with 1 where the network for transfer loses more than 15 points.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

import numpy as np

from toolkit.annotations import Predictions
from toolkit.benchmark.demo import HOCKEY, LACROSSE, VALIDATION_SEEDS, Suite
from toolkit.benchmark.demo_data import demo_set
from toolkit.dataset import Dataset
from toolkit.formats import read
from toolkit.metrics.bootstrap import draw_weights, interval
from toolkit.metrics.errors_in_heads import errors_in_heads
from toolkit.models import get_model
from toolkit.zero_shot import zero_shot

MODELS = ("tokenclipose-small", "tokenclipose-small-transfer")
BAR = 15.0  # points
RESAMPLES, THRESHOLD = 1000, 0.5


def main() -> int:
    """Render, predict, count, print; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=("test", "validation"), default="test")
    parser.add_argument("--people", type=int, help="of each sport (default: 2,000 or 1,000)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    suites = {"hockey": HOCKEY, "lacrosse": LACROSSE}
    if given.set == "validation":
        suites = {
            name: replace(suite, seed=VALIDATION_SEEDS[name]) for name, suite in suites.items()
        }
    people = given.people or (2000 if given.set == "test" else 1000)
    result = measure(suites, people)
    if given.json:
        print(json.dumps(result, indent=2))
    else:
        print_table(result)
    return 0 if result["met"] else 1


def measure(suites: dict[str, Suite], people: int) -> dict[str, object]:
    """A row for each network and way of answering."""
    folders = {name: demo_set(suite, people=people) for name, suite in suites.items()}
    truths = {name: read(folders[name] / "annotations.json", name) for name in suites}
    bodies = [
        [k.name for k in truth.schema.keypoints if k.group == "body"]
        for truth in truths.values()
    ]
    shared = [name for name in bodies[0] if name in bodies[1]]
    rows = []
    for name in MODELS:
        model = get_model(name).load("hockey", "cpu")
        ways = [("hockey", "its own schema", model)]
        for how in ("names", "prompts"):
            ways.append(("lacrosse", how, zero_shot(model, truths["lacrosse"].schema, how)))
        for sport, how, one in ways:
            predictions = one.predict(truths[sport], folders[sport] / "images")
            row = {"model": name, "data": sport, "how": how}
            rows.append(row | pckh(truths[sport], predictions, shared))
    for row in rows:
        own = next(r for r in rows if (r["model"], r["data"]) == (row["model"], "hockey"))
        row["apart"] = own["PCKh"] - row["PCKh"]
    return {
        "keypoints": shared,
        "people": people,
        "seeds": {name: suite.seed for name, suite in suites.items()},
        "rows": rows,
        "met": all(row["apart"] <= BAR for row in rows if row["model"] == MODELS[-1]),
    }


def pckh(truth: Dataset, predictions: Predictions, names: list[str]) -> dict[str, float]:
    """Per cent of labelled keypoints within half a head, and its interval by clip."""
    columns = [truth.schema.index(name) for name in names]
    errors = errors_in_heads(truth, predictions).heads[:, columns]
    counted = np.isfinite(errors) | np.isinf(errors)
    found, of = (errors <= THRESHOLD).sum(axis=1), counted.sum(axis=1)
    weights = draw_weights(truth.images, RESAMPLES, "clip", 0)[:, truth.image_row]  # (B, N)
    drawn = 100 * (weights @ found) / np.maximum(weights @ of, 1)
    low, high = interval(drawn) or (np.nan, np.nan)
    return {"PCKh": 100 * float(found.sum() / of.sum()), "low": low, "high": high}


def print_table(result: dict[str, object]) -> None:
    """The table for people."""
    seeds = ", ".join(f"{name} seed {seed}" for name, seed in result["seeds"].items())
    count = len(result["keypoints"])
    print(f"PCKh@{THRESHOLD} of {count} body keypoints that both schemas have")
    print(f"{result['people']} people of each sport: {seeds}")
    print(f"{'model':<30}{'data':<10}{'how':<16}{'PCKh':>7}{'95 %':>15}{'apart':>7}")
    for row in result["rows"]:
        span = f"[{row['low']:.1f}, {row['high']:.1f}]"
        print(
            f"{row['model']:<30}{row['data']:<10}{row['how']:<16}{row['PCKh']:>7.1f}"
            f"{span:>15}{row['apart']:>7.1f}"
        )
    print(f"{MODELS[-1]}: at most {BAR:g} points: {'met' if result['met'] else 'MISSED'}")


if __name__ == "__main__":
    sys.exit(main())
