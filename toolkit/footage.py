"""Own footage becomes a data set without labels: pictures, records with clip ids, a card.

Frames are copied as they are; a video's frames are decoded with PyAV and saved as JPEG. A
clip is what must stay together when the data are split: a video is one, and of frames each
folder is one. Nothing is invented: the licence has to be given, labels are left empty.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.errors import InvalidDataError, MissingExtraError, ReadError, UsageError
from toolkit.files import atomic_directory
from toolkit.images import look_at, resolve_image
from toolkit.parallel import Progress, map_in_order

if TYPE_CHECKING:
    import av
    import numpy as np
    from numpy.typing import NDArray

    from toolkit.schema import Schema

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
JPEG_QUALITY = 95
SIDE = 16  # px of the thumbnail that a look at a picture makes; it is not used
END_SLACK = 0.5  # seconds that a whole video may lack of the length it states


@dataclass(frozen=True)
class Footage:
    """What is registered.

    Attributes:
        name: Of the data set: lower case letters, digits, `.`, `_`, `-`.
        licence: Terms of use, in the words of whoever owns the footage.
        schema: What will be labelled, or None while that is open.
        citation: How to cite it.
        source_url: Where to ask for it, or None.
    """

    name: str
    licence: str
    schema: Schema | None = None
    citation: str = "not published"
    source_url: str | None = None

    def __post_init__(self) -> None:
        """Check what a folder's name and a card rely on."""
        if not NAME.fullmatch(self.name):
            raise UsageError(
                f"name '{self.name}': wanted lower case letters, digits, '.', '_' and '-', "
                "at most 64, beginning with a letter or digit"
            )
        if not self.licence.strip():
            raise UsageError("the licence is empty; say under which terms the footage is used")


@dataclass(frozen=True)
class Registered:
    """What came of it: the folder, the pictures, the clips, and what was left out."""

    path: Path
    images: int
    clips: tuple[str, ...]
    left_out: tuple[str, ...] = ()


Record = dict[str, object]


def add_frames(
    footage: Footage,
    frames_dir: Path,
    target: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> Registered:
    """Register a folder of frames; each folder in it that holds pictures is a clip.

    Pictures directly in `frames_dir` are the clip named as the data set. Within a clip,
    frames are numbered from 0 in the order of their names (2 before 10).

    Raises:
        ReadError: The folder does not exist or holds no picture.
        InvalidDataError: Pictures cannot be read (all are listed), or their names are no
            text.
        UnsafeInputError: A link leads out of the folder, or a picture is unsafe to decode.
        OutputExistsError: `target` exists and `force` was not given.
    """
    if not frames_dir.is_dir():
        raise ReadError(f"{frames_dir}: no such folder; name the folder of the frames")
    files = sorted((p for p in frames_dir.rglob("*") if p.is_file()), key=_by_number)
    names = [path.relative_to(frames_dir).as_posix() for path in files]
    pictures = [name for name in names if _is_picture(name)]
    if not pictures:
        raise ReadError(
            f"{frames_dir}: no pictures; wanted files that end in {', '.join(SUFFIXES)}"
        )
    if unspoken := [name for name in pictures if not _is_text(name)]:
        raise InvalidDataError(
            f"{frames_dir}: {len(unspoken)} of {len(pictures)} pictures have a name that is "
            f"not UTF-8, the first {unspoken[0]!r}; rename them: a file cannot name them"
        )
    paths = [resolve_image(frames_dir, name) for name in pictures]
    sizes = map_in_order(_size, paths, progress=progress)
    problems = [problem for _, problem in sizes if problem]
    if problems:
        raise InvalidDataError(
            f"{len(problems)} of {len(paths)} pictures cannot be read: {'; '.join(problems)}"
        )
    records: list[Record] = []
    numbers: dict[str, int] = {}
    for name, (size, _) in zip(pictures, sizes, strict=True):
        clip = name.rpartition("/")[0] or footage.name
        frame = numbers[clip] = numbers.get(clip, -1) + 1
        records.append(_record(len(records) + 1, name, size, clip, frame))
    with atomic_directory(target, force=force, inputs=(frames_dir,)) as folder:
        for path, name in zip(paths, pictures, strict=True):
            (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / "images" / name)
        _write_papers(folder, footage, records)
    left_out = tuple(name for name in names if name not in set(pictures))
    return Registered(target, len(records), tuple(numbers), left_out)


def add_videos(
    footage: Footage,
    videos: Sequence[Path],
    target: Path,
    *,
    every: int = 1,
    force: bool = False,
    progress: Progress | None = None,
) -> Registered:
    """Register videos; each is a clip named as its file, without the ending.

    Args:
        footage: What is registered.
        videos: The files.
        target: The folder to make.
        every: Keep frames 0, N, 2 N, ...; `frame` is the number in the video.
        force: Replace a folder that exists.
        progress: Called with (frames decoded, frames stated) over all videos.

    Raises:
        UsageError: `every` is below 1, or two videos would be the same clip.
        MissingExtraError: PyAV is not installed.
        ReadError: A file is no video, is damaged or cut short; it says where, and nothing
            is written.
        OutputExistsError: `target` exists and `force` was not given.
    """
    if every < 1:
        raise UsageError(f"every {every}: expected at least 1")
    clips = [_clip_name(path) for path in videos]
    twice = sorted({clip for clip in clips if clips.count(clip) > 1})
    if twice:
        raise UsageError(
            f"videos with the same name would be one clip: {', '.join(twice)}; rename one"
        )
    for path in videos:
        if not path.is_file():
            raise ReadError(f"{path}: no such file")
    records: list[Record] = []
    decoded = 0
    with atomic_directory(target, force=force, inputs=videos) as folder:
        total = sum(stated_frames(path) for path in videos)
        for path, clip in zip(videos, clips, strict=True):
            (folder / "images" / clip).mkdir(parents=True)
            for number, pixels in read_frames(path):
                decoded += 1
                if number % every == 0:
                    name = f"{clip}/{clip}-f{number:06d}.jpg"
                    _save(folder / "images" / name, pixels)
                    size = (pixels.shape[1], pixels.shape[0])
                    records.append(_record(len(records) + 1, name, size, clip, number))
                if progress is not None:
                    progress(decoded, max(total, decoded))
        _write_papers(folder, footage, records)
    return Registered(target, len(records), tuple(clips))


def stated_frames(path: Path) -> int:
    """How many frames a video says it has; 0 where it does not say.

    Raises:
        ReadError: It cannot be opened as a video.
        MissingExtraError: PyAV is not installed.
    """
    with _video(path) as container:
        return int(container.streams.video[0].frames)


def read_frames(path: Path) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The frames of a video, upright: number from 0, and (H, W, 3) RGB.

    Raises:
        ReadError: It is no video, holds no frame, is damaged, or ends before the length it
            states; the message has the time.
        MissingExtraError: PyAV is not installed.
    """
    import av  # lazy: PyAV brings ffmpeg along
    import numpy as np

    seconds, number = 0.0, -1
    with _video(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"err_detect": "explode"}
        try:
            for number, frame in enumerate(container.decode(stream)):
                seconds = frame.time if frame.time is not None else seconds
                if frame.is_corrupt:
                    raise ReadError(_damaged(path, seconds, number, "the frame is corrupt"))
                turns = round(frame.rotation / 90) % 4
                yield number, np.rot90(frame.to_ndarray(format="rgb24"), turns)
        except av.FFmpegError as error:
            reason = error.strerror or str(error)
            raise ReadError(_damaged(path, seconds, number + 1, reason)) from error
        if number < 0:
            raise ReadError(f"{path}: the video holds no frame")
        length = _length(container)
        if length is not None and length - seconds > END_SLACK + _duration(stream):
            reason = f"it ends there, but states a length of {length:.2f} s"
            raise ReadError(_damaged(path, seconds, number + 1, reason))


def _damaged(path: Path, seconds: float, number: int, reason: str) -> str:
    return (
        f"{path}: the video is damaged at {seconds:.2f} s (frame {number}): {reason}; copy "
        "the file again, or repair it and register that"
    )


def _length(container: av.container.InputContainer) -> float | None:
    return None if container.duration is None else float(container.duration) / 1e6


def _duration(stream: av.video.stream.VideoStream) -> float:
    """Seconds of one frame; a slide show's are long."""
    return 1 / float(stream.average_rate) if stream.average_rate else 1.0


@contextmanager
def _video(path: Path) -> Iterator[av.container.InputContainer]:
    try:
        import av  # lazy: PyAV brings ffmpeg along
    except ImportError:
        raise MissingExtraError(
            "videos need PyAV, which is not installed; install it with: "
            "pip install 'extension-keypoints[video]'"
        ) from None
    try:
        # A playlist could name other files or addresses: only this one file is opened.
        container = av.open(str(path), options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as error:
        raise ReadError(
            f"{path}: cannot be opened as a video (at 0.00 s): "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error
    with container:
        if not container.streams.video:
            raise ReadError(f"{path}: there is no video in this file")
        yield container


def _clip_name(path: Path) -> str:
    """A video's name as a clip and as a folder: anything but letters and digits is `-`."""
    return re.sub(r"[^\w.-]+", "-", path.stem).strip(".-") or "clip"


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sort key under which `f2` comes before `f10`."""
    parts = re.split(r"([0-9]+)", path.as_posix())
    # Every second part is digits; `isdigit` would take "²" for one, which is no number.
    return [(int(part), part) if at % 2 else (-1, part) for at, part in enumerate(parts)]


def _is_text(name: str) -> bool:
    """Whether all bytes of a file's name are characters."""
    return name.encode("utf-8", "replace") == name.encode("utf-8", "surrogateescape")


def _is_picture(name: str) -> bool:
    """Whether it ends as one; what begins with a dot (`._a.jpg`) is a system's own."""
    hidden = any(part.startswith(".") for part in name.split("/"))
    return name.lower().endswith(SUFFIXES) and not hidden


def _size(path: Path) -> tuple[tuple[int, int], str]:
    """Width and height of the upright picture, and why it cannot be read, or nothing."""
    try:
        return look_at(path, SIDE).upright_wh, ""
    except InvalidDataError as error:
        return (0, 0), str(error)


def _record(image_id: int, name: str, size: tuple[int, int], clip: str, frame: int) -> Record:
    width, height = size
    return {
        "id": image_id,
        "file_name": name,
        "width": width,
        "height": height,
        "clip": clip,
        "frame": frame,
        "license": 1,
    }


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    from PIL import Image  # lazy: pillow

    Image.fromarray(pixels).save(path, quality=JPEG_QUALITY, subsampling=0)


def _write_papers(folder: Path, footage: Footage, records: list[Record]) -> None:
    """The annotation file without annotations, and the card."""
    import yaml

    schema = footage.schema
    document = {
        "info": {
            "description": f"Own footage '{footage.name}', not labelled yet",
            "schema": None if schema is None else schema.name,
        },
        "licenses": [{"id": 1, "name": footage.licence}],
        "images": records,
        "annotations": [],
        "categories": [] if schema is None else [schema.coco_category()],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (folder / "annotations.json").write_text(text, encoding="utf-8")
    clips = {record["clip"] for record in records}
    front = {
        "name": footage.name,
        "title": footage.name,
        "licence": footage.licence,
        "version": "1",
        "citation": footage.citation,
        "source_url": footage.source_url,
        "schema": None if schema is None else schema.name,
        "counts": {"images": len(records), "clips": len(clips), "instances": 0},
    }
    card = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    prose = (
        "Own footage, registered with `toolkit datasets add`. Who filmed whom, where and "
        "when, and whether the people in it agreed, belongs here.\n"
    )
    (folder / "card.md").write_text(f"---\n{card}---\n\n{prose}", encoding="utf-8")
