"""Which networks the ablations train, and in which table each stands.

A row is a trained variant and how it is read. Rows with the same model and the same recipe
share their training runs: table 4's random initialisation, table 6's row without prompts and
the rivals' learned tokens are one network. Every network sees the same number of images, in
the same order for the same seed, and its last weights count: nothing is chosen on any data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from toolkit.benchmark.tables import RowKind
from toolkit.errors import InvalidDataError, ReadError, UsageError
from toolkit.models import find_models

Boxes = Literal["truth", "small-detector", "faster-rcnn"]
OURS = "tokenclipose-small"
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Scale:
    """How much of everything.

    Attributes:
        name: As on the command line.
        images_seen: Training images of every network, repeats included.
        train_people: Rendered people to train on.
        test_people: Rendered people to test on.
    """

    name: str
    images_seen: int
    train_people: int
    test_people: int


SCALES = {
    scale.name: scale
    for scale in (
        Scale("tiny", 64, 64, 48),  # seconds a network: only shows that it runs
        Scale("small", 6_000, 4_000, 2_000),  # minutes: proves the machinery
        Scale("full", 60_000, 24_000, 2_000),  # a quarter of an hour on one core
        Scale("long", 180_000, 24_000, 2_000),
    )
}


@dataclass(frozen=True)
class Variant:
    """One network that is trained.

    Attributes:
        model: Registered name of who is trained.
        changes: Recipe keys that differ from the model's own recipe.
        joints: Registered name of the network whose joints it learns from.
    """

    model: str = OURS
    changes: Mapping[str, object] = field(default_factory=dict)
    joints: str | None = None


@dataclass(frozen=True)
class PlannedRow:
    """One row.

    Attributes:
        label: In the table.
        variant: What is trained.
        reads: Registered name of the model that reads the checkpoint, if it is another.
        kind: As in a table.
        boxes: Whose boxes it is given.
        given_truth: Whether it is handed the true body.
        of_extension: Whether it predicts extension keypoints alone: no row where the schema
            has none.
        note: What a reader must know.
    """

    label: str
    variant: Variant
    reads: str | None = None
    kind: RowKind = "model"
    boxes: Boxes = "truth"
    given_truth: bool = False
    of_extension: bool = False
    note: str = ""


@dataclass(frozen=True)
class Stated:
    """A difference that the paper states, and the rows that it is about.

    Attributes:
        name: In the paper's words.
        points: Stated, in points of PCKh@0.5.
        row: Label of the row that is said to be better.
        minus: Label of the row that it is compared with.
    """

    name: str
    points: float
    row: str
    minus: str


@dataclass(frozen=True)
class PlannedTable:
    """One table.

    Attributes:
        name: On the command line and in JSON.
        title: Above it.
        rows: In order.
        reference: Label of the row that all others are compared with.
        stated: What the paper states about it.
    """

    name: str
    title: str
    rows: tuple[PlannedRow, ...]
    reference: str
    stated: tuple[Stated, ...] = ()


FULL = Variant()
LEARNED = Variant(changes={"text": "learned"})
HRNET = Variant("hrnet-small")
_ALL = "image + location + text"

MODALITIES = PlannedTable(
    name="modalities",
    title="Table 4, modalities and initialisation: PCKh@0.5 in per cent, median error in heads",
    rows=(
        PlannedRow("image", Variant(changes={"modalities": "image"})),
        PlannedRow("image + location", Variant(changes={"modalities": "image+location"})),
        PlannedRow("image + text", Variant(changes={"modalities": "image+text"})),
        PlannedRow(_ALL, FULL),
        PlannedRow(f"{_ALL}, random", LEARNED, note="text tokens start at random"),
    ),
    reference=_ALL,
    stated=(
        Stated("text tokens", 3.35, "image + text", "image"),
        Stated("location tokens", 0.45, "image + location", "image"),
        Stated("CLIP initialisation over random", 2.31, _ALL, f"{_ALL}, random"),
    ),
)
ATTENTION = PlannedTable(
    name="attention",
    title="Table 5, attention: PCKh@0.5 in per cent, median error in heads",
    rows=(
        PlannedRow("intention", Variant(changes={"attention": "intention"})),
        PlannedRow("self", Variant(changes={"attention": "self"})),
        PlannedRow("cross", FULL),
    ),
    reference="cross",
)
PROMPTS = PlannedTable(
    name="prompts",
    title="Table 6, prompts: PCKh@0.5 in per cent, median error in heads",
    rows=(
        PlannedRow("none", LEARNED, note="learned tokens in place of language"),
        PlannedRow("single", Variant(changes={"prompts": "single"})),
        PlannedRow("ensemble", FULL),
    ),
    reference="ensemble",
)
BOXES = PlannedTable(
    name="boxes",
    title="Table 7, person boxes: PCKh@0.5 in per cent, median error in heads",
    rows=(
        PlannedRow("ground truth", FULL),
        PlannedRow("small detector", FULL, boxes="small-detector"),
        PlannedRow("Faster R-CNN", FULL, boxes="faster-rcnn"),
    ),
    reference="ground truth",
    stated=(Stated("ground truth over Faster R-CNN", 2.47, "ground truth", "Faster R-CNN"),),
)
_COARSE = f"{OURS}-coarse"
RIVALS = PlannedTable(
    name="rivals",
    title="Rivals at equal images seen: PCKh@0.5 in per cent, median error in heads",
    rows=(
        PlannedRow(OURS, FULL),
        PlannedRow("its coarse output", FULL, reads=_COARSE, note="before the decoder"),
        PlannedRow("learned tokens", LEARNED, note="the same network without language"),
        PlannedRow(
            "no cross-attention",
            Variant(changes={"attention": "none"}),
            note="the decoder never looks at the image",
        ),
        PlannedRow(
            f"{OURS}-enlarged",
            Variant(f"{OURS}-enlarged"),
            note="the same network on hrnet-small-enlarged's crop",
        ),
        PlannedRow("rle-small", Variant("rle-small"), note="direct regression with RLE"),
        PlannedRow("hrnet-small", HRNET, note="heatmaps on the human's box"),
        PlannedRow("hrnet-small-enlarged", Variant("hrnet-small-enlarged")),
        PlannedRow("hrnet-small-oracle", Variant("hrnet-small-oracle"), kind="oracle"),
        PlannedRow(
            "body-to-stick",
            Variant("body-to-stick"),
            kind="control",
            given_truth=True,
            of_extension=True,
            note="is handed the true body joints",
        ),
        PlannedRow(
            "body-to-stick-predicted",
            Variant("body-to-stick-predicted", joints="hrnet-small"),
            kind="control",
            of_extension=True,
            note="from the joints of the same seed's hrnet-small",
        ),
    ),
    reference=OURS,
)
TABLES = {t.name: t for t in (MODALITIES, ATTENTION, PROMPTS, BOXES, RIVALS)}
NUMBERS = {"4": "modalities", "5": "attention", "6": "prompts", "7": "boxes"}


def choose_tables(names: str | None) -> tuple[PlannedTable, ...]:
    """Tables from the command line's list of names or of the paper's numbers.

    Raises:
        UsageError: A name is unknown, or there is none.
    """
    if names is None:
        return tuple(TABLES.values())
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    chosen = []
    for name in dict.fromkeys(NUMBERS.get(name, name) for name in wanted):
        if name not in TABLES:
            raise UsageError(
                f"option --tables: no table '{name}'; wanted some of 4, 5, 6, 7 and "
                f"{', '.join(TABLES)}"
            )
        chosen.append(TABLES[name])
    if not chosen:
        raise UsageError("option --tables: got no name; wanted such as 4,5 or rivals")
    return tuple(chosen)


def on_recipe(
    tables: Sequence[PlannedTable], changes: Mapping[str, object]
) -> tuple[PlannedTable, ...]:
    """The tables with recipe keys laid under every variant of ours; rivals stay as they are."""

    def laid(row: PlannedRow) -> PlannedRow:
        variant = row.variant
        if not variant.model.startswith(OURS):
            return row
        return replace(row, variant=replace(variant, changes={**changes, **variant.changes}))

    return tuple(replace(table, rows=tuple(map(laid, table.rows))) for table in tables)


def read_changes(path: Path) -> dict[str, object]:
    """Recipe keys of a TOML file, for `on_recipe`.

    Raises:
        ReadError: It is no TOML file.
        UsageError: It sets what the scale sets.
        InvalidDataError: Our network's recipe has no such key, or not with such a value.
    """
    try:
        changes = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: cannot read the recipe: {error}") from error
    for key in ("images_seen", "validate_every"):
        if key in changes:
            raise UsageError(f"{path}: '{key}' is what --scale sets; leave it out")
    entry = find_models().get(OURS)
    if entry is not None and entry.recipe is not None:
        try:
            entry.recipe(changes)
        except InvalidDataError as error:  # it names the recipe that the keys were laid on
            said = str(error).partition(".toml: ")[2] or str(error)
            raise InvalidDataError(f"{path}: {said}") from error
    return changes


def parse_seeds(text: str) -> tuple[int, ...]:
    """Training seeds from `0,1,2`.

    Raises:
        UsageError: One is not a whole number from 0 to 2**32 - 1 (NumPy's bound), comes twice,
            or there is none.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"option --seeds: got {text!r}; wanted whole numbers such as 0,1,2")
    # the length first: Python refuses to read a number of thousands of digits
    if any(len(part) > len(str(MAX_SEED)) or int(part) > MAX_SEED for part in parts):
        raise UsageError(
            f"option --seeds: got {text[:80]!r}; wanted whole numbers up to {MAX_SEED}, such "
            "as 0,1,2"
        )
    seeds = tuple(int(part) for part in parts)
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"option --seeds: {text!r} names a seed twice")
    return seeds
