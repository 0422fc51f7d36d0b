"""`toolkit adopt`: weights that others published, as a checkpoint."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli.common import echo_json, force_option, json_option, notice

if TYPE_CHECKING:
    from toolkit.models import Decoding

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
    "--input",
    "input_size",
    metavar="HEIGHTxWIDTH",
    help="Crop that the weights are for, such as 384x288.  [default: the model's, 256x192]",
)
@click.option(
    "--decoding",
    type=click.Choice(("quarter", "dark", "udp")),
    help="How the weights' heatmaps are read.  [default: the authors': quarter; ViTPose: udp]",
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
    input_size: str | None,
    decoding: Decoding | None,
    allow_pickle: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write published WEIGHTS of MODEL as a checkpoint that every command takes.

    WEIGHTS is a file, a folder, or a hub's tag: HRNet and SimpleBaseline in the original
    repository's or mmpose's names, ViTPose as transformers saves it, Keypoint R-CNN as
    torchvision does. Names and shapes must fit exactly. A pickle can run code when it is
    opened, so it is refused unless --allow-pickle is given, and then only tensors are read.

    Tensors do not say which crop and which decoding they were trained for, and wrong ones
    are wrong in silence: name them. quarter is HRNet's own, dark is DARK, udp is UDP with
    DARK (mmpose's names say dark or udp). Where neither is named, the result says what was
    assumed; a file whose name says something else is refused.
    """
    from toolkit.errors import UsageError
    from toolkit.models import AdoptRequest, find_models, get_model

    entry = get_model(model)
    if entry.adopt is None:
        known = ", ".join(name for name, other in find_models().items() if other.adopt)
        raise UsageError(f"no published weights are known for '{model}'; known: {known}")
    size = None if input_size is None else _width_and_height(input_size)
    path = entry.adopt(AdoptRequest(weights, out, schema, allow_pickle, force, size, decoding))
    used = _how_it_is_read(path)
    given = {"input": input_size, "decoding": decoding}
    assumed = [key for key in used if given[key] is None]
    if as_json:
        echo_json({"model": model, "checkpoint": str(path), **used, "assumed": assumed})
        return
    notice(f"{model} with the weights of {weights}; its facts lie beside it")
    if assumed:
        said = " and ".join(f"{key} {used[key]}" for key in assumed)
        options = " and ".join(f"--{key}" for key in assumed)
        notice(f"assumed: {said}; where the weights are for another, say so with {options}")
    click.echo(str(path))


def _width_and_height(text: str) -> tuple[int, int]:
    """The crop that `384x288`, height by width, stands for.

    Raises:
        UsageError: It is no such size, or one that no network takes.
    """
    from toolkit.errors import UsageError

    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    height, width = (int(found[1]), int(found[2])) if found else (0, 0)
    if not found or any(side < 32 or side % 32 for side in (height, width)):
        raise UsageError(
            f"option --input: got '{text}'; wanted height x width in multiples of 32 px, such "
            "as 256x192 or 384x288"
        )
    return width, height


def _how_it_is_read(checkpoint: Path) -> dict[str, str]:
    """`input` and `decoding` of a checkpoint of crops; nothing where it takes whole frames."""
    facts = json.loads(checkpoint.with_suffix(".json").read_text(encoding="utf-8"))
    if "decoding" not in facts:
        return {}
    width, height = facts["recipe"]["input_wh"]
    return {"input": f"{height}x{width}", "decoding": facts["decoding"]}
