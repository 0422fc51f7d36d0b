"""Weights that others published, written once as a checkpoint of ours.

Every loader here gives a network of ours or names what does not fit; from then on the model is
one like any other: two files, its schema and its source in the facts. A pickle is read only
where the user asked for it, and then weights-only (`baselines.hrnet_names.read_published`).

Tensors do not say what size of crop and what decoding they were trained for: both are the
request's, else the recipe's size and the authors' decoding, unless the file's name contradicts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from baselines.checkpoints import (
    check_checkpoint,
    load_weights,
    save_checkpoint,
    schema_to_facts,
    without_counters,
)
from baselines.config import TrainConfig, load_recipe
from baselines.family import HEATMAP
from baselines.hrnet import HRNetHeatmap
from baselines.hrnet_names import fit_published, read_published, unwrapped
from baselines.simple_baseline import SimpleBaseline
from toolkit.code_version import code_version
from toolkit.errors import ReadError, UsageError
from toolkit.files import sha256_file
from toolkit.models import AdoptRequest, Decoding
from toolkit.schema import Schema

# Grid and refinement. mmpose's UDP refines by DARK, as ViTPose does.
DECODINGS: dict[Decoding, tuple[str, str]] = {
    "quarter": ("original", "quarter"),
    "dark": ("original", "dark"),
    "udp": ("udp", "dark"),
}
_SIZE = re.compile(r"(?<!\d)([1-9]\d{1,3})x([1-9]\d{1,3})(?!\d)")  # height by width
_WORDS = re.compile(r"(?<![a-z0-9])(udp|dark)(?![a-z0-9])")


@dataclass(frozen=True)
class Published:
    """One kind of published weights.

    Attributes:
        build: (schema, recipe, request) → the network with the weights in it.
        decoding: The authors', which most of the weights are for.
    """

    build: Callable[[Schema, TrainConfig, AdoptRequest], nn.Module]
    decoding: Decoding


def adopt_network(name: str, recipe: str, kind: Published, request: AdoptRequest) -> Path:
    """Write published weights of a top-down network as a checkpoint.

    Args:
        name: Of the model.
        recipe: Its own; padding is read from it, and the crop's size where none is named.
        kind: How such weights are read and decoded.
        request: What to read and where to write.

    Raises:
        UsageError: The weights' name says another size or decoding, and no option says which.
        ReadError: The weights are not this network's for that schema.
        UnsafeInputError: They are pickled, and pickles were not asked for.
        ServiceError: A tag cannot be fetched.
    """
    check_checkpoint(request.out, force=request.force, inputs=(Path(request.weights),))
    schema = Schema.load(request.schema or "coco")
    decoding = request.decoding or kind.decoding
    config = as_published(load_recipe(recipe), decoding, request)
    network = kind.build(schema, config, request)
    facts: dict[str, object] = {
        "model": name,
        "schema": schema_to_facts(schema),
        "recipe": replace(config, pretrained=request.weights, images_seen=0).to_dict(),
        "decoding": decoding,
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
        "code_version": code_version(),
        "text_encoder": None,
    }


def as_published(config: TrainConfig, decoding: Decoding, request: AdoptRequest) -> TrainConfig:
    """A recipe with the size and the decoding of published weights.

    The training Gaussian grows with the crop, as in the original repository and in mmpose: 2
    cells at 256x192, 3 at 384x288.

    Args:
        config: The model's own recipe.
        decoding: To be used.
        request: Says size and decoding, or neither.

    Raises:
        UsageError: The weights' name says another size or decoding, and no option was given.
    """
    width, height = request.input_wh or config.input_wh
    name = Path(request.weights).name
    sizes = [f"{h}x{w}" for h, w in _SIZE.findall(name)]
    if request.input_wh is None and sizes and f"{height}x{width}" not in sizes:
        raise UsageError(
            f"'{name}' says {sizes[0]}, {height}x{width} would be assumed; say which, height "
            f"by width: --input {sizes[0]}"
        )
    words = _WORDS.findall(name.lower())
    if request.decoding is None and words and decoding not in words:
        raise UsageError(
            f"'{name}' says {words[0]}, decoding '{decoding}' would be assumed; say which: "
            f"--decoding {words[0]}"
        )
    grid, refine = DECODINGS[decoding]
    return replace(
        config,
        input_wh=(width, height),
        heatmap_grid=grid,
        refine=refine,
        heatmap_sigma=config.heatmap_sigma * width / config.input_wh[0],
    )


def published_heatmaps(schema: Schema, config: TrainConfig, request: AdoptRequest) -> nn.Module:
    """HRNet or SimpleBaseline with weights in the original's or mmpose's names."""
    network = HEATMAP.build(schema, replace(config, pretrained=""), {})
    assert isinstance(network, HRNetHeatmap | SimpleBaseline)
    found = read_published(Path(request.weights), allow_pickle=request.allow_pickle)
    fit_published(network, unwrapped(found, request.weights), request.weights, config.backbone)
    return network


def published_vitpose(schema: Schema, config: TrainConfig, request: AdoptRequest) -> nn.Module:
    """ViTPose with weights as transformers saves them, in safetensors or torch's own file."""
    from baselines.vitpose import VitPose, load_published  # lazy: transformers is slow

    network = VitPose(schema.num_keypoints, backbone=config.backbone, input_wh=config.input_wh)
    load_published(network, request.weights, allow_pickle=request.allow_pickle)
    return network


READERS: dict[str, Published] = {
    "heatmaps": Published(published_heatmaps, "quarter"),
    "vitpose": Published(published_vitpose, "udp"),
}


def adopt_keypoint_rcnn(request: AdoptRequest) -> Path:
    """Torchvision's Keypoint R-CNN with published weights, as a checkpoint.

    Raises:
        UsageError: A size or a decoding was named: it takes whole frames and has its own.
    """
    from baselines.keypoint_rcnn import NAME, KeypointRCNNConfig, build_keypoint_rcnn
    from baselines.torchvision_weights import KEYPOINT_RCNN, keypoint_rcnn_eps, tensors_of

    if request.input_wh is not None or request.decoding is not None:
        raise UsageError(f"'{NAME}' takes whole frames; --input and --decoding are for crops")
    check_checkpoint(request.out, force=request.force, inputs=(Path(request.weights),))
    schema = Schema.load(request.schema or "coco")
    config = KeypointRCNNConfig(
        input_wh=(1333, 800), images_seen=0, frozen_eps=keypoint_rcnn_eps(request.weights)
    )
    network = build_keypoint_rcnn(schema.num_keypoints, config)
    path = Path(request.weights)
    if request.allow_pickle and path.is_file():
        tensors = unwrapped(read_published(path, allow_pickle=True), request.weights)
        tensors = without_counters(tensors)
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
