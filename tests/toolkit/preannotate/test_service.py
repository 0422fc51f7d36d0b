"""mediapipe's process: found, started, answered, and what happens where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import MissingExtraError, ServiceError
from toolkit.preannotate import service
from toolkit.preannotate.service import VARIABLE, PoseService, find_python


def program(path: Path, text: str) -> Path:
    """A program that stands where mediapipe's Python should."""
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return path


def test_the_variable_comes_before_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, sys.executable)

    assert find_python() == Path(sys.executable)


def test_a_variable_that_names_nothing_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent"))

    with pytest.raises(MissingExtraError, match="is no program; run scripts/mediapipe-env"):
        find_python()


def test_a_missing_environment_is_exit_6_with_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(service, "_ROOT", tmp_path)

    with pytest.raises(MissingExtraError, match="run scripts/mediapipe-env") as caught:
        find_python()
    assert caught.value.exit_code == 6


def test_an_environment_without_mediapipe_says_so() -> None:
    with (
        pytest.raises(ServiceError, match=r"No module named 'mediapipe'; run"),
        PoseService(Path(sys.executable)),
    ):
        pass


def test_a_program_that_is_none_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("no program")
    broken.chmod(0o755)

    with pytest.raises(ServiceError, match="cannot be started"), PoseService(broken):
        pass


def test_a_process_that_stops_answering_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = program(tmp_path / "python", "import time\ntime.sleep(60)\n")
    monkeypatch.setattr(service, "START_S", 0.5)

    with pytest.raises(ServiceError, match="gave no answer"), PoseService(silent):
        pass


def test_landmarks_of_another_version_are_refused(tmp_path: Path) -> None:
    other = program(
        tmp_path / "python",
        'print(\'{"mediapipe": "9"}\', flush=True)\n'
        "input()\nprint('{\"landmarks\": [[1, 2, 3]]}', flush=True)\n",
    )

    with (
        PoseService(other) as running,
        pytest.raises(ServiceError, match=r"shape \(1, 3\); wanted \(33, 3\)"),
    ):
        running.landmarks(np.zeros((4, 4, 3), np.uint8))


def test_outside_a_with_block_it_does_not_run() -> None:
    with pytest.raises(ServiceError, match="in a 'with' block"):
        PoseService(Path(sys.executable)).landmarks(np.zeros((4, 4, 3), np.uint8))
