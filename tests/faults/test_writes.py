"""Rows 61 to 65 of the catalogue: what can happen while an output is written."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Document = dict[str, Any]

# The real command line in a process of its own, under a limit of 500 bytes a file.
LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
from toolkit.cli import main
main()
"""
# The real command line, which a signal hits when it opens or renames its temporary file.
STOPPED = """
import os, signal, sys
moment, name = sys.argv.pop(1), sys.argv.pop(1)

sent = []

def stop(event, arguments):
    if event == moment and ".tmp" in str(arguments[0]) and not sent:
        sent.append(event)
        os.kill(os.getpid(), getattr(signal, name))

sys.addaudithook(stop)
from toolkit.cli import main
main()
"""


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def source(coco_document: Document, write_json: Callable[..., Path]) -> Path:
    return write_json(coco_document, "source.json")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """An output of an earlier run."""
    path = tmp_path / "target.json"
    path.write_bytes(b"old")
    return path


def test_61_a_full_disk_leaves_the_old_output(source: Path, target: Path) -> None:
    before = source.read_bytes()

    ended = run(LIMITED, "convert", source, target, "--force")

    assert ended.returncode == 5, ended.stderr
    assert "target.json: cannot write: File too large; what stood there before is" in (
        ended.stderr
    )
    assert "Traceback" not in ended.stderr
    assert target.read_bytes() == b"old"
    assert source.read_bytes() == before
    assert names(target.parent) == ["source.json", "target.json"]


@pytest.mark.parametrize(
    "words",
    ["split base.json --out out", "convert base.json out --to yolo --sidecar"],
    ids=["split", "convert to a folder"],
)
def test_61_a_full_disk_leaves_no_part_of_a_folder(workplace: Path, words: str) -> None:
    before = names(workplace)

    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, *words.split()],
        cwd=workplace,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 5, ended.stderr
    assert "cannot write: File too large" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert names(workplace) == before


def test_62_a_missing_folder_is_told_before_the_work(
    source: Path, tmp_path: Path, fault: Callable[..., str]
) -> None:
    fault(
        "convert",
        source,
        tmp_path / "none" / "target.json",
        exit_code=5,
        message="folder '.*none' does not exist; make it first",
    )


def test_62_a_folder_that_takes_no_files_is_told(
    source: Path, fault: Callable[..., str]
) -> None:
    # Nobody can make files in /proc, not even root; elsewhere there is no /proc at all.
    fault("convert", source, "/proc/target.json", exit_code=5, message=r"/proc/target.json: ")


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_63_ctrl_c_leaves_the_old_output_and_ends_with_130(
    source: Path, target: Path, moment: str
) -> None:
    ended = run(STOPPED, moment, "SIGINT", "convert", source, target, "--force")

    assert ended.returncode == 130, ended.stderr
    assert ended.stderr.strip().endswith("interrupted")
    assert "Traceback" not in ended.stderr
    assert target.read_bytes() == b"old"
    assert names(target.parent) == ["source.json", "target.json"]


def test_63_ctrl_c_leaves_the_old_folder_and_ends_with_130(
    workplace: Path, toolkit_cli: Callable[..., Any]
) -> None:
    source, target = workplace / "base.json", workplace / "out"
    assert toolkit_cli("split", source, "--out", target).exit_code == 0
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    words = ("split", source, "--out", target, "--seed", "1", "--force")
    ended = run(STOPPED, "open", "SIGINT", *words)

    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert not [name for name in names(workplace) if ".tmp" in name]


@pytest.mark.parametrize("moment", ["open", "os.rename"])
def test_63_kill_9_leaves_the_old_output_and_the_next_run_cleans_up(
    source: Path, target: Path, moment: str, toolkit_cli: Callable[..., Any]
) -> None:
    ended = run(STOPPED, moment, "SIGKILL", "convert", source, target, "--force")

    assert ended.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"

    assert toolkit_cli("convert", source, target, "--force").exit_code == 0
    assert target.read_bytes() == source.read_bytes()
    assert names(target.parent) == ["source.json", "target.json"]


def test_an_existing_output_needs_force(
    source: Path, target: Path, fault: Callable[..., str]
) -> None:
    fault("convert", source, target, exit_code=2, message="exists already; pass --force")


def test_65_the_output_is_not_the_input(source: Path, fault: Callable[..., str]) -> None:
    fault(
        "convert",
        source,
        source,
        "--force",
        exit_code=2,
        message="the output is the input",
    )


def test_a_faulty_input_leaves_no_output(
    tmp_path: Path, write_json: Callable[..., Path], fault: Callable[..., str]
) -> None:
    fault(
        "convert",
        write_json('{"images": ['),
        tmp_path / "target.json",
        exit_code=3,
        message=r"annotations.json: byte 12 .*truncated",
    )


SMALL = "hrnet-small --data base.json --images images --runtime torch --threads 1"
TABLE = "--suite hockey --schema coco --data base.json --predictions ours=results.json"
# Every kind of write: a name, what it writes, and the words of its command.
KILLED = {
    name: (output, words.split())
    for name, output, words in (
        ("convert", "out.json", "convert base.json out.json --force"),
        ("convert to CSV", "out.csv", "convert base.json out.csv --force"),
        ("convert to Parquet", "out.parquet", "convert base.json out.parquet --force"),
        ("convert to a folder", "out", "convert base.json out --to yolo --sidecar --force"),
        ("fix", "out.json", "validate base.json --fix --to out.json --yes --force"),
        ("findings", "out.json", "validate base.json --format sarif --out out.json --force"),
        ("baseline", "out.json", "validate base.json --write-baseline out.json --force"),
        ("merge", "out.json", "merge base.json ours.json theirs.json --out out.json --force"),
        ("report", "out.html", "stats base.json --out out.html --force"),
        ("differences", "out.html", "diff base.json theirs.json --out out.html --force"),
        ("agreement", "out.html", "agreement ours.json theirs.json --out out.html --force"),
        ("rank", "out.json", "rank base.json results.json --out out.json --force"),
        ("sigmas", "out.yaml", "sigmas ours.json theirs.json --out out.yaml --force"),
        ("curve", "out.csv", "crop base.json --out out.csv --force"),
        ("schema", "out.yaml", "schema infer base.json --out out.yaml --force"),
        ("gallery", "out", "show base.json --images images --out out --force"),
        ("split", "out", "split base.json --out out --seed 1 --force"),
        ("release", "out", "publish build source --out out --force"),
        ("extract", "out", "publish extract release.tar out --force"),
        ("interface", "out.xml", "labelstudio config base.json --out out.xml --force"),
        ("predictions", "out.json", f"predict {SMALL} --out out.json --force"),
        ("tables", "out", f"benchmark {TABLE} --bootstrap 0 --out out --force"),
        ("synth", "out", "synth hockey out --instances 2 --seed 1 --workers 1 --force"),
        ("footage", "registry/mine", "datasets add mine --images images --licence CC0 --force"),
    )
}
KILLS = 50  # of each


@pytest.fixture
def workplace(coco_document: Document, tmp_path: Path) -> Path:
    """Three versions of a file of 400 people in 40 clips, one with an id 0 to repair."""
    from PIL import Image

    person, image = coco_document["annotations"][0], coco_document["images"][0]
    coco_document["images"] = [
        image | {"id": i, "file_name": f"{i}.jpg", "clip": f"c{i}"} for i in range(1, 41)
    ]
    coco_document["annotations"] = [
        person | {"id": i, "image_id": i % 40 + 1} for i in range(400)
    ]
    (tmp_path / "images").mkdir()
    for number in range(1, 5):
        Image.new("RGB", (100, 80), "grey").save(tmp_path / "images" / f"{number}.jpg")
    results = [
        {k: p[k] for k in ("image_id", "category_id", "keypoints")}
        | {"annotation_id": p["id"], "score": 0.5}
        for p in coco_document["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results), "utf-8")
    for name, area in (("base", 300.5), ("ours", 300.5), ("theirs", 7)):
        moved = [v + (area == 7) for v in person["keypoints"][:2]] + person["keypoints"][2:]
        coco_document["annotations"][1] = coco_document["annotations"][1] | {
            "area": area,
            "keypoints": moved,
        }
        coco_document["info"] = {"description": "tiny" if name != "ours" else "ours"}
        (tmp_path / f"{name}.json").write_text(json.dumps(coco_document), "utf-8")
    return tmp_path


@pytest.mark.parametrize("name", KILLED)
def test_63_kill_9_at_random_moments_leaves_the_old_output_or_the_new(
    workplace: Path,
    root: Path,
    toolkit_cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    output, words = KILLED[name]
    target = workplace / output
    monkeypatch.setenv("TOOLKIT_REGISTRY", str(workplace / "registry"))
    prepare(name, workplace, root, toolkit_cli)
    if name == "split":  # replaces nothing but a split
        assert toolkit_cli("split", workplace / "base.json", "--out", target).exit_code == 0
    elif "." in output:
        target.write_bytes(b"old")
    else:
        # only an output of the same kind is replaced as a whole
        monkeypatch.chdir(workplace)
        assert toolkit_cli(*words).exit_code == 0
        # and a release only while nothing lies beside its own folder
        place = next(target.glob("*-1.0.0")) if name == "release" else target
        (place / "old.json").write_bytes(b"old")
    server = Path(__file__).with_name("kill_server.py")

    ended = subprocess.run(
        [sys.executable, str(server), output, str(KILLS), "0", *words],
        cwd=workplace,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["code"] == 0
    assert found["unlike"], "the command wrote nothing"
    assert found["other"] == 0, found
    assert found["killed"] == KILLS, found
    assert found["left"] == []
    assert found["last"]


def prepare(name: str, folder: Path, root: Path, toolkit_cli: Callable[..., Any]) -> None:
    """What some commands need beside the three files."""
    if name in ("gallery", "predictions"):
        document = json.loads((folder / "base.json").read_text("utf-8"))
        document["images"] = document["images"][:4]
        document["annotations"] = [p for p in document["annotations"] if p["image_id"] < 5][:4]
        (folder / "base.json").write_text(json.dumps(document), "utf-8")
    if name == "extract":
        with tarfile.open(folder / "release.tar", "w") as archive:
            archive.add(folder / "images", "release/images")
    if name == "release":
        hockey, source = root / "datasets" / "hockey", folder / "source"
        shutil.copytree(hockey / "sample", source)
        shutil.copy(hockey / "schema.yaml", source)
        card = (
            (source / "card.md")
            .read_text("utf-8")
            .replace("---", "---\nversion: 1.0.0\ncitation: none", 1)
        )
        (source / "card.md").write_text(card, "utf-8")
        done = toolkit_cli("split", source / "annotations.json", "--out", source / "splits")
        assert done.exit_code == 0, done.stderr


def test_64_of_two_processes_that_write_one_file_one_wins_whole(workplace: Path) -> None:
    target = workplace / "out.json"
    loop = "import sys\nfrom toolkit.cli import cli\nfrom toolkit.cli.running import run\n"
    loop += "while True:\n    try:\n        run(cli, sys.argv[1:])\n"
    loop += "    except SystemExit as ended:\n        assert not ended.code\n"
    sides = [workplace / "base.json", workplace / "theirs.json"]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", loop, "convert", str(side), str(target), "--force"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for side in sides
    ]
    wanted, seen, end = [side.read_bytes() for side in sides], set(), time.monotonic() + 30
    try:
        while len(seen) < 2 and time.monotonic() < end:
            if target.exists():
                content = target.read_bytes()
                assert content in wanted
                seen.add(wanted.index(content))
        assert seen == {0, 1}
        assert [writer.poll() for writer in writers] == [None, None]
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


@pytest.mark.parametrize(
    "words",
    [
        ("diff", "base.json", "ours.json", "--out"),
        ("merge", "base.json", "ours.json", "theirs.json", "--out"),
        ("validate", "base.json", "--fix", "--yes", "--to"),
        ("stats", "base.json", "--out"),
        ("convert", "base.json"),
    ],
    ids=lambda words: words[0],
)
def test_65_no_command_writes_over_its_input(
    workplace: Path,
    fault: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
) -> None:
    monkeypatch.chdir(workplace)
    if words[0] in ("stats", "diff"):  # their output is a page
        (workplace / "base.html").symlink_to("base.json")
        output = "base.html"
    else:
        output = "base.json"

    fault(*words, output, "--force", exit_code=2, message="the output is the input")
