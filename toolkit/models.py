"""Models, as the toolkit sees them: a record for each, found by entry point.

The toolkit imports no model. A package that has some lists `ModelEntry` records under the
entry-point group `toolkit.models`; loading a record imports no torch, calling its functions
does. Ours are in `baselines` and `tokenclipose`; a stranger's appear in the tables as well.

Adding a model: make a `ModelEntry`, name it in `[project.entry-points."toolkit.models"]`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import MissingExtraError, ReadError, UsageError
from toolkit.schema import Schema

GROUP = "toolkit.models"
Progress = Callable[[int, int], None]
Role = Literal["model", "baseline", "control", "oracle", "pre-annotator"]
Box = Literal["human", "enlarged", "oracle", "none"]
Decoding = Literal["quarter", "dark", "udp"]


class PoseModel(Protocol):
    """Something that predicts keypoints for boxes.

    Attributes:
        name: Of the model.
        schema: Whose keypoints it predicts.
        facts: JSON values: `images_seen`, `seed`, `generator`, `data_sha256`,
            `checkpoint_sha256`, `text_encoder`, `box`, `recipe`, and so on; None or absent
            where a model has no such thing.
    """

    name: str
    schema: Schema
    facts: dict[str, object]

    @property
    def num_parameters(self) -> int | None:
        """Of what runs at prediction; None where it is not known."""

    def predict(
        self,
        dataset: Dataset,
        images_dir: Path,
        *,
        boxes: NDArray[np.float64] | None = None,
        batch_size: int = 64,
        progress: Progress | None = None,
    ) -> Predictions:
        """Predict one pose for each annotation.

        Args:
            dataset: N annotations; its schema may be another one than the model's.
            images_dir: Folder of the images.
            boxes: (N, 4) xywh px in place of the data set's `bbox_xywh`.
            batch_size: Crops at a time.
            progress: Called with (instances done, instances in all).

        Returns:
            N predictions in the model's own schema, in the order of the annotations, with
            `annotation_id` filled.
        """


@dataclass(frozen=True)
class TrainRequest:
    """What `toolkit train` asks for.

    Attributes:
        data: Annotation file to train on.
        images: Folder of its images.
        out: Folder to write to.
        recipe: File or name; None for the model's own.
        device: Torch device; None chooses a GPU where there is one.
        seed: Of all chance.
        val_data: Annotation file to choose the best checkpoint on.
        val_images: Folder of its images.
        images_seen: Budget in place of the recipe's.
        resume: Go on with the run in `out`.
        schema: Name or file, where the annotations do not say.
        progress: Called with (images seen, images in all).
        joints: Checkpoint of a network whose predicted joints the model learns from; None
            for the one that ships. Only for models that say so.
        init: Checkpoint whose weights a network starts from, of the same model and keypoints.
        tensorboard: Also write scalars for TensorBoard.
    """

    data: Path
    images: Path
    out: Path
    recipe: str | Path | None = None
    device: str | None = None
    seed: int = 0
    val_data: Path | None = None
    val_images: Path | None = None
    images_seen: int | None = None
    resume: bool = False
    schema: str | None = None
    progress: Progress | None = None
    joints: Path | None = None
    init: Path | None = None
    tensorboard: bool = False


@dataclass(frozen=True)
class AdoptRequest:
    """What `toolkit adopt` asks for: weights that others published, as a checkpoint of ours.

    Attributes:
        weights: A file, a folder, or a hub's tag.
        out: The safetensors file to write; its facts go beside it.
        schema: Name or file of the schema whose keypoints the weights have; None takes COCO's.
        allow_pickle: Also read torch's own files, weights only.
        force: Replace what is there.
        input_wh: Width and height of the crops that the weights are for, px; None takes the
            recipe's.
        decoding: How their heatmaps are read; None takes the authors'. `quarter`: HRNet's
            repository, a quarter of a cell towards the higher neighbour. `dark`: DARK on the
            same grid. `udp`: DARK on UDP's grid.
    """

    weights: str
    out: Path
    schema: str | None = None
    allow_pickle: bool = False
    force: bool = False
    input_wh: tuple[int, int] | None = None
    decoding: Decoding | None = None


@dataclass(frozen=True)
class TextTokens:
    """What a network's text tokens started from and what training made of them.

    Attributes:
        prompts: S sentences.
        keypoint: (S,) which keypoint each describes.
        encoded: (S, E) their embeddings, on the tokens' scale.
        start: (K, E) the tokens before training.
        learned: (K, E) the tokens.
    """

    prompts: tuple[str, ...]
    keypoint: NDArray[np.int64]
    encoded: NDArray[np.float64]
    start: NDArray[np.float64]
    learned: NDArray[np.float64]


@dataclass(frozen=True)
class ModelEntry:
    """One model that can be trained and run.

    Attributes:
        name: As on the command line.
        title: As in a table.
        role: What it stands for in a comparison.
        load: (schema name or checkpoint path, device) → the model. A schema name stands for
            the checkpoint that ships with the project; `UsageError` where none does.
        train: Trains it and gives the path of the checkpoint.
        box: What its crop is drawn round.
        note: What a reader of a table must know.
        recipe: (keys to change) → its recipe with these changes, as far as it differs from
            the defaults; None for a model without a recipe. Raises `InvalidDataError` for
            an unknown key.
        adopt: Makes a checkpoint of published weights and gives its path; None where none
            are known.
        text_tokens: checkpoint → its text tokens beside the prompts; None for a model without
            language. Raises `UsageError` where the checkpoint has none.
        shipped: schema name → the checkpoint that ships for it, or None; itself None where
            none ships for any.
        reads: The model whose checkpoints it reads in another way; such an entry stands in a
            table only where it is named. None for one with checkpoints of its own.
    """

    name: str
    title: str
    role: Role
    load: Callable[[str | Path, str], PoseModel]
    train: Callable[[TrainRequest], Path]
    box: Box = "human"
    note: str = ""
    recipe: Callable[[Mapping[str, object]], dict[str, object]] | None = None
    adopt: Callable[[AdoptRequest], Path] | None = None
    text_tokens: Callable[[Path], TextTokens] | None = None
    shipped: Callable[[str], Path | None] | None = None
    reads: str | None = None


def check_model(path: str | Path, found: object, wanted: str) -> None:
    """Refuse a checkpoint of another model than the one that was named.

    Raises:
        UsageError: It holds another one.
    """
    if found != wanted:
        raise UsageError(f"{path}: holds model '{found}', not '{wanted}'")


def find_models() -> dict[str, ModelEntry]:
    """All models of all installed packages, by name, sorted."""
    found = {point.name: point.load() for point in entry_points(group=GROUP)}
    return {name: found[name] for name in sorted(found)}


def get_model(name: str) -> ModelEntry:
    """One model by name.

    Raises:
        UsageError: There is none of that name.
    """
    models = find_models()
    if name not in models:
        close = difflib.get_close_matches(name, models, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise UsageError(f"no model '{name}'; {hint}known: {', '.join(models)}")
    return models[name]


def require_torch(command: str) -> None:
    """Refuse early where the model libraries are not installed.

    Raises:
        MissingExtraError: torch is missing; the message has the install line.
    """
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("timm") is None:
        raise MissingExtraError(
            f"'{command}' needs torch and timm, which are not installed; install them with: "
            "pip install 'extension-keypoints[models]'"
        )


def load_checkpoint(path: Path, device: str) -> PoseModel:
    """The model in a checkpoint file; the JSON beside it says which model that is.

    Raises:
        UsageError: There is no such file.
        UnsafeInputError: The file is a pickle.
        ReadError: It cannot be read, or the JSON is missing or names no known model.
    """
    models = find_models()
    if not path.is_file():
        raise UsageError(f"no model '{path}': neither a file nor one of {', '.join(models)}")
    # Without facts any loader will do: it refuses a pickle, and says what is missing.
    has_facts = path.with_suffix(".json").is_file()
    name = _model_of(path, tuple(models)) if has_facts else next(iter(models))
    return models[name].load(path, device)


def _model_of(path: Path, known: tuple[str, ...]) -> str:
    """The model that the facts beside a checkpoint name.

    Raises:
        ReadError: They cannot be read, or name none that is known.
    """
    beside = path.with_suffix(".json")
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ReadError(f"{beside}: not the facts of a checkpoint: {error}") from error
    if not isinstance(facts, dict):
        raise ReadError(f"{beside}: not the facts of a checkpoint: got {type(facts).__name__}")
    name, detector = facts.get("model"), facts.get("detector")
    if isinstance(name, str) and name in known:
        return name
    if name is None and isinstance(detector, str):
        raise ReadError(
            f"{beside}: names detector '{detector}' and no model; it finds boxes: "
            f"--boxes {detector}={path}"
        )
    named = "no model" if name is None else f"model '{name}'"
    raise ReadError(f"{beside}: names {named}; known: {', '.join(known)}")
