"""Annotations home from Label Studio: only what a person changed changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from msgspec import UNSET

from toolkit.formats.compare import identity
from toolkit.formats.foreign import ASSUMED, CocoDocument, Record
from toolkit.formats.labelstudio_read import document_of
from toolkit.formats.labelstudio_tasks import carried_by
from toolkit.labelstudio.client import Client
from toolkit.labelstudio.project import Progress, Project, tasks_in
from toolkit.report import Finding
from toolkit.schema import Schema


@dataclass(frozen=True)
class Pulled:
    """What came home.

    Attributes:
        document: As COCO.
        findings: What was assumed, left out, or could not be used; each in words.
        tasks: How many tasks the project has.
        annotated: How many of them have an annotation that was submitted.
        annotations: How many annotations were submitted.
        drafts: How many are begun and not submitted: they stay there.
        annotators: Submitted annotations by the server's user id.
        sent: The records as they were sent, by `identity` of their ids.
        submitted: `identity` of the submitted annotations' ids on the server.
    """

    document: CocoDocument
    findings: list[Finding]
    tasks: int
    annotated: int
    annotations: int
    drafts: int
    annotators: dict[str, int]
    sent: dict[object, Record]
    submitted: frozenset[object]

    @property
    def orphans(self) -> list[str]:
        """Keypoints that did not say whose they are, and how each was placed."""
        return [
            f.message for f in self.findings if f.rule == ASSUMED and "given to" in f.message
        ]


def pull_tasks(
    client: Client, project: Project, schema: Schema | None, progress: Progress | None = None
) -> Pulled:
    """Everything that was submitted in a project.

    Raises:
        ServiceError: The server fails.
    """
    tasks = list(tasks_in(client, project.id, whole=True, progress=progress))
    done = [
        annotation
        for task in tasks
        for annotation in task.get("annotations") or ()
        if isinstance(annotation, dict) and not annotation.get("was_cancelled")
    ]
    who = Counter(str(_annotator(annotation)) for annotation in done)
    document, findings = document_of(tasks, schema, project.parsed())
    return Pulled(
        document,
        findings,
        len(tasks),
        sum(any(not a.get("was_cancelled") for a in t.get("annotations") or ()) for t in tasks),
        len(done),
        sum(len(task.get("drafts") or ()) for task in tasks),
        dict(who),
        _sent(tasks),
        frozenset(identity(annotation.get("id")) for annotation in done),
    )


def _sent(tasks: list[Record]) -> dict[object, Record]:
    """The records that the tasks carry, and those of no image that the first one carries."""
    found: dict[object, Record] = {}
    loose: list[tuple[int, Record]] | None = None
    for task in tasks:
        carried = carried_by(task)
        if carried is None:
            continue
        if loose is None and carried.rest is not UNSET:
            loose = carried.loose
        for _, record in carried.annotations:
            found[identity(record.get("id"))] = record
    for _, record in loose or ():
        found.setdefault(identity(record.get("id")), record)
    return found


def _annotator(annotation: Record) -> object:
    who = annotation.get("completed_by")
    return who.get("id") if isinstance(who, dict) else who
