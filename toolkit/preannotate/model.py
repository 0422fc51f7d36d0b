"""The pre-annotator: bodies from mediapipe, the rest from the project's own checkpoint.

mediapipe sees one person at a time: the crop is the annotation's box with some margin. Its
models ship in its wheel, so nothing is downloaded. What it does not know (sticks, the top of
a head), and people whom it does not find, come from `tokenclipose-small`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.geometry import apply_affine, box_to_crop_affine, expand_to_aspect, invert_affine
from toolkit.images import load_image, resolve_images
from toolkit.models import PoseModel, Progress, TrainRequest, get_model
from toolkit.preannotate.landmarks import body_keypoints, to_keypoints
from toolkit.preannotate.service import PoseService, find_python
from toolkit.schema import Schema

Floats = NDArray[np.float64]
NAME = "mediapipe"
OWN = "tokenclipose-small"
CROP_PX = 384
PADDINGS = (1.25, 1.6, 1.0)  # the next is tried where nobody is found in the box
_LEAST, _ENOUGH = 0.5, 0.8  # share of a body's joints in the box and its margin
_MARGIN = 0.15  # of the box's longer side


@dataclass
class MediapipeModel:
    """A `PoseModel`; see there.

    Attributes:
        schema: Whose keypoints it gives.
        python: The Python of mediapipe's environment.
        own: The project's model, where one serves the schema.
        facts: What it is made of.
        found: How many people mediapipe found in the last call, of how many.
        name: Of the model.
        num_parameters: None: mediapipe's are not counted.
    """

    schema: Schema
    python: Path
    own: PoseModel | None
    facts: dict[str, object] = field(default_factory=dict)
    found: tuple[int, int] = (0, 0)
    name: str = NAME
    num_parameters: int | None = None

    def predict(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        boxes: Floats | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Predictions:
        """One pose for each annotation; people whom nobody found have score 0.

        Raises:
            InvalidDataError: An image is missing or damaged; or a box is unusable where no
                own model answers for it.
            ServiceError: mediapipe does not start or answer.
        """
        people = dataset.annotations
        bbox_xywh = people.bbox_xywh if boxes is None else boxes
        points, confidence = self._own_answers(
            dataset, images_dir, bbox_xywh, boxes, batch_size
        )
        scores = np.zeros(len(people))
        body = body_keypoints(self.schema)
        with PoseService(self.python) as service:
            self.facts["mediapipe"] = service.version
            rows = _by_image(dataset, images_dir)
            for done, (row, pixels) in enumerate(rows):
                seen = _look(service, self.schema, pixels, bbox_xywh[row])
                if seen is not None:
                    points[row, body], confidence[row, body] = seen
                    scores[row] = confidence[row].mean()
                if progress is not None:
                    progress(done + 1, len(people))
        self.found = int((scores > 0).sum()), len(people)
        return Predictions.from_arrays(
            self.schema,
            people.image_id,
            points,
            scores=scores,
            keypoint_scores=confidence,
            annotation_id=people.instance_id,
            bbox_xywh=bbox_xywh,
            category_id=people.category_id,
            model=NAME,
        )

    def _own_answers(
        self,
        dataset: Dataset,
        images_dir: Path,
        bbox_xywh: Floats,
        boxes: Floats | None,
        batch_size: int,
    ) -> tuple[Floats, Floats]:
        """(N, K, 2) places and (N, K) scores from the own model, or box centres and 0."""
        count, keypoints = len(dataset.annotations), self.schema.num_keypoints
        if self.own is None or not count:
            centre = bbox_xywh[:, :2] + bbox_xywh[:, 2:] / 2
            points = np.repeat(centre[:, None], keypoints, axis=1)
            return points, np.zeros((count, keypoints))
        answers = self.own.predict(dataset, images_dir, boxes=boxes, batch_size=batch_size)
        answers = answers.to_schema(self.schema)
        return answers.keypoints.copy(), answers.keypoint_scores.copy()


def _by_image(dataset: Dataset, images_dir: Path) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Rows with the pixels of their image; each image is decoded once."""
    rows = dataset.image_row
    used = np.unique(rows)
    names = [dataset.images.file_names[i] for i in used]
    paths = resolve_images(images_dir, names, dataset.images.ids[used].tolist())
    for image, path in zip(used.tolist(), paths, strict=True):
        pixels = load_image(path)
        for row in np.flatnonzero(rows == image).tolist():
            yield row, pixels


def _look(
    service: PoseService, schema: Schema, pixels: NDArray[np.uint8], box: Floats
) -> tuple[Floats, Floats] | None:
    """Body keypoints in px of the image and their visibility; None where nobody is found.

    The body that lies in the box is taken: the crop may show somebody else, too.
    """
    import cv2  # lazy: opencv

    if not (np.isfinite(box).all() and (box[2:] > 0).all()):
        return None
    best: tuple[Floats, Floats] | None = None
    most = _LEAST
    for padding in PADDINGS:
        square = expand_to_aspect(box[None], 1.0, padding)
        affine = box_to_crop_affine(square, (CROP_PX, CROP_PX))
        crop = cv2.warpAffine(pixels, affine[0], (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR)
        landmarks = service.landmarks(np.asarray(crop, np.uint8))
        if landmarks is None:
            continue
        places, visibility = to_keypoints(schema, landmarks)
        # mediapipe counts from a pixel's edge, the project from its centre.
        places = apply_affine(invert_affine(affine), places[None] - 0.5)[0]
        share = _share_inside(places, box)
        if share > most:
            best, most = (places, visibility), share
        if share >= _ENOUGH:
            break
    return best


def _share_inside(places: Floats, box: Floats) -> float:
    margin = _MARGIN * float(box[2:].max())
    low, high = box[:2] - margin, box[:2] + box[2:] + margin
    return float(((places >= low) & (places <= high)).all(axis=1).mean())


def load(schema_name: str | Path, device: str) -> PoseModel:
    """The pre-annotator for a built-in schema.

    Raises:
        UsageError: There is no built-in schema of that name, or a keypoint is known neither
            to mediapipe nor to a model of the project.
        MissingExtraError: mediapipe's environment is missing.
    """
    if str(schema_name) not in Schema.builtin_names():
        known = ", ".join(Schema.builtin_names())
        raise UsageError(f"'{NAME}' has no weights '{schema_name}'; wanted a schema: {known}")
    schema = Schema.load(schema_name)
    own = _own_model(schema, device)
    missing = set(range(schema.num_keypoints)) - set(body_keypoints(schema).tolist())
    if own is None and missing:
        names = ", ".join(schema.names[k] for k in sorted(missing))
        raise UsageError(f"'{NAME}' knows no {names}, and '{OWN}' has no weights for them")
    python = find_python()
    facts: dict[str, object] = {"box": "human", "images_seen": None}
    if own is not None:
        facts |= {"own": OWN, "checkpoint_sha256": own.facts.get("checkpoint_sha256")}
    return MediapipeModel(schema, python, own, facts)


def _own_model(schema: Schema, device: str) -> PoseModel | None:
    """The project's model for a schema, or for one that has all its keypoints."""
    entry = get_model(OWN)
    others = [Schema.load(name) for name in Schema.builtin_names()]
    fitting = [o.name for o in others if not set(schema.names) - set(o.names)]
    for name in dict.fromkeys([schema.name, *fitting]):
        try:
            return entry.load(name, device)
        except UsageError:
            continue
    return None


def train(request: TrainRequest) -> Path:
    """Refuse.

    Raises:
        UsageError: Always: mediapipe's models come trained.
    """
    raise UsageError(f"'{NAME}' cannot be trained; it comes trained")
