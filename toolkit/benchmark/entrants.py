"""Who takes part: registered models with a checkpoint, and predictions from files."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import toolkit
from toolkit.annotations import Predictions
from toolkit.benchmark.demo import GIVEN_TRUE_BODY, SPORT_MODELS, Suite
from toolkit.benchmark.demo_data import make_cache
from toolkit.benchmark.measure import Entrant
from toolkit.benchmark.prediction_cache import cache_key, cached, code_hash
from toolkit.benchmark.tables import RowKind, Value
from toolkit.dataset import Dataset
from toolkit.errors import MissingExtraError, SchemaError, UsageError
from toolkit.files import sha256_bytes, sha256_file
from toolkit.models import GROUP
from toolkit.processes import predict
from toolkit.zero_shot import CHOICES, How, explain, zero_shot

if TYPE_CHECKING:
    from toolkit.models import ModelEntry, PoseModel
    from toolkit.schema import Schema

Watch = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class Contender:
    """A loaded model with its registration.

    Attributes:
        label: Of its row.
        entry: Its registration.
        model: The same, loaded.
    """

    label: str
    entry: ModelEntry
    model: PoseModel


def load_models(
    suite: Suite, names: Sequence[str] | None, device: str
) -> tuple[list[Contender], list[str]]:
    """Models of a suite, loaded, and the suite's own that have no checkpoint.

    Args:
        suite: Says which, and in what order, where `names` does not; models of other
            packages follow.
        names: Names as on the command line, or `LABEL=FILE` for a checkpoint; or None.
        device: Torch device.

    Raises:
        UsageError: A model that was named does not exist or has no checkpoint.
        MissingExtraError: torch is not installed.
    """
    from toolkit.models import find_models, require_torch

    known = find_models()
    require_torch("toolkit benchmark")
    if names is not None:
        return [_named(suite, name, device) for name in names], []
    others = [
        name
        for name, entry in known.items()
        if name not in SPORT_MODELS and entry.role != "pre-annotator" and entry.reads is None
    ]
    loaded, absent = [], []
    for name in (*suite.models, *others):
        try:
            model = known[name].load(suite.trained_on, device)
        except (KeyError, UsageError):  # not registered, or no checkpoint for this schema
            if name in suite.models:
                absent.append(name)
        else:
            loaded.append(Contender(name, known[name], model))
    return loaded, absent


def _named(suite: Suite, name: str, device: str) -> Contender:
    """A registered name, or `LABEL=FILE`."""
    from toolkit.models import get_model, load_checkpoint

    label, equals, file = name.partition("=")
    if not equals:
        entry = get_model(name)
        return Contender(name, entry, entry.load(suite.trained_on, device))
    model = load_checkpoint(Path(file), device)
    return Contender(label, get_model(model.name), model)


def in_another_schema(
    contenders: Sequence[Contender], schema: Schema, how: str
) -> tuple[list[Contender], list[str], list[str]]:
    """Contenders that answer in the schema of the data.

    Args:
        contenders: Models of any schema.
        schema: Of the data.
        how: `names`, `prompts`, or `both` for a row of each.

    Returns:
        The contenders, the keypoints that one or more of them lack (nobody is scored on
        those, so that rows compare), and lines for people.

    Raises:
        SchemaError: By prompts alone, and a keypoint of the schema has none.
        MissingExtraError, ServiceError: By prompts alone, and a text encoder cannot be had.
    """
    ways: tuple[How, ...] = CHOICES if how == "both" else ("names",)
    ways = ("prompts",) if how == "prompts" else ways
    found: list[Contender] = []
    missing: set[str] = set()
    said: list[str] = []
    for one in contenders:
        for way in ways:
            try:
                model = zero_shot(one.model, schema, way)
            except (UsageError, SchemaError, MissingExtraError) as error:
                # A model may lack language; where language itself fails, no other model has it.
                if how == "prompts" and not isinstance(error, UsageError):
                    raise
                said.append(f"no row '{one.label}' by {way}: {error}")
                continue
            found.append(Contender(f"{one.label}, by {way}", one.entry, model))
            missing.update(model.missing)
            said += [f"{one.label} by {way}: {line}" for line in explain(model)]
    if missing:
        said.append(f"no row is scored on {', '.join(sorted(missing))}")
    return found, [name for name in schema.names if name in missing], said


def model_entrant(
    suite: Suite,
    contender: Contender,
    truth: Dataset,
    images_dir: Path,
    progress: Callable[[int, int], None],
    *,
    pictures: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Entrant:
    """A model's row: predictions from the cache or computed now.

    Args:
        suite: Whose table it stands in.
        contender: Who.
        truth: Whose boxes it is given; only oracles and controls read more.
        images_dir: Images of the ground truth.
        progress: Called with (people done, people in all) while it runs.
        pictures: `pictures_sha256` of the images; None for a rendered set, whose folder's
            name tells what is in it.
        say: Called with a line where the cache could not keep them; None raises.
    """
    entry, model = contender.entry, contender.model

    def compute() -> tuple[Predictions, float]:
        start = time.perf_counter()
        predictions = predict(model, truth, images_dir, progress=progress)
        return predictions, time.perf_counter() - start

    key = cache_key(
        entry.name,
        json.dumps(model.facts, sort_keys=True, default=str),
        code_of(entry),
        model.schema,
        truth.sha256,
        _read_by_models(truth),
        pictures or images_dir.resolve(),
        getattr(model, "device", ""),
    )
    path = make_cache("predictions") / f"{entry.name}_{suite.name}_{key}.npz"
    predictions, seconds = cached(path, model.schema, compute, say)
    kinds: dict[str, RowKind] = {"control": "control", "oracle": "oracle"}
    return Entrant(
        label=contender.label,
        predictions=predictions,
        kind=kinds.get(entry.role, "model"),
        given_truth=entry.name in GIVEN_TRUE_BODY,
        note=entry.note.rstrip("."),
        costs=_costs(entry, model, seconds / max(1, len(truth.annotations))),
        is_ours=entry.role == "model",
    )


def _read_by_models(truth: Dataset) -> str:
    """Hash of what models read: zero-shot, keypoints are no longer those of the file."""
    people = truth.annotations
    arrays = (people.bbox_xywh, people.keypoints, people.visibility, people.category_id)
    return sha256_bytes(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays))


def file_entrant(label: str, path: Path, truth: Dataset) -> Entrant:
    """A row from a COCO results file.

    Raises:
        InvalidDataError: The file has errors, or its keypoints are not the ground truth's.
        ReadError: It cannot be read.
    """
    from toolkit import formats

    predictions = formats.read_predictions(path, truth.schema)
    return Entrant(label=label, predictions=predictions, note=f"predictions from {path.name}")


def parse_named_files(texts: Sequence[str]) -> dict[str, Path]:
    """`NAME=FILE` arguments.

    Raises:
        UsageError: One has no `=`, no name or no file, or a name comes twice.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not (equals and name.strip() and file):
            raise UsageError(
                f"option --predictions: got {text!r}; wanted NAME=FILE, such as "
                "mine=predictions.json"
            )
        if name.strip() in found:
            raise UsageError(
                f"option --predictions: the name {name.strip()!r} comes twice; give each file "
                "a name of its own"
            )
        found[name.strip()] = Path(file)
    return found


def _costs(entry: ModelEntry, model: PoseModel, seconds: float) -> dict[str, Value]:
    return {
        "s/person": seconds,
        "params": model.num_parameters,
        "images seen": _number(model.facts.get("images_seen")),
        "text": _text(model.facts.get("text_encoder")),
        "box": entry.box,
    }


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def code_of(entry: ModelEntry) -> str:
    """Hash of the code that predictions may depend on, as far as it is files.

    The package of the entry's loader, all packages that register models (one may build on
    another, as TokenCLIPose does on the baselines), and the toolkit's own modules that read
    images and turn crops.
    """
    names = {point.module for point in entry_points(group=GROUP)} | {entry.load.__module__}
    parts = []
    for name in sorted({name.partition(".")[0] for name in names}):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            path = Path(file)
            of_package = path.name == "__init__.py"
            parts.append(code_hash(path.parent) if of_package else sha256_file(path))
    own = sorted(Path(toolkit.__file__).parent.glob("*.py"))
    return sha256_bytes("\n".join(parts + [sha256_file(path) for path in own]).encode())
