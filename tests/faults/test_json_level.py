"""Rows 1 to 16 of the catalogue: what is wrong with the file as JSON."""

from __future__ import annotations

import gzip
import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]
Broken = bytes | str | Document


def text(document: Document) -> str:
    return json.dumps(document)


def person(document: Document, **fields: object) -> Document:
    document["annotations"][0].update(fields)
    return document


def spelled(document: Document, field: str, token: str) -> str:
    """The document with a field of the first person written as `token`, whatever it is."""
    return text(person(document, **{field: 987654})).replace("987654", token, 1)


def zipped(document: Document) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("annotations.json", text(document))
    return buffer.getvalue()


AT = r"annotations.json: (byte .*: )?annotations\[0\] id=1 field "
ROWS: list[tuple[str, Callable[[Document], Broken], int, str]] = [
    ("1 empty", lambda d: b"", 3, "annotations.json: empty; expected a JSON document"),
    ("1 white space", lambda d: " \n", 3, "annotations.json: empty; expected a JSON document"),
    (
        "2 truncated",
        lambda d: text(d)[:500],
        3,
        r"byte 500 \(line 1, column 501\): the file ends in the middle",
    ),
    (
        "3 trailing garbage",
        lambda d: text(d) + "x",
        3,
        r"byte [\d,]+ \(line 1, column \d+\): not JSON: characters after the end",
    ),
    ("4 byte order mark", lambda d: b"\xef\xbb\xbf" + text(d).encode(), 0, "byte order mark"),
    ("5 UTF-16", lambda d: text(d).encode("utf-16"), 3, "byte 0: UTF-16 or UTF-32, not UTF-8"),
    (
        "5 latin-1",
        lambda d: text(d).replace("tiny", "t\xefny").encode("latin-1"),
        3,
        r"byte 27 \(line 1, column 28\): byte 0xef is not UTF-8",
    ),
    ("6 NaN", lambda d: spelled(d, "area", "NaN"), 3, AT + "'area': NaN is not JSON"),
    (
        "6 -Infinity",
        lambda d: spelled(d, "area", "-Infinity"),
        3,
        AT + "'area': -Infinity is not JSON",
    ),
    (
        "7 overflow",
        lambda d: spelled(d, "area", "1e999"),
        1,
        AT + "'area': a number is too large",
    ),
    (
        "8 duplicate key",
        lambda d: text(d).replace('"image_id": 7', '"image_id": 6, "image_id": 7', 1),
        1,
        AT + r"'image_id': .*(twice|2 times)",
    ),
    ("9 deep nesting", lambda d: "[" * 200_000 + "]" * 200_000, 3, "nested too deeply"),
    (
        "9 deep nesting in a field",
        lambda d: spelled(d, "area", '{"a":' * 200_000 + "1" + "}" * 200_000),
        3,
        "nested too deeply",
    ),
    ("10 a list", lambda d: "[]", 3, "a list of 0 entries; .* is this a results file"),
    ("10 a number", lambda d: "42", 3, "expected an object or a list"),
    ("11 huge id", lambda d: person(d, id=2**70), 1, r"annotations\[0\].* field 'id': .*64"),
    ("12 float id", lambda d: person(d, id=1.5), 1, r"annotations\[0\].* field 'id': .*1\.5"),
    (
        "12 string id",
        lambda d: person(d, image_id="7"),
        1,
        AT + "'image_id': .*(string|text|'7'|\"7\")",
    ),
    (
        "12 boolean id",
        lambda d: person(d, id=True),
        1,
        r"annotations\[0\].* field 'id': .*true",
    ),
    ("13 gzip", lambda d: gzip.compress(text(d).encode()), 3, r"gzip data .*1f 8b"),
    ("13 zip", zipped, 3, r"zip data .*50 4b 03 04"),
    ("14 unknown keys", lambda d: person(d, colour={"hat": "red"}), 0, "valid under profile"),
    (
        "15 NUL",
        lambda d: person(d, note="a\0b"),
        1,
        AT + "'note': .*NUL",
    ),
    (
        "15 lone surrogate",
        lambda d: person(d, note="\ud800"),
        1,
        AT + "'note': .*surrogate",
    ),
]


@pytest.mark.parametrize(
    ("broken", "exit_code", "message"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_a_fault_of_the_json_is_named(
    coco_document: Document,
    write_json: Callable[..., Path],
    fault: Callable[..., str],
    broken: Callable[[Document], Broken],
    exit_code: int,
    message: str,
) -> None:
    path = write_json(broken(coco_document))

    start = time.process_time()
    fault("validate", path, exit_code=exit_code, message=message)

    assert time.process_time() - start < 1


def test_16_a_file_larger_than_memory_is_refused_before_it_is_read(
    tmp_path: Path, fault: Callable[..., str]
) -> None:
    path = tmp_path / "annotations.json"
    with path.open("wb") as stream:
        stream.truncate(1 << 41)  # 2 TiB of nothing; takes no room on the disk

    fault(
        "validate", path, exit_code=5, message=r"annotations.json: 2,199,023,255,552 bytes need"
    )


def test_a_file_that_does_not_exist_cannot_be_read(
    tmp_path: Path, fault: Callable[..., str]
) -> None:
    fault("validate", tmp_path / "none.json", exit_code=3, message=r"none.json: cannot read")


@pytest.mark.parametrize("broken", ["14 unknown keys", "4 byte order mark"])
def test_what_is_accepted_is_kept_byte_for_byte(
    coco_document: Document,
    write_json: Callable[..., Path],
    toolkit_cli: Callable[..., Any],
    tmp_path: Path,
    broken: str,
) -> None:
    build = next(row[1] for row in ROWS if row[0] == broken)
    source, target = write_json(build(coco_document)), tmp_path / "out.json"

    result = toolkit_cli("convert", source, target, "--from", "coco", "--to", "coco")

    assert result.exit_code == 0, result.stderr
    assert target.read_bytes() == source.read_bytes()
