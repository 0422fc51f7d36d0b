"""Tokens that expire, answers that get lost: over real sockets, with a real server behind."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

from toolkit.errors import ServiceError, UsageError
from toolkit.labelstudio.client import Client
from toolkit.labelstudio.project import find_project, tasks_in
from toolkit.labelstudio.server import Server

Answer = Callable[[BaseHTTPRequestHandler, str, bytes], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    """A server whose every answer one function gives; it ends with the test."""
    running = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                answer(self, self.command, self.rfile.read(length))

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def say(handler: BaseHTTPRequestHandler, status: int, document: object) -> None:
    body = json.dumps(document).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


PERSONAL = "aaaa.bbbb.cccc"


def test_a_short_lived_token_is_bought_once_and_again_when_it_has_expired(
    serve: Callable[[Answer], str],
) -> None:
    bought: list[object] = []
    good: set[str] = set()

    def answer(handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        if handler.path == "/api/token/refresh/":
            bought.append(json.loads(body))
            good.clear()
            good.add(f"Bearer short-{len(bought)}")
            say(handler, 200, {"access": f"short-{len(bought)}"})
        elif handler.headers["Authorization"] in good:
            say(handler, 200, {"who": handler.headers["Authorization"]})
        else:
            say(handler, 401, {"detail": "token_not_valid"})

    with Client(Server(serve(answer), PERSONAL)) as client:
        assert client.get("/api/a")["who"] == "Bearer short-1"
        assert client.get("/api/a")["who"] == "Bearer short-1"
        good.clear()  # five minutes later
        assert client.get("/api/a")["who"] == "Bearer short-2"
    assert bought == [{"refresh": PERSONAL}] * 2


def test_a_personal_token_that_buys_nothing_good_is_named_and_not_tried_for_ever(
    serve: Callable[[Answer], str],
) -> None:
    asked = []

    def answer(handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        asked.append(handler.path)
        bought = handler.path == "/api/token/refresh/"
        said = {"access": "short"} if bought else {"detail": f"no {PERSONAL}, no short"}
        say(handler, 200 if bought else 401, said)

    with (
        Client(Server(serve(answer), PERSONAL)) as client,
        pytest.raises(
            ServiceError, match=r"401, the token was not accepted: no \*\*\*, no \*\*\*"
        ),
    ):
        client.get("/api/a")
    assert len(asked) == 2


def test_a_server_that_recovers_is_not_given_up(serve: Callable[[Answer], str]) -> None:
    answers = iter([500, 429, 200])

    def answer(handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        say(handler, next(answers), {"fine": True})

    with Client(Server(serve(answer), "legacy")) as client:
        assert client.get("/api/a") == {"fine": True}


def test_tasks_whose_answer_got_lost_are_not_made_twice(
    serve: Callable[[Answer], str],
    label_studio: Any,
    clip: Any,
    toolkit_cli: Callable[..., Any],
) -> None:
    """A gateway passes everything on; of the first import it loses the answer."""
    behind = urlsplit(label_studio.url).netloc
    lost: list[str] = []

    def forward(handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        through = http.client.HTTPConnection(behind, timeout=60)
        headers = {k: v for k, v in handler.headers.items() if k not in ("Host", "Connection")}
        through.request(method, handler.path, body, headers)
        answer = through.getresponse()
        content = answer.read()
        through.close()
        if "return_task_ids" in handler.path and not lost:
            lost.append(handler.path)
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.headers["Content-Type"] or "text/plain")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    words = ["labelstudio", "push", clip.file, "--images", clip.images, "--project", "lossy"]
    words += ["--url", serve(forward), "--token", label_studio.token, "--json"]

    first, second = toolkit_cli(*words), toolkit_cli(*words)

    assert first.exit_code == second.exit_code == 0, first.stderr + second.stderr
    assert len(lost) == 1
    assert json.loads(first.stdout)["created"] == 3
    assert json.loads(second.stdout)["unchanged"] == 3
    with Client(Server(label_studio.url, label_studio.token)) as client:
        project = find_project(client, "lossy")
        assert project is not None
        assert len(list(tasks_in(client, project.id, whole=False))) == 3


@pytest.mark.parametrize("url", ["http://a\x01b", "http://xn--a", "http://é..é"])
def test_a_url_that_no_server_can_have_is_refused_before_anything_is_sent(url: str) -> None:
    with (
        Client(Server(url, "0123456789")) as client,
        pytest.raises(UsageError, match=r"no server has such a URL.*wanted http://HOST"),
    ):
        client.get("/api/projects/")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "gopher://me:hunter2@127.0.0.1:9"),
        ("SSL_CERT_FILE", "/hunter2/nowhere.pem"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_told_without_repeating_them(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(UsageError, match=f"cannot be used.*{name}") as caught:
        Client(Server("http://127.0.0.1:9", "t"))

    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("title", ["frames", " frames\t"])
def test_a_title_is_found_as_the_server_keeps_it_without_spaces_round_it(
    title: str, serve: Callable[[Answer], str]
) -> None:
    project = {"id": 4, "title": "frames", "label_config": "<View/>", "task_number": 0}

    def answer(handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        path = urlsplit(handler.path).path
        listed = {"results": [project], "next": None}
        say(handler, 200, listed if path == "/api/projects/" else project)

    with Client(Server(serve(answer), "t")) as client:
        found = find_project(client, title)

    assert found is not None
    assert (found.id, found.title) == (4, "frames")


@pytest.mark.parametrize("total", [{}, {"total": "many"}, {"total": None}])
def test_a_list_of_tasks_that_does_not_say_how_many_there_are_is_never_taken_for_whole(
    total: dict[str, object], serve: Callable[[Answer], str]
) -> None:
    def answer(handler: BaseHTTPRequestHandler, method: str, body: bytes) -> None:
        say(handler, 200, {"tasks": [{"id": 1}], **total})

    with (
        Client(Server(serve(answer), "t")) as client,
        pytest.raises(ServiceError, match=r"project 4: .* listed tasks in an unknown way"),
    ):
        list(tasks_in(client, 4, whole=False))
