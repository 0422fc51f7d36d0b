"""Publishing a data set so that anyone can verify it.

* `build`: from a source folder to a release folder, an archive and a manifest
* `source`: what a source folder must hold, and that it is fit to publish
* `manifest`: path, size, SHA-256 and licence of every file
* `archive`: a tar file whose every byte follows from the manifest
* `card`, `croissant`, `changes`: what people and loaders read
* `verify`: finds any altered, missing or added file
* `extract`: unpacks an archive that nobody has to trust
"""

from __future__ import annotations

from toolkit.publish.archive import Flaw
from toolkit.publish.build import Release, build
from toolkit.publish.extract import extract
from toolkit.publish.manifest import FileEntry, Manifest
from toolkit.publish.verify import verify

__all__ = ["FileEntry", "Flaw", "Manifest", "Release", "build", "extract", "verify"]
