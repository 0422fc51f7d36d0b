from __future__ import annotations

import gzip
import io
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import OutputExistsError, ReadError, UnsafeInputError
from toolkit.publish import extract


def tape(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as out:
        for info, content in members:
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path


def plain(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_files_and_folders_come_out_of_tar_and_zip(tmp_path: Path) -> None:
    tar = tape(tmp_path / "a.tar", (plain("d/one.txt"), b"1"), (plain("two.txt"), b"22"))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("d/one.txt", "1")

    assert extract(tar, tmp_path / "t") == ["d/one.txt", "two.txt"]
    assert extract(tmp_path / "a.zip", tmp_path / "z") == ["d/one.txt"]
    assert (tmp_path / "t" / "two.txt").read_bytes() == b"22"
    assert (tmp_path / "z" / "d" / "one.txt").read_bytes() == b"1"


def forged(name: str, kind: bytes, size: bytes) -> bytes:
    """A tar header whose size field says anything, with the checksum that fits it."""
    block = bytearray(plain(name, kind).tobuf(tarfile.GNU_FORMAT))
    block[124:136] = size
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * ord(" ") + sum(block[156:]))
    return bytes(block)


BELOW_ZERO, ENORMOUS = b"\xff" * 10 + b"\xfe\0", b"\x80" + b"\x7f" * 11


@pytest.mark.parametrize("first", [b"", forged("ok", b"0", b"%011o\0" % 0)], ids=["1st", "2nd"])
@pytest.mark.parametrize(
    ("kind", "size", "error", "match"),
    [
        (tarfile.REGTYPE, BELOW_ZERO, UnsafeInputError, "it claims a size below 0"),
        (tarfile.REGTYPE, ENORMOUS, UnsafeInputError, "refused as a bomb"),
        (tarfile.XHDTYPE, BELOW_ZERO, ReadError, "the archive is damaged"),
        (tarfile.GNUTYPE_LONGNAME, BELOW_ZERO, ReadError, "the archive is damaged"),
        (tarfile.GNUTYPE_LONGNAME, ENORMOUS, ReadError, "the archive is damaged"),
    ],
)
def test_a_forged_size_in_a_header_is_refused_in_a_line(
    tmp_path: Path, first: bytes, kind: bytes, size: bytes, error: type[Exception], match: str
) -> None:
    (tmp_path / "a.tar").write_bytes(first + forged("bad", kind, size) + bytes(1024))

    with pytest.raises(error, match=match):
        extract(tmp_path / "a.tar", tmp_path / "t")

    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (plain("../evil.txt"), "it climbs out"),
        (plain("a/../../evil.txt"), "it climbs out"),
        (plain("/tmp/evil.txt"), "it is an absolute path"),
        (plain("C:\\evil.txt"), "it names a drive"),
        (plain("link", tarfile.SYMTYPE, "/etc/passwd"), "it is a symbolic link"),
        (plain("hard", tarfile.LNKTYPE, "good.txt"), "it is a hard link"),
        (plain("null", tarfile.CHRTYPE), "it is a device"),
        (plain("pipe", tarfile.FIFOTYPE), "it is a named pipe"),
        (plain("good.txt"), "it stands twice"),
    ],
    ids=lambda value: value.name if isinstance(value, tarfile.TarInfo) else "",
)
def test_a_tar_member_that_is_unsafe_refuses_the_whole_archive(
    tmp_path: Path, member: tarfile.TarInfo, reason: str
) -> None:
    archive = tape(tmp_path / "a.tar", (plain("good.txt"), b"good"), (member, b""))

    with pytest.raises(UnsafeInputError, match=f"refused: {reason}"):
        extract(archive, tmp_path / "out")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar"]


def test_zip_traversal_and_links_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as out:
        out.writestr("../evil.txt", "x")
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as out:
        out.writestr(link, "/etc/passwd")

    with pytest.raises(UnsafeInputError, match="it climbs out"):
        extract(tmp_path / "slip.zip", tmp_path / "out")
    with pytest.raises(UnsafeInputError, match="it is a symbolic link"):
        extract(tmp_path / "link.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "evil.txt").exists()


def test_a_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("zeros", bytes(300 << 20))
    with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as out:
        info = plain("zeros")
        info.size = 300 << 20
        out.addfile(info, io.BytesIO(bytes(info.size)))

    for name in ("bomb.zip", "bomb.tar.gz"):
        with pytest.raises(UnsafeInputError, match="is refused as a bomb"):
            extract(tmp_path / name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_total_cap_holds_for_many_small_files(tmp_path: Path) -> None:
    archive = tape(tmp_path / "a.tar", *[(plain(f"{n}.txt"), b"x" * 100) for n in range(20)])

    with pytest.raises(UnsafeInputError, match=r"than 1,000 in all, is refused as a bomb"):
        extract(archive, tmp_path / "out", max_bytes=1000)


def test_what_is_no_archive_or_damaged_ends_with_a_reading_error(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("hello")
    whole = tape(tmp_path / "whole.tar", (plain("a"), b"x" * 5000))
    (tmp_path / "cut.tar").write_bytes(whole.read_bytes()[:2000])

    with pytest.raises(ReadError, match="neither a tar nor a zip archive"):
        extract(tmp_path / "text.tar", tmp_path / "out")
    with pytest.raises((ReadError, UnsafeInputError), match="damaged"):
        extract(tmp_path / "cut.tar", tmp_path / "out")
    with pytest.raises(ReadError, match="no such file"):
        extract(tmp_path / "none.tar", tmp_path / "out")


def test_a_folder_that_exists_is_kept_unless_forced(tmp_path: Path) -> None:
    archive = tape(tmp_path / "a.tar", (plain("a"), b"new"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")

    with pytest.raises(OutputExistsError, match="exists already"):
        extract(archive, tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text() == "mine"


def test_the_command_line_ends_with_4_for_an_unsafe_archive(
    tmp_path: Path, toolkit_cli: Callable[..., object]
) -> None:
    archive = tape(tmp_path / "a.tar", (plain("../evil.txt"), b"x"))

    result = toolkit_cli("publish", "extract", archive, tmp_path / "out")

    assert result.exit_code == 4
    assert "member '../evil.txt' refused: it climbs out" in result.stderr


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("./good.txt", "it stands twice"),
        ("d//one.txt", "it stands twice"),
        ("good.txt/inside.txt", "a file stands where it wants a folder"),
    ],
)
def test_another_spelling_of_a_member_does_not_replace_it(
    tmp_path: Path, name: str, reason: str
) -> None:
    members = (plain("good.txt"), b"good"), (plain("d/one.txt"), b"1"), (plain(name), b"evil")
    archive = tape(tmp_path / "a.tar", *members)

    with pytest.raises(UnsafeInputError, match=f"refused: {reason}"):
        extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("packer", [gzip, lzma])
def test_a_compressed_archive_is_damaged_wherever_a_byte_of_it_flips(
    tmp_path: Path, packer: Any
) -> None:
    content = bytes(random.Random(3).randbytes(300_000))
    whole = packer.compress(tape(tmp_path / "a.tar", (plain("a"), content)).read_bytes())
    (tmp_path / "whole").write_bytes(whole)
    assert extract(tmp_path / "whole", tmp_path / "out") == ["a"]

    for place in (150_000, 290_000, len(whole) - 14):
        broken = bytearray(whole)
        broken[place] ^= 0x10
        (tmp_path / "broken").write_bytes(broken)
        with pytest.raises(ReadError, match="the archive is damaged"):
            extract(tmp_path / "broken", tmp_path / f"out{place}")
        assert not (tmp_path / f"out{place}").exists()


def test_an_archive_does_not_unfold_behind_its_last_member(tmp_path: Path) -> None:
    whole = tape(tmp_path / "a.tar", (plain("a"), b"x")).read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(whole + bytes(4 << 20)))

    with pytest.raises(UnsafeInputError, match="follows its last member"):
        extract(tmp_path / "a.tar.gz", tmp_path / "out")


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("secret.txt", "1")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)

    with pytest.raises(ReadError, match=r"member 'secret.txt' is encrypted"):
        extract(tmp_path / "a.zip", tmp_path / "out")
