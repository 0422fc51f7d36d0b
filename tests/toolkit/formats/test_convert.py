"""`toolkit convert` says what changes and what is lost, and refuses to lose it if asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import InvalidDataError, UsageError
from toolkit.formats.convert import convert
from toolkit.formats.roundtrip import roundtrip
from toolkit.schema import Keypoint, Schema

Document = dict[str, Any]
Save = Callable[..., Path]


@pytest.fixture
def crowd(document: Document) -> Document:
    """The document as CrowdPose would have it: crowdIndex, no area, a wrong skeleton."""
    for image in document["images"]:
        image["crowdIndex"] = 0.25
    for person in document["annotations"]:
        del person["area"]
    document["categories"][0]["skeleton"] = [[16, 14], [1, 2]]
    return document


def load(path: Path) -> Document:
    loaded: Document = json.loads(path.read_text("utf-8"))
    return loaded


def test_a_file_becomes_itself(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source, target = save(document), tmp_path / "out.json"

    done = toolkit_cli("convert", source, target, "--from", "coco", "--to", "coco", "--strict")

    assert done.exit_code == 0
    assert done.stdout == f"{target}: coco to coco, 2 images, 2 instances, nothing changed\n"
    assert target.read_bytes() == source.read_bytes()


def test_a_file_with_errors_is_copied_and_the_errors_are_counted(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    document["annotations"][0]["bbox"] = [1]
    source, target = save(document), tmp_path / "out.json"

    done = toolkit_cli("convert", source, target)

    assert done.exit_code == 0
    assert "file.json: 1 error, kept; see: toolkit validate" in done.stderr
    assert target.read_bytes() == source.read_bytes()


def test_a_file_with_errors_becomes_nothing_else(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    document["annotations"][0]["bbox"] = [1]
    target = tmp_path / "out.json"

    done = toolkit_cli("convert", save(document), target, "--to", "crowdpose")

    assert done.exit_code == 1
    assert "annotations[0] id=11 field 'bbox': got 1 numbers" in done.stderr
    assert not target.exists()


def test_crowdpose_has_no_place_for_area(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    document["annotations"][0]["segmentation"] = [[1, 2, 3, 4, 5, 6]]
    source, target = save(document), tmp_path / "out.json"

    refused = toolkit_cli("convert", source, target, "--to", "crowdpose", "--strict")

    assert refused.exit_code == 1
    assert (
        "file.json: format 'crowdpose' cannot hold all of it, and --strict was given; it "
        "would lose 'annotations.area' of 2 records, 'annotations.segmentation' of 1 record; "
        "nothing was written"
    ) in refused.stderr
    assert not target.exists()

    done = toolkit_cli("convert", source, target, "--to", "crowdpose", "--json")

    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["lost"] == {"annotations.area": 2, "annotations.segmentation": 1}
    assert report["changed"] == [
        "crowdIndex is missing for 2 images and is not invented; the crowd bands APE, APM "
        "and APH stay empty"
    ]
    for person in document["annotations"]:
        person.pop("area")
        person.pop("segmentation", None)
    assert load(target) == document


def test_coco_holds_all_of_crowdpose_but_wants_a_skeleton_and_an_area(
    crowd: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source, target = save(crowd), tmp_path / "out.json"

    done = toolkit_cli("convert", source, target, "--to", "coco", "--strict", "--json")

    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["from"], report["to"], report["lost"]) == ("crowdpose", "coco", {})
    assert len(report["changed"]) == 2
    crowd["categories"][0]["skeleton"] = [[1, 2]]
    assert load(target) == crowd


def test_ground_truth_becomes_perfect_results(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source, target = save(document), tmp_path / "out.json"

    assert toolkit_cli("convert", source, target, "--to", "results", "--strict").exit_code == 1
    done = toolkit_cli("convert", source, target, "--to", "results", "--json")

    lost = json.loads(done.stdout)["lost"]
    assert lost == {
        "info": 1,
        "ours": 1,
        "images": 2,
        "categories": 1,
        "annotations.num_keypoints": 2,
        "annotations.area": 2,
        "annotations.iscrowd": 2,
        "annotations.mine": 2,
        "annotations.keypoints": 2,
    }
    assert load(target)[1] == {
        "image_id": 3,
        "category_id": 1,
        "keypoints": [0, 0, 0, 3, 4, 1, 0, 0, 0],
        "score": 1,
        "bbox": [1, 2, 3, 4],
        "annotation_id": 12,
        "keypoint_scores": [0, 1, 0],
    }


def test_results_are_not_written_under_another_format_s_suffix(
    tmp_path: Path, write_json: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    source = write_json([{"image_id": 7, "category_id": 1, "keypoints": [1, 2, 1], "score": 1}])

    for name in ("p.csv", "p.parquet", "p.mat"):
        refused = toolkit_cli("convert", source, tmp_path / name)

        assert refused.exit_code == 2
        assert f"name '{name}' with .json, or say --to results" in refused.stderr
        assert not (tmp_path / name).exists()
    for name in ("p.json", "p.txt"):
        assert toolkit_cli("convert", source, tmp_path / name).exit_code == 0
    assert toolkit_cli("convert", source, tmp_path / "p.csv", "--to", "results").exit_code == 0


def test_results_become_results_and_nothing_else(
    save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source = save([{"image_id": 1, "score": 0.5, "keypoints": [1, 2, 0.50], "mine": None}])
    target = tmp_path / "out.json"

    refused = toolkit_cli("convert", source, target, "--to", "coco")
    done = toolkit_cli("convert", source, target)

    assert refused.exit_code == 2
    assert "results cannot become 'coco': they hold no images" in refused.stderr
    assert done.exit_code == 0
    assert target.read_bytes() == source.read_bytes()


def test_results_in_a_smaller_schema_tell_what_they_lose_and_keep_the_rest(
    save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    hockey, coco = Schema.load("hockey"), Schema.load("coco")
    points = [float(v) + 0.5 for k in range(hockey.num_keypoints) for v in (k, 2 * k, 0)]
    record = {"image_id": 1, "score": 0.5, "extra": {"a": [1]}, "keypoints": points}
    record |= {"keypoint_scores": points[2::3], "sigmas": points[0::3] * 2, "track": 4}
    source, target = save([record, record | {"score": 0.4}]), tmp_path / "out.json"
    change = ("--schema", "hockey", "--to-schema", "coco")

    refused = toolkit_cli("convert", source, target, *change, "--strict")
    assert (refused.exit_code, target.exists()) == (1, False)
    assert "schema 'coco' cannot hold all of it" in refused.stderr
    done = toolkit_cli("convert", source, target, *change, "--json")

    assert done.exit_code == 0, done.stderr
    left_out = [name for name in hockey.names if name not in coco.names]
    report = json.loads(done.stdout)
    assert report["lost"] == {f"keypoint {name}": 2 for name in left_out}
    assert "keypoints of schema 'hockey' became those of 'coco'" in report["changed"][0]
    written = load(target)[1]
    at = [hockey.index(name) for name in coco.names]
    assert (written["extra"], written["track"], written["score"]) == ({"a": [1]}, 4, 0.4)
    assert written["keypoints"] == [v for k in at for v in points[3 * k : 3 * k + 3]]
    assert written["keypoint_scores"] == [points[3 * k + 2] for k in at]


def test_detector_boxes_are_copied(
    shared_data: Path, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source = shared_data / "mmpose" / "coco" / "test_coco_det_AP_H_56.json"

    assert toolkit_cli("convert", source, tmp_path / "out.json").exit_code == 0
    assert (tmp_path / "out.json").read_bytes() == source.read_bytes()


def test_keypoints_go_to_another_schema_by_name(
    shared_data: Path, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source = shared_data / "mmpose" / "coco" / "test_coco.json"
    target = tmp_path / "out.json"

    strict = toolkit_cli("convert", source, target, "--to-schema", "lacrosse", "--strict")
    done = toolkit_cli("convert", source, target, "--to-schema", "lacrosse")

    assert strict.exit_code == 1
    assert "'keypoint nose' of" in strict.stderr
    assert done.exit_code == 0
    assert "not labelled: butt_end, stick_heel" in done.stderr
    old, new = load(source), load(target)
    assert new["categories"][0]["keypoints"][0] == "left_shoulder"
    before, after = old["annotations"][0]["keypoints"], new["annotations"][0]["keypoints"]
    assert after[:36] == before[15:51]  # the 12 body keypoints, in COCO's order
    assert after[36:] == [0] * 6


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--to", "voc"], 2, "'voc' is not one of"),
        (["--schema", "nope"], 2, "no schema 'nope'"),
        (["--schema", "coco"], 1, "category 'walker' names 3 keypoints; schema 'coco'"),
    ],
)
def test_wrong_options_are_told(
    document: Document,
    save: Save,
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
    options: list[str],
    exit_code: int,
    message: str,
) -> None:
    done = toolkit_cli("convert", save(document), tmp_path / "out.json", *options)

    assert done.exit_code == exit_code
    assert message in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_a_missing_source_is_told(tmp_path: Path, toolkit_cli: Callable[..., Any]) -> None:
    done = toolkit_cli("convert", tmp_path / "no.json", tmp_path / "out.json")

    assert done.exit_code == 3
    assert "no.json: cannot read: No such file" in done.stderr


def test_visibility_3_is_told_and_becomes_1_with_its_coordinates(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    document["annotations"][0]["keypoints"] = [10, 20, 3, 30.50, 40, 1, 50, 60.25, 3]
    source, target = save(document), tmp_path / "out.json"

    refused = toolkit_cli("convert", source, target, "--to", "coco", "--strict")
    done = toolkit_cli("convert", source, target, "--to", "coco", "--json")

    assert refused.exit_code == 1
    assert "would lose 'annotations.keypoints' of 1 record" in refused.stderr
    report = json.loads(done.stdout)
    assert (report["from"], report["lost"]) == ("cropcoco", {"annotations.keypoints": 1})
    assert report["changed"] == [
        "visibility 3 (outside the crop) of 2 keypoints became 1; their coordinates are as "
        "they were"
    ]
    document["annotations"][0]["keypoints"] = [10, 20, 1, 30.50, 40, 1, 50, 60.25, 1]
    assert load(target) == document


def test_coco_is_cropcoco_already(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source, target = save(document), tmp_path / "out.json"

    done = toolkit_cli("convert", source, target, "--to", "cropcoco", "--strict")

    assert done.exit_code == 0
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"), [("a.parquet", "parquet"), ("a.csv", "csv"), ("a.xml", "cvat")]
)
def test_the_targets_suffix_says_its_format(
    document: Document,
    save: Save,
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
    name: str,
    expected: str,
) -> None:
    done = toolkit_cli("convert", save(document), tmp_path / name, "--json")
    back = toolkit_cli("convert", tmp_path / name, tmp_path / "back.json", "--json")

    assert json.loads(done.stdout)["to"] == expected
    assert (json.loads(back.stdout)["from"], json.loads(back.stdout)["to"]) == (
        expected,
        "coco",
    )


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.xml", "a.mat", "folder"])
def test_a_foreign_file_is_copied_to_its_own_format(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any], name: str
) -> None:
    there, copy = tmp_path / name, tmp_path / f"copy-{name}"
    to = ["--to", "yolo"] if name == "folder" else []
    assert toolkit_cli("convert", save(document), there, *to).exit_code == 0

    done = toolkit_cli("convert", there, copy, "--strict")

    assert done.exit_code == 0, done.stderr
    files = [p for p in sorted(there.rglob("*")) if p.is_file()] or [there]
    for file in files:
        assert (copy / file.relative_to(there)).read_bytes() == file.read_bytes()


@pytest.mark.parametrize(
    ("name", "content", "exit_code", "message"),
    [
        ("a.txt", b"hello there", 3, "a.txt: no known format (tried: coco, crowdpose,"),
        ("a.bin", b"", 3, "a.bin: empty"),
        ("a.csv", b"a;b\n1;2\n", 3, "the first 'a;b'; save it with commas"),
        ("a.csv", b"image_id,p_x,p_y,p_v\n1,2\n", 3, "line 2: 2 cells; the first line names 4"),
        (
            "a.csv",
            b"image_id,p_x,p_y,p_v\n1,2,ha,2\n",
            1,
            "line 2: column 'p_y': got 'ha'; expected a number",
        ),
        ("a.csv", b"image_id,p_x,p_y,p_v,p_v\n", 3, "column 'p_v' stands twice"),
        ("a.parquet", b"PAR1 but no more", 3, "a.parquet: not a readable Parquet file"),
        ("a.xml", b"<annotations><image", 3, "a.xml"),
        ("a.mat", b"MATLAB 5.0 no", 3, "a.mat"),
    ],
)
def test_a_file_that_is_not_its_format_is_told(
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
    name: str,
    content: bytes,
    exit_code: int,
    message: str,
) -> None:
    (tmp_path / name).write_bytes(content)

    done = toolkit_cli("convert", tmp_path / name, tmp_path / "out.json", "--to", "coco")

    assert done.exit_code == exit_code
    assert message in done.stderr
    assert not (tmp_path / "out.json").exists()


def test_an_unknown_folder_is_told_with_what_was_tried(
    tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    done = toolkit_cli("convert", tmp_path, tmp_path / "out.json")

    assert done.exit_code == 3
    assert "is a folder; expected a JSON file or a folder of a known format (tried: yolo)" in (
        done.stderr
    )


def test_a_loss_names_the_sidecar_where_one_can_keep_it(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source, hint = save(document), "to keep what is lost in a file beside it: --sidecar"

    foreign = toolkit_cli("convert", source, tmp_path / "out.csv")
    ours = toolkit_cli("convert", source, tmp_path / "out.json", "--to", "crowdpose")

    assert hint in foreign.stderr
    assert "lost: " in ours.stderr
    assert hint not in ours.stderr


@pytest.mark.parametrize("name", ["yolo", "cvat", "csv", "mat", "parquet", "labelstudio"])
def test_integers_beyond_64_bits_come_home_from_every_format(
    document: Document, save: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    document["annotations"][0]["serial"] = 2**70
    document["annotations"][1]["mine"] = {"deep": [-(2**65)]}
    document["images"][1]["tick"] = 10**25
    source, there, back = save(document), tmp_path / "there", tmp_path / "back.json"
    keeps_all = name in ("parquet", "labelstudio")  # the others need the sidecar

    convert(source, there, target_format=name, sidecar=not keeps_all)
    convert(there, back, target_format="coco")

    found = json.loads(back.read_bytes())
    assert found["annotations"][0]["serial"] == 2**70
    assert found["annotations"][1]["mine"] == {"deep": [-(2**65)]}
    assert found["images"][1]["tick"] == 10**25


def test_an_integer_of_thousands_of_digits_is_refused_in_one_line(
    document: Document, save: Save, tmp_path: Path
) -> None:
    source = save(document)
    text = source.read_text("utf-8").replace('"blue"', "1" * 5000)
    source.write_text(text, "utf-8")

    with pytest.raises(
        InvalidDataError, match=r"images\[0\]: holds a number of thousands of digits"
    ):
        convert(source, tmp_path / "there", target_format="yolo", sidecar=True)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("name", ["csv", "yolo", "cvat", "labelstudio", "mat"])
def test_a_file_with_a_byte_order_mark_becomes_any_format_and_comes_back(
    name: str,
    document: Document,
    save: Save,
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    source = save(b"\xef\xbb\xbf" + json.dumps(document).encode())
    there, back = tmp_path / "there", tmp_path / "back.json"

    done = toolkit_cli("convert", source, there, "--to", name, "--sidecar")
    home = toolkit_cli("convert", there, back, "--from", name, "--to", "coco")
    trip = toolkit_cli("roundtrip", source, "--via", name)

    assert (done.exit_code, home.exit_code, trip.exit_code) == (0, 0, 0), done.stderr
    assert "note: begins with a UTF-8 byte order mark" in done.stderr
    assert back.read_bytes() == source.read_bytes()


def test_keypoints_that_the_other_schema_lacks_are_not_blamed_on_the_format(
    document: Document,
    save: Callable[..., Path],
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    arguments = ("convert", save(document), tmp_path / "out.json", "--to-schema", "crowdpose")

    strict, done = toolkit_cli(*arguments, "--strict"), toolkit_cli(*arguments)

    assert "format 'coco' with the keypoints of 'crowdpose' cannot hold" in strict.stderr
    assert "lost: keypoint top (2 records)" in done.stderr  # one with visibility 0
    assert "; schema 'crowdpose' has no place" in done.stderr
    assert "format 'coco' has no place" not in done.stderr


@pytest.fixture
def shorter() -> Schema:
    """The document's keypoints in another order, without its last one."""
    return Schema("shorter", "Shorter", (Keypoint("middle"), Keypoint("top")))


def test_a_wrong_num_keypoints_is_not_mended_by_another_schema(
    document: Document, save: Save, tmp_path: Path, shorter: Schema
) -> None:
    document["annotations"][0]["num_keypoints"] = 1  # three are labelled

    done = convert(save(document), tmp_path / "out.json", target_schema=shorter)

    written = load(tmp_path / "out.json")["annotations"]
    assert [person["num_keypoints"] for person in written] == [1, 1]
    assert done.changed[-1].startswith("num_keypoints of 1 annotation was not the number of")


def test_a_right_num_keypoints_is_that_of_the_new_schema(
    document: Document, save: Save, tmp_path: Path, shorter: Schema
) -> None:
    convert(save(document), tmp_path / "out.json", target_schema=shorter)

    written = load(tmp_path / "out.json")["annotations"]
    assert [person["num_keypoints"] for person in written] == [2, 1]


def test_coordinates_under_visibility_0_that_a_schema_has_no_place_for_are_lost_not_forgotten(
    document: Document, save: Save, tmp_path: Path
) -> None:
    # The second person's `top` has visibility 0 at (1.5, 2), the first one's is at (0, 0).
    document["annotations"][0]["keypoints"][:3] = [0, 0, 0]
    document["annotations"][0]["num_keypoints"] = 2
    source = save(document)
    without_top = Schema("legs", "Legs", (Keypoint("middle"), Keypoint("bottom")))

    done = convert(source, tmp_path / "out.json", target_schema=without_top)

    assert done.lost == {"keypoint top": 1}
    with pytest.raises(InvalidDataError, match="it would lose 'keypoint top' of 1 record"):
        convert(source, tmp_path / "no.json", target_schema=without_top, strict=True)
    assert not (tmp_path / "no.json").exists()


def test_keypoints_in_another_order_are_a_change_that_is_told(
    document: Document, save: Save, tmp_path: Path, toolkit_cli: Callable[..., Any]
) -> None:
    text = "name: turned\ntitle: T\nkeypoints: [{name: bottom}, {name: middle}, {name: top}]\n"
    schema, source = save(text, "turned.yaml"), save(document)

    done = toolkit_cli("convert", source, tmp_path / "out.json", "--to-schema", schema)

    told = "changed: keypoints and skeleton of schema 'walker' became those of 'turned'"
    assert told in done.stderr.replace("\n", " ")
    assert "nothing changed" not in done.stdout


def test_a_sidecar_of_results_is_refused_not_forgotten(save: Save, tmp_path: Path) -> None:
    results = save([{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 1], "score": 1}])

    with pytest.raises(UsageError, match="results only become results"):
        convert(results, tmp_path / "out.json", sidecar=True)


def test_links_in_a_folder_are_copied_as_links(
    document: Document, save: Save, tmp_path: Path
) -> None:
    folder, secret = tmp_path / "labels", tmp_path / "secret.txt"
    convert(save(document), folder, target_format="yolo")
    secret.write_text("of nobody's business")
    (folder / "note.txt").symlink_to(secret)
    (folder / "nowhere.txt").symlink_to(tmp_path / "missing")

    convert(folder, tmp_path / "copy", target_format="yolo")

    assert (tmp_path / "copy/note.txt").readlink() == secret
    assert (tmp_path / "copy/nowhere.txt").is_symlink()


def test_a_json_list_of_mpii_does_not_become_a_mat_by_its_name_alone(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    from PIL import Image

    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    people = [{"image": "a.png", "joints": [[1, 2]] * 16, "joints_vis": [1] * 16, "mine": 1}]
    source, target = tmp_path / "train.json", tmp_path / "train.mat"
    source.write_text(json.dumps(people), encoding="utf-8")

    done = convert(source, target)

    assert target.read_bytes().startswith(b"MATLAB 5.0")
    assert done.lost == {"annotations.mine": 1}


def test_only_the_skeleton_that_names_no_keypoints_is_replaced(
    crowd: Document, save: Save, tmp_path: Path
) -> None:
    own = crowd["categories"][0] | {"id": 9, "name": "referee", "skeleton": [[1, 3]]}
    crowd["categories"].append(own)
    source, target = save(crowd), tmp_path / "coco.json"

    convert(source, target, target_format="coco")
    trip = roundtrip(source, "coco")

    assert load(target)["categories"][0]["skeleton"] != [[16, 14], [1, 2]]
    assert load(target)["categories"][1] == own
    assert trip.measured == trip.declared == {"categories.skeleton": 1}
