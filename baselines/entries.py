"""Entries of trained networks, made without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import UsageError
from toolkit.models import (
    AdoptRequest,
    Box,
    ModelEntry,
    PoseModel,
    Role,
    TrainRequest,
    require_torch,
)

if TYPE_CHECKING:
    from baselines.family import Family

CHECKPOINTS = Path(__file__).resolve().parent / "checkpoints"


def _heatmap() -> Family:
    from baselines.family import HEATMAP  # lazy: torch costs seconds

    return HEATMAP


def network_entry(
    name: str,
    title: str,
    *,
    role: Role,
    recipe: str,
    box: Box = "human",
    note: str = "",
    family: Callable[[], Family] = _heatmap,
    checkpoints: Path = CHECKPOINTS,
    published: str | None = None,
    reads: str | None = None,
) -> ModelEntry:
    """An entry whose checkpoints are files `NAME_SCHEMA.safetensors` in one folder.

    Args:
        name: As on the command line.
        title: As in a table.
        role: What it stands for.
        recipe: Its own recipe.
        box: What its crop is drawn round.
        note: For readers of a table.
        family: Gives the family; called late, because it imports torch.
        checkpoints: Folder of the shipped checkpoints.
        published: Which reader of `baselines.adoption` knows the weights that others
            published for it; None where there are none.
        reads: The model whose shipped checkpoints this one reads; None for its own.
    """
    ships = reads or name

    def load(schema_or_path: str | Path, device: str) -> PoseModel:
        path = find_checkpoint(ships, schema_or_path, checkpoints)
        require_torch(f"loading '{name}'")
        from baselines.predictor import CheckpointModel  # lazy: torch costs seconds

        kind = family()
        # A family of another output reads any checkpoint of the network.
        wanted = None if kind.output else name
        return CheckpointModel(path, {kind.name: kind}, device, wanted=wanted)

    def train(request: TrainRequest) -> Path:
        require_torch(f"training '{name}'")
        from baselines.requests import train_network  # lazy: torch costs seconds

        return train_network(name, recipe, family(), request)

    def changed(changes: Mapping[str, object]) -> dict[str, object]:
        from baselines.config import load_recipe, without_defaults  # lazy: with the loop

        return without_defaults(load_recipe(recipe, **changes))

    def adopt(request: AdoptRequest) -> Path:
        require_torch(f"adopting weights of '{name}'")
        from baselines.adoption import READERS, adopt_network  # lazy: torch costs seconds

        return adopt_network(name, recipe, READERS[str(published)], request)

    return ModelEntry(
        name,
        title,
        role,
        load,
        train,
        box,
        note,
        changed,
        adopt if published else None,
        shipped=lambda schema: shipped_checkpoint(ships, schema, checkpoints),
        reads=reads,
    )


def shipped_checkpoint(name: str, schema: str | Path, folder: Path) -> Path | None:
    """The checkpoint that ships for a schema; None where none does."""
    path = folder / f"{name}_{schema}.safetensors"
    return path if path.parent == folder and path.is_file() else None


def find_checkpoint(name: str, schema_or_path: str | Path, folder: Path) -> Path:
    """The file that a schema name or a path stands for.

    Raises:
        UsageError: No such file, or no checkpoint of this model ships for that schema.
    """
    shipped = shipped_checkpoint(name, schema_or_path, folder)
    if shipped is not None:
        return shipped
    path = Path(schema_or_path)
    if path.is_file():
        return path
    known = sorted(
        p.stem.removeprefix(f"{name}_") for p in folder.glob(f"{name}_*.safetensors")
    )
    raise UsageError(
        f"model '{name}' has no checkpoint '{schema_or_path}': not a file, and the schemas it "
        f"ships for are: {', '.join(known) or 'none'}; train one with 'toolkit train {name}'"
    )
