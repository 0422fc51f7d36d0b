"""One hash of the pictures that a data set names, for names of what was made from them."""

from __future__ import annotations

from pathlib import Path

from toolkit.annotations import Images
from toolkit.errors import ReadError
from toolkit.files import sha256_bytes, sha256_file
from toolkit.images import resolve_images


def pictures_sha256(images: Images, folder: Path) -> str:
    """SHA-256 of the names and the content of all pictures that a data set names.

    Whatever else lies in the folder does not count, nor does where the folder is.

    Raises:
        UnsafeInputError: A name leads out of the folder.
        InvalidDataError: The folder or some of the pictures do not exist.
        ReadError: A picture cannot be read.
    """
    names = images.file_names
    paths = dict(zip(names, resolve_images(folder, names, images.ids), strict=True))
    try:
        told = [f"{sha256_file(paths[name])} {name}" for name in sorted(paths)]
    except OSError as error:
        raise ReadError(
            f"{error.filename}: cannot read the image: {error.strerror}; make it readable"
        ) from error
    return sha256_bytes("\n".join(told).encode("utf-8", errors="surrogatepass"))
