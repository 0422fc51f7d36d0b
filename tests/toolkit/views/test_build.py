"""A view is whole, stays after a restart, and is never replaced in silence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from toolkit import formats
from toolkit.errors import InvalidDataError, OutputExistsError, UsageError
from toolkit.metrics import evaluate
from toolkit.split import SplitSettings, make_split, read_manifest
from toolkit.views.build import build, existing_view
from toolkit.views.gather import Sources, check_names, gather, recipe_of_sources

Build = Callable[..., object]
LOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")
from toolkit.views.engine import connect
view = connect(sys.argv[1]).load_dataset(sys.argv[2])
label = view.first().keypoints.keypoints[0]
print(json.dumps({
    "frames": len(view),
    "boxes": view.count("people.detections"),
    "keypoints": view.count("keypoints.keypoints"),
    "predicted": view.count("noisy.keypoints"),
    "labels": view.default_skeleton.labels,
    "edges": [list(edge) for edge in view.skeletons["keypoints"].edges],
    "saved": {name: [len(view.load_saved_view(name)),
                     view.load_saved_view(name).count("keypoints.keypoints")]
              for name in view.list_saved_views()},
    "shown": {name: [shown.values("keypoints.keypoints.annotation_id", unwind=True),
                     shown.values("noisy.keypoints.answers_for", unwind=True)]
              for name in view.list_saved_views() if "outside" in name or "by noisy" in name
              for shown in [view.load_saved_view(name)]},
    "clips": view.distinct("clip"),
    "splits": view.count_values("split"),
    "oks": view.values("keypoints.keypoints.noisy_oks", unwind=True),
    "pckh": view.values("people.detections.noisy_pckh", unwind=True),
    "ids": view.values("keypoints.keypoints.annotation_id", unwind=True),
    "groups": label.group,
    "point": label.points[19],
    "worst": view.load_saved_view("worst by noisy").first().worst_noisy_rank,
    "disagree": view.load_saved_view("annotators disagree")
                .values("keypoints.keypoints.annotation_id", unwind=True),
    "persistent": view.persistent,
}))
"""


@pytest.fixture
def noisy(clip: tuple[Path, Path], write_json: Callable[..., Path]) -> Path:
    """Predictions that are 3 px off, and 60 px off for the last person."""
    people = json.loads(clip[0].read_text("utf-8"))["annotations"]
    results = []
    for person in people:
        points = list(person["keypoints"])
        points[0::3] = [x + (60 if person is people[-1] else 3) for x in points[0::3]]
        points[2::3] = [0.9] * (len(points) // 3)
        results.append(
            {
                "image_id": person["image_id"],
                "category_id": 1,
                "keypoints": points,
                "score": 0.9,
                "annotation_id": person["id"],
            }
        )
    return write_json(results, "noisy.json")


def test_everything_is_there_after_a_restart_in_a_new_process(
    build_view: Build,
    clip: tuple[Path, Path],
    noisy: Path,
    database: str,
    root: Path,
    write_json: Callable[..., Path],
    tmp_path: Path,
) -> None:
    file, images = clip
    queue = write_json(
        [{"annotation_id": 40, "score": 0.7}, {"annotation_id": 7}], "queue.json"
    )
    splits = tmp_path / "splits"
    shares = {"train": 0.5, "val": 0.25, "test": 0.25}
    make_split(formats.read(file), SplitSettings(shares, 0)).write(splits)
    build_view(
        file, images, "restart", predictions={"noisy": noisy}, agreement=queue, ranking=queue,
        splits=splits, near_duplicates=True,
    )  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", LOOK, database, "restart"],
        capture_output=True, text=True, timeout=120, cwd=root,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    truth = formats.read(file)
    document = json.loads(file.read_text("utf-8"))
    assert (found["frames"], found["boxes"], found["keypoints"]) == (21, 83, 83)
    assert found["predicted"] == 83
    assert found["persistent"] is True
    assert found["labels"] == document["categories"][0]["keypoints"]
    assert [[a + 1, b + 1] for a, b in found["edges"]] == document["categories"][0]["skeleton"]
    assert found["clips"] == sorted({image["clip"] for image in document["images"]})
    manifest = read_manifest(splits)
    assert found["splits"] == {n: len(part.images) for n, part in manifest.parts.items()}
    assert found["groups"] == ["body"] * 17 + ["extension"] * 3
    assert found["point"] == [295.64 / 640, 212.42 / 360]
    outside = formats_outside(truth)
    assert found["saved"]["sticks outside the box"][1] == outside["sticks"]
    assert found["saved"]["keypoints outside the image"][1] == outside["image"]
    assert len(found["shown"]) == 3  # of each set of predictions the same people
    for of_people, of_predictions in found["shown"].values():
        assert 0 < len(of_people) < 83
        assert sorted(of_predictions) == sorted(of_people)
    assert found["saved"]["toe missing"] == [0, 0]
    assert found["saved"]["validator errors"] == [0, 0]
    assert found["saved"]["worst by noisy"][1] == 50
    assert found["saved"]["annotators disagree"][1] == 2
    assert found["saved"]["likely label errors"][1] == 2
    assert found["saved"]["near-duplicates"] == [0, 0]
    assert found["worst"] == 1
    assert found["disagree"] == [40, 7]
    # All keypoints of all but one person are 3 px off: Ap and PCKh are the evaluator's.
    measured = evaluate(truth, formats.read_predictions(noisy, truth.schema))
    counts = truth.annotations.labelled.sum(axis=1)
    mean = np.average(found["pckh"], weights=counts)
    assert mean == pytest.approx(measured.metrics["PCKh@0.5"])
    assert found["ids"][int(np.argmin(found["oks"]))] == 83


def formats_outside(truth: object) -> dict[str, int]:
    """People with a stick outside their box, and with any keypoint outside the image."""
    from toolkit.geometry import inside_box, inside_image

    people = truth.annotations
    sticks = ~inside_box(people.keypoints, people.bbox_xywh)[:, 17:] & people.labelled[:, 17:]
    image = ~inside_image(people.keypoints, truth.size_wh) & people.labelled
    return {"sticks": int(sticks.any(axis=1).sum()), "image": int(image.any(axis=1).sum())}


def test_missing_toes_and_validator_errors_are_found(
    build_view: Build, clip: tuple[Path, Path], write_json: Callable[..., Path]
) -> None:
    document = json.loads(clip[0].read_text("utf-8"))
    document["annotations"][4]["keypoints"][57:60] = [0, 0, 0]
    document["annotations"][4]["num_keypoints"] = 7
    view = build_view(write_json(document), clip[1])
    missing = view.load_saved_view("toe missing")
    assert missing.values("keypoints.keypoints.annotation_id", unwind=True) == [5]
    assert missing.values("people.detections.annotation_id", unwind=True) == [5]
    wrong = view.load_saved_view("validator errors")
    assert wrong.values("image_id") == [document["annotations"][4]["image_id"]]
    (tags,) = missing.values("people.detections.tags", unwind=True)[:1] or [None]
    assert tags is not None
    assert "worst_finding" in view.get_field_schema()


def test_the_same_files_are_opened_again_and_others_are_refused(
    build_view: Build, clip: tuple[Path, Path], noisy: Path
) -> None:
    build_view(*clip, name="again")
    same = recipe_of_sources(Sources(*clip, near_duplicates=False))
    found = existing_view("again", same, force=False)
    assert found is not None
    assert (found.frames, found.people, found.reused) == (21, 83, True)
    other = recipe_of_sources(Sources(*clip, {"noisy": noisy}, near_duplicates=False))
    with pytest.raises(OutputExistsError, match="made from other files"):
        existing_view("again", other, force=False)
    assert existing_view("again", other, force=True) is None


def test_edits_that_are_not_home_are_not_thrown_away(
    build_view: Build, clip: tuple[Path, Path]
) -> None:
    view = build_view(*clip, name="edited")
    sample = view.first()
    sample.tags.append("mine")
    sample.save()
    with pytest.raises(UsageError, match="holds edits that are not home yet"):
        existing_view("edited", {}, force=True)
    assert existing_view("edited", {}, force=True, discard=True) is None


def test_a_build_that_fails_leaves_the_old_data_set_and_nothing_else(
    build_view: Build, clip: tuple[Path, Path], fiftyone: ModuleType
) -> None:
    build_view(*clip, name="whole")
    gathered = gather(Sources(*clip, near_duplicates=False))

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    before = set(fiftyone.list_datasets())
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        build(
            gathered.content, "whole", clip[1], {"other": "recipe"},
            coco=gathered.coco, force=True, progress=interrupted,
        )  # fmt: skip
    assert set(fiftyone.list_datasets()) == before
    assert len(fiftyone.load_dataset("whole")) == 21


def test_missing_images_are_named_before_anything_is_built(
    clip: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(InvalidDataError, match="21 of 21 images are missing"):
        gather(Sources(clip[0], tmp_path))


def test_a_file_without_people_makes_an_empty_view(
    build_view: Build, write_json: Callable[..., Path], coco_document: dict, tmp_path: Path
) -> None:
    view = build_view(write_json({**coco_document, "images": [], "annotations": []}), tmp_path)
    assert len(view) == 0


def test_an_image_without_a_size_takes_the_pictures(
    build_view: Build,
    write_json: Callable[..., Path],
    coco_document: dict,
    grey_images: Callable[..., Path],
) -> None:
    for key in ("width", "height"):
        del coco_document["images"][0][key]
    view = build_view(write_json(coco_document), grey_images("seven.jpg", size=(200, 160)))
    assert view.first().people.detections[0].bounding_box == [0.05, 0.125, 0.08, 0.2]


def test_other_alphabets_live(
    build_view: Build,
    write_json: Callable[..., Path],
    coco_document: dict,
    grey_images: Callable[..., Path],
) -> None:
    coco_document["images"][0] |= {"file_name": "Ледовая арена №7 🏒.jpg", "clip": "клип"}
    folder = grey_images("Ледовая арена №7 🏒.jpg")
    view = build_view(write_json(coco_document), folder, "Арена 7")
    assert view.first().clip == "клип"
    assert Path(view.first().filepath).name == "Ледовая арена №7 🏒.jpg"


@pytest.mark.parametrize("name", ["keypoints", "a.b", "_x", "$x", "9", "frames", "a b"])
def test_a_model_cannot_have_the_name_of_a_field(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a field"):
        check_names([name])


def test_a_model_may_have_dashes_and_digits() -> None:
    check_names(["hrnet-w48_2", "ours"])
