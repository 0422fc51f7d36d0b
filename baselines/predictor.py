"""From a network to predictions in image px."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.calibrated import with_calibration
from baselines.checkpoints import (
    facts_config,
    load_weights,
    read_facts,
    read_tensors,
    schema_from_facts,
)
from baselines.config import TrainConfig
from baselines.family import Family
from baselines.flip_test import bare, decode_by
from baselines.pipeline import Answer, CropModel
from baselines.precision import Precision, whole_float32, within_memory
from toolkit.errors import ReadError, UsageError
from toolkit.files import sha256_file
from toolkit.models import PoseModel, check_model
from toolkit.schema import Schema
from toolkit.zero_shot import Counterpart

Floats = NDArray[np.float64]


class NetworkModel(CropModel):
    """A network in memory behind the toolkit's `PoseModel` protocol.

    Attributes:
        name: Of the model.
        schema: Whose keypoints it predicts.
        num_parameters: Of the network.
        facts: What is known of it.
        network: In evaluation mode, channels last.
        family: How to read its output.
        config: Crop size and box policy.
        device: Torch device.
        precision: Of the forward pass.
    """

    def __init__(
        self,
        network: nn.Module,
        family: Family,
        config: TrainConfig,
        schema: Schema,
        *,
        device: str = "cpu",
        precision: Precision | None = None,
        name: str = "",
        facts: Mapping[str, object] | None = None,
    ) -> None:
        """Put the network on the device."""
        self.network = network.to(device).to(memory_format=torch.channels_last).eval()
        self.family, self.config, self.schema = family, config, schema
        self.device, self.precision = device, precision or Precision()
        self.name = name
        self.num_parameters = sum(p.numel() for p in network.parameters())
        self.facts: dict[str, object] = {**(facts or {}), "box": config.box}
        decode_by(self)

    def decoded_by(self, *, refine: str | None = None, flip_test: bool | None = None) -> None:
        """Change how answers are read; see `baselines.flip_test.decode_by`."""
        decode_by(self, refine=refine, flip_test=flip_test)

    def forward(self, images: NDArray[np.float32]) -> Answer:
        """Keypoints of crops; see `baselines.pipeline.Forward`.

        Raises:
            ResourceError: The GPU has not the memory for so many at once.
        """
        smaller = f"{len(images)} crops at a time are too many; give a smaller --batch-size"
        with within_memory(self.device, smaller), torch.inference_mode(), whole_float32():
            inputs = to_device(images, self.device, self.precision.weights)
            with self.precision.autocast(self.device):
                output = self.network(inputs.to(memory_format=torch.channels_last))
            # in full: DARK takes derivatives of a logarithm
            points, scores, sigma = self.family.decode(output, self.config)
            return (
                points.cpu().numpy(),
                scores.cpu().numpy(),
                None if sigma is None else sigma.cpu().numpy(),
            )


class CheckpointModel(NetworkModel):
    """A trained network, read from its two files."""

    def __init__(
        self,
        path: Path,
        families: Mapping[str, Family],
        device: str,
        *,
        wanted: str | None = None,
    ) -> None:
        """Read a checkpoint and its facts.

        Args:
            path: `NAME.safetensors`.
            families: Which kinds of network it may be.
            device: Torch device.
            wanted: The model it must hold; None takes any of these families.

        Raises:
            UnsafeInputError: The file is a pickle.
            ReadError: It cannot be read, or its tensors do not fit its facts.
            UsageError: It holds another model.
        """
        tensors = read_tensors(path)
        facts = read_facts(path)
        if wanted is not None:  # before the rest, which is of that model's kind
            check_model(path, facts.get("model", wanted), wanted)
        config, schema = facts_config(path, facts), schema_from_facts(path, facts)
        if config.family not in families:
            raise ReadError(
                f"{path}: family '{config.family}' is not one of {', '.join(sorted(families))}"
            )
        self.path, self.raw = path, families[config.family]
        name = str(facts.get("model", path.stem))
        suffix = f"-{self.raw.output}" if self.raw.output else ""
        if not name.endswith(suffix):  # not what was trained, calibrated and named
            name += suffix
            facts = {**facts, "model": name, "calibration": None}
        family = with_calibration(self.raw, schema, facts.get("calibration"), path)
        try:
            network = family.build(schema, config, tensors)
        except UsageError as error:
            raise ReadError(
                f"{path}: the weights are not of the network that the facts describe: {error}; "
                "fetch both files again"
            ) from error
        load_weights(path, network, tensors)
        super().__init__(
            network,
            family,
            config,
            schema,
            device=device,
            name=name,
            facts={**facts, "checkpoint_sha256": sha256_file(path)},
        )

    def without_calibration(self) -> CheckpointModel:
        """The same model with the network's raw scores."""
        model = copy.copy(self)
        model.family, model.network = self.raw, bare(self.network)
        model.facts = {**self.facts, "calibration": None}
        decode_by(model)
        return model

    def by_prompts(self, schema: Schema) -> tuple[PoseModel, tuple[Counterpart, ...]]:
        """The model with another schema's text tokens; see `toolkit.zero_shot`.

        Raises:
            UsageError: It has no text tokens.
        """
        if self.raw.by_prompts is None:
            raise UsageError(f"model '{self.name}' has no text tokens; use --zero-shot names")
        return self.raw.by_prompts(self, schema)


def to_device(values: NDArray[np.generic], device: str, kind: torch.dtype) -> Tensor:
    """An array on the device; a GPU fetches it from pinned memory while the CPU goes on."""
    tensor = torch.from_numpy(values)
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory().to(device, non_blocking=True)
    else:
        tensor = tensor.to(device)
    return tensor.to(kind) if tensor.is_floating_point() else tensor
