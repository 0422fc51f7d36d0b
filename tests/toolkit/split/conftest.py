"""A rendered set of 60 short clips on two rinks, and helpers that plant a leak."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.schema import Schema
from toolkit.synth import clip as clips
from toolkit.synth.options import SynthOptions
from toolkit.synth.scene import Scene, sample_scene

CLIPS, FRAMES = 60, 3


@dataclass(frozen=True)
class Rendered:
    """An annotation file and its images."""

    file: Path
    images: Path

    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text("utf-8")))


@pytest.fixture(scope="package")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """60 hockey clips of up to 3 frames under one fixed camera on one rink."""
    folder = tmp_path_factory.mktemp("rendered")
    (folder / "images").mkdir()
    schema, options = Schema.load("hockey"), SynthOptions(players=(2, 4))
    first = sample_scene(np.random.default_rng(5), "hockey", 0, options)

    def on_one_rink(rng: np.random.Generator, kind: str, index: int, o: SynthOptions) -> Scene:
        return replace(
            sample_scene(rng, kind, index, o),
            place=first.place,
            frames=FRAMES,
            aim=first.aim,
            drift=first.drift * 0,
            yaw=first.yaw,
            yaw_rate=0.0,
            zoom=0.0,
            elevation=first.elevation,
            distance=first.distance,
            focal=first.focal,
        )

    images: list[dict[str, Any]] = []
    people: list[dict[str, Any]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clips, "sample_scene", on_one_rink)
        for index in range(2 * CLIPS):  # a few clips show nobody
            if len({image["clip"] for image in images}) == CLIPS:
                break
            job = clips.ClipJob(schema, "hockey", 5, index, options)
            for frame in clips.render_clip(job):
                image = len(images) + 1
                images.append({"id": image, **frame.record, "game": f"g{index // 6}"})
                name = str(frame.record["file_name"])
                (folder / "images" / name).write_bytes(frame.jpeg)
                people += [
                    {**person, "id": len(people) + at + 1, "image_id": image}
                    for at, person in enumerate(frame.annotations)
                ]
    document = {
        "info": {"description": "one rink"},
        "images": images,
        "annotations": people,
        "categories": [schema.coco_category()],
        "our_own": {"kept": [1.50, "ü"]},
    }
    file = folder / "annotations.json"
    file.write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
    return Rendered(file, folder / "images")
