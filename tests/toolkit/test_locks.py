"""One process at a time, and none that is gone."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.errors import UsageError
from toolkit.locks import only_one

HOLDS = """
import sys, time
from pathlib import Path
from toolkit.locks import only_one

with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_refused_while_its_process_lives_and_free_when_it_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run" / "lock"
    words = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with (
            pytest.raises(UsageError, match="somebody is here"),
            only_one(path, "somebody is here"),
        ):
            pass
        os.kill(child.pid, signal.SIGKILL)

    with only_one(path, "somebody is here"):
        pass


def test_a_file_of_the_lock_s_name_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("mine")
    with only_one(tmp_path / "lock"):
        pass
    assert (tmp_path / "lock").read_text() == "mine"


def test_a_disk_without_locks_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    done = []
    with only_one(tmp_path / "lock", "somebody is here"):
        done.append("work")
    assert done == ["work"]
