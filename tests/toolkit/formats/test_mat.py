"""MPII's .mat, LSP's and LSPET's joints, and mmpose's JSON of MPII."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from toolkit.errors import InvalidDataError, ReadError, UnsafeInputError
from toolkit.formats.mat import MAT
from toolkit.formats.mat_read import LSP_NAMES, MPII_NAMES
from toolkit.schema import Schema

SCHEMA = Schema.load("coco")


def person(points: list[tuple[float, float, int, object]], **more: object) -> dict[str, Any]:
    fields = ("x", "y", "id", "is_visible")
    listed = [dict(zip(fields, point, strict=True)) for point in points]
    return {"annopoints": {"point": listed}, **more}


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Path]:
    """An MPII file of one image, with these people."""

    def build(people: object, **more: object) -> Path:
        path = tmp_path / "mpii.mat"
        entry = {"image": {"name": "a.jpg"}, "annorect": people}
        savemat(path, {"RELEASE": {"annolist": [entry, entry], "img_train": [1, 0], **more}})
        return path

    return build


def test_mpii_points_head_box_centre_and_scale_are_read(release: Callable[..., Path]) -> None:
    one = person(
        [(10, 20.5, 0, 1), (30, 40, 9, 0), (50, 60, 8, np.zeros((0, 0)))],
        x1=1, y1=2, x2=11, y2=22, scale=1.5, objpos={"x": 7, "y": 8.25},
    )  # fmt: skip
    document, findings = MAT.to_coco(release(one), None)
    first = document["annotations"][0]
    points = {
        name: first["keypoints"][3 * k : 3 * k + 3]
        for k, name in enumerate(MPII_NAMES)
        if first["keypoints"][3 * k + 2]
    }

    assert findings == []
    assert points == {
        "right_ankle": [10, 20.5, 2],
        "head_top": [30, 40, 1],  # is_visible 0: annotated, hidden
        "upper_neck": [50, 60, 2],  # nothing is said
    }
    assert first["num_keypoints"] == 3
    assert first["head_box_xywh"] == [1, 2, 10, 20]
    assert first["center"] == [7, 8.25]
    assert first["scale"] == 1.5
    assert [image["img_train"] for image in document["images"]] == [1, 0]


def test_mpii_flags_as_text_and_people_without_points(release: Callable[..., Path]) -> None:
    people = [person([(1, 2, 3, "0"), (3, 4, 4, "1")]), {"scale": 2.0}]
    document, _ = MAT.to_coco(release(people), None)
    first, second = document["annotations"][:2]

    assert first["keypoints"][9:15] == [1, 2, 1, 3, 4, 2]
    assert second["num_keypoints"] == 0


def test_mpii_points_that_cannot_be_used_are_told(release: Callable[..., Path]) -> None:
    bad = person([(1, 2, 16, 1), (np.nan, 2, 3, 1), (1, 2, 2, 1)])
    document, findings = MAT.to_coco(release(bad), None)

    assert document["annotations"][0]["num_keypoints"] == 1
    assert len(findings) == 4  # two points in each of two images
    assert "annolist(1).annorect(1): a point without numbers" in findings[0].message


def test_written_files_are_mpiis_and_carry_the_names(
    coco_document: dict[str, Any], tmp_path: Path
) -> None:
    from scipy.io import loadmat

    coco_document["annotations"][0]["keypoints"][2] = 1
    coco_document["annotations"][0]["keypoints"][5] = 0
    path = tmp_path / "a.mat"
    MAT.from_coco(coco_document, path, SCHEMA)
    found = loadmat(path, simplify_cells=True)["RELEASE"]
    rect = found["annolist"]["annorect"][0]
    points = rect["annopoints"]["point"]

    assert found["annolist"]["image"]["name"] == "seven.jpg"
    assert [p["id"] for p in points] == [0, *range(2, 17)]
    assert [p["is_visible"] for p in points][:2] == [0, 1]
    assert rect["objpos"] == {"x": 18, "y": 36}  # the box is [10, 20, 16, 32]
    assert rect["scale"] == pytest.approx(32 / 200)
    assert path.read_bytes()[:4] == b"MATL"
    assert b"Created on" not in path.read_bytes()[:116]
    assert MAT.to_coco(path, None)[0]["categories"][0]["keypoints"] == list(SCHEMA.names)


@pytest.mark.parametrize("name", ["", None, 5])
def test_an_image_without_a_name_cannot_be_written(
    coco_document: dict[str, Any], tmp_path: Path, name: object
) -> None:
    coco_document["images"][0]["file_name"] = name
    with pytest.raises(InvalidDataError, match=r"images\[0\] id=7 field 'file_name'"):
        MAT.from_coco(coco_document, tmp_path / "a.mat", SCHEMA)


def test_lsp_says_hidden_and_lspet_says_visible(tmp_path: Path) -> None:
    joints = np.zeros((3, 14, 2))
    joints[:, 0, 0], joints[:, 13, 1] = (5, 6, 1), (7, 8.5, 0)
    savemat(tmp_path / "lsp.mat", {"joints": joints})
    savemat(tmp_path / "lspet.mat", {"joints": joints.transpose(1, 0, 2)})
    lsp, told = MAT.to_coco(tmp_path / "lsp.mat", None)
    lspet, also = MAT.to_coco(tmp_path / "lspet.mat", None)

    assert lsp["categories"][0]["keypoints"] == list(LSP_NAMES)
    assert lsp["annotations"][0]["keypoints"][:3] == [5, 6, 1]
    assert lsp["annotations"][1]["keypoints"][-3:] == [7, 8.5, 2]
    assert lspet["annotations"][0]["keypoints"][:3] == [5, 6, 2]
    assert lspet["annotations"][1]["keypoints"][-3:] == [7, 8.5, 0]
    assert [i["file_name"] for i in lsp["images"]] == ["im0001.jpg", "im0002.jpg"]
    assert [i["file_name"] for i in lspet["images"]] == ["im00001.jpg", "im00002.jpg"]
    assert "third row says hidden" in told[0].message
    assert "third column says visible" in also[0].message


@pytest.mark.parametrize("shape", [(3, 3, 3), (14,), (2, 14, 5)])
def test_joints_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    savemat(tmp_path / "a.mat", {"joints": np.zeros(shape)})
    with pytest.raises(ReadError, match=r"'joints': shape .*expected 3x14xN"):
        MAT.to_coco(tmp_path / "a.mat", None)


def test_what_is_no_mat_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"other": [1]})
    with pytest.raises(ReadError, match=r"neither 'RELEASE' .* nor 'joints'"):
        MAT.to_coco(path, None)
    path.write_bytes(path.read_bytes()[:150])
    with pytest.raises(ReadError, match=r"a.mat: "):
        MAT.to_coco(path, None)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ReadError, match="HDF5"):
        MAT.to_coco(path, None)


def test_a_bomb_is_refused_before_it_unpacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.formats.mat_read._MAX_BYTES", 1 << 25)  # 2 GiB takes 20 s
    squeeze = zlib.compressobj(9)
    zeros = bytes(1 << 24)
    data = b"".join(squeeze.compress(zeros) for _ in range(3)) + squeeze.flush()
    path = tmp_path / "bomb.mat"
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path.write_bytes(header + struct.pack("<II", 15, len(data)) + data)
    with pytest.raises(UnsafeInputError, match="unpacks to more than 33,554,432 bytes"):
        MAT.to_coco(path, None)


def record(**changes: object) -> dict[str, object]:
    joints = [[float(k), k + 0.5] for k in range(16)]
    return {
        "joints": joints, "joints_vis": [1] * 15 + [0], "image": "../a.jpg",
        "center": [1.0, 2.0], "scale": 3.0,
    } | changes  # fmt: skip


def test_mmposes_json_is_read_and_file_names_are_never_followed(tmp_path: Path) -> None:
    path = tmp_path / "below" / "a.json"
    path.parent.mkdir()
    (tmp_path / "a.jpg").write_bytes(b"not to be opened")
    path.write_text(json.dumps([record(), record()]), encoding="utf-8")
    document, findings = MAT.to_coco(path, None)

    assert MAT.detect(path)
    assert findings == []
    assert document["images"] == [{"id": 1, "file_name": "../a.jpg"}]
    assert [a["id"] for a in document["annotations"]] == [1, 2]
    assert document["annotations"][0]["keypoints"][-6:] == [14, 14.5, 2, 15, 15.5, 0]
    assert document["annotations"][0]["center"] == [1, 2]


@pytest.mark.parametrize(
    "changes",
    [{"joints": None}, {"joints": [[1, 2]] * 15}, {"joints_vis": [2] * 16}, {"image": 3}],
)
def test_a_json_record_of_wrong_types_is_a_finding(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([record(), record(**changes), 7]), encoding="utf-8")
    document, findings = MAT.to_coco(path, None)

    assert len(document["annotations"]) == 1
    assert [f.message.split(":")[0] for f in findings] == ["[1]", "[2]"]


def test_the_real_json_has_sizes_from_the_pictures_beside_it(
    shared_data: Path, toolkit_cli: Callable[..., Any], tmp_path: Path
) -> None:
    path = shared_data / "mmpose" / "mpii" / "test_mpii.json"
    out, mat = tmp_path / "out.json", tmp_path / "out.mat"
    assert toolkit_cli("convert", path, out, "--to", "coco").exit_code == 0
    written = toolkit_cli("convert", path, mat, "--to", "mat")
    assert written.exit_code == 0
    assert "lost: annotations.keypoints (2 records)" in written.stdout + written.stderr
    document = json.loads(out.read_bytes())
    again, _ = MAT.to_coco(mat, None)

    assert [i["width"] for i in document["images"]] == [1280, 854, 1280, 1280, 1280]
    assert len(document["annotations"]) == 5
    for ours, theirs in zip(document["annotations"], again["annotations"], strict=True):
        points = np.reshape(ours["keypoints"], (-1, 3))
        points[points[:, 2] == 0] = 0  # -1, -1 there, which a .mat has no place for
        assert np.reshape(theirs["keypoints"], (-1, 3)).tolist() == points.tolist()
    report = json.loads(toolkit_cli("validate", path, "--json").stdout)
    assert report["counts"]["error"] > 0  # no area, no box: MPII has none
    assert "image-size-type" not in {finding["rule"] for finding in report["findings"]}
