"""From `toolkit train`'s request to a training run of a network."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from baselines.checkpoints import load_weights, read_facts, read_tensors, schema_from_facts
from baselines.config import load_recipe
from baselines.family import Family
from baselines.training import train, with_budget
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.files import sha256_file
from toolkit.formats import CocoSource, read
from toolkit.models import TrainRequest
from toolkit.schema import Schema


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
        held_out = with_sha256(read(request.val_data, request.schema), request.val_data)
        validation = (held_out, request.val_images)
    facts: dict[str, object] = {"generator": generator_of(dataset)}
    initialise = None
    if request.init is not None:
        initialise = partial(start_from, path=request.init, schema=dataset.schema)
        facts["init_sha256"] = sha256_file(request.init) if request.init.is_file() else None
    return train(
        family,
        dataset,
        request.images,
        request.out,
        config,
        model=name,
        seed=request.seed,
        device=request.device,
        validation=validation,
        resume=request.resume,
        facts=facts,
        progress=request.progress,
        tensorboard=request.tensorboard,
        initialise=initialise,
    )


def start_from(network: nn.Module, *, path: Path, schema: Schema) -> None:
    """Put a checkpoint's weights into a new network of the same model and keypoints.

    Raises:
        UnsafeInputError: The file is a pickle.
        ReadError: It cannot be read, or is of another network.
        SchemaError: It was trained on other keypoints.
    """
    tensors = read_tensors(path)
    other = schema_from_facts(path, read_facts(path))
    other.require_same_keypoints(
        schema,
        str(path),
        "its image encoder alone fits these data: in the recipe, "
        f"pretrained = '{path}' in place of --init",
    )
    load_weights(path, network, tensors)


def with_sha256(dataset: Dataset, path: Path) -> Dataset:
    """The data set with the hash of its file."""
    return dataset if dataset.digest else replace(dataset, digest=partial(sha256_file, path))


def generator_of(dataset: Dataset) -> str | None:
    """What rendered a data set, by its `info` record; None for real data.

    Every format is read into a document of COCO's, which has the record where the file had a
    place for it.
    """
    source = dataset.source
    if not isinstance(source, CocoSource):
        return None
    # Numbers stay text: only names are looked at, and a number may have any length.
    document = json.loads(source.document.data, parse_int=str, parse_float=str)
    info = document.get("info")
    if not isinstance(info, dict):
        return None
    said = [info.get("generator"), info.get("generator_version")]
    return " ".join(str(part) for part in said if part is not None) or None
