"""Weights from a hub: looked for in the local cache only, at once, where it is out of reach."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from urllib.parse import urlparse


@contextlib.contextmanager
def hub_or_cache() -> Iterator[None]:
    """Look in the local cache only where the hub cannot be reached: no retries, no wait."""
    from huggingface_hub import constants  # lazy: comes with timm and open_clip

    host = urlparse(constants.ENDPOINT).hostname or ""
    before = constants.HF_HUB_OFFLINE
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
