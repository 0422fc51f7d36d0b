"""Kills commands while they write, and looks at what they leave.

Run as `python kill_server.py TARGET KILLS SEED COMMAND...`, where TARGET (a file or a folder)
is what the command writes. The toolkit is imported once; each command then runs in a forked
child, which is killed with SIGKILL at a random moment: in half of the rounds at any time of
its run, in half after it has opened its first temporary file. Prints one JSON document.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from toolkit.cli import cli
from toolkit.cli.running import run


def contents(target: Path) -> object:
    """A file's bytes, a folder's names and bytes, or None."""
    if target.is_dir():
        files = sorted(path for path in target.rglob("*") if path.is_file())
        return [(str(path.relative_to(target)), path.read_bytes()) for path in files]
    return target.read_bytes() if target.exists() else None


def child(words: list[str], tell: int) -> NoReturn:
    """The command, in this process; says through a pipe when it begins to write."""
    told = []

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in ("open", "os.mkdir") and ".tmp" in str(arguments[0]) and not told:
            told.append(event)
            os.write(tell, b"w")

    sys.addaudithook(watch)
    os._exit(finished(words))


def finished(words: list[str]) -> int:
    """The exit code of a command that runs in this process to its end."""
    try:
        run(cli, words)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def once(words: list[str], wait_for_write: bool, seconds: float) -> tuple[int, float, float]:
    """Run a command and kill it after so many seconds; gives status, start of write, end."""
    hear, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(words, tell)
    os.close(tell)
    start, writes = time.monotonic(), 0.0
    if wait_for_write and select.select([hear], [], [], 60)[0]:
        writes = time.monotonic() - start
    ended, status = os.waitpid(pid, os.WNOHANG) if seconds == 0 else (0, 0)
    limit = time.monotonic() + seconds
    while not ended and time.monotonic() < limit:
        time.sleep(min(0.0005, seconds))
        ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    os.close(hear)
    return os.waitstatus_to_exitcode(status), writes, time.monotonic() - start


def main() -> None:
    """Kill, look, and report."""
    target, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    words, chance = sys.argv[4:], random.Random(seed)
    report = os.dup(1)
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    old = contents(target)
    code = finished(words)  # here, so that the libraries are loaded before the forks
    new = contents(target)
    _, writes, total = once(words, True, 60)
    spans = {True: total - writes, False: total}  # of the writing; of the whole run
    found = {"code": code, "killed": 0, "old": 0, "new": 0, "other": 0, "unlike": old != new}
    put_back = old
    number = 0
    while found["killed"] < kills and number < 5 * kills:  # some end before they are killed
        number += 1
        restore(target, put_back)
        in_write = bool(number % 2)
        wait = chance.uniform(0, max(spans[in_write], 0.002))
        status, writes, total = once(words, in_write, wait)
        found["killed"] += status == -signal.SIGKILL
        if status != -signal.SIGKILL:  # the machine is less busy than it was at first
            spans[in_write] = total - writes
        now = contents(target)
        kind = "old" if now == old else "new" if now == new else "other"
        found[kind] += 1
        if kind == "other":
            found["example"] = repr(now)[:300]
    restore(target, put_back)
    once(words, True, 60)
    found["left"] = sorted(p.name for p in target.parent.iterdir() if ".tmp" in p.name)
    found["last"] = contents(target) == new
    os.write(report, json.dumps(found).encode())


def restore(target: Path, old: object) -> None:
    """Put the output of the earlier run back."""
    if isinstance(old, bytes):
        target.write_bytes(old)
    elif isinstance(old, list):
        for path in sorted(target.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        for name, content in old:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(content)


if __name__ == "__main__":
    main()
