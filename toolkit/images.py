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

import re
import threading
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.errors import InvalidDataError, UnsafeInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 89_478_485  # Pillow's own warning limit: a quarter of a 1 GiB RGB image
MAX_NAME_LENGTH = 255

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


def resolve_images(
    images_dir: str | Path, file_names: Sequence[str], image_ids: Iterable[int]
) -> list[Path]:
    """Paths of many images; lists every missing one before any work is done.

    Raises:
        UnsafeInputError: as `resolve_image`.
        InvalidDataError: the folder or some of the files do not exist; all are listed.
    """
    root = Path(images_dir)
    if not root.is_dir():
        raise InvalidDataError(
            f"images folder {str(images_dir)!r} does not exist or is no folder; "
            "name the folder that holds the images with --images."
        )
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
            "name the right folder with --images."
        )
    return paths


def load_image(path: str | Path) -> NDArray[np.uint8]:
    """Decode one image file.

    Returns:
        (H, W, 3) RGB pixels.

    Raises:
        InvalidDataError: the file is missing, empty, truncated, or neither JPEG, PNG nor
            WebP.
        UnsafeInputError: it claims more than `MAX_PIXELS` pixels (nothing is decoded).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # lazy: pillow

    path = Path(path)
    try:
        with _open(path) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _bomb(path, f"{width} x {height} pixels")
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image))
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


def _open(path: Path) -> Image.Image:
    """Open lazily with our formats only, the decompression-bomb warning as an error."""
    from PIL import Image  # lazy: pillow

    with _DECODER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(path, formats=IMAGE_FORMATS)


def _bomb(path: Path, got: str) -> UnsafeInputError:
    return UnsafeInputError(
        f"{path}: image refused before decoding: {got}; at most {MAX_PIXELS} pixels are "
        "accepted. Scale the image down."
    )


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Pixels of any Pillow mode as (H, W, 3) uint8 RGB."""
    if image.mode.startswith("I") or image.mode == "F":  # 16-bit or float grey
        grey = np.asarray(image, dtype=np.float64)
        scale = 257.0 if image.mode.startswith("I") else 1.0
        grey8 = np.clip(np.rint(grey / scale), 0, 255).astype(np.uint8)
        return np.repeat(grey8[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"), dtype=np.uint8)
