"""People a second from a COCO file into FiftyOne: its own importer and `toolkit view`.

Run: `python benchmarks/viewing.py [--images 600]`. Both read the same file into the same
database, one after the other, several times; the pictures are not decoded by either.
Ours also validates, and writes more fields (strata, findings, visibility) than theirs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import orjson
from synthetic_coco import Size, write_files


def write_pictures(truth: Path, folder: Path) -> None:
    """A small grey picture under every name: links to one file."""
    folder.mkdir()
    first = folder / "picture.png"
    cv2.imwrite(str(first), np.full((64, 64, 3), 128, np.uint8))
    for image in orjson.loads(truth.read_bytes())["images"]:
        os.link(first, folder / image["file_name"])


def theirs(fo: object, truth: Path, images: Path) -> float:
    """Seconds that FiftyOne's importer takes."""
    start = time.perf_counter()
    view = fo.Dataset.from_dir(  # type: ignore[attr-defined]
        dataset_type=fo.types.COCODetectionDataset,  # type: ignore[attr-defined]
        data_path=str(images),
        labels_path=str(truth),
        label_types=["detections", "keypoints"],
        progress=False,
    )
    seconds = time.perf_counter() - start
    view.delete()
    return seconds


def ours(truth: Path, images: Path) -> float:
    """Seconds that reading, checking and building take."""
    from toolkit.views.build import build
    from toolkit.views.gather import Sources, gather

    start = time.perf_counter()
    sources = Sources(truth, images, near_duplicates=False)
    gathered = gather(sources)
    build(gathered.content, "ours", images, {}, coco=gathered.coco, force=True, discard=True)
    return time.perf_counter() - start


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    people = arguments.images * 2
    folder = Path(tempfile.mkdtemp(prefix="viewing-"))
    os.environ["FIFTYONE_DATABASE_DIR"] = str(folder / "database")
    try:
        truth, _ = write_files(folder, Size(arguments.images, people, 0))
        write_pictures(truth, folder / "images")
        from toolkit.views.engine import connect

        fo = connect()
        times: dict[str, list[float]] = {"FiftyOne": [], "toolkit": []}
        for _ in range(arguments.repeat):
            times["FiftyOne"].append(theirs(fo, truth, folder / "images"))
            times["toolkit"].append(ours(truth, folder / "images"))
        print(f"{people:,} people in {arguments.images:,} images, {arguments.repeat} runs each")
        for name, seconds in times.items():
            middle = statistics.median(seconds)
            print(f"{name:9} {middle:6.2f} s  {people / middle:8,.0f} people/s")
        ratio = statistics.median(times["FiftyOne"]) / statistics.median(times["toolkit"])
        print(f"toolkit is {ratio:.1f} times as quick")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
