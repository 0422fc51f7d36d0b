"""`toolkit labelstudio`: the labelling interface, tasks out, annotations home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from toolkit.cli.common import (
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
    schema_file,
    schema_option,
)
from toolkit.cli.numbers import Finite

if TYPE_CHECKING:
    from toolkit.annotations import Predictions
    from toolkit.dataset import Dataset
    from toolkit.labelstudio.pull import Pulled

SHOWN = 20  # findings that the text names
_PATH = click.Path(path_type=Path)


@click.group(
    epilog="Example: toolkit labelstudio push annotations.json --images images "
    "--project practice"
)
def labelstudio() -> None:
    """Label in Label Studio: write its interface, send frames there, bring labels home."""


@labelstudio.command(epilog="Example: toolkit labelstudio config hockey --out hockey.xml")
@click.argument("source", metavar="SCHEMA|FILE")
@click.option("--out", type=_PATH, metavar="FILE.xml", help="Write a file; else it is printed.")
@force_option
@json_option
def config(source: str, *, out: Path | None, force: bool, as_json: bool) -> None:
    """Write the labelling interface of a schema, or of an annotation file's categories.

    It goes into Label Studio under Settings, Labeling Interface, Code; 'push' makes new
    projects with it. A rectangle for the person with its id, keypoints in groups, each with
    a key (a mirror image has the same with Shift), and a visibility choice for the keypoint
    that is selected: 1 visible, 2 hidden, 3 absent.
    """
    from toolkit.files import check_output, write_text
    from toolkit.labelstudio.config import config_of_source

    if out is not None:
        check_output(out, force=force, inputs=(schema_file(source),))
    text, schema = config_of_source(source)
    if out is not None:
        write_text(out, text, force=force)
        notice(f"wrote {out}")
    if as_json:
        echo_json({"schema": schema, "out": None if out is None else str(out), "config": text})
    elif out is None:
        click.echo(text, nl=False)


def _server_options(function: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(
        (
            click.option(
                "--project", required=True, metavar="TITLE|ID", help="Of the server's projects."
            ),
            click.option(
                "--url", metavar="URL", help="Of the server.  [default: $LABEL_STUDIO_URL]"
            ),
            click.option(
                "--token",
                metavar="TOKEN",
                help="Legacy or personal access token; better in the environment, where other "
                "users of this machine do not see it.  [default: $LABEL_STUDIO_API_KEY]",
            ),
            click.option(
                "--settings",
                type=_PATH,
                metavar="FILE.toml",
                help="With 'url' and 'token', for what is not given otherwise.  [default: "
                "~/.config/extension-keypoints/labelstudio.toml]",
            ),
            click.option(
                "--timeout",
                type=Finite(min=0.1),
                default=60.0,
                show_default=True,
                metavar="SECONDS",
                help="How long a request may take, with all its retries.",
            ),
        )
    ):
        function = option(function)
    return function


@labelstudio.command(
    epilog="Example: toolkit labelstudio push annotations.json --images images --project clips"
)
@click.argument("file", type=_PATH)
@click.option(
    "--images", type=_PATH, required=True, metavar="DIR", help="Folder of the images."
)
@_server_options
@click.option(
    "--predictions",
    type=_PATH,
    metavar="FILE",
    help="What 'toolkit predict' wrote: keypoints to show in place of FILE's, with scores.",
)
@click.option(
    "--preannotate",
    metavar="MODEL",
    help="Run a model now and show what it finds: mediapipe, tokenclipose-small, ...",
)
@click.option(
    "--queue",
    type=_PATH,
    metavar="FILE",
    help="Only the frames of a queue of 'toolkit rank' or 'toolkit agreement', worst first.",
)
@click.option(
    "--top", type=click.IntRange(min=1), metavar="N", help="Only N people of the queue."
)
@click.option(
    "--pad",
    type=click.Choice(("auto", "all", "none")),
    default="auto",
    show_default=True,
    help="Frames that get a margin, because Label Studio keeps points inside the picture; "
    "auto: those with something outside.",
)
@click.option(
    "--margin",
    type=Finite(0, 1),
    default=0.25,
    show_default=True,
    metavar="SHARE",
    help="Of the picture's size, on each side; more where a point lies further out.",
)
@click.option(
    "--image-url",
    metavar="PREFIX",
    help="The pictures are served at PREFIX/FILE_NAME; padded ones are uploaded all the same.",
)
@click.option(
    "--local-files",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="The server serves this folder (its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT), and "
    "--images lies below it.",
)
@click.option(
    "--server-root",
    metavar="DIR",
    help="The same folder as the server sees it, where that differs (in a container).",
)
@click.option(
    "--annotators",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="How many people are to label each frame of a new project.",
)
@schema_option
@json_option
def push(
    *,
    file: Path,
    images: Path,
    project: str,
    url: str | None,
    token: str | None,
    settings: Path | None,
    timeout: float,
    predictions: Path | None,
    preannotate: str | None,
    queue: Path | None,
    top: int | None,
    pad: Literal["auto", "all", "none"],
    margin: float,
    image_url: str | None,
    local_files: Path | None,
    server_root: str | None,
    annotators: int,
    schema: str | None,
    as_json: bool,
) -> None:
    """Send FILE's frames to a project, boxes and keypoints pre-labelled under each person.

    The project is made where there is none of that title. Pictures are uploaded unless
    --image-url or --local-files says where they are. Pushing again updates tasks and never
    doubles them; a task that somebody has touched stays as it is; a push that was killed
    goes on when it is run again.
    """
    from toolkit import formats
    from toolkit.errors import UsageError
    from toolkit.formats.coco_write import document_of_dataset
    from toolkit.labelstudio.desk import Place, reach, send
    from toolkit.labelstudio.queue import frames_of_queue
    from toolkit.labelstudio.server import find_server

    if predictions is not None and preannotate is not None:
        raise UsageError("--predictions and --preannotate are two ways; choose one")
    if top is not None and queue is None:
        raise UsageError("--top counts people of a --queue; add that")
    server = find_server(url, token, settings, timeout)
    place = Place(image_url, local_files, server_root)
    dataset = formats.read(file, schema)
    notes = None
    if queue is not None:
        notes = frames_of_queue(queue, dataset, document_of_dataset(dataset), top)
    reach(server, project)
    found = _predictions(dataset, images, predictions, preannotate)
    with progress_bar(f"pushing to {server.url}") as progress:
        there, pushed = send(
            server, dataset, images, project, notes=notes, predictions=found, pad=pad,
            margin=margin, place=place, annotators=annotators, progress=progress,
        )  # fmt: skip
    if as_json:
        counts = {key: value for key, value in vars(pushed).items() if key != "ids"}
        about = {"id": there.id, "title": there.title}
        echo_json({"url": server.url, "project": about, "tasks": len(pushed.ids), **counts})
        return
    words = (
        (pushed.created, "new"),
        (pushed.updated, "updated"),
        (pushed.unchanged, "unchanged"),
        (pushed.padded, "with a margin"),
        (pushed.removed, "second ones removed"),
    )
    said = ", ".join(f"{count:,} {word}" for count, word in words if count)
    click.echo(f"{server.url}/projects/{there.id}/data: {len(pushed.ids):,} tasks: {said}")
    if pushed.kept:
        notice(
            f"{pushed.kept:,} tasks differ and stay as they are, because somebody has worked "
            "on them; pull them, or push to another project"
        )


def _predictions(
    dataset: Dataset, images: Path, file: Path | None, model: str | None
) -> Predictions | None:
    """What a model said, or says now."""
    if file is not None:
        from toolkit.formats import read_predictions

        return read_predictions(file, dataset.schema)
    if model is None:
        return None
    from toolkit.models import get_model

    loaded = get_model(model).load(dataset.schema.name, "cpu")
    with progress_bar(f"predicting with {loaded.name}") as progress:
        found = loaded.predict(dataset, images, progress=progress)
    return found.to_schema(dataset.schema)


@labelstudio.command(
    epilog="Example: toolkit labelstudio pull --project clips --out labelled.json "
    "--base annotations.json"
)
@_server_options
@click.option("--out", type=_PATH, required=True, metavar="FILE", help="COCO file to write.")
@click.option(
    "--base",
    type=_PATH,
    metavar="FILE",
    help="The file that was pushed: it is written with what people changed and nothing else, "
    "the frames that are not in the project too.",
)
@schema_option
@force_option
@json_option
def pull(
    *,
    project: str,
    url: str | None,
    token: str | None,
    settings: Path | None,
    timeout: float,
    out: Path,
    base: Path | None,
    schema: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Bring a project's submitted annotations home as a COCO file.

    Ids, decimals and unknown fields come back as they were sent; what a person changed is
    changed. Several annotations of a task stay apart, each record with its annotator and
    time under 'labelstudio'. A keypoint belongs to the box that it lies under in the list of
    regions, else to the one that a relation names, else to the smallest box round it, else to
    the nearest; each that was placed by geometry is named.
    """
    from toolkit.errors import UsageError, counted
    from toolkit.files import check_output, write_bytes
    from toolkit.formats.adapter import document_bytes
    from toolkit.labelstudio.desk import fetch
    from toolkit.labelstudio.home import merged
    from toolkit.labelstudio.server import find_server
    from toolkit.schema import Schema

    check_output(out, force=force, inputs=(base, settings, schema_file(schema)))
    server = find_server(url, token, settings, timeout)
    known = None if schema is None else Schema.load(schema)
    file = None
    if base is not None:
        from toolkit import formats

        file = formats.scan(base, known).dataset
    with progress_bar(f"pulling from {server.url}") as progress:
        there, pulled = fetch(server, project, known, progress)
    if not pulled.tasks:
        raise UsageError(f"project {there.id} '{there.title}' has no tasks; push some first")
    result = None
    if file is None:
        write_bytes(out, document_bytes(pulled.document), force=force)
    else:
        result = merged(file, pulled.document, pulled.sent, pulled.submitted)
        write_bytes(out, result.content, force=force)
    about = {"id": there.id, "title": there.title}
    document = {"url": server.url, "project": about, "out": str(out), **_counts(pulled)}
    if as_json:
        changes = {} if result is None else vars(result)
        echo_json(document | {key: value for key, value in changes.items() if key != "content"})
        return
    for line in [f.message for f in pulled.findings][:SHOWN]:
        notice(line)
    if len(pulled.findings) > SHOWN:
        notice(f"... and {len(pulled.findings) - SHOWN:,} more; --json lists them")
    if result is not None and result.conflicts:
        notice(f"changed here and there, the annotator's is taken: {result.conflicts}")
    if result is not None and result.kept:
        notice(
            f"{counted(len(result.kept), 'value')} as sent in Label Studio and not so in "
            f"{base}, which keeps its own, the first {result.kept[0]}; --json lists them. If "
            "somebody put it back there, change the file"
        )
    click.echo(
        f"{out}: {pulled.annotations:,} annotations of {pulled.annotated:,} tasks by "
        f"{len(pulled.annotators):,} people; {pulled.tasks - pulled.annotated:,} tasks as "
        f"sent; {pulled.drafts:,} drafts stay there"
    )


def _counts(pulled: Pulled) -> dict[str, object]:
    return {
        "tasks": pulled.tasks,
        "annotated": pulled.annotated,
        "annotations": pulled.annotations,
        "drafts": pulled.drafts,
        "annotators": pulled.annotators,
        "orphans": pulled.orphans,
        "findings": [
            {"rule": f.rule, "severity": f.severity.value, "message": f.message}
            for f in pulled.findings
        ],
    }
