"""Whether the splits of a release hold together: no leak, nothing missing, nothing twice."""

from __future__ import annotations

from toolkit import formats
from toolkit.curate.records import (
    SECTIONS,
    Key,
    document_of,
    load_record,
    record_keys,
    same,
)
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, counted
from toolkit.publish.manifest import file_paths
from toolkit.publish.source import Source
from toolkit.split import read_manifest, verify_split
from toolkit.split.manifest import NAME, ImageEntry

_SHOWN = 3


def check_splits(source: Source) -> list[str]:
    """Refuse splits that leak, or that are not of these annotations.

    Pictures are compared too, so this reads every image.

    Returns:
        Notes: what the split's own check says, files of the folder that are none of the
        split's and stay behind, images that are in no split.

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
    notes = list(verdict.notes)
    others = sorted(set(file_paths(folder)) - set(split_files(source)))
    if others:
        notes.append(
            f"left out as the split's manifest does not name it: "
            f"{counted(len(others), 'file')} below splits/, the first '{others[0]}'"
        )
    covered = {entry.id for entry in _entries(source)}
    left = [i for i in source.dataset.images.ids.tolist() if i not in covered]
    if left:
        notes.append(f"{len(left):,} images are in no split, the first image id={left[0]}")
    return notes


def split_files(source: Source) -> list[str]:
    """What below `splits/` is the split: its manifest, and the files that names."""
    parts = read_manifest(source.folder / "splits").parts.values()
    return [NAME, *(part.file for part in parts)]


def _entries(source: Source) -> list[ImageEntry]:
    manifest = read_manifest(source.folder / "splits")
    return [entry for part in manifest.parts.values() for entry in part.images]


def _strangers(source: Source) -> list[str]:
    """Records of the splits that are not as in `annotations.json`, and people they lack."""
    own = _Records(source.dataset)
    found = []
    for name, part in read_manifest(source.folder / "splits").parts.items():
        path = source.folder / "splits" / part.file
        theirs = _Records(formats.read(path, source.schema))
        for section in SECTIONS:
            for key in theirs.rows[section]:
                home = own.record(section, key)
                if home is None:
                    found.append(f"{name}: {section} id={key} is not in annotations.json")
                elif not _say_the_same(theirs.record(section, key), home):
                    found.append(
                        f"{name}: {section} id={key} is not as in annotations.json; split again"
                    )
        found += [
            f"{name}: annotations id={key} of annotations.json is missing; split again"
            for key, image in own.people
            if image in theirs.rows["images"] and key not in theirs.rows["annotations"]
        ]
    return found


class _Records:
    """A data set's records by id, and whose image each of its people is in."""

    def __init__(self, dataset: Dataset) -> None:
        document = document_of(dataset)
        self._document = document
        self.rows = {
            section: {key: row for row, key in enumerate(record_keys(document, section))}
            for section in SECTIONS
        }
        people = dataset.annotations
        self.people = list(
            zip(people.instance_id.tolist(), people.image_id.tolist(), strict=True)
        )

    def record(self, section: str, key: Key) -> bytes | None:
        """The bytes of a record; None where there is none."""
        row = self.rows[section].get(key)
        return None if row is None else self._document.record(section, row)


def _say_the_same(one: bytes | None, other: bytes) -> bool:
    return one == other or (one is not None and same(load_record(one), load_record(other)))
