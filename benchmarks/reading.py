"""Reading a file of COCO train2017's size into arrays, beside `orjson.loads`, in one run.

    python benchmarks/reading.py [--scale 1.0] [--repeat 2] [--json]

Writes 118,287 images and 262,465 annotations with polygons to a temporary folder (about
240 MB at scale 1) and runs each reader in a process of its own: CPU time, and peak memory
above the interpreter in multiples of the file's bytes. `orjson.loads` runs as it comes, with
Python's cyclic collector on. `toolkit` keeps everything the file holds, hashes it, and
looks for repeated keys and overflowing numbers on the way; `rewrite` also writes the file
again, and compares the bytes. Ends with 1 where the bar (at most 0.8x the time, 2.5x the
file in memory) is missed.
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
MAX_TIME, MAX_MEMORY = 0.8, 2.5
SMALLEST = 0.5  # the smallest scale that the bar is held to
CHUNK = 4096
NAMES = [
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"),
]
SKELETON = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7]]

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
TASKS = {
    "orjson.loads": ("import orjson", "kept = orjson.loads(open(path, 'rb').read())"),
    "toolkit": (
        "from toolkit.formats import scan",
        "kept = scan(path); assert not kept.findings, kept.findings[:3]",
    ),
    "toolkit, rewrite": (
        "from toolkit.formats import scan, write",
        "write(scan(path).dataset, path + '.copy', force=True)",
    ),
}


def main() -> int:
    """Write the file, run the tasks, print the table; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each; the best counts")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.json"
        write_file(path, given.scale)
        size = path.stat().st_size
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in TASKS}
        for _ in range(given.repeat):  # interleaved, so that a busy minute hits all alike
            for name in TASKS:
                measured[name].append(run_task(name, path))
        copy = Path(f"{path}.copy")
        if copy.read_bytes() != path.read_bytes():
            raise SystemExit("the file that was written again differs")
    best = {
        name: {"cpu_s": min(t for t, _ in runs), "memory": min(m for _, m in runs) / size}
        for name, runs in measured.items()
    }
    base = best["orjson.loads"]["cpu_s"]
    for row in best.values():
        row["ratio"] = row["cpu_s"] / base
    ours = best["toolkit"]
    met = ours["ratio"] <= MAX_TIME and ours["memory"] <= MAX_MEMORY
    ok = met or given.scale < SMALLEST  # fixed costs rule a small file
    if given.json:
        print(json.dumps({"bytes": size, "met": met, "tasks": best}, indent=2))
    else:
        print(f"{size / 1e6:.0f} MB, {round(ANNOTATIONS * given.scale):,} annotations")
        print(f"{'task':<18}{'CPU s':>8}{'x orjson':>10}{'peak memory x file':>20}")
        for name, row in best.items():
            print(f"{name:<18}{row['cpu_s']:8.2f}{row['ratio']:10.2f}{row['memory']:20.2f}")
        print(f"bar: at most {MAX_TIME}x and {MAX_MEMORY}x: {'met' if met else 'MISSED'}")
    return 0 if ok else 1


def run_task(name: str, path: Path) -> tuple[float, float]:
    """CPU seconds and bytes of peak memory above the interpreter with its imports."""
    imports, work = TASKS[name]
    code = TASK.format(imports=imports, work=work)
    command = [sys.executable, "-c", code, str(path)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


def write_file(path: Path, scale: float) -> None:
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
    """Annotation records as COCO writes them; four in ten have no labelled keypoint."""
    for number in numbers:
        corners = np.round(rng.uniform(0, 640, 2 * rng.integers(10, 45)), 2).tolist()
        flags = rng.integers(0, 3, 17) * (number % 5 > 1)
        points = rng.integers(1, 640, (17, 2)) * (flags > 0)[:, None]
        keypoints = np.column_stack([points, flags]).ravel().tolist()
        box = np.round(rng.uniform(1, 300, 4), 2).tolist()
        yield (
            f'{{"segmentation": [{corners}], "num_keypoints": {int((flags > 0).sum())}, '
            f'"area": {rng.uniform(1, 1e5):.4f}, "iscrowd": 0, "keypoints": {keypoints}, '
            f'"image_id": {rng.choice(images)}, "bbox": {box}, "category_id": 1, '
            f'"id": {number}}}'
        )


if __name__ == "__main__":
    sys.exit(main())
