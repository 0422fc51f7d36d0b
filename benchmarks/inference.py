"""Throughput of whole predictions beside the bare network, in PyTorch and in ONNX Runtime.

    python benchmarks/inference.py [--models hrnet-w32,hrnet-small] [--frames 4] [--json]

Draws full-HD frames with 10 people each, and runs every model over them at batch 8 with two
threads, five times, in turns, so that what else the machine does slows all rows alike:

* `eager`: the network of PyTorch as it comes, on batches that lie ready;
* `torch`: the same with channels last, as `predict` runs it;
* `torch predict`: `predict` from JPEG files to keypoints, on PyTorch;
* `onnx`, `onnx predict`: the same in ONNX Runtime.

HRNet-W32 has random weights: they take as long as trained ones. Ratios are medians of the
five rounds' own ratios. Ends with 1 where HRNet-W32 misses a bar: `predict` at 0.9x the bare
network on the same runtime, ONNX at 1.4x eager PyTorch, keypoints within 0.1 px of each
other, one decoded image a frame.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch

import baselines.crops
from baselines.checkpoints import save_checkpoint, schema_to_facts
from baselines.config import TrainConfig
from baselines.family import HEATMAP
from baselines.hrnet import HRNetHeatmap
from baselines.onnx_export import export_onnx
from baselines.onnx_model import OnnxModel
from baselines.predictor import CheckpointModel
from toolkit.annotations import Annotations, Images
from toolkit.dataset import Dataset
from toolkit.models import get_model
from toolkit.schema import Schema

BATCH, THREADS, ROUNDS, PEOPLE = 8, 2, 5, 10
FRAME_WH = (1920, 1080)
MIN_PATH, MIN_ONNX, MAX_PX = 0.9, 1.4, 0.1
BARRED = "hrnet-w32"


def main() -> int:
    """Draw the frames, time the models, print the tables; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=f"{BARRED},hrnet-small,tokenclipose-small")
    parser.add_argument("--frames", type=int, default=4, help="frames of 10 people each")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people = draw_frames(folder, given.frames)
        rows = [
            measured(model, people, folder, given.rounds) for model in given.models.split(",")
        ]
    missed = [line for row in rows for line in row["missed"]]
    if given.json:
        load = [round(value, 2) for value in os.getloadavg()]
        print(json.dumps({"load": load, "models": rows, "missed": missed}, indent=2))
    else:
        print_rows(rows)
        print("\n".join(f"MISSED {line}" for line in missed) or "every bar met")
    return 1 if missed else 0


def draw_frames(folder: Path, frames: int) -> Dataset:
    """Full-HD JPEG frames of soft noise, ten boxes of 150 x 300 px in each."""
    rng = np.random.default_rng(0)
    names = []
    for frame in range(frames):
        coarse = rng.integers(0, 256, (270, 480, 3), dtype=np.uint8)
        image = cv2.resize(coarse, FRAME_WH, interpolation=cv2.INTER_CUBIC)
        names.append(f"{frame}.jpg")
        cv2.imwrite(str(folder / names[-1]), image, [cv2.IMWRITE_JPEG_QUALITY, 80])
    schema, count = Schema.load("coco"), frames * PEOPLE
    corners = rng.uniform(0, [FRAME_WH[0] - 150, FRAME_WH[1] - 300], (count, 2))
    boxes = np.concatenate([corners, np.tile([150.0, 300.0], (count, 1))], axis=1)
    annotations = Annotations.from_arrays(
        schema,
        np.repeat(np.arange(1, frames + 1), PEOPLE),
        np.full((count, schema.num_keypoints, 2), np.nan),
        np.zeros((count, schema.num_keypoints), np.uint8),
        boxes,
    )
    images = Images(
        ids=np.arange(1, frames + 1),
        file_names=tuple(names),
        size_wh=np.tile(FRAME_WH, (frames, 1)),
        clips=(None,) * frames,
        frames=np.full(frames, -1),
        crowd_index=np.full(frames, np.nan),
    )
    return Dataset(schema, images, annotations)


def loaded(name: str, folder: Path) -> CheckpointModel:
    """A model on the CPU; HRNet-W32 with random weights."""
    if name != BARRED:
        model = get_model(name).load("hockey", "cpu")
        assert isinstance(model, CheckpointModel)
        return model
    torch.manual_seed(0)
    schema = Schema.load("coco")
    config = TrainConfig(backbone="hrnet-w32", input_wh=(192, 256), box_padding=1.25)
    network = HRNetHeatmap(schema.num_keypoints, backbone="hrnet-w32")
    torch.nn.init.normal_(network.final_layer.weight, std=0.1)  # maps with clear peaks
    facts = {
        "model": name,
        "schema": schema_to_facts(schema),
        "recipe": config.to_dict(),
    }
    save_checkpoint(folder / "w32.safetensors", network, facts)
    return CheckpointModel(folder / "w32.safetensors", {HEATMAP.name: HEATMAP}, "cpu")


def measured(name: str, people: Dataset, folder: Path, rounds: int) -> dict[str, object]:
    """Times, ratios and differences of one model."""
    model = loaded(name, folder)
    written = export_onnx(model, folder / f"{name}.onnx")
    onnx = OnnxModel(written.path, threads=THREADS)
    count = len(people.annotations)
    width, height = model.config.input_wh
    generator = torch.Generator().manual_seed(0)
    ready = torch.randn(BATCH, 3, height, width, generator=generator)
    last = ready.to(memory_format=torch.channels_last)
    batches = -(-count // BATCH)
    eager = copy.deepcopy(model.network).to(memory_format=torch.contiguous_format)

    def repeat(forward: Callable[[], object]) -> Callable[[], object]:
        return lambda: [forward() for _ in range(batches)]

    def predict(which: CheckpointModel | OnnxModel) -> Callable[[], object]:
        return lambda: which.predict(people, folder, batch_size=BATCH)

    tasks = {
        "eager": repeat(lambda: eager(ready)),
        "torch": repeat(lambda: model.network(last)),
        "torch predict": predict(model),
        "onnx": repeat(lambda: onnx.forward(ready.numpy())),
        "onnx predict": predict(onnx),
    }
    with torch.inference_mode():
        seconds = in_turns(tasks, rounds)
    with counted_decodes() as decodes:
        one = model.predict(people, folder, batch_size=BATCH)
        after_one = len(decodes)
        other = onnx.predict(people, folder, batch_size=BATCH)
    row: dict[str, object] = {
        "model": name,
        "people_per_second": {
            task: round(count / statistics.median(times), 1) for task, times in seconds.items()
        },
        "torch_predict_over_torch": ratio(seconds["torch"], seconds["torch predict"]),
        "onnx_predict_over_onnx": ratio(seconds["onnx"], seconds["onnx predict"]),
        "onnx_over_eager": ratio(seconds["eager"], seconds["onnx"]),
        "onnx_predict_over_torch_predict": ratio(
            seconds["torch predict"], seconds["onnx predict"]
        ),
        "largest_difference_px": float(np.abs(one.keypoints - other.keypoints).max()),
        "decodes_per_frame": [
            after_one / len(people.images.ids),
            (len(decodes) - after_one) / len(people.images.ids),
        ],
    }
    row["missed"] = bars(row)
    return row


def in_turns(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each task in each round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {task: [] for task in tasks}
    for number in range(rounds + 1):
        for task, run in tasks.items():
            start = time.perf_counter()
            run()
            if number:
                seconds[task].append(time.perf_counter() - start)
    return seconds


def ratio(slow: list[float], fast: list[float]) -> float:
    """How many times faster the second is: the median over the rounds."""
    return round(statistics.median(a / b for a, b in zip(slow, fast, strict=True)), 3)


@contextmanager
def counted_decodes() -> Iterator[list[Path]]:
    """Every image file that is decoded inside the block."""
    decoded: list[Path] = []
    real = baselines.crops.load_image

    def load(path: str | Path) -> object:
        decoded.append(Path(path))
        return real(path)

    baselines.crops.load_image = load
    try:
        yield decoded
    finally:
        baselines.crops.load_image = real


def bars(row: dict[str, object]) -> list[str]:
    """What is missed: the bars on speed are HRNet-W32's, the others everyone's."""
    name = row["model"]
    wanted = [("largest_difference_px", "at most", MAX_PX)]
    if name == BARRED:
        wanted += [
            ("torch_predict_over_torch", "at least", MIN_PATH),
            ("onnx_predict_over_onnx", "at least", MIN_PATH),
            ("onnx_over_eager", "at least", MIN_ONNX),
        ]
    missed = [
        f"{name}: {key} {row[key]:.3g}, {word} {limit} wanted"
        for key, word, limit in wanted
        if (row[key] < limit if word == "at least" else row[key] > limit)
    ]
    if row["decodes_per_frame"] != [1.0, 1.0]:
        missed.append(f"{name}: decodes a frame {row['decodes_per_frame']}, 1 wanted")
    return missed


def print_rows(rows: list[dict[str, object]]) -> None:
    """Tables for a reader."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"batch {BATCH}, {THREADS} threads, people a second; load {load}")
    tasks = list(rows[0]["people_per_second"])
    print(f"{'':20}" + "".join(f"{task:>15}" for task in tasks))
    for row in rows:
        values = "".join(f"{row['people_per_second'][task]:>15}" for task in tasks)
        print(f"{row['model']:20}{values}")
    print()
    for row in rows:
        print(
            f"{row['model']:20}predict / network: torch {row['torch_predict_over_torch']:.2f}, "
            f"onnx {row['onnx_predict_over_onnx']:.2f}; onnx / eager "
            f"{row['onnx_over_eager']:.2f}; onnx predict / torch predict "
            f"{row['onnx_predict_over_torch_predict']:.2f}; largest difference "
            f"{row['largest_difference_px']:.1g} px; decodes a frame {row['decodes_per_frame']}"
        )


if __name__ == "__main__":
    sys.exit(main())
