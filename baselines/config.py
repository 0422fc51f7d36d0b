"""Recipes: one small TOML file a training run, read into one frozen dataclass.

`load_recipe` accepts a path or the name of a file in `baselines/recipes` or
`tokenclipose/recipes`. Unknown keys and wrong types are refused with the nearest valid
names; there is no inheritance between recipes and no code in them.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from toolkit.errors import InvalidDataError, ReadError, UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

BoxPolicy = Literal["human", "enlarged", "oracle"]
_CHOICES = {
    "family": ("heatmap", "regression", "tokenclipose"),
    "backbone": (
        "hrnet-small",
        "hrnet-w32",
        "hrnet-w48",
        "resnet50",
        "vitpose-tiny",
        "vitpose-s",
        "vitpose-b",
    ),
    "box": ("human", "enlarged", "oracle"),
    "schedule": ("cosine", "step"),
    "precision": ("auto", "float32", "float64", "bfloat16", "float16"),
    "batchnorm": ("train", "frozen"),
    "heatmap_loss": ("mse", "cross_entropy"),
    "heatmap_grid": ("cells", "udp", "original"),
    "refine": ("parabola", "dark", "quarter", "none"),
    "modalities": ("image", "image+location", "image+text", "image+location+text"),
    "attention": ("cross", "self", "intention", "none"),
    "coarse": ("vote", "mlp"),
    "final": ("offset", "absolute"),
    "rle": ("plain", "normalised", "reference"),
    "prompts": ("none", "single", "ensemble"),
}

_ANY, _SHARE = (0.0, math.inf), (0.0, 1.0)
# Least and greatest values; a key without is not limited.
_LIMITS: dict[str, tuple[float, float]] = {
    "box_factor": (0.01, math.inf),
    "box_padding": (0.01, math.inf),
    "images_seen": _ANY,
    "batch_size": (1, math.inf),
    "learning_rate": _ANY,
    "weight_decay": _ANY,
    "warmup": _SHARE,
    "clip_norm": _ANY,
    "ema_decay": _SHARE,
    "scale": (0.0, 0.95),
    "rotation": _ANY,
    "shift": _ANY,
    "flip": _SHARE,
    "half_body": _SHARE,
    "color": _ANY,
    "curve": _SHARE,
    "validation_instances": (1, math.inf),
    "heatmap_sigma": (0.01, math.inf),
    "dim": (4, math.inf),
    "layers": _ANY,
    "heads": (1, math.inf),
    "frozen_eps": _ANY,
    "registers": _ANY,
    "guide_weight": _ANY,
    "error_weight": _ANY,
}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training run depends on, beside the data and the seed.

    Attributes:
        family: `heatmap`, `regression` or `tokenclipose`.
        backbone: Image encoder, one of `baselines.backbones.BACKBONES`; for heatmaps also
            `vitpose-s` and `vitpose-b` (and `vitpose-tiny`, for a quick look).
        pretrained: Its weights to start from: "" none, a tag of timm's (fetched from its hub),
            or a local safetensors file.
        input_wh: Width and height of the crop in px, multiples of 32.
        box: Whose box is cropped: the `human`'s, that box `enlarged` by `box_factor` (which
            knows nothing of the stick), or the `oracle`'s round body and true stick.
        box_factor: Only for `enlarged`.
        box_padding: Factor on both sides after the box has the crop's aspect ratio.
        images_seen: Training budget: crops shown, repeats included.
        batch_size: Crops a step.
        learning_rate: Peak.
        weight_decay: Of AdamW.
        warmup: Share of the budget with a linearly rising rate.
        schedule: `cosine` to zero, or `step`: a tenth at 70 % and again at 90 %.
        clip_norm: Largest gradient norm.
        ema_decay: Of the running mean of the weights that is validated and kept.
        precision: `auto` takes bfloat16 where the device computes in it, else float32; or
            `float32`, `float64`, `bfloat16`, `float16` (GPUs only, gradients scaled).
        batchnorm: `train`, or `frozen`: its means and variances stay as they came.
        deterministic: Only algorithms that give the same bits again, where a GPU has others.
        compile: Compile the network with torch.compile; a minute more, then faster on GPUs.
        scale: Random scale is uniform in [1 - scale, 1 + scale].
        rotation: Random rotation, uniform within +- this many degrees.
        shift: Random shift, uniform within +- this share of the crop, which changes what lies
            outside; above a half it can move the whole body out.
        flip: Probability of mirroring.
        half_body: Probability of a crop on the upper or the lower half of the body alone.
        color: Random gain and offset of each channel, as a share.
        curve: Probability, channel by channel, of a random tone curve, which may turn light
            into dark: no colour and no contrast of the training's people can be relied on.
        validate_every: Crops between validations.
        validation_instances: At most this many, the first ones.
        heatmap_sigma: Of the target in cells (heatmap family).
        heatmap_loss: `mse`, or `cross_entropy` of the softmax over the cells.
        heatmap_grid: How a map lies over the crop: `cells`, `udp` or `original`, see
            `baselines.codecs.grid_steps`.
        refine: How a peak is found between the cells: `parabola`, `dark`, `quarter`, `none`.
        flip_test: Predict on each crop and its mirror image, and average.
        rle: What RLE counts: `plain`, `normalised` (log s too), or as the `reference`
            implementation, see `baselines.rle` (tokenclipose and regression families).
        dim: Token width (this and the rest: tokenclipose family).
        layers: Decoder layers.
        heads: Attention heads.
        registers: Register tokens.
        modalities: Which tokens the decoder has: `image`, `image+location`, `image+text`,
            `image+location+text` (see docs/model.md for what each means).
        attention: How tokens read the image: `cross`, `self`, `intention`, or `none`.
        coarse: `vote` or `mlp`.
        final: Places are an `offset` from the coarse ones, or `absolute` from an MLP.
        evidence: Location tokens carry the features behind their votes.
        text: Text encoder, see `tokenclipose.text`: `learned`, `minilm`, `openclip:...`.
        prompts: Of each keypoint: `ensemble` (the mean of all), `single` (the first), or
            `none` (no language: the same as `text = "learned"`).
        guide_weight: Weight of the guide for the votes.
        error_weight: Weight of the plain absolute error.
    """

    family: str = "heatmap"
    backbone: str = "hrnet-small"
    pretrained: str = ""
    input_wh: tuple[int, int] = (96, 128)
    box: str = "human"
    box_factor: float = 1.0
    box_padding: float = 1.1
    images_seen: int = 60_000
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    warmup: float = 0.03
    schedule: str = "cosine"
    clip_norm: float = 50.0
    ema_decay: float = 0.995
    precision: str = "auto"
    batchnorm: str = "train"
    deterministic: bool = False
    compile: bool = False
    scale: float = 0.2
    rotation: float = 15.0
    shift: float = 0.05
    flip: float = 0.5
    half_body: float = 0.0
    color: float = 0.2
    curve: float = 0.0
    validate_every: int = 15_000
    validation_instances: int = 1_000
    heatmap_sigma: float = 1.5
    heatmap_loss: str = "mse"
    heatmap_grid: str = "cells"
    refine: str = "parabola"
    flip_test: bool = False
    rle: str = "plain"
    dim: int = 96
    layers: int = 3
    heads: int = 4
    registers: int = 4
    modalities: str = "image+location+text"
    attention: str = "cross"
    coarse: str = "vote"
    final: str = "offset"
    evidence: bool = True
    text: str = "learned"
    prompts: str = "ensemble"
    guide_weight: float = 0.0
    error_weight: float = 0.0

    @property
    def text_encoder(self) -> str | None:
        """What the text tokens start from; None where there are none."""
        if self.family != "tokenclipose" or "text" not in self.modalities:
            return None
        return "learned" if self.prompts == "none" else self.text

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


def recipe_folders() -> tuple[Path, Path]:
    """The folders of the recipes that ship with the project."""
    root = Path(__file__).resolve().parent.parent
    return root / "baselines" / "recipes", root / "tokenclipose" / "recipes"


def load_recipe(name_or_path: str | Path, **overrides: object) -> TrainConfig:
    """Read a recipe.

    Args:
        name_or_path: A file, or the name of a shipped recipe without `.toml`.
        **overrides: Keys of `TrainConfig` that win over the file; None is ignored.

    Raises:
        UsageError: There is no such recipe.
        ReadError: The file is not TOML.
        InvalidDataError: A key is unknown or a value has the wrong type.
    """
    shipped = {p.stem: p for folder in recipe_folders() for p in folder.glob("*.toml")}
    path = shipped.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        raise UsageError(
            f"no recipe '{name_or_path}': not a file; known: {', '.join(sorted(shipped))}"
        )
    try:
        values: dict[str, object] = dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ReadError(f"{path}: cannot read the recipe: {error}") from error
    values.update({key: value for key, value in overrides.items() if value is not None})
    return make_config(values, where=str(path))


def without_defaults(config: TrainConfig) -> dict[str, object]:
    """The keys of a recipe that differ from the defaults: the same recipe, and short.

    A key that is added to `TrainConfig` later changes nothing here.
    """
    defaults = TrainConfig().to_dict()
    return {key: value for key, value in config.to_dict().items() if value != defaults[key]}


def make_config(values: dict[str, object], *, where: str) -> TrainConfig:
    """A configuration from plain values, every key and type checked.

    Raises:
        InvalidDataError: A key is unknown, or a value has the wrong type, is no choice or lies
            beyond its limits.
    """
    checked = checked_values(values, TrainConfig(), where=where)
    config = TrainConfig(**checked)
    if any(side < 32 or side % 32 for side in config.input_wh):
        raise InvalidDataError(
            f"{where}: 'input_wh' is {list(config.input_wh)}; width and height must be "
            "multiples of 32 px, such as [192, 256]"
        )
    if config.family == "tokenclipose" and (config.dim % 4 or config.dim % config.heads):
        raise InvalidDataError(
            f"{where}: 'dim' is {config.dim} and 'heads' {config.heads}; 'dim' must be a "
            "multiple of 4 and of 'heads'"
        )
    return config


def checked_values(
    values: Mapping[str, object], defaults: DataclassInstance, *, where: str
) -> dict[str, Any]:
    """The values of a dataclass of settings, every key known and every type its default's.

    A default of None stands for a number that may be None.

    Args:
        values: As TOML or JSON gave them.
        defaults: An instance of the dataclass.
        where: For errors.

    Raises:
        InvalidDataError: A key is unknown, or a value has the wrong type, is no choice or lies
            beyond its limits.
    """
    known = [item.name for item in fields(defaults)]
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=3) or known
            raise InvalidDataError(
                f"{where}: unknown key '{key}'; nearest valid: {', '.join(close)}"
            )
        checked[key] = _checked(key, value, getattr(defaults, key), where)
    return checked


def _checked(key: str, value: object, default: object, where: str) -> object:
    """The value in the type of its default, or an error that names both."""
    wanted = type(default)
    if default is None:
        return None if value is None else _checked(key, value, 0.0, where)
    if isinstance(default, tuple):
        whole = isinstance(value, list | tuple) and all(type(v) is int for v in value)
        if isinstance(value, list | tuple) and whole and len(value) == len(default):
            return tuple(value)
    elif isinstance(default, float) and _is_number(value):
        number = _as_float(value)
        _check_limits(key, number, where)
        return number
    elif type(value) is wanted:
        if key in _CHOICES and value not in _CHOICES[key]:
            raise InvalidDataError(
                f"{where}: '{key}' is '{value}'; expected one of {', '.join(_CHOICES[key])}"
            )
        if wanted is int and _is_number(value):
            _check_limits(key, _as_float(value), where)
        return value
    raise InvalidDataError(
        f"{where}: '{key}' is {value!r}; expected {wanted.__name__} like {default!r}"
    )


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float)


def _as_float(value: float) -> float:
    """The nearest float; infinity for a whole number beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _check_limits(key: str, value: float, where: str) -> None:
    low, high = _LIMITS.get(key, (-math.inf, math.inf))
    if not low <= value <= high or math.isinf(value):  # NaN is beyond all limits
        wanted = f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"
        raise InvalidDataError(f"{where}: '{key}' is {value:g}; expected {wanted}")
