"""Every shipped data set has a sound schema, a card with a licence, and a small sample."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.catalog import list_datasets
from toolkit.dataset import Card
from toolkit.places import datasets_root
from toolkit.schema import MIN_PROMPTS, Schema

SAMPLES = ("crowdpose", "hockey", "lacrosse")


def test_the_four_data_sets_are_known() -> None:
    assert list_datasets() == ("coco", "crowdpose", "hockey", "lacrosse")


@pytest.mark.parametrize("name", list_datasets())
def test_every_keypoint_has_prompts_and_a_sourced_sigma(name: str) -> None:
    schema = Schema.load(name)

    for keypoint in schema.keypoints:
        assert len(set(keypoint.prompts)) >= MIN_PROMPTS, keypoint.name
        assert keypoint.sigma is not None
        assert keypoint.sigma_source != "unknown"
    assert np.array_equal(schema.flip_index[schema.flip_index], np.arange(schema.num_keypoints))


@pytest.mark.parametrize("name", list_datasets())
def test_no_stick_sigma_passes_for_a_published_one(name: str) -> None:
    for keypoint in Schema.load(name).keypoints:
        assert keypoint.sigma_published is (keypoint.group == "body")
        assert ("NOT published" in keypoint.sigma_source) is (keypoint.group == "extension")


@pytest.mark.parametrize("name", list_datasets())
def test_the_card_states_a_licence(name: str) -> None:
    assert Card.load(datasets_root() / name / "card.md").licence


def test_the_coco_schema_has_the_published_sigmas() -> None:
    from pycocotools.cocoeval import Params

    expected = Params("keypoints").kpt_oks_sigmas
    np.testing.assert_allclose(Schema.load("coco").sigmas, expected, rtol=1e-15)


def test_hockey_is_coco_and_three_points_of_the_stick() -> None:
    hockey, coco = Schema.load("hockey"), Schema.load("coco")

    assert hockey.names == (*coco.names, "butt_end", "stick_heel", "stick_toe")
    assert list(hockey.report_groups) == ["Body", "Butt End", "Stick Heel", "Stick Toe"]


def test_hockey_maps_onto_all_of_lacrosse_by_name() -> None:
    mapping = Schema.load("hockey").mapping_to(Schema.load("lacrosse"))

    assert mapping.unmatched_target == ()
    assert mapping.unmatched_source == (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "stick_toe",
    )  # fmt: skip
    assert mapping.source_index.tolist() == list(range(5, 19))
    assert mapping.target_index.tolist() == list(range(14))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_small_and_no_clip_is_on_both_sides(name: str) -> None:
    folder = datasets_root() / name
    files = [path for path in (folder / "sample").rglob("*") if path.is_file()]
    document = json.loads((folder / "sample" / "annotations.json").read_bytes())
    clip_of = {image["id"]: image["clip"] for image in document["images"]}
    sides: dict[str, set[str]] = {
        split.stem: {clip_of[int(line)] for line in split.read_text().split()}
        for split in (folder / "splits").glob("*.txt")
    }

    assert sum(path.stat().st_size for path in files) <= 1_500_000
    assert set(sides) == {"train", "test"}
    assert all(sides.values())
    assert not sides["train"] & sides["test"]
    assert sides["train"] | sides["test"] == set(clip_of.values())
    assert all(
        (folder / "sample" / "images" / i["file_name"]).is_file() for i in document["images"]
    )


def test_datasets_list_names_all_four(toolkit_cli: Callable[..., Any]) -> None:
    result = toolkit_cli("datasets", "list", "--json")

    names = [item["name"] for item in json.loads(result.stdout)["datasets"]]
    assert (result.exit_code, names) == (0, ["coco", "crowdpose", "hockey", "lacrosse"])


def test_datasets_show_says_which_sigma_is_a_default(toolkit_cli: Callable[..., Any]) -> None:
    result = toolkit_cli("datasets", "show", "hockey")

    heel = next(line for line in result.stdout.splitlines() if "stick_heel" in line)
    assert "stated" in heel


def test_datasets_show_of_an_unknown_name_lists_the_known(
    toolkit_cli: Callable[..., Any],
) -> None:
    result = toolkit_cli("datasets", "show", "curling")

    assert result.exit_code == 2
    assert "no data set 'curling'; known: coco, crowdpose, hockey, lacrosse" in result.stderr


def test_a_card_without_a_licence_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "card.md"
    path.write_text("---\nname: x\nversion: 1\ncitation: me\n---\nprose\n")

    with pytest.raises(Exception, match="field 'licence' is missing"):
        Card.load(path)
