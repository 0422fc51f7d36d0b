"""Predictions of a model, computed once for each checkpoint, code and data.

The key holds the model's name, its checkpoint's hash, a hash of the code of its package, and
the hashes of the ground truth and of its pictures; when any of them changes, the model runs
again. The time that a prediction took is kept with it.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.annotations import Predictions
from toolkit.errors import WriteError
from toolkit.files import sha256_bytes, write_bytes
from toolkit.processes import gather, processes

if TYPE_CHECKING:
    from toolkit.schema import Schema

ARRAYS = ("image_id", "keypoints", "scores", "keypoint_scores", "annotation_id", "bbox_xywh")
OPTIONAL = ("sigma", "category_id")  # scales not all have; categories old files lack


def cache_key(*parts: object) -> str:
    """One hash of everything that predictions depend on."""
    text = json.dumps([str(part) for part in parts])
    return sha256_bytes(text.encode("utf-8"))[:32]


def code_hash(folder: Path) -> str:
    """Hash of all Python files and recipes below a folder."""
    files = sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".toml"))
    parts = [f"{p.relative_to(folder)}:{sha256_bytes(p.read_bytes())}" for p in files]
    return sha256_bytes("\n".join(parts).encode("utf-8"))


def cached(
    path: Path,
    schema: Schema,
    compute: Callable[[], tuple[Predictions, float]],
    say: Callable[[str], None] | None = None,
) -> tuple[Predictions, float]:
    """Predictions and seconds from a cache file, else computed and kept.

    A cache file that cannot be read is made again. Several processes compute it together, or
    all read it; the leader writes it.

    Args:
        path: The file, named by `cache_key`.
        schema: Of the predictions.
        compute: Makes the predictions, and says how many seconds it took.
        say: Called with a line where they could not be kept; what was computed is given all
            the same. None for who needs them in the cache.

    Raises:
        WriteError: They could not be kept, and there is no `say`.
    """
    stored = _load(path, schema) if path.is_file() else None
    if all(gather(stored is not None)) and stored is not None:
        return stored
    predictions, seconds = compute()
    if not processes().leads:
        return predictions, seconds
    stream = io.BytesIO()
    arrays = {name: getattr(predictions, name) for name in ARRAYS}
    for name in OPTIONAL:
        if getattr(predictions, name) is not None:
            arrays[name] = getattr(predictions, name)
    np.savez(stream, seconds=np.array(seconds), **arrays)
    try:
        write_bytes(path, stream.getvalue(), force=True)
    except WriteError as error:
        if say is None:
            raise
        say(f"predictions were not kept for the next run: {error}")
    return predictions, seconds


def _load(path: Path, schema: Schema) -> tuple[Predictions, float] | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            columns = {name: stored[name] for name in ARRAYS}
            seconds = float(stored["seconds"])
            columns |= {name: stored[name] for name in OPTIONAL if name in stored}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    image_id, keypoints = columns.pop("image_id"), columns.pop("keypoints")
    found = Predictions.from_arrays(schema, image_id, keypoints, **columns)
    return found, seconds
