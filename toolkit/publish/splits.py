"""Whether the splits of a release hold together: no leak, nothing missing, nothing twice."""

from __future__ import annotations

from toolkit import formats
from toolkit.errors import InvalidDataError
from toolkit.publish.source import Source
from toolkit.split import read_manifest, verify_split
from toolkit.split.manifest import ImageEntry

_SHOWN = 3


def check_splits(source: Source) -> list[str]:
    """Refuse splits that leak, or that are not of these annotations.

    Pictures are compared too, so this reads every image.

    Returns:
        Notes: images that are in no split.

    Raises:
        InvalidDataError: A leak, an altered file, or a record that is not in
            `annotations.json` as it is in the split.
        ReadError: The folder holds no split.
    """
    folder = source.folder / "splits"
    verdict = verify_split(folder, images=source.folder / "images")
    found = [*verdict.altered, *(leak.line() for leak in verdict.leaks), *_strangers(source)]
    if found:
        more = f" (and {len(found) - _SHOWN:,} more)" if len(found) > _SHOWN else ""
        raise InvalidDataError(
            f"{folder}: nothing was built: {'; '.join(found[:_SHOWN])}{more}; see: "
            f"toolkit split verify {folder} --images {source.folder / 'images'}"
        )
    covered = {entry.id for entry in _entries(source)}
    left = [i for i in source.dataset.images.ids.tolist() if i not in covered]
    if not left:
        return []
    return [f"{len(left):,} images are in no split, the first image id={left[0]}"]


def _entries(source: Source) -> list[ImageEntry]:
    manifest = read_manifest(source.folder / "splits")
    return [entry for part in manifest.parts.values() for entry in part.images]


def _strangers(source: Source) -> list[str]:
    """People of the splits that `annotations.json` does not have, or has otherwise."""
    own = source.dataset
    row_of = {i: row for row, i in enumerate(own.annotations.instance_id.tolist())}
    found = []
    for name, part in read_manifest(source.folder / "splits").parts.items():
        people = formats.read(source.folder / "splits" / part.file, source.schema).annotations
        for row, instance in enumerate(people.instance_id.tolist()):
            home = row_of.get(instance)
            if home is None:
                found.append(f"{name}: annotation id={instance} is not in annotations.json")
            elif (people.keypoints[row] != own.annotations.keypoints[home]).any(
                where=people.visibility[row][:, None] > 0
            ) or (people.visibility[row] != own.annotations.visibility[home]).any():
                found.append(
                    f"{name}: annotation id={instance} is not as in annotations.json; split "
                    "again"
                )
    return found
