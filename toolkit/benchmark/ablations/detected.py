"""Which boxes table 7 gives to a network, and what a row needs that cannot be run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.benchmark.ablations.data import NAME_CHARS, Data
from toolkit.benchmark.ablations.plan import Boxes
from toolkit.benchmark.ablations.pool import Task
from toolkit.detectors import find_detectors
from toolkit.files import sha256_bytes, sha256_file

DETECTORS: dict[Boxes, str] = {"small-detector": "person-small", "faster-rcnn": "fasterrcnn"}
DETECTOR_IMAGES = 3_000  # frames shown: minutes on one core
_TINY = 64


@dataclass(frozen=True)
class BoxSource:
    """A detector and where its boxes are kept.

    Attributes:
        detector: Registered name.
        weights: File or tag, None where it is trained on the training data.
        images_seen: Frames to train it with.
        seed: Of its training.
        folder: Of its checkpoint, log and boxes.
        data: Both sides.
        device: Torch device.
    """

    detector: str
    weights: str | None
    images_seen: int
    seed: int
    folder: Path
    data: Data
    device: str

    @property
    def file(self) -> Path:
        """COCO results: its boxes in the test set."""
        return self.folder / "boxes.json"

    def task(self) -> Task:
        """Train it if need be, and run it on the test set."""
        train, test = self.data.train, self.data.test
        content: dict[str, object] = {
            "lock": str(self.folder / "lock"),
            "detector": self.detector,
            "weights": self.weights,
            "images_seen": self.images_seen,
            "seed": self.seed,
            "device": self.device,
            "train_data": str(train.annotations.resolve()),
            "train_images": str(train.images.resolve()),
            "test_data": str(test.annotations.resolve()),
            "test_images": str(test.images.resolve()),
            "schema": test.schema,
            "out": str(self.folder / "run"),
            "boxes": str(self.file),
        }
        return Task(self.detector, self.folder, "detect", content, self.images_seen)


def box_source(
    boxes: Boxes, data: Data, runs: Path, *, images_seen: int, seed: int, weights: str | None,
    device: str,
) -> BoxSource | None:  # fmt: skip
    """Where a row's boxes come from; None where there is no such detector or no weights."""
    if DETECTORS[boxes] not in find_detectors():
        return None
    own = (data.test.images_sha256, data.test.schema_sha256)  # none where it is rendered
    test = "-".join(part[:NAME_CHARS] for part in (data.test.sha256, *own) if part)
    frames = min(DETECTOR_IMAGES, max(_TINY, images_seen))
    if boxes == "small-detector":
        name = f"{DETECTORS[boxes]}-{frames}-seed{seed}-{data.train.sha256[:NAME_CHARS]}-{test}"
        return BoxSource("person-small", None, frames, seed, runs / name, data, device)
    if weights is None:
        return None
    path = Path(weights)
    digest = sha256_file(path) if path.is_file() else sha256_bytes(weights.encode("utf-8"))
    folder = runs / f"{DETECTORS[boxes]}-{digest[:NAME_CHARS]}-{test}"
    return BoxSource(DETECTORS[boxes], weights, frames, seed, folder, data, device)
