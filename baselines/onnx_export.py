"""A trained network as an ONNX file: crops in, keypoints in crop px out, any batch size.

Decoding is part of the graph, so that a user of the file needs no code of ours. The file is
kept only where ONNX Runtime gives PyTorch's keypoints on crops of random shapes and colours.
"""

from __future__ import annotations

import builtins
import json
import logging
import sys
import warnings
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.checkpoints import schema_to_facts
from baselines.crops import MEAN, STD
from baselines.onnx_model import FORMAT, INPUT, OUTPUTS, open_session
from baselines.pipeline import network_inputs
from toolkit.errors import MissingExtraError, ToolkitError, UsageError
from toolkit.files import atomic_file, check_output
from toolkit.models import PoseModel
from toolkit.runtimes import Exported

if TYPE_CHECKING:
    from baselines.predictor import NetworkModel

MAX_DIFFERENCE = 0.1  # crop px
CHECKED_BATCHES = (1, 3, 8)
MAX_BATCH = 4096
UNITS = {
    "points": "xy in crop px, pixel centres at whole numbers; may lie outside the crop",
    "scores": "between 0 and 1",
    "sigmas": "predicted scale in x and y, crop px",
}


class ExportError(ToolkitError):
    """The ONNX file would not do what the network does; nothing was written."""


class WithDecoding(nn.Module):
    """A network and the way from its output to keypoints."""

    def __init__(self, model: NetworkModel) -> None:
        """Keep the network in the precision and layout of the file."""
        super().__init__()
        self.network = model.network
        self.family, self.config = model.family, model.config

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) to points (B, K, 2), scores (B, K) and, where it has them, sigmas."""
        decoded = self.family.decode(self.network(images), self.config)
        if decoded.sigma is None:
            return decoded.points, decoded.scores
        return decoded.points, decoded.scores, decoded.sigma


def export_onnx(model: PoseModel, out: Path, *, force: bool = False) -> Exported:
    """Write a model as ONNX with a dynamic batch.

    Args:
        model: A network on the CPU, of a checkpoint or with another schema's text tokens.
        out: The file to write.
        force: Replace what is there.

    Returns:
        Where it is, and how far it is from PyTorch.

    Raises:
        UsageError: The model is no network, or not on the CPU.
        MissingExtraError: onnx, onnxscript or onnxruntime is missing.
        ExportError: The network cannot be exported, or differs by more than 0.1 px.
    """
    from baselines.predictor import NetworkModel  # lazy: it imports this package's rooms

    if not isinstance(model, NetworkModel):
        raise UsageError(f"model '{model.name}' has no network that could be exported")
    if model.device != "cpu":
        raise UsageError(f"model '{model.name}' is on {model.device}; export from the CPU")
    check_output(out, force=force)
    wrapped = WithDecoding(model).eval()
    with atomic_file(out, force=force) as temporary:
        outputs = _write(wrapped, model, temporary)
        difference, crops = _difference(wrapped, temporary, out, model.config.input_wh)
    return Exported(
        path=out,
        model=model.name,
        schema=model.schema.name,
        outputs=outputs,
        max_difference_px=difference,
        crops_checked=crops,
    )


def _write(wrapped: WithDecoding, model: NetworkModel, path: Path) -> tuple[str, ...]:
    """Export the graph, put the metadata in, and give the outputs' names."""
    try:
        import onnx  # lazy: an extra
        import onnxscript  # noqa: F401  # lazy: torch's exporter needs it
    except ImportError as error:
        raise MissingExtraError(
            "'toolkit export' needs onnx, onnxscript and onnxruntime; install them with: "
            "pip install 'extension-keypoints[models,onnx]'"
        ) from error
    width, height = model.config.input_wh
    example = torch.zeros(2, 3, height, width)
    with torch.inference_mode():
        outputs = OUTPUTS[: len(wrapped(example))]
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own code
            with _symbolic_len(wrapped):
                program = torch.onnx.export(
                    wrapped,
                    (example,),
                    input_names=[INPUT],
                    output_names=list(outputs),
                    dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=MAX_BATCH)},),
                    dynamo=True,
                    verbose=False,
                )
            assert program is not None
            proto = program.model_proto
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().split("\n", 1)[0]
        raise ExportError(
            f"model '{model.name}' cannot be exported as ONNX: {reason}"
        ) from error
    finally:
        log.setLevel(level)
    described: dict[str, object] = {
        name: {"shape": _shape(proto.graph.output[place]), "meaning": UNITS[name]}
        for place, name in enumerate(outputs)
    }
    onnx.helper.set_model_props(proto, _metadata(model, described))
    proto.doc_string = ""
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return outputs


@contextmanager
def _symbolic_len(network: nn.Module) -> Iterator[None]:
    """Inside the block, `len(images)` in the network's own modules is a dynamic size.

    `len` must give an int, so torch.export would take the example's batch for the only one.
    """

    def symbolic(value: Sized) -> int:
        return value.shape[0] if isinstance(value, Tensor) else builtins.len(value)

    own = {type(module).__module__ for module in network.modules()}
    spaces = [vars(sys.modules[name]) for name in own if not name.startswith("torch.")]
    spaces = [space for space in spaces if "len" not in space]
    for space in spaces:
        space["len"] = symbolic
    try:
        yield
    finally:
        for space in spaces:
            del space["len"]


def _shape(value: object) -> list[object]:
    """Dimensions of an output, names for the dynamic ones."""
    dims = value.type.tensor_type.shape.dim  # type: ignore[attr-defined]
    return [dim.dim_param or dim.dim_value for dim in dims]


def _metadata(model: NetworkModel, outputs: dict[str, object]) -> dict[str, str]:
    """What a reader of the file needs; see `baselines.onnx_model` for the keys."""
    width, height = model.config.input_wh
    told = {key: value for key, value in model.facts.items() if key not in ("schema", "recipe")}
    documents = {
        "format": FORMAT,
        "model": model.name,
        "schema": schema_to_facts(model.schema),
        "keypoint_names": list(model.schema.names),
        "recipe": model.config.to_dict(),
        "input": {
            "name": INPUT,
            "shape": ["batch", 3, height, width],
            "pixels": "RGB, (value - mean) / std, float32",
            "mean": MEAN,
            "std": STD,
        },
        "outputs": outputs,
        "facts": {**told, "parameters": model.num_parameters},
    }
    return {
        key: json.dumps(value, ensure_ascii=False, sort_keys=True)
        for key, value in documents.items()
    }


def _difference(
    wrapped: WithDecoding, written: Path, out: Path, crop_wh: tuple[int, int]
) -> tuple[float, int]:
    """Largest difference in px (of scores: in hundredths), and on how many crops.

    Raises:
        ExportError: The file takes no such batch, or answers in another shape, in values that
            are no numbers, or too far from PyTorch.
    """
    session = open_session(written)
    inputs = network_inputs(random_crops(sum(CHECKED_BATCHES), crop_wh))
    largest, start = 0.0, 0
    for count in CHECKED_BATCHES:
        batch = inputs[start : start + count]
        start += count
        try:
            found = session.run(None, {INPUT: batch})
        except Exception as error:  # onnxruntime's exceptions have no common class
            raise ExportError(
                f"{out}: not written: the file does not take {count} crops at once: "
                f"{str(error).splitlines()[0]}"
            ) from error
        with torch.inference_mode():
            wanted = wrapped(torch.from_numpy(batch))
        for name, one, other in zip(OUTPUTS, wanted, found, strict=False):
            # One NaN would be no difference at all: max(0.0, nan) is 0.0.
            if other.shape != tuple(one.shape) or not np.isfinite(other).all():
                raise ExportError(
                    f"{out}: not written: for {count} crops its '{name}' are {other.shape}, "
                    f"{int((~np.isfinite(other)).sum())} of them no numbers; expected "
                    f"{tuple(one.shape)} and none; compute in PyTorch: --runtime torch"
                )
            gap = float(np.abs(one.numpy() - other).max())
            largest = max(largest, gap * (100 if name == "scores" else 1))
    if not largest <= MAX_DIFFERENCE:
        raise ExportError(
            f"{out}: not written: its keypoints are up to {largest:.3g} px from PyTorch's; "
            f"at most {MAX_DIFFERENCE} px are allowed"
        )
    return largest, len(inputs)


def random_crops(count: int, crop_wh: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """(N, H, W, 3) crops with strokes at random: edges, which noise has not."""
    import cv2  # lazy: only a check needs it

    rng = np.random.default_rng(seed)
    width, height = crop_wh
    crops = np.empty((count, height, width, 3), np.uint8)
    for crop in crops:
        crop[:] = rng.integers(0, 256, 3)
        for _ in range(12):
            ends = rng.integers(0, [width, height], (2, 2)).tolist()
            color = rng.integers(0, 256, 3).tolist()
            thickness = int(rng.integers(1, max(width // 5, 2)))
            cv2.line(crop, ends[0], ends[1], color, thickness)
        crop[:] = np.clip(crop + rng.normal(0, 8, crop.shape), 0, 255)
    return crops
