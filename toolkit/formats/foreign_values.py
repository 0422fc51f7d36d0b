"""Values that foreign formats need of COCO records: points, boxes, names, exact decimals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import TypeGuard

from toolkit.errors import InvalidDataError
from toolkit.formats.compare import identity
from toolkit.formats.foreign import CocoDocument, Record, records_of
from toolkit.schema import Schema

Number = int | float
Point = tuple[Number, Number, Number]
# Enough for the exact sum of two coordinates, and not enough to be kept busy by `1e-300`.
PRECISION = Context(prec=60)
_EXACT = 2**53
HUGE = 1e300  # beyond it, arithmetic would overflow
_NUMBERS = frozenset((int, float))
MAX_SIDE = 10**7  # px; larger than any picture
_LONGEST = 100  # characters of a number in a text file; float64 needs 24


def is_number(value: object) -> TypeGuard[Number]:
    """Whether a JSON value is a number that can be calculated with; `true` is none."""
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, int)):
        return False
    return -HUGE < value < HUGE  # which NaN is not either


def all_numbers(values: list[Number]) -> bool:
    """`is_number` of every value, without a call for each where all are int or float."""
    if not _NUMBERS.issuperset(map(type, values)):
        return all(map(is_number, values))
    try:
        if math.hypot(*values) < HUGE:  # then each of them is, and none is NaN
            return True
    except OverflowError:  # an int that is no float
        pass
    return all(map(is_number, values))


def points_of(record: Record) -> list[Point] | None:
    """`keypoints` as (x, y, visibility); None where it is missing or not 3K numbers."""
    flat = flat_of(record)
    return None if flat is None else list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))


def flat_of(record: Record) -> list[Number] | None:
    """`keypoints` as it is; None where it is missing or not 3K numbers."""
    flat = record.get("keypoints")
    good = isinstance(flat, list) and len(flat) % 3 == 0 and all_numbers(flat)
    return flat if good else None


def box_of(record: Record, field: str = "bbox") -> list[Number] | None:
    """A box as [x, y, width, height]; None where it is missing or not 4 numbers."""
    box = record.get(field)
    if not isinstance(box, list) or len(box) != 4 or not all_numbers(box):
        return None
    return list(box)


def flattened(points: Iterable[Point]) -> list[Number]:
    """Points as COCO's flat list."""
    return [value for point in points for value in point]


def labelled(points: Iterable[Point]) -> int:
    """COCO's num_keypoints: how many points have a visibility above 0."""
    return sum(point[2] > 0 for point in points)


def text_of(value: Number) -> str:
    """A number as text that reads back as the same number, without an exponent's noise."""
    whole = isinstance(value, int) or (value.is_integer() and abs(value) < _EXACT)
    return str(int(value)) if whole else repr(value)


def decimal_of(value: Number) -> Decimal:
    """The decimal that `repr` shows, which is what a text file says."""
    return Decimal(repr(value))


def plain(value: Decimal) -> Number:
    """The nearest float64; an int where it is whole, as COCO files write it."""
    nearest = float(value)
    whole = math.isfinite(nearest) and nearest.is_integer() and abs(nearest) < _EXACT
    return int(nearest) if whole else nearest


def parse_number(text: str | None) -> Decimal | None:
    """A number in a text file; None where it is none, not finite, or absurdly long."""
    if text is None or len(text) > _LONGEST or "_" in text:  # 1_0 is Python's way alone
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    usable = value.is_finite() and -400 < value.adjusted() < 300
    return value if usable else None


def categories_of(document: CocoDocument, schema: Schema) -> list[Record]:
    """The document's categories; the schema's where it has none."""
    return records_of(document, "categories") or [schema.coco_category()]


def keypoint_names(category: Record) -> list[str]:
    """Names of a category's keypoints; none where they are missing."""
    names = category.get("keypoints")
    return [str(name) for name in names] if isinstance(names, list) else []


def category_row(categories: list[Record], record: Record, index: int) -> int:
    """Which category an annotation is of.

    Raises:
        InvalidDataError: There is no such category.
    """
    wanted = identity(record.get("category_id"))
    for row, category in enumerate(categories):
        if identity(category.get("id")) == wanted:
            return row
    raise InvalidDataError(
        f"annotations[{index}] id={record.get('id')} field 'category_id': no category has "
        f"the id {record.get('category_id')!r}; correct it, or add the category"
    )


def people_by_image(document: CocoDocument) -> tuple[list[list[int]], set[int]]:
    """Indices of each image's annotations, and of those whose image does not exist."""
    rows = {identity(r.get("id")): i for i, r in enumerate(records_of(document, "images"))}
    people: list[list[int]] = [[] for _ in records_of(document, "images")]
    loose = set()
    for index, record in enumerate(records_of(document, "annotations")):
        row = rows.get(identity(record.get("image_id")))
        if row is None:
            loose.add(index)
        else:
            people[row].append(index)
    return people, loose


def without_image(document: CocoDocument, schema: Schema) -> set[int]:
    """Indices of the annotations whose image does not exist: they have no place."""
    return people_by_image(document)[1]


def size_of(image: Record, index: int) -> tuple[Number, Number]:
    """Width and height of an image in px.

    Raises:
        InvalidDataError: They are missing or not above 0.
    """
    width, height = image.get("width"), image.get("height")
    for field, value in (("width", width), ("height", height)):
        side = value if isinstance(value, int | float) and is_number(value) else 0
        if not 0 < side <= MAX_SIDE:
            raise InvalidDataError(
                f"images[{index}] id={image.get('id')} '{image.get('file_name')}' field "
                f"'{field}': got {value!r}; the format needs the picture's size in px"
            )
    return width, height  # type: ignore[return-value]  # both were checked


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a picture as it is shown; None where it cannot be read."""
    from PIL import Image, UnidentifiedImageError  # lazy: Pillow costs 0.1 s

    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as picture:
            width, height = picture.size
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, ValueError):
        return None
    return (height, width) if turned else (width, height)
