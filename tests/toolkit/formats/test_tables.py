"""Parquet and CSV: what pandas, polars and DuckDB see, and what of their edits comes back."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from toolkit import formats
from toolkit.errors import ReadError
from toolkit.formats.convert import convert
from toolkit.formats.csv_table import escaped, unescaped

Document = dict[str, Any]


@pytest.fixture
def table(document: Document, save: Callable[..., Path], tmp_path: Path) -> Path:
    """The document as Parquet."""
    convert(save(document), tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def home(path: Path) -> Document:
    """Convert a table back to COCO."""
    back = path.with_name("back.json")
    convert(path, back, force=True)
    loaded: Document = json.loads(back.read_text("utf-8"))
    return loaded


def test_all_three_readers_see_the_same_typed_columns(table: Path) -> None:
    rows = [(11, "a.jpg", 5.0, 1234.0, 30.5, 1), (12, "b.jpg", 1.0, 9.5, 3.0, 1)]
    names = ["annotation_id", "file_name", "bbox_x", "area", "middle_x", "middle_v"]

    frame = pd.read_parquet(table)
    assert list(frame[names].itertuples(index=False, name=None)) == rows
    assert pl.read_parquet(table).select(names).rows() == rows
    assert duckdb.sql(f"select {', '.join(names)} from '{table}'").fetchall() == rows
    # What is not labelled is missing, whatever the file says under visibility 0.
    assert pl.read_parquet(table)["top_x"].to_list() == [10.0, None]
    assert pl.read_parquet(table)["frame"].to_list() == [None, 4]
    assert json.loads(frame["record"][1])["mine"] == [1, {"x": 1.0}]


def test_an_untouched_table_comes_back_byte_for_byte(table: Path, tmp_path: Path) -> None:
    home(table)

    assert (tmp_path / "back.json").read_bytes() == (tmp_path / "file.json").read_bytes()


def test_rewriting_it_with_pandas_loses_nothing(table: Path, document: Document) -> None:
    pd.read_parquet(table).to_parquet(table.with_name("again.parquet"))

    assert home(table.with_name("again.parquet")) == document


def test_an_edited_cell_wins_over_the_record(table: Path, document: Document) -> None:
    frame = pd.read_parquet(table)
    frame.loc[0, "bbox_x"] = 6.5
    frame.loc[1, ["top_x", "top_y", "top_v"]] = [7.0, 8.0, 2]
    frame.loc[1, "area"] = None
    frame.loc[1, "clip"] = "c2"
    frame.to_parquet(table)

    found = home(table)

    document["annotations"][0]["bbox"][0] = 6.5
    document["annotations"][1]["keypoints"][:3] = [7, 8, 2]
    del document["annotations"][1]["area"]
    document["images"][1]["clip"] = "c2"
    assert found == document


def test_rows_can_go_and_come(table: Path, document: Document) -> None:
    frame = pd.read_parquet(table)
    new = frame.iloc[[1]].assign(record=None, annotation_id=40, image_id=9, file_name="c.jpg")
    pd.concat([frame.iloc[[1]], new]).to_parquet(table)

    found = home(table)

    assert [person["id"] for person in found["annotations"]] == [12, 40]
    assert found["annotations"][0] == document["annotations"][1]
    assert found["annotations"][1]["keypoints"] == [0, 0, 0, 3, 4, 1, 0, 0, 0]
    assert found["images"][:2] == document["images"]
    assert (found["images"][2]["id"], found["images"][2]["file_name"]) == (9, "c.jpg")


@pytest.mark.parametrize("writer", ["polars", "duckdb"])
def test_a_program_that_drops_the_metadata_is_told_and_the_records_stay(
    table: Path, document: Document, writer: str
) -> None:
    again = table.with_name("again.parquet")
    if writer == "polars":
        pl.read_parquet(table).write_parquet(again)
    else:
        duckdb.sql(f"copy (from '{table}') to '{again}' (format parquet)")

    findings = formats.scan(again).findings
    found = home(again)

    assert [f.rule for f in findings] == ["foreign-assumed"]
    assert "images without instances" in findings[0].message
    assert found["annotations"] == document["annotations"]
    assert found["categories"] == [
        {"id": 1, "name": "walker", "keypoints": ["top", "middle", "bottom"]}
    ]
    assert "info" not in found


def test_a_table_of_someone_elses_is_read(tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    pl.DataFrame(
        {
            "image_id": [1, 1],
            "file_name": ["a.jpg", "a.jpg"],
            "tip_x": [1.5, None],
            "tip_y": [2.5, 3.0],
            "tip_v": [2, 2],
        }
    ).write_parquet(path)

    scan = formats.scan(path)

    assert scan.errors[0].rule == "foreign-unusable"
    assert "row 1: column 'tip_x': got nothing; expected a number" in scan.errors[0].message
    assert scan.dataset.annotations.keypoints.tolist() == [[[1.5, 2.5]]]


def test_the_same_document_gives_the_same_bytes(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("one.parquet", "two.parquet"):
        convert(save(document), tmp_path / name)

    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_annotations_outside_the_schema_have_a_row_with_their_record(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    document["categories"].append({"id": 2, "name": "puck"})
    document["annotations"].insert(1, {"id": 5, "image_id": 7, "category_id": 2})
    convert(save(document), tmp_path / "table.parquet")

    assert pq.read_table(tmp_path / "table.parquet")["annotation_id"].to_pylist() == [
        11,
        None,
        12,
    ]
    assert home(tmp_path / "table.parquet") == document


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd()|'x'!A1", "'=cmd()|'x'!A1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("'=1", "''=1"),
        ("''", "'''"),
        ("'quoted", "'quoted"),
        ("'", "'"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_no_text_runs_as_a_formula_and_all_text_comes_back(text: str, cell: str) -> None:
    assert escaped(text) == cell
    assert unescaped(cell) == text


def test_hostile_names_survive_csv_without_being_formulas(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    document["images"][0]["file_name"] = '=HYPERLINK("http://x","a,b")'
    document["images"][1]["clip"] = "+c\n1"
    document["categories"][0] |= {"name": "@walker", "keypoints": ["=top", "mid", "low"]}
    document["annotations"][0]["keypoints"][0] = -10
    convert(save(document), tmp_path / "table.csv")

    with (tmp_path / "table.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    found = home(tmp_path / "table.csv")

    assert rows[0]["file_name"] == "'" + document["images"][0]["file_name"]
    assert (rows[0]["'=top_x"], rows[0]["category"]) == ("-10", "'@walker")
    assert [image["file_name"] for image in found["images"]] == [
        image["file_name"] for image in document["images"]
    ]
    assert found["images"][1]["clip"] == "+c\n1"
    assert found["categories"][0]["keypoints"] == ["=top", "mid", "low"]
    assert found["annotations"][0]["keypoints"] == document["annotations"][0]["keypoints"]


def test_two_keypoints_with_one_column_are_refused(
    document: Document, save: Callable[..., Path], tmp_path: Path, toolkit_cli: Any
) -> None:
    document["categories"][0]["keypoints"] = ["top", "bbox", "bottom"]

    done = toolkit_cli("convert", save(document), tmp_path / "a.csv")

    assert done.exit_code == 1
    assert "keypoint 'bbox' gives a column 'bbox_x' that is there already" in done.stderr


@pytest.mark.parametrize("name", ["\r=1", "a\rb", "a\nb", "a\r\nb", '"\r"'])
def test_a_cell_with_a_line_break_stays_one_cell_for_every_reader(
    document: Document, save: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    document["images"][0]["file_name"] = name
    target = tmp_path / "table.csv"
    convert(save(document), target)

    frames = (
        pd.read_csv(target, keep_default_na=False),
        pl.read_csv(target).to_pandas(),
        duckdb.sql(f"select * from read_csv('{target}', header=true)").df(),
    )
    for frame in frames:
        assert [unescaped(text) for text in frame["file_name"]] == [name, "b.jpg"]
    # A plain row stays as it was: only the row with the break is quoted.
    assert target.read_text("utf-8").splitlines()[-1].startswith("12,3,b.jpg,")
    assert home(target)["images"][0]["file_name"] == name


def test_csv_says_that_it_cannot_hold_nameless_things_whole_clips_and_long_integers(
    document: Document,
    save: Callable[..., Path],
    tmp_path: Path,
    toolkit_cli: Callable[..., Any],
) -> None:
    document["images"][0]["file_name"] = ""
    document["images"][1]["clip"] = 3
    document["categories"][0]["name"] = ""
    document["annotations"][0]["area"] = 2**60 + 1
    document["annotations"][1]["bbox"][2] = 2**60 + 1
    source = save(document)

    trip = toolkit_cli("roundtrip", source, "--via", "csv")
    done = toolkit_cli("convert", source, tmp_path / "out.csv", "--json")

    assert (trip.exit_code, done.exit_code) == (0, 0), trip.stdout + done.stderr
    assert "exactly what is declared" in trip.stdout
    lost = json.loads(done.stdout)["lost"]
    named = ("images", "categories", "images.clip", "annotations.area", "annotations.bbox")
    assert [lost[name] for name in named] == [1, 1, 1, 1, 1]


def test_new_rows_without_an_id_get_ones_that_nothing_else_has(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    ball = {"id": 13, "image_id": 7, "category_id": 2, "bbox": [1, 1, 1, 1]}
    document["annotations"].append(ball)  # of a category that is not in the arrays
    document["categories"].append({"id": 2, "name": "ball"})
    convert(save(document), tmp_path / "table.parquet")
    frame = pd.read_parquet(tmp_path / "table.parquet").astype({"annotation_id": "Int64"})
    new = frame.iloc[[0, 0]].assign(record=[None, ""])  # a spreadsheet's empty cell is a text
    new["annotation_id"] = pd.array([None, 14], dtype="Int64")
    pd.concat([frame, new]).to_parquet(tmp_path / "table.parquet")

    found = home(tmp_path / "table.parquet")["annotations"]

    assert sorted(person["id"] for person in found) == [11, 12, 13, 14, 15]


def test_a_nan_that_pandas_keeps_beside_the_table_does_not_hide_it(
    table: Path, document: Document
) -> None:
    frame = pd.read_parquet(table)
    frame.attrs["threshold"] = float("nan")
    frame.to_parquet(table)

    assert home(table) == document


@pytest.mark.parametrize(
    ("column", "value"),
    [("file_name", "other.jpg"), ("width", "99"), ("category", "runner")],
)
def test_csv_rows_that_disagree_about_their_image_or_category_are_told(
    document: Document, save: Callable[..., Path], tmp_path: Path, column: str, value: str
) -> None:
    document["annotations"][1]["image_id"] = 7
    convert(save(document), tmp_path / "t.csv")
    frame = pd.read_csv(tmp_path / "t.csv", dtype=str)
    frame.loc[1, column] = value
    frame.to_csv(tmp_path / "t.csv", index=False)

    errors = formats.scan(tmp_path / "t.csv").errors

    name = "name" if column == "category" else column
    assert len(errors) == 1
    assert f"line 3: gives '{name}' of" in errors[0].message
    assert "than an earlier row" in errors[0].message


def test_what_the_first_row_leaves_empty_of_an_image_a_later_row_fills(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    """And the third, which disagrees with the second, is told."""
    document["annotations"][1]["image_id"] = 7
    document["annotations"].append(document["annotations"][0] | {"id": 13})
    convert(save(document), tmp_path / "t.csv")
    frame = pd.read_csv(tmp_path / "t.csv", dtype=str)
    frame["clip"], frame["width"] = [None, "a", "b"], [None, "100", "100"]
    frame.to_csv(tmp_path / "t.csv", index=False)

    found = formats.scan(tmp_path / "t.csv")

    assert (found.dataset.images.clips[0], found.dataset.images.size_wh[0, 0]) == ("a", 100)
    assert [error.message for error in found.errors] == [
        "line 4: gives 'clip' of image 7 another value ('b') than an earlier row ('a'); make "
        "all its rows alike"
    ]


def test_a_new_row_that_contradicts_the_image_is_told_and_one_that_adds_to_it_is_taken(
    table: Path, document: Document
) -> None:
    frame = pd.read_parquet(table)
    adds = frame.iloc[[0]].assign(record=None, annotation_id=20, frame=3)
    against = frame.iloc[[0]].assign(record=None, annotation_id=21, width=1)
    pd.concat([frame, adds, against]).to_parquet(table)
    errors = formats.scan(table).errors
    pd.concat([frame, adds]).to_parquet(table)
    images = home(table)["images"]

    assert [error.message.partition(" than")[0] for error in errors] == [
        "row 3: gives 'width' of image 7 another value (1)"
    ]
    assert images[0] == document["images"][0] | {"frame": 3}


def test_new_rows_that_disagree_about_a_new_image_are_told(table: Path) -> None:
    frame = pd.read_parquet(table)
    new = frame.iloc[[0, 0]].assign(record=None, image_id=9, file_name="c.jpg")
    new["annotation_id"], new["clip"] = [20, 21], ["a", "b"]
    pd.concat([frame, new]).to_parquet(table)

    errors = formats.scan(table).errors

    assert [error.message.partition(" than")[0] for error in errors] == [
        "row 3: gives 'clip' of image 9 another value ('b')"
    ]


def test_without_the_metadata_rows_that_disagree_about_their_image_are_told(
    document: Document, save: Callable[..., Path], tmp_path: Path
) -> None:
    document["annotations"][1]["image_id"] = 7
    path = tmp_path / "table.parquet"
    convert(save(document), path)
    frame = pl.read_parquet(path).with_columns(pl.Series("clip", ["a", "b"]))
    frame.write_parquet(path)

    errors = formats.scan(path).errors

    assert [error.message.partition(" than")[0] for error in errors] == [
        "row 1: gives 'clip' of image 7 another value ('b')"
    ]


def test_an_infinite_id_is_a_finding(table: Path) -> None:
    frame = pd.read_parquet(table).astype({"annotation_id": float})
    frame.loc[0, "annotation_id"] = float("inf")
    frame.to_parquet(table)

    errors = formats.scan(table).errors

    assert "row 0: column 'annotation_id': got inf; expected a finite" in errors[0].message


@pytest.mark.parametrize("cell", ["--5", "²", "1_0", "9" * 5000])
def test_what_only_looks_like_a_whole_number_is_a_finding(tmp_path: Path, cell: str) -> None:
    text = f"annotation_id,image_id,tip_x,tip_y,tip_v\n\n{cell},1,1,1,2\n"
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    errors = formats.scan(tmp_path / "t.csv").errors

    assert errors[0].message.startswith("line 3: column 'annotation_id': got '")  # 2 is empty


def test_an_empty_line_before_the_header_is_passed_over(tmp_path: Path) -> None:
    text = "\nannotation_id,image_id,tip_x,tip_y,tip_v\n1,1,1,1,2\n1,1,1\n"
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    with pytest.raises(ReadError, match="line 4: 3 cells; the first line names 5"):
        formats.scan(tmp_path / "t.csv")


def test_csv_says_that_a_category_without_a_name_is_gone(
    document: Document, save: Callable[..., Path], toolkit_cli: Callable[..., Any]
) -> None:
    document["categories"][0]["name"] = ""

    trip = toolkit_cli("roundtrip", save(document), "--via", "csv", "--json")

    assert trip.exit_code == 0, trip.stderr
    changes = {change["field"]: change for change in json.loads(trip.stdout)["changes"]}
    assert changes["categories"]["records"] == changes["categories"]["declared"] == 1


def test_an_id_beyond_64_bits_with_a_sign_is_not_taken_for_another(tmp_path: Path) -> None:
    path = tmp_path / "theirs.parquet"
    ids = pl.Series("image_id", [2**63 + 5], dtype=pl.UInt64)
    pl.DataFrame([ids]).with_columns(tip_x=1.0, tip_y=1.0, tip_v=2).write_parquet(path)

    with pytest.raises(ReadError, match=r"theirs.parquet: column 'image_id': .*not in range"):
        formats.scan(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_that_no_record_has_a_place_for_are_told_and_refused_if_asked(
    tmp_path: Path, suffix: str, toolkit_cli: Callable[..., Any]
) -> None:
    frame = pd.DataFrame(
        {"annotation_id": [1], "image_id": [1], "team": ["red"], "toe_x": [1.0]}
    )
    frame = frame.assign(tip_x=1.0, tip_y=2.0, tip_v=2, file_name="a.jpg", width=9, height=9)
    path = tmp_path / f"theirs.{suffix}"
    frame.to_csv(path) if suffix == "csv" else frame.set_index("tip_v", drop=False).to_parquet(
        path
    )

    done = toolkit_cli("convert", path, tmp_path / "out.json")
    strict = toolkit_cli("convert", path, tmp_path / "strict.json", "--strict")

    assert "left out: columns: 'team', 'toe_x': not among a table's columns" in done.stderr
    assert (done.exit_code, "nothing changed" in done.stdout) == (0, False)
    assert (strict.exit_code, (tmp_path / "strict.json").exists()) == (1, False)
