"""What the ablations train and test on: rendered from seeds, or the user's file by clip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.benchmark.ablations.plan import Scale
from toolkit.benchmark.demo import HOCKEY, TRAIN_SEEDS, Suite
from toolkit.benchmark.demo_data import demo_set
from toolkit.benchmark.pictures import pictures_sha256
from toolkit.benchmark.runner import Bar
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, OutputExistsError
from toolkit.files import sha256_file
from toolkit.schema import Schema

TEST_SHARE = 0.25  # of the user's clips
NAME_CHARS = 12  # of a hash in the name of a folder


@dataclass(frozen=True)
class Files:
    """An annotation file and its images.

    Attributes:
        annotations: The file.
        images: Folder of its images.
        sha256: Of the file.
        schema: Name or file of its schema.
        schema_sha256: Of a schema file of the user's own; None for a built-in one.
        images_sha256: Of the images' names and content, where they are the user's own.
    """

    annotations: Path
    images: Path
    sha256: str
    schema: str
    schema_sha256: str | None = None
    images_sha256: str | None = None

    @classmethod
    def of(cls, annotations: Path, images: Path, schema: str) -> Files:
        """With the hashes of what lies there now."""
        own = None if schema in Schema.builtin_names() else sha256_file(Path(schema))
        return cls(annotations, images, sha256_file(annotations), schema, own)


@dataclass(frozen=True)
class Data:
    """Both sides, and what to say about them.

    Attributes:
        suite: Schema, profile and seed of the test set, for the rules.
        train: To train on.
        test: To test on.
        truth: The test set, read.
        synthetic: Whether it was rendered.
        lines: For the rules beneath a table.
    """

    suite: Suite
    train: Files
    test: Files
    truth: Dataset
    synthetic: bool
    lines: tuple[str, ...]

    @property
    def test_name(self) -> str:
        """For the notes of figures."""
        count = f"{len(self.truth.annotations):,} people"
        if self.synthetic:
            return f"synthetic hockey, test seed {self.suite.seed}, {count}"
        return f"{self.truth.name}, {count}"


def rendered_data(scale: Scale, bar: Bar) -> Data:
    """Synthetic hockey: the training seed and the test seed of the demo, people by scale."""
    from toolkit import formats

    sides = {}
    for name, seed, people in (
        ("train", TRAIN_SEEDS["hockey"], scale.train_people),
        ("test", HOCKEY.seed, scale.test_people),
    ):
        with bar(f"rendering the {name} set") as progress:
            folder = demo_set(replace(HOCKEY, seed=seed), people=people, progress=progress)
        sides[name] = Files.of(folder / "annotations.json", folder / "images", "hockey")
    truth = formats.read(sides["test"].annotations, "hockey")
    seed = TRAIN_SEEDS["hockey"]
    line = f"training data: {scale.train_people:,} synthetic people, seed {seed}"
    return Data(HOCKEY, sides["train"], sides["test"], truth, True, (line,))


def given_data(path: Path, images: Path, schema: str, runs: Path) -> Data:
    """The user's own file, a quarter of its clips held out for the test.

    The split is frozen in `runs`, by the file's hash: the same file gives the same sides.

    Raises:
        ReadError: The file cannot be read.
        UsageError: Images name no clip, so that no honest split exists.
        InvalidDataError: A side has no labelled person, or images are missing.
    """
    from toolkit import formats
    from toolkit.split import SplitSettings, make_split

    runs.mkdir(parents=True, exist_ok=True)
    everything = formats.read(path, schema)
    folder = runs / f"split-{sha256_file(path)[:NAME_CHARS]}"
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        settings = SplitSettings({"train": 1 - TEST_SHARE, "test": TEST_SHARE})
        try:
            make_split(everything, settings).write(folder)
        except OutputExistsError:
            if not manifest.is_file():
                raise
            # another suite, begun at the same time, wrote the same split
    sides = {
        name: Files.of(folder / f"{name}.json", images, schema) for name in ("train", "test")
    }
    truth = formats.read(sides["test"].annotations, schema)
    for name, side in (
        ("train", formats.read(sides["train"].annotations, schema)),
        ("test", truth),
    ):
        if not side.annotations.labelled.any():
            raise InvalidDataError(
                f"{path}: split by clip, the {name} side has no labelled person; the suite "
                "needs a file with more clips, four or more"
            )
    pictures = pictures_sha256(everything.images, images)
    train, test = (replace(side, images_sha256=pictures) for side in sides.values())
    suite = replace(HOCKEY, schema=truth.schema.name, trained_on=truth.schema.name)
    line = f"split by clip: {1 - TEST_SHARE:.0%} of {path.name} to train on, frozen in {folder}"
    return Data(suite, train, test, truth, False, (line,))
