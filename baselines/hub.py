"""Weights from a hub: looked for in the local cache only, at once, where it is out of reach."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_PORTS = {"http": 80}


@contextlib.contextmanager
def hub_or_cache() -> Iterator[None]:
    """Look in the local cache only where the hub cannot be reached: no retries, no wait.

    Raises:
        ConnectionError: In place of what the hub's own client raises.
    """
    from huggingface_hub import constants  # lazy: comes with timm and open_clip

    before = constants.HF_HUB_OFFLINE
    try:
        reach(constants.ENDPOINT)
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    except Exception as error:
        # The client is requests, httpx or httpx2, by the version of huggingface_hub; what the
        # latter two raise of themselves, such as a timeout, is no OSError.
        if type(error).__module__.partition(".")[0] in ("httpx", "httpx2"):
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        raise
    finally:
        constants.HF_HUB_OFFLINE = before


def reach(url: str) -> None:
    """Connect to a server and hang up; where a proxy stands between, nothing is tried.

    Raises:
        OSError: Nothing answers within 3 s, or the address is none.
    """
    parts = urlsplit(url)
    host, proxies = parts.hostname or "", getproxies()
    if (parts.scheme in proxies or "all" in proxies) and not proxy_bypass(host):
        return
    try:
        port = parts.port or _PORTS.get(parts.scheme, 443)
    except ValueError as error:
        raise OSError(f"{url}: {error}") from error
    socket.create_connection((host, port), timeout=3).close()
