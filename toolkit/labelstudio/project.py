"""Projects and tasks on a server: found, made, listed."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from toolkit.errors import InvalidDataError, ServiceError, ToolkitError, UsageError
from toolkit.formats.foreign import Record
from toolkit.formats.foreign_xml import parse_xml
from toolkit.formats.labelstudio_config import Config, config_of
from toolkit.formats.labelstudio_regions import BOX, INSTANCE, POINTS, VISIBILITY
from toolkit.labelstudio.client import Client, RefusedError
from toolkit.labelstudio.config import instructions

Progress = Callable[[int, int], None]
KEY, SENT = "toolkit_key", "toolkit_sent"  # in a task's data: which frame, and what was sent
PAGE = 50  # tasks a request
_TRACES = ("total_annotations", "cancelled_annotations", "drafts", "draft_exists")
TITLE = 3, 50  # characters that Label Studio allows


@dataclass(frozen=True)
class Project:
    """A project on a server.

    Attributes:
        id: The server's.
        title: As people see it.
        config: The labelling interface, XML.
        tasks: How many it has.
    """

    id: int
    title: str
    config: str = field(repr=False)
    tasks: int

    @classmethod
    def of(cls, record: object) -> Project:
        """From what the server says."""
        if not isinstance(record, dict) or not isinstance(record.get("id"), int):
            raise ServiceError("Label Studio described a project in an unknown way")
        config = str(record.get("label_config") or "")
        tasks = record.get("task_number")
        return cls(
            record["id"],
            str(record.get("title")),
            config,
            tasks if isinstance(tasks, int) else 0,
        )

    def parsed(self) -> Config | None:
        """What its labelling interface says; None where that cannot be read."""
        try:
            return config_of(parse_xml(self.config.encode(), "label_config"), self.title)
        except ToolkitError:
            return None


@dataclass(frozen=True)
class Known:
    """A task of ours that is on the server.

    Attributes:
        id: The server's.
        sent: What was sent, as a hash.
        is_touched: Whether somebody has annotated it, skipped it, or has a draft.
    """

    id: int
    sent: str
    is_touched: bool


def find_project(client: Client, wanted: str) -> Project | None:
    """A project by id or exact title; None where there is none of that title.

    Raises:
        UsageError: No project has that id, or several have that title.
    """
    wanted = wanted.strip()  # as the server does with titles
    if wanted.isascii() and wanted.isdigit():
        try:
            return Project.of(client.get(f"/api/projects/{wanted}/"))
        except RefusedError as error:
            if error.status != 404:
                raise
            raise UsageError(f"--project: the server has no project {wanted}") from None
    found, page = [], 1
    while True:
        answer = client.get("/api/projects/", page=page, page_size=100, title=wanted)
        rows = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise ServiceError(
                f"{client.server.url}: Label Studio listed projects in an unknown way"
            )
        found += [row for row in rows if isinstance(row, dict) and row.get("title") == wanted]
        if not answer.get("next"):
            break
        page += 1
    if len(found) > 1:
        ids = ", ".join(str(row.get("id")) for row in found)
        raise UsageError(
            f"--project: {len(found)} projects are named '{wanted}': {ids}; pass one"
        )
    return find_project(client, str(found[0]["id"])) if found else None


def make_project(client: Client, title: str, config: str, annotators: int) -> Project:
    """A new project with a labelling interface.

    Raises:
        UsageError: The title is too short or too long.
    """
    title = title.strip()
    if not TITLE[0] <= len(title) <= TITLE[1]:
        raise UsageError(
            f"--project '{title}': Label Studio wants {TITLE[0]} to {TITLE[1]} characters"
        )
    said = "".join(f"<p>{html.escape(text)}</p>" for text in instructions())
    return Project.of(
        client.post(
            "/api/projects/",
            {
                "title": title,
                "label_config": config,
                "expert_instruction": said,
                "show_instruction": False,
                "show_collab_predictions": True,
                "maximum_annotations": annotators,
                "description": "Made by 'toolkit labelstudio push'.",
            },
            once=True,
        )
    )


def fit_config(client: Client, project: Project, config: str) -> None:
    """Make sure that a project's interface can show what is pushed.

    An empty project gets ours; any other keeps its own, if that has our controls and labels.

    Raises:
        InvalidDataError: It lacks some.
    """
    ours = config_of(parse_xml(config.encode(), "config"), "config")
    theirs = project.parsed()
    lacking = sorted(
        {BOX, POINTS, VISIBILITY, INSTANCE} - (theirs.controls if theirs else set())
    )
    if theirs:
        lacking += [f"label '{name}'" for name in ours.points if name not in theirs.points]
        lacking += [f"label '{name}'" for name in ours.boxes if name not in theirs.boxes]
    if not lacking:
        return
    if project.tasks:
        raise InvalidDataError(
            f"project {project.id} '{project.title}': its labelling interface lacks "
            f"{', '.join(lacking)[:200]}; paste what 'toolkit labelstudio config' writes under "
            "Settings, Labeling Interface, Code, or push to another project"
        )
    client.patch(f"/api/projects/{project.id}/", {"label_config": config})


def tasks_in(
    client: Client, project: int, *, whole: bool, progress: Progress | None = None
) -> Iterator[Record]:
    """All tasks of a project, by id.

    Args:
        client: The connection.
        project: The project's id.
        whole: With annotations, drafts and predictions.
        progress: Called with (done, total).
    """
    query = {"project": project, "page_size": PAGE, "resolve_uri": "false"}
    query |= {"fields": "all"} if whole else {}
    page, done, total = 1, 0, 1
    while done < total:
        answer = client.get("/api/tasks/", page=page, **query)
        rows = answer.get("tasks") if isinstance(answer, dict) else None
        said = answer.get("total") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not isinstance(said, int):
            raise ServiceError(
                f"project {project}: Label Studio listed tasks in an unknown way"
            )
        yield from (row for row in rows if isinstance(row, dict))
        done, total, page = done + len(rows), said, page + 1
        if progress is not None:
            progress(done, total)
        if not rows:
            break


def known_tasks(client: Client, project: int) -> tuple[dict[str, Known], list[int]]:
    """Tasks of ours by key, and ids of second tasks of a key that nobody has touched.

    Such a second task is what a push leaves that was killed while the server took it in.
    """
    found: dict[str, Known] = {}
    spare = []
    for task in tasks_in(client, project, whole=False):
        data = task.get("data")
        if not isinstance(data, dict) or not isinstance(task.get("id"), int):
            continue
        key = data.get(KEY)
        if not isinstance(key, str):
            continue
        this = Known(task["id"], str(data.get(SENT)), _is_touched(task))
        other = found.get(key)
        if other is None:
            found[key] = this
            continue
        first, second = sorted((other, this), key=lambda one: (not one.is_touched, one.id))
        found[key] = first
        if not second.is_touched:
            spare.append(second.id)
    return found, spare


def touched_since(client: Client, task: int) -> bool:
    """Whether somebody has touched a task since the tasks were listed."""
    found = client.get(f"/api/tasks/{task}/", resolve_uri="false")
    return isinstance(found, dict) and _is_touched(found)


def _is_touched(task: Record) -> bool:
    return any(task.get(trace) for trace in _TRACES)
