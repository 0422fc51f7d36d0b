"""What the suites are: test sets with their seeds, columns, and who stands in each table.

The seeds below are the whole definition of the demo's data: a set is rendered from its seed
on first use. Models were trained on the train seeds and chosen on the validation seeds; the
test seeds were drawn after the recipes of `tokenclipose-small` and of its rivals were final.
`docs/benchmark.md` names the rows that came later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolkit.benchmark.tables import Column

TRAIN_SEEDS = {"hockey": 101, "crowdpose": 111}
VALIDATION_SEEDS = {"hockey": 202, "lacrosse": 242, "crowdpose": 212}
TEST_SEEDS = {"hockey": 404, "lacrosse": 424, "crowdpose": 414}
TRAIN_PEOPLE = {"hockey": 24_000, "crowdpose": 16_000}
TEST_PEOPLE = 2000  # fewer, and the intervals are too wide to say anything

GROUP = "outside group"  # the keypoints of the headline, as a group of the evaluation
MEDIAN = "median error (heads) outside box"
MEDIAN_NOTE = "median error of the same keypoints, in head sizes; lower is better"

COSTS = (
    Column("s/person", "seconds", None, "seconds a person, crops included"),
    Column("params", "count", None, "parameters used in prediction"),
    Column("images seen", "count", None, "training images seen, repeats counted"),
    Column("text", "text", None, "text encoder of the keypoint prompts"),
    Column("box", "text", None, "what the model is cropped to"),
)

SPORT_MODELS = (
    "tokenclipose-small",
    "tokenclipose-small-enlarged",
    "tokenclipose-small-transfer",
    "hrnet-small",
    "hrnet-small-enlarged",
    "hrnet-small-oracle",
    "mean-pose",
    "body-to-stick",
    "body-to-stick-predicted",
)
CROWDPOSE_MODELS = ("tokenclipose-small", "hrnet-small", "mean-pose")
GIVEN_TRUE_BODY = frozenset({"body-to-stick"})


@dataclass(frozen=True)
class Suite:
    """One table: its data, its rules and its columns.

    Attributes:
        name: `hockey`, `lacrosse` or `crowdpose`.
        title: Of the table.
        schema: Of the test data.
        trained_on: Schema of the checkpoints; another one makes the run zero-shot.
        profile: Of the evaluation.
        seed: Test seed of the rendered set.
        models: Rows of the table, in order, as far as they have a checkpoint.
        columns: Accuracy columns; the costs follow when models are run.
        outside: Report groups that the headline counts; empty for none.
        exhibits: How many instances the report shows.
    """

    name: Literal["hockey", "lacrosse", "crowdpose"]
    title: str
    schema: str
    trained_on: str
    profile: Literal["extension", "crowdpose"]
    seed: int
    models: tuple[str, ...]
    columns: tuple[Column, ...]
    outside: tuple[str, ...]
    exhibits: int = 4

    @property
    def headline(self) -> Column:
        """The column that the suite is about."""
        return next(c for c in self.columns if c.note.startswith("headline"))


def _sport_columns(outside: str, *groups: str) -> tuple[Column, ...]:
    headline = f"headline: PCKh@0.5 of {outside} outside the human box"
    shares = tuple(Column(name, note=f"PCKh@0.5 of {name}") for name in groups)
    return (
        *shares,
        Column("Mean", note="PCKh@0.5 of all labelled keypoints"),
        Column(f"{outside} outside box", note=headline),
        Column(MEDIAN, "heads", "low", MEDIAN_NOTE),
    )


HOCKEY = Suite(
    name="hockey",
    title="Table 1, ice hockey: PCKh@0.5 in per cent, from the human box",
    schema="hockey",
    trained_on="hockey",
    profile="extension",
    seed=TEST_SEEDS["hockey"],
    models=SPORT_MODELS,
    columns=_sport_columns("Heel+Toe", "Body", "Butt End", "Stick Heel", "Stick Toe"),
    outside=("Stick Heel", "Stick Toe"),
    exhibits=12,
)
LACROSSE = Suite(
    name="lacrosse",
    title="Table 2, lacrosse: PCKh@0.5 in per cent, zero-shot from the hockey models",
    schema="lacrosse",
    trained_on="hockey",
    profile="extension",
    seed=TEST_SEEDS["lacrosse"],
    models=SPORT_MODELS,
    columns=_sport_columns("Heel", "Body", "Butt End", "Stick Heel"),
    outside=("Stick Heel",),
)
CROWDPOSE = Suite(
    name="crowdpose",
    title="Table 3, CrowdPose: AP in per cent, crowded scenes",
    schema="crowdpose",
    trained_on="crowdpose",
    profile="crowdpose",
    seed=TEST_SEEDS["crowdpose"],
    models=CROWDPOSE_MODELS,
    columns=(
        Column("AP", note="headline: mean over OKS .50:.05:.95"),
        Column("AP50", note="at OKS .50"),
        Column("AP75", note="at OKS .75"),
        Column("APE", note="images with a low crowd index"),
        Column("APM", note="images with a medium crowd index"),
        Column("APH", note="images with a high crowd index"),
    ),
    outside=(),
)
SUITES: dict[str, Suite] = {suite.name: suite for suite in (HOCKEY, LACROSSE, CROWDPOSE)}
DEMO = (HOCKEY, LACROSSE, CROWDPOSE)
