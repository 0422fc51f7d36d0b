"""Frames out to Label Studio, as tasks with pre-annotations; again and again, never twice.

Each task carries a key (the image's id and file name) and a hash of what was sent. Pushing
again finds tasks by key: what is new is made, what differs is replaced, what somebody has
touched is left as it is, because labels are compared with what they were made from. So a push
that was killed is completed by running it again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import InvalidDataError, ServiceError
from toolkit.formats.foreign import CocoDocument, Record, records_of
from toolkit.formats.foreign_values import categories_of, size_of
from toolkit.formats.labelstudio import Padding, canvas_of, tasks_of
from toolkit.formats.labelstudio_regions import IMAGE
from toolkit.images import resolve_images
from toolkit.labelstudio.client import Client, PassingError
from toolkit.labelstudio.config import NOTE
from toolkit.labelstudio.pictures import Host, Picture
from toolkit.labelstudio.prelabel import PREFIX, Prelabels, drawn_regions
from toolkit.labelstudio.project import KEY, SENT, Known, Progress, known_tasks, touched_since
from toolkit.schema import Schema

TOGETHER = 10  # tasks of one request
TRIES, PAUSE_S = 4, 1.0  # of a request that may have arrived: the server is asked in between


@dataclass(frozen=True)
class Job:
    """What to push.

    Attributes:
        document: The COCO document.
        schema: For categories, where the document has none.
        images_dir: Folder of the images.
        prelabels: Who is drawn.
        paddings: Margin by row in `images`.
        notes: For the annotator, by row; the rows that are pushed, in order.
        where: Where pictures will lie, in words: elsewhere, a task is another.
    """

    document: CocoDocument
    schema: Schema
    images_dir: Path
    prelabels: Prelabels
    paddings: Mapping[int, Padding]
    notes: Mapping[int, str]
    where: str = ""


@dataclass
class Pushed:
    """What a push did, in tasks.

    Attributes:
        created: New ones.
        updated: Replaced, because something differs.
        unchanged: As they were.
        kept: Something differs, but somebody has touched them.
        padded: With a margin round the picture.
        removed: Second tasks of a frame that nobody had touched.
        ids: Of all these tasks, by row in `images`.
    """

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    kept: int = 0
    padded: int = 0
    removed: int = 0
    ids: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A task that is ready but for the address of its picture.

    Attributes:
        row: In the document's `images`.
        key: Tells its frame on the server.
        data: What the task shows, but for the picture.
        prediction: The pre-annotation.
        picture: Its frame's.
        sent: Hash of all that.
    """

    row: int
    key: str
    data: dict[str, Any]
    prediction: dict[str, Any]
    picture: Picture
    sent: str


def push_tasks(
    client: Client,
    project: int,
    tasks: Sequence[Task],
    host: Host,
    version: str,
    progress: Progress | None = None,
) -> Pushed:
    """Bring a project's tasks to what was made ready.

    Args:
        client: The connection.
        project: The project's id.
        tasks: From `ready_tasks`.
        host: Puts the pictures where the server finds them.
        version: Of the pre-annotations that the project shows.
        progress: Called with (done, total) frames.

    Raises:
        ServiceError: The server fails; what was pushed stays, and running again goes on.
    """
    known, spare = known_tasks(client, project)
    pushed = Pushed(removed=_remove(client, spare))
    pushed.padded = sum(task.picture.padding is not None for task in tasks)
    for start in range(0, len(tasks), TOGETHER):
        several = tasks[start : start + TOGETHER]
        _create(
            client, project, [t for t in several if t.key not in known], host, known, pushed
        )
        for task in several:
            there = known[task.key]
            pushed.ids[task.row] = there.id
            if there.sent == task.sent:
                pushed.unchanged += 1
            elif there.is_touched or touched_since(client, there.id):
                pushed.kept += 1
            else:
                _update(client, project, task, there, host)
                pushed.updated += 1
        if progress is not None:
            progress(min(start + TOGETHER, len(tasks)), len(tasks))
    pushed.unchanged -= pushed.created
    if pushed.created:
        _, spare = known_tasks(client, project)
        pushed.removed += _remove(client, spare)
        client.patch(f"/api/projects/{project}/", {"model_version": version})
    return pushed


def ready_tasks(job: Job) -> list[Task]:
    """All tasks of a job; what can go wrong with the data goes wrong here, before a push.

    Raises:
        InvalidDataError: A picture is missing, damaged, or of another size than its record
            says; or two images cannot be told apart.
    """
    images = records_of(job.document, "images")
    rows = list(job.notes)
    names = [str(images[row].get("file_name")) for row in rows]
    ids = [images[row].get("id") for row in rows]
    paths = resolve_images(job.images_dir, names, [i if type(i) is int else -1 for i in ids])
    bare = tasks_of(job.document, job.schema, paddings=job.paddings, rows=rows)
    categories = categories_of(job.document, job.schema)
    found: dict[str, Task] = {}
    for row, name, path, task in zip(rows, names, paths, bare, strict=True):
        padding = job.paddings.get(row)
        size = size_of(images[row], row)
        picture = Picture.of(path, name, size, padding)
        people = job.prelabels.people[row]
        canvas = canvas_of(images[row], row, padding)
        prediction: Record = {
            "model_version": job.prelabels.version,
            "result": drawn_regions(people, categories, canvas),
        }
        scores = [person.score for person in people if person.score is not None]
        if scores:
            prediction["score"] = sum(scores) / len(scores)
        key = f"{images[row].get('id')}:{name}"
        if key in found:
            raise InvalidDataError(
                f"images[{row}] id={images[row].get('id')}: a second record with this id and "
                "file name; 'toolkit validate' lists such"
            )
        data = dict(task["data"])  # type: ignore[call-overload]  # an object
        data |= {NOTE: job.notes[row], KEY: key}
        image = f"{picture.mark} {job.where}".rstrip()
        sent = _hash([{**data, IMAGE: image}, prediction])
        found[key] = Task(row, key, data, prediction, picture, sent)
    return list(found.values())


def _create(
    client: Client,
    project: int,
    tasks: Sequence[Task],
    host: Host,
    known: dict[str, Known],
    pushed: Pushed,
) -> None:
    """Make tasks; where it is unclear whether they arrived, the server is asked."""
    for turn in range(TRIES):
        missing = [task for task in tasks if task.key not in known]
        if not missing:
            break
        places = host.addresses([task.picture for task in missing])
        body = [_body(task, place) for task, place in zip(missing, places, strict=True)]
        try:
            answer = client.post(
                f"/api/projects/{project}/import", body, once=True, return_task_ids="true"
            )
        except PassingError:
            if turn == TRIES - 1:
                raise
            time.sleep(PAUSE_S)
            known |= known_tasks(client, project)[0]
            continue
        ids = answer.get("task_ids") if isinstance(answer, dict) else None
        if not isinstance(ids, list) or len(ids) != len(missing):
            raise ServiceError(
                f"{client.server.url}: did not say which tasks it made; run the same again"
            )
        for task, number in zip(missing, ids, strict=True):
            known[task.key] = Known(number, task.sent, is_touched=False)
    pushed.created += len(tasks)


def _body(task: Task, place: str) -> Record:
    data = {**task.data, IMAGE: place, SENT: task.sent}
    return {"data": data, "predictions": [task.prediction] if task.prediction["result"] else []}


def _update(client: Client, project: int, task: Task, there: Known, host: Host) -> None:
    """Replace a task; the hash goes last, so that a half is done again."""
    place = host.addresses([task.picture])[0]
    body = _body(task, place)
    listed = client.get("/api/predictions/", task=there.id, project=project)
    for old in listed if isinstance(listed, list) else ():
        if str(old.get("model_version")).startswith(PREFIX):
            client.delete(f"/api/predictions/{old['id']}/")
    for new in body["predictions"]:
        client.post(
            "/api/predictions/", {**new, "task": there.id, "project": project}, once=True
        )
    client.patch(f"/api/tasks/{there.id}/", {"data": body["data"]})


def _remove(client: Client, ids: Sequence[int]) -> int:
    for number in ids:
        client.delete(f"/api/tasks/{number}/")
    return len(ids)


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
