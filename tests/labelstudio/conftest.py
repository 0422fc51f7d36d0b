"""A real Label Studio for the tests: on loopback, with SQLite, in a folder of its own.

It runs in the environment that `scripts/labelstudio-env` makes. The first start fills a
database for a minute; a copy of it is kept there, so that later starts take seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

START_S = 420.0
USER, PASSWORD = "annotator@example.com", "not-a-secret-1"
TOKEN = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class LabelStudio:
    """A running server.

    Attributes:
        url: Where it listens.
        token: The user's legacy token.
        user: The user's e-mail address, for the login page.
        password: For the login page.
        files: The folder whose files it serves (its document root).
        log: What it printed.
    """

    url: str
    token: str
    user: str
    password: str
    files: Path
    log: Path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the server."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(START_S + 180))


@pytest.fixture(scope="session")
def label_studio(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """Start Label Studio, wait until it is healthy, and stop it at the end."""
    home = root / ".venv-labelstudio"
    program = home / "bin" / "label-studio"
    assert program.exists(), "run scripts/labelstudio-env first; `make test` does"
    folder = tmp_path_factory.mktemp("labelstudio")
    data, files, log = folder / "data", folder / "files", folder / "log.txt"
    template = home / "first-start"
    if template.is_dir():
        shutil.copytree(template, data)
    else:
        data.mkdir()
    files.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        key: value
        for key, value in os.environ.items()
        if key.upper() not in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTHONPATH")
    } | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": TOKEN,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(files),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    words = ["start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _wait(url, process, log)
        if not template.is_dir():
            _keep(data, template)
        yield LabelStudio(url, TOKEN, USER, PASSWORD, files, log)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server says that it is healthy."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.5)
    last = log.read_text("utf-8", "replace")[-2000:]
    raise AssertionError(f"Label Studio did not start (exit {process.poll()}): {last}")


def _keep(data: Path, template: Path) -> None:
    """A copy of the filled database, for the next start."""
    fresh = template.with_name(f"first-start.{os.getpid()}")
    fresh.mkdir()
    for path in data.iterdir():
        if path.suffix == ".sqlite3":
            source, target = sqlite3.connect(path), sqlite3.connect(fresh / path.name)
            with target:
                source.backup(target)
            source.close()
            target.close()
        elif path.is_file() and "sqlite3" not in path.name:
            shutil.copy2(path, fresh)
    fresh.rename(template)


@dataclass(frozen=True)
class Clip:
    """A synthetic clip on disk.

    Attributes:
        file: Its annotations: frames with 1, 3 and 6 players, hidden points, points outside
            the picture, unknown fields everywhere, odd spellings of numbers.
        images: Folder of its frames.
    """

    file: Path
    images: Path

    def document(self) -> dict[str, Any]:
        """What the file says."""
        found: dict[str, Any] = json.loads(self.file.read_text("utf-8"))
        return found


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Three rendered frames of six players each, of which 1, 3 and 6 keep their labels."""
    folder = tmp_path_factory.mktemp("clip") / "practice"
    words = ["synth", "hockey", str(folder), "--instances", "18", "--seed", "3"]
    subprocess.run([sys.executable, "-m", "toolkit", *words], check=True, capture_output=True)
    file = folder / "annotations.json"
    document = json.loads(file.read_text("utf-8"))
    images = document["images"][:3]
    kept = []
    for image, count in zip(images, (1, 3, 6), strict=True):
        people = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        assert len(people) >= count
        kept += people[:count]
    inside = kept[0]
    # The first frame's player stands wholly inside, so that one frame needs no margin.
    points = inside["keypoints"]
    for at in range(0, len(points), 3):
        points[at] = min(max(points[at], 5.25), images[0]["width"] - 5)
        points[at + 1] = min(max(points[at + 1], 5.5), images[0]["height"] - 5)
    x, y, w, h = inside["bbox"]
    left, top = max(x, 1), max(y, 1)
    right = min(x + w, images[0]["width"] - 1)
    bottom = min(y + h, images[0]["height"] - 1)
    inside["bbox"] = [left, top, right - left, bottom - top]
    outside = kept[1]["keypoints"]
    outside[-3:] = [-31.125, 40.0625, 1]  # the stick's toe, left of the picture
    for number, record in enumerate([*images, *kept]):
        record["unknown"] = {"number": number, "deep": [1, None, "ä"]}
    document |= {"images": images, "annotations": kept, "ours": {"a": 1.5}}
    text = json.dumps(document, indent=1, ensure_ascii=False)
    file.write_text(text.replace("40.0625", "40.06250"), "utf-8")
    return Clip(file, folder / "images")


@pytest.fixture
def clip(rendered: Clip, tmp_path: Path) -> Clip:
    """The clip with a file of the test's own."""
    file = tmp_path / "annotations.json"
    shutil.copy(rendered.file, file)
    return Clip(file, rendered.images)
