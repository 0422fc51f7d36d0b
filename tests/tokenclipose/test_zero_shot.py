"""A trained model on another schema, by names and by prompts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from baselines.checkpoints import schema_to_facts
from tokenclipose import CHECKPOINTS
from tokenclipose.text import keypoint_embeddings
from tokenclipose.zero_shot import match, swapped, threshold
from toolkit.benchmark.entrants import Contender, in_another_schema
from toolkit.dataset import Dataset
from toolkit.errors import MissingExtraError, SchemaError, ServiceError, UsageError
from toolkit.formats import read, write_predictions
from toolkit.models import PoseModel, get_model
from toolkit.schema import Keypoint, Schema
from toolkit.zero_shot import explain, scored_part, zero_shot


@pytest.fixture(scope="module")
def model() -> PoseModel:
    return get_model("tokenclipose-small").load("hockey", "cpu")


@pytest.fixture(scope="module")
def sample(root: Path) -> tuple[Dataset, Path]:
    folder = root / "datasets" / "hockey" / "sample"
    return read(folder / "annotations.json").subset(slice(0, 4)), folder / "images"


def test_by_names_a_keypoint_is_answered_by_its_namesake(
    model: PoseModel, sample: tuple[Dataset, Path]
) -> None:
    lacrosse = zero_shot(model, Schema.load("lacrosse"), "names")
    found, own = lacrosse.predict(*sample), model.predict(*sample)
    assert found.schema.name == "lacrosse"
    assert lacrosse.missing == ()
    for name in ("left_wrist", "stick_heel"):
        ours, theirs = found.schema.index(name), own.schema.index(name)
        assert np.array_equal(found.keypoints[:, ours], own.keypoints[:, theirs])


def test_what_has_no_counterpart_is_named_and_not_predicted(
    model: PoseModel, sample: tuple[Dataset, Path]
) -> None:
    crowdpose = zero_shot(model, Schema.load("crowdpose"), "names")
    assert crowdpose.missing == ("head", "neck")
    assert (
        "no counterpart, so not predicted (0, 0, score 0): head, neck" in explain(crowdpose)[0]
    )
    found = crowdpose.predict(*sample)
    gone = [found.schema.index(name) for name in crowdpose.missing]
    assert (found.keypoints[:, gone] == 0).all()
    assert (found.keypoint_scores[:, gone] == 0).all()
    kept = [k for k in range(14) if k not in gone]
    assert found.scores == pytest.approx(found.keypoint_scores[:, kept].mean(axis=1))


def test_sigmas_stay_for_the_keypoints_that_are_predicted(
    model: PoseModel, sample: tuple[Dataset, Path], tmp_path: Path
) -> None:
    """A results file has finite sigmas for all keypoints or none, so it has none here."""
    found = zero_shot(model, Schema.load("crowdpose"), "names").predict(*sample)
    own = model.predict(*sample)
    assert found.sigma is not None
    assert own.sigma is not None
    wrist = found.sigma[:, found.schema.index("left_wrist")]
    assert np.array_equal(wrist, own.sigma[:, own.schema.index("left_wrist")])
    assert np.isnan(found.sigma[:, found.schema.index("neck")]).all()

    write_predictions(found, tmp_path / "found.json")

    written = json.loads((tmp_path / "found.json").read_text("utf-8"))
    assert len(written) == len(found)
    assert all("sigmas" not in one and len(one["keypoints"]) == 3 * 14 for one in written)


def test_by_prompts_lacrosse_finds_its_counterparts_without_reading_names(
    model: PoseModel, sample: tuple[Dataset, Path]
) -> None:
    lacrosse = zero_shot(model, Schema.load("lacrosse"), "prompts")
    pairs = {one.keypoint: one.source for one in lacrosse.counterparts}
    assert all(source == name for name, source in pairs.items())
    found = lacrosse.predict(*sample)
    named = zero_shot(model, Schema.load("lacrosse"), "names").predict(*sample)
    apart = np.linalg.norm(found.keypoints - named.keypoints, axis=2)
    assert 0 < apart.max() < 20, "the tokens differ, and say nearly the same"


def test_by_prompts_nobody_stands_in_for_the_head(model: PoseModel) -> None:
    crowdpose = zero_shot(model, Schema.load("crowdpose"), "prompts")
    assert crowdpose.missing == ("head", "neck")
    assert "head (nearest prompts 0.5" in explain(crowdpose)[0]


def test_its_own_prompts_give_the_model_back(
    model: PoseModel, sample: tuple[Dataset, Path]
) -> None:
    found = zero_shot(model, model.schema, "prompts").predict(*sample)
    own = model.predict(*sample)
    assert np.allclose(found.keypoints, own.keypoints, atol=0.01)
    assert np.allclose(found.keypoint_scores, own.keypoint_scores, atol=1e-4)


def own_checkpoint(folder: Path, *, prompts: bool) -> Path:
    """The shipped hockey weights, as trained on a user's schema `ice` with 20 keypoints."""
    shipped = CHECKPOINTS / "tokenclipose-small_hockey.safetensors"
    path = folder / shipped.name
    path.write_bytes(shipped.read_bytes())
    hockey = Schema.load("hockey")
    keypoints = tuple(k if prompts else replace(k, prompts=()) for k in hockey.keypoints)
    facts = json.loads(shipped.with_suffix(".json").read_text("utf-8"))
    facts["schema"] = schema_to_facts(replace(hockey, name="ice", keypoints=keypoints))
    path.with_suffix(".json").write_text(json.dumps(facts), "utf-8")
    return path


def test_by_prompts_a_model_of_the_users_own_schema_answers_too(
    tmp_path: Path, model: PoseModel
) -> None:
    mine = get_model("tokenclipose-small").load(own_checkpoint(tmp_path, prompts=True), "cpu")
    found = zero_shot(mine, Schema.load("lacrosse"), "prompts")
    shipped = zero_shot(model, Schema.load("lacrosse"), "prompts")
    assert mine.schema.name == "ice"
    assert found.counterparts == shipped.counterparts


def test_by_prompts_a_checkpoint_that_holds_none_says_to_train_it_again(tmp_path: Path) -> None:
    mine = get_model("tokenclipose-small").load(own_checkpoint(tmp_path, prompts=False), "cpu")
    with pytest.raises(SchemaError, match=r"no prompts of schema 'ice'.*train the model again"):
        zero_shot(mine, Schema.load("lacrosse"), "prompts")


def test_by_prompts_a_model_may_look_at_mirror_images_too(
    sample: tuple[Dataset, Path],
) -> None:
    both = get_model("tokenclipose-small").load("hockey", "cpu")
    both.decoded_by(flip_test=True)  # type: ignore[attr-defined]
    found = zero_shot(both, both.schema, "prompts").predict(*sample)
    assert np.allclose(found.keypoints, both.predict(*sample).keypoints, atol=0.01)


def test_a_model_without_language_is_refused_by_prompts() -> None:
    heatmaps = get_model("hrnet-small").load("hockey", "cpu")
    with pytest.raises(UsageError, match="'hrnet-small' has no text tokens; use --zero-shot"):
        zero_shot(heatmaps, Schema.load("lacrosse"), "prompts")


def test_most_alike_pairs_come_first_and_nobody_answers_twice() -> None:
    """New 0 and 1 both like old 0 best; 1 more so. New 2 is like nobody."""
    likeness = np.array([[0.8, 0.7], [0.9, 0.1], [0.2, 0.3]], np.float32)
    assert match(likeness, 0.5).tolist() == [1, 0, -1]
    assert match(likeness, 0.75).tolist() == [-1, 0, -1]


def test_of_mirror_images_alone_nothing_says_how_alike_different_keypoints_are() -> None:
    hands = (Keypoint("left", flip="right"), Keypoint("right", flip="left"))
    schema = Schema("hands", "Hands", hands)
    with pytest.raises(UsageError, match="'hands' has no two keypoints but mirror images"):
        threshold(schema, torch.eye(2))


def test_a_new_token_keeps_what_training_moved_its_counterpart_by() -> None:
    """Embeddings that only add one thing to all sentences give the trained tokens back."""
    old = keypoint_embeddings(Schema.load("hockey"), "minilm")[:3]
    started = (old - old.mean(0)) / (old - old.mean(0)).std()
    trained = started + torch.arange(3.0)[:, None]
    order = np.array([2, 0, 1])
    found = swapped(trained, old, old[order] + 0.3, order, order)
    assert torch.allclose(found, trained[order], atol=1e-4)


def test_the_scored_part_leaves_the_missing_out_of_the_truth(
    sample: tuple[Dataset, Path],
) -> None:
    truth, _ = sample
    part = scored_part(truth, ["stick_toe"])
    toe = truth.schema.index("stick_toe")
    assert (part.annotations.visibility[:, toe] == 0).all()
    assert np.array_equal(
        part.annotations.visibility[:, :toe], truth.annotations.visibility[:, :toe]
    )


def test_predict_answers_in_the_datas_schema(
    root: Path, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    folder = root / "datasets" / "crowdpose" / "sample"
    out = tmp_path / "found.json"
    arguments = ["tokenclipose-small", "--weights", "hockey", "--zero-shot", "prompts"]
    arguments += ["--data", folder / "annotations.json", "--images", folder / "images"]
    done = toolkit_cli("predict", *arguments, "--out", out, "--runtime", "torch", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["zero_shot"]["prompts"]["neck"] is None
    assert len(json.loads(out.read_text("utf-8"))[0]["keypoints"]) == 3 * 14


def test_predict_by_prompts_computes_in_onnx_what_pytorch_computes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toolkit_cli: Callable[..., Any]
) -> None:
    """Another schema's tokens are another network: a file of their own in the cache."""
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path / "cache"))
    folder = root / "datasets" / "crowdpose" / "sample"
    arguments = ["tokenclipose-small", "--weights", "hockey", "--json"]
    arguments += ["--data", folder / "annotations.json", "--images", folder / "images"]
    keypoints = {}
    for runtime in ("torch", "onnx"):
        out = tmp_path / f"{runtime}.json"
        wanted = ("--zero-shot", "prompts", "--out", out, "--runtime", runtime)
        done = toolkit_cli("predict", *arguments, *wanted)
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["runtime"] == runtime
        keypoints[runtime] = [one["keypoints"] for one in json.loads(out.read_text("utf-8"))]
    assert done.stderr.count("writing ") == 1
    assert np.allclose(keypoints["torch"], keypoints["onnx"], atol=0.1)
    own = toolkit_cli("predict", *arguments, "--out", tmp_path / "own.json")
    assert own.exit_code == 0, own.stderr
    assert len(list((tmp_path / "cache" / "onnx").iterdir())) == 2


def test_other_prompts_of_the_same_keypoints_are_another_network_to_caches(
    model: PoseModel,
) -> None:
    lacrosse = Schema.load("lacrosse")
    other = replace(
        lacrosse,
        keypoints=tuple(replace(k, prompts=k.prompts[::2] * 2) for k in lacrosse.keypoints),
    )
    hashes = {
        zero_shot(model, one, "prompts").facts["text_sha256"] for one in (lacrosse, other)
    }
    assert len(hashes) == 2


def test_benchmark_keeps_the_rows_by_names_where_the_schema_has_no_prompts(
    model: PoseModel,
) -> None:
    lacrosse = Schema.load("lacrosse")
    silent = tuple(replace(k, prompts=()) for k in lacrosse.keypoints)
    schema = replace(lacrosse, name="mine", keypoints=silent)
    ours = Contender("ours", get_model("tokenclipose-small"), model)

    found, missing, said = in_another_schema([ours], schema, "both")

    assert [one.label for one in found] == ["ours, by names"]
    assert missing == []
    assert "no row 'ours' by prompts: schema 'mine': no prompts for left_shoulder" in said[0]
    with pytest.raises(SchemaError, match="'mine': no prompts for left_shoulder"):
        in_another_schema([ours], schema, "prompts")


@pytest.mark.parametrize("error", [MissingExtraError, ServiceError])
def test_benchmark_keeps_the_rows_by_names_where_the_text_encoder_cannot_be_had(
    error: type[Exception], model: PoseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(schema: Schema, kind: str, **rest: object) -> torch.Tensor:
        raise error("text encoder 'minilm' is out of reach")

    monkeypatch.setattr("tokenclipose.zero_shot.keypoint_embeddings", absent)
    ours = Contender("ours", get_model("tokenclipose-small"), model)

    found, _, said = in_another_schema([ours], Schema.load("lacrosse"), "both")

    assert [one.label for one in found] == ["ours, by names"]
    assert said == ["no row 'ours' by prompts: text encoder 'minilm' is out of reach"]
    with pytest.raises(error, match="out of reach"):
        in_another_schema([ours], Schema.load("lacrosse"), "prompts")


def test_benchmark_prints_both_rows(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toolkit_cli: Callable[..., Any]
) -> None:
    monkeypatch.setenv("TOOLKIT_CACHE", str(tmp_path))
    folder = root / "datasets" / "lacrosse" / "sample"
    arguments = ["--suite", "lacrosse", "--models", "tokenclipose-small,hrnet-small"]
    arguments += ["--data", folder / "annotations.json", "--images", folder / "images"]
    done = toolkit_cli("benchmark", *arguments, "--zero-shot", "both", "--bootstrap", "0")
    assert done.exit_code == 0, done.stderr
    for row in ("tokenclipose-small, by names", "tokenclipose-small, by prompts"):
        assert row in done.stdout
    assert "no row 'hrnet-small' by prompts: model 'hrnet-small' has no text" in done.stderr
