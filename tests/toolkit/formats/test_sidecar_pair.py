"""A target and its sidecar stay a pair: copied together, and whatever a kill leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import UsageError
from toolkit.formats.convert import convert

Document = dict[str, Any]
Save = Callable[..., Path]
TARGETS = {"cvat": "there.xml", "yolo": "there", "csv": "there.csv", "parquet": "there.parquet"}


def home(there: Path) -> bytes:
    """Convert back; the bytes."""
    back = there.with_name("back.json")
    convert(there, back, target_format="coco", force=True)
    return back.read_bytes()


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do work in a process that is killed before its so-manieth rename or removal.

    Gives False where it ended before that.
    """
    pid = os.fork()
    if pid == 0:
        left = [step]

        def watch(event: str, _: tuple[object, ...]) -> None:
            if event in ("os.rename", "os.remove", "shutil.rmtree"):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def home_or_told(there: Path) -> bytes | None:
    """Convert back; None where the command refuses because a run was interrupted."""
    try:
        return home(there)
    except UsageError as error:
        told = str(error)
    assert "writing it was interrupted" in told
    return None


@pytest.mark.parametrize("with_sidecar", [True, False])
@pytest.mark.parametrize("name", TARGETS)
def test_a_kill_at_any_step_leaves_the_old_pair_or_the_new(
    document: Document, save: Save, tmp_path: Path, name: str, with_sidecar: bool
) -> None:
    old = save(document, "old.json")
    document["annotations"][0]["keypoints"][0] = 11
    document["annotations"][0]["mine"] = "new"
    new = save(document, "new.json")
    there = tmp_path / "work" / TARGETS[name]
    found, steps = set(), 0

    def replace() -> None:
        convert(new, there, target_format=name, sidecar=with_sidecar, force=True)

    was_killed = True
    while was_killed:
        shutil.rmtree(there.parent, ignore_errors=True)
        there.parent.mkdir()
        convert(old, there, target_format=name, sidecar=True)
        was_killed = killed_at(steps, replace)
        steps += 1
        text = home_or_told(there)
        found.add(text)
        if text is not None and text != old.read_bytes():
            assert json.loads(text)["annotations"][0]["keypoints"][0] == 11
            assert (text == new.read_bytes()) == (with_sidecar or name == "parquet")

    assert steps > 2
    # Without a sidecar of its own a killed run leaves one moment in which none can be told.
    assert found >= {old.read_bytes(), text}
    assert len(found) == (2 if with_sidecar else 3)
    assert old.read_bytes() in found
    leftovers = {path.name for path in there.parent.iterdir()} - {"back.json"}
    assert leftovers == {there.name} | (
        {f"{there.name}.sidecar.json"} if with_sidecar else set()
    )


def test_a_target_that_was_edited_after_a_kill_is_told(
    document: Document, save: Save, tmp_path: Path
) -> None:
    source, there = save(document), tmp_path / "there.xml"
    convert(source, there, sidecar=True)
    side = tmp_path / "there.xml.sidecar.json"
    shutil.copy(side, tmp_path / "there.xml.sidecar.json.new")
    text = there.read_text("utf-8")
    assert home(there) == source.read_bytes()

    there.write_text(text.replace("30.5,40", "31.5,40"), encoding="utf-8")
    with pytest.raises(
        UsageError, match=r"is not what there\.xml\.sidecar\.json\.new or there"
    ):
        home(there)
    (tmp_path / "there.xml.sidecar.json.new").unlink()
    assert home(there) == source.read_bytes().replace(b"30.5, 40", b"31.5, 40")


def test_a_sidecar_of_other_pictures_is_told_and_not_applied(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    there = tmp_path / "there.xml"
    convert(save(document), there, sidecar=True)
    for image in document["images"]:
        image["file_name"] = f"other-{image['file_name']}"
    convert(save(document, "other.json"), tmp_path / "other.xml")
    shutil.copy(tmp_path / "other.xml", there)

    done = toolkit_cli("convert", there, tmp_path / "back.json")

    assert done.exit_code == 2
    assert "there.xml: has none of the 2 pictures that its sidecar was written with" in (
        done.stderr
    )
    assert not (tmp_path / "back.json").exists()


@pytest.mark.parametrize("name", TARGETS)
def test_a_copy_takes_the_sidecar_along(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any], name: str
) -> None:
    source, there = save(document), tmp_path / TARGETS[name]
    copy = there.with_name(f"copy-{there.name}")
    convert(source, there, target_format=name, sidecar=True)

    done = toolkit_cli("convert", there, copy)
    again = toolkit_cli("convert", there, copy)

    assert done.exit_code == 0, done.stderr
    assert f"with its sidecar {copy.name}.sidecar.json" in done.stderr
    assert again.exit_code == 2
    shutil.rmtree(there, ignore_errors=True)
    assert home(copy) == source.read_bytes()


def test_a_sidecar_elsewhere_does_not_hide_an_old_one(
    document: Document, save: Save, tmp_path: Path
) -> None:
    source, there = save(document), tmp_path / "there.csv"
    convert(source, there, sidecar=True)
    there.unlink()
    elsewhere = tmp_path / "rest.json"

    with pytest.raises(UsageError, match=r"there.csv.sidecar.json: is in the way"):
        convert(source, there, sidecar=True, sidecar_file=elsewhere)
    convert(source, there, sidecar=True, sidecar_file=elsewhere, force=True)

    assert elsewhere.exists()
    assert not (tmp_path / "there.csv.sidecar.json").exists()


def test_the_yaml_of_a_yolo_folder_stands_for_the_folder(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source, there = save(document), tmp_path / "there"
    convert(source, there, target_format="yolo", sidecar=True)

    checked = toolkit_cli("validate", there / "data.yaml")
    back = toolkit_cli("convert", there / "data.yaml", tmp_path / "b.json", "--to", "coco")
    copied = toolkit_cli("convert", there / "data.yaml", tmp_path / "copy")

    assert checked.exit_code in (0, 1), checked.stderr
    assert (back.exit_code, copied.exit_code) == (0, 0), back.stderr + copied.stderr
    assert (tmp_path / "b.json").read_bytes() == source.read_bytes()
    assert (tmp_path / "copy/labels/train/a.txt").exists()
    assert home(tmp_path / "copy") == source.read_bytes()


def test_a_folder_is_not_copied_into_itself(
    document: Document, save: Save, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    convert(save(document), there, target_format="yolo")

    with pytest.raises(UsageError, match="lies in the input"):
        convert(there, there / "copy")
