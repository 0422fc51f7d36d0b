"""FiftyOne's App on this machine, with the toolkit's operators in it."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from toolkit.errors import ServiceError, UsageError

PLUGIN = Path(__file__).parent / "plugin"
LOCAL = ("127.0.0.1", "localhost", "::1")


@contextmanager
def operators() -> Iterator[None]:
    """Let FiftyOne see the toolkit's operators, beside the plugins that a person has.

    Set before FiftyOne is imported: its server takes the folder from the environment.
    """
    own = os.environ.get("FIFTYONE_PLUGINS_DIR") or str(Path.home() / "fiftyone/__plugins__")
    with tempfile.TemporaryDirectory(prefix="toolkit-plugins-") as folder:
        (Path(folder) / "toolkit").symlink_to(PLUGIN, target_is_directory=True)
        if Path(own).is_dir():
            (Path(folder) / "own").symlink_to(Path(own).resolve(), target_is_directory=True)
        before = os.environ.get("FIFTYONE_PLUGINS_DIR")
        os.environ["FIFTYONE_PLUGINS_DIR"] = folder
        try:
            yield
        finally:
            os.environ.pop("FIFTYONE_PLUGINS_DIR")
            if before is not None:
                os.environ["FIFTYONE_PLUGINS_DIR"] = before


def check_address(address: str, port: int) -> None:
    """Refuse an address or a port that the App cannot have, before any work is done.

    Raises:
        UsageError: The address is none of this machine, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        raise UsageError(
            f"the App cannot use {address} port {port} ({error.strerror or error}); choose "
            "another with --port or --address, or build only with --no-app"
        ) from error


def serve(name: str, address: str, port: int, started: Callable[[str], None]) -> None:
    """Open the App on a data set, and stay until Ctrl-C or a request to end.

    Args:
        name: Of the data set.
        address: To listen on.
        port: To listen on.
        started: Called with the address for a browser, once it answers.

    Raises:
        ServiceError: The App does not start.
    """
    import fiftyone as fo  # lazy: 2 to 7 s

    try:
        session = fo.launch_app(
            fo.load_dataset(name), address=address, port=port, remote=True, auto=False
        )
    except Exception as error:
        raise ServiceError(
            f"FiftyOne's App does not start on {address} port {port} "
            f"({type(error).__name__}); try another --port"
        ) from error
    shown = f"[{address}]" if ":" in address else address
    started(f"http://{shown}:{port}/datasets/{name}")
    before = signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        session.wait(-1)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        session.close()


def _as_interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt
