"""The data set as a whole: bytes, counts, records, card, refusals."""

import json
from collections import Counter

import cv2
import numpy as np
import pytest

import toolkit.synth.render as render_module
from toolkit.errors import OutputExistsError, UsageError
from toolkit.schema import Schema
from toolkit.synth import GENERATOR_VERSION, SynthOptions, render_dataset


def _files(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_with_two_workers(hockey_folder, tmp_path):
    again = tmp_path / "again"

    render_dataset("hockey", again, 45, 5, workers=2)

    assert _files(again) == _files(hockey_folder)


def test_another_seed_gives_other_pictures_and_clip_names(hockey_document, tmp_path):
    render_dataset("hockey", tmp_path / "other", 3, 6, workers=1)

    other = json.loads((tmp_path / "other" / "annotations.json").read_text())
    clips = {image["clip"] for image in hockey_document["images"]}
    assert clips.isdisjoint(image["clip"] for image in other["images"])
    assert (
        other["annotations"][0]["keypoints"] != hockey_document["annotations"][0]["keypoints"]
    )


@pytest.mark.parametrize("count", [1, 7, 16])
def test_exactly_as_many_people_as_asked_for(tmp_path, count):
    summary = render_dataset("crowdpose", tmp_path / "set", count, 2, workers=1)

    document = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert summary.instances == len(document["annotations"]) == count
    assert {a["image_id"] for a in document["annotations"]} == {
        image["id"] for image in document["images"]
    }


def test_records_carry_ids_clips_frames_and_pictures_that_exist(hockey_document, hockey_folder):
    images, people = hockey_document["images"], hockey_document["annotations"]

    assert [image["id"] for image in images] == list(range(1, len(images) + 1))
    assert [person["id"] for person in people] == list(range(1, len(people) + 1))
    assert all(isinstance(i["clip"], str) and isinstance(i["frame"], int) for i in images)
    assert len({(image["clip"], image["frame"]) for image in images}) == len(images)
    assert max(Counter(image["clip"] for image in images).values()) <= 10
    picture = cv2.imread(str(hockey_folder / "images" / images[0]["file_name"]))
    assert picture.shape == (images[0]["height"], images[0]["width"], 3)
    assert picture.std() > 10
    assert hockey_document["categories"] == [Schema.load("hockey").coco_category()]


def test_visibility_is_never_zero_and_one_outside_the_picture(hockey_document):
    points = np.array([a["keypoints"] for a in hockey_document["annotations"]]).reshape(-1, 3)
    outside = (points[:, 0] < 0) | (points[:, 0] >= 640) | (points[:, 1] < 0)
    outside |= points[:, 1] >= 360

    assert set(np.unique(points[:, 2])) == {1, 2}
    assert outside.any()
    assert (points[outside, 2] == 1).all()


def test_body_keypoints_lie_in_the_box_and_the_face_in_the_head_box(hockey_document):
    names = hockey_document["categories"][0]["keypoints"]
    for person in hockey_document["annotations"]:
        points = np.array(person["keypoints"]).reshape(-1, 3)[:, :2]
        for box, chosen in (
            (person["bbox"], names[:17]),
            (person["head_box_xywh"], ["nose", "left_eye", "right_eye"]),
        ):
            inside = points[[names.index(name) for name in chosen]]
            low = np.array(box[:2]) - 0.02
            assert (inside >= low).all()
            assert (inside <= low + box[2:] + 0.04).all()


def test_area_is_smaller_than_the_box_and_counts_whole_pixels(hockey_document):
    for person in hockey_document["annotations"]:
        _, _, width, height = person["bbox"]
        assert isinstance(person["area"], int)
        assert 60 <= person["area"] < 0.8 * width * height
        assert person["iscrowd"] == 0
        assert person["num_keypoints"] == 20


def test_a_wider_box_padding_changes_the_boxes_and_nothing_else(hockey_document, tmp_path):
    render_dataset("hockey", tmp_path / "wide", 3, 5, SynthOptions(box_padding=0.1), workers=1)

    wide = json.loads((tmp_path / "wide" / "annotations.json").read_text())["annotations"][0]
    narrow = hockey_document["annotations"][0]
    size = max(narrow["bbox"][2:]) / 1.04  # 2 % were added on either side
    assert wide["bbox"][0] == pytest.approx(narrow["bbox"][0] - 0.08 * size, abs=0.02)
    assert wide["keypoints"] == narrow["keypoints"]


def test_every_crowd_band_holds_people_and_the_index_is_the_formula(tmp_path):
    render_dataset("crowdpose", tmp_path / "crowd", 260, 3, workers=1)

    document = json.loads((tmp_path / "crowd" / "annotations.json").read_text())
    people: dict[int, list[dict]] = {}
    for person in document["annotations"]:
        people.setdefault(person["image_id"], []).append(person)
    bands = [0, 0, 0]
    for image in document["images"]:
        index, here = image["crowdIndex"], people[image["id"]]
        bands[int(index >= 0.2) + int(index >= 0.8)] += len(here)
        shares = []
        for me in here:
            x, y, w, h = me["bbox"]
            inside = [
                sum(
                    x <= px <= x + w and y <= py <= y + h
                    for px, py in zip(o["keypoints"][::3], o["keypoints"][1::3], strict=True)
                )
                for o in here
            ]
            mine = inside[here.index(me)]
            shares.append((sum(inside) - mine) / mine)
        assert index == pytest.approx(np.mean(shares), abs=0.0051)
    # 26 of 260 are 200 of 2,000.
    assert min(bands) >= 26


def test_file_and_card_say_that_all_of_it_is_synthetic(hockey_document, hockey_folder):
    info = hockey_document["info"]
    card = (hockey_folder / "card.md").read_text(encoding="utf-8")

    assert info["synthetic"] is True
    assert info["generator_version"] == GENERATOR_VERSION
    assert (info["seed"], info["schema"], info["instances"]) == (5, "hockey", 45)
    assert "**All of it is synthetic.**" in card
    assert "synthetic: true" in card
    assert "licence: Apache-2.0" in card


def test_a_lacrosse_set_has_its_own_keypoints_and_stick_modes(tmp_path):
    render_dataset("lacrosse", tmp_path / "set", 20, 1, workers=1)

    document = json.loads((tmp_path / "set" / "annotations.json").read_text())
    assert all(len(a["keypoints"]) == 14 * 3 for a in document["annotations"])
    assert {a["stick_mode"] for a in document["annotations"]} <= {
        "cradle", "shot", "low", "one_hand", "across",
    }  # fmt: skip


def test_an_existing_folder_is_refused_and_with_force_replaced_whole(tmp_path):
    out = tmp_path / "set"
    out.mkdir()
    (out / "mine.txt").write_text("mine")

    with pytest.raises(OutputExistsError, match="pass --force"):
        render_dataset("hockey", out, 2, 1, workers=1)
    assert (out / "mine.txt").read_text() == "mine"

    with pytest.raises(UsageError, match=r"holds other things \(mine\.txt\)"):
        render_dataset("hockey", out, 2, 1, workers=1, force=True)
    assert (out / "mine.txt").read_text() == "mine"

    (out / "card.md").write_text("of an older set")
    render_dataset("hockey", out, 2, 1, workers=1, force=True)
    assert sorted(p.name for p in out.iterdir()) == ["annotations.json", "card.md", "images"]


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, UsageError("stop")], ids=["ctrl-c", "error"]
)
def test_an_interrupted_run_leaves_nothing_behind(tmp_path, error):
    def stop(done: int, total: int) -> None:
        raise error

    with pytest.raises((KeyboardInterrupt, UsageError), match=r"^(stop)?$"):
        render_dataset("hockey", tmp_path / "set", 40, 1, workers=1, progress=stop)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"instances": 0}, "option 'instances': got 0, wanted 1 or more"),
        ({"seed": -1}, "option 'seed': got -1"),
        ({"workers": 0}, "option 'workers': got 0"),
    ],
    ids=["instances", "seed", "workers"],
)
def test_numbers_out_of_range_are_refused_before_work(tmp_path, arguments, message):
    given = {"instances": 2, "seed": 1} | arguments

    with pytest.raises(UsageError, match=message):
        render_dataset("hockey", tmp_path / "set", **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"players": (4, 2)}, "option 'players': got '4-2'"),
        ({"occlusion": "some"}, "option 'occlusion': got 'some', wanted one of low, normal"),
        ({"blur": -1.0}, "option 'blur'"),
        ({"box_padding": 3.0}, "option 'box_padding'"),
    ],
    ids=["players", "occlusion", "blur", "padding"],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        SynthOptions(**options)


def test_a_schema_with_a_keypoint_that_the_figure_lacks_is_refused(tmp_path, tiny_schema):
    with pytest.raises(UsageError, match="keypoint 'foot' is not on the rendered figure"):
        render_module._check_keypoints(tiny_schema, "crowd")


def test_the_command_renders_and_reports_json(toolkit_cli, tmp_path):
    out = tmp_path / "set"

    result = toolkit_cli(
        "synth", "hockey", out, "--instances", 3, "--seed", 1, "--workers", 1,
        "--players", "2-3", "--json",
    )  # fmt: skip

    assert result.exit_code == 0
    assert json.loads(result.stdout)["instances"] == 3
    again = toolkit_cli("synth", "hockey", out, "--instances", 3, "--seed", 1)
    assert again.exit_code == 2
    assert "pass --force" in again.stderr


def test_the_command_names_known_schemas_when_it_meets_an_unknown_one(toolkit_cli, tmp_path):
    result = toolkit_cli("synth", "hokey", tmp_path / "set", "--instances", 3, "--seed", 1)

    assert result.exit_code == 2
    assert "hockey" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_a_player_range_it_cannot_read(toolkit_cli, tmp_path):
    result = toolkit_cli(
        "synth", "hockey", tmp_path / "a", "--instances", 3, "--seed", 1, "--players", "few"
    )

    assert result.exit_code == 2
    assert "wanted MIN-MAX" in result.stderr


def test_the_shipped_sample_is_what_this_generator_version_renders(root, tmp_path):
    shipped = json.loads((root / "datasets/hockey/sample/annotations.json").read_bytes())
    info = shipped["info"]
    assert info["generator_version"] == GENERATOR_VERSION

    render_dataset("hockey", tmp_path / "set", info["instances"], info["seed"], workers=1)

    fresh = json.loads((tmp_path / "set" / "annotations.json").read_bytes())
    assert fresh["images"] == shipped["images"]
    old, new = (
        np.array([a["keypoints"] for a in d["annotations"]]).reshape(-1, 3)
        for d in (shipped, fresh)
    )
    assert new[:, :2] == pytest.approx(old[:, :2], abs=0.02)
    assert np.mean(new[:, 2] == old[:, 2]) > 0.99
