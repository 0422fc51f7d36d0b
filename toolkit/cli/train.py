"""`toolkit train`: train a model from nothing, or go on where a run stopped."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli.common import echo_json, json_option, progress_bar, schema_file, schema_option

_PATH = click.Path(path_type=Path)
WRITTEN = ("recipe.json", "best.safetensors", "best.json", "last.safetensors", "last.json")


@click.command(
    epilog="Example: toolkit train tokenclipose-small --data train/annotations.json "
    "--images train/images --out runs/tokenclipose --images-seen 100000"
)
@click.argument("model")
@click.option("--data", type=_PATH, required=True, help="Annotations to train on.")
@click.option("--images", type=_PATH, required=True, help="Folder of their images.")
@click.option("--out", type=_PATH, required=True, help="Folder to write to.")
@click.option("--recipe", help="Recipe by name or file; each model has its own.")
@click.option("--device", help="Torch device; a GPU where there is one, else the CPU.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of all chance.",
)
@click.option(
    "--images-seen", type=click.IntRange(min=1), help="Training budget, repeats included."
)
@click.option("--val-data", type=_PATH, help="Annotations to choose the best checkpoint on.")
@click.option("--val-images", type=_PATH, help="Folder of their images.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads to compute with.")
@click.option("--init", type=_PATH, help="Checkpoint whose weights the network starts from.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--tensorboard", is_flag=True, help="Write scalars to OUT/tensorboard as well.")
@schema_option
@json_option
def train(
    model: str,
    data: Path,
    images: Path,
    out: Path,
    recipe: str | None,
    device: str | None,
    seed: int,
    images_seen: int | None,
    val_data: Path | None,
    val_images: Path | None,
    threads: int | None,
    init: Path | None,
    resume: bool,
    tensorboard: bool,
    schema: str | None,
    as_json: bool,
) -> None:
    """Train MODEL, or a detector, on annotated images.

    The budget counts images seen, not seconds. Writes the resolved recipe, a log, the best
    and the last checkpoint (safetensors, facts in JSON beside them), and the state that
    --resume goes on from; an interrupted and resumed run gives the same weights. Under
    torchrun several processes share each batch: torchrun --nproc-per-node 4 -m toolkit train.
    """
    from toolkit.detectors import find_detectors
    from toolkit.files import check_output
    from toolkit.models import TrainRequest, find_models, get_model, require_torch
    from toolkit.processes import own_threads

    if out.is_dir() and not resume:  # what a new run writes there is none of its inputs
        inputs = (data, val_data, init, Path(recipe or model), schema_file(schema))
        for name in WRITTEN:
            check_output(out / name, force=True, inputs=inputs)
    detector = None if model in find_models() else find_detectors().get(model)
    run = detector.train if detector is not None else None
    if run is None:
        run = get_model(model).train
    require_torch("toolkit train")
    set_threads(own_threads(threads))
    with progress_bar(f"training {model}") as update:
        checkpoint = run(
            TrainRequest(
                data=data,
                images=images,
                out=out,
                recipe=recipe,
                device=device,
                seed=seed,
                val_data=val_data,
                val_images=val_images,
                images_seen=images_seen,
                resume=resume,
                schema=schema,
                progress=update,
                init=init,
                tensorboard=tensorboard,
            )
        )
    if as_json:
        echo_json({"model": model, "checkpoint": str(checkpoint)})
    else:
        click.echo(f"{checkpoint}")


def set_threads(threads: int | None) -> None:
    """Bound torch's CPU threads; None leaves them alone."""
    if threads is not None:
        import torch  # lazy: torch costs seconds

        torch.set_num_threads(threads)
