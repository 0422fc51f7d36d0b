from __future__ import annotations

import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ReadError, UnsafeInputError
from toolkit.publish import build, verify
from toolkit.publish.archive import check_archive, header

STEM = "tiny-set-1.2.0"


@pytest.fixture
def release(source_folder: Path, tmp_path: Path) -> Path:
    build(source_folder, tmp_path / "out")
    return tmp_path / "out"


def owner_of(archive: Path, manifest_files: list[str]) -> Callable[[int], str]:
    """Which file each byte of the archive belongs to, found by Python's own tar reader."""
    with tarfile.open(archive) as tape:
        members = [(m.offset, m.name.removeprefix(f"{STEM}/")) for m in tape]

    def owner(position: int) -> str:
        before = [name for offset, name in members if offset <= position]
        return before[-1]

    return owner


def test_any_single_flipped_byte_of_the_archive_is_found_and_named(release: Path) -> None:
    archive = release / f"{STEM}.tar"
    manifest, flaws = verify(archive)
    assert flaws == []
    content = archive.read_bytes()
    owner = owner_of(archive, [entry.path for entry in manifest.files])
    last = content.rindex(b"\n") + 1  # after it only zeros: filling and end
    chosen = random.Random(5)
    places = [*range(512), *(chosen.randrange(len(content)) for _ in range(400)), last]

    for place in places:
        broken = bytearray(content)
        broken[place] ^= 1 << chosen.randrange(8)
        archive.write_bytes(broken)
        found = [flaw.path for flaw in check_archive(archive, manifest)]
        assert found, place
        assert owner(place) in found or archive.name in found, (place, owner(place), found)


def test_a_flipped_byte_of_the_manifest_beside_it_is_found(release: Path) -> None:
    place = release / "manifest.json"
    content = place.read_bytes()
    for position in range(0, len(content), 7):
        broken = bytearray(content)
        broken[position] ^= 1
        place.write_bytes(broken)
        try:
            named = {flaw.path for flaw in verify(release / f"{STEM}.tar")[1]}
        except ReadError as error:  # no JSON any more
            named = {str(error).partition(":")[0].rpartition("/")[2]}
        assert "manifest.json" in named, position


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("bytes", -1, r"files\[0\]: 'bytes' is -1"),
        ("bytes", 10**30, "no file of a release has that"),
        ("bytes", 1e30, "'bytes' is no integer"),
        ("sha256", None, "'sha256' is no text"),
        ("sha256", "abc", "'sha256' is no hash of 64 digits"),
        ("path", "\ud800", "not a release manifest"),
        ("path", 3, "'path' is no text"),
    ],
)
def test_a_manifest_with_impossible_values_is_none(
    field: str, value: object, told: str, release: Path
) -> None:
    place = release / "manifest.json"
    document = json.loads(place.read_text())
    document["files"][0][field] = value
    place.write_text(json.dumps(document))

    for target in (release, release / f"{STEM}.tar"):
        with pytest.raises(ReadError, match=told):
            verify(target)


@pytest.mark.parametrize("name", ["../../../../../etc", "/etc", "a/b", "a\\b"])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(name: str, release: Path) -> None:
    place = release / "manifest.json"
    document = json.loads(place.read_text())

    place.write_text(json.dumps(document | {"name": name}))
    with pytest.raises(UnsafeInputError, match="cannot name a folder"):
        verify(release)
    document["files"][0]["path"] = "../README.md"
    place.write_text(json.dumps(document))
    with pytest.raises(UnsafeInputError, match=r"path '../README.md': it climbs out"):
        verify(release)


@pytest.mark.parametrize("path", ["annotations.json", "images/seven.jpg", "README.md"])
def test_an_altered_file_of_the_folder_is_named(release: Path, path: str) -> None:
    place = release / STEM / path
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)

    flaws = verify(release / STEM)[1]

    assert [(flaw.path, flaw.fault) for flaw in flaws] == [(path, "altered")]


def test_missing_and_added_files_of_the_folder_are_named(release: Path) -> None:
    (release / STEM / "images" / "seven.jpg").unlink()
    (release / STEM / "images" / "new.jpg").write_bytes(b"x")

    flaws = verify(release / STEM)[1]

    assert [(flaw.path, flaw.fault) for flaw in flaws] == [
        ("images/new.jpg", "added"),
        ("images/seven.jpg", "missing"),
    ]


def test_missing_and_added_members_of_the_archive_are_named(release: Path) -> None:
    archive = release / f"{STEM}.tar"
    with tarfile.open(archive) as tape:
        members = [(m, tape.extractfile(m).read()) for m in tape]
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as tape:
        for member, content in members:
            if not member.name.endswith("seven.jpg"):
                tape.addfile(member, io.BytesIO(content))
        extra = tarfile.TarInfo(f"{STEM}/images/zzz.jpg")
        extra.size = 3
        tape.addfile(extra, io.BytesIO(b"abc"))

    flaws = verify(archive)[1]

    named = {(flaw.path, flaw.fault) for flaw in flaws}
    assert ("images/seven.jpg", "missing") in named
    assert ("images/zzz.jpg", "added") in named


def test_a_cut_archive_names_the_file_it_ends_in_and_all_that_are_missing(
    release: Path,
) -> None:
    archive = release / f"{STEM}.tar"
    content = archive.read_bytes()
    with tarfile.open(archive) as tape:
        middle = tape.getmember(f"{STEM}/images/eight.jpg")
    archive.write_bytes(content[: middle.offset_data + 10])

    flaws = verify(archive)[1]

    named = {flaw.path: flaw.fault for flaw in flaws}
    assert named["images/eight.jpg"] == "altered"
    assert named["images/seven.jpg"] == named["splits/train.json"] == "missing"


def test_an_archive_without_its_manifest_says_where_that_should_be(release: Path) -> None:
    (release / "manifest.json").unlink()

    with pytest.raises(ReadError, match=r"manifest.json: no such file; a release has its"):
        verify(release / f"{STEM}.tar")


def test_headers_hold_nothing_but_name_and_size() -> None:
    member = tarfile.TarInfo.frombuf(header("a/b.jpg", 5), "utf-8", "strict")

    assert (member.name, member.size, member.mtime, member.uid) == ("a/b.jpg", 5, 0, 0)
    assert (member.mode, member.uname, member.gname) == (0o644, "", "")


def test_the_command_line_ends_with_1_and_names_the_file(
    release: Path, toolkit_cli: Callable[..., object]
) -> None:
    (release / STEM / "README.md").write_text("hello")

    result = toolkit_cli("publish", "verify", release)

    assert result.exit_code == 1
    assert result.stdout.startswith("altered: README.md: 5 bytes, the manifest says")


def test_a_file_s_name_cannot_steer_the_terminal(
    release: Path, toolkit_cli: Callable[..., Any]
) -> None:
    (release / STEM / "images" / "\x1b[2J.jpg").write_bytes(b"x")

    told = toolkit_cli("publish", "verify", release / STEM).stdout

    assert "\x1b" not in told
    assert "added: images/\\x1b[2J.jpg: it is in the folder" in told


def test_what_lies_beside_the_archive_and_its_folder_is_named(release: Path) -> None:
    (release / "setup.exe").write_bytes(b"x")

    assert [(flaw.path, flaw.fault) for flaw in verify(release)[1]] == [("setup.exe", "added")]


def test_the_manifest_of_a_release_is_compared_with_the_one_to_trust(
    release: Path, tmp_path: Path
) -> None:
    trusted = tmp_path / "trusted.json"
    trusted.write_bytes((release / "manifest.json").read_bytes())
    assert verify(release, trusted)[1] == []
    (release / "manifest.json").write_bytes(trusted.read_bytes() + b" ")

    flaws = verify(release, trusted)[1]

    assert [(flaw.path, flaw.fault) for flaw in flaws] == [("manifest.json", "altered")]


@pytest.mark.parametrize("size", [-512, -1024])
def test_a_header_of_a_size_below_0_is_passed_and_named(release: Path, size: int) -> None:
    archive = release / f"{STEM}.tar"
    forged = bytearray(header("zzz", 0))
    forged[124:136] = b"\xff" * 4 + size.to_bytes(8, "big", signed=True)
    forged[148:156] = b" " * 8
    forged[148:156] = b"%06o\0 " % sum(forged)
    archive.write_bytes(bytes(forged) + archive.read_bytes())

    assert ("zzz", "added") in {(flaw.path, flaw.fault) for flaw in verify(archive)[1]}


@pytest.mark.parametrize("target", ["elsewhere.json", "nowhere.json"])
def test_a_manifest_that_is_a_link_is_named(release: Path, tmp_path: Path, target: str) -> None:
    trusted = tmp_path / "elsewhere.json"
    trusted.write_bytes((release / "manifest.json").read_bytes())
    for folder in (release, release / STEM):
        (folder / "manifest.json").unlink()
        (folder / "manifest.json").symlink_to(tmp_path / target)

    flaws = verify(release, trusted)[1]

    link = ("manifest.json", "altered", "it is a symbolic link")
    assert [(flaw.path, flaw.fault, flaw.message) for flaw in flaws] == [link, link]
