"""Whether the splits of a release hold together: no leak, nothing missing, nothing twice."""

from __future__ import annotations

from toolkit.publish.source import Source


def check_splits(source: Source) -> None:
    """Refuse splits that leak, or that are not of these annotations.

    Raises:
        InvalidDataError: A leak, an altered file, or an image that is in no annotation file.
        ReadError: The folder holds no split.
    """
