"""Sending and fetching in one call each, for the command line and for FiftyOne's App."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import UsageError
from toolkit.formats.coco_write import document_of_dataset
from toolkit.formats.foreign import records_of
from toolkit.formats.foreign_values import categories_of
from toolkit.labelstudio.canvas import MARGIN, Pad, paddings_of
from toolkit.labelstudio.client import Client
from toolkit.labelstudio.config import config_xml
from toolkit.labelstudio.pictures import (
    Host,
    Links,
    LocalFiles,
    Picture,
    Uploads,
    check_prefix,
    check_served,
)
from toolkit.labelstudio.prelabel import prelabels_of
from toolkit.labelstudio.project import (
    Progress,
    Project,
    find_project,
    fit_config,
    make_project,
)
from toolkit.labelstudio.pull import Pulled, pull_tasks
from toolkit.labelstudio.push import Job, Pushed, push_tasks, ready_tasks
from toolkit.labelstudio.queue import all_frames
from toolkit.labelstudio.server import Server

if TYPE_CHECKING:
    from toolkit.annotations import Predictions
    from toolkit.dataset import Dataset
    from toolkit.schema import Schema


@dataclass(frozen=True)
class Place:
    """Where pictures are put; uploaded where nothing is given.

    Attributes:
        url: Address before each file name.
        folder: The server's document root, as this machine sees it.
        served: The same as the server sees it, where that differs.
    """

    url: str | None = None
    folder: Path | None = None
    served: str | None = None

    def __post_init__(self) -> None:
        """Refuse two places, and an address that is none."""
        if self.url is not None and self.folder is not None:
            raise UsageError("--image-url and --local-files are two ways; choose one")
        if self.served is not None and self.folder is None:
            raise UsageError("--server-root says where the server sees --local-files; add that")
        if self.url is not None:
            check_prefix(self.url)

    def __str__(self) -> str:
        """What the addresses of pictures begin with; empty for uploads."""
        return self.url or str(self.served or self.folder or "")

    def check(self, pictures: Iterable[Picture]) -> None:
        """Refuse pictures that the server would not serve; see `check_served`."""
        if self.folder is not None:
            for picture in pictures:
                check_served(picture, self.folder)

    def host(self, client: Client, project: int) -> Host:
        """What puts them there."""
        if self.folder is not None:
            return LocalFiles(client, project, self.folder, self.served)
        uploads = Uploads(client, project)
        return uploads if self.url is None else Links(self.url, uploads)


def send(
    server: Server,
    dataset: Dataset,
    images_dir: Path,
    project: str,
    *,
    notes: Mapping[int, str] | None = None,
    predictions: Predictions | None = None,
    pad: Pad = "auto",
    margin: float = MARGIN,
    place: Place | None = None,
    annotators: int = 1,
    progress: Progress | None = None,
) -> tuple[Project, Pushed]:
    """Push frames to a project, which is made where it does not exist and the data are fit.

    Args:
        server: Where to.
        dataset: The data.
        images_dir: Folder of the images.
        project: Id or title.
        notes: What to tell the annotator, by row in the document's `images`; only these
            frames are pushed. None pushes all.
        predictions: A model's, to show in place of the labels.
        pad: Which frames get a margin.
        margin: How much, as a share of the picture's size.
        place: Where pictures are put.
        annotators: How many people label each frame of a new project.
        progress: Called with (done, total) frames.

    Raises:
        ToolkitError: As `ready_tasks`, `push_tasks`, `paddings_of` and the client.
    """
    document, schema = document_of_dataset(dataset), dataset.schema
    notes = all_frames(document) if notes is None else notes
    prelabels = prelabels_of(document, schema, predictions)
    images = records_of(document, "images")
    paddings = paddings_of(images, prelabels.records(), notes, pad, margin)
    place = place or Place()
    job = Job(document, schema, images_dir, prelabels, paddings, notes, str(place))
    tasks = ready_tasks(job)
    place.check(task.picture for task in tasks)
    config = config_xml(categories_of(document, schema), schema)
    with Client(server) as client:
        found = find_project(client, project)
        if found is None:
            found = make_project(client, project, config, annotators)
        else:
            fit_config(client, found, config)
        host = place.host(client, found.id)
        return found, push_tasks(client, found.id, tasks, host, prelabels.version, progress)


def reach(server: Server, project: str) -> None:
    """Ask the server for a project, before minutes are spent on pictures or a model.

    Raises:
        ServiceError: It does not answer, or refuses the token.
        UsageError: The project's name fits several.
    """
    with Client(server) as client:
        find_project(client, project)


def fetch(
    server: Server, project: str, schema: Schema | None, progress: Progress | None = None
) -> tuple[Project, Pulled]:
    """What was submitted in a project.

    Raises:
        UsageError: There is no such project.
        ServiceError: The server fails.
    """
    with Client(server) as client:
        found = find_project(client, project)
        if found is None:
            raise UsageError(f"--project: no project on {server.url} is named '{project}'")
        return found, pull_tasks(client, found, schema, progress)
