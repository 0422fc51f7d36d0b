"""`toolkit validate`: outputs, baseline and repairs from the command line."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

Document = dict[str, Any]
Cli = Callable[..., Any]


@pytest.fixture
def faulty(coco_document: Document, write_json: Callable[..., Path]) -> Path:
    """A file with an error that has no safe repair (area 0) and a warning that has (id 0)."""
    coco_document["annotations"][0]["area"] = 0
    coco_document["annotations"][1]["id"] = 0
    return write_json(coco_document)


def test_text_is_grouped_by_family_with_totals(faulty: Path, toolkit_cli: Cli) -> None:
    result = toolkit_cli("validate", faulty)

    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    headings = [line for line in lines if " " not in line]
    assert headings.index("structure") < headings.index("boxes")
    at = lines.index("error area-value (1)")
    assert lines[at + 1].startswith("  annotations.json: annotations[0] id=1 field 'area': 0;")
    assert lines[-1].startswith("annotations.json: not valid under profile 'coco': 1 error,")


def test_a_terminal_gets_colours_and_no_line_beyond_its_width(faulty: Path) -> None:
    command = [sys.executable, "-m", "toolkit", "validate", str(faulty)]
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm-256color", "NO_COLOR": ""}
    with subprocess.Popen(command, stdout=follower, env=environment) as process:
        os.close(follower)
        pieces = []
        while True:
            try:
                pieces.append(os.read(leader, 65536))
            except OSError:  # the other end is closed
                break
            if not pieces[-1]:
                break
    os.close(leader)
    seen = b"".join(pieces).decode()

    assert process.returncode == 1
    assert "\x1b[1;31merror" in seen
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= 80


def test_a_name_cannot_steer_the_terminal(
    coco_document: Document, write_json: Callable[..., Path], toolkit_cli: Cli
) -> None:
    coco_document["images"][0]["file_name"] = "../\x1b[2J\u202egpj"

    result = toolkit_cli("validate", write_json(coco_document))

    assert "file-name-unsafe" in result.stdout
    assert not {"\x1b", "\u202e"} & set(result.stdout)


def test_json_has_the_keys_that_scripts_rely_on(faulty: Path, toolkit_cli: Cli) -> None:
    result = toolkit_cli("validate", faulty, "--format", "json")

    document = json.loads(result.stdout)
    assert set(document) == {
        "file", "schema", "profile", "ok", "counts", "findings", "total",
    }  # fmt: skip
    assert set(document["counts"]) == {"error", "warning", "info"}
    for finding in document["findings"]:
        assert set(finding) >= {
            "rule", "severity", "message", "section", "index", "id", "field",
        }  # fmt: skip
    assert json.loads(toolkit_cli("validate", faulty, "--json").stdout) == document


@pytest.mark.parametrize("output", ["text", "json", "sarif", "html"])
def test_a_report_is_written_to_a_file_or_printed_the_same(
    output: str, faulty: Path, toolkit_cli: Cli, tmp_path: Path
) -> None:
    printed = toolkit_cli("validate", faulty, "--format", output)
    written = toolkit_cli("validate", faulty, "--format", output, "--out", tmp_path / "r")
    again = toolkit_cli("validate", faulty, "--format", output, "--out", tmp_path / "r")

    assert (printed.exit_code, written.exit_code, again.exit_code) == (1, 1, 2)
    assert written.stdout == ""
    assert (tmp_path / "r").read_text() == printed.stdout
    assert "exists already; pass --force" in again.stderr


def test_a_baseline_lets_known_findings_pass_and_new_ones_fail(
    faulty: Path, toolkit_cli: Cli, tmp_path: Path
) -> None:
    base = tmp_path / "base.json"

    written = toolkit_cli("validate", faulty, "--write-baseline", base)
    known = toolkit_cli("validate", faulty, "--baseline", base)
    document = json.loads(faulty.read_text())
    document["annotations"][0]["area"] = 5
    document["annotations"][1]["area"] = 0
    faulty.write_text(json.dumps(document))
    new = toolkit_cli("validate", faulty, "--baseline", base)
    as_json = json.loads(toolkit_cli("validate", faulty, "--baseline", base, "--json").stdout)

    assert (written.exit_code, known.exit_code, new.exit_code) == (0, 0, 1)
    assert "0 errors" in known.stdout
    assert "base.json accepts" in known.stderr
    assert "error area-value (1)" in new.stdout
    fixed = "area-value annotations field 'area': 1 fixed (id 1)"
    assert f"base.json: {fixed}; remove it from the baseline" in new.stderr
    assert fixed in as_json["baseline"]["fixed"]


def test_a_dry_run_shows_the_plan_and_writes_nothing(
    faulty: Path, toolkit_cli: Cli, tmp_path: Path
) -> None:
    before = faulty.read_bytes()

    result = toolkit_cli("validate", faulty, "--fix", "--to", tmp_path / "new.json")

    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert "repair annotation-id-zero (1): id 0 becomes a new id" in result.stdout
    assert "  annotations[1] id=0 id: 0 -> 2" in lines
    assert any(line.startswith("offer area-value (1):") for line in lines)
    assert "nothing is written; add --yes" in result.stderr
    assert not (tmp_path / "new.json").exists()
    assert faulty.read_bytes() == before


def test_yes_writes_the_new_file_and_says_what_is_left(
    faulty: Path, toolkit_cli: Cli, tmp_path: Path
) -> None:
    before = faulty.read_bytes()
    new = tmp_path / "new.json"

    result = toolkit_cli("validate", faulty, "--fix", "--to", new, "--yes")

    assert result.exit_code == 1  # the area is still 0
    assert "left error area-value (1)" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("new.json: not valid")
    assert faulty.read_bytes() == before
    assert new.read_bytes() == before.replace(b'"id": 0,', b'"id": 2,')


def test_a_named_repair_is_made_and_the_file_is_valid(
    faulty: Path, toolkit_cli: Cli, tmp_path: Path
) -> None:
    new = tmp_path / "new.json"
    words = ("--fix", "--fix-rule", "area-value,num-keypoints-zero", "--to", new, "--yes")

    result = toolkit_cli("validate", faulty, *words, "--json")

    document = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (document["ok"], document["after"]["ok"]) == (False, True)
    repairs = {step["rule"]: step for step in document["fix"]["repairs"]}
    assert set(repairs) == {"annotation-id-zero", "area-value"}
    assert repairs["area-value"]["examples"][0]["new"] == "512"
    assert toolkit_cli("validate", new).exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--to", "new.json"), "go with --fix; add --fix"),
        (("--yes",), "go with --fix; add --fix"),
        (("--fix", "--out", "report.txt"), "--fix prints its plan: leave one out"),
        (("--fix", "--yes"), "name it: --fix --to NEW --yes"),
        (("--fix", "--format", "sarif"), "--fix prints text or JSON"),
        (("--fix", "--baseline", "b.json"), "do not go together"),
        (("--fix", "--fix-rule", "nonsense"), "no repair for rule 'nonsense'"),
        (("--workers", "2"), "are for images; add --images DIR"),
        (("--json", "--format", "html"), "--json and --format html: choose one"),
        (("--out", "r", "--write-baseline", "r"), "two outputs have one name"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, ...], message: str, faulty: Path, toolkit_cli: Cli
) -> None:
    result = toolkit_cli("validate", faulty, *words)

    assert result.exit_code == 2
    assert message in result.stderr


def test_neither_the_repaired_file_nor_a_report_replaces_the_input(
    faulty: Path, toolkit_cli: Cli
) -> None:
    before = faulty.read_bytes()

    for words in (("--fix", "--to", faulty, "--yes"), ("--out", faulty)):
        result = toolkit_cli("validate", faulty, *words, "--force")
        assert result.exit_code == 2
        assert "the output is the input" in result.stderr
    assert faulty.read_bytes() == before


def test_an_output_in_no_folder_fails_before_the_work(
    faulty: Path, toolkit_cli: Cli, tmp_path: Path
) -> None:
    result = toolkit_cli("validate", faulty, "--out", tmp_path / "none" / "r.txt")

    assert result.exit_code == 5
    assert "does not exist; make it first" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("name", "profile"),
    [("hockey", "extension"), ("lacrosse", "extension"), ("crowdpose", "crowdpose")],
)
def test_without_a_profile_the_one_that_fits_the_data_is_taken(
    toolkit_cli: Cli, root: Path, name: str, profile: str
) -> None:
    sample = root / "datasets" / name / "sample" / "annotations.json"

    report = json.loads(toolkit_cli("validate", sample, "--json").stdout)

    assert report["profile"] == profile


def test_where_no_other_profile_fits_it_is_coco(
    toolkit_cli: Cli, coco_document: Document, write_json: Callable[..., Path]
) -> None:
    report = json.loads(toolkit_cli("validate", write_json(coco_document), "--json").stdout)

    assert report["profile"] == "coco"


@pytest.mark.parametrize("name", [b"bad\xff.json", "é.json".encode()], ids=["bytes", "letters"])
@pytest.mark.parametrize("output", ["text", "json", "sarif", "html"])
def test_a_name_that_the_locale_cannot_read_is_reported_on(
    coco_document: Document,
    write_json: Callable[..., Path],
    tmp_path: Path,
    output: str,
    name: bytes,
) -> None:
    odd = os.fsencode(write_json(coco_document).rename(tmp_path / os.fsdecode(name)))
    c_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "toolkit", "validate", odd, "--format", output]

    for environment in (os.environ, os.environ | c_locale):
        shown = subprocess.run(command, capture_output=True, env=environment)
        target = ["--out", str(tmp_path / "report"), "--force"]
        written = subprocess.run([*command, *target], capture_output=True, env=environment)

        assert shown.returncode == written.returncode == 0, shown.stderr + written.stderr
        if output == "sarif":
            assert quote(name) in shown.stdout.decode()
