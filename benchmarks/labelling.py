"""People a second to Label Studio's tasks and home again, in memory, on one thread.

    python benchmarks/labelling.py [--scale 1.0] [--repeat 5] [--json]

The document is synthetic and of COCO val2017's size: 5,000 images, 10,996 people, six in ten
with labelled keypoints. `to tasks` makes the tasks of a document, `from tasks` brings a
document home from tasks as a server gives them back, with ids and annotators; it must be the
document that went. The same from file to file, beside label-studio-sdk's own importer, which
writes one region a keypoint, without a link to its person, and no visibility choice. (Its
COCO export opens every picture and merges the people of one: there is nothing to compare.)
CPU time, runs interleaved, the best counts. Ends with 1 where `to tasks` or `from tasks`
misses the bar of 20,000 people a second.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from synthetic_coco import Size, write_files

from toolkit import Schema
from toolkit.formats.foreign import FILE
from toolkit.formats.labelstudio import encode, tasks_of
from toolkit.formats.labelstudio_read import document_of, read_labelstudio

BAR = 20_000  # people a second
SMALLEST = 0.5  # the smallest scale that the bar is held to
JUDGED = ("to tasks", "from tasks")
Json = dict[str, Any]


def main() -> int:
    """Measure, print the table; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--repeat", type=int, default=5, help="runs of each; the best counts")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = Size(*(max(1, round(n * given.scale)) for n in (5_000, 10_996)), 0)
        truth, _ = write_files(Path(folder), size)
        seconds = measure(works_of(truth), given.repeat)
    rates = {name: size.instances / best for name, best in seconds.items()}
    met = all(rates[name] >= BAR for name in JUDGED)
    if given.json:
        print(json.dumps({"people": size.instances, "met": met, "rates": rates}, indent=2))
    else:
        print(f"{size.instances:,} people in {size.images:,} images")
        for name, rate in rates.items():
            print(f"{name:<34}{rate:9,.0f} people/s")
        print(f"bar: {BAR:,} people/s {' and '.join(JUDGED)}: {'met' if met else 'MISSED'}")
    return 0 if met or given.scale < SMALLEST else 1


def works_of(truth: Path) -> dict[str, Callable[[], object]]:
    """What is measured, by name. Going there and back is checked here, once."""
    document, schema = orjson.loads(truth.read_bytes()), Schema.load("coco")
    tasks = as_a_server_gives(tasks_of(document, schema))
    file, peer = truth.with_name("tasks.json"), truth.with_name("peer.json")
    file.write_bytes(encode(document, schema)[FILE])
    if read_labelstudio(file, None)[0] != document:
        raise SystemExit("the document that came home from a file differs")
    home = document_of(tasks, None, None)[0]
    for person in home["annotations"]:
        person.pop("labelstudio", None)
    if home != document:
        raise SystemExit("the document that came home differs")

    def file_to_file() -> None:
        read = orjson.loads(truth.read_bytes())
        file.write_bytes(encode(read, schema)[FILE])

    return {
        "to tasks": lambda: tasks_of(document, schema),
        "from tasks": lambda: document_of(tasks, None, None),
        "file to file, to tasks": file_to_file,
        "label-studio-sdk, file to file": lambda: import_of_the_peer(truth, peer),
        "from a file": lambda: read_labelstudio(file, None),
    }


def as_a_server_gives(tasks: list[Json]) -> list[Json]:
    """Tasks with what Label Studio adds to each, parsed from its answer's text."""
    for number, task in enumerate(tasks, 1):
        task["id"] = number
        for annotation in task["annotations"]:
            annotation |= {"id": number, "completed_by": 1, "was_cancelled": False}
            annotation |= {"created_at": "2026-01-01T00:00:00Z", "lead_time": 12.5}
    return json.loads(json.dumps(tasks))  # type: ignore[no-any-return]


def import_of_the_peer(truth: Path, out: Path) -> None:
    """label-studio-sdk's COCO importer."""
    from label_studio_sdk.converter.imports.coco import convert_coco_to_ls

    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()):
        convert_coco_to_ls(str(truth), str(out))


def measure(works: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """The least CPU seconds of each."""
    best: dict[str, float] = {}
    for _ in range(repeat):  # interleaved, so that a busy minute hits all alike
        for name, work in works.items():
            start = time.process_time()
            work()
            took = time.process_time() - start
            best[name] = min(took, best.get(name, took))
    return best


if __name__ == "__main__":
    sys.exit(main())
