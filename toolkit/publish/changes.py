"""What changed since the last release, in lines that a reader of the card understands."""

from __future__ import annotations

import tempfile
from pathlib import Path

from toolkit import formats
from toolkit.curate.diff import diff
from toolkit.curate.diff_report import keypoint_summaries, summary_lines
from toolkit.errors import ReadError
from toolkit.publish.extract import extract
from toolkit.publish.manifest import MANIFEST, Manifest
from toolkit.publish.source import Source
from toolkit.schema import Schema


def change_lines(source: Source, previous: Path) -> list[str]:
    """Compare a source with the last release.

    Args:
        source: What is about to be published.
        previous: The last release: its folder, or its archive.

    Raises:
        ReadError: `previous` is no release.
    """
    if previous.is_dir():
        return _compare(source, previous)
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / "release"
        extract(previous, unpacked)
        roots = [path for path in unpacked.iterdir() if path.is_dir()]
        if len(roots) != 1:
            raise ReadError(f"{previous}: not the archive of a release")
        return _compare(source, roots[0])


def _compare(source: Source, release: Path) -> list[str]:
    root = release
    if not (root / "annotations.json").is_file():
        inside = [path.parent for path in root.glob("*/annotations.json")]
        if len(inside) != 1:
            raise ReadError(
                f"{release}: no annotations.json in it; wanted a release's folder or archive"
            )
        root = inside[0]
    place = root / MANIFEST
    if not place.is_file():
        raise ReadError(
            f"{place}: no such file; wanted the folder or the archive of the last release, "
            "as 'toolkit publish build' makes them"
        )
    manifest = Manifest.from_bytes(place.read_bytes(), str(place))
    old = formats.read(root / "annotations.json", Schema.load(root / "schema.yaml"))
    found = diff(old, source.dataset)
    lines = [f"compared with version {manifest.version}", *summary_lines(found)]
    lines += [
        f"`{row.name}`: {row.moved:,} moved, median {row.median_px:.1f} px, at most "
        f"{row.max_px:.1f} px"
        for row in keypoint_summaries(found)
        if row.moved and row.median_px is not None and row.max_px is not None
    ]
    return lines
