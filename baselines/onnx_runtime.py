"""ONNX Runtime, as `toolkit.runtimes` asks for it: files run, and models made into files.

What is made of a checkpoint is kept in the cache, because it takes seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from baselines.onnx_model import OnnxModel
from toolkit.errors import ReadError
from toolkit.files import sha256_bytes
from toolkit.models import PoseModel
from toolkit.places import cache_root
from toolkit.runtimes import Exported

KEPT = 8  # conversions in the cache


class OnnxRuntime:
    """What `toolkit.runtimes` asks of a runtime."""

    name = "onnx"
    suffix = ".onnx"
    packages = ("onnxruntime",)
    export_packages = ("onnx", "onnxruntime", "onnxscript")

    def load(self, path: Path, *, threads: int | None = None) -> PoseModel:
        """The model in an ONNX file."""
        return OnnxModel(path, threads=threads)

    def can_export(self, model: PoseModel) -> bool:
        """Whether a model is a network of ours; a control computes in NumPy."""
        return all(hasattr(model, part) for part in ("network", "family", "config"))

    def export(self, model: PoseModel, out: Path, *, force: bool = False) -> Exported:
        """Write a model as ONNX, checked against PyTorch."""
        from baselines.onnx_export import export_onnx  # lazy: torch costs seconds

        return export_onnx(model, out, force=force)

    def converted(
        self,
        model: PoseModel,
        *,
        threads: int | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> PoseModel:
        """The same model in this runtime, from the cache or exported into it.

        Args:
            model: Loaded by PyTorch.
            threads: CPU threads.
            announce: Told where a new file is written, because that takes seconds.
        """
        path = cache_root() / "onnx" / f"{model.name}-{_identity(model)[:16]}.onnx"
        if path.is_file():
            try:
                return OnnxModel(path, threads=threads)
            except ReadError:
                pass  # damaged: written again below
        if announce is not None:
            announce(f"writing {path}, once for this checkpoint")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.export(model, path, force=True)
        _keep_newest(path.parent)
        return OnnxModel(path, threads=threads)


def _keep_newest(folder: Path) -> None:
    """Drop all but the newest conversions: every training would leave one for good."""
    files = sorted(folder.glob("*.onnx"), key=lambda path: path.stat().st_mtime)
    for old in files[:-KEPT]:
        old.unlink(missing_ok=True)


def _identity(model: PoseModel) -> str:
    """Hash of the weights, the facts and the code that makes a network of them."""
    root = Path(__file__).resolve().parent.parent
    code = [
        path.read_bytes()
        for package in ("baselines", "tokenclipose")
        for path in sorted((root / package).glob("*.py"))
    ]
    facts = json.dumps(model.facts, sort_keys=True, default=str).encode()
    return sha256_bytes(b"\0".join([facts, *code]))


ONNX = OnnxRuntime()
