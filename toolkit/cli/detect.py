"""`toolkit detect`: find people, and write their boxes."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli.common import (
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
    schema_file,
    schema_option,
)
from toolkit.cli.numbers import Finite

_PATH = click.Path(path_type=Path)


@click.command(
    epilog="Example: toolkit detect person-small "
    "--data datasets/hockey/sample/annotations.json --images datasets/hockey/sample/images "
    "--out boxes.json"
)
@click.argument("detector")
@click.option("--data", type=_PATH, required=True, help="Annotations whose images are used.")
@click.option("--images", type=_PATH, required=True, help="Folder of the images.")
@click.option("--out", type=_PATH, required=True, help="COCO results file to write.")
@click.option("--weights", metavar="TAG|FILE", help="Which weights of DETECTOR.")
@click.option(
    "--min-score",
    type=Finite(0, 1),
    default=0.05,
    show_default=True,
    help="Boxes below it are left out.",
)
@click.option("--device", help="Torch device; a GPU where there is one, else the CPU.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads to compute with.")
@schema_option
@json_option
@force_option
def detect(
    detector: str,
    data: Path,
    images: Path,
    out: Path,
    weights: str | None,
    min_score: float,
    device: str | None,
    threads: int | None,
    schema: str | None,
    as_json: bool,
    force: bool,
) -> None:
    """Find people with DETECTOR and write their boxes as COCO results.

    The boxes serve `toolkit predict --boxes FILE`. Where the annotations have boxes, box AP
    by COCO's rules is printed: at most 100 boxes an image, all sizes together.

    DETECTOR is person-small (trained on rendered frames; its weights ship), fasterrcnn,
    fasterrcnn-v2, fasterrcnn-mobile (torchvision's, by tag or file), or keypoint-rcnn.
    """
    from toolkit.cli.train import set_threads
    from toolkit.detector_scores import box_ap
    from toolkit.detectors import category_of, load_detector, write_detections
    from toolkit.files import check_output
    from toolkit.formats import read
    from toolkit.models import require_torch
    from toolkit.processes import choose_device

    inputs = (data, images, schema_file(schema), Path(weights) if weights else None)
    check_output(out, force=force, inputs=inputs)
    dataset = read(data, schema)
    require_torch("toolkit detect")
    set_threads(threads)
    loaded = load_detector(detector, choose_device(device), weights)
    with progress_bar(f"detecting with {loaded.name}") as update:
        found = loaded.detect(dataset, images, min_score=min_score, progress=update)
    write_detections(found, out, category_id=category_of(dataset), force=force)
    scores = {key: value for key, value in box_ap(dataset, found).items() if value == value}
    if as_json:
        echo_json(
            {"detector": loaded.name, "boxes": len(found), "out": str(out), "scores": scores}
        )
        return
    said = ", ".join(f"{key} {100 * value:.1f}" for key, value in scores.items())
    notice(
        f"{len(found)} boxes{f'; against the annotated ones: {said}' if said else ''}: {out}"
    )
