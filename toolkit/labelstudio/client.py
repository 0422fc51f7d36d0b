"""Talking to Label Studio: every failure has a name, and nothing waits for ever.

A request ends within the server's time limit, its retries included, however slowly the
answer drips. Redirects are refused, since they could lead anywhere (to a cloud's metadata
service, say) with the token in hand. The token is in no message: it is taken out of
whatever the server says. A personal access token buys short-lived ones.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from toolkit.errors import MissingExtraError, ServiceError, UnsafeInputError, UsageError
from toolkit.labelstudio.server import Server

if TYPE_CHECKING:
    import httpx

PAUSES = (0.5, 1.0, 2.0)  # seconds before each retry
MAX_ANSWER = 1 << 30  # bytes
_BUSY = frozenset((429, 500, 502, 503, 504))
_SAID = 300  # characters of a server's message that are shown
_Value = TypeVar("_Value")
File = tuple[str, bytes]  # name and content


class RefusedError(ServiceError):
    """The server understood and said no (4xx)."""

    def __init__(self, message: str, status: int) -> None:
        """Keep the HTTP status."""
        super().__init__(message)
        self.status = status


class PassingError(ServiceError):
    """A failure that may be over in a moment."""


class Client:
    """A connection to one server; a context manager.

    Attributes:
        server: Which one.
    """

    def __init__(self, server: Server) -> None:
        """Open nothing yet.

        Raises:
            MissingExtraError: `httpx` is not installed.
            UsageError: The environment's proxy or certificates cannot be used.
        """
        try:
            import httpx  # lazy: 0.1 s
        except ImportError as error:
            raise MissingExtraError(
                "talking to Label Studio needs httpx; install it with: "
                "pip install 'extension-keypoints[labelstudio]'"
            ) from error
        self.server = server
        try:
            self._http = httpx.Client(follow_redirects=False)
        except (ImportError, OSError, ValueError):
            # Without the cause: a proxy's address may hold a password.
            raise UsageError(
                "the environment names a proxy or certificates that cannot be used; look at "
                "HTTP_PROXY, HTTPS_PROXY and ALL_PROXY (http or https; no socks), NO_PROXY, "
                "SSL_CERT_FILE and SSL_CERT_DIR"
            ) from None
        self._access: str | None = None

    def __enter__(self) -> Self:
        """Nothing: the first request connects."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, **query: object) -> Any:  # noqa: ANN401  # whatever JSON it is
        """What the server has at a path, decoded."""
        return self._retried("GET", path, query=query)

    def post(
        self,
        path: str,
        body: object = None,
        *,
        once: bool = False,
        files: Sequence[File] = (),
        **query: object,
    ) -> Any:  # noqa: ANN401
        """Send something new.

        Args:
            path: Where to.
            body: For JSON.
            once: Never retry, because the first try may have arrived.
            files: Instead of a body: names and contents.
            query: Of the address.
        """
        return self._retried("POST", path, body, once=once, files=files, query=query)

    def patch(self, path: str, body: object) -> Any:  # noqa: ANN401
        """Change something."""
        return self._retried("PATCH", path, body)

    def delete(self, path: str) -> None:
        """Remove something; that it is gone already is fine."""
        try:
            self._retried("DELETE", path)
        except RefusedError as error:
            if error.status != 404:
                raise

    def _retried(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        once: bool = False,
        files: Sequence[File] = (),
        query: Mapping[str, object] | None = None,
    ) -> Any:  # noqa: ANN401
        """One request with its retries, within the time limit."""
        end = time.monotonic() + self.server.seconds
        for pause in (*(() if once else PAUSES), None):
            try:
                return self._authorized(method, path, body, files, query or {}, end)
            except PassingError:
                if pause is None or time.monotonic() + pause >= end:
                    raise
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _authorized(
        self,
        method: str,
        path: str,
        body: object,
        files: Sequence[File],
        query: Mapping[str, object],
        end: float,
    ) -> Any:  # noqa: ANN401
        if not self.server.is_personal:
            headers = {"Authorization": f"Token {self.server.token}"}
            return self._asked(method, path, body, files, query, headers, end)
        fresh = self._access is None
        for _ in range(2):
            if self._access is None:
                self._access = self._bought(end)
            headers = {"Authorization": f"Bearer {self._access}"}
            try:
                return self._asked(method, path, body, files, query, headers, end)
            except RefusedError as error:
                if error.status != 401 or fresh:
                    raise
                self._access, fresh = None, True  # it lasts minutes
        raise AssertionError("the second try returns or raises")

    def _bought(self, end: float) -> str:
        """A short-lived token for the personal access token."""
        path, body = "/api/token/refresh/", {"refresh": self.server.token}
        answer = self._asked("POST", path, body, (), {}, {}, end)
        access = answer.get("access") if isinstance(answer, dict) else None
        if not isinstance(access, str):
            raise ServiceError(f"{self._name('POST', path)}: no 'access' in the answer")
        return access

    def _asked(
        self,
        method: str,
        path: str,
        body: object,
        files: Sequence[File],
        query: Mapping[str, object],
        headers: Mapping[str, str],
        end: float,
    ) -> Any:  # noqa: ANN401
        """One try: the decoded answer, or an error with a name."""
        import httpx  # lazy: 0.1 s

        where = self._name(method, path)
        left = max(end - time.monotonic(), 0.05)
        parts: dict[str, Any] = {"params": dict(query)} if query else {}
        if files:
            # A name for each: the server keeps the last of equal ones.
            parts["files"] = {f"file{row}": file for row, file in enumerate(files)}
        elif body is not None:
            parts["content"] = json.dumps(body, allow_nan=False).encode("ascii")
            headers = {**headers, "Content-Type": "application/json"}
        try:
            request = self._http.build_request(
                method,
                self.server.url + path,
                headers={**headers, "Accept": "application/json"},
                timeout=left,
                **parts,
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise UsageError(
                self._clean(
                    f"{where}: no server has such a URL: {error}; wanted http://HOST:PORT"
                )
            ) from None
        try:
            response, content = _within(left, lambda: self._read(request))
        except (TimeoutError, httpx.TimeoutException):
            raise PassingError(
                f"{where}: no answer within {self.server.seconds:g} s; is the server busy or "
                "gone? --timeout gives it longer"
            ) from None
        except httpx.HTTPError as error:
            raise PassingError(
                f"{where}: cannot reach the server: {self._clean(str(error))}; is it running, "
                "and is the URL right?"
            ) from None  # its cause may hold what was sent
        return self._judged(where, response, content)

    def _read(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        response = self._http.send(request, stream=True)
        try:
            pieces, size = [], 0
            for piece in response.iter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > MAX_ANSWER:
                    raise ServiceError(
                        f"{self.server.url}: an answer of more than {MAX_ANSWER >> 20} MiB"
                    )
            return response, b"".join(pieces)
        finally:
            response.close()

    def _judged(self, where: str, response: httpx.Response, content: bytes) -> Any:  # noqa: ANN401
        status = response.status_code
        if 300 <= status < 400:
            target = urlsplit(response.headers.get("location", ""))
            place = f"{target.scheme}://{target.netloc.rpartition('@')[2]}"
            place = place if target.netloc else "another path"
            raise UnsafeInputError(
                f"{where}: the server redirects to {self._clean(place)}; redirects are never "
                "followed, because the token would go along. If that is your server, pass "
                "its URL"
            )
        if status in (401, 403):
            raise RefusedError(
                f"{where}: {status}, the token was not accepted{self._detail(content)}; copy "
                "it again from Account & Settings in Label Studio",
                status,
            )
        if status in _BUSY:
            raise PassingError(f"{where}: the server failed with {status}; look into its log")
        if status >= 400:
            raise RefusedError(f"{where}: refused with {status}{self._detail(content)}", status)
        if not content.strip():
            return None
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            html = content.lstrip()[:1] == b"<"
            what = "HTML" if html else "something else"
            raise ServiceError(
                f"{where}: answered {what} in place of JSON; is a Label Studio at this URL, "
                "or a login page or a proxy?"
            ) from None

    def _detail(self, content: bytes) -> str:
        """What the server says is wrong, on one line."""
        try:
            said = json.loads(content)
        except (ValueError, RecursionError):
            return ""
        if isinstance(said, dict):
            said = said.get("validation_errors") or said.get("detail") or said
        text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        return f": {self._clean(' '.join(text.split()))[:_SAID].rstrip('.')}"

    def _clean(self, text: str) -> str:
        """A text without the tokens, whoever put them there; and without control characters."""
        for secret in (self.server.token, self._access):
            if secret:
                text = text.replace(secret, "***")
        return "".join(c if c.isprintable() else " " for c in text)

    def _name(self, method: str, path: str) -> str:
        return f"{self.server.url}: {method} {path}"


def _within(seconds: float, work: Callable[[], _Value]) -> _Value:
    """What `work` gives, or TimeoutError; a server that drips cannot hold us longer.

    The work goes on in a thread that nobody waits for: its own time limits end it.
    """
    done: SimpleQueue[tuple[_Value | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    Thread(target=run, daemon=True).start()
    try:
        value, error = done.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # there is one where there is no error
