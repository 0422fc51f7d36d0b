"""Every rule that needs no image, on a file of COCO train2017's size, beside `orjson.loads`.

    python benchmarks/validating.py [--scale 1.0] [--repeat 3] [--growth] [--json]
                                    [--datumaro-python PATH]

Writes 118,287 images and 262,465 annotations with polygons to a temporary folder (about
202 MB at scale 1) and runs each task in a process of its own, side by side: CPU time, and
peak memory above the interpreter in multiples of the file's bytes. `orjson.loads` runs as
it comes, with Python's cyclic collector on. `toolkit` reads the file, looks for every
fault, and makes the report. Ends with 1 where the bar (at most 1.0x the time, 4x the file
in memory) is missed.

`--growth` also validates a tenth of the file: ten times the data may take 14 times as long.

`--datumaro-python` names the Python of an environment that has Datumaro, which is another
project's and no dependency of this one:

    python -m venv /tmp/datumaro && /tmp/datumaro/bin/pip install datumaro

It imports and exports a tenth of the file, and `toolkit convert` does the same: at least 10
times faster.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

IMAGES, ANNOTATIONS = 118_287, 262_465
MAX_TIME, MAX_MEMORY, MAX_GROWTH, MIN_SPEEDUP = 1.0, 4.0, 14.0, 10.0
SMALLEST = 0.15  # the smallest scale that the bar is held to
CHUNK = 4096
NAMES = [
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
]
SKELETON = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7]]
# Somebody who stands and looks at the camera, in units of the box.
POSE = np.array(
    [
        *([0.5, 0.1], [0.55, 0.08], [0.45, 0.08], [0.6, 0.09], [0.4, 0.09], [0.7, 0.25]),
        *([0.3, 0.25], [0.8, 0.4], [0.2, 0.4], [0.85, 0.5], [0.15, 0.5], [0.62, 0.52]),
        *([0.38, 0.52], [0.62, 0.72], [0.38, 0.72], [0.62, 0.93], [0.38, 0.93]),
    ]
)

# Each task in a bare interpreter: {imports}, then {work} between two looks at the clock.
TASK = """
import resource, sys, time
{imports}
path = sys.argv[1]
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, start = peak(), time.process_time()
{work}
print(time.process_time() - start, peak() - before)
"""
ORJSON = ("import orjson", "kept = orjson.loads(open(path, 'rb').read())")
VALIDATE = (
    "from toolkit import checks, formats",
    "found = formats.scan(path)\n"
    "report = checks.validate(found.dataset, findings=found.findings, limit=1000)\n"
    "assert report.ok, report.errors[:3]",
)
CONVERT = (
    "import toolkit.formats.convert, toolkit.cli.convert\nfrom toolkit.cli import cli",
    "cli(['convert', path, path + '.copy', '--from', 'coco', '--to', 'coco', '--force'],"
    " standalone_mode=False)",
)
# The name of the folder and the file are what Datumaro's importer looks for.
DATUMARO = (
    "import os, shutil, datumaro",
    "shutil.rmtree(path + '.out', ignore_errors=True)\n"
    "root = os.path.dirname(os.path.dirname(path))\n"
    "read = datumaro.Dataset.import_from(root, 'coco_person_keypoints')\n"
    "assert len(read) > 0\n"
    "read.export(path + '.out', 'coco_person_keypoints')",
)


def main() -> int:
    """Write the file, run the tasks, print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the best counts")
    parser.add_argument("--growth", action="store_true", help="also time a tenth of the file")
    parser.add_argument("--datumaro-python", metavar="PATH", help="compare with Datumaro")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), given)
    if given.json:
        print(json.dumps(result, indent=2))
    else:
        print_tables(result)
    # Fixed costs rule a small file, so that no bar is held to it.
    return 0 if result["met"] or given.scale < SMALLEST else 1


def measure(folder: Path, given: argparse.Namespace) -> dict[str, object]:
    """Run every task that was asked for, interleaved, so that a busy minute hits all."""
    whole = write_file(folder / "annotations.json", given.scale)
    result: dict[str, object] = {"bytes": whole.stat().st_size, "scale": given.scale}
    tasks = {"orjson.loads": (ORJSON, whole), "toolkit": (VALIDATE, whole)}
    tenth = None
    if given.growth or given.datumaro_python:
        place = folder / "tenth" / "annotations"
        place.mkdir(parents=True)
        (folder / "tenth" / "images").mkdir()  # Datumaro stops without it
        tenth = write_file(place / "person_keypoints_train.json", given.scale / 10)
        tasks["toolkit, a tenth"] = (VALIDATE, tenth)
    if given.datumaro_python and tenth is not None:
        tasks["convert, a tenth"] = (CONVERT, tenth)
        tasks["Datumaro, a tenth"] = (DATUMARO, tenth)
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in tasks}
    for _ in range(given.repeat):
        for name, (task, path) in tasks.items():
            python = given.datumaro_python if "Datumaro" in name else sys.executable
            measured[name].append(run_task(task, path, python))
    best = {
        name: {
            "cpu_s": min(t for t, _ in runs),
            "memory": min(m for _, m in runs) / tasks[name][1].stat().st_size,
        }
        for name, runs in measured.items()
    }
    result["tasks"] = best
    seconds = {name: row["cpu_s"] for name, row in best.items()}
    bars = bars_of(seconds, best["toolkit"]["memory"])
    result["bars"] = bars
    result["met"] = all(bar["met"] for bar in bars)
    return result


def bars_of(seconds: dict[str, float], memory: float) -> list[dict[str, object]]:
    """Each bar that the measured tasks decide: what, got, wanted, and whether it is met."""
    ours = seconds["toolkit"]
    time = ours / seconds["orjson.loads"]
    bars = [
        bar("time, x orjson.loads", time, MAX_TIME),
        bar("memory, x file", memory, MAX_MEMORY),
    ]
    if "toolkit, a tenth" in seconds:
        bars.append(bar("ten times the data", ours / seconds["toolkit, a tenth"], MAX_GROWTH))
    if "Datumaro, a tenth" in seconds:
        times = seconds["Datumaro, a tenth"] / seconds["convert, a tenth"]
        bars.append(bar("convert, times faster than Datumaro", times, MIN_SPEEDUP, least=True))
    return bars


def bar(what: str, got: float, wanted: float, *, least: bool = False) -> dict[str, object]:
    """One bar; `least` where more is better."""
    met = got >= wanted if least else got <= wanted
    return {"what": what, "got": got, "wanted": wanted, "least": least, "met": met}


def print_tables(result: dict[str, object]) -> None:
    """The measurements and the bars, for people."""
    count = round(ANNOTATIONS * result["scale"])
    print(f"{result['bytes'] / 1e6:.0f} MB, {count:,} annotations")
    print(f"{'task':<20}{'CPU s':>8}{'peak memory x file':>20}")
    for name, row in result["tasks"].items():
        print(f"{name:<20}{row['cpu_s']:8.2f}{row['memory']:20.2f}")
    for row in result["bars"]:
        how = "at least" if row["least"] else "at most"
        verdict = "met" if row["met"] else "MISSED"
        print(f"{row['what']}: {row['got']:.2f}; {how} {row['wanted']:g}: {verdict}")


def run_task(task: tuple[str, str], path: Path, python: str) -> tuple[float, float]:
    """CPU seconds and bytes of peak memory above the interpreter with its imports."""
    code = TASK.format(imports=task[0], work=task[1])
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [python, "-c", code, str(path)], capture_output=True, text=True, check=False, cwd=root
    )
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr[-2000:]}")
    seconds, memory = done.stdout.split()[-2:]
    return float(seconds), float(memory)


def write_file(path: Path, scale: float) -> Path:
    """Write the synthetic annotation file; the same scale, the same bytes."""
    rng = np.random.default_rng(0)
    images = rng.permutation(600_000)[: max(1, round(IMAGES * scale))]
    category = {"supercategory": "person", "id": 1, "name": "person"}
    category |= {"keypoints": NAMES, "skeleton": SKELETON}
    licence = {"url": "http://example.org/licence", "id": 1, "name": "a licence"}
    with path.open("w", encoding="ascii") as stream:
        stream.write('{"info": {"description": "synthetic", "version": "1.0", "year": 2017}')
        stream.write(f', "licenses": [{json.dumps(licence)}], "images": [')
        stream.write(", ".join(image_text(int(image_id)) for image_id in images))
        stream.write('], "annotations": [')
        count = max(1, round(ANNOTATIONS * scale))
        for begin in range(0, count, CHUNK):
            numbers = range(begin + 1, min(begin + CHUNK, count) + 1)
            stream.write(", " if begin else "")
            stream.write(", ".join(annotation_texts(numbers, images, rng)))
        stream.write(f'], "categories": [{json.dumps(category)}]}}')
    return path


def image_text(image_id: int) -> str:
    """An image record as COCO writes it."""
    name = f"{image_id:012d}.jpg"
    return (
        f'{{"license": 1, "file_name": "{name}", '
        f'"coco_url": "http://example.org/train2017/{name}", "height": 480, "width": 640, '
        '"date_captured": "2013-11-14 11:18:45", '
        f'"flickr_url": "http://example.org/8186/{name}", "id": {image_id}}}'
    )


def annotation_texts(
    numbers: range, images: np.ndarray, rng: np.random.Generator
) -> Iterator[str]:
    """Sound records as COCO writes them; four in ten have no labelled keypoint."""
    for number in numbers:
        tall = rng.uniform(60, 280)
        corner, size = rng.uniform(0, 190, 2), np.array([rng.uniform(0.4, 0.7) * tall, tall])
        outline = corner + rng.uniform(0, 1, (rng.integers(8, 32), 2)) * size
        polygon = np.round(outline, 2).ravel().tolist()
        flags = rng.integers(0, 3, 17) * (number % 5 > 1)
        points = corner + (POSE + rng.normal(0, 0.02, (17, 2))) * size
        points = np.rint(points).astype(int) * (flags > 0)[:, None]
        keypoints = np.column_stack([points, flags]).ravel().tolist()
        box = np.round([*corner, *size], 2).tolist()
        yield (
            f'{{"segmentation": [{polygon}], "num_keypoints": {int((flags > 0).sum())}, '
            f'"area": {0.4 * size[0] * size[1]:.4f}, "iscrowd": 0, "keypoints": {keypoints}, '
            f'"image_id": {rng.choice(images)}, "bbox": {box}, "category_id": 1, '
            f'"id": {number}}}'
        )


if __name__ == "__main__":
    sys.exit(main())
