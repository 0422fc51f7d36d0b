"""Image files, opened safely: from a file name in an annotation to pixels.

A `file_name` in an annotation file is somebody else's text. `resolve_image` turns it into
a path and refuses everything that would leave the images folder (absolute names, `..`,
drive letters, network shares, symbolic links that lead out). `load_image` decodes JPEG, PNG
and WebP only, refuses images of absurd size before a pixel is decoded, and names the file
that is truncated or no image at all.

Conventions: pixels are RGB, uint8, (H, W, 3). EXIF orientation is applied, as browsers and
labelling tools do. 16-bit grey is scaled to 8 bits, grey becomes RGB, transparency is
dropped, of an animation the first picture is taken, CMYK is converted.
"""

from __future__ import annotations

import posixpath
import re
import struct
import threading
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.errors import InvalidDataError, ReadError, UnsafeInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's own warning limit: a quarter of a 1 GiB RGB image
MAX_NAME_LENGTH = 255

ORIENTATION = 0x0112  # EXIF's tag
SIDEWAYS = (5, 6, 7, 8)  # its values that swap width and height

_UNSAFE_TYPES = (
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript"),
    (b"%PDF", "PDF"),
    (b"SIMPLE  =", "FITS"),
    (b"gd2\0", "GD"),
)
# A GD file says twice whether it has true colours: in its second byte and its seventh.
_GD_FLAG = bytes.maketrans(b"\xfe\xff", b"\x01\x00")
_DRIVE = re.compile(r"^[A-Za-z]:")
_DECODER_LOCK = threading.Lock()  # `warnings.catch_warnings` is not thread-safe


def resolve_image(images_dir: str | Path, file_name: str, image_id: int | None = None) -> Path:
    """Path of an annotated image, guaranteed to lie inside the images folder.

    The file need not exist; only its name and the links on its way are judged.

    Args:
        images_dir: the folder that the user named; may itself be a link.
        file_name: the `file_name` of an image record, relative to that folder.
        image_id: the record's id, for the message.

    Raises:
        UnsafeInputError: the name is empty, too long, absolute, holds a NUL, a drive
            letter or `..`, or passes a symbolic link that leaves the folder.
    """
    reason = unsafe_name_reason(file_name)
    root = Path(images_dir).resolve()
    if reason is None:
        path = root / file_name
        try:
            inside = path.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # a loop of links
            inside = False
        if inside:
            return path
        reason = "it passes a symbolic link that leaves the images folder"
    record = "image" if image_id is None else f"image id={image_id}"
    shown = file_name if len(file_name) <= 80 else file_name[:77] + "..."
    raise UnsafeInputError(
        f"{record} field 'file_name': {shown!r} refused: {reason}; wanted a relative "
        f"name inside {str(images_dir)!r}. Correct the file name."
    )


def unsafe_name_reason(file_name: str) -> str | None:
    """Say why a file name must not be followed; None when it may be."""
    parts = re.split(r"[/\\]", file_name)
    reasons = (
        (not file_name.strip(), "it is empty"),
        ("\0" in file_name, "it holds a NUL character"),
        (
            max(len(part.encode(errors="replace")) for part in parts) > MAX_NAME_LENGTH,
            f"a part of it is longer than {MAX_NAME_LENGTH} bytes",
        ),
        (file_name.startswith(("/", "\\")), "it is an absolute path"),
        (_DRIVE.match(file_name) is not None, "it names a drive"),
        (".." in parts, "it climbs out with '..'"),
        (len(file_name) > 4096, "it is longer than 4096 characters"),
    )
    return next((reason for bad, reason in reasons if bad), None)


def one_name(file_name: str) -> str:
    """What all spellings have in common that name one file on some disk.

    An accent may be a character of its own or part of its letter, and `./a.jpg` is `a.jpg`.

    >>> one_name("./clip//cafe\u0301.jpg") == one_name("clip/caf\u00e9.jpg")
    True
    """
    return posixpath.normpath(one_text(file_name)) if file_name else ""


def one_text(text: str) -> str:
    """What is one text to a reader as one string: accents are joined to their letters (NFC)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def images_root(images_dir: str | Path, option: str = "--images") -> Path:
    """The folder of the images that an option names, looked for before any work is done.

    Raises:
        ReadError: It does not exist.
    """
    root = Path(images_dir)
    if not root.is_dir():
        raise ReadError(
            f"{images_dir}: no such folder; name the folder of the images with {option}"
        )
    return root


def resolve_images(
    images_dir: str | Path,
    file_names: Sequence[str],
    image_ids: Iterable[int],
    option: str = "--images",
) -> list[Path]:
    """Paths of many images; lists every missing one before any work is done.

    Args:
        images_dir: Their folder.
        file_names: Of the records.
        image_ids: Of the records, for the messages.
        option: What names the folder on the command line, for the messages.

    Raises:
        UnsafeInputError: as `resolve_image`.
        ReadError: the folder does not exist.
        InvalidDataError: some of the files do not exist; all are listed.
    """
    root = images_root(images_dir, option)
    ids = [int(image_id) for image_id in image_ids]
    paths = [
        resolve_image(root, name, image_id)
        for name, image_id in zip(file_names, ids, strict=True)
    ]
    missing = [
        f"{name!r} (image id={image_id})"
        for path, name, image_id in zip(paths, file_names, ids, strict=True)
        if not path.is_file()
    ]
    if missing:
        raise InvalidDataError(
            f"{len(missing)} of {len(paths)} images are missing in "
            f"{str(images_dir)!r}: {', '.join(sorted(missing))}; supply the files or "
            f"name the right folder with {option}."
        )
    return paths


def load_image(path: str | Path) -> NDArray[np.uint8]:
    """Decode one image file.

    Returns:
        (H, W, 3) RGB pixels.

    Raises:
        InvalidDataError: the file is missing, empty, truncated, or neither JPEG, PNG nor
            WebP.
        UnsafeInputError: it claims more than `MAX_PIXELS` pixels, or is of a type that
            image libraries were attacked through (nothing is decoded).
    """
    with opened(path) as image:
        image.load()
        return _to_rgb(_upright(image, _orientation(image)))


@dataclass(frozen=True)
class Looked:
    """What a look at an image file tells.

    Attributes:
        size_wh: Width and height of the pixels as stored, before EXIF orientation.
        upright_wh: The same after it: what browsers and labelling tools show.
        orientation: EXIF's value, 1 to 8; 1 where there is none.
        grey: (side, side) luminance of the upright picture, squeezed to a square.
    """

    size_wh: tuple[int, int]
    upright_wh: tuple[int, int]
    orientation: int
    grey: NDArray[np.uint8]


def look_at(path: str | Path, side: int) -> Looked:
    """Decode a whole file, but keep only a small grey square of it.

    A JPEG is decoded at the smallest scale that leaves twice `side`, which costs a third;
    every byte is still read, so that a damaged file is found.

    Raises:
        InvalidDataError: as `load_image`.
        UnsafeInputError: as `load_image`.
    """
    from PIL import Image  # lazy: pillow

    with opened(path) as image:
        size = image.size
        image.draft("L", (2 * side, 2 * side))
        image.load()
        grey = Image.fromarray(_to_grey(image))
        small = grey.resize((side, side), Image.Resampling.BILINEAR)
        orientation = _orientation(image)
    pixels = np.array(_upright(small, orientation), dtype=np.uint8)
    upright_wh = (size[1], size[0]) if orientation in SIDEWAYS else size
    return Looked(size, upright_wh, orientation, pixels)


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image file for decoding inside the block; every failure names the file.

    Raises:
        InvalidDataError: as `load_image`.
        UnsafeInputError: as `load_image`.
    """
    from PIL import Image, UnidentifiedImageError  # lazy: pillow

    path = Path(path)
    try:
        _refuse_type(path)
        with _open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _bomb(path, f"{width} x {height} pixels")
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _bomb(path, str(error)) from None
    except FileNotFoundError:
        raise InvalidDataError(
            f"{path}: image is missing; supply the file or name the right folder."
        ) from None
    except UnidentifiedImageError:
        raise InvalidDataError(
            f"{path}: not an image that can be read; wanted one of "
            f"{', '.join(IMAGE_FORMATS)}. Replace the file."
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise InvalidDataError(
            f"{path}: image is damaged or truncated ({error}); fetch the file again."
        ) from None


def _refuse_type(path: Path) -> None:
    """Refuse what Pillow or its helpers were attacked through, whatever the file's name."""
    with path.open("rb") as stream:
        head = stream.read(16)
    kind = next((kind for magic, kind in _UNSAFE_TYPES if head.startswith(magic)), None)
    if head[:2] in (b"\xff\xfe", b"\xff\xff") and head[6:7] == head[1:2].translate(_GD_FLAG):
        kind = "GD"
    if kind is not None:
        raise UnsafeInputError(
            f"{path}: image refused before decoding: it is {kind}; wanted one of "
            f"{', '.join(IMAGE_FORMATS)}. Convert the file with a tool that you trust."
        )


def _open(path: Path) -> Image.Image:
    """Open lazily with our formats only, the decompression-bomb warning as an error."""
    from PIL import Image  # lazy: pillow

    with _DECODER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "Corrupt EXIF data" and the like
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path, formats=IMAGE_FORMATS)


def _bomb(path: Path, got: str) -> UnsafeInputError:
    return UnsafeInputError(
        f"{path}: image refused before decoding: {got}; at most {MAX_PIXELS} pixels are "
        "accepted. Scale the image down."
    )


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or the EXIF block is damaged."""
    try:
        with _DECODER_LOCK, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Corrupt EXIF data": the pixels are sound
            value = image.getexif().get(ORIENTATION)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """The picture as its EXIF orientation means it to be seen."""
    from PIL.Image import Transpose  # lazy: pillow

    turns = (
        Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM,
        Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90,
    )  # fmt: skip
    return image if orientation == 1 else image.transpose(turns[orientation - 2])


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels of any Pillow mode as (H, W, 3) uint8 RGB."""
    if _is_deep(image):
        return np.repeat(_from_deep(image)[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _to_grey(image: Image.Image) -> NDArray[np.uint8]:
    """Luminance of any Pillow mode as (H, W) uint8; transparency is dropped."""
    if _is_deep(image):
        return _from_deep(image)
    direct = image.mode in ("L", "RGB", "RGBA")
    return np.array((image if direct else image.convert("RGB")).convert("L"), dtype=np.uint8)


def _is_deep(image: Image.Image) -> bool:
    """Whether it is 16-bit or float grey."""
    return image.mode.startswith("I") or image.mode == "F"


def _from_deep(image: Image.Image) -> NDArray[np.uint8]:
    grey = np.asarray(image, dtype=np.float64)
    scale = 257.0 if image.mode.startswith("I") else 1.0
    return np.clip(np.rint(grey / scale), 0, 255).astype(np.uint8)
