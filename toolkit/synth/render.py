"""A whole practice data set: clips in parallel, one file of labels, a card."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.files import atomic_directory, sha256_bytes
from toolkit.schema import Schema
from toolkit.synth.clip import ClipJob, Frame, render_clip, scene_kind
from toolkit.synth.options import GENERATOR_VERSION, SynthOptions

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SynthSummary:
    """What was rendered.

    Attributes:
        schema: The schema's name.
        out: The folder.
        images: Number of pictures.
        instances: Number of annotated people.
        clips: Number of clips.
        sha256: Of annotations.json.
        generator: The generator's version.
    """

    schema: str
    out: str
    images: int
    instances: int
    clips: int
    sha256: str
    generator: str


def render_dataset(
    schema_name: str | Path,
    out: Path,
    instances: int,
    seed: int,
    options: SynthOptions | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> SynthSummary:
    """Renders a practice data set; the same arguments give the same bytes.

    Args:
        schema_name: Built-in schema or a schema file whose keypoints the figure has.
        out: Folder to make: `annotations.json`, `images/`, `card.md`; whole or not at all.
        instances: Number of annotated people, exactly.
        seed: Any integer from 0.
        options: Knobs; None takes the defaults.
        workers: Processes; None takes one for each core. It changes no byte.
        progress: Called with (people so far, `instances`).
        force: Replace a folder that exists.

    Returns:
        The counts and the hash of the labels.

    Raises:
        UsageError: `instances` or `seed` is out of range, or the schema has a keypoint
            that the figure does not.
        OutputExistsError: `out` exists and `force` is off.
        WriteError: `out` cannot be written.
    """
    if instances < 1:
        raise UsageError(f"option 'instances': got {instances}, wanted 1 or more")
    if seed < 0:
        raise UsageError(f"option 'seed': got {seed}, wanted 0 or more")
    if workers is not None and workers < 1:
        raise UsageError(f"option 'workers': got {workers}, wanted 1 or more")
    schema = Schema.load(schema_name)
    kind = scene_kind(schema)
    _check_keypoints(schema, kind)
    chosen = options or SynthOptions()
    own = None if schema_name in Schema.builtin_names() else Path(schema_name)
    with atomic_directory(
        Path(out), force=force, inputs=(own,), holds=("annotations.json", "card.md", "images")
    ) as folder:
        (folder / "images").mkdir()
        document = _empty_document(schema, seed, instances, chosen)
        clips = 0
        for frames in _clips(schema, kind, seed, chosen, instances, workers):
            clips += bool(frames)
            for frame in frames:
                _append(document, frame)
                (folder / "images" / frame.record["file_name"]).write_bytes(frame.jpeg)
            if progress is not None:
                progress(len(document["annotations"]), instances)
        content = json.dumps(document, separators=(",", ":")).encode()
        (folder / "annotations.json").write_bytes(content)
        summary = SynthSummary(
            schema.name, str(out), len(document["images"]), len(document["annotations"]),
            clips, sha256_bytes(content), GENERATOR_VERSION,
        )  # fmt: skip
        (folder / "card.md").write_text(_card(summary, seed, chosen), encoding="utf-8")
    return summary


def _check_keypoints(schema: Schema, kind: str) -> None:
    from toolkit.synth.frame import DEPTH_TOLERANCE  # lazy: keeps --help light

    known = set()
    for name in DEPTH_TOLERANCE:
        paired = name in ("shoulder", "hip", "elbow", "knee", "wrist", "ankle", "eye", "ear")
        known |= {f"left_{name}", f"right_{name}"} if paired else {name}
    if kind == "crowd":
        known -= {"butt_end", "stick_heel", "stick_toe"}
    strange = sorted(set(schema.names) - known)
    if strange:
        raise UsageError(
            f"schema '{schema.name}': keypoint '{strange[0]}' is not on the rendered figure; "
            f"it has {', '.join(sorted(known))}"
        )


def _clips(
    schema: Schema, kind: str, seed: int, options: SynthOptions, instances: int,
    workers: int | None,
) -> Iterator[list[Frame]]:  # fmt: skip
    """Yields clips in order until `instances` people are annotated, exactly."""
    count = workers if workers is not None else os.cpu_count() or 1
    left = instances
    for frames in _ordered(schema, kind, seed, options, instances, count):
        people = sum(len(frame.annotations) for frame in frames)
        if people > left:
            index = int(frames[0].record["clip"].rsplit("-c", 1)[1])
            yield render_clip(ClipJob(schema, kind, seed, index, options), limit=left)
            return
        yield frames
        left -= people
        if left == 0:
            return


def _ordered(
    schema: Schema, kind: str, seed: int, options: SynthOptions, instances: int, workers: int
) -> Iterator[list[Frame]]:
    """Yields clips 0, 1, 2, ... without end; the reader stops."""
    if workers == 1:
        index = 0
        while True:
            yield render_clip(ClipJob(schema, kind, seed, index, options))
            index += 1
    # A copy of a process in which torch has started threads would wait for them for ever.
    context = multiprocessing.get_context("forkserver" if "torch" in sys.modules else None)
    with ProcessPoolExecutor(workers, context, initializer=_leave_interrupts) as pool:
        ahead: deque[Future[list[Frame]]] = deque()
        index = 0
        try:
            while True:
                while len(ahead) < 2 * workers:
                    job = ClipJob(schema, kind, seed, index, options)
                    ahead.append(pool.submit(render_clip, job))
                    index += 1
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()


def _leave_interrupts() -> None:
    """Leaves Ctrl-C to the parent, which removes what was half written."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _empty_document(
    schema: Schema, seed: int, instances: int, options: SynthOptions
) -> dict[str, Any]:
    return {
        "info": {
            "description": "Synthetic practice data: every picture and label is rendered by "
            "a program; no person or game was filmed.",
            "synthetic": True,
            "generator": "toolkit synth",
            "generator_version": GENERATOR_VERSION,
            "schema": schema.name,
            "seed": seed,
            "instances": instances,
            "options": options.to_json(),
        },
        "licenses": [{"id": 1, "name": "Apache-2.0"}],
        "categories": [schema.coco_category()],
        "images": [],
        "annotations": [],
    }


def _append(document: dict[str, Any], frame: Frame) -> None:
    image_id = len(document["images"]) + 1
    document["images"].append({"id": image_id, **frame.record, "license": 1})
    for annotation in frame.annotations:
        number = len(document["annotations"]) + 1
        document["annotations"].append({"id": number, "image_id": image_id, **annotation})


def _card(summary: SynthSummary, seed: int, options: SynthOptions) -> str:
    players = (
        "the scene's own" if options.players is None else "-".join(map(str, options.players))
    )
    return f"""---
name: practice-{summary.schema}-s{seed}
schema: {summary.schema}
licence: Apache-2.0
synthetic: true
generator: toolkit synth
generator_version: "{summary.generator}"
seed: {seed}
instances: {summary.instances}
images: {summary.images}
clips: {summary.clips}
annotations_sha256: {summary.sha256}
---

# Practice data for `{summary.schema}`, seed {seed}

**All of it is synthetic.** Every picture and every label was rendered by this project's
generator, version {summary.generator}; no person was filmed, and no real footage, face, team or
trademark is in it. Figures measured on it say how methods compare under controlled
conditions, not how well they do on real games.

* Made by: `toolkit synth {summary.schema} OUT --instances {summary.instances} --seed {seed}`
* Options: players {players}, occlusion {options.occlusion}, blur {options.blur}, box padding
  {options.box_padding}.
* `bbox` is drawn round the body without the stick, with that padding, and is not clipped to the
  picture. `area` counts the body's visible pixels, without the stick. `head_box_xywh` is
  drawn round head and helmet.
* Visibility comes from the depth buffer: 2 where the keypoint's own surface is what its pixel
  shows, 1 where something hides it or it lies outside the picture. 0 never occurs.
* People of whom less than 15 % of the body shows, or whose box lies more than 40 % outside the
  picture, are drawn but not annotated.
* `clip` and `frame` say which short sequence a picture belongs to: split by clip. `person`
  numbers a clip's people, so the same number is the same person from frame to frame.
"""
