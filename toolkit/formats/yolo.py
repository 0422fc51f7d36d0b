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

from dataclasses import dataclass
from decimal import Decimal
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
    outside = sum(any(map(_leaves, text.splitlines())) for text in labels.values())
    data = _note(outside) + _data_yaml(classes, sizes, schema)
    return {DATA: data.encode(), **{name: text.encode() for name, text in labels.items()}}


def _leaves(line: str) -> bool:
    """Whether a label has a share below 0 or above 1, visibility aside."""
    tokens = line.split()
    shares = [*tokens[1:5], *(t for i, t in enumerate(tokens[5:]) if i % 3 != 2)]
    return any(not 0 <= float(token) <= 1 for token in shares)


def _note(count: int) -> str:
    """What Ultralytics does with points outside the picture, at the head of `data.yaml`."""
    if not count:
        return ""
    return (
        f"# {count} pictures have labels with shares below 0 or above 1, that is outside\n"
        "# the picture. They are kept here; Ultralytics leaves such pictures out.\n"
    )


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
    width, height = decimal_of(size[0]), decimal_of(size[1])
    wanted = len(keypoint_names(classes.categories[row]))
    points: list[Point] = points_of(record) or []
    if len(points) != wanted:
        points = []
    box = box_of(record) or _box_round(points)
    tokens = [str(row), *_box_tokens(box, width, height)]
    for x, y, visibility in points + [(0, 0, 0)] * (classes.width - len(points)):
        tokens += [_share(x, width), _share(y, height), f"{plain(decimal_of(visibility))}"]
    return " ".join(tokens)


def _box_round(points: list[Point]) -> list[Number]:
    """The smallest box round the labelled points; of no size where there are none."""
    seen = [(x, y) for x, y, visibility in points if visibility > 0]
    if not seen:
        return [0, 0, 0, 0]
    left, top = min(x for x, _ in seen), min(y for _, y in seen)
    return [left, top, max(x for x, _ in seen) - left, max(y for _, y in seen) - top]


def _box_tokens(box: list[Number], width: Decimal, height: Decimal) -> list[str]:
    x, y, w, h = box
    span_x, span_y = _share(w, width), _share(h, height)
    return [_centre(x, span_x, width), _centre(y, span_y, height), span_x, span_y]


def _share(value: Number, size: Decimal) -> str:
    """`value / size` with as few digits as bring `value` back."""
    exact = PRECISION.divide(decimal_of(value), size)
    for token in _candidates(exact):
        if plain(PRECISION.multiply(Decimal(token), size)) == value:
            break
    return token


def _centre(start: Number, span: str, size: Decimal) -> str:
    """The centre of a side of the box, with as few digits as bring its start back."""
    half = PRECISION.multiply(Decimal(span), size) / 2
    exact = PRECISION.divide(PRECISION.add(decimal_of(start), half), size)
    for token in _candidates(exact):
        back = PRECISION.subtract(PRECISION.multiply(Decimal(token), size), half)
        if plain(back) == start:
            break
    return token


def _candidates(value: Decimal) -> list[str]:
    """Spellings of a number: as a float64 shows it, then with more digits than that."""
    longer = [format(value.normalize(), f".{digits}g") for digits in _DIGITS]
    return [str(plain(value)), *longer]


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
)
