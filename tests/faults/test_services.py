"""Row 67: a labelling service that fails in every way a service can, over a real socket."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

TOKEN = "fedcba9876543210-secret-token"
METADATA = "http://169.254.169.254/latest/meta-data/iam"
LIMIT_S = 1.5  # what the commands are given
SLACK_S = 3.0  # for the rest of a command on a busy machine


@dataclass
class Service:
    """A server that answers every request in one way.

    Attributes:
        answer: How: a name that `_Handler` knows.
        asked: Requests so far.
        elsewhere: Where its redirects lead.
    """

    answer: str
    asked: list[str] = field(default_factory=list)
    elsewhere: str = METADATA
    url: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    service: Service

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def do_GET(self) -> None:
        """Answer as the service does."""
        service = self.service
        service.asked.append(self.path)
        if service.answer == "nothing":
            service.ended.wait(30)
        elif service.answer == "hang up":
            self.close_connection = True
        elif service.answer == "drip":
            self._begin(200, "application/json", length=10**6)
            while not service.ended.wait(0.1):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return
        elif service.answer == "redirect":
            self._begin(302, "text/plain", location=service.elsewhere)
        elif service.answer == "html":
            self._say(200, b"<!doctype html><title>Sign in</title>", "text/html")
        elif service.answer == "half":
            self._say(200, b'{"results": [', "application/json")
        elif service.answer == "other json":
            self._say(200, b"[1, 2]", "application/json")
        else:  # a status, with the token repeated as some proxies do
            said = {"detail": f"you sent {self.headers['Authorization']}"}
            self._say(int(service.answer), json.dumps(said).encode(), "application/json")

    do_POST = do_GET  # noqa: N815  # the names that http.server calls
    do_PATCH = do_GET  # noqa: N815

    def _say(self, status: int, body: bytes, kind: str) -> None:
        self._begin(status, kind, length=len(body))
        self.wfile.write(body)

    def _begin(self, status: int, kind: str, length: int = 0, location: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if location:
            self.send_header("Location", location)
        self.end_headers()


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Start a service; it ends with the test."""
    running: list[tuple[ThreadingHTTPServer, threading.Thread, Service]] = []

    def start(answer: str, elsewhere: str = METADATA) -> Service:
        service = Service(answer, elsewhere=elsewhere)
        handler = type("Handler", (_Handler,), {"service": service})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = False
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        running.append((server, thread, service))
        return service

    yield start
    for server, thread, service in running:
        service.ended.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def words(
    write_json: Callable[..., Path], coco_document: dict[str, Any], tmp_path: Path
) -> Callable[..., list[list[object]]]:
    """The two commands that talk to a server, with a file and a picture that are right."""
    file = write_json(coco_document)
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(np.zeros((80, 100, 3), np.uint8)).save(images / "seven.jpg")

    def commands(url: str, timeout: float = LIMIT_S) -> list[list[object]]:
        reach = ["--project", "clips", "--url", url, "--token", TOKEN, "--timeout", timeout]
        return [
            ["labelstudio", "push", file, "--images", images, *reach],
            ["labelstudio", "pull", "--out", tmp_path / "home.json", *reach],
        ]

    return commands


ROWS = [
    ("67 refused", "401", 6, r"401, the token was not accepted: you sent Token \*\*\*"),
    ("67 forbidden", "403", 6, r"403, the token was not accepted"),
    ("67 broken", "500", 6, r"the server failed with 500; look into its log"),
    ("67 behind a gateway", "502", 6, r"the server failed with 502"),
    ("67 too busy", "429", 6, r"the server failed with 429"),
    ("67 a login page", "html", 6, r"answered HTML in place of JSON"),
    ("67 half an answer", "half", 6, r"answered something else in place of JSON"),
    ("67 another service", "other json", 6, r"listed projects in an unknown way"),
    ("67 silent", "nothing", 6, r"no answer within 1\.5 s"),
    ("67 dripping", "drip", 6, r"no answer within 1\.5 s"),
    ("67 hanging up", "hang up", 6, r"cannot reach the server"),
    ("67 redirecting", "redirect", 4, r"redirects to http://169\.254\.169\.254; .* never"),
]


@pytest.mark.parametrize(("row", "answer", "code", "message"), ROWS, ids=[r[0] for r in ROWS])
def test_a_failing_service_is_named_in_time_and_without_the_token(
    row: str,
    answer: str,
    code: int,
    message: str,
    serve: Callable[..., Service],
    words: Callable[..., list[list[object]]],
    fault: Callable[..., str],
) -> None:
    service = serve(answer)

    for command in words(service.url):
        began = time.monotonic()
        output = fault(*command, exit_code=code, message=message)

        assert time.monotonic() - began < LIMIT_S + SLACK_S
        assert service.url in output
        assert TOKEN not in output
    retried = answer in ("500", "502", "429", "hang up")
    assert len(service.asked) <= 2 * (4 if retried else 1)


def test_67_an_absent_service_is_named(
    words: Callable[..., list[list[object]]], fault: Callable[..., str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for command in words(url):
        output = fault(*command, exit_code=6, message=r"cannot reach the server: .*refused")

        assert url in output
        assert TOKEN not in output


def test_67_an_absent_service_is_named_before_any_picture_is_read(
    words: Callable[..., list[list[object]]],
    fault: Callable[..., str],
    tmp_path: Path,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    push = next(command for command in words(url) if "push" in command)
    push[push.index("--images") + 1] = tmp_path / "no-such-folder"

    fault(*push, exit_code=6, message=r"cannot reach the server: .*refused")


@pytest.mark.parametrize("answer", ["401", "500", "html", "redirect", "nothing", "hang up"])
def test_67_a_traceback_holds_no_token_either(
    answer: str,
    serve: Callable[..., Service],
    words: Callable[..., list[list[object]]],
    toolkit_cli: Callable[..., Any],
) -> None:
    service = serve(answer)

    result = toolkit_cli("--debug", *words(service.url, 0.5)[0])

    assert result.exit_code in (4, 6)
    assert "Traceback" in result.stderr
    assert TOKEN not in result.stdout + result.stderr


def test_67_a_redirect_is_not_followed_even_to_a_neighbour(
    serve: Callable[..., Service],
    words: Callable[..., list[list[object]]],
    fault: Callable[..., str],
) -> None:
    neighbour = serve("other json")
    service = serve("redirect", elsewhere=f"{neighbour.url}/api/projects/?token=x")

    for command in words(service.url):
        fault(*command, exit_code=4, message="redirects are never followed")

    assert neighbour.asked == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://me:hunter2@127.0.0.1:9", r"host '127\.0\.0\.1'\) holds a user name"),
        ("http://127.0.0.1:9/?token=hunter2", "holds a user name, a query or a fragment"),
        ("ftp://127.0.0.1/", "is no URL of a server"),
        ("127.0.0.1:8080", "is no URL of a server"),
        ("http://127.0.0.1:port", "is no URL; wanted http://HOST:PORT"),
    ],
)
def test_67_an_address_that_is_none_or_holds_a_secret_is_refused_without_repeating_it(
    url: str,
    message: str,
    words: Callable[..., list[list[object]]],
    fault: Callable[..., str],
) -> None:
    for command in words(url):
        output = fault(*command, exit_code=2, message=message)

        assert "hunter2" not in output


def test_67_a_token_that_no_header_can_hold_is_refused_without_repeating_it(
    words: Callable[..., list[list[object]]], fault: Callable[..., str]
) -> None:
    command = words("http://127.0.0.1:9")[0]
    command[command.index(TOKEN)] = "hunter2\nX-Evil: 1"

    output = fault(*command, exit_code=2, message="token of Label Studio holds spaces")

    assert "hunter2" not in output


def test_67_a_database_of_fiftyone_that_is_absent_is_named_without_its_password(
    root: Path,
) -> None:
    sample = root / "datasets" / "hockey" / "sample"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "toolkit",
        "view",
        "open",
        str(sample / "annotations.json"),
    ]
    command += ["--images", str(sample / "images"), "--no-app"]
    command += ["--database-uri", f"mongodb://me:hunter2@127.0.0.1:{port}/"]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 6
    assert f"no MongoDB answers at 127.0.0.1:{port} within" in ran.stderr
    assert "hunter2" not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
