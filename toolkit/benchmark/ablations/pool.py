"""Tasks as child processes, some side by side, with one thread each and one progress bar.

Two processes of one thread train more than one process of two threads, and a process that
dies takes nothing with it. A child ends when this process ends, however that happens: it
writes its progress into a pipe that then has no reader.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import INTERNAL, ResourceError, ToolkitError
from toolkit.files import write_text

Progress = Callable[[int, int], None]
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
}
MESSAGE_CHARS = 2000


@dataclass(frozen=True)
class Task:
    """One child's work.

    Attributes:
        name: For messages.
        folder: Where `NAME-task.json` and `NAME.log` go.
        kind: `train` or `predict`.
        content: The rest of the task's file, JSON values.
        steps: How much it counts for the progress bar.
    """

    name: str
    folder: Path
    kind: str
    content: dict[str, object]
    steps: int


def run_tasks(
    tasks: Sequence[Task],
    jobs: int,
    progress: Progress,
    finished: Callable[[str], None] | None = None,
) -> None:
    """Run all tasks, `jobs` at a time, in order.

    Args:
        tasks: They do not wait for each other.
        jobs: Child processes at a time.
        progress: Called with (steps done, steps in all).
        finished: Called with a line about each task that is done, for logs.

    Raises:
        ToolkitError: A task failed; the others are ended, and what they did is kept.
    """
    waiting: queue.SimpleQueue[Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    steps = sum(task.steps for task in tasks)
    shared = _Shared([0] * len(tasks), steps, progress, finished or (lambda line: None))
    numbers = {id(task): number for number, task in enumerate(tasks)}

    def work() -> None:
        while not shared.failure:
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                _run(task, numbers[id(task)], shared)
            except Exception as error:
                shared.fail(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(jobs, len(tasks)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(timeout=0.2)
    except BaseException as error:  # an interruption, too, ends the children
        shared.fail(error)
        raise
    if shared.failure:
        raise shared.failure[0]


class _Shared:
    """What the threads have in common."""

    def __init__(
        self, done: list[int], total: int, progress: Progress, say: Callable[[str], None]
    ) -> None:
        self.done, self.total, self.progress, self.say = done, total, progress, say
        self.finished = 0
        self.failure: list[BaseException] = []
        self.children: set[subprocess.Popen[str]] = set()
        self.lock = threading.Lock()

    def tell(self, number: int, steps: int) -> None:
        with self.lock:
            self.done[number] = steps
            self.progress(sum(self.done), self.total)

    def finish(self, task: Task) -> None:
        with self.lock:
            self.finished += 1
            self.say(f"{task.kind} {self.finished} of {len(self.done)} done: {task.name}")

    def fail(self, error: BaseException) -> None:
        with self.lock:
            self.failure.append(error)
            for child in self.children:
                child.terminate()


def _run(task: Task, number: int, shared: _Shared) -> None:
    """One child, from its start to its end.

    Raises:
        ToolkitError: It failed; the class is the one of the child's error.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    path = task.folder / f"{task.kind}-task.json"
    write_text(path, json.dumps({"kind": task.kind, **task.content}, indent=2), force=True)
    log = task.folder / f"{task.kind}.log"
    with log.open("a", encoding="utf-8") as stream:
        start = stream.tell()
        command = [sys.executable, "-m", "toolkit.benchmark.ablations.worker", str(path)]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            env={**os.environ, **ONE_THREAD},
        ) as child:
            code = _watch(child, task, number, shared)
    if code and not shared.failure:
        said = log.read_bytes()[start:].decode("utf-8", errors="replace").strip()
        raise _failed(task, code, said, log)
    shared.tell(number, task.steps)
    if not code:
        shared.finish(task)


def _watch(child: subprocess.Popen[str], task: Task, number: int, shared: _Shared) -> int:
    """Pass on what it tells until it ends; its exit code."""
    with shared.lock:
        shared.children.add(child)
        if shared.failure:  # those that ran when another failed were ended; this one began late
            child.terminate()
    assert child.stdout is not None
    for line in child.stdout:
        words = line.split()
        if len(words) == 2 and all(word.isdecimal() for word in words):
            done, total = (int(word) for word in words)
            shared.tell(number, task.steps * done // max(1, total))
    code = child.wait()
    with shared.lock:
        shared.children.discard(child)
    return code


def _failed(task: Task, code: int, said: str, log: Path) -> ToolkitError:
    """What the child said, under the exit code that its own error has."""
    if code == -signal.SIGKILL:
        return ResourceError(
            f"{task.name}: killed, most likely because memory ran out; close other "
            f"programs, or give a smaller --jobs (all of it: {log})"
        )
    last = said[-MESSAGE_CHARS:].splitlines()[-1] if said else f"ended with code {code}"
    error = ToolkitError(f"{task.name}: {last} (all of it: {log})")
    error.exit_code = code if 1 <= code <= 6 else INTERNAL
    return error
