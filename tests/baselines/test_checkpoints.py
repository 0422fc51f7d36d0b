"""Checkpoints: what is written is read back; what is not safe or does not fit is refused."""

from __future__ import annotations

import json
import pickle
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from baselines.checkpoints import (
    load_weights,
    read_facts,
    read_tensors,
    save_checkpoint,
    schema_from_facts,
    schema_to_facts,
)
from toolkit.errors import OutputExistsError, ReadError, UnsafeInputError, UsageError
from toolkit.schema import HeadSizeStep, Keypoint, Schema


class _Payload:
    """Unpickling it would write a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.canary,)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, network(), {"model": "net"})
    return path


def test_weights_come_back_in_half_precision(checkpoint: Path) -> None:
    fresh = network()
    for parameter in fresh.parameters():
        nn.init.zeros_(parameter)
    load_weights(checkpoint, fresh, read_tensors(checkpoint))
    for loaded, original in zip(fresh.parameters(), network().parameters(), strict=True):
        assert torch.equal(loaded, original.half().float())
    assert read_facts(checkpoint)["model"] == "net"


@pytest.mark.parametrize("name", ["weights.pt", "weights.pkl", "weights.safetensors"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, name: str, protocol: int) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / name
    path.write_bytes(pickle.dumps(_Payload(canary), protocol=protocol))
    with pytest.raises(UnsafeInputError, match="refused: not safetensors but a pickle"):
        read_tensors(path)
    assert not canary.exists()


def test_a_torch_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(UnsafeInputError, match="torch archive"):
        read_tensors(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 40,
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 62)
        + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,999999999]}}'
        + b"\x00" * 16,
    ],
    ids=["empty", "zeros", "endless header", "offsets beyond the file"],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(ReadError, match="not a whole safetensors file"):
        read_tensors(path)


def test_a_truncated_checkpoint_is_refused(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-5])
    with pytest.raises(ReadError, match="not a whole safetensors file"):
        read_tensors(checkpoint)


def test_a_wrong_shape_is_refused_with_the_tensors_name(checkpoint: Path) -> None:
    tensors = read_tensors(checkpoint)
    tensors["0.weight"] = torch.zeros(2, 2)
    with pytest.raises(ReadError, match=r"tensor '0.weight' has shape \(2, 2\); expected"):
        load_weights(checkpoint, network(), tensors)


def test_missing_and_unknown_tensors_are_named(checkpoint: Path) -> None:
    tensors = read_tensors(checkpoint)
    tensors["extra"] = tensors.pop("0.bias")
    with pytest.raises(
        ReadError, match=r"lacks tensor '0.bias' and has unknown tensor 'extra'"
    ):
        load_weights(checkpoint, network(), tensors)


def test_values_that_are_not_finite_are_refused(checkpoint: Path) -> None:
    tensors = read_tensors(checkpoint)
    tensors["0.bias"][0] = torch.inf
    with pytest.raises(ReadError, match=r"tensor '0.bias' holds values that are not finite"):
        load_weights(checkpoint, network(), tensors)


def test_a_checkpoint_without_its_facts_is_refused(checkpoint: Path) -> None:
    checkpoint.with_suffix(".json").unlink()
    with pytest.raises(
        ReadError, match=r"the facts 'net.json' beside the checkpoint are missing"
    ):
        read_facts(checkpoint)


def test_facts_that_are_nested_without_end_are_refused(checkpoint: Path) -> None:
    checkpoint.with_suffix(".json").write_text("[" * 100_000)
    with pytest.raises(ReadError, match=r"net.json: cannot read the checkpoint's facts: max"):
        read_facts(checkpoint)


SENTENCES = tuple(f"a photo of a broom, seen {where}" for where in "abcde")
CURLING = Schema(
    "curling",
    "Curling",
    (
        Keypoint("head", sigma=0.03, sigma_source="measured", region="box"),
        Keypoint(
            "broom",
            group="extension",
            report_group="Broom",
            sigma=0.1,
            sigma_source="ours",
            sigma_published=True,
            prompts=SENTENCES,
        ),
    ),
    (("head", "broom"),),
    (HeadSizeStep("segment", 0.7, (("head", "broom"),)),),
    category_id=7,
    category_name="curler",
)


def through_json(schema: Schema) -> dict[str, Any]:
    """A checkpoint's facts of a schema, as they are read back."""
    return dict(json.loads(json.dumps({"schema": schema_to_facts(schema)})))


def as_once_written(schema: Schema) -> dict[str, Any]:
    """The same as older versions wrote them: names, groups and edges."""
    facts = through_json(schema)
    kept = ("name", "group", "flip", "report_group")
    people = [{key: one[key] for key in kept} for one in facts["schema"]["keypoints"]]
    stored = {key: facts["schema"][key] for key in ("name", "title", "edges")}
    return {"schema": {**stored, "keypoints": people}}


@pytest.mark.parametrize("schema", [CURLING, *map(Schema.load, Schema.builtin_names())])
def test_a_schema_travels_whole_with_the_checkpoint(schema: Schema, tmp_path: Path) -> None:
    assert schema_from_facts(tmp_path / "x.safetensors", through_json(schema)) == schema


def test_a_users_schema_under_a_built_in_name_keeps_its_own_prompts(tmp_path: Path) -> None:
    hockey = Schema.load("hockey")
    own = replace(
        hockey, keypoints=tuple(replace(k, prompts=SENTENCES) for k in hockey.keypoints)
    )
    read = schema_from_facts(tmp_path / "x.safetensors", through_json(own))
    assert read.prompts == (SENTENCES,) * 20


def test_of_older_facts_a_built_in_schema_comes_back_whole_by_its_name(tmp_path: Path) -> None:
    hockey = Schema.load("hockey")
    assert schema_from_facts(tmp_path / "x.safetensors", as_once_written(hockey)) == hockey


def test_of_older_facts_an_own_schema_has_names_groups_and_edges(tmp_path: Path) -> None:
    read = schema_from_facts(tmp_path / "x.safetensors", as_once_written(CURLING))
    assert read.names == ("head", "broom")
    assert read.is_extension.tolist() == [False, True]
    assert read.edges == (("head", "broom"),)
    assert read.prompts == ((), ())
    assert not read.has_sigmas


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompts": "one sentence"}, "'head': field 'prompts' must be a list of sentences"),
        ({"prompts": ["one sentence"]}, "'head' has 1 prompts; expected none or at least 5"),
        ({"sigma": "wide"}, "'head': sigma value is str; expected a number"),
        ({"sigma": True}, "'head': sigma value is bool; expected a number"),
        ({"weight": 1}, "'head': unknown field 'weight'"),
        ({"group": "extensoin"}, "field 'group' is 'extensoin'; one of body, extension"),
        ({"region": 5}, "field 'region' is 5; one of box, image, anywhere"),
        ({"name": 3}, "field 'name' is int; expected a text"),
        ({"report_group": ["Body"]}, "field 'report_group' is list; expected a text"),
    ],
)
def test_facts_whose_keypoint_is_damaged_are_refused(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    facts = through_json(CURLING)
    facts["schema"]["keypoints"][0].update(change)
    with pytest.raises(ReadError, match=rf"x\.json: 'schema' does not describe.*{said}"):
        schema_from_facts(tmp_path / "x.safetensors", facts)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"head_size": [{"method": "zzz", "factor": -3, "pairs": []}]},
            "field 'method' is 'zzz'; one of head_box, segment, torso",
        ),
        (
            {"head_size": [{"method": "head_box", "factor": -3, "pairs": []}]},
            "field 'factor' is -3; expected a positive number",
        ),
        ({"keypoints": []}, "field 'keypoints' is empty; list at least one"),
        ({"category": {"id": float("inf")}}, "category: field 'id' is float; expected a whole"),
        ({"edges": [[1, 2]]}, r"got \[1, 2\]; expected two keypoint names"),
    ],
)
def test_facts_whose_schema_is_damaged_are_refused(
    change: dict[str, object], said: str, tmp_path: Path
) -> None:
    facts = through_json(CURLING)
    facts["schema"].update(change)
    with pytest.raises(ReadError, match=rf"x\.json: 'schema' does not describe.*{said}"):
        schema_from_facts(tmp_path / "x.safetensors", facts)


@pytest.mark.parametrize("stored", [None, [], "hockey"])
def test_facts_without_a_schema_are_refused(stored: object, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"x\.json: 'schema' is no JSON object.*fetch or make"):
        schema_from_facts(tmp_path / "x.safetensors", {"schema": stored})


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("precious")
    with pytest.raises(OutputExistsError, match=r"a\.json: exists already; pass --force"):
        save_checkpoint(tmp_path / "a.safetensors", nn.Linear(1, 1), {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(UsageError, match=r"a\.json: two outputs have one name"):
        save_checkpoint(tmp_path / "a.json", nn.Linear(1, 1), {}, force=True)
