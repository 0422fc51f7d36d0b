"""The whole suite in order: data, training, boxes, predictions, tables, figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from toolkit.annotations import Predictions
from toolkit.benchmark.ablations.data import Data, given_data, rendered_data
from toolkit.benchmark.ablations.detected import BoxSource, box_source
from toolkit.benchmark.ablations.figures import make_figures
from toolkit.benchmark.ablations.panels import make_panels
from toolkit.benchmark.ablations.plan import OURS, PlannedRow, PlannedTable, Scale
from toolkit.benchmark.ablations.pool import Task, run_tasks
from toolkit.benchmark.ablations.predictions import num_parameters, predict_row, prediction_file
from toolkit.benchmark.ablations.seed_scores import score_row
from toolkit.benchmark.ablations.seed_tables import Layout, ScoredRow, make_layout, make_tables
from toolkit.benchmark.ablations.token_map import token_map
from toolkit.benchmark.ablations.training_runs import (
    TrainingRun,
    all_runs,
    make_run,
    recipe_text,
    take_shipped,
)
from toolkit.benchmark.demo_data import make_cache
from toolkit.benchmark.environment import environment
from toolkit.benchmark.measure import Resampling
from toolkit.benchmark.render_html import Figure, Gallery
from toolkit.benchmark.rules import lines_by_row, rule_lines
from toolkit.benchmark.runner import Bar, Results
from toolkit.benchmark.tables import Table, Value
from toolkit.errors import ToolkitError, UsageError, counted
from toolkit.files import write_text
from toolkit.metrics import evaluate
from toolkit.metrics.bootstrap import note_on_few
from toolkit.metrics.evaluate import sorted_weights
from toolkit.metrics.scoring import Options
from toolkit.models import find_models, require_torch

SHOWN = ("hrnet-small", OURS)  # side by side in the panels
DRAWN = (OURS, "its coarse output", "hrnet-small", "rle-small")  # in the charts
_T = TypeVar("_T")


@dataclass(frozen=True)
class AblationRequest:
    """What to run.

    Attributes:
        tables: Which.
        scale: How much.
        seeds: Of training.
        data: The user's annotation file, split by clip; None renders hockey.
        images: Folder of its images.
        schema: Of that file.
        runs: Folder of the trained networks; None takes the cache.
        jobs: Child processes at a time; None takes one a core.
        bootstrap: Resamples; 0 for no intervals.
        device: Torch device.
        detector_weights: Of Faster R-CNN: a file or a tag; None leaves its row empty.
        figures: Whether to draw the figures.
        changes: Recipe keys that the tables were laid on, see `on_recipe`.
    """

    tables: tuple[PlannedTable, ...]
    scale: Scale
    seeds: tuple[int, ...]
    data: Path | None = None
    images: Path | None = None
    schema: str | None = None
    runs: Path | None = None
    jobs: int | None = None
    bootstrap: int = 1000
    device: str = "cpu"
    detector_weights: str | None = None
    figures: bool = False
    changes: Mapping[str, object] = field(default_factory=dict)


def run_ablations(
    request: AblationRequest, bar: Bar, say: Callable[[str], None] | None = None
) -> Results:
    """Train what is not trained yet, predict, and make the tables.

    Args:
        request: What to run.
        bar: Makes a progress bar from a label.
        say: Called with a line about each network that is done, for logs.

    Raises:
        UsageError: The request makes no sense.
        InvalidDataError: A side of the data has no labelled person.
        MissingExtraError: torch or a text encoder is not installed.
        ToolkitError: A training failed; what is done is kept.
    """
    if (request.data is None) != (request.images is None):
        raise UsageError("options --data and --images: the suite trains; it needs both or none")
    require_torch("toolkit benchmark --suite ablations")
    suite = _Suite(request, bar, say)
    suite.train()
    suite.predict()
    tables = suite.tables()
    figures, galleries = suite.figures() if request.figures else ([], [])
    return Results(
        suite="ablations",
        tables=tuple(tables),
        galleries=tuple(galleries),
        environment=environment(),
        notices=tuple(suite.notices),
        figures=tuple(figures),
        ablations=suite.facts(),
    )


class _Suite:
    """One request while it runs."""

    def __init__(
        self, request: AblationRequest, bar: Bar, say: Callable[[str], None] | None
    ) -> None:
        self.request, self.bar, self.say = request, bar, say
        self.runs = request.runs or make_cache("runs")
        self.runs.mkdir(parents=True, exist_ok=True)
        self.data: Data = (
            rendered_data(request.scale, bar)
            if request.data is None or request.images is None
            else given_data(request.data, request.images, request.schema or "hockey", self.runs)
        )
        # One GPU takes one training at a time; a core takes one each.
        self.jobs = request.jobs or (_cores() if request.device == "cpu" else 1)
        self.notices: list[str] = []
        self.known = find_models()
        self.all_runs = all_runs(
            [
                replace(table, rows=tuple(filter(self._has_model, table.rows)))
                for table in request.tables
            ],
            request.scale.images_seen,
            request.seeds,
            self.data.train,
            self.runs,
        )
        self.rows = list(
            {id(row): row for table in request.tables for row in table.rows}.values()
        )
        self.sources = {row.boxes: self._source(row) for row in self.rows}

    def train(self) -> None:
        """Detectors and networks first, then what learns from a network's joints.

        Weights that were given come before all: what is wrong with them is told before hours
        of training, and not after.
        """
        sources = [
            source
            for source in self.sources.values()
            if source is not None and not source.file.is_file()
        ]
        sources.sort(key=lambda source: source.weights is None)
        detectors = [source.task() for source in sources]
        missing = [run for run in self.all_runs.values() if not run.is_done]
        done = len(self.all_runs) - len(missing)
        if done:
            self.notices.append(f"{done} of {len(self.all_runs)} networks were trained before")
        shipped = {run.name: path for run in missing if (path := take_shipped(run))}
        if shipped:
            names = ", ".join(path.name for path in shipped.values())
            self.notices.append(
                f"{counted(len(shipped), 'network')} of the same recipe, seed and data ship "
                f"with the project and were not trained again: {names}"
            )
            missing = [run for run in missing if run.name not in shipped]
        first = [self._train_task(run) for run in missing if run.joints is None]
        self._run([*detectors, *first], "training {} networks")
        later = [self._train_task(run) for run in missing if run.joints is not None]
        self._run(later, "training {} controls")

    def predict(self) -> None:
        """The test set by every network, in child processes."""
        tasks: dict[str, Task] = {}
        for row in self.rows:
            for run in self._runs_of(row):
                task = self._predict_task(row, run)
                if task is not None:
                    tasks.setdefault(str(task.folder), task)
        self._run(list(tasks.values()), "predicting with {} networks")

    def tables(self) -> list[Table]:
        """All tables, each followed by that of its seeds."""
        truth, request = self.data.truth, self.request
        layout = make_layout(truth.schema)
        resampling = Resampling.choose(truth, request.bootstrap)
        weights = sorted_weights(truth, resampling.resamples, resampling.by, resampling.seed)
        options = Options.make("extension", ["PCKh"], groups=layout.groups)
        scored: dict[int, ScoredRow] = {}
        with self.bar("scoring") as progress:
            for place, row in enumerate(self.rows):
                found = [self.prediction(row, run) for run in self._runs_of(row)]
                scores = (
                    score_row(truth, found, layout.places, options, weights) if found else None
                )
                scored[id(row)] = ScoredRow(row, scores, self._costs(row), self._note(row))
                progress(place + 1, len(self.rows))
        tables: list[Table] = []
        for plan in request.tables:
            rows = [scored[id(row)] for row in plan.rows]
            rules = self._rules(plan, layout, resampling)
            tables += make_tables(plan, layout, rows, request.seeds, rules)
        return tables

    def prediction(self, row: PlannedRow, run: TrainingRun) -> Predictions:
        """Of one row and seed, from the cache."""
        source = self.sources[row.boxes]
        return predict_row(
            row.reads or run.model,
            run.checkpoint,
            self.data.truth,
            self.data.test.images,
            self.request.device,
            pictures=self.data.test.images_sha256,
            boxes_file=None if source is None else source.file,
        )

    def figures(self) -> tuple[list[Figure], list[Gallery]]:
        """Charts and panels of the first seed: our network, its coarse output, and rivals."""
        chosen = [row for row in self.rows if row.label in DRAWN and self._runs_of(row)]
        chosen = chosen or [
            row for row in self.rows if row.label == self.request.tables[0].reference
        ]
        found = {row.label: self.prediction(row, self._runs_of(row)[0]) for row in chosen}
        truth, scale = self.data.truth, self.request.scale
        data = f"{self.data.test_name}; scale '{scale.name}'"
        panels = {label: found[label] for label in SHOWN if label in found} or found
        with self.bar("drawing"):
            figures = [
                *self._drawn("map of the prompts", self._token_map),
                *self._drawn("charts", lambda: make_figures(truth, found, data)),
            ]
            galleries = self._drawn(
                "panels", lambda: make_panels(truth, self.data.test.images, panels)
            )
        return figures, galleries

    def _drawn(self, what: str, draw: Callable[[], list[_T]]) -> list[_T]:
        """What could be drawn; none where it could not, and a notice says why.

        The trainings and the tables are not lost with it.
        """
        try:
            return draw()
        except ToolkitError as error:
            self.notices.append(f"no {what}: {error}")
            return []

    def _token_map(self) -> list[Figure]:
        """Of our network's first seed; none where no table holds it.

        Raises:
            ToolkitError: Its language is amiss, or scikit-learn is not installed.
        """
        scale = self.request.scale
        first = self.request.tables[0]
        full = next(row for row in first.rows if row.label == first.reference)
        runs = self._runs_of(full)
        make_tokens = self.known[full.variant.model].text_tokens if runs else None
        if make_tokens is None:
            return []
        run = runs[0]
        trained = f"{run.model}, scale '{scale.name}', seed {run.seed}"
        return [token_map(self.data.truth.schema, make_tokens(run.checkpoint), trained)]

    def facts(self) -> dict[str, object]:
        """For the JSON document: scale, seeds, and every run with its time."""
        scale = self.request.scale
        return {
            "scale": scale.name,
            "images_seen": scale.images_seen,
            "seeds": list(self.request.seeds),
            "recipe": dict(self.request.changes),
            "train_sha256": self.data.train.sha256,
            "test_sha256": self.data.test.sha256,
            "runs": {name: run.facts() for name, run in sorted(self.all_runs.items())},
        }

    def _has_model(self, row: PlannedRow) -> bool:
        """Whether a model is registered for the row that can be trained on these data."""
        fits = not row.of_extension or bool(self.data.truth.schema.is_extension.any())
        return fits and row.variant.model in self.known

    def _runs_of(self, row: PlannedRow) -> list[TrainingRun]:
        """One a seed; none where the row cannot be run."""
        if not self._has_model(row):
            return []
        if row.boxes != "truth" and self.sources[row.boxes] is None:
            return []
        scale, seeds = self.request.scale, self.request.seeds
        return [
            make_run(row.variant, scale.images_seen, seed, self.data.train, self.runs)
            for seed in seeds
        ]

    def _source(self, row: PlannedRow) -> BoxSource | None:
        if row.boxes == "truth":
            return None
        return box_source(
            row.boxes,
            self.data,
            self.runs,
            images_seen=self.request.scale.images_seen,
            seed=self.request.seeds[0],
            weights=self.request.detector_weights,
            device=self.request.device,
        )

    def _run(self, tasks: Sequence[Task], label: str) -> None:
        if tasks:
            with self.bar(label.format(len(tasks))) as progress:
                run_tasks(tasks, self.jobs, progress, self.say)

    def _train_task(self, run: TrainingRun) -> Task:
        recipe = run.folder / "recipe.toml"
        if run.recipe is not None:
            run.folder.mkdir(parents=True, exist_ok=True)
            write_text(recipe, recipe_text(run.recipe), force=True)
        content: dict[str, object] = {
            "lock": str(run.folder / "lock"),
            "done": str(run.folder / "done.json"),
            "model": run.model,
            "recipe": None if run.recipe is None else str(recipe),
            "data": str(run.data.annotations.resolve()),
            "images": str(run.data.images.resolve()),
            "out": str(run.folder / "run"),
            "device": self.request.device,
            "seed": run.seed,
            "schema": run.data.schema,
            "joints": None if run.joints is None else str(run.joints.checkpoint),
        }
        return Task(run.name, run.folder, "train", content, max(1, run.images_seen))

    def _predict_task(self, row: PlannedRow, run: TrainingRun) -> Task | None:
        """None where the cache has it."""
        source = self.sources[row.boxes]
        reader = row.reads or run.model
        boxes = None if source is None else source.file
        test = self.data.test
        kept = prediction_file(
            reader,
            run.checkpoint,
            self.data.truth,
            test.images,
            pictures=test.images_sha256,
            boxes_file=boxes,
        )
        if kept.is_file():
            return None
        folder = run.folder / "predict" / f"{reader}-{row.boxes}-{test.sha256[:12]}"
        content: dict[str, object] = {
            "lock": str(folder / "lock"),
            "model": reader,
            "checkpoint": str(run.checkpoint),
            "data": str(test.annotations.resolve()),
            "images": str(test.images.resolve()),
            "pictures": test.images_sha256,
            "schema": test.schema,
            "device": self.request.device,
            "boxes": None if boxes is None else str(boxes),
        }
        return Task(f"{reader} on {run.name}", folder, "predict", content, 1000)

    def _costs(self, row: PlannedRow) -> Mapping[str, Value]:
        runs = self._runs_of(row)
        if not runs:
            return {}
        seen = max(
            runs[0].images_seen, 0 if runs[0].joints is None else runs[0].joints.images_seen
        )
        return {"images seen": seen, "params": num_parameters(runs[0].checkpoint)}

    def _note(self, row: PlannedRow) -> str:
        if row.variant.model not in self.known:
            return f"no model '{row.variant.model}' is registered"
        if not self._has_model(row):
            return f"not run: schema '{self.data.truth.schema.name}' has no extension keypoints"
        if row.boxes == "small-detector" and self.sources[row.boxes] is None:
            return "not run: no detector is registered"
        if row.boxes == "faster-rcnn" and self.sources[row.boxes] is None:
            return (
                "not run: Faster R-CNN needs its weights, a file or a tag of torchvision's; "
                "name them with --detector-weights"
            )
        return row.note or self.known[row.reads or row.variant.model].note.rstrip(".")

    def _rules(
        self, plan: PlannedTable, layout: Layout, resampling: Resampling
    ) -> tuple[str, ...]:
        data, request = self.data, self.request
        row = next(row for row in plan.rows if row.label == plan.reference)
        found = self.prediction(row, self._runs_of(row)[0])
        evaluation = evaluate(
            data.truth, found, "extension", metrics=["PCKh"], groups=layout.groups
        )
        suite = replace(data.suite, columns=layout.columns)
        with_boxes = all(row.boxes == "truth" for row in plan.rows)
        lines = rule_lines(
            suite, data.truth, evaluation, given_boxes=with_boxes, synthetic=data.synthetic
        )
        seeds = ", ".join(map(str, request.seeds))
        own = [
            *data.lines,
            f"training: scale '{request.scale.name}', seeds {seeds}; every network saw "
            f"{request.scale.images_seen:,} images and its last weights count: nothing was "
            "chosen on any data",
        ]
        if request.changes:
            changes = ", ".join(f"{key} = {value!r}" for key, value in request.changes.items())
            own.append(f"recipe of every TokenCLIPose row: tokenclipose-small with {changes}")
        if not with_boxes:
            own.append(
                "boxes: a detected box counts for the person it overlaps most (IoU of at least "
                "0.5); people without one count as wrong"
            )
        if resampling.resamples:
            own.append(
                "intervals: 95 % percentile bootstrap of the mean over the seeds, "
                f"{resampling.resamples:,} resamples by {resampling.by}, seed "
                f"{resampling.seed}; paired tests on the same resamples; what the chance of "
                "training does, the table of seeds shows"
            )
            few = note_on_few(data.truth.images, resampling.by)
            own += [] if few is None else [f"note: {few}"]
        return (*lines, *lines_by_row("note", {plan.reference: evaluation.notes}), *own)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
