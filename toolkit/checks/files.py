"""Whether the files that the annotations name are there; nothing is opened."""

from __future__ import annotations

from pathlib import Path

from toolkit.dataset import Dataset
from toolkit.errors import ReadError
from toolkit.images import resolve_image
from toolkit.report import Finding, Severity

IMAGE_MISSING = "image-missing"
IMAGE_MISSING_SENTENCE = "Every image that the file names lies in the images folder."


def missing_images(dataset: Dataset, images_dir: Path) -> list[Finding]:
    """One finding for each image file that does not exist, in file order.

    Raises:
        ReadError: The folder does not exist.
        UnsafeInputError: A file name leads out of the folder; nothing was looked for there.
    """
    if not images_dir.is_dir():
        raise ReadError(f"{images_dir}: no such folder; name the folder of the images")
    images = dataset.images
    paths = [
        resolve_image(images_dir, name, int(image_id)) if name else None
        for name, image_id in zip(images.file_names, images.ids, strict=True)
    ]
    return [
        Finding(
            IMAGE_MISSING,
            Severity.ERROR,
            f"'{images.file_names[row]}' is not in '{images_dir}'",
            section="images",
            index=row,
            id=int(images.ids[row]),
            field="file_name",
        )
        for row, path in enumerate(paths)
        if path is not None and not path.is_file()
    ]
