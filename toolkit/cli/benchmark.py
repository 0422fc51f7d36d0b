"""`toolkit benchmark`: the paper's tables, measured."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from toolkit.cli.common import (
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
    schema_file,
)

SUITES = ("demo", "hockey", "lacrosse", "crowdpose", "ablations")
SCALES = ("tiny", "small", "full", "long")
_ABLATIONS = ("scale", "seeds", "tables", "recipe", "runs", "jobs", "detector_weights")
_PATH = click.Path(path_type=Path)


@click.command(epilog="Example: toolkit benchmark --out report")
@click.option(
    "--suite",
    type=click.Choice(SUITES),
    default="demo",
    show_default=True,
    help="Which tables; 'ablations' trains networks first.",
)
@click.option("--data", type=_PATH, help="Annotation file in place of the rendered test set.")
@click.option("--images", type=_PATH, help="Folder of its images; needed to run models.")
@click.option(
    "--models",
    metavar="A,B",
    help="Only these: registered names, or LABEL=CHECKPOINT (default: all that ship).",
)
@click.option(
    "--predictions",
    multiple=True,
    metavar="NAME=FILE",
    help="A row from a COCO results file; repeatable. In the demo: TABLE:NAME=FILE.",
)
@click.option("--out", type=_PATH, help="Folder for Markdown, LaTeX, JSON and an HTML page.")
@click.option(
    "--bootstrap",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Resamples for intervals and paired tests; 0 for none.",
)
@click.option("--schema", metavar="NAME|FILE", help="Schema of --data (default: the suite's).")
@click.option(
    "--zero-shot",
    type=click.Choice(["names", "prompts", "both"]),
    help="Let models answer in the schema of the data: keypoints matched by name, by what "
    "their prompts say (models with language), or a row of each.",
)
@click.option(
    "--scale",
    type=click.Choice(SCALES),
    default="small",
    show_default=True,
    help="Ablations: how many images each network sees (64, 6,000, 60,000, 180,000).",
)
@click.option("--seeds", default="0,1,2", show_default=True, help="Ablations: training seeds.")
@click.option(
    "--tables", metavar="A,B", help="Ablations: some of 4, 5, 6, 7, rivals (default: all)."
)
@click.option(
    "--recipe",
    type=_PATH,
    help="Ablations: a TOML file of recipe keys for every TokenCLIPose row, such as another "
    "backbone or crop.",
)
@click.option(
    "--runs", type=_PATH, help="Ablations: folder of trained networks (default: the cache)."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Ablations: trainings side by side (default: one a core; one on a GPU).",
)
@click.option(
    "--detector-weights", metavar="FILE|TAG", help="Ablations: Faster R-CNN's, for table 7."
)
@click.option("--device", default="cpu", show_default=True, help="Torch device.")
@json_option
@force_option
def benchmark(
    *,
    suite: str,
    data: Path | None,
    images: Path | None,
    models: str | None,
    predictions: tuple[str, ...],
    out: Path | None,
    bootstrap: int,
    schema: str | None,
    zero_shot: str | None,
    scale: str,
    seeds: str,
    tables: str | None,
    recipe: Path | None,
    runs: Path | None,
    jobs: int | None,
    detector_weights: str | None,
    device: str,
    as_json: bool,
    force: bool,
) -> None:
    """Fill the paper's tables, with 95 % intervals, and say by which rules.

    Without options: hockey, lacrosse (zero-shot) and CrowdPose on practice data that is
    rendered on first use (everything is synthetic), with the models that ship. With --data
    and --predictions: your systems on your annotations; no image is needed for that.

    --suite ablations trains every network of tables 4 to 7 and of the rivals, several seeds,
    on practice data or (--data with --images) on yours, split by clip. What is trained is
    kept in --runs: an interrupted suite goes on where it stopped.
    """
    from toolkit.benchmark.render_text import render_text
    from toolkit.benchmark.runner import write_report
    from toolkit.cli.train import set_threads
    from toolkit.errors import UsageError
    from toolkit.files import check_output
    from toolkit.processes import own_threads, processes

    set_threads(own_threads(None))  # torchrun leaves each process one
    _refuse_foreign_options(suite)
    if schema is not None and data is None:
        raise UsageError(
            f"option --schema: got '{schema}' without --data, whose schema it is; rendered "
            "data have the suite's; give --data too, or leave it away"
        )
    if out is not None:
        named = [*predictions, *(models or "").split(",")]
        files = [Path(text.partition("=")[2]) for text in named if "=" in text]
        files += [Path(detector_weights)] if detector_weights else []
        inputs = (data, images, schema_file(schema), recipe, runs, *files)
        check_output(out, force=force, inputs=inputs, holds=("results.json",))
    if device != "cpu":
        from toolkit.models import require_torch
        from toolkit.processes import choose_device

        require_torch(f"--device {device}")
        device = choose_device(device)
    if suite == "ablations":
        if processes().size > 1:
            raise UsageError(
                "--suite ablations is many small runs: start it without torchrun, and let it "
                "do several at a time with --jobs"
            )
        from toolkit.benchmark.ablations.plan import (
            SCALES,
            choose_tables,
            on_recipe,
            parse_seeds,
            read_changes,
        )
        from toolkit.benchmark.ablations.run import AblationRequest, run_ablations

        changes = {} if recipe is None else read_changes(recipe)
        ablations = AblationRequest(
            tables=on_recipe(choose_tables(tables), changes),
            changes=changes,
            scale=SCALES[scale],
            seeds=parse_seeds(seeds),
            data=data,
            images=images,
            schema=schema,
            runs=runs,
            jobs=jobs,
            bootstrap=bootstrap,
            device=device,
            detector_weights=detector_weights,
            figures=out is not None,
        )
        # a log has no bar: it gets a line a network
        say = None if sys.stderr.isatty() else notice
        results = run_ablations(ablations, progress_bar, say)
    else:
        from toolkit.benchmark.entrants import parse_named_files
        from toolkit.benchmark.runner import Request, run

        request = Request(
            suite=suite,
            data=data,
            images=images,
            schema=schema,
            models=None if models is None else _names(models),
            predictions=parse_named_files(predictions),
            bootstrap=bootstrap,
            device=device,
            exhibits=out is not None,
            zero_shot=zero_shot,
        )
        results = run(request, progress_bar)
    if not processes().leads:
        return
    for line in results.notices:
        notice(line)
    # Hours of work are printed before a report may fail, and reported if the reader left.
    try:
        if as_json:
            echo_json(results.to_json())
        else:
            click.echo(render_text(list(results.tables), _width()), nl=False)
    finally:
        if out is not None:
            write_report(results, out, force=force)
            drawn = ", figures" if results.figures else ""
            notice(f"{out}: report.md, tables.tex, results.json, index.html{drawn}")


def _refuse_foreign_options(suite: str) -> None:
    """An option that the suite would not look at is a mistake of the caller's."""
    from toolkit.errors import UsageError

    trains = suite == "ablations"
    foreign = ("models", "predictions", "zero_shot") if trains else _ABLATIONS
    context = click.get_current_context()
    for name in foreign:
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            wanted = "another --suite" if trains else "--suite ablations"
            raise UsageError(
                f"option --{name.replace('_', '-')}: suite '{suite}' has no use for it; it is "
                f"for {wanted}"
            )


def _names(text: str) -> tuple[str, ...]:
    from toolkit.errors import UsageError

    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise UsageError("option --models: got no name; wanted names such as hrnet-small")
    return names


def _width() -> int:
    """Of the terminal; 100 where the output goes elsewhere."""
    import shutil

    return max(80, shutil.get_terminal_size((100, 24)).columns)
