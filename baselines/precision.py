"""In which numbers a network computes, and whether the device can.

bfloat16 on a CPU without it is some 70 times slower than float32, so it is refused there and
never chosen. float16 loses small gradients: they are scaled up (`torch.amp.GradScaler`).

A GPU's convolutions round float32 to TF32's ten bits unless they are told not to: see
`whole_float32`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from toolkit.errors import ResourceError, UsageError


class Precision(NamedTuple):
    """Types of numbers.

    Attributes:
        weights: Of the network's parameters and inputs.
        compute: Of the forward pass, where it is another one (autocast).
    """

    weights: torch.dtype = torch.float32
    compute: torch.dtype | None = None

    @property
    def scales(self) -> bool:
        """Whether gradients must be scaled."""
        return self.compute is torch.float16

    def autocast(self, device: str) -> torch.autocast:
        """The context of a forward pass."""
        kind = torch.device(device).type
        return torch.autocast(kind, self.compute or torch.bfloat16, self.compute is not None)


def choose_precision(wanted: str, device: str) -> Precision:
    """The precision of a recipe on a device.

    Args:
        wanted: `auto` (bfloat16 where the device computes in it, else float32, in training
            with the GPU's TF32 in convolutions), `float32` (without it), `float64`,
            `bfloat16` or `float16`.
        device: Torch device.

    Raises:
        UsageError: The device is not made for it.
    """
    kind = torch.device(device).type
    if wanted == "float64":
        return Precision(weights=torch.float64)
    native = bfloat16_is_native(device)
    if wanted == "bfloat16" and not native:
        raise UsageError(
            f"precision = 'bfloat16': '{device}' does not compute in it itself, and would be "
            "some 70 times slower than float32; use 'auto' or 'float32'"
        )
    if wanted == "float16" and kind != "cuda":
        raise UsageError(
            f"precision = 'float16': only GPUs train in it, not '{device}'; use 'auto'"
        )
    if wanted == "float16":
        return Precision(compute=torch.float16)
    if wanted == "bfloat16" or (wanted == "auto" and native):
        return Precision(compute=torch.bfloat16)
    return Precision()


def bfloat16_is_native(device: str) -> bool:
    """Whether a device computes in bfloat16 itself."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    names = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    probes = [getattr(torch.cpu, name, None) for name in names]
    return any(bool(probe()) for probe in probes if probe is not None)


@contextmanager
def whole_float32(*, wanted: bool = True) -> Iterator[None]:
    """Inside the block, no convolution of a GPU rounds float32 to TF32; a CPU never does.

    Prediction needs all bits: a gate above 0 and the largest cell of a map are hard choices,
    and a place that is a rounding away from another choice is many px away.
    """
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = before and not wanted
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@contextmanager
def within_memory(device: str, next_step: str) -> Iterator[None]:
    """A block that may need more memory than a GPU has.

    Raises:
        ResourceError: It does; the message ends with the next step.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ResourceError(
            f"device '{device}': its memory is exhausted; {next_step}"
        ) from error


def in_full(values: Tensor) -> AbstractContextManager[object]:
    """A block without autocast, for layers that give coordinates.

    bfloat16 has eight bits: at the edge of a crop of 256 px it knows a place to half a px.
    """
    kind = values.device.type
    # Where nothing is on nothing is switched off, so that an exported graph has no trace of it.
    if not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def full(values: Tensor) -> Tensor:
    """At least float32: what losses and decoding are computed in."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
