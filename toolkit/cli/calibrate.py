"""`toolkit calibrate`: make a checkpoint's keypoint scores probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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

    from toolkit.metrics.calibration import Reliability
    from toolkit.schema import Schema

_PATH = click.Path(path_type=Path)


@click.command(
    epilog="Example: toolkit calibrate runs/tokenclipose/best.safetensors "
    "--data val/annotations.json --images val/images --plot reliability.svg"
)
@click.argument("checkpoint", type=_PATH)
@click.option("--data", type=_PATH, required=True, help="Validation annotations.")
@click.option("--images", type=_PATH, required=True, help="Folder of their images.")
@click.option("--plot", type=_PATH, help="Reliability plot to write (SVG).")
@click.option("--dry-run", is_flag=True, help="Measure only; leave the checkpoint's facts.")
@click.option("--batch-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@schema_option
@json_option
@force_option
def calibrate(
    checkpoint: Path,
    data: Path,
    images: Path,
    plot: Path | None,
    dry_run: bool,
    batch_size: int,
    device: str,
    schema: str | None,
    as_json: bool,
    force: bool,
) -> None:
    """Fit CHECKPOINT's keypoint scores on validation data, and keep the fit in its facts.

    A calibrated score is the probability that the keypoint lies within half a head size of
    the truth. The weights do not change. Prints the expected calibration error (ECE) before
    and after; after is measured on clips that the fit had not seen (two halves in turn;
    of the images, where these name no clips).
    """
    import json

    from toolkit.errors import OutputExistsError, ReadError, UsageError
    from toolkit.files import check_output, sha256_file, write_text
    from toolkit.formats import read
    from toolkit.metrics.calibration import (
        clips_or_images,
        fit_calibration,
        held_out,
        reliability,
        reliability_chart,
        within_heads,
    )
    from toolkit.models import load_checkpoint, require_torch
    from toolkit.processes import choose_device

    if plot is not None:
        read_here = (data, images, checkpoint, checkpoint.with_suffix(".json"))
        check_output(plot, force=force, inputs=(*read_here, schema_file(schema)))
    if not checkpoint.is_file():
        raise ReadError(f"{checkpoint}: no such file; 'toolkit train' writes a checkpoint")
    if not dry_run:  # what is in the facts already is asked for below
        check_output(checkpoint.with_suffix(".json"), force=True)
    require_torch("toolkit calibrate")
    model = load_checkpoint(checkpoint, choose_device(device))
    raw = getattr(model, "without_calibration", None)
    if raw is None:
        raise UsageError(f"{checkpoint}: '{model.name}' has no scores that could be fitted")
    if model.facts.get("calibration") is not None and not (force or dry_run):
        raise OutputExistsError(
            f"{checkpoint.with_suffix('.json')}: holds a calibration already; pass --force to "
            "replace it, or --dry-run to measure only"
        )
    truth = read(data, schema)
    with progress_bar(f"predicting with {model.name}") as update:
        own = raw().predict(truth, images, batch_size=batch_size, progress=update)
    found = own.to_schema(truth.schema)
    names, scores = found.schema.names, found.keypoint_scores
    right = within_heads(truth, found)
    # All keypoints of the model get a fit: those that the data lack share that of the others.
    known = np.full(own.keypoint_scores.shape, np.nan)
    known[:, [own.schema.index(name) for name in names]] = right
    fitted = fit_calibration(own.schema.names, own.keypoint_scores, known)
    group, unit = clips_or_images(truth)
    after = held_out(names, scores, right, group)
    tables = {
        part: (
            reliability(scores[:, mask], right[:, mask]),
            reliability(after[:, mask], right[:, mask]),
        )
        for part, mask in _parts(truth.schema).items()
        if not np.isnan(right[:, mask]).all()
    }
    both = dict(zip(("raw", "calibrated"), tables["all"], strict=True))
    facts = {
        **fitted.to_facts(),
        "data_sha256": sha256_file(data),
        "instances": len(truth.annotations),
        "ece_raw": round(both["raw"].ece, 4),
        "ece_held_out": round(both["calibrated"].ece, 4),
        "held_out_by": unit,
    }
    if plot is not None:
        write_text(plot, reliability_chart(both, f"Reliability of {model.name}"), force=force)
    if not dry_run:
        beside = checkpoint.with_suffix(".json")
        document = json.loads(beside.read_text(encoding="utf-8"))
        document["calibration"] = facts
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
        write_text(beside, text + "\n", force=True)
        notice(f"{beside}: calibration written")
    if as_json:
        echo_json({"model": model.name, **facts})
        return
    _show(tables)


def _show(tables: Mapping[str, tuple[Reliability, Reliability]]) -> None:
    """A line for each part of the schema: before and after."""
    click.echo(f"{'keypoints':<12}{'counted':>9}{'right':>9}{'ECE raw':>10}{'ECE after':>11}")
    for part, (one, two) in tables.items():
        share = float(
            (one.share[one.count > 0] * one.count[one.count > 0]).sum() / one.count.sum()
        )
        click.echo(
            f"{part:<12}{one.count.sum():>9}{share:>9.3f}{one.ece:>10.3f}{two.ece:>11.3f}"
        )


def _parts(schema: Schema) -> dict[str, NDArray[np.bool_]]:
    """Which columns each line of the table counts."""
    everything = np.ones(schema.num_keypoints, dtype=bool)
    return {"all": everything, "body": ~schema.is_extension, "extension": schema.is_extension}
