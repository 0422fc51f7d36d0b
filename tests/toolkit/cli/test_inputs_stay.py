"""No command replaces what it reads, by any of its options, and least of all with --force."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from toolkit.cli import cli

# Commands that make a folder, each with an output that is or holds an input.
FOLDERS = [
    "stats proj/annotations.json --out proj",
    "stats proj/annotations.json --out alias",
    "show proj/annotations.json --images proj/images --out proj/images",
    "show proj/annotations.json --images proj/images --out proj",
    "show elsewhere.json --images proj/images --out proj",
    "show elsewhere.json --images other --predictions proj/results.json --out proj",
    "convert proj/annotations.json proj --to yolo",
    "publish build proj --out proj",
    "publish build proj/images --out proj",
    "publish build other --previous proj/images --out proj",
    "publish extract proj/demo.tar proj",
    "benchmark --suite hockey --data proj/annotations.json --images other --out proj",
    "benchmark --suite hockey --data elsewhere.json --images proj/images --out proj",
    "benchmark --suite hockey --data elsewhere.json --predictions a=proj/results.json "
    "--out proj",
    "benchmark --suite hockey --models mine=proj/best.safetensors --out proj",
    "benchmark --suite ablations --runs proj/images --out proj",
    "benchmark --suite ablations --recipe proj/recipe.toml --out proj",
    "synth proj/schema.yaml proj --instances 1 --seed 1",
    "split proj/annotations.json --out proj",
    "split elsewhere.json --images proj/images --out proj",
    "split elsewhere.json --previous proj/images --out proj",
    "datasets add proj --licence own --images proj/images",
    "datasets add proj --licence own --images proj",
    "datasets add proj --licence own --video proj/clip.mp4",
]
# Commands that make a file, each with an output that is an input.
FILES = [
    "adopt hrnet-w32 proj/best.safetensors --out proj/best.safetensors",
    "agreement proj/annotations.json elsewhere.json --queue proj/annotations.json",
    "agreement elsewhere.json proj/annotations.json --schema proj/schema.yaml "
    "--consensus proj/schema.yaml",
    "calibrate proj/best.safetensors --data proj/annotations.json --images proj/images "
    "--plot proj/best.json",
    "convert proj/annotations.json proj/schema.yaml --schema proj/schema.yaml --to coco",
    "convert proj/annotations.json proj/schema.yaml --to-schema proj/schema.yaml --to coco",
    "crop proj/annotations.json --schema proj/page.svg --out proj/page.svg",
    "detect person-small --data proj/annotations.json --images proj/images "
    "--weights proj/best.safetensors --out proj/best.safetensors",
    "diff proj/annotations.json elsewhere.json --schema proj/schema.yaml "
    "--out proj/schema.yaml",
    "export proj/best.safetensors proj/link.onnx",
    "labelstudio config proj/schema.yaml --out proj/schema.yaml",
    "labelstudio pull --project p --settings proj/recipe.toml --out proj/recipe.toml",
    "merge elsewhere.json elsewhere.json proj/annotations.json --out proj/annotations.json",
    "predict hrnet-small --data proj/annotations.json --images proj/images "
    "--boxes proj/results.json --out proj/results.json",
    "predict proj/best.safetensors --data proj/annotations.json --images proj/images "
    "--out proj/best.safetensors",
    "rank proj/annotations.json proj/results.json --images proj/images --out proj/results.json",
    "schema infer proj/annotations.json --out proj/annotations.json",
    "sigmas elsewhere.json proj/annotations.json --schema proj/schema.yaml "
    "--out proj/schema.yaml",
    "validate proj/annotations.json --schema proj/schema.yaml --out proj/schema.yaml",
    "validate proj/annotations.json --baseline proj/results.json --out proj/results.json",
]
# They write nothing that exists: a data base, and a file whose inputs the data base holds.
OTHERS = {"view open", "view pull"}


@pytest.fixture
def place(
    tmp_path: Path,
    root: Path,
    coco_document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder `proj` of everything that a command may read, and copies elsewhere."""
    proj = tmp_path / "proj"
    (proj / "images").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (proj / "annotations.json").write_text(json.dumps(coco_document))
    (tmp_path / "elsewhere.json").write_text(json.dumps(coco_document))
    (proj / "results.json").write_text("[]")
    shutil.copy(root / "datasets" / "hockey" / "schema.yaml", proj / "schema.yaml")
    picture = next((root / "datasets" / "hockey" / "sample" / "images").rglob("*.jpg"))
    shutil.copy(picture, proj / "images" / "seven.jpg")
    for name in ("demo.tar", "best.safetensors", "best.json", "clip.mp4", "recipe.toml"):
        (proj / name).write_bytes(b"")
    (proj / "page.svg").write_bytes(b"")
    (proj / "link.onnx").symlink_to("best.safetensors")
    (tmp_path / "alias").symlink_to("proj")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOOLKIT_REGISTRY", str(tmp_path))
    return tmp_path


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("words", FOLDERS)
def test_a_folder_that_is_or_holds_an_input_is_not_replaced(
    place: Path, toolkit_cli: Callable[..., Any], words: str
) -> None:
    before = everything(place)

    ended = toolkit_cli(*words.split(), "--force")

    assert ended.exit_code == 2, ended.stderr
    assert "the output " in ended.stderr
    assert "input 'proj" in ended.stderr or "input 'other" in ended.stderr
    assert everything(place) == before


@pytest.mark.parametrize("words", FILES)
def test_a_file_that_is_an_input_is_not_replaced(
    place: Path, toolkit_cli: Callable[..., Any], words: str
) -> None:
    before = everything(place)

    ended = toolkit_cli(*words.split(), "--force")

    assert ended.exit_code == 2, ended.stderr
    assert "the output is the input 'proj/" in ended.stderr
    assert everything(place) == before


@pytest.mark.parametrize("option", ["--init", "--recipe"])
def test_a_new_run_does_not_write_over_what_it_starts_from(
    place: Path, toolkit_cli: Callable[..., Any], option: str
) -> None:
    given = "best.safetensors" if option == "--init" else "recipe.json"
    (place / "proj" / "recipe.json").write_text("{}")
    before = everything(place)

    words = f"train hrnet-small --data proj/annotations.json --images proj/images {option}"
    ended = toolkit_cli(*words.split(), f"proj/{given}", "--out", "proj")

    assert ended.exit_code == 2
    assert f"the output is the input 'proj/{given}'" in ended.stderr
    assert everything(place) == before


def commands(command: click.Command, *path: str) -> Iterator[str]:
    """Names of all commands that can replace something."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, *path, name)
    elif any(option.name == "force" for option in command.params):
        yield " ".join(path).replace("split make", "split")


def test_every_command_that_can_replace_something_is_here() -> None:
    here = FOLDERS + FILES

    for name in set(commands(cli)) - OTHERS:
        assert any(f"{words} ".startswith(f"{name} ") for words in here), name
