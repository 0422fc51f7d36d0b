"""From `toolkit train`'s request to a training run of a network."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from baselines.config import load_recipe
from baselines.family import Family
from baselines.training import train, with_budget
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.formats import read
from toolkit.models import TrainRequest


def train_network(name: str, recipe: str, family: Family, request: TrainRequest) -> Path:
    """Read the data and the recipe, train, and give the path of the best checkpoint.

    Raises:
        UsageError: The recipe is of another family, or validation data lack images.
    """
    config = load_recipe(request.recipe or recipe)
    if config.family != family.name:
        raise UsageError(
            f"recipe '{request.recipe}' is for family '{config.family}'; model '{name}' is "
            f"of family '{family.name}'"
        )
    config = with_budget(config, request.images_seen)
    dataset = with_sha256(read(request.data, request.schema), request.data)
    validation = None
    if request.val_data is not None:
        if request.val_images is None:
            raise UsageError("--val-data needs --val-images, the folder of its images")
        validation = (read(request.val_data, request.schema), request.val_images)
    return train(
        family,
        dataset,
        request.images,
        request.out,
        config,
        model=name,
        seed=request.seed,
        device=choose_device(request.device),
        validation=validation,
        resume=request.resume,
        facts={"generator": generator_of(request.data)},
        progress=request.progress,
    )


def choose_device(device: str | None) -> str:
    """The device that was named, else a GPU where there is one, else the CPU.

    Raises:
        UsageError: torch knows no such device here.
    """
    import torch  # lazy: torch costs seconds

    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"device '{device}' cannot be used here: {str(error).splitlines()[0]}; "
            "'cpu' always can"
        ) from error
    return device


def with_sha256(dataset: Dataset, path: Path) -> Dataset:
    """The data set with the hash of its file."""
    from toolkit.files import sha256_file

    return dataset if dataset.digest else replace(dataset, digest=partial(sha256_file, path))


def generator_of(path: Path) -> str | None:
    """What rendered a data set, by its `info` record; None for real data."""
    info = json.loads(path.read_text(encoding="utf-8")).get("info")
    if not isinstance(info, dict):
        return None
    said = [info.get("generator"), info.get("generator_version")]
    return " ".join(str(part) for part in said if part is not None) or None
