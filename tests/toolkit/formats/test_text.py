"""Bytes that are no JSON in UTF-8 are refused, and the message says where."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ReadError, ResourceError
from toolkit.formats import scan
from toolkit.formats.text import check_memory, load_text

Save = Callable[..., Path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"file\.json: empty; expected a JSON document"),
        (b" \r\n\t", r"file\.json: empty"),
        (gzip.compress(b"{}"), r"file\.json: gzip data \(it begins with 1f 8b\), not JSON"),
        (b"PK\x03\x04rest", r"file\.json: zip data"),
        (b"\xfd7zXZ\x00", r"file\.json: xz data"),
        ('{"a": 1}'.encode("utf-16"), "byte 0: UTF-16 or UTF-32"),
        ('{"a": 1}'.encode("utf-16-be"), "byte 0: UTF-16 or UTF-32"),
        (b'{"a": "\xe9"}', r"byte 7 \(line 1, column 8\): byte 0xe9 is not UTF-8"),
        (b'{\n"a": "\xc3"}', r"byte 8 \(line 2, column 7\): byte 0xc3 is not UTF-8"),
        (b'{"a": [1, 2}', r"byte 11 \(line 1, column 12\): not JSON: "),
        (b'{"a": [1, 2]} x', r"byte 14 .*: not JSON: characters after the end"),
        (b'{"a": [1, 2', r"byte 11 .*: the file ends in the middle"),
        (b"\xef\xbb\xbf[1, 2", r"byte 8 \(line 1, column 6\): the file ends"),
        (b'{"a": "\x00"}', r"byte 7 .*: not JSON: invalid character"),
        (b"{'a': 1}", r"byte 1 .*: not JSON: object keys must be strings"),
        (b'"text"', r"the document is str; expected an object or a list"),
    ],
)
def test_a_text_that_is_no_json_is_refused(save: Save, content: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        scan(save(content))


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_a_constant_is_named_with_record_and_field(
    document: dict[str, Any], save: Save, token: str
) -> None:
    document["annotations"][1]["bbox"][2] = 987654
    text = json.dumps(document).replace("987654", token)

    with pytest.raises(
        ReadError,
        match=rf"annotations\[1\] id=12 field 'bbox': {token} is not JSON.*\(1 such token ",
    ):
        scan(save(text))


def test_a_constant_in_text_is_no_fault(document: dict[str, Any], save: Save) -> None:
    document["annotations"][1]["mine"] = "NaN, Infinity"

    assert scan(save(document)).findings == []


def test_bytes_that_are_not_utf_8_are_found_far_into_a_file(save: Save) -> None:
    padding = "é" * 3_000_000  # an odd number of bytes before each chunk's end
    content = f'{{"a": "{padding}'.encode() + b"\xff" + b'"}'

    with pytest.raises(ReadError, match=r"byte 6,000,007 .*: byte 0xff is not UTF-8"):
        load_text(save(content))


def test_a_file_that_cannot_fit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as stream:
        stream.truncate(1 << 41)

    with pytest.raises(ResourceError, match=r"huge\.json: 2,199,023,255,552 bytes need"):
        scan(path)


def test_a_file_that_fits_is_not_refused(tmp_path: Path) -> None:
    check_memory(tmp_path / "small.json", 1000)


def test_a_folder_and_a_missing_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="is a folder; expected a JSON file"):
        scan(tmp_path)
    with pytest.raises(ReadError, match=r"none\.json: cannot read: No such file"):
        scan(tmp_path / "none.json")


@pytest.mark.parametrize("depth", [10, 400, 600, 700, 800, 900, 940, 1000, 200_000])
def test_nesting_is_read_or_refused_but_never_crashes(
    document: dict[str, Any], save: Save, depth: int
) -> None:
    deep = "[" * depth + "]" * depth
    for section in ("info", "annotations"):
        records = {"info": document["info"], "annotations": document["annotations"][0]}
        records[section] = records[section] | {"x": 987654, "y": {"id": "\\u0000"}}
        whole = document | {"info": records["info"], "annotations": [records["annotations"]]}
        path = save(json.dumps(whole).replace("987654", deep))
        if depth == 10:
            assert scan(path).findings == []
            continue
        try:
            assert scan(path).findings == []
        except ReadError as error:
            assert "nested too deeply" in str(error)  # noqa: PT017 - either end is right


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_pipe_is_read_like_a_file(mark: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, mark + b'{"images": []}')
    os.close(writing)

    text = load_text(Path(f"/dev/fd/{reading}"))

    os.close(reading)
    assert (text.prefix, text.data) == (mark, b'{"images": []}')
