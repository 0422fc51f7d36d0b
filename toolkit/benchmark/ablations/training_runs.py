"""Trained networks on disk: one folder a run, named by recipe, seed and data.

A run's folder holds `recipe.toml`, the training folder `run/`, `train.log`, and, when it is
done, `done.json`. What is done is never trained again; what was interrupted goes on from the
loop's own state. The name is a hash of everything that decides the weights but the code, so
a changed recipe or another data set never meets an old run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.benchmark.ablations.data import NAME_CHARS, Files
from toolkit.benchmark.ablations.plan import PlannedTable, Variant
from toolkit.errors import InvalidDataError, ReadError, UsageError
from toolkit.files import sha256_bytes, sha256_file, write_bytes, write_text
from toolkit.models import ModelEntry, find_models

DONE = "done.json"
_SINCE = ("calibration",)  # what a checkpoint was told after its training
CHECKPOINT = "best.safetensors"  # without validation data the best are the last weights


@dataclass(frozen=True)
class TrainingRun:
    """One network, one seed, one data set.

    Attributes:
        model: Registered name.
        recipe: What differs from the defaults, which may be nothing; None for models without
            a recipe.
        images_seen: Its budget, 0 for models that see no image.
        seed: Of all chance.
        data: To train on.
        joints: The run whose network's joints it learns from.
        runs: Folder of all runs.
    """

    model: str
    recipe: Mapping[str, object] | None
    images_seen: int
    seed: int
    data: Files
    runs: Path
    joints: TrainingRun | None = None

    @property
    def name(self) -> str:
        """Model, hash of recipe, own schema file and images, seed, hash of the data."""
        parts: dict[str, object] = {
            "model": self.model,
            "recipe": dict(self.recipe or {}),
            "joints": None if self.joints is None else self.joints.name,
        }
        if self.data.schema_sha256 is not None:
            parts["schema"] = self.data.schema_sha256
        if self.data.images_sha256 is not None:
            parts["images"] = self.data.images_sha256
        digest = sha256_bytes(json.dumps(parts, sort_keys=True).encode("utf-8"))[:NAME_CHARS]
        return f"{self.model}-{digest}-seed{self.seed}-{self.data.sha256[:NAME_CHARS]}"

    @property
    def folder(self) -> Path:
        """Everything about it."""
        return self.runs / self.name

    @property
    def checkpoint(self) -> Path:
        """Its weights, once it is done."""
        return self.folder / "run" / CHECKPOINT

    @property
    def is_done(self) -> bool:
        """Whether it was finished, here or in a run before.

        Raises:
            ReadError: It was, and what says so cannot be read.
            UsageError: It was, by another recipe: a default has changed since.
        """
        if not ((self.folder / DONE).is_file() and self.checkpoint.is_file()):
            return False
        self.facts()  # they are printed after hours of training: damage is told now
        stored = _read_facts(self.checkpoint.with_suffix(".json")).get("recipe")
        if self.recipe is None or not isinstance(stored, dict):
            return True
        try:
            changed = changed_keys(self.model, stored, self.recipe)
        except InvalidDataError:  # keys that went since: what they meant cannot be compared
            return True
        if changed:
            raise UsageError(
                f"{self.folder}: was trained with another value of {', '.join(changed)} than "
                "the recipe has now; move it away, or give another --runs, to train it again"
            )
        return True

    def facts(self) -> dict[str, object]:
        """What `done.json` says: seconds and so on.

        Raises:
            ReadError: It cannot be read.
        """
        return _read_facts(self.folder / DONE)


def _read_facts(path: Path) -> dict[str, object]:
    """A JSON object in a run's folder.

    Raises:
        ReadError: It cannot be read, or is none.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ReadError(
            f"{path}: cannot read it: {error}; remove the folder to train that network again"
        ) from error


def changed_keys(
    model: str, stored: Mapping[str, object], recipe: Mapping[str, object]
) -> list[str]:
    """Keys that a recipe which was kept with a run has otherwise than one of today.

    A run's name tells what differs from the defaults alone, so it does not tell runs apart
    that were begun before and after a default changed.

    Args:
        model: Registered name; it has recipes.
        stored: A whole recipe. Keys that it lacks came later, and count as equal.
        recipe: What differs from the defaults of today.

    Raises:
        InvalidDataError: It was kept by other code: it has keys or values of its own.
    """
    resolve = find_models()[model].recipe
    assert resolve is not None
    before, now = (json.loads(json.dumps(each)) for each in (resolve(stored), recipe))
    return sorted(key for key in {*before, *now} if before.get(key) != now.get(key))


def make_run(
    variant: Variant, images_seen: int, seed: int, data: Files, runs: Path
) -> TrainingRun:
    """The run of a variant.

    Raises:
        InvalidDataError: The model's recipe has no such key.
    """
    entry = find_models()[variant.model]
    recipe: dict[str, object] | None = None
    if entry.recipe is not None:
        budget = {"images_seen": images_seen, "validate_every": max(1, images_seen // 4)}
        recipe = entry.recipe({**variant.changes, **budget})
    joints = None
    if variant.joints is not None:
        joints = make_run(Variant(variant.joints), images_seen, seed, data, runs)
    seen = images_seen if recipe is not None or joints is not None else 0
    return TrainingRun(variant.model, recipe, seen, seed, data, runs, joints)


def all_runs(
    tables: Sequence[PlannedTable],
    images_seen: int,
    seeds: Sequence[int],
    data: Files,
    runs: Path,
) -> dict[str, TrainingRun]:
    """Every run that some row needs, by name, in the order to train: seed by seed.

    Rows whose model is not registered are left out.
    """
    known: dict[str, ModelEntry] = find_models()
    found: dict[str, TrainingRun] = {}
    for seed in seeds:
        for row in (row for table in tables for row in table.rows):
            if row.variant.model not in known:
                continue
            run = make_run(row.variant, images_seen, seed, data, runs)
            for needed in (run.joints, run):
                if needed is not None:
                    found.setdefault(needed.name, needed)
    return found


def take_shipped(run: TrainingRun) -> Path | None:
    """Take the checkpoint that ships in place of a training, where it is that very run's.

    It must name the same model, recipe, budget, seed, schema and training data. On the same
    processor and torch, training gives those weights again; elsewhere ones of the same kind.

    Returns:
        The shipped file, or None where none is this run's.
    """
    entry = find_models()[run.model]
    if entry.shipped is None or entry.recipe is None or run.recipe is None:
        return None
    shipped = entry.shipped(run.data.schema)
    if shipped is None:
        return None
    facts = json.loads(shipped.with_suffix(".json").read_text(encoding="utf-8"))
    same = (
        facts.get("model") == run.model
        and facts.get("seed") == run.seed
        and facts.get("images_seen") == run.images_seen
        and facts.get("data_sha256") == run.data.sha256
        and entry.recipe(facts.get("recipe", {})) == run.recipe
    )
    if not same:
        return None
    run.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    own = {key: value for key, value in facts.items() if key not in _SINCE}
    text = json.dumps(own, indent=2, ensure_ascii=False) + "\n"
    write_text(run.checkpoint.with_suffix(".json"), text, force=True)
    write_bytes(run.checkpoint, shipped.read_bytes(), force=True)
    done = {
        "checkpoint": CHECKPOINT,
        "checkpoint_sha256": sha256_file(shipped),
        "shipped": shipped.name,
        "code_version": facts.get("code_version"),
    }
    write_text(run.folder / DONE, json.dumps(done, indent=2) + "\n", force=True)
    return shipped


def recipe_text(recipe: Mapping[str, object]) -> str:
    """A recipe as TOML: words, numbers, truth values and lists are spelled as in JSON."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in recipe.items())
