"""Strokes, markers, colours and the legend of overlays; picture files from pixels.

Everything here works on canvas px, at a sixteenth of a pixel. Each stroke has a dark rim, so
that it shows on ice, on grass and on a crowd alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from toolkit.schema import Schema

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Color = tuple[int, int, int]

TRUTH_BODY: Color = (64, 220, 110)
TRUTH_STICK: Color = (255, 150, 30)
PREDICTED_BODY: Color = (80, 170, 255)
PREDICTED_STICK: Color = (245, 80, 215)
BOX: Color = (255, 255, 255)
OUTSIDE: Color = (255, 235, 60)
DARK: Color = (16, 18, 24)
MARGIN: Color = (58, 62, 72)
HATCH: Color = (72, 77, 89)

_SHIFT = 4  # OpenCV draws at 1/16 px
_ONE = 1 << _SHIFT

Marker = Literal["disc", "ring"]


def corners_of(box_xywh: Floats) -> Floats:
    """(4, 2) corners of a (4,) box, clockwise from the first."""
    return np.asarray(
        box_xywh[:2] + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * box_xywh[2:], np.float64
    )


def rectangle(
    pixels: Pixels, corners: Floats, width: float, *, dash_px: float | None = None
) -> None:
    """The outline through four corners; dashed with dashes of about `dash_px`."""
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        pieces = [(start, end)]
        if dash_px is not None:
            pieces = _dashes(start, end, dash_px + 2 * width)
        for a, b in pieces:
            line(pixels, a, b, DARK, width + rim(width))
        for a, b in pieces:
            line(pixels, a, b, BOX, width)


def rim(width: float) -> float:
    """What a stroke's dark rim adds to its width: white lines must show on snow."""
    return max(1.5, 0.4 * width)


def _dashes(start: Floats, end: Floats, length: float) -> list[tuple[Floats, Floats]]:
    count = max(1, int(np.linalg.norm(end - start) // length)) | 1
    stops = np.linspace(0, 1, count + 1)[:, None] * (end - start) + start
    return [(stops[i], stops[i + 1]) for i in range(0, count, 2)]


def line(pixels: Pixels, a: Floats, b: Floats, color: Color, width: float) -> None:
    """A straight line with smooth edges."""
    import cv2  # lazy: opencv

    cv2.line(pixels, _fixed(a), _fixed(b), color, max(1, round(width)), cv2.LINE_AA, _SHIFT)


def mark(pixels: Pixels, at: Floats, radius: float, color: Color, marker: Marker) -> None:
    """A keypoint: a filled disc, or a ring."""
    import cv2  # lazy: opencv

    def disc(size: float, fill: Color) -> None:
        cv2.circle(pixels, _fixed(at), round(size * _ONE), fill, -1, cv2.LINE_AA, _SHIFT)

    disc(radius + max(1.2, 0.15 * radius), DARK)
    disc(radius, color)
    if marker == "ring":
        disc(radius * 0.55, DARK)


def diamond(pixels: Pixels, at: Floats, radius: float, width: float) -> None:
    """The frame of a keypoint outside its box."""
    corners = at + radius * np.array([[0, -1], [1, 0], [0, 1], [-1, 0]])
    for color, extra in ((DARK, rim(width)), (OUTSIDE, 0.0)):
        for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            line(pixels, a, b, color, max(1.6, width) + extra)


def hatched(width: int, height: int) -> Pixels:
    """A ground that nobody takes for a picture."""
    rows, columns = np.mgrid[0:height, 0:width]
    stripe = (rows + columns) // 6 % 3 == 0
    return np.where(stripe[:, :, None], HATCH, MARGIN).astype(np.uint8)


def label_tile(text: str, size: int) -> Pixels:
    """A line of text of `size` px on dark ground, as a picture of its own."""
    from PIL import Image, ImageDraw, ImageFont  # lazy: pillow

    font = ImageFont.load_default(size=size)
    pad = max(2, size // 5)
    left, top, right, bottom = font.getbbox(text)
    room = (int(right - left) + 2 * pad, int(bottom - top) + 2 * pad)
    tile = Image.new("RGB", room, DARK)
    ImageDraw.Draw(tile).text((pad - left, pad - top), text, fill=BOX, font=font)
    return np.array(tile, dtype=np.uint8)


def paste(pixels: Pixels, tile: Pixels, at: Floats) -> None:
    """Put a tile with its corner at a place, moved where it would leave the canvas."""
    room = np.array(pixels.shape[1::-1]) - tile.shape[1::-1]
    if (room < 0).any():
        return
    x, y = np.clip(np.rint(at).astype(int), 0, room)
    pixels[y : y + tile.shape[0], x : x + tile.shape[1]] = tile


def legend(
    schema: Schema, width: int, *, predicted: bool, crop: bool = True, scale: float = 1.0
) -> Pixels:
    """A strip of `width` px that says what the colours and markers mean.

    Args:
        schema: Says whether there is an extension.
        width: In px.
        predicted: Whether predictions are drawn too.
        crop: Whether crops are drawn.
        scale: Enlarges symbols and words, for strips under large pictures.
    """
    if scale > 1:
        import cv2  # lazy: opencv

        strip = legend(schema, max(1, int(width / scale)), predicted=predicted, crop=crop)
        size = (width, round(strip.shape[0] * width / strip.shape[1]))
        return np.asarray(cv2.resize(strip, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    entries: list[tuple[str, Color, str]] = [("line", TRUTH_BODY, "body")]
    if schema.is_extension.any():
        entries.append(("line", TRUTH_STICK, "extension"))
    if predicted:
        entries.append(("line", PREDICTED_BODY, "predicted body"))
        if schema.is_extension.any():
            entries.append(("line", PREDICTED_STICK, "predicted extension"))
    entries += [
        ("disc", TRUTH_BODY, "visible"),
        ("ring", TRUTH_BODY, "occluded"),
        ("diamond", OUTSIDE, "outside the box"),
        ("box", BOX, "human box"),
        *([("dash", BOX, "crop")] if crop else []),
        ("hatch", HATCH, "beyond the image"),
    ]
    return _legend_strip(entries, width)


def _legend_strip(entries: list[tuple[str, Color, str]], width: int) -> Pixels:
    """Symbols and words, wrapped into as many lines as the width asks for."""
    from PIL import Image, ImageDraw, ImageFont  # lazy: pillow

    font = ImageFont.load_default(size=13)
    places, x, y = [], 10, 6
    for _, _, text in entries:
        step = 34 + int(font.getlength(text)) + 14
        if x + step > width and x > 10:
            x, y = 10, y + 22
        places.append((x, y))
        x += step
    strip = Image.new("RGB", (width, y + 26), DARK)
    pen = ImageDraw.Draw(strip)
    for (left, top), (_, _, text) in zip(places, entries, strict=True):
        pen.text((left + 32, top + 1), text, fill=(235, 238, 245), font=font)
    pixels = np.array(strip, dtype=np.uint8)
    for (left, top), (symbol, color, _) in zip(places, entries, strict=True):
        _symbol(pixels, symbol, color, np.array([left + 13.0, top + 9.0]))
    return pixels


def _symbol(pixels: Pixels, symbol: str, color: Color, at: Floats) -> None:
    """One legend symbol of 24 x 16 px."""
    reach = np.array([11.0, 0.0])
    if symbol == "line":
        line(pixels, at - reach, at + reach, color, 3)
    elif symbol in ("disc", "ring"):
        mark(pixels, at, 5.0, color, "ring" if symbol == "ring" else "disc")
    elif symbol == "diamond":
        diamond(pixels, at, 7.0, 1.5)
    elif symbol == "hatch":
        x, y = int(at[0]), int(at[1])
        pixels[y - 6 : y + 7, x - 11 : x + 12] = hatched(23, 13)
    else:
        box = np.array([at[0] - 10, at[1] - 6, 20, 12])
        rectangle(pixels, corners_of(box), 1.0, dash_px=4.0 if symbol == "dash" else None)


def contact_sheet(tiles: list[Pixels], columns: int, gap: int = 6) -> Pixels:
    """Tiles of one size in rows, on a dark ground."""
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, 3), DARK, np.uint8
    )
    for index, tile in enumerate(tiles):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def encode_jpeg(pixels: Pixels, quality: int = 90) -> bytes:
    """The drawing as a JPEG file's bytes; the same pixels give the same bytes."""
    return _encode(pixels, "JPEG", quality)


def encode_png(pixels: Pixels) -> bytes:
    """The drawing as a PNG file's bytes; the same pixels give the same bytes."""
    return _encode(pixels, "PNG", 0)


def fit_within(pixels: Pixels, long_side: int) -> Pixels:
    """The drawing, made smaller where its long side is longer than that."""
    import cv2  # lazy: opencv

    factor = long_side / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    size = (round(pixels.shape[1] * factor), round(pixels.shape[0] * factor))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _encode(pixels: Pixels, kind: str, quality: int) -> bytes:
    import io

    from PIL import Image  # lazy: pillow

    stream = io.BytesIO()
    options = {"quality": quality, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def _fixed(point: Floats) -> tuple[int, int]:
    """OpenCV's fixed-point position, far outside points brought within its range."""
    x, y = np.clip(np.rint(point * _ONE), -(2**26), 2**26)
    return int(x), int(y)
