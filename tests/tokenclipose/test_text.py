"""Text encoders: what each gives, and what is said where one cannot be had."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tokenclipose.text import MiniLM, keypoint_embeddings, make_encoder
from toolkit.errors import ReadError, SchemaError, ServiceError, UnsafeInputError, UsageError
from toolkit.schema import Schema


def test_minilm_gives_the_values_of_the_original_library() -> None:
    """First values of sentence-transformers' own encoding of this sentence."""
    vector = MiniLM().encode(["the toe of the stick"])[0]
    expected = torch.tensor([-0.0575, -0.0212, -0.0230, 0.0147])
    assert vector.shape == (384,)
    assert vector.norm().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.allclose(vector[:4], expected, atol=6e-5)


def test_minilm_puts_like_sentences_nearer_than_unlike_ones() -> None:
    knee, joint, stick = MiniLM().encode(
        ["the left knee", "the knee on the left side", "the blade of a hockey stick"]
    )
    assert knee @ joint > knee @ stick + 0.2


def test_a_keypoints_prompts_are_averaged_to_one_unit_vector() -> None:
    schema = Schema.load("lacrosse")
    embeddings = keypoint_embeddings(schema, "minilm", cache=False)
    assert embeddings.shape == (14, 384)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(14), atol=1e-5)
    first = MiniLM().encode(schema.prompts[0]).mean(dim=0)
    assert torch.allclose(embeddings[0], first / first.norm(), atol=1e-5)


def test_embeddings_are_kept_by_their_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    schema = Schema.load("lacrosse")
    once, twice = (keypoint_embeddings(schema, "minilm") for _ in range(2))
    assert torch.equal(once, twice)
    assert len(list((tmp_path / "text").glob("*.npy"))) == 1


def test_another_file_of_clip_has_embeddings_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Told:
        def __init__(self, value: float) -> None:
            self.value = value

        def encode(self, sentences: Sequence[str]) -> torch.Tensor:
            return torch.tensor([[self.value, 1.0]]).repeat(len(sentences), 1)

    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    file = tmp_path / "clip.safetensors"
    found = []
    for value in (1.0, 2.0):
        file.write_text(str(value), "utf-8")
        monkeypatch.setattr("tokenclipose.text.make_encoder", lambda kind, v=value: Told(v))
        found.append(keypoint_embeddings(Schema.load("coco"), f"openclip:ViT-B-32/{file}"))

    assert not torch.equal(*found)


TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2
    },
}  # fmt: skip


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights of a tiny CLIP, which open_clip knows as `tiny` and `tiny-quickgelu`."""
    import open_clip

    for name, config in (("tiny", TINY), ("tiny-quickgelu", {**TINY, "quick_gelu": True})):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)
    torch.manual_seed(0)
    tensors = open_clip.create_model("tiny", pretrained=None).state_dict()
    path = tmp_path / "clip.safetensors"
    # Large enough that the two GELUs do not round to the same.
    save_file({key: value * 3 for key, value in tensors.items()}, path)
    return path


def encoded(architecture: str, file: Path) -> torch.Tensor:
    return make_encoder(f"openclip:{architecture}/{file}").encode(["the toe of the stick"])


def test_openais_weights_in_a_file_get_the_gelu_they_were_trained_with(clip: Path) -> None:
    quick, exact = encoded("tiny-quickgelu", clip), encoded("tiny", clip)
    assert not torch.allclose(quick, exact, atol=1e-4)

    named = clip.with_name("ViT-B-32-OpenAI.safetensors")
    named.write_bytes(clip.read_bytes())
    assert torch.equal(encoded("tiny", named), quick)

    clip.with_name("open_clip_config.json").write_text('{"model_cfg": {"quick_gelu": true}}')
    assert torch.equal(encoded("tiny", clip), quick)
    clip.with_name("open_clip_config.json").write_text('{"model_cfg": {}}')
    assert torch.equal(encoded("tiny", named), exact), "what the hub says goes before a name"


def test_embeddings_of_the_other_gelu_are_not_found_again(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    kind, schema = f"openclip:tiny/{clip}", Schema.load("coco")
    exact = keypoint_embeddings(schema, kind)
    clip.with_name("open_clip_config.json").write_text('{"model_cfg": {"quick_gelu": true}}')
    assert not torch.equal(keypoint_embeddings(schema, kind), exact)


def test_a_damaged_configuration_beside_a_file_is_named(clip: Path) -> None:
    clip.with_name("open_clip_config.json").write_text("[]")
    with pytest.raises(ReadError, match=r"open_clip_config\.json: does not describe a model"):
        encoded("tiny", clip)


def test_a_cut_file_of_clip_is_named_and_not_looked_for_on_a_hub(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:-5])
    with pytest.raises(ReadError, match=r"clip\.safetensors: not a whole safetensors file"):
        encoded("tiny", clip)


def test_a_pickle_under_the_name_of_safetensors_is_not_opened(clip: Path) -> None:
    torch.save({"a": torch.zeros(1)}, clip)
    with pytest.raises(UnsafeInputError, match=r"clip\.safetensors: refused: not safetensors"):
        encoded("tiny", clip)


@pytest.mark.parametrize("tensors", [{}, {"a": torch.zeros(2)}], ids=["empty", "other"])
def test_a_file_of_another_network_is_named_and_not_looked_for_on_a_hub(
    clip: Path, tensors: dict[str, torch.Tensor]
) -> None:
    save_file(tensors, clip)
    with pytest.raises(ReadError, match=r"clip\.safetensors: not weights of 'tiny' \("):
        encoded("tiny", clip)


@pytest.mark.parametrize(
    ("tag", "quick"), [("openai", True), ("metaclip_400m", True), ("laion2b_s34b_b79k", False)]
)
def test_a_tag_says_which_gelu_it_was_trained_with(
    monkeypatch: pytest.MonkeyPatch, tag: str, quick: bool
) -> None:
    asked: list[object] = []

    def made(architecture: str, *, pretrained: str, force_quick_gelu: bool) -> torch.nn.Module:
        asked.append((architecture, pretrained, force_quick_gelu))
        return torch.nn.Identity()

    monkeypatch.setattr("open_clip.create_model", made)
    make_encoder(f"openclip:ViT-B-32/{tag}")
    assert asked == [("ViT-B-32", tag, quick)]


def test_damaged_embeddings_in_the_cache_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    first = keypoint_embeddings(Schema.load("coco"), "minilm")
    (path,) = (tmp_path / "text").glob("*.npy")
    path.write_bytes(b"")

    assert torch.equal(keypoint_embeddings(Schema.load("coco"), "minilm"), first)


def test_learned_tokens_need_no_language() -> None:
    assert keypoint_embeddings(Schema.load("coco"), "learned", dim=32).shape == (17, 32)


def test_a_keypoint_without_prompts_is_refused() -> None:
    schema = Schema.load("lacrosse")
    bare = replace(schema.keypoints[0], prompts=())
    silent = replace(schema, keypoints=(bare, *schema.keypoints[1:]))
    with pytest.raises(SchemaError, match="no prompts for left_shoulder"):
        keypoint_embeddings(silent, "minilm")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("bert", "no text encoder 'bert'; known: learned, minilm"),
        ("openclip:ViT-B-32/none.safetensors", "no file 'none.safetensors'"),
        ("openclip:ViT-B-32/no_such_tag", "neither a file nor a tag of 'ViT-B-32'; tags: "),
        ("openclip:Nothing/openai", "knows no architecture 'Nothing'"),
    ],
)
def test_an_unknown_encoder_is_refused(kind: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_encoder(kind)


def test_without_a_network_clip_fails_at_once_and_says_how_to_supply_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's address is one that never answers; its cache is empty."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    make_encoder("minilm")
    started = time.monotonic()
    with pytest.raises(ServiceError, match=r"could not be fetched.*openclip:ViT-B-32/FILE"):
        make_encoder("openclip:ViT-B-32/laion2b_s34b_b79k")
    assert time.monotonic() - started < 60


def test_a_cold_cache_and_a_warm_one_leave_the_same_chance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Drawn:
        """As a tower of open_clip, it is built with random weights."""

        def __init__(self) -> None:
            self.weights = torch.randn(8)

        def encode(self, sentences: Sequence[str]) -> torch.Tensor:
            return torch.ones(len(sentences), 8)

    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    monkeypatch.setattr("tokenclipose.text.make_encoder", lambda kind: Drawn())
    after = []
    for _ in range(2):
        torch.manual_seed(0)
        keypoint_embeddings(Schema.load("lacrosse"), "drawn")
        after.append(torch.randn(3))
    assert len(list(tmp_path.rglob("*.npy"))) == 1
    assert torch.equal(*after)
