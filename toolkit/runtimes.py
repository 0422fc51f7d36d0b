"""Runtimes: other ways than PyTorch to compute a model, found by entry point.

As with models, the toolkit imports none: a package lists objects that have the methods of
`Runtime` under the entry-point group `toolkit.runtimes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from toolkit.errors import MissingExtraError, ToolkitError, UsageError
from toolkit.models import PoseModel

GROUP = "toolkit.runtimes"
CHOICES = ("auto", "torch", "onnx")


@dataclass(frozen=True)
class Exported:
    """A model that was written for a runtime.

    Attributes:
        path: The file.
        model: Name of the model.
        schema: Whose keypoints it predicts.
        outputs: Names of its outputs.
        max_difference_px: Largest difference from PyTorch, in px of the crop.
        crops_checked: On how many crops.
    """

    path: Path
    model: str
    schema: str
    outputs: tuple[str, ...]
    max_difference_px: float
    crops_checked: int


class Runtime(Protocol):
    """One way to compute models.

    Attributes:
        name: As in `--runtime`.
        suffix: Of its files.
        packages: What must be installed to run.
        export_packages: What must be installed to write.
    """

    name: str
    suffix: str
    packages: tuple[str, ...]
    export_packages: tuple[str, ...]

    def load(self, path: Path, *, threads: int | None = None) -> PoseModel:
        """The model in a file of this runtime."""

    def can_export(self, model: PoseModel) -> bool:
        """Whether a model can be written for this runtime."""

    def export(self, model: PoseModel, out: Path, *, force: bool = False) -> Exported:
        """Write a model, and keep the file only where it computes the same."""

    def converted(
        self,
        model: PoseModel,
        *,
        threads: int | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> PoseModel:
        """The same model in this runtime, from a cache where it was written before."""


def find_runtime(name: str) -> Runtime:
    """One runtime by name.

    Raises:
        UsageError: No installed package has it.
    """
    for point in entry_points(group=GROUP):
        if point.name == name:
            runtime: Runtime = point.load()
            return runtime
    raise UsageError(f"no runtime '{name}'; install the toolkit again, with 'pip install -e .'")


def missing_packages(packages: tuple[str, ...]) -> list[str]:
    """Those of some packages that are not installed."""
    return [name for name in packages if find_spec(name) is None]


def in_runtime(
    model: PoseModel,
    wanted: str,
    device: str,
    *,
    threads: int | None,
    announce: Callable[[str], None],
) -> PoseModel:
    """A model in the runtime that was asked for.

    `auto` takes ONNX Runtime on a CPU where it is installed, and PyTorch otherwise; where
    the model cannot be converted it says so and goes on with PyTorch.

    Args:
        model: Loaded by PyTorch.
        wanted: One of `CHOICES`.
        device: Torch device of the model.
        threads: CPU threads.
        announce: Told of everything that the user did not ask for.

    Raises:
        UsageError: ONNX was asked for, and the model is no network.
        MissingExtraError: ONNX was asked for and is not installed.
    """
    if wanted == "torch" or (wanted == "auto" and device != "cpu"):
        return model
    if wanted == "auto":
        try:
            runtime = find_runtime("onnx")
        except UsageError as error:
            announce(f"computing with PyTorch: {error}")
            return model
        if not runtime.can_export(model):
            return model
        absent = missing_packages(runtime.export_packages)
        if absent:
            announce(
                f"computing with PyTorch: {', '.join(absent)} not installed; ONNX is faster "
                "on a CPU: pip install 'extension-keypoints[onnx]'"
            )
            return model
        try:
            return runtime.converted(model, threads=threads, announce=announce)
        except (ToolkitError, OSError) as error:
            announce(f"computing with PyTorch, not ONNX: {error}")
            return model
    runtime = find_runtime("onnx")
    if not runtime.can_export(model):
        raise UsageError(f"--runtime onnx: model '{model.name}' has no network to convert")
    absent = missing_packages(runtime.export_packages)
    if absent:
        raise MissingExtraError(
            f"--runtime onnx needs {', '.join(absent)}; install with: "
            "pip install 'extension-keypoints[onnx]'"
        )
    return runtime.converted(model, threads=threads, announce=announce)
