"""The bytes of a JSON file, and messages that say where in them something is wrong."""

from __future__ import annotations

import codecs
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from toolkit.errors import ReadError, ResourceError
from toolkit.files import sha256_bytes

BOM = codecs.BOM_UTF8
NEEDED_PER_BYTE = 2.5  # peak memory of reading, in multiples of the file's size
_CHUNK = 1 << 22
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"7z\xbc\xaf", "7z"),
)
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CONSTANT = re.compile(rb"(?<=[\[,:\s])(?:-?Infinity|-?NaN)(?=[\],}\s])")


@dataclass(frozen=True)
class Text:
    """A file's bytes.

    Attributes:
        path: Where it was read from.
        prefix: The byte order mark, or nothing.
        data: Everything after it, UTF-8.
    """

    path: Path
    prefix: bytes
    data: bytes

    def digest(self) -> str:
        """SHA-256 of the whole file."""
        if self.prefix:
            return sha256_bytes(self.prefix + self.data)
        return sha256_bytes(self.data)

    def fail(self, reason: str) -> NoReturn:
        """Raise a ReadError that names the file."""
        raise ReadError(f"{self.path.name}: {reason}")

    def fail_at(self, offset: int, reason: str) -> NoReturn:
        """Raise a ReadError that names the file, the byte, and its line and column."""
        line = self.data.count(b"\n", 0, offset) + 1
        column = offset - self.data.rfind(b"\n", 0, offset)
        at = offset + len(self.prefix)
        self.fail(f"byte {at:,} (line {line}, column {column}): {reason}")


def load_text(path: Path) -> Text:
    """Read a file that should be JSON in UTF-8.

    Raises:
        ReadError: It cannot be read, is empty, is compressed, or is not UTF-8.
        ResourceError: It is larger than the memory that is left; nothing was read.
    """
    try:
        if path.is_dir():
            raise ReadError(f"{path}: is a folder; expected a JSON file")
        size = path.stat().st_size
        check_memory(path, size)
        # Unbuffered: one allocation of the file's size, no second copy of it.
        with path.open("rb", buffering=0) as stream:
            prefix, data = _read(stream)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(f"{path}: cannot read: {reason}") from error
    text = Text(path, prefix, data)
    _check_bytes(text)
    return text


def _read(stream: io.FileIO) -> tuple[bytes, bytes]:
    """The byte order mark, where there is one, and everything after it."""
    if not stream.seekable():  # a pipe
        content = stream.readall()
        prefix = BOM if content.startswith(BOM) else b""
        return prefix, content.removeprefix(BOM)
    prefix = stream.read(len(BOM)) or b""
    if prefix != BOM:
        stream.seek(0)
        prefix = b""
    return prefix, stream.readall()


def check_memory(path: Path, size: int) -> None:
    """Refuse a file that cannot fit, before anything is allocated.

    Raises:
        ResourceError: Reading needs more memory than is available.
    """
    free = _available_memory()
    if size * NEEDED_PER_BYTE > free:
        raise ResourceError(
            f"{path.name}: {size:,} bytes need about {int(size * NEEDED_PER_BYTE):,} bytes "
            f"of memory to read; {free:,} are available; use a larger machine or split it"
        )


def _available_memory() -> int:
    """Bytes that can still be allocated: the machine's, or the control group's if less."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text("ascii"))
        free = int(found[1]) * 1024 if found else free
    group = Path("/sys/fs/cgroup")
    limit, used = group / "memory.max", group / "memory.current"
    if limit.exists() and used.exists() and (most := limit.read_text().strip()) != "max":
        # Page cache counts as used although it can be given back.
        stat = (group / "memory.stat").read_text()
        cached = re.search(r"^inactive_file (\d+)", stat, re.MULTILINE)
        reclaimable = int(cached[1]) if cached else 0
        free = min(free, int(most) - int(used.read_text()) + reclaimable)
    return free


def _check_bytes(text: Text) -> None:
    head = text.data[:8]
    if len(text.data) < _CHUNK and not text.data.strip(b" \t\r\n"):
        text.fail("empty; expected a JSON document")
    for magic, name in _MAGIC:
        if head.startswith(magic):
            text.fail(
                f"{name} data (it begins with {magic.hex(' ')}), not JSON; unpack it first"
            )
    if head.startswith(_WIDE) or b"\x00" in head[:2]:
        text.fail("byte 0: UTF-16 or UTF-32, not UTF-8; save the file as UTF-8")
    if not text.data.isascii():
        _check_utf8(text)


def _check_utf8(text: Text) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for begin in range(0, len(text.data), _CHUNK):
        chunk = text.data[begin : begin + _CHUNK]
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(chunk, final=begin + _CHUNK >= len(text.data))
        except UnicodeDecodeError as error:
            at = begin - held + error.start
            value = text.data[at]
            text.fail_at(at, f"byte 0x{value:02x} is not UTF-8; save the file as UTF-8")


def without_constants(data: bytes) -> tuple[bytes, list[int]]:
    """The text with NaN and Infinity tokens replaced by zeros of the same length.

    Only for finding out where they are: text inside strings may be hit as well.

    Returns:
        The patched text and the offsets of the tokens.
    """
    offsets = [match.start() for match in _CONSTANT.finditer(data)]
    return _CONSTANT.sub(lambda m: b"0".ljust(len(m[0])), data), offsets
