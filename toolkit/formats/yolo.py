"""YOLO-pose: a folder with `data.yaml` and one text file of normalised numbers an image.

One line an instance: class, box centre and size, then x y visibility of each keypoint, all
divided by the picture's size (Ultralytics' pose format). YOLO needs the pictures to know
pixels; so that labels can travel alone, `data.yaml` gets a key of our own, `sizes`, from
file name to [width, height], which YOLO's tools ignore.

Points outside the picture are below 0 or above 1 and stay so. Numbers are written with as
many digits as bring the pixels back, and read as decimals, not as floats: every float64
coordinate comes back as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path, PurePosixPath

from toolkit.errors import InvalidDataError, UnsafeInputError
from toolkit.formats.foreign import CocoDocument, Files, Foreign, Record, records_of
from toolkit.formats.foreign_values import (
    PRECISION,
    Number,
    Point,
    box_of,
    categories_of,
    category_row,
    decimal_of,
    keypoint_names,
    people_by_image,
    plain,
    points_of,
    size_of,
    text_of,
    without_image,
)
from toolkit.formats.yolo_read import Folder, detect_folder, read_folder, to_document
from toolkit.images import unsafe_name_reason
from toolkit.report import Finding
from toolkit.schema import Schema

DATA = "data.yaml"
_LABELS = PurePosixPath("labels/train")
_DIGITS = (25, 50)


def to_coco(path: Path, schema: Schema | None) -> tuple[CocoDocument, list[Finding]]:
    """Read a YOLO-pose folder, or the folder of a `data.yaml`."""
    return to_document(read_folder(path), schema)


def decode(files: Files) -> CocoDocument:
    """The document that a folder's files say."""
    labels = {name: text.decode() for name, text in files.items() if name != DATA}
    return to_document(Folder(files[DATA].decode(), labels, {}), None)[0]


@dataclass(frozen=True)
class _Classes:
    """The categories as YOLO's classes: `width` keypoints for all, zeros fill the rest."""

    categories: list[Record]
    width: int


def encode(document: CocoDocument, schema: Schema) -> Files:
    """A YOLO-pose folder; pictures are not copied."""
    categories = categories_of(document, schema)
    classes = _Classes(categories, max(len(keypoint_names(c)) for c in categories))
    records = records_of(document, "annotations")
    labels: dict[str, str] = {}
    sizes: dict[str, list[Number]] = {}
    people, _ = people_by_image(document)
    for row, image in enumerate(records_of(document, "images")):
        name = _label_name(image, row)
        if name in labels:
            raise InvalidDataError(
                f"images[{row}] id={image.get('id')} field 'file_name': "
                f"'{image.get('file_name')}' would share the label file '{name}' with "
                "another image; give every picture a name of its own"
            )
        size = size_of(image, row)
        sizes[str(image["file_name"])] = list(size)
        labels[name] = "".join(
            _line(records[index], index, size, classes) + "\n" for index in people[row]
        )
    data = _head(document, schema) + _data_yaml(classes, sizes, schema)
    return {DATA: data.encode(), **{name: text.encode() for name, text in labels.items()}}


def notes(document: CocoDocument, schema: Schema) -> list[str]:
    """How many pictures Ultralytics leaves out, because of points outside them."""
    count = pictures_with_points_outside(document, schema)
    if not count:
        return []
    have = "1 picture has" if count == 1 else f"{count:,} pictures have"
    return [
        f"{have} keypoints or boxes outside, which YOLO writes as shares below 0 or above 1; "
        "they are kept here, but Ultralytics leaves such pictures out of training"
    ]


def pictures_with_points_outside(document: CocoDocument, schema: Schema) -> int:
    """How many images have a share below 0 or above 1, whatever the visibility."""
    categories, records = categories_of(document, schema), records_of(document, "annotations")
    people, _ = people_by_image(document)
    count = 0
    for row, image in enumerate(records_of(document, "images")):
        size = size_of(image, row)
        count += any(
            _leaves(*_points_and_box(records[index], index, categories), size)
            for index in people[row]
        )
    return count


def _leaves(points: list[Point], box: list[Number], size: tuple[Number, Number]) -> bool:
    """Whether a point, or a box's centre or side, is below 0 or above the picture's size."""
    width, height = size
    x, y, w, h = box
    shares = [(x + w / 2, y + h / 2), (w, h), *(point[:2] for point in points)]
    return not all(0 <= across <= width and 0 <= down <= height for across, down in shares)


def _head(document: CocoDocument, schema: Schema) -> str:
    """The notes at the head of `data.yaml`."""
    return "".join(f"# {line}\n" for line in notes(document, schema))


def _label_name(image: Record, row: int) -> str:
    """Path of an image's label file in the folder; a name that would leave it is refused."""
    name = image.get("file_name")
    reason = unsafe_name_reason(name) if isinstance(name, str) else "it is missing"
    if reason is None and not PurePosixPath(str(name)).name:
        reason = "it names no file"
    if reason is not None:
        raise UnsafeInputError(
            f"images[{row}] id={image.get('id')} field 'file_name': {name!r} refused: "
            f"{reason}; YOLO's label files take the pictures' names. Correct the file name."
        )
    return str(_LABELS / PurePosixPath(str(name)).with_suffix(".txt"))


def _data_yaml(classes: _Classes, sizes: dict[str, list[Number]], schema: Schema) -> str:
    import yaml

    names = [keypoint_names(category) for category in classes.categories]
    widest = max(names, key=len)
    document = {
        "path": ".",
        "train": "images/train",
        "val": "images/train",
        "kpt_shape": [classes.width, 3],
        "flip_idx": _flip_index(widest, schema),
        "names": {row: str(c.get("name")) for row, c in enumerate(classes.categories)},
        "kpt_names": dict(enumerate(names)),
        "sizes": sizes,
    }
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        document,
        Dumper=dumper,
        sort_keys=False,
        allow_unicode=True,
        width=1 << 20,
        default_flow_style=None,
    )
    return text


def _flip_index(names: list[str], schema: Schema) -> list[int]:
    """Where each keypoint goes in a mirrored picture; itself where nobody says."""
    if tuple(names) == schema.names:
        return [int(index) for index in schema.flip_index]
    return list(range(len(names)))


def _line(record: Record, index: int, size: tuple[Number, Number], classes: _Classes) -> str:
    row = category_row(classes.categories, record, index)
    width, height = size
    points, box = _points_and_box(record, index, classes.categories)
    tokens = [str(row), *_box_tokens(box, width, height)]
    for x, y, visibility in points + [(0, 0, 0)] * (classes.width - len(points)):
        tokens += [_share(x, width), _share(y, height), text_of(visibility)]
    return " ".join(tokens)


def _points_and_box(
    record: Record, index: int, categories: list[Record]
) -> tuple[list[Point], list[Number]]:
    """What a line holds: points if they are as many as the category's, and a box."""
    row = category_row(categories, record, index)
    points: list[Point] = points_of(record) or []
    if len(points) != len(keypoint_names(categories[row])):
        points = []
    return points, box_of(record) or _box_round(points)


def _box_round(points: list[Point]) -> list[Number]:
    """The smallest box round the labelled points; of no size where there are none."""
    seen = [(x, y) for x, y, visibility in points if visibility > 0]
    if not seen:
        return [0, 0, 0, 0]
    left, top = min(x for x, _ in seen), min(y for _, y in seen)
    return [left, top, max(x for x, _ in seen) - left, max(y for _, y in seen) - top]


def _box_tokens(box: list[Number], width: Number, height: Number) -> list[str]:
    x, y, w, h = box
    span_x, span_y = _share(w, width), _share(h, height)
    return [_centre(x, span_x, width), _centre(y, span_y, height), span_x, span_y]


@lru_cache(maxsize=1 << 16)  # coordinates repeat: most are whole, or one of a few hundred
def _share(value: Number, side: Number) -> str:
    """`value / side` with as few digits as bring `value` back."""
    size = decimal_of(side)
    for token in _candidates(PRECISION.divide(decimal_of(value), size)):
        if plain(PRECISION.multiply(Decimal(token), size)) == value:
            break
    return token


def _centre(start: Number, span: str, side: Number) -> str:
    """The centre of a side of the box, with as few digits as bring its start back."""
    size = decimal_of(side)
    half = PRECISION.multiply(Decimal(span), size) / 2
    for token in _candidates(PRECISION.divide(PRECISION.add(decimal_of(start), half), size)):
        back = PRECISION.subtract(PRECISION.multiply(Decimal(token), size), half)
        if plain(back) == start:
            break
    return token


def _candidates(value: Decimal) -> Iterator[str]:
    """Spellings of a number: as a float64 shows it, then with more digits than that."""
    yield str(plain(value))
    for digits in _DIGITS:
        # In our own context: the default one would round to 28 digits first.
        yield format(value.normalize(PRECISION), f".{digits}g")


YOLO = Foreign(
    name="yolo",
    suffixes=(),
    description="YOLO-pose folder (data.yaml and labels/**/*.txt), sizes in data.yaml",
    is_folder=True,
    detect=detect_folder,
    to_coco=to_coco,
    encode=encode,
    decode=decode,
    dropped=without_image,
    notes=notes,
    numbered=frozenset({"images", "annotations"}),
)
