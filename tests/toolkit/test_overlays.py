"""`toolkit show`: files written, missing images listed, names refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (100, 80), (90, 120, 90)).save(folder / "seven.jpg")
    return folder


def test_show_writes_one_overlay_an_image_and_a_page_without_network(
    toolkit_cli: Callable[..., Any],
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
) -> None:
    file = write_json(coco_document)

    result = toolkit_cli(
        "show", file, "--images", pictures, "--out", tmp_path / "out", "--json"
    )

    assert result.exit_code == 0
    (overlay,) = json.loads(result.stdout)["overlays"]
    assert overlay["file_name"] == "7_seven.jpg"
    assert (overlay["people"], overlay["outside_box"]) == (2, 0)
    with Image.open(tmp_path / "out" / "7_seven.jpg") as drawn:
        assert drawn.width == 800  # 100 px, enlarged eight times
    page = (tmp_path / "out" / "index.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "http" not in page.replace("http-equiv", "")


def test_people_and_images_of_one_id_have_a_picture_each(
    toolkit_cli: Callable[..., Any],
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
) -> None:
    coco_document["annotations"][1]["id"] = 1
    folder = tmp_path / "out"
    given = ("show", write_json(coco_document), "--images", pictures, "--out", folder)

    result = toolkit_cli(*given, "--by", "person", "--json")

    names = [overlay["file_name"] for overlay in json.loads(result.stdout)["overlays"]]
    assert names == ["7_seven_1.jpg", "7_seven_1-2.jpg"]
    first, second = ((folder / name).read_bytes() for name in names)
    assert first != second


def test_show_twice_gives_the_same_bytes_and_does_not_overwrite(
    toolkit_cli: Callable[..., Any],
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
) -> None:
    file = write_json(coco_document)
    for name in ("a", "b"):
        assert (
            toolkit_cli("show", file, "--images", pictures, "--out", tmp_path / name).exit_code
            == 0
        )

    again = toolkit_cli("show", file, "--images", pictures, "--out", tmp_path / "a")

    for name in ("7_seven.jpg", "index.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert again.exit_code == 2
    assert "--force" in again.stderr


def test_all_missing_images_are_listed_and_nothing_is_written(
    toolkit_cli: Callable[..., Any],
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
) -> None:
    coco_document["images"] = [
        {"id": key, "file_name": f"{key}.jpg", "width": 100, "height": 80} for key in (7, 8, 9)
    ]
    coco_document["annotations"][1]["image_id"] = 9

    result = toolkit_cli(
        "show", write_json(coco_document), "--images", pictures, "--out", tmp_path / "out"
    )

    assert result.exit_code == 1
    assert "'7.jpg' (image id=7), '9.jpg' (image id=9)" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_name_that_leaves_the_folder_ends_with_4(
    toolkit_cli: Callable[..., Any],
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
) -> None:
    coco_document["images"][0]["file_name"] = "../pictures/seven.jpg"

    result = toolkit_cli(
        "show", write_json(coco_document), "--images", pictures, "--out", tmp_path / "out"
    )

    assert result.exit_code == 4
    assert "id=7" in result.stderr


def test_names_are_escaped_in_the_page_and_tamed_in_the_file_name(
    toolkit_cli: Callable[..., Any],
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
) -> None:
    (pictures / "seven.jpg").rename(pictures / "<b>&.jpg")
    coco_document["images"][0]["file_name"] = "<b>&.jpg"

    result = toolkit_cli(
        "show", write_json(coco_document), "--images", pictures, "--out", tmp_path / "out"
    )

    assert result.exit_code == 0
    assert (tmp_path / "out" / "7_b.jpg").is_file()
    page = (tmp_path / "out" / "index.html").read_text()
    assert "&lt;b&gt;&amp;.jpg" in page
    assert "<b>&.jpg" not in page


def test_show_runs_on_real_images_with_predictions(
    toolkit_cli: Callable[..., Any], shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "mmpose" / "coco"
    truth = json.loads((folder / "test_coco.json").read_text())
    rng = np.random.default_rng(0)
    records = []
    for person in truth["annotations"]:
        points = np.array(person["keypoints"], dtype=float).reshape(17, 3)
        points[:, :2] += rng.normal(0, 5, (17, 2))
        points[:, 2] = 1
        record = {"image_id": person["image_id"], "category_id": 1, "score": 1.0}
        records.append(record | {"keypoints": points.ravel().tolist()})
    (tmp_path / "p.json").write_text(json.dumps(records))

    result = toolkit_cli(
        "show",
        folder / "test_coco.json",
        "--images",
        folder,
        "--out",
        tmp_path / "out",
        "--predictions",
        tmp_path / "p.json",
        "--limit",
        3,
        "--json",
    )

    overlays = json.loads(result.stdout)["overlays"]
    assert len(overlays) == 3
    assert all(item["predicted"] == item["people"] > 0 for item in overlays)
    assert all((tmp_path / "out" / item["file_name"]).is_file() for item in overlays)


def test_a_damaged_image_is_named_and_the_others_go_on(
    toolkit_cli: Callable[..., Any],
    coco_document: dict[str, Any],
    write_json: Callable[..., Path],
    pictures: Path,
    tmp_path: Path,
) -> None:
    (pictures / "eight.jpg").write_bytes((pictures / "seven.jpg").read_bytes()[:300])
    coco_document["images"].append(
        {"id": 8, "file_name": "eight.jpg", "width": 100, "height": 80}
    )
    coco_document["annotations"][1]["image_id"] = 8

    result = toolkit_cli(
        "show", write_json(coco_document), "--images", pictures, "--out", tmp_path / "out"
    )

    assert result.exit_code == 1
    assert "eight.jpg" in result.stderr
    assert (tmp_path / "out" / "7_seven.jpg").is_file()
