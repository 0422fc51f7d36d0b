"""`toolkit export`: a model as an ONNX file, checked against PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli.common import echo_json, force_option, json_option, notice


@click.command(epilog="Example: toolkit export hrnet-small hrnet-small.onnx --weights hockey")
@click.argument("model")
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT.onnx")
@click.option(
    "--weights",
    metavar="SCHEMA|FILE",
    help="Which checkpoint of MODEL: the schema it was trained for, or a file.",
)
@json_option
@force_option
def export(model: str, out: Path, weights: str | None, as_json: bool, force: bool) -> None:
    """Write MODEL, a registered name or a checkpoint file, as ONNX with a dynamic batch.

    The file takes normalised crops and gives keypoints in crop px, scores and, where the
    model has them, sigmas; schema, crop size and normalisation are in its metadata. It is
    kept only where ONNX Runtime gives PyTorch's keypoints within 0.1 px on random crops.
    Without --weights the checkpoint for hockey is taken.
    """
    from toolkit.errors import MissingExtraError, UsageError
    from toolkit.files import check_output
    from toolkit.models import find_models, get_model, load_checkpoint, require_torch
    from toolkit.runtimes import find_runtime, missing_packages

    runtime = find_runtime("onnx")
    if out.suffix != runtime.suffix:
        raise UsageError(f"{out}: an ONNX file ends in {runtime.suffix}")
    check_output(out, force=force, inputs=(Path(model), Path(weights or model)))
    require_torch("toolkit export")
    absent = missing_packages(runtime.export_packages)
    if absent:
        raise MissingExtraError(
            f"'toolkit export' needs {', '.join(absent)}; install with: "
            "pip install 'extension-keypoints[models,onnx]'"
        )
    if weights is None and model not in find_models() and Path(model).suffix:
        loaded = load_checkpoint(Path(model), "cpu")
    else:
        loaded = get_model(model).load(weights or "hockey", "cpu")
    if not runtime.can_export(loaded):
        raise UsageError(f"model '{loaded.name}' has no network that could be exported")
    written = runtime.export(loaded, out, force=force)
    summary = {
        "model": written.model,
        "schema": written.schema,
        "out": str(written.path),
        "outputs": list(written.outputs),
        "max_difference_px": written.max_difference_px,
        "crops_checked": written.crops_checked,
    }
    if as_json:
        echo_json(summary)
    else:
        notice(
            f"{out}: {written.model}, schema '{written.schema}', at most "
            f"{written.max_difference_px:.2g} px from PyTorch on {written.crops_checked} crops"
        )
