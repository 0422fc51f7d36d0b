"""Whether the files that the annotations name are there; nothing is opened.

Also the table of all rules about image files, which the rulebook lists: `toolkit.checks.images`
finds the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.checks.base import ERROR, INFO, WARNING, ListedRule, everywhere
from toolkit.checks.source import subject_of
from toolkit.dataset import Dataset
from toolkit.images import images_root, resolve_image
from toolkit.report import Finding, Severity

IMAGE_MISSING = "image-missing"
IMAGE_UNREADABLE = "image-unreadable"
IMAGE_SIZE_MISMATCH = "image-size-mismatch"
IMAGE_EXIF_ROTATED = "image-exif-rotated"
IMAGE_EXIF_ORIENTATION = "image-exif-orientation"
IMAGE_DUPLICATE = "image-duplicate"
IMAGE_NEAR_DUPLICATE = "image-near-duplicate"

IMAGE_RULES = (
    ListedRule(
        IMAGE_MISSING,
        "Every image that the file names lies in the images folder.",
        everywhere(ERROR),
        repair="Supply the files, or name the right folder with --images.",
    ),
    ListedRule(
        IMAGE_UNREADABLE,
        "Every image is a whole JPEG, PNG or WebP: not empty, not cut short, not another "
        "kind of file under such a name.",
        everywhere(ERROR),
        repair="Fetch the file again, or convert it.",
    ),
    ListedRule(
        IMAGE_SIZE_MISMATCH,
        "An image has the width and height that its record states; otherwise it was scaled, "
        "cropped or exchanged after labelling, and every label is in the wrong place.",
        everywhere(ERROR),
        repair="Find the image that was labelled; correct the record only if the labels fit.",
    ),
    ListedRule(
        IMAGE_EXIF_ROTATED,
        "The record states the size of the upright image, with its EXIF orientation applied, "
        "as browsers and labelling tools show it; here it states the size before turning.",
        everywhere(ERROR),
        repair="Look at a few labels, then store the image upright or turn the labels.",
    ),
    ListedRule(
        IMAGE_EXIF_ORIENTATION,
        "The image is turned or mirrored by an EXIF orientation: programs that ignore it "
        "show the labels in the wrong place. Images stored upright are safe everywhere.",
        everywhere(INFO),
        repair="Store the image upright.",
    ),
    ListedRule(
        IMAGE_DUPLICATE,
        "No image file is there twice under two names: its people would count twice, and "
        "the copies may fall on both sides of a split.",
        everywhere(WARNING),
        repair="Keep one of the two, with the annotations of both compared.",
    ),
    ListedRule(
        IMAGE_NEAR_DUPLICATE,
        "No image looks like one of another clip (saved again, scaled, mirrored, or its "
        "neighbouring frame): clips are what splits keep apart, so a frame in two clips leaks.",
        everywhere(WARNING),
        repair="Give both frames the same clip, or leave one out.",
    ),
)


IMAGE_MISSING_SENTENCE = IMAGE_RULES[0].sentence


def image_finding(dataset: Dataset, row: int, rule: str, message: str, field: str) -> Finding:
    """A finding about the image in one row of the arrays, at the rule's severity."""
    severity = next(r.severity["coco"] for r in IMAGE_RULES if r.code == rule)
    return Finding(
        rule,
        severity or Severity.ERROR,
        message,
        section="images",
        index=subject_of(dataset, ()).index("images", row),
        id=int(dataset.images.ids[row]),
        field=field,
    )


def image_paths(dataset: Dataset, images_dir: Path) -> list[Path | None]:
    """The path of every image, existing or not; None where its record names no file.

    Raises:
        ReadError: The folder does not exist.
        UnsafeInputError: A file name leads out of the folder; nothing was looked for there.
    """
    images_root(images_dir)
    images = dataset.images
    return [
        resolve_image(images_dir, name, int(image_id)) if name else None
        for name, image_id in zip(images.file_names, images.ids, strict=True)
    ]


def missing_images(
    dataset: Dataset, images_dir: Path, paths: Sequence[Path | None] | None = None
) -> list[Finding]:
    """One finding for each image file that does not exist or is not named, in file order.

    Args:
        dataset: The records.
        images_dir: The folder that the user named.
        paths: What `image_paths` gave, where it was asked already.

    Raises:
        ReadError: The folder does not exist.
        UnsafeInputError: A file name leads out of the folder; nothing was looked for there.
    """
    names = dataset.images.file_names
    places = image_paths(dataset, images_dir) if paths is None else paths
    found = []
    for row, path in enumerate(places):
        if path is None:
            message = "file_name is empty, so the image cannot be found"
        elif not path.is_file():
            message = f"'{names[row]}' is not in '{images_dir}'"
        else:
            continue
        found.append(image_finding(dataset, row, IMAGE_MISSING, message, "file_name"))
    return found
