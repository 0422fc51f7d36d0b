"""`toolkit datasets`: what is known, what was added, what was given."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from toolkit import catalog, places
from toolkit.files import sha256_file

Cli = Callable[..., object]


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TOOLKIT_REGISTRY", str(tmp_path / "registry" / "deep"))
    return tmp_path / "registry" / "deep"


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    for clip, count in (("first", 2), ("second", 1)):
        (tmp_path / "frames" / clip).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 6), (number, 0, 0)).save(
                tmp_path / "frames" / clip / f"{number}.png"
            )
    return tmp_path / "frames"


def test_the_list_has_the_built_in_sets_and_one_s_own(toolkit_cli: Cli, frames: Path) -> None:
    toolkit_cli("datasets", "add", "mine", "--images", frames, "--licence", "Ours [draft]")

    text = toolkit_cli("datasets", "list").stdout
    told = json.loads(toolkit_cli("datasets", "list", "--json").stdout)

    for word in ("hockey", "crowdpose", "lacrosse", "mine", "Ours [draft]"):
        assert word in text
    assert [d["name"] for d in told["datasets"]] == ["coco", "crowdpose", "hockey", "lacrosse"]
    assert [d["name"] for d in told["registered"]] == ["mine"]


def test_added_footage_is_shown_with_clips_licence_and_hash(
    toolkit_cli: Cli, frames: Path, registry: Path
) -> None:
    ended = toolkit_cli(
        "datasets", "add", "mine", "--images", frames, "--licence", "Ours", "--schema", "hockey"
    )

    assert ended.exit_code == 0
    assert ended.stdout.strip() == str(registry / "mine" / "annotations.json")
    told = json.loads(toolkit_cli("datasets", "show", "mine", "--json").stdout)
    assert told["clips"] == {"first": 2, "second": 1}
    assert (told["licence"], told["schema"], told["instances"]) == ("Ours", "hockey", 0)
    assert told["sha256"] == sha256_file(registry / "mine" / "annotations.json")
    assert "first: 2" in toolkit_cli("datasets", "show", "mine").stdout


def test_what_was_added_is_validated_with_its_images(
    toolkit_cli: Cli, frames: Path, registry: Path
) -> None:
    toolkit_cli(
        "datasets", "add", "mine", "--images", frames, "--licence", "Ours", "--schema", "hockey"
    )

    ended = toolkit_cli(
        "validate", registry / "mine" / "annotations.json", "--images", registry / "mine/images"
    )

    assert ended.exit_code == 0


def test_footage_without_a_licence_or_of_both_kinds_is_refused(
    toolkit_cli: Cli, frames: Path, registry: Path
) -> None:
    for arguments, words in (
        (("mine", "--images", frames), "Missing option '--licence'"),
        (("mine", "--licence", "x"), "either --images DIR or --video FILE"),
        (("hockey", "--images", frames, "--licence", "x"), "is a built-in data set"),
        (("../x", "--images", frames, "--licence", "x"), "wanted lower case letters"),
        (("mine", "--images", frames, "--licence", "x", "--every", "2"), "is for videos"),
        (
            ("mine", "--images", frames, "--licence", "x", "--schema", "none"),
            "no schema 'none'",
        ),
    ):
        ended = toolkit_cli("datasets", "add", *arguments)
        assert ended.exit_code == 2
        assert words in ended.stderr
    assert not registry.exists()


def test_a_damaged_video_ends_with_3_and_leaves_nothing(
    toolkit_cli: Cli, tmp_path: Path, registry: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypmp42")

    ended = toolkit_cli(
        "datasets", "add", "mine", "--video", tmp_path / "a.mp4", "--licence", "x"
    )

    assert ended.exit_code == 3
    assert "a.mp4: " in ended.stderr
    assert list(registry.iterdir()) == []


def test_a_name_that_nobody_knows_is_told_with_those_that_are(toolkit_cli: Cli) -> None:
    ended = toolkit_cli("datasets", "show", "nothing")

    assert ended.exit_code == 2
    assert "no data set 'nothing'; known: coco, crowdpose, hockey, lacrosse" in ended.stderr


def test_a_registry_that_cannot_be_made_is_told(
    toolkit_cli: Cli, frames: Path, registry: Path
) -> None:
    registry.parent.write_text("a file")

    ended = toolkit_cli("datasets", "add", "mine", "--images", frames, "--licence", "x")

    assert ended.exit_code == 5
    assert "set TOOLKIT_REGISTRY" in ended.stderr


def test_the_registry_follows_the_platform_s_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOOLKIT_REGISTRY")
    monkeypatch.setenv("XDG_DATA_HOME", "/data/home")
    assert places.registry_root() == Path("/data/home/extension-keypoints/datasets")

    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    assert places.registry_root() == Path("/home/ann/.local/share/extension-keypoints/datasets")
    assert catalog.registered_datasets() == ()


def test_a_broken_record_file_is_told(toolkit_cli: Cli, frames: Path, registry: Path) -> None:
    toolkit_cli("datasets", "add", "mine", "--images", frames, "--licence", "x")
    (registry / "mine" / "annotations.json").write_text("[1]")

    ended = toolkit_cli("datasets", "show", "mine")

    assert ended.exit_code == 3
    assert "cannot read what was registered" in ended.stderr


def test_the_official_validation_file_is_known_by_its_hash(
    toolkit_cli: Cli, shared_data: Path
) -> None:
    ended = toolkit_cli("datasets", "check", "crowdpose", shared_data / "crowdpose", "--json")

    told = json.loads(ended.stdout)
    assert ended.exit_code == 0
    assert [(f["name"], f["state"]) for f in told["files"]] == [
        ("crowdpose_val.json", "right"),
        ("crowdpose_train.json", "absent"),
        ("crowdpose_trainval.json", "absent"),
        ("crowdpose_test.json", "absent"),
    ]
    assert told["ask_at"] == "https://github.com/Jeff-sjtu/CrowdPose"


def test_other_bytes_under_a_known_name_and_missing_images_are_told(
    toolkit_cli: Cli, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    (given / "images").mkdir(parents=True)
    Image.new("RGB", (640, 360)).save(given / "images" / "a.jpg")
    document = {
        "images": [
            {"id": 1, "file_name": "a.jpg", "width": 640, "height": 360},
            {"id": 2, "file_name": "b.jpg", "width": 640, "height": 360},
        ],
        "annotations": [],
        "categories": [],
    }
    for name in ("crowdpose_val.json", "crowdpose_test.json"):
        (given / name).write_text(json.dumps(document))

    ended = toolkit_cli("datasets", "check", "crowdpose", given)

    assert ended.exit_code == 1
    assert "crowdpose_val.json: has another SHA-256 (2 images where 2,000" in ended.stdout
    assert "crowdpose_test.json: has 2 images where 8,000 are expected" in ended.stdout
    assert "image-missing: 1 image\n" in ended.stdout
    assert "'b.jpg' is not in" in ended.stdout
    assert "ask for what is absent at: https://github.com/Jeff-sjtu" in ended.stdout


def test_a_folder_with_nothing_of_the_set_is_not_right(
    toolkit_cli: Cli, tmp_path: Path
) -> None:
    assert toolkit_cli("datasets", "check", "crowdpose", tmp_path).exit_code == 1
    assert toolkit_cli("datasets", "check", "crowdpose", tmp_path / "none").exit_code == 3
    assert toolkit_cli("datasets", "check", "hockey", tmp_path).exit_code == 2


def test_the_sample_s_hash_is_compared_with_what_its_card_states(
    toolkit_cli: Cli, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = toolkit_cli("datasets", "show", "hockey").stdout
    shutil.copytree(root / "datasets" / "hockey", tmp_path / "sets" / "hockey")
    monkeypatch.setenv("TOOLKIT_DATASETS", str(tmp_path / "sets"))
    file = tmp_path / "sets" / "hockey" / "sample" / "annotations.json"
    stated = sha256_file(file)
    file.write_bytes(file.read_bytes().rstrip() + b" \n\n")

    altered = toolkit_cli("datasets", "show", "hockey").stdout
    told = json.loads(toolkit_cli("datasets", "show", "hockey", "--json").stdout)["sample"]

    assert "as its card states" in " ".join(whole.split())
    assert "not the sample that was shipped" in " ".join(altered.split())
    assert (told["sha256"], told["sha256_stated"]) == (sha256_file(file), stated)
    assert told["sha256"] != stated
