"""mediapipe as a service: a process in an environment of its own, spoken to over pipes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import MissingExtraError, ServiceError

VARIABLE = "TOOLKIT_MEDIAPIPE_PYTHON"
LANDMARKS = 33
START_S, ANSWER_S = 180.0, 60.0  # the first start compiles its modules
_ROOT = Path(__file__).resolve().parents[2]
_WORKER = Path(__file__).with_name("worker.py")
_HOW = (
    f"run scripts/mediapipe-env in the checkout, or let {VARIABLE} name the Python of an "
    "environment made by: python3 -m venv ENV && ENV/bin/pip install mediapipe==0.10.14"
)


def find_python() -> Path:
    """The Python of mediapipe's environment.

    Raises:
        MissingExtraError: There is none; the message says how to make one.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not os.access(named, os.X_OK):
            raise MissingExtraError(f"{VARIABLE} is '{named}', which is no program; {_HOW}")
        return Path(named)
    own = _ROOT / ".venv-mediapipe" / "bin" / "python"
    if not own.exists():
        raise MissingExtraError(f"mediapipe is not installed; {_HOW}")
    return own


class PoseService:
    """mediapipe's pose model in a process of its own; a context manager."""

    def __init__(self, python: Path) -> None:
        """Remember which Python to start."""
        self.python = python
        self.version = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it.

        Raises:
            ServiceError: It does not start, or has no mediapipe.
        """
        self._log = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                [str(self.python), "-I", "-W", "ignore", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
            )
            self.version = str(self._answer(START_S).get("mediapipe"))
        except OSError as error:
            self.__exit__(None, None, None)
            raise ServiceError(f"{self.python}: cannot be started: {error}; {_HOW}") from error
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, whatever happened."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()
        if self._log is not None:
            self._log.close()

    def landmarks(self, crop: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """Landmarks of the person in a crop.

        Args:
            crop: (H, W, 3) RGB.

        Returns:
            (33, 3) x, y in px of the crop and visibility in [0, 1]; None where nobody was
            found.

        Raises:
            ServiceError: The process ended or does not answer.
        """
        process = self._process
        if process is None or process.stdin is None:
            raise ServiceError("mediapipe is not running; use PoseService in a 'with' block")
        height, width = crop.shape[:2]
        head = json.dumps({"width": width, "height": height}).encode("ascii")
        try:
            process.stdin.write(head + b"\n" + np.ascontiguousarray(crop).tobytes())
            process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        rows = self._answer(ANSWER_S).get("landmarks")
        if rows is None:
            return None
        found = np.array(rows, dtype=np.float64)
        if found.shape != (LANDMARKS, 3):
            raise ServiceError(
                f"{self.python}: mediapipe gave landmarks of shape {found.shape}; wanted "
                f"({LANDMARKS}, 3), as version 0.10.14 does; {_HOW}"
            )
        return found

    def _answer(self, seconds: float) -> dict[str, object]:
        """The next line of the process; it is ended where it takes too long."""
        process = self._process
        if process is None or process.stdout is None:
            raise self._ended()
        watch = Timer(seconds, process.kill)
        watch.start()
        try:
            line = process.stdout.readline()
        finally:
            watch.cancel()
        try:
            answer = json.loads(line)
        except ValueError:
            raise self._ended() from None
        return answer if isinstance(answer, dict) else {}

    def _ended(self) -> ServiceError:
        """What the process said last."""
        said = ""
        if self._log is not None:
            self._log.seek(0)
            lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
            said = f": {lines[-1]}" if lines else ""
        return ServiceError(f"{self.python}: mediapipe gave no answer{said}; {_HOW}")
