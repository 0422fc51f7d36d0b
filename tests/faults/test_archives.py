"""Rows 53 and 54 of the catalogue: archives that reach out of their folder, or explode."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest


def tar_with(path: Path, name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Path:
    """A tar with a good file, and a member that is not."""
    with tarfile.open(path, "w") as tape:
        for member, content in ((tarfile.TarInfo("good.txt"), b"good"), (None, b"evil")):
            info = member or tarfile.TarInfo(name)
            if member is None:
                info.type, info.linkname = kind, link
            info.size = len(content) if info.isreg() else 0
            tape.addfile(info, io.BytesIO(content))
    return path


def zip_with(path: Path, name: str, *, link: bool = False) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("good.txt", "good")
        info = zipfile.ZipInfo(name)
        if link:
            info.external_attr = 0o120777 << 16
        packed.writestr(info, "/etc/passwd")
    return path


ROWS: list[tuple[str, Callable[[Path], Path], str]] = [
    (
        "53 tar slip",
        lambda d: tar_with(d / "a.tar", "../evil.txt"),
        r"'../evil.txt' refused: it climbs out with '\.\.'",
    ),
    (
        "53 tar, absolute",
        lambda d: tar_with(d / "a.tar", "/tmp/evil.txt"),
        "refused: it is an absolute path",
    ),
    (
        "53 tar, symbolic link",
        lambda d: tar_with(d / "a.tar", "evil", tarfile.SYMTYPE, "../.."),
        "refused: it is a symbolic link",
    ),
    (
        "53 tar, hard link",
        lambda d: tar_with(d / "a.tar", "evil", tarfile.LNKTYPE, "/etc/passwd"),
        "refused: it is a hard link",
    ),
    (
        "53 tar, device",
        lambda d: tar_with(d / "a.tar", "evil", tarfile.CHRTYPE),
        "refused: it is a device",
    ),
    (
        "53 zip slip",
        lambda d: zip_with(d / "a.zip", "../evil.txt"),
        r"'../evil.txt' refused: it climbs out with '\.\.'",
    ),
    (
        "53 zip, drive",
        lambda d: zip_with(d / "a.zip", "C:\\evil.txt"),
        "refused: it names a drive",
    ),
    (
        "53 zip, symbolic link",
        lambda d: zip_with(d / "a.zip", "evil", link=True),
        "refused: it is a symbolic link",
    ),
]


@pytest.mark.parametrize(
    ("build", "message"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_an_archive_that_reaches_out_is_refused_whole(
    tmp_path: Path,
    fault: Callable[..., str],
    build: Callable[[Path], Path],
    message: str,
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()

    # `fault` finds that nothing new lies anywhere: the good file is gone too.
    fault("publish", "extract", build(inner), inner / "out", exit_code=4, message=message)

    assert not (inner / "out").exists()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_54_a_bomb_is_refused_and_nothing_of_it_stays(
    tmp_path: Path, fault: Callable[..., str], kind: str
) -> None:
    path, zeros = tmp_path / f"bomb.{kind}", bytes(30 << 20)  # a thousandth when packed
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("zeros", zeros)
    else:
        with tarfile.open(path, "w:gz") as tape:
            info = tarfile.TarInfo("zeros")
            info.size = len(zeros)
            tape.addfile(info, io.BytesIO(zeros))

    fault(
        "publish",
        "extract",
        path,
        tmp_path / "out",
        exit_code=4,
        message="member 'zeros': 31,457,280 bytes out of an archive of .* refused as a bomb",
    )

    assert not (tmp_path / "out").exists()
