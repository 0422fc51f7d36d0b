"""How many planted label errors `toolkit rank` puts at the top of its queue.

    python benchmarks/ranking.py --instances 2000 --seed 20003

Renders practice data, lets the shipped checkpoint predict (it sees the pictures and the
boxes, never the labels), plants errors in 5 % of the people, ranks everybody, and counts
which errors are among the first 10 % of the queue. Planting is repeated with other seeds on
the same pictures, since predictions do not depend on labels. The kinds, in equal parts:

* swap: left and right exchanged, in the whole body (one half), the arms or the legs (a
  quarter each), where a pair at least half a head apart is among them;
* shift: one keypoint moved by 0.5 to 2 heads in any direction;
* other person: one keypoint moved to the same keypoint of the nearest other person in the
  picture, at least half a head away;
* missing stick: all its keypoints with visibility 0.

Boxes stay as they are. Ends with 1 where fewer than 80 % of the swaps, other-person
keypoints, missing sticks, or body shifts of a head or more are found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from toolkit.annotations import Annotations, Predictions
from toolkit.curate.rank import rank
from toolkit.dataset import Dataset
from toolkit.formats import read, read_predictions
from toolkit.metrics.head_size import head_sizes

SHARE, TOP, WANTED = 0.05, 0.10, 0.80
NEAR, FAR = 0.5, 2.0  # heads
MODEL = "tokenclipose-small"
KINDS = ("swap", "shift", "other person", "missing stick")
ARMS = ("elbow", "wrist")
LEGS = ("knee", "ankle")


@dataclass(frozen=True)
class Planted:
    """One error: whose label it is, its kind, and the row of the table it counts in."""

    row: int
    kind: str
    group: str


def main() -> int:
    """Render, predict, plant, rank, print; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instances", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=20003, help="of the pictures")
    parser.add_argument("--plantings", type=int, default=10, help="seeds 0, 1, ... of errors")
    parser.add_argument("--folder", type=Path, help="keep or reuse pictures and predictions")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        dataset, predictions = prepare(folder, given.instances, given.seed)
    result = measure(dataset, predictions, range(given.plantings))
    result |= {"instances": given.instances, "seed": given.seed, "model": MODEL}
    if given.json:
        print(json.dumps(result, indent=2))
    else:
        print_table(result)
    return 0 if result["met"] else 1


def prepare(folder: Path, instances: int, seed: int) -> tuple[Dataset, Predictions]:
    """Pictures with exact labels, and what the shipped checkpoint says about them."""
    folder.mkdir(parents=True, exist_ok=True)
    data, answers = folder / "data", folder / "predictions.json"
    numbers = ["--instances", str(instances), "--seed", str(seed)]
    if not data.exists():
        toolkit("synth", "hockey", str(data), *numbers)
    labels = data / "annotations.json"
    if not answers.exists():
        places = ["--data", str(labels), "--images", str(data / "images")]
        toolkit("predict", MODEL, *places, "--out", str(answers))
    dataset = read(labels)
    return dataset, read_predictions(answers, dataset.schema)


def toolkit(*arguments: str) -> None:
    """Run the command line; leave with its message where it fails."""
    command = [sys.executable, "-m", "toolkit", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


def measure(dataset: Dataset, predictions: Predictions, seeds: range) -> dict[str, object]:
    """Recall in the top of the queue for each group of errors, over all plantings."""
    counts: dict[str, list[int]] = {}
    for seed in seeds:
        faulty, planted = plant(dataset, seed)
        queue = rank(faulty, predictions)
        top = {entry.row for entry in queue[: round(TOP * len(dataset.annotations))]}
        for error in planted:
            tally = counts.setdefault(error.group, [0, 0])
            tally[0] += error.row in top
            tally[1] += 1
    rows = [
        {"group": group, "found": found, "planted": of, "held": is_held(group)}
        for group, (found, of) in sorted(counts.items())
    ]
    bars = bars_of(rows)
    return {
        "plantings": len(seeds),
        "rows": rows,
        "bars": bars,
        "met": all(bar["recall"] >= WANTED for bar in bars),
    }


def is_held(group: str) -> bool:
    """Whether the bar speaks of this group of errors."""
    return group not in ("shift, body, below a head", "shift, stick")


def bars_of(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Recall of each kind that is held to the bar."""
    totals: dict[str, list[int]] = {}
    for row in rows:
        if row["held"]:
            kind = str(row["group"]).split(",")[0]
            tally = totals.setdefault(kind, [0, 0])
            tally[0] += int(str(row["found"]))
            tally[1] += int(str(row["planted"]))
    names = {"shift": "shift, body, a head or more"}
    return [
        {"kind": names.get(kind, kind), "recall": found / of, "planted": of}
        for kind, (found, of) in totals.items()
    ]


def print_table(result: dict[str, object]) -> None:
    """The table for people."""
    print(
        f"{result['instances']} people, pictures of seed {result['seed']}, {MODEL}, "
        f"{result['plantings']} plantings of {SHARE:.0%}; first {TOP:.0%} of the queue"
    )
    print(f"{'planted error':<34}{'planted':>8}{'found':>8}{'recall':>8}")
    for row in result["rows"]:
        note = "" if row["held"] else "   (printed, no bar)"
        recall = row["found"] / row["planted"]
        print(f"{row['group']:<34}{row['planted']:8}{row['found']:8}{recall:8.0%}{note}")
    for bar in result["bars"]:
        verdict = "met" if bar["recall"] >= WANTED else "MISSED"
        print(f"{bar['kind']}: {bar['recall']:.1%}; at least {WANTED:.0%}: {verdict}")


class _Planter:
    """Labels that errors are planted in, one a person."""

    def __init__(self, dataset: Dataset, seed: int) -> None:
        people = dataset.annotations
        self.rng = np.random.default_rng(seed)
        self.people = people
        self.names = dataset.schema.names
        self.flip = dataset.schema.flip_index
        self.is_stick = dataset.schema.is_extension
        self.points = people.keypoints.copy()
        self.visibility = people.visibility.copy()
        self.heads = head_sizes(people).size

    def swap(self, row: int) -> str | None:
        part = str(self.rng.choice(["whole body", "whole body", "arms", "legs"]))
        words = {"arms": ARMS, "legs": LEGS}.get(part, ("",))
        chosen = [
            k
            for k, name in enumerate(self.names)
            if self.flip[k] != k and any(word in name for word in words)
        ]
        partner = self.flip[chosen]
        gap = self.people.keypoints[row, chosen] - self.people.keypoints[row, partner]
        if not np.hypot(*gap.T).max() >= NEAR * self.heads[row]:
            return None
        self.points[row, chosen] = self.people.keypoints[row, partner]
        self.visibility[row, chosen] = self.people.visibility[row, partner]
        return f"swap, {part}"

    def shift(self, row: int) -> str | None:
        k = int(self.rng.choice(np.flatnonzero(self.visibility[row])))
        heads, angle = self.rng.uniform(NEAR, FAR), self.rng.uniform(0, 2 * np.pi)
        step = np.array([np.cos(angle), np.sin(angle)])
        self.points[row, k] += heads * self.heads[row] * step
        if self.is_stick[k]:
            return "shift, stick"
        return f"shift, body, {'a head or more' if heads >= 1 else 'below a head'}"

    def other_person(self, row: int) -> str | None:
        others = np.flatnonzero(self.people.image_id == self.people.image_id[row])
        others = others[others != row]
        if not len(others):
            return None
        centre = self.people.bbox_xywh[:, :2] + self.people.bbox_xywh[:, 2:] / 2
        away = np.hypot(*(centre[others] - centre[row]).T)
        k = int(self.rng.choice(np.flatnonzero(self.visibility[row])))
        for other in others[np.argsort(away)]:
            place = self.people.keypoints[other, k]
            step = np.hypot(*(place - self.points[row, k]))
            if step >= NEAR * self.heads[row]:
                self.points[row, k] = place
                return f"other person, {'stick' if self.is_stick[k] else 'body'}"
        return None

    def missing_stick(self, row: int) -> str | None:
        self.visibility[row, self.is_stick] = 0
        return "missing stick"


def plant(dataset: Dataset, seed: int) -> tuple[Dataset, list[Planted]]:
    """A copy of the data set with errors in 5 % of its people, and what they are."""
    planter = _Planter(dataset, seed)
    tasks: dict[str, Callable[[int], str | None]] = {
        "swap": planter.swap,
        "shift": planter.shift,
        "other person": planter.other_person,
        "missing stick": planter.missing_stick,
    }
    wanted = round(SHARE * len(dataset.annotations))
    planted: list[Planted] = []
    for row in planter.rng.permutation(len(dataset.annotations)).tolist():
        if len(planted) == wanted:
            break
        kind = KINDS[len(planted) % len(KINDS)]
        group = tasks[kind](row)
        if group is not None:
            planted.append(Planted(row, kind, group))
    people = dataset.annotations
    points = planter.points
    points[planter.visibility == 0] = np.nan
    faulty: Annotations = replace(people, keypoints=points, visibility=planter.visibility)
    return replace(dataset, annotations=faulty, source=None), planted


if __name__ == "__main__":
    sys.exit(main())
