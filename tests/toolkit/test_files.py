"""Outputs are written whole or not at all, whatever happens in between."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from toolkit import files
from toolkit.errors import OutputExistsError, ResourceError, UsageError, WriteError

# Writes `new` over a file and is stopped by a signal at a chosen moment, from inside.
STOPPED_WRITER = """
import os, signal, sys
from pathlib import Path
from toolkit import files

path, moment, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def stop(event, arguments):
    if event == moment and ".tmp" in str(arguments[0]):
        os.kill(os.getpid(), getattr(signal, name))

sys.addaudithook(stop)
files.write_bytes(path, b"new" * 100_000, force=True)
"""
# Writes `a`s and `b`s over each other for ever.
ENDLESS_WRITER = """
import sys
from pathlib import Path
from toolkit import files

while True:
    for letter in (b"a", b"b"):
        files.write_bytes(Path(sys.argv[1]), letter * 1_000_000, force=True)
"""
# Writes one file under a limit of 100,000 bytes a file.
LIMITED_WRITER = """
import resource, sys
from pathlib import Path
from toolkit import errors, files

resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    files.write_bytes(Path(sys.argv[1]), b"x" * 200_000, force=True)
except errors.ResourceError as error:
    sys.exit(f"{error.exit_code} {error}")
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def write_half(path: Path, error: Exception) -> None:
    with files.atomic_file(path, force=True) as part:
        part.write_bytes(b"half")
        raise error


def fill_half(folder: Path, error: Exception) -> None:
    with files.atomic_directory(folder, force=True) as part:
        (part / "new").write_bytes(b"")
        raise error


def make_old_folder(out: Path) -> None:
    """What an earlier run of the same command would have left."""
    out.mkdir()
    for name in ("old", "page"):
        (out / name).write_bytes(b"")


def fill(folder: Path) -> None:
    with files.atomic_directory(folder, force=True) as part:
        (part / "new").write_bytes(b"")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    files.write_text(tmp_path / "a.txt", "žluťoučký\n")

    assert (tmp_path / "a.txt").read_bytes() == "žluťoučký\n".encode()
    assert names(tmp_path) == ["a.txt"]


def test_an_existing_file_is_not_overwritten_without_force(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    with pytest.raises(OutputExistsError, match=r"a: exists already; pass --force"):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"

    files.write_bytes(path, b"new", force=True)
    assert path.read_bytes() == b"new"


def test_a_folder_that_does_not_exist_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"folder '.*none' does not exist; make it first"):
        files.check_output(tmp_path / "none" / "a")


def test_an_output_that_is_the_input_is_refused_by_any_name(tmp_path: Path) -> None:
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(path)

    for output in (path, link):
        with pytest.raises(
            UsageError, match=r"the output is the input .*; choose another name"
        ):
            files.check_output(output, force=True, inputs=(path,))


def test_an_error_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    with pytest.raises(ValueError, match="stop"):
        write_half(path, ValueError("stop"))

    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_an_exhausted_resource(tmp_path: Path, number: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    with pytest.raises(ResourceError, match=r"a: cannot write: .*; what stood there before"):
        write_half(path, OSError(number, os.strerror(number)))

    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_another_error_of_the_disk_is_a_write_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="a: cannot write: Input/output error"):
        write_half(tmp_path / "a", OSError(errno.EIO, os.strerror(errno.EIO)))


def test_a_limit_on_file_size_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    ended = run(LIMITED_WRITER, path)

    assert ended.returncode == 1
    assert ended.stderr.startswith("5 ")
    assert "File too large; what stood there before is intact" in ended.stderr
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_kill_9_leaves_the_old_file_and_the_next_write_cleans_up(
    tmp_path: Path, moment: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    ended = run(STOPPED_WRITER, path, moment, "SIGKILL")

    assert ended.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    if moment == "os.rename":
        assert [n.startswith(".a.") for n in names(tmp_path)] == [True, False]

    files.write_bytes(tmp_path / "b", b"other")
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_ctrl_c_leaves_the_old_file_and_no_temporary(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    ended = run(STOPPED_WRITER, path, moment, "SIGINT")

    assert ended.returncode != 0
    assert "KeyboardInterrupt" in ended.stderr
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_kill_9_at_random_moments_never_leaves_a_part(tmp_path: Path) -> None:
    path, moments = tmp_path / "a", random.Random(0)
    path.write_bytes(b"a" * 1_000_000)

    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", ENDLESS_WRITER, str(path)])
        time.sleep(0.1 + moments.random() * 0.2)
        writer.kill()
        writer.wait()

        content = path.read_bytes()
        assert content in (b"a" * 1_000_000, b"b" * 1_000_000)

    files.write_bytes(path, b"end", force=True)
    assert names(tmp_path) == ["a"]


def test_two_processes_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a"
    writers = [
        subprocess.Popen([sys.executable, "-c", ENDLESS_WRITER, str(path)]) for _ in range(2)
    ]
    end = time.monotonic() + 1
    seen = 0
    while time.monotonic() < end or not seen:
        if path.exists():
            assert path.read_bytes() in (b"a" * 1_000_000, b"b" * 1_000_000)
            seen += 1
    for writer in writers:
        assert writer.poll() is None, "a writer stopped by itself"
        writer.kill()
        writer.wait()


def test_temporaries_of_living_processes_stay(tmp_path: Path) -> None:
    alive = tmp_path / f".b.{files._host()}.{os.getpid()}.tmp"
    foreign = tmp_path / ".notes.tmp"
    for path in (alive, foreign):
        path.write_bytes(b"")

    files.write_bytes(tmp_path / "a", b"new")

    assert names(tmp_path) == sorted([alive.name, foreign.name, "a"])


def test_temporaries_of_other_hosts_stay_whatever_their_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number of a process says nothing on another host, or in another container."""
    monkeypatch.setattr(files, "_host", lambda: "0123abcd")
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)  # Linux has no such process
    with files.atomic_file(tmp_path / "theirs") as temporary:
        temporary.write_bytes(b"whole")
        monkeypatch.undo()
        files.write_bytes(tmp_path / "ours", b"ours")

    assert temporary.name == f".theirs.0123abcd.{2**22 + 1}.tmp"
    assert names(tmp_path) == ["ours", "theirs"]
    assert (tmp_path / "theirs").read_bytes() == b"whole"


def test_stale_folders_are_removed_but_not_what_links_point_to(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "precious").write_bytes(b"")
    stale = tmp_path / f".a.{files._host()}.{gone.pid}.tmp"
    stale.mkdir()
    (stale / "part").write_bytes(b"")
    (tmp_path / f".link.{files._host()}.{gone.pid}.tmp").symlink_to(kept)

    files.write_bytes(tmp_path / "a", b"new")

    assert names(tmp_path) == ["a", "kept"]
    assert names(kept) == ["precious"]


def test_a_folder_is_written_whole(tmp_path: Path) -> None:
    with files.atomic_directory(tmp_path / "out") as part:
        (part / "a").write_bytes(b"a")
        assert names(tmp_path) == [part.name]

    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["a"]


def test_a_folder_is_replaced_as_a_whole_with_force_only(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_old_folder(out)

    with (
        pytest.raises(OutputExistsError, match="out: exists already"),
        files.atomic_directory(out),
    ):
        pass
    assert names(out) == ["old", "page"]

    with files.atomic_directory(out, force=True) as part:
        for name in ("new", "page"):
            (part / name).write_bytes(b"")
    assert names(out) == ["new", "page"]
    assert names(tmp_path) == ["out"]


# Replaces a folder and is killed just before a chosen rename; the swap is no rename.
KILLED_FOLDER_WRITER = """
import os, signal, sys
from pathlib import Path
from toolkit import files

if sys.argv[2] == "without swap":
    files._swap = lambda one, other: False
renames = 0

def stop(event, arguments):
    global renames
    renames += event == "os.rename"
    if event == "os.rename" and renames == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(stop)
with files.atomic_directory(Path(sys.argv[1]), force=True) as part:
    for name in ("new", "page"):
        (part / name).write_bytes(b"")
"""


@pytest.mark.parametrize("moment", [1, 2])
def test_kill_9_between_two_renames_loses_no_folder(tmp_path: Path, moment: int) -> None:
    out = tmp_path / "out"
    make_old_folder(out)

    ended = run(KILLED_FOLDER_WRITER, out, "without swap", moment)

    assert ended.returncode == -signal.SIGKILL
    assert out.exists() == (moment == 1)
    files.write_bytes(tmp_path / "other", b"")
    assert names(tmp_path) == ["other", "out"]
    assert names(out) == ["old", "page"]


def test_a_folder_is_replaced_without_a_moment_in_which_it_is_missing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_old_folder(out)

    ended = run(KILLED_FOLDER_WRITER, out, "with swap", 1)

    assert ended.returncode == 0, "it took a rename"
    assert names(out) == ["new", "page"]
    assert names(tmp_path) == ["out"]


def test_an_error_leaves_the_old_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_old_folder(out)

    with pytest.raises(ResourceError, match="out: cannot write: No space left"):
        fill_half(out, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    assert names(out) == ["old", "page"]
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("name", ["proj", "proj/images", "proj/a.json", "alias", "linked.json"])
def test_a_folder_that_is_or_holds_an_input_is_no_output(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "proj"
    (folder / "images").mkdir(parents=True)
    (folder / "a.json").write_bytes(b"precious")
    (tmp_path / "alias").symlink_to(folder)
    (folder / "linked.json").symlink_to(tmp_path / "elsewhere")
    given = folder / name if name == "linked.json" else tmp_path / name
    for out in {folder, tmp_path / "alias"}:
        with pytest.raises(UsageError, match=rf"(?s){out}: the output .* '{given}'"):
            files.check_output(out, force=True, inputs=(None, given))
        with (
            pytest.raises(UsageError, match="the output"),
            files.atomic_directory(out, force=True, inputs=(given,)),
        ):
            pass

    files.check_output(folder / "images" / "new", force=True, inputs=(folder,))
    assert names(folder) == ["a.json", "images", "linked.json"]


def test_force_does_not_replace_a_folder_of_somebody_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.jpg").write_bytes(b"precious")

    with pytest.raises(UsageError, match=r"holds other things \(photo.jpg\)"):
        fill(out)
    assert names(out) == ["photo.jpg"]
    assert names(tmp_path) == ["out"]


def test_a_folder_of_somebody_else_is_refused_before_the_work(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.jpg").write_bytes(b"precious")

    with pytest.raises(UsageError, match=r"out: --force .* holds other things \(photo.jpg\)"):
        files.check_output(out, force=True, holds=("index.html",))
    with (
        pytest.raises(UsageError, match=r"holds other things \(photo.jpg\)"),
        files.atomic_directory(out, force=True, holds=("index.html",)),
    ):
        pytest.fail("the work began")

    (out / "index.html").write_bytes(b"")
    files.check_output(out, force=True, holds=("index.html",))
    files.check_output(tmp_path / "new", holds=("index.html",))


def test_a_folder_and_a_file_are_not_taken_for_one_another_before_the_work(
    tmp_path: Path,
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"precious")

    for force in (True, False):
        with pytest.raises(UsageError, match=r"folder: is a folder, and the output is a file"):
            files.check_output(tmp_path / "folder", force=force)
        with pytest.raises(UsageError, match=r"file: is a file, and the output is a folder"):
            files.check_output(tmp_path / "file", force=force, holds=("index.html",))
    both = {tmp_path / "folder": ("index.html",)}
    files.check_outputs(
        (tmp_path / "folder", tmp_path / "file"), force=True, holds={**both, None: ()}
    )
    with pytest.raises(UsageError, match="is a folder, and the output is a file"):
        files.check_outputs((tmp_path / "file", tmp_path / "folder"), force=True)


def test_force_does_not_replace_a_file_by_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"precious")

    with pytest.raises(UsageError, match="is a file, and the output is a folder"):
        fill(out)
    assert out.read_bytes() == b"precious"


def test_two_outputs_are_not_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")

    with pytest.raises(UsageError, match="two outputs have one name"):
        files.check_outputs((tmp_path / "a", None, tmp_path / "link"))
    files.check_outputs((tmp_path / "a", None, tmp_path / "b"))


def test_a_link_to_nowhere_is_not_replaced_without_force(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "none")

    with pytest.raises(OutputExistsError, match="exists already"):
        files.write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("letter", ["a", "🏒"], ids=["one byte", "four bytes"])
def test_a_name_may_be_as_long_as_the_disk_takes(tmp_path: Path, letter: str) -> None:
    size = len(letter.encode())
    longest, longer = letter * (255 // size), letter * (255 // size + 1)

    for content in (b"old", b"new"):
        files.write_bytes(tmp_path / longest, content, force=True)
        assert (tmp_path / longest).read_bytes() == content
    assert names(tmp_path) == [longest]
    (tmp_path / longest).unlink()
    for _ in range(2):
        fill(tmp_path / longest)
    assert names(tmp_path / longest) == ["new"]
    with pytest.raises(WriteError, match=r"the name is too long \(256 bytes"):
        files.write_bytes(tmp_path / longer, b"new")


def test_a_temporary_of_an_impossible_process_is_stale(tmp_path: Path) -> None:
    (tmp_path / f".a.{files._host()}.{'9' * 20}.tmp").write_bytes(b"part")

    files.write_bytes(tmp_path / "a", b"new")

    assert names(tmp_path) == ["a"]


def test_hashes_are_sha_256(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc" * 1000)

    expected = hashlib.sha256(b"abc" * 1000).hexdigest()
    assert files.sha256_file(path) == files.sha256_bytes(b"abc" * 1000) == expected


def test_an_output_that_is_no_file_is_refused_also_with_force(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    link = tmp_path / "link"
    link.symlink_to(pipe)

    for path in (pipe, link):
        with pytest.raises(UsageError, match="is a device or a pipe, and outputs are files"):
            files.write_text(path, "x", force=True)
        assert path.is_fifo()
