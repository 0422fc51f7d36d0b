"""One real mongod for all tests of views, and FiftyOne connected to it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

SETUP = "run 'make test', which sets it up (scripts/mongod)"
START_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mongod() -> Path:
    import importlib.util

    found = importlib.util.find_spec("fiftyone")
    assert found is not None, f"FiftyOne is not installed: {SETUP}"
    assert found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "db" / "bin" / "mongod"
    assert path.is_file(), f"FiftyOne's mongod is not there: {SETUP}"
    return path


@pytest.fixture(scope="session")
def database(mongod: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a MongoDB of our own, as a team would share one."""
    folder, port = tmp_path_factory.mktemp("database"), free_port()
    command = [str(mongod), "--dbpath", str(folder), "--port", str(port), "--bind_ip"]
    command += ["127.0.0.1", "--nounixsocket", "--quiet", "--wiredTigerCacheSizeGB", "0.25"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert server.poll() is None, "mongod ended while it started"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"mongodb://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="session")
def fiftyone(database: str) -> Iterator[ModuleType]:
    """FiftyOne in this process, connected to that server."""
    from toolkit.views.engine import connect

    before = dict(os.environ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its libraries are old; ours are held to account
        yield connect(database)
    from fiftyone.core.odm import database as connection

    connection._disconnect()  # else its exit waits 30 s for the server that has gone
    for name in set(os.environ) - set(before):
        if name.startswith("FIFTYONE_"):
            os.environ.pop(name)


@pytest.fixture
def clip(root: Path) -> tuple[Path, Path]:
    """The hockey sample: annotations, and the folder of its images."""
    sample = root / "datasets" / "hockey" / "sample"
    return sample / "annotations.json", sample / "images"


@pytest.fixture
def grey_images(tmp_path: Path) -> Callable[..., Path]:
    """A folder with a small picture under each name; each has a shade of its own."""

    def write(*names: str, size: tuple[int, int] = (100, 80)) -> Path:
        import cv2

        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        for shade, name in enumerate(names):
            pixels = np.full((size[1], size[0], 3), 40 + 20 * shade, np.uint8)
            cv2.imwrite(str(folder / name), pixels)
        return folder

    return write


@pytest.fixture
def build_view(fiftyone: ModuleType) -> Iterator[Callable[..., object]]:
    """Build a view of a file and load it; it is deleted afterwards."""
    from toolkit.views.build import build
    from toolkit.views.gather import Sources, gather, recipe_of_sources

    names = []

    def make(file: Path, images: Path, name: str = "test", **rest: object) -> object:
        sources = Sources(file, images, **{"near_duplicates": False, **rest})
        gathered = gather(sources)
        recipe = recipe_of_sources(sources)
        names.append(name)
        build(
            gathered.content, name, images, recipe,
            coco=gathered.coco, queues=gathered.queues, force=True, discard=True,
        )  # fmt: skip
        return fiftyone.load_dataset(name)

    yield make
    for name in names:
        if fiftyone.dataset_exists(name):
            fiftyone.delete_dataset(name)
