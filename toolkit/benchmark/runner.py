"""One benchmark run: data, entrants, tables, and the report folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.benchmark.demo import DEMO, SUITES, Suite
from toolkit.benchmark.demo_data import demo_set
from toolkit.benchmark.entrants import (
    Contender,
    file_entrant,
    in_another_schema,
    load_models,
    model_entrant,
)
from toolkit.benchmark.environment import environment
from toolkit.benchmark.exhibits import choose_instances, make_gallery
from toolkit.benchmark.measure import (
    Entrant,
    Resampling,
    check_ground_truth,
    instance_errors,
    make_table,
)
from toolkit.benchmark.pictures import pictures_sha256
from toolkit.benchmark.render_html import Figure, Gallery, render_html
from toolkit.benchmark.render_latex import render_latex
from toolkit.benchmark.render_markdown import render_markdown
from toolkit.benchmark.tables import Table
from toolkit.charts import standalone
from toolkit.dataset import Dataset
from toolkit.errors import ReadError, UsageError
from toolkit.files import atomic_directory
from toolkit.processes import by_leader, leader_first, processes
from toolkit.zero_shot import scored_part

Progress = Callable[[int, int], None]
Bar = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
        suite: `demo`, `hockey`, `lacrosse` or `crowdpose`.
        data: Annotation file in place of the rendered test set; not for `demo`.
        images: Folder of its images; without one only files of predictions take part.
        schema: Of that file, where it is not the suite's.
        models: Names, or `LABEL=FILE` for a checkpoint; None for all that ship.
        predictions: Name -> COCO results file; in the demo a name may be `TABLE:NAME`.
        bootstrap: Resamples; 0 for no intervals and no tests.
        device: Torch device of this process; see `toolkit.processes.choose_device`.
        exhibits: Whether to draw instances for the report.
        zero_shot: `names`, `prompts` or `both`: models answer in the schema of the data.
    """

    suite: str = "demo"
    data: Path | None = None
    images: Path | None = None
    schema: str | None = None
    models: tuple[str, ...] | None = None
    predictions: Mapping[str, Path] = field(default_factory=dict)
    bootstrap: int = 1000
    device: str = "cpu"
    exhibits: bool = False
    zero_shot: str | None = None


@dataclass(frozen=True)
class Results:
    """What came out; `to_json` is the command's JSON document."""

    suite: str
    tables: tuple[Table, ...]
    galleries: tuple[Gallery, ...]
    environment: Mapping[str, str | int | None]
    notices: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    ablations: Mapping[str, object] | None = None

    def to_json(self) -> dict[str, object]:
        """Suite, tables, environment; what was trained, where the suite trains."""
        return {
            "suite": self.suite,
            "tables": [table.to_json() for table in self.tables],
            "environment": dict(self.environment),
            **({} if self.ablations is None else {"ablations": dict(self.ablations)}),
        }


def _silent(label: str) -> AbstractContextManager[Progress]:
    def update(done: int, total: int) -> None:
        return None

    return nullcontext(update)


def run(request: Request, bar: Bar = _silent) -> Results:
    """Run a suite.

    Args:
        request: What to run.
        bar: Makes a progress bar from a label.

    Raises:
        UsageError: The request makes no sense.
        ReadError: A file of it is not there, or cannot be read.
        InvalidDataError: No ground truth, images missing, or predictions that do not fit.
        MissingExtraError: Models are needed and torch is not installed.
    """
    suites = DEMO if request.suite == "demo" else (SUITES[request.suite],)
    _check(request)
    files = _assign(request.predictions, suites)
    for path in request.predictions.values():  # a test set may be rendered before one is read
        if not path.exists():
            raise ReadError(f"{path}: cannot read: no such file; see --predictions")
    # All inputs of all tables are read before the first model, which may take an hour, runs.
    prepared = [_prepare(request, suite, files[suite.name], bar) for suite in suites]
    found = [_measure(request, one, bar) for one in prepared]
    parts = [part for part in found if part is not None]
    return Results(
        suite=request.suite,
        tables=tuple(part.table for part in parts),
        galleries=tuple(part.gallery for part in parts if part.gallery is not None),
        environment=environment(),
        notices=tuple(notice for part in parts for notice in part.notices),
    )


@dataclass(frozen=True)
class _Part:
    """What one suite gave."""

    table: Table
    gallery: Gallery | None
    notices: tuple[str, ...]


@dataclass(frozen=True)
class _Prepared:
    """One suite with everything that was read for it.

    Attributes:
        suite: Which.
        truth: The test set.
        images_dir: Its images; None where no model runs.
        pictures: Their hash where they are the user's own; see `model_entrant`.
        models: Who is to predict.
        named: Rows from files.
        notices: Lines for people.
    """

    suite: Suite
    truth: Dataset
    images_dir: Path | None
    pictures: str | None
    models: tuple[Contender, ...]
    named: tuple[Entrant, ...]
    notices: tuple[str, ...]


def _prepare(request: Request, suite: Suite, files: Mapping[str, Path], bar: Bar) -> _Prepared:
    """Read the data, the models and the files of predictions; nobody predicts yet."""
    given = _given_truth(request, suite)
    loaded, absent = _models(request, suite)
    truth, images_dir = given or _rendered_truth(suite, bar)
    said = [f"no checkpoint ships for {', '.join(absent)}"] if absent else []
    if request.zero_shot is not None:
        loaded, missing, lines = in_another_schema(loaded, truth.schema, request.zero_shot)
        truth = scored_part(truth, missing)
        said += lines
    named = [file_entrant(label, path, truth) for label, path in files.items()]
    labels = [contender.label for contender in loaded] + [entrant.label for entrant in named]
    if not labels:
        raise UsageError(
            f"suite '{suite.name}': nobody takes part: no model has a checkpoint for "
            f"schema '{suite.trained_on}'; give --predictions NAME=FILE, or train a model"
        )
    _unique(labels)
    pictures = None  # a rendered set's folder tells what is in it
    if given is not None and images_dir is not None and loaded:
        held = images_dir
        pictures = by_leader(lambda: pictures_sha256(truth.images, held))
    notices = tuple(f"{suite.name}: {line}" for line in said)
    return _Prepared(suite, truth, images_dir, pictures, tuple(loaded), tuple(named), notices)


def _measure(request: Request, prepared: _Prepared, bar: Bar) -> _Part | None:
    """Predict, in several processes together, and evaluate, in the leader alone."""
    suite, truth, images_dir = prepared.suite, prepared.truth, prepared.images_dir
    notices = list(prepared.notices)
    entrants = []
    for contender in prepared.models:
        assert images_dir is not None  # no image, no model: see `_models`
        with bar(f"{suite.name}: {contender.label}") as progress:
            entrants.append(
                model_entrant(
                    suite,
                    contender,
                    truth,
                    images_dir,
                    progress,
                    pictures=prepared.pictures,
                    say=lambda line: notices.append(f"{suite.name}: {line}"),
                )
            )
    entrants += prepared.named
    if not processes().leads:
        return None
    resampling = Resampling.choose(truth, request.bootstrap)
    synthetic = request.data is None
    with bar(f"{suite.name}: evaluating") as progress:
        table = make_table(
            suite, truth, entrants, resampling, synthetic=synthetic, progress=progress
        )
    gallery = None
    if request.exhibits and images_dir is not None:
        gallery = _gallery(suite, truth, images_dir, entrants)
    notices += [f"{suite.name}: {line}" for line in table.warnings]
    return _Part(table, gallery, tuple(notices))


def write_report(results: Results, out: Path, *, force: bool = False) -> None:
    """Write `report.md`, `tables.tex`, `results.json` and `index.html`, all or none.

    Raises:
        OutputExistsError: `out` exists and `force` was not given.
    """
    title = f"Benchmark: {results.suite}"
    tables = list(results.tables)
    document = json.dumps(results.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
    pages = {
        "report.md": render_markdown(tables, title),
        "tables.tex": render_latex(tables),
        "results.json": document + "\n",
        "index.html": render_html(
            tables, list(results.galleries), results.environment, title, results.figures
        ),
    }
    with atomic_directory(out, force=force) as folder:
        for name, text in pages.items():
            (folder / name).write_text(text, encoding="utf-8")
        if results.figures:
            (folder / "figures").mkdir()
        for figure in results.figures:
            svg = standalone(figure.svg)
            (folder / "figures" / f"{figure.name}.svg").write_text(svg, encoding="utf-8")


def _check(request: Request) -> None:
    if request.suite == "demo" and request.data is not None:
        raise UsageError(
            "option --data: the demo suite brings its own data; name the table with --suite "
            f"({', '.join(SUITES)})"
        )
    if request.images is not None and request.data is None:
        raise UsageError("option --images: without --data there is no file it belongs to")
    if request.data is not None and request.images is None:
        if request.models is not None:
            raise UsageError("option --models: models need images; add --images DIR")
        if not request.predictions:
            raise UsageError(
                "option --data: nobody takes part; add --images DIR to run models, or "
                "--predictions NAME=FILE"
            )


def _given_truth(request: Request, suite: Suite) -> tuple[Dataset, Path | None] | None:
    """The user's own file, checked before any model is loaded."""
    from toolkit.metrics.files import read_sides
    from toolkit.schema import Schema

    if request.data is None:
        return None
    schema = Schema.load(request.schema or suite.schema)
    truth = read_sides(request.data, [], schema, suite.profile).truth
    check_ground_truth(truth)
    return truth, request.images


def _rendered_truth(suite: Suite, bar: Bar) -> tuple[Dataset, Path]:
    from toolkit import formats

    with bar(f"{suite.name}: rendering the test set") as progress, leader_first():
        folder = demo_set(suite, progress=progress)
    return formats.read(folder / "annotations.json", suite.schema), folder / "images"


def _models(request: Request, suite: Suite) -> tuple[list[Contender], list[str]]:
    """The models that take part; none where there is no image to show them."""
    if request.data is not None and request.images is None:
        return [], []
    return load_models(suite, request.models, request.device)


def _assign(
    predictions: Mapping[str, Path], suites: Sequence[Suite]
) -> dict[str, dict[str, Path]]:
    """Which file belongs to which table."""
    files: dict[str, dict[str, Path]] = {suite.name: {} for suite in suites}
    for name, path in predictions.items():
        table, colon, label = name.partition(":")
        if not (colon and table in files):
            table, label = (suites[0].name, name) if len(suites) == 1 else ("", name)
        if table and (not label.strip() or label in files[table]):
            raise UsageError(
                f"option --predictions: {name!r}: the row of table '{table}' has no name, or "
                "that of another; give each file a name of its own"
            )
        if table:
            files[table][label] = path
        else:
            raise UsageError(
                f"option --predictions: {name!r} does not say which table of the demo it is "
                f"for; write TABLE:NAME=FILE with TABLE one of {', '.join(files)}, or choose "
                "one table with --suite"
            )
    return files


def _unique(labels: list[str]) -> None:
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise UsageError(
            f"options --models and --predictions: two rows have the name "
            f"{', '.join(map(repr, twice))}; choose another for one, as in NAME=FILE"
        )


def _gallery(
    suite: Suite, truth: Dataset, images_dir: Path, entrants: Sequence[Entrant]
) -> Gallery:
    rows = choose_instances(truth, suite.exhibits)
    predictions, errors, unit = {}, {}, ""
    for entrant in entrants:
        mapped = entrant.predictions
        if mapped.schema is not truth.schema:
            mapped = mapped.to_schema(truth.schema)
        predictions[entrant.label] = mapped
        errors[entrant.label], unit = instance_errors(suite, truth, mapped)
    heading = suite.title.partition(":")[0]
    title = f"{heading}: {len(rows)} instances"
    return make_gallery(title, truth, images_dir, predictions, rows, errors, unit)
