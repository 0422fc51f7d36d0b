"""A hub is asked where it stands, and its own errors are errors of a connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from baselines.backbones import Backbone, load_pretrained
from baselines.hub import hub_or_cache, reach
from toolkit.errors import ServiceError


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's stands between."""
    for scheme in ("http", "https", "all"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme}_proxy".upper(), raising=False)


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine where something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def is_offline(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with hub_or_cache():
        return bool(constants.HF_HUB_OFFLINE)


def test_a_mirror_on_a_port_of_its_own_is_asked_there(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_offline(f"http://127.0.0.1:{port}", monkeypatch)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "https://127.0.0.1:none", "https://hub.invalid"]
)
def test_where_nothing_answers_the_cache_alone_is_looked_at(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_offline(endpoint, monkeypatch)
    assert not constants.HF_HUB_OFFLINE


def test_behind_a_proxy_the_hub_is_not_knocked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", "http://proxy.invalid:8080")
    assert not is_offline("https://hub.invalid", monkeypatch)
    with pytest.raises(OSError):
        reach("http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "hub.invalid")
    assert is_offline("https://hub.invalid", monkeypatch)


def test_a_hub_that_stops_answering_is_out_of_reach(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """huggingface_hub hands its client's timeouts on, and they are no OSError."""

    class ReadTimeout(Exception):  # noqa: N818
        """As httpx and httpx2 name it."""

        __module__ = "httpx2"

    def times_out(*_: object, **__: object) -> None:
        raise ReadTimeout("timed out")

    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr("timm.create_model", lambda name, **_: times_out())
    with (
        pytest.raises(ConnectionError, match="ReadTimeout: timed out"),
        hub_or_cache(),
    ):
        times_out()
    backbone = Backbone("hrnet-w32")
    with pytest.raises(ServiceError, match=r"could not be fetched .*\(ConnectionError\)"):
        load_pretrained(backbone, "ms_in1k")
