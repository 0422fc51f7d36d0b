"""A real Label Studio for the tests: on loopback, with SQLite, in a folder of its own.

It runs in the environment that `scripts/labelstudio-env` makes. The first start fills a
database for a minute; a copy of it is kept there, so that later starts take seconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
