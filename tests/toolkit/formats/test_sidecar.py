"""What a person changed in a foreign file, and nothing else, comes home."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import UsageError
from toolkit.formats.changes import find_changes
from toolkit.formats.convert import convert
from toolkit.formats.mat import MAT
from toolkit.formats.patch import patched_bytes
from toolkit.formats.sidecar import text_of
from toolkit.schema import Keypoint, Schema

Document = dict[str, Any]


@pytest.fixture
def there(document: Document, save: Callable[..., Path], tmp_path: Path) -> Path:
    """The document as CVAT's XML, with its sidecar."""
    convert(save(document), tmp_path / "there.xml", sidecar=True, strict=True)
    return tmp_path / "there.xml"


def home(there: Path) -> tuple[str, Document]:
    """Convert back; the text and the document."""
    back = there.with_name("back.json")
    convert(there, back, target_format="coco", force=True)
    text = back.read_text("utf-8")
    return text, json.loads(text)


def test_an_edited_coordinate_is_the_only_thing_that_changes(
    document: Document, there: Path
) -> None:
    text = there.read_text("utf-8")
    assert text.count("30.5,40") == 1
    there.write_text(text.replace("30.5,40", "31.5,40"), encoding="utf-8")

    _, found = home(there)

    document["annotations"][0]["keypoints"][3] = 31.5
    assert found == document


def test_a_changed_number_is_the_only_text_that_changes(there: Path, tmp_path: Path) -> None:
    before = (tmp_path / "file.json").read_text("utf-8")
    text = there.read_text("utf-8")
    there.write_text(text.replace("30.5,40", "31.5,40"), encoding="utf-8")

    after, _ = home(there)

    assert after == before.replace("30.5, 40", "31.5, 40")


def test_a_removed_image_goes_with_its_people(document: Document, there: Path) -> None:
    text = there.read_text("utf-8")
    there.write_text(re.sub(r'<image [^>]*name="b.jpg".*?</image>', "", text, flags=re.S))

    _, found = home(there)

    del document["images"][1], document["annotations"][1]
    assert found == document


def test_the_command_says_what_is_kept_and_where_the_rest_comes_from(
    document: Document,
    save: Callable[..., Path],
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    source, there, back = save(document), tmp_path / "a.csv", tmp_path / "back.json"

    done = toolkit_cli("convert", source, there, "--strict", "--sidecar")
    again = toolkit_cli("convert", there, back, "--to", "coco", "--json")

    assert "kept in a.csv.sidecar.json: annotations.mine (2 records)" in done.stderr
    assert json.loads(again.stdout)["restored_from"] == str(tmp_path / "a.csv.sidecar.json")
    assert back.read_bytes() == source.read_bytes()


def test_a_sidecar_elsewhere_is_named(
    document: Document,
    save: Callable[..., Path],
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    source, there, back = save(document), tmp_path / "a.csv", tmp_path / "back.json"
    side = tmp_path / "rest.json"

    assert toolkit_cli("convert", source, there, "--sidecar", side).exit_code == 0
    assert not (tmp_path / "a.csv.sidecar.json").exists()
    done = toolkit_cli("convert", there, back, "--to", "coco", "--sidecar", side)

    assert done.exit_code == 0, done.stderr
    assert back.read_bytes() == source.read_bytes()


def test_a_sidecar_is_the_same_for_the_same_file(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    source = save(document)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        convert(source, tmp_path / name / "a.xml", sidecar=True)

    one, two = (tmp_path / name / "a.xml.sidecar.json" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("content", "exit_code", "message"),
    [
        ("{", 3, "the file ends in the middle|no sidecar of 'toolkit convert --sidecar'"),
        ("{}", 3, "no sidecar of 'toolkit convert --sidecar'"),
        ('"toolkit_sidecar":9', 3, "a sidecar of version 9; this toolkit reads version 1"),
        ('"format":"yolo"', 2, "belongs to a file of format 'yolo', not 'cvat'"),
    ],
)
def test_a_wrong_sidecar_is_told(
    there: Path, toolkit_cli: Callable[..., Any], content: str, exit_code: int, message: str
) -> None:
    side = there.with_name("there.xml.sidecar.json")
    text = side.read_text("utf-8")
    key = content.split(":")[0]
    side.write_text(
        content if ":" not in content else re.sub(rf"{key}:[^,]+", content, text, count=1)
    )

    done = toolkit_cli("convert", there, there.with_name("back.json"), "--to", "coco")

    assert done.exit_code == exit_code
    assert re.search(message, done.stderr)


def test_a_stale_sidecar_is_never_left_beside_a_new_target(
    document: Document, save: Callable[..., Path], there: Path, toolkit_cli: Callable[..., Any]
) -> None:
    side = there.with_name("there.xml.sidecar.json")
    there.unlink()

    refused = toolkit_cli("convert", save(document), there)
    done = toolkit_cli("convert", save(document), there, "--force")

    assert refused.exit_code == 2
    assert "would be taken for the new target's" in refused.stderr
    assert done.exit_code == 0
    assert not side.exists()


def test_a_failed_write_leaves_the_old_target_and_its_sidecar(
    document: Document, save: Callable[..., Path], there: Path, toolkit_cli: Callable[..., Any]
) -> None:
    side = there.with_name("there.xml.sidecar.json")
    before = there.read_bytes(), side.read_bytes()
    document["images"][0] |= {"width": 0, "height": 0}  # CVAT needs sizes

    done = toolkit_cli("convert", save(document), there, "--force", "--sidecar")

    assert done.exit_code == 1
    assert "field 'width'" in done.stderr
    assert (there.read_bytes(), side.read_bytes()) == before


def test_a_sidecar_never_replaces_the_source(
    document: Document,
    save: Callable[..., Path],
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    source = save(document)

    done = toolkit_cli("convert", source, tmp_path / "a.csv", "--force", "--sidecar", source)

    assert done.exit_code == 2
    assert "the output is the input" in done.stderr
    assert json.loads(source.read_text("utf-8")) == document


def test_json_needs_no_sidecar(
    document: Document,
    save: Callable[..., Path],
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    done = toolkit_cli("convert", save(document), tmp_path / "b.json", "--sidecar")

    assert done.exit_code == 2
    assert "'coco' is COCO's JSON" in done.stderr


KEPT: Document = {
    "info": "ours",
    "images": [{"id": 5, "file_name": "a", "mine": 1}],
    "annotations": [
        {"id": 10, "image_id": 5, "category_id": 7, "keypoints": [1, 2, 0, 3, 4, 2], "area": 3},
        {"id": 20, "image_id": 5, "category_id": 7, "keypoints": [9, 8, 2, 3, 7, 2], "area": 4},
    ],
    "categories": [{"id": 7, "name": "p"}],
}
# Ids renumbered, coordinates of what is not labelled gone, as in many formats.
WRITTEN: Document = {
    "images": [{"id": 1, "file_name": "a"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [0, 0, 0, 3, 4, 2]},
        {"id": 2, "image_id": 1, "category_id": 1, "keypoints": [9, 8, 2, 3, 7, 2]},
    ],
    "categories": [{"id": 1, "name": "p"}],
}


def restore(kept: Document, written: Document, now: Document) -> Document:
    """The original with what changed between the last two, by way of its bytes."""
    text = text_of(Path("kept.json"), json.dumps(kept).encode())
    found: Document = json.loads(patched_bytes(text, find_changes(kept, written, now)))
    return found


def test_without_a_change_the_original_comes_back() -> None:
    assert restore(KEPT, WRITTEN, WRITTEN) == KEPT


def test_removing_one_person_does_not_shift_the_others() -> None:
    second = WRITTEN["annotations"][1] | {"id": 1, "keypoints": [9, 8, 2, 3, 7.5, 2]}

    found = restore(KEPT, WRITTEN, WRITTEN | {"annotations": [second]})

    expected = KEPT["annotations"][1] | {"keypoints": [9, 8, 2, 3, 7.5, 2]}
    assert found == KEPT | {"annotations": [expected]}


def test_a_keypoint_that_appears_is_taken_whole() -> None:
    first = WRITTEN["annotations"][0] | {"keypoints": [0, 6, 1, 3, 4, 2]}

    found = restore(
        KEPT, WRITTEN, WRITTEN | {"annotations": [first, WRITTEN["annotations"][1]]}
    )

    assert found["annotations"][0]["keypoints"] == [0, 6, 1, 3, 4, 2]


def test_a_new_person_in_a_new_image_gets_ids_that_fit_the_original() -> None:
    person = {"id": 3, "image_id": 2, "category_id": 1, "keypoints": [1, 1, 2, 2, 2, 2]}
    now = {
        "images": [*WRITTEN["images"], {"id": 2, "file_name": "b"}],
        "annotations": [*WRITTEN["annotations"], person],
        "categories": WRITTEN["categories"],
    }

    found = restore(KEPT, WRITTEN, now)

    assert found["images"][1] == {"id": 6, "file_name": "b"}
    assert found["annotations"][2] == person | {"id": 21, "image_id": 6, "category_id": 7}
    assert found["annotations"][:2] == KEPT["annotations"]


def test_people_of_two_images_with_one_name_stay_in_their_images(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    document["images"][1] |= {"file_name": "a.jpg", "width": 100, "height": 80}
    third = {"id": 13, "keypoints": [9, 9, 2, 8, 8, 2, 7, 7, 2]}
    document["annotations"].append(document["annotations"][0] | third)
    convert(save(document), tmp_path / "there.xml", sidecar=True)
    text = (tmp_path / "there.xml").read_text("utf-8")
    assert text.count("9,9") == 1
    (tmp_path / "there.xml").write_text(text.replace("9,9", "9,6"), encoding="utf-8")

    _, found = home(tmp_path / "there.xml")

    document["annotations"][2]["keypoints"][1] = 6
    assert found == document


def test_what_belongs_to_no_image_does_not_go_with_the_task_that_carried_it(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    there = tmp_path / "tasks.json"
    convert(save(document), there, target_format="labelstudio", sidecar=True)
    there.write_text(json.dumps(json.loads(there.read_text("utf-8"))[1:]), encoding="utf-8")

    _, found = home(there)

    gone = {"images": document["images"][1:], "annotations": document["annotations"][1:]}
    assert found == document | gone
    told = convert(there, tmp_path / "again.json", target_format="coco").changed
    assert told == (
        "2 values and records changed since tasks.json.sidecar.json (1 of images gone, 1 of "
        "annotations gone)",
    )


def numbered_from_1(document: Document) -> Document:
    """Three people of one image with the ids 1, 2 and 3, as a format would number them."""
    first = document["annotations"][0]
    document["annotations"] = [
        first
        | {"id": turn, "keypoints": [100 * turn + n for n in (1, 2)] + [2, *[9, 9, 1] * 2]}
        for turn in (1, 2, 3)
    ]
    for turn, person in enumerate(document["annotations"], 1):
        person |= {"mine": f"of {turn}", "bbox": [100 * turn, 0, 50, 50], "num_keypoints": 3}
    return document


@pytest.mark.parametrize("via", ["cvat", "yolo"])
def test_ids_that_count_from_1_by_chance_do_not_pair_people_when_one_is_removed(
    document: Document, save: Callable[..., Path], tmp_path: Path, via: str
) -> None:
    document, there = numbered_from_1(document), tmp_path / "there"
    convert(save(document), there, target_format=via, sidecar=True)
    if via == "cvat":
        text = there.read_text("utf-8")
        first, second = (m.start() for m in list(re.finditer("<skeleton ", text))[:2])
        there.write_text(text[:first] + text[second:], encoding="utf-8")
    else:
        labels = there / "labels/train/a.txt"
        labels.write_text("".join(labels.read_text().splitlines(keepends=True)[1:]))

    _, found = home(there)

    assert found["annotations"] == document["annotations"][1:]


def test_people_of_a_renamed_image_stay_the_same_people(
    document: Document, there: Path
) -> None:
    text = there.read_text("utf-8")
    there.write_text(text.replace('name="a.jpg"', 'name="renamed.jpg"'), encoding="utf-8")

    _, found = home(there)

    document["images"][0]["file_name"] = "renamed.jpg"
    assert found == document


def test_keypoints_that_another_schema_leaves_out_are_not_said_to_be_kept(
    document: Document,
    save: Callable[..., Path],
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    smaller, there = tmp_path / "smaller.yaml", tmp_path / "there.xml"
    names = document["categories"][0]["keypoints"]
    smaller.write_text(
        "name: smaller\ntitle: Smaller\nkeypoints:\n"
        + "".join(f"  - name: {name}\n" for name in names[:2])
    )
    asked = ("convert", save(document), there, "--sidecar", "--to-schema", smaller, "--json")

    refused = toolkit_cli(*asked, "--strict")
    assert refused.exit_code == 1
    assert f"it would lose 'keypoint {names[2]}' of 1 record" in refused.stderr
    assert not there.exists()

    said = json.loads(toolkit_cli(*asked).stdout)
    assert said["lost"] == {f"keypoint {names[2]}": 1}
    assert said["kept"]["annotations.mine"] == 2


def test_what_a_person_added_and_coco_has_no_place_for_is_told_on_the_way_home(
    there: Path, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    text, back = there.read_text("utf-8"), tmp_path / "back.json"
    drawn = '<polygon label="person" points="1,1;2,2;3,1"/></image>'
    there.write_text(text.replace("</image>", drawn, 1), encoding="utf-8")

    refused = toolkit_cli("convert", there, back, "--to", "coco", "--strict")
    done = toolkit_cli("convert", there, back, "--to", "coco")

    assert refused.exit_code == 1
    assert "1 <polygon>; only skeletons and boxes have a place here; --strict" in refused.stderr
    assert done.exit_code == 0
    assert "left out: image 1 'a.jpg': 1 <polygon>" in done.stderr


@pytest.mark.parametrize(("via", "name"), [("cvat", "there"), ("yolo", "there/rest.json")])
def test_a_sidecar_does_not_take_the_targets_place(
    document: Document, save: Callable[..., Path], tmp_path: Path, via: str, name: str
) -> None:
    source, there, beside = save(document), tmp_path / "there", tmp_path / name
    if via == "yolo":  # a folder that is replaced, and what lies in it with it
        convert(source, there, target_format=via)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(UsageError, match="would take the target's place"):
        convert(source, there, target_format=via, sidecar=True, sidecar_file=beside, force=True)

    assert sorted(tmp_path.rglob("*")) == before


def test_an_edited_mat_brings_no_category_of_its_own(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    schema = Schema("walker", "W", tuple(map(Keypoint, ("top", "middle", "bottom"))))
    there = tmp_path / "there.mat"  # which calls every category "person"
    convert(save(document), there, target_format="mat", sidecar=True)
    document["annotations"][0]["keypoints"][0] += 2
    there.unlink()
    MAT.from_coco(document, there, schema)  # as a person would leave it there

    _, found = home(there)

    assert found == document
