"""Pre-annotation by a ready-made body model; loading this record starts nothing."""

from __future__ import annotations

from pathlib import Path

from toolkit.models import ModelEntry, PoseModel, TrainRequest


def _load(schema: str | Path, device: str) -> PoseModel:
    from toolkit.preannotate.model import load

    return load(schema, device)


def _train(request: TrainRequest) -> Path:
    from toolkit.preannotate.model import train

    return train(request)


MEDIAPIPE = ModelEntry(
    name="mediapipe",
    title="mediapipe (body), own checkpoint (stick)",
    role="pre-annotator",
    load=_load,
    train=_train,
    note="Ready-made body pose for first labels; it was trained on other data.",
)
