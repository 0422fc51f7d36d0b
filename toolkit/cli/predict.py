"""`toolkit predict`: run a model over annotated images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import numpy as np

from toolkit.cli.common import (
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
    schema_file,
    schema_option,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toolkit.dataset import Dataset
    from toolkit.models import PoseModel
    from toolkit.schema import Schema
    from toolkit.zero_shot import ZeroShotModel

_PATH = click.Path(path_type=Path)


@click.command(
    epilog="Example: toolkit predict tokenclipose-small "
    "--data datasets/hockey/sample/annotations.json --images datasets/hockey/sample/images "
    "--out predictions.json"
)
@click.argument("model")
@click.option("--data", type=_PATH, required=True, help="Annotations whose boxes are used.")
@click.option("--images", type=_PATH, required=True, help="Folder of the images.")
@click.option("--out", type=_PATH, required=True, help="COCO results file to write.")
@click.option(
    "--boxes",
    default="gt",
    show_default=True,
    metavar="gt|FILE|DETECTOR",
    help="Boxes of the annotations, of a COCO results file, or of a detector, "
    "NAME or NAME=WEIGHTS.",
)
@click.option(
    "--refine",
    type=click.Choice(["parabola", "dark", "quarter", "none"]),
    help="How a heatmap's peak is found between its cells, in place of the recipe's way.",
)
@click.option(
    "--flip-test/--no-flip-test",
    default=None,
    help="Average over each crop and its mirror image, at twice the cost; or do not.",
)
@click.option(
    "--weights",
    metavar="SCHEMA|FILE",
    help="Which checkpoint of MODEL: the schema it was trained for, or a file.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--device", help="Torch device; a GPU where there is one, else the CPU.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads to compute with.")
@click.option(
    "--runtime",
    type=click.Choice(["auto", "torch", "onnx"]),
    default="auto",
    show_default=True,
    help="What computes the network; auto takes ONNX Runtime on a CPU where it is installed.",
)
@click.option(
    "--zero-shot",
    type=click.Choice(["names", "prompts"]),
    help="Answer in the data's schema with a model of another one (--weights): keypoints "
    "matched by name, or by what their prompts say.",
)
@schema_option
@json_option
@force_option
def predict(
    model: str,
    data: Path,
    images: Path,
    out: Path,
    boxes: str,
    refine: str | None,
    flip_test: bool | None,
    weights: str | None,
    batch_size: int,
    device: str | None,
    threads: int | None,
    runtime: str,
    zero_shot: Literal["names", "prompts"] | None,
    schema: str | None,
    as_json: bool,
    force: bool,
) -> None:
    """Predict keypoints with MODEL, a registered name, a checkpoint or an ONNX file.

    Writes COCO results with `keypoint_scores`, `sigmas` (px) and `annotation_id`. Without
    --weights the checkpoint of the data's schema is taken, or of a built-in schema that has all
    its keypoints (hockey's for lacrosse and for coco); then the data's keypoints are written.
    With --weights the model's own are. Boxes of a file or a detector are people of their own,
    without annotation ids; a box's score multiplies its pose's. A detector's boxes with scores
    below 0.3 are left out; `toolkit detect` writes them all.
    """
    from dataclasses import replace

    from toolkit import processes
    from toolkit.errors import UsageError
    from toolkit.files import check_output
    from toolkit.formats import read, write_predictions

    named = [Path(name) for name in (model, weights, boxes.rpartition("=")[2]) if name]
    check_output(out, force=force, inputs=(data, images, schema_file(schema), *named))
    is_onnx = Path(weights or model).suffix == ".onnx"
    if is_onnx and device not in (None, "cpu") and not _detector_of(boxes):
        raise UsageError(
            f"{weights or model}: an ONNX file is computed on the CPU, and --device is "
            f"'{device}'; leave it away, or take the checkpoint that the file was written from"
        )
    dataset = read(data, schema)
    dataset, chosen, box_scores = _with_boxes(dataset, images, boxes, device, threads)
    if is_onnx:
        if refine is not None or flip_test is not None:
            raise UsageError(
                "--refine and --flip-test are fixed when an ONNX file is written; use the "
                "checkpoint that it was written from"
            )
        loaded = _load_onnx(model, weights, runtime, processes.own_threads(threads))
        if zero_shot is not None:
            loaded = _answering_in(loaded, dataset.schema, zero_shot)
    else:
        loaded = _load_torch(
            model,
            weights,
            runtime,
            dataset.schema,
            device,
            threads,
            refine,
            flip_test,
            zero_shot,
        )
    with progress_bar(f"predicting with {loaded.name}") as update:
        predictions = processes.predict(
            loaded, dataset, images, boxes=chosen, batch_size=batch_size, progress=update
        )
    if box_scores is not None:
        predictions = replace(predictions, scores=predictions.scores * box_scores)
    stand_in = weights is None and not set(dataset.schema.names) - set(loaded.schema.names)
    if stand_in:
        predictions = predictions.to_schema(dataset.schema)
    if processes.processes().leads:
        write_predictions(predictions, out, force)
    calibrated = loaded.facts.get("calibration") is not None
    summary = {
        "model": loaded.name,
        "schema": predictions.schema.name,
        "runtime": getattr(loaded, "runtime", "torch"),
        "predictions": len(predictions),
        "calibrated": calibrated,
        **({} if zero_shot is None else {"zero_shot": loaded.facts["zero_shot"]}),
        "out": str(out),
    }
    if as_json:
        echo_json(summary)
    else:
        notice(f"{len(predictions)} people, schema '{predictions.schema.name}': {out}")
        known = set(predictions.schema.names)
        lacking = [name for name in dataset.schema.names if name not in known]
        if lacking:
            notice(f"of the data's keypoints the model has no {', '.join(lacking)}")
        notice(_meaning(calibrated))


def _meaning(calibrated: bool) -> str:
    """What a keypoint's score is."""
    if calibrated:
        return "keypoint_scores: the probability of lying within half a head size"
    return (
        "keypoint_scores: not calibrated, an order only; 'toolkit calibrate' makes them "
        "probabilities"
    )


def _load_onnx(model: str, weights: str | None, runtime: str, threads: int | None) -> PoseModel:
    """The model in an ONNX file; torch is not needed."""
    from toolkit.errors import UsageError
    from toolkit.models import check_model
    from toolkit.runtimes import find_runtime

    if runtime == "torch":
        raise UsageError(f"{weights or model}: an ONNX file; --runtime torch cannot run it")
    loaded = find_runtime("onnx").load(Path(weights or model), threads=threads)
    if weights is not None:
        check_model(weights, loaded.name, model)
    return loaded


def _load_torch(
    model: str,
    weights: str | None,
    runtime: str,
    schema: Schema,
    device: str | None,
    threads: int | None,
    refine: str | None,
    flip_test: bool | None,
    zero_shot: Literal["names", "prompts"] | None,
) -> PoseModel:
    """The model of a checkpoint, decoded and in the runtime as asked for."""
    from toolkit.cli.train import set_threads
    from toolkit.errors import UsageError
    from toolkit.models import require_torch
    from toolkit.processes import leader_first, own_threads
    from toolkit.runtimes import in_runtime

    require_torch("toolkit predict")
    threads = own_threads(threads)
    set_threads(threads)
    chosen = _device_for(runtime, device)
    loaded = _load(model, weights, schema, chosen)
    if refine is not None or flip_test is not None:
        if not hasattr(loaded, "decoded_by"):
            raise UsageError(f"model '{loaded.name}' has no --refine and no --flip-test")
        loaded.decoded_by(refine=refine, flip_test=flip_test)
    transferred = None if zero_shot is None else _answering_in(loaded, schema, zero_shot)
    computing = loaded if transferred is None else transferred.model
    with leader_first():  # it writes the ONNX file that the others read
        computing = in_runtime(computing, runtime, chosen, threads=threads, announce=notice)
    if transferred is None:
        return computing
    transferred.model = computing
    return transferred


def _answering_in(
    model: PoseModel, schema: Schema, how: Literal["names", "prompts"]
) -> ZeroShotModel:
    """The model in the data's schema; says which keypoints have no counterpart."""
    from toolkit.zero_shot import explain, zero_shot

    transferred = zero_shot(model, schema, how)
    for line in explain(transferred):
        notice(line)
    return transferred


def _load(model: str, weights: str | None, schema: Schema, chosen: str) -> PoseModel:
    """The model in a file, or of a name with the weights that were asked for.

    Without `weights` those of the data's schema; where none ship, those of a built-in schema
    that has all its keypoints, as hockey's for lacrosse or coco, and a notice says so.
    """
    from toolkit.errors import UsageError
    from toolkit.models import find_models, get_model, load_checkpoint
    from toolkit.schema import Schema

    if model not in find_models() and Path(model).suffix:
        return load_checkpoint(Path(model), chosen)
    entry = get_model(model)
    if weights is not None:
        return entry.load(weights, chosen)
    try:
        return entry.load(schema.name, chosen)
    except UsageError:
        for other in Schema.builtin_names():
            if other == schema.name or set(schema.names) - set(Schema.load(other).names):
                continue
            try:
                loaded = entry.load(other, chosen)
            except UsageError:
                continue
            notice(
                f"no weights for schema '{schema.name}': using those for '{other}', keypoints "
                f"matched by name; --weights {other} writes all of that schema's"
            )
            return loaded
        raise


def _device_for(runtime: str, device: str | None) -> str:
    """The device that a runtime computes on; ONNX Runtime here knows the CPU alone."""
    from toolkit.errors import UsageError
    from toolkit.processes import choose_device

    if runtime != "onnx":
        return choose_device(device)
    if device not in (None, "cpu"):
        raise UsageError(f"--runtime onnx computes on the CPU; --device is '{device}'")
    return "cpu"


Boxes = tuple["Dataset", "NDArray[np.float64] | None", "NDArray[np.float64] | None"]


def _with_boxes(
    dataset: Dataset, images: Path, boxes: str, device: str | None, threads: int | None
) -> Boxes:
    """The annotations to predict for, the boxes in place of their own, and their scores.

    Boxes of a file or a detector become people of their own: one prediction a box, no
    annotation ids.
    """
    if boxes == "gt":
        return dataset, None, None
    from toolkit.detectors import people_in_boxes

    name = _detector_of(boxes)
    if name:
        weights = boxes.partition("=")[2]
        image_id, boxes_xywh, scores = _detected(
            dataset, images, name, weights, device, threads
        )
    else:
        image_id, boxes_xywh, scores = _read_boxes(dataset, boxes)
    return people_in_boxes(dataset, image_id, boxes_xywh), boxes_xywh, scores


def _detector_of(boxes: str) -> str:
    """The detector that `--boxes` names; nothing where it is a file, or gt."""
    from toolkit.detectors import find_detectors

    name = boxes.partition("=")[0]
    return name if name in find_detectors() and not Path(boxes).is_file() else ""


def _read_boxes(
    dataset: Dataset, boxes: str
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Boxes of a COCO results file, all of known images."""
    from toolkit.detectors import find_detectors
    from toolkit.errors import InvalidDataError, UsageError
    from toolkit.formats import read_predictions

    if not Path(boxes).exists() and not Path(boxes).suffix:
        raise UsageError(
            f"--boxes '{boxes}': neither 'gt', a file, nor a detector "
            f"({', '.join(find_detectors())})"
        )
    found = read_predictions(Path(boxes), dataset.schema, boxes=True)
    known = np.isin(found.image_id, dataset.images.ids)
    if not known.all():
        first = int(found.image_id[~known][0])
        raise InvalidDataError(
            f"{boxes}: {int((~known).sum())} boxes name images that {dataset.name} does not "
            f"have, the first image_id {first}"
        )
    return found.image_id, found.bbox_xywh, found.scores


def _detected(
    dataset: Dataset,
    images: Path,
    name: str,
    weights: str,
    device: str | None,
    threads: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Boxes that a detector finds now; of several processes one looks, and all get the same."""
    from toolkit.cli.train import set_threads
    from toolkit.detectors import USED_SCORE, Detections, load_detector
    from toolkit.processes import by_leader, choose_device

    set_threads(threads)

    def look() -> Detections:
        detector = load_detector(name, choose_device(device), weights or None)
        with progress_bar(f"detecting with {name}") as update:
            return detector.detect(dataset, images, min_score=USED_SCORE, progress=update)

    found = by_leader(look)
    notice(f"{len(found)} people found by {name}, scores of {USED_SCORE} and more")
    return found.image_id, found.bbox_xywh, found.scores
