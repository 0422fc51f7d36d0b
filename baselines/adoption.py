"""Weights that others published, written once as a checkpoint of ours.

Every loader here gives a network of ours or names what does not fit; from then on the model is
one like any other: two files, its schema and its source in the facts. Nothing is guessed: a
pickle is read only where the user asked for it, and then weights-only
(`baselines.hrnet_names.read_published`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from baselines.checkpoints import load_weights, save_checkpoint, schema_to_facts
from baselines.config import TrainConfig, load_recipe
from baselines.family import HEATMAP
from baselines.hrnet import HRNetHeatmap
from baselines.hrnet_names import fit_published, read_published, unwrapped
from baselines.simple_baseline import SimpleBaseline
from toolkit import __version__
from toolkit.errors import ReadError
from toolkit.files import check_output, sha256_file
from toolkit.models import AdoptRequest
from toolkit.schema import Schema

Reader = Callable[[Schema, TrainConfig, AdoptRequest], tuple[TrainConfig, nn.Module]]


def adopt_network(name: str, recipe: str, build: Reader, request: AdoptRequest) -> Path:
    """Write published weights of a top-down network as a checkpoint.

    Args:
        name: Of the model.
        recipe: Its own; crop, padding, grid and decoding are read from it.
        build: (schema, recipe, request) → the recipe as the authors decode, and the network
            with the weights in it.
        request: What to read and where to write.

    Raises:
        ReadError: The weights are not this network's for that schema.
        UnsafeInputError: They are pickled, and pickles were not asked for.
        ServiceError: A tag cannot be fetched.
    """
    check_output(request.out, force=request.force)
    schema = Schema.load(request.schema or "coco")
    config, network = build(schema, load_recipe(recipe), request)
    facts: dict[str, object] = {
        "model": name,
        "schema": schema_to_facts(schema),
        "recipe": replace(config, pretrained=request.weights, images_seen=0).to_dict(),
        **_source(request),
        "num_parameters": sum(p.numel() for p in network.parameters()),
    }
    save_checkpoint(request.out, network, facts, force=request.force, half=False)
    return request.out


def _source(request: AdoptRequest) -> dict[str, object]:
    """Where the weights are from; what their authors trained on is unknown here."""
    path = Path(request.weights)
    return {
        "source": path.name if path.exists() else request.weights,
        "source_sha256": sha256_file(path) if path.is_file() else None,
        "images_seen": None,
        "seed": None,
        "data_sha256": None,
        "generator": None,
        "code_version": __version__,
        "text_encoder": None,
    }


def published_heatmaps(
    schema: Schema, config: TrainConfig, request: AdoptRequest
) -> tuple[TrainConfig, nn.Module]:
    """HRNet or SimpleBaseline with weights in the original's or mmpose's names.

    Their authors' maps lie on the grid `original` and are refined by a quarter of a cell.
    """
    network = HEATMAP.build(schema, replace(config, pretrained=""), {})
    assert isinstance(network, HRNetHeatmap | SimpleBaseline)
    found = read_published(Path(request.weights), allow_pickle=request.allow_pickle)
    fit_published(network, unwrapped(found, request.weights), request.weights, config.backbone)
    return replace(config, heatmap_grid="original", refine="quarter"), network


def published_vitpose(
    schema: Schema, config: TrainConfig, request: AdoptRequest
) -> tuple[TrainConfig, nn.Module]:
    """ViTPose with weights as transformers saves them."""
    from baselines.vitpose import VitPose, load_published  # lazy: transformers is slow

    network = VitPose(schema.num_keypoints, backbone=config.backbone, input_wh=config.input_wh)
    load_published(network, request.weights)
    return config, network


READERS: dict[str, Reader] = {"heatmaps": published_heatmaps, "vitpose": published_vitpose}


def adopt_keypoint_rcnn(request: AdoptRequest) -> Path:
    """Torchvision's Keypoint R-CNN with published weights, as a checkpoint."""
    from baselines.keypoint_rcnn import NAME, KeypointRCNNConfig, build_keypoint_rcnn
    from baselines.torchvision_weights import KEYPOINT_RCNN, tensors_of

    check_output(request.out, force=request.force)
    schema = Schema.load(request.schema or "coco")
    config = KeypointRCNNConfig(input_wh=(1333, 800), images_seen=0)
    network = build_keypoint_rcnn(schema.num_keypoints, config)
    path = Path(request.weights)
    if request.allow_pickle and path.is_file():
        tensors = unwrapped(read_published(path, allow_pickle=True), request.weights)
        tensors = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    else:
        path, tensors = tensors_of(NAME, request.weights, KEYPOINT_RCNN)
    try:
        load_weights(path, network, tensors)
    except ReadError as error:
        raise ReadError(f"{error}; expected torchvision's keypointrcnn_resnet50_fpn") from error
    facts = {
        "model": NAME,
        "schema": schema_to_facts(schema),
        "recipe": config.to_dict(),
        **_source(request),
        "num_parameters": sum(p.numel() for p in network.parameters()),
    }
    save_checkpoint(request.out, network, facts, force=request.force, half=False)
    return request.out
