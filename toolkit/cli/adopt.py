"""`toolkit adopt`: weights that others published, as a checkpoint."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli.common import echo_json, force_option, json_option, notice

_PATH = click.Path(path_type=Path)


@click.command(
    epilog="Example: toolkit adopt hrnet-w32 pose_hrnet_w32_256x192.pth --allow-pickle "
    "--out hrnet-w32_coco.safetensors"
)
@click.argument("model")
@click.argument("weights")
@click.option("--out", type=_PATH, required=True, help="Safetensors file to write.")
@click.option(
    "--schema", metavar="NAME|FILE", help="Whose keypoints the weights have.  [default: coco]"
)
@click.option(
    "--allow-pickle",
    is_flag=True,
    help="Read torch's own files (.pth) as well: tensors, and nothing that could run.",
)
@force_option
@json_option
def adopt(
    model: str,
    weights: str,
    out: Path,
    schema: str | None,
    allow_pickle: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write published WEIGHTS of MODEL as a checkpoint that every command takes.

    WEIGHTS is a file, a folder, or a hub's tag: HRNet and SimpleBaseline in the original
    repository's or mmpose's names, ViTPose as transformers saves it, Keypoint R-CNN as
    torchvision does. Names and shapes must fit exactly. A pickle can run code when it is
    opened, so it is refused unless --allow-pickle is given, and then only tensors are read.
    """
    from toolkit.errors import UsageError
    from toolkit.models import AdoptRequest, find_models, get_model

    entry = get_model(model)
    if entry.adopt is None:
        known = ", ".join(name for name, other in find_models().items() if other.adopt)
        raise UsageError(f"no published weights are known for '{model}'; known: {known}")
    path = entry.adopt(AdoptRequest(weights, out, schema, allow_pickle, force))
    if as_json:
        echo_json({"model": model, "checkpoint": str(path)})
    else:
        notice(f"{model} with the weights of {weights}; its facts lie beside it")
        click.echo(str(path))
