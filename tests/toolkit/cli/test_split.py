"""`toolkit split` and `toolkit split verify`: output, exit codes, refusals."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.schema import Schema

Run = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Twenty clips of one image; the poses are all different."""
    images, people = [], []
    for i in range(20):
        name = {"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100}
        images.append({**name, "clip": f"clip {i}"})
        points = [v for k in range(17) for v in (5 + (k * (i + 3)) % 37, 20 + 3 * k, 2)]
        person = {"id": i, "image_id": i, "category_id": 1, "keypoints": points}
        extra = {"num_keypoints": 17, "bbox": [5, 20, 37, 50], "area": 1850, "iscrowd": 0}
        people.append({**person, **extra})
    document = {
        "images": images,
        "annotations": people,
        "categories": [Schema.load("coco").coco_category()],
    }
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(document))
    return path


def test_split_writes_the_files_and_verify_finds_nothing(
    toolkit_cli: Run, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "splits"

    made = toolkit_cli("split", file, "--out", out, "--seed", 3)
    clean = toolkit_cli("split", "verify", out)

    assert made.exit_code == 0
    names = ["manifest.json", "test.json", "train.json", "val.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert "80.0 %" in made.stdout
    assert clean.exit_code == 0
    assert "no leak; compared train and val" in clean.stdout
    assert "pass --images DIR" in clean.stderr


def test_the_same_call_gives_the_same_bytes(
    toolkit_cli: Run, file: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        assert toolkit_cli("split", file, "--out", tmp_path / name).exit_code == 0

    for name in (path.name for path in (tmp_path / "a").iterdir()):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_json_is_one_document(toolkit_cli: Run, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "splits"

    made = json.loads(toolkit_cli("split", "--json", file, "--out", out).stdout)
    checked = json.loads(toolkit_cli("split", "verify", out, "--json").stdout)

    assert made["group"] == "clip"
    assert {n: s["images"] for n, s in made["splits"].items()} == {
        "train": 16,
        "val": 2,
        "test": 2,
    }
    assert checked["ok"] is True
    assert checked["total"] == 0
    assert checked["compared"] == [["train", "val"], ["train", "test"], ["val", "test"]]


def test_a_leak_ends_with_one_and_names_both_records(
    toolkit_cli: Run, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "splits"
    toolkit_cli("split", file, "--out", out)
    test, train = (json.loads((out / f"{n}.json").read_text()) for n in ("test", "train"))
    stolen = train["annotations"][0]
    home = test["images"][0]["id"]
    test["annotations"].append({**stolen, "id": 777, "image_id": home})
    (out / "test.json").write_text(json.dumps(test))

    result = toolkit_cli("split", "verify", out)

    assert result.exit_code == 1
    assert "altered: test.json: SHA-256" in result.stdout
    assert f"annotations {stolen['id']} and 777 have one pose" in result.stdout
    assert f"train: image id={stolen['image_id']} " in result.stdout
    assert f"test: image id={home} " in result.stdout


def test_a_file_named_verify_is_written_with_a_dot(
    toolkit_cli: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file.rename("verify")

    assert toolkit_cli("split", "./verify", "--out", "splits").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--fractions", "train=0.8"], 2, "add up to 0.8; wanted 1"),
        (["--fractions", "train"], 2, "wanted NAME=SHARE"),
        (["--group", "game"], 2, "none of 20 images has 'game'"),
        (["--group", "file_name:("], 2, "no regular expression"),
        (["--group", "file_name:abc"], 2, "has no parenthesis"),
        (["--break"], 2, "needs --previous"),
        (["--previous", "nowhere"], 3, "no manifest.json"),
        (["--images", "nowhere"], 3, "nowhere: no such folder; name the folder of the images"),
    ],
)
def test_refusals_say_what_to_do(
    toolkit_cli: Run, file: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = toolkit_cli("split", file, "--out", tmp_path / "splits", *arguments)

    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "splits").exists()


def test_a_missing_folder_of_the_other_data_sets_images_names_its_own_option(
    toolkit_cli: Run, file: Path, tmp_path: Path
) -> None:
    toolkit_cli("split", file, "--out", tmp_path / "splits")

    arguments = ("--against", file, "--against-images", tmp_path / "nowhere")
    result = toolkit_cli("split", "verify", tmp_path / "splits", *arguments)

    assert result.exit_code == 3
    assert "nowhere: no such folder; name the folder of the images with --against-images" in (
        result.stderr
    )


def test_the_folder_of_the_input_is_never_the_output(
    toolkit_cli: Run, file: Path, tmp_path: Path
) -> None:
    result = toolkit_cli("split", file, "--out", tmp_path, "--force")

    assert result.exit_code == 2
    assert file.exists()


def test_an_output_that_exists_is_kept_without_force(
    toolkit_cli: Run, file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "splits"
    toolkit_cli("split", file, "--out", out)

    again = toolkit_cli("split", file, "--out", out, "--seed", 5)
    forced = toolkit_cli("split", file, "--out", out, "--seed", 5, "--force")

    assert again.exit_code == 2
    assert "--force" in again.stderr
    assert forced.exit_code == 0


def test_a_missing_file_is_exit_three(toolkit_cli: Run, tmp_path: Path) -> None:
    result = toolkit_cli("split", tmp_path / "no.json", "--out", tmp_path / "splits")

    assert result.exit_code == 3


def test_an_input_whose_name_is_no_utf8_is_split(
    toolkit_cli: Run, file: Path, tmp_path: Path
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.json"))
    odd.write_bytes(file.read_bytes())

    made = toolkit_cli("split", odd, "--out", tmp_path / "s")

    assert made.exit_code == 0, made.stderr
    manifest = json.loads((tmp_path / "s" / "manifest.json").read_text("utf-8"))
    assert os.fsencode(manifest["source"]["file"]) == b"bad\xff.json"
    assert toolkit_cli("split", "verify", tmp_path / "s").exit_code == 0


@pytest.mark.parametrize(
    ("command", "usage"),
    [("split", "Usage: toolkit split FILE --out DIR"), ("view", "Usage: toolkit view FILE")],
)
def test_help_shows_the_call_with_a_file(toolkit_cli: Run, command: str, usage: str) -> None:
    told = toolkit_cli(command, "--help").stdout

    assert told.startswith(usage)
    assert "make --help" in told or "open --help" in told
    assert "Example: toolkit" in told
