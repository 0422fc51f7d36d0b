"""One clip: its scene from its own seed, its frames as JPEG bytes, its records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.schema import Schema
from toolkit.synth.camera import HEIGHT, WIDTH
from toolkit.synth.frame import Label, render_frame
from toolkit.synth.options import SynthOptions
from toolkit.synth.scene import Scene, sample_scene

F64 = NDArray[np.float64]
JPEG_QUALITY = 90
#: Below these shares a person is drawn but not annotated.
MIN_SHOWN, MIN_INSIDE, MIN_PIXELS = 0.15, 0.6, 60
MARGIN = 64


@dataclass(frozen=True)
class Frame:
    """A finished picture.

    Attributes:
        record: The image record, without an id.
        jpeg: The picture's bytes.
        annotations: Annotation records, without ids.
    """

    record: dict[str, Any]
    jpeg: bytes
    annotations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class ClipJob:
    """What a worker needs to render one clip.

    Attributes:
        schema: The schema of the labels.
        kind: `hockey`, `lacrosse` or `crowd`.
        seed: The data set's seed.
        index: The clip's number.
        options: The knobs.
    """

    schema: Schema
    kind: str
    seed: int
    index: int
    options: SynthOptions

    @property
    def name(self) -> str:
        """The clip's id: unique in the data set and between seeds."""
        return f"{self.schema.name}-s{self.seed}-c{self.index:05d}"


def scene_kind(schema: Schema) -> str:
    """Returns which scene shows a schema's keypoints."""
    if "stick_toe" in schema.names:
        return "hockey"
    return "lacrosse" if "butt_end" in schema.names else "crowd"


def render_clip(job: ClipJob, limit: int | None = None) -> list[Frame]:
    """Renders a clip.

    Args:
        job: Which one.
        limit: At most so many annotated people; the frame that would pass it is drawn
            again with fewer people in it, and the frames after it are left out.

    Returns:
        The frames that have at least one annotated person.
    """
    import cv2  # lazy: OpenCV costs 0.1 s

    cv2.setNumThreads(1)
    rng = np.random.default_rng(np.random.SeedSequence([job.seed, job.index]))
    scene = sample_scene(rng, job.kind, job.index, job.options)
    grain = rng.standard_normal((HEIGHT + MARGIN, WIDTH + MARGIN), dtype=np.float32)
    frames: list[Frame] = []
    left = limit
    for number in range(scene.frames):
        offset = (int(rng.integers(MARGIN)), int(rng.integers(MARGIN)))
        frame = _frame(job, scene, number, None, grain, offset, left)
        if not frame.annotations:
            continue
        frames.append(frame)
        if left is not None:
            left -= len(frame.annotations)
            if left <= 0:
                break
    return frames


def _frame(
    job: ClipJob, scene: Scene, number: int, keep: set[int] | None,
    grain: NDArray[np.float32], offset: tuple[int, int], limit: int | None,
) -> Frame:  # fmt: skip
    import cv2  # lazy: OpenCV costs 0.1 s

    pixels, labels = render_frame(scene, number, keep, grain, offset)
    shown = [label for label in labels if _is_annotated(label)]
    if limit is not None and len(shown) > limit:
        few = {label.person for label in shown[:limit]}
        return _frame(job, scene, number, few, grain, offset, None)
    boxes = [_box(label, job.options.box_padding) for label in shown]
    record: dict[str, Any] = {
        "file_name": f"{job.name}-f{number:02d}.jpg",
        "width": WIDTH,
        "height": HEIGHT,
        "clip": job.name,
        "frame": number,
    }
    if job.kind == "crowd":
        points = [np.stack([label.joints[n][:2] for n in job.schema.names]) for label in shown]
        record["crowdIndex"] = crowd_index(points, boxes)
    good, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not good:
        raise RuntimeError(f"{record['file_name']}: OpenCV could not encode the picture")
    annotations = [
        _annotation(job, scene, label, box) for label, box in zip(shown, boxes, strict=True)
    ]
    return Frame(record, data.tobytes(), annotations)


def _is_annotated(label: Label) -> bool:
    x0, y0, x1, y1 = label.body_xyxy
    inside = (min(x1, WIDTH) - max(x0, 0)) * (min(y1, HEIGHT) - max(y0, 0))
    if min(x1, WIDTH) <= max(x0, 0) or min(y1, HEIGHT) <= max(y0, 0):
        return False
    enough = inside >= MIN_INSIDE * (x1 - x0) * (y1 - y0)
    shown = label.body_pixels >= max(MIN_SHOWN * label.whole_pixels, MIN_PIXELS)
    return bool(enough and shown)


def _box(label: Label, padding: float) -> F64:
    """Returns the human-only box, (4,) xywh, rounded as it is written."""
    x0, y0, x1, y1 = label.body_xyxy
    margin = padding * max(x1 - x0, y1 - y0)
    return np.round([x0 - margin, y0 - margin, x1 - x0 + 2 * margin, y1 - y0 + 2 * margin], 2)


def crowd_index(points: list[F64], boxes: list[F64]) -> float:
    """CrowdPose's crowd index of one picture.

    Args:
        points: For each person their labelled keypoints, (K, 2) px.
        boxes: For each person the box, (4,) xywh px.

    Returns:
        The mean over people of (others' keypoints inside the box) divided by (own
        keypoints inside it), to 2 decimals; 0 without people (Li et al., CVPR 2019).
    """
    ratios = []
    for i, (x, y, w, h) in enumerate(boxes):
        counts = [
            int(
                np.sum(
                    (p[:, 0] >= x) & (p[:, 0] <= x + w) & (p[:, 1] >= y) & (p[:, 1] <= y + h)
                )
            )
            for p in points
        ]
        ratios.append((sum(counts) - counts[i]) / max(counts[i], 1))
    return round(float(np.mean(ratios)), 2) if ratios else 0.0


def _annotation(job: ClipJob, scene: Scene, label: Label, box: F64) -> dict[str, Any]:
    keypoints: list[float | int] = []
    for name in job.schema.names:
        x, y = label.joints[name][:2]
        keypoints += [round(float(x), 2), round(float(y), 2), 2 if label.visible[name] else 1]
    x0, y0, x1, y1 = label.head_xyxy
    record: dict[str, Any] = {
        "category_id": job.schema.coco_category()["id"],
        "keypoints": keypoints,
        "num_keypoints": len(job.schema.names),
        "bbox": [round(float(v), 2) for v in box],
        "area": label.body_pixels,
        "iscrowd": 0,
        "head_box_xywh": [round(float(v), 2) for v in (x0, y0, x1 - x0, y1 - y0)],
        "person": label.person,
    }
    mode = scene.people[label.person].motion.stick_mode
    if mode != "none":
        record["stick_mode"] = mode
    return record
