"""Which Label Studio, and with which token: options, then the environment, then a file."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from toolkit.errors import ReadError, UsageError

URL, TOKEN = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"
SECONDS = 60.0
SHORTEST, LONGEST = 0.1, 86_400.0  # seconds a request
HOW = (
    "pass --url and --token, set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or write "
    "'url = ...' and 'token = ...' into {path}"
)
_SHOWN = re.compile(r"[\x21-\x7e]+\Z")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+\Z")


@dataclass(frozen=True)
class Server:
    """A Label Studio server.

    Attributes:
        url: Without a slash at its end.
        token: A legacy token or a personal access token; never shown.
        seconds: How long one request may take, with all its retries.
    """

    url: str
    token: str = field(repr=False)
    seconds: float = SECONDS

    @property
    def is_personal(self) -> bool:
        """Whether the token is a personal access token, which buys short-lived ones."""
        return _JWT.match(self.token) is not None


def settings_path() -> Path:
    """Where the settings file lies unless one is named."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    return Path(home) / "extension-keypoints" / "labelstudio.toml"


def find_server(
    url: str | None = None,
    token: str | None = None,
    settings: Path | None = None,
    seconds: float = SECONDS,
) -> Server:
    """The server to talk to; each part from what was given, the environment, or the file.

    Raises:
        UsageError: The URL or the token is missing or cannot be one, or the time is out of
            range; the message never holds the token.
        ReadError: The settings file cannot be read.
    """
    path = settings or settings_path()
    said = _settings(path, needed=settings is not None)
    url = url or os.environ.get(URL) or said.get("url")
    token = token or os.environ.get(TOKEN) or said.get("token")
    for what, value in (("URL", url), ("token", token)):
        if not value:
            raise UsageError(f"no {what} of a Label Studio server; {HOW.format(path=path)}")
    if not SHORTEST <= seconds <= LONGEST:  # nor is it NaN
        raise UsageError(f"--timeout {seconds:g}: wanted {SHORTEST:g} to {LONGEST:g} seconds")
    assert url is not None
    assert token is not None
    return Server(checked_url(url), _checked_token(token.strip()), seconds)


def checked_url(url: str) -> str:
    """An address as it is used: scheme, host, port and folder.

    Raises:
        UsageError: It is no http or https address, or holds a password or a query.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        # The cause would repeat a piece of it, which may be a secret.
        raise UsageError("the URL of Label Studio is no URL; wanted http://HOST:PORT") from None
    if "@" in url or parts.query or parts.fragment:
        # It may be a secret, so it is not repeated.
        raise UsageError(
            f"the URL of Label Studio (host '{parts.hostname}') holds a user name, a query or "
            "a fragment; wanted only http://HOST:PORT; the token goes into its own option"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        # It may be the token, given in the wrong place.
        raise UsageError(
            "what was given as the URL of Label Studio is no URL of a server; wanted "
            "http://HOST:PORT"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    place = host if port is None else f"{host}:{port}"
    path = parts.path.rstrip("/").removesuffix("/api")
    return f"{parts.scheme}://{place}{path}"


def _checked_token(token: str) -> str:
    for prefix in ("Token ", "Bearer "):
        token = token.removeprefix(prefix)
    if _SHOWN.match(token) is None:
        raise UsageError(
            "the token of Label Studio holds spaces, line ends or characters beyond ASCII; "
            "copy it again from Account & Settings (it is not shown here)"
        )
    return token


def _settings(path: Path, *, needed: bool) -> dict[str, str]:
    """What the settings file says; nothing where there is none."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        if needed:
            raise ReadError(f"{path}: there is no such settings file") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: cannot be read: {type(error).__name__}") from error
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # Its message may quote the line that holds the token; so may the cause.
        raise ReadError(
            f"{path}: is not TOML; wanted lines: url = '...', token = '...'"
        ) from None
    wrong = [key for key in ("url", "token") if not isinstance(found.get(key, ""), str)]
    if wrong:
        raise ReadError(f"{path}: '{wrong[0]}' must be text in quotes")
    return {key: found[key] for key in ("url", "token") if key in found}
