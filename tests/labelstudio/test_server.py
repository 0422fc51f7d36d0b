"""Which server and token: options before the environment before the settings file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from toolkit.errors import ReadError, UsageError
from toolkit.labelstudio.server import Server, find_server


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file at its usual place; nothing in the environment."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LABEL_STUDIO_URL", raising=False)
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    path = tmp_path / "extension-keypoints" / "labelstudio.toml"
    path.parent.mkdir()
    path.write_text('url = "http://file:1/"\ntoken = "file-token"\n', "utf-8")
    return path


def test_an_option_wins_over_the_environment_and_that_over_the_file(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_server() == Server("http://file:1", "file-token")

    monkeypatch.setenv("LABEL_STUDIO_URL", "https://environment")
    assert find_server() == Server("https://environment", "file-token")

    assert find_server("http://option:8080/studio/", "t") == Server(
        "http://option:8080/studio", "t"
    )


def test_a_named_settings_file_is_read_in_place_of_the_usual_one(
    settings: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    other.write_text("url = 'http://other'\ntoken = 'Token abc'\n", "utf-8")

    assert find_server(settings=other) == Server("http://other", "abc")


def test_a_server_is_shown_without_its_token() -> None:
    assert "secret" not in repr(Server("http://here", "secret"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("token = hunter2", "is not TOML"),
        ("url = 5\ntoken = 'hunter2'", "'url' must be text in quotes"),
    ],
)
def test_a_settings_file_that_is_wrong_is_named_without_its_token(
    text: str, message: str, settings: Path
) -> None:
    settings.write_text(text, "utf-8")

    with pytest.raises(ReadError, match=message) as raised:
        find_server()

    chain = [raised.value, raised.value.__cause__]
    assert not any("hunter2" in str(error) for error in chain)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_missing_part_says_where_to_put_it(settings: Path) -> None:
    settings.write_text('url = "http://file:1"\n', "utf-8")

    with pytest.raises(
        UsageError, match=r"no token .* set LABEL_STUDIO_URL .*labelstudio\.toml"
    ):
        find_server()


def test_a_settings_file_that_was_named_must_exist(settings: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="there is no such settings file"):
        find_server(settings=tmp_path / "nowhere.toml")


def test_only_a_personal_access_token_has_three_parts() -> None:
    assert Server("u", "aaa.bbb.ccc").is_personal
    assert not Server("u", "0123456789abcdef").is_personal


@pytest.mark.parametrize("url", ["hunter2", "http://me:hun/ter2@host", "http://me:hunter2"])
def test_a_url_that_may_be_a_secret_is_never_repeated(url: str, settings: Path) -> None:
    with pytest.raises(UsageError, match="URL of Label Studio") as caught:
        find_server(url, "t")

    assert "ter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 0.0, -1.0])
def test_a_time_limit_is_a_time_that_passes(seconds: float, settings: Path) -> None:
    with pytest.raises(UsageError, match=r"--timeout .*: wanted 0\.1 to 86400 seconds"):
        find_server(seconds=seconds)
