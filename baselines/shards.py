"""One training step in several processes: three collectives, and the step is the same.

Each process runs the network on its share of the batch. Then:

* the outputs of all shares are brought together, so that every process has the loss of the
  whole batch (`gathered`). A loss here is a mean over labelled keypoints; the mean of the
  processes' own means would be another number, and another gradient;
* the gradients of the shares are added up (`add_gradients`);
* running means and variances, which each process saw on its own share, are averaged.

So a run does not depend on how many processes do it, but for BatchNorm in training, which
normalises by a process's own share (as it does wherever there are several GPUs). This is why
it is plain `torch.distributed`: DistributedDataParallel, Lightning Fabric and accelerate all
average the gradients of the processes' own losses.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from toolkit.errors import UsageError
from toolkit.processes import Processes

_Output = TypeVar("_Output")


def share_of_batch(batch: int, here: Processes) -> slice:
    """Which crops of a batch are this process's.

    Raises:
        UsageError: The batch does not divide.
    """
    if batch % here.size:
        raise UsageError(
            f"batch_size {batch} is of the whole step and does not divide among {here.size} "
            f"processes; nearest that does: {max(1, round(batch / here.size)) * here.size}"
        )
    each = batch // here.size
    return slice(here.rank * each, (here.rank + 1) * each)


def gathered(output: _Output, here: Processes) -> _Output:
    """A network's output for the whole batch; the gradient goes to this process's share.

    Args:
        output: Tensors that begin with the share's B, alone or in tuples, dicts or dataclasses.
        here: Which process.
    """
    if here.size == 1:
        return output

    def whole(mine: Tensor) -> Tensor:
        parts = [torch.empty(mine.shape, dtype=mine.dtype, device=mine.device)]
        parts += [torch.empty_like(parts[0]) for _ in range(here.size - 1)]
        distributed.all_gather(parts, mine.detach().contiguous())
        parts[here.rank] = mine
        return torch.cat(parts)

    return cast("_Output", _mapped(output, whole))


def _mapped(value: object, function: Callable[[Tensor], Tensor]) -> object:
    """The same structure with every tensor replaced."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple | list):
        items: list[Any] = [_mapped(item, function) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: _mapped(item, function) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {
            item.name: _mapped(getattr(value, item.name), function)
            for item in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **changes)
    return value


@torch.no_grad()
def add_gradients(
    network: Iterable[nn.Parameter], loss: Iterable[nn.Parameter], here: Processes
) -> None:
    """Make the gradients of the shares those of the whole batch, in every process.

    Args:
        network: Parameters whose gradients are of this process's share.
        loss: Parameters whose gradients are of the whole batch already; the mean over the
            processes keeps them equal to the last bit.
        here: Which process.
    """
    if here.size == 1:
        return
    whole = [p.grad for p in loss if p.grad is not None]
    for grad in whole:
        grad.div_(here.size)
    grads = [p.grad for p in network if p.grad is not None] + whole
    flat = torch.cat([grad.reshape(-1) for grad in grads])  # one message, not hundreds
    distributed.all_reduce(flat)
    parts = flat.split([grad.numel() for grad in grads])
    for grad, part in zip(grads, parts, strict=True):
        grad.copy_(part.view(grad.shape))


@torch.no_grad()
def average_running_statistics(network: nn.Module, here: Processes) -> None:
    """Give every process the mean of the processes' running means and variances."""
    if here.size == 1:
        return
    kept = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.training]
    values = [v for m in kept for v in (m.running_mean, m.running_var) if v is not None]
    if not values:
        return
    flat = torch.cat(values)
    distributed.all_reduce(flat)
    for value, part in zip(values, flat.split([len(v) for v in values]), strict=True):
        value.copy_(part / here.size)
