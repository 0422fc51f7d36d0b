"""Where the annotator's browser finds the pictures: uploaded, in a served folder, or by URL."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import quote, urlsplit

from toolkit.errors import InvalidDataError, ServiceError, UsageError, WriteError
from toolkit.formats.foreign_values import picture_size
from toolkit.formats.labelstudio import Padding
from toolkit.labelstudio.client import Client

PADDED = "toolkit-padded"  # folder for padded pictures in a folder that the server serves
_TOGETHER = 10  # pictures of one request
_MARGIN_RULE = "1"  # changes when padded pictures are made in another way
_QUALITY = 95
_UPLOADED = re.compile(r"-([0-9a-f]{16})\.[a-z]+$")


@dataclass(frozen=True)
class Picture:
    """One frame's picture.

    Attributes:
        path: The file.
        name: As the annotation file says.
        padding: Margin to add, px on each side; None for none.
        mark: Sixteen hex digits of its bytes and its margin: the same picture, the same mark.
    """

    path: Path
    name: str
    padding: Padding | None
    mark: str

    @classmethod
    def of(
        cls, path: Path, name: str, size: tuple[float, float], pad: Padding | None
    ) -> Picture:
        """A picture whose size is what the annotation file says.

        Raises:
            InvalidDataError: It cannot be read, or has another size: then the labels would
                not lie where they belong.
        """
        found = picture_size(path)
        if found is None:
            raise InvalidDataError(f"{path}: no picture that a browser can show")
        if found != size:
            raise InvalidDataError(
                f"{path}: is {found[0]} x {found[1]} px; its record says {size[0]:g} x "
                f"{size[1]:g}; correct the record, or name the right folder with --images"
            )
        digest = hashlib.sha256(path.read_bytes())
        if pad is not None:
            digest.update(f"{_MARGIN_RULE} {pad}".encode())
        return cls(path, name, pad, digest.hexdigest()[:16])

    @property
    def stored_name(self) -> str:
        """A name for a copy: readable, plain ASCII, and with the mark."""
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", PurePosixPath(self.name).stem)[:60]
        suffix = PurePosixPath(self.name).suffix.lower()
        keeps = suffix in (".jpg", ".jpeg", ".png", ".webp") and self.padding is None
        if not keeps:
            suffix = ".jpg" if suffix in (".jpg", ".jpeg") else ".png"
        return f"{stem or 'frame'}-{self.mark}{suffix}"

    def content(self) -> bytes:
        """The bytes to show: the file's own, or with the margin round it."""
        if self.padding is None:
            return self.path.read_bytes()
        from toolkit.images import load_image
        from toolkit.ink import encode_jpeg, encode_png, hatched

        left, top, right, bottom = self.padding
        pixels = load_image(self.path)
        height, width = pixels.shape[:2]
        canvas = hatched(width + left + right, height + top + bottom)
        canvas[top : top + height, left : left + width] = pixels
        lossy = self.stored_name.endswith(".jpg")
        return encode_jpeg(canvas, _QUALITY) if lossy else encode_png(canvas)


class Host(Protocol):
    """Where pictures are put."""

    def addresses(self, pictures: Sequence[Picture]) -> list[str]:
        """Their addresses for the tasks; puts there what is not there yet."""


class Uploads:
    """Pictures that are uploaded into the project; what is there already is not sent again."""

    def __init__(self, client: Client, project: int) -> None:
        """Ask what is there."""
        self.client, self.project = client, project
        self.known: dict[str, str] = {}
        self._learn(client.get(f"/api/projects/{project}/file-uploads", all="true"))

    def addresses(self, pictures: Sequence[Picture]) -> list[str]:
        """See `Host`."""
        wanted = {p.mark: p for p in pictures if p.mark not in self.known}
        missing = list(wanted.values())
        for start in range(0, len(missing), _TOGETHER):
            files = [(p.stored_name, p.content()) for p in missing[start : start + _TOGETHER]]
            path = f"/api/projects/{self.project}"
            answer = self.client.post(f"{path}/import", files=files, commit_to_project="false")
            ids = answer.get("file_upload_ids") if isinstance(answer, dict) else None
            self._learn(self.client.get(f"{path}/file-uploads", ids=str(ids or [])))
        lost = [p.name for p in pictures if p.mark not in self.known]
        if lost:
            raise ServiceError(
                f"{self.client.server.url}: took {len(lost)} pictures and does not list them, "
                f"the first '{lost[0]}'"
            )
        return [self.known[p.mark] for p in pictures]

    def _learn(self, listed: object) -> None:
        for row in listed if isinstance(listed, list) else ():
            file = row.get("file") if isinstance(row, dict) else None
            match = _UPLOADED.search(file) if isinstance(file, str) else None
            if match is not None:
                self.known[match[1]] = f"/data/{file}"


class Links:
    """Pictures that somebody serves; padded ones are uploaded."""

    def __init__(self, prefix: str, uploads: Uploads) -> None:
        """Remember the address that comes before each file name; see `check_prefix`."""
        self.prefix, self.uploads = prefix.rstrip("/") + "/", uploads

    def addresses(self, pictures: Sequence[Picture]) -> list[str]:
        """See `Host`."""
        padded = [picture for picture in pictures if picture.padding is not None]
        made = iter(self.uploads.addresses(padded))
        return [
            next(made) if p.padding is not None else self.prefix + quote(p.name)
            for p in pictures
        ]


def check_prefix(prefix: str) -> None:
    """Refuse what cannot stand before file names.

    Raises:
        UsageError: It is no http, https, s3, gs or azure-blob address, or has a query.
    """
    try:
        parts = urlsplit(prefix)
    except ValueError:
        raise UsageError(f"--image-url '{prefix}': is no URL") from None
    if parts.scheme not in ("http", "https", "s3", "gs", "azure-blob"):
        raise UsageError(f"--image-url '{prefix}': wanted http, https, s3, gs or azure-blob")
    if parts.query or parts.fragment:
        raise UsageError(
            "--image-url holds a query or a fragment, and file names are added to its "
            "end; wanted https://HOST/FOLDER"
        )


def check_served(picture: Picture, root: Path) -> None:
    """Refuse a picture that does not lie in a folder below the server's document root.

    Those with a margin are written there.

    Raises:
        UsageError: It lies elsewhere.
    """
    path, root = picture.path.resolve(), root.resolve()
    fits = path.is_relative_to(root) and path.parent != root
    if picture.padding is None and not fits:
        raise UsageError(
            f"--local-files {root}: '{path}' does not lie in a folder below it; Label Studio "
            "serves only such files"
        )


class LocalFiles:
    """Pictures in a folder of this machine that the server serves as it is.

    Label Studio calls the folder its document root, and wants a storage for each folder in
    it that tasks may show.
    """

    def __init__(self, client: Client, project: int, root: Path, served: str | None) -> None:
        """Remember the folder.

        Args:
            client: The connection.
            project: The project's id.
            root: The document root, as this machine sees it.
            served: The same folder as the server sees it; None where that is the same.
        """
        self.client, self.project = client, project
        self.root = root.resolve()
        self.served = PurePosixPath(served or str(self.root))
        path = "/api/storages/localfiles/"
        listed = client.get(path, project=project)
        rows = listed if isinstance(listed, list) else []
        self.storages = {str(row.get("path")) for row in rows if isinstance(row, dict)}

    def addresses(self, pictures: Sequence[Picture]) -> list[str]:
        """See `Host`."""
        return [self._address(picture) for picture in pictures]

    def _address(self, picture: Picture) -> str:
        path = picture.path.resolve()
        if picture.padding is not None:
            path = self.root / PADDED / str(self.project) / picture.stored_name
            self._write(path, picture)
        check_served(picture, self.root)
        inside = path.relative_to(self.root)
        self._allow(str(self.served / inside.parts[0]))
        return f"/data/local-files/?d={quote(inside.as_posix())}"

    def _write(self, path: Path, picture: Picture) -> None:
        from toolkit.files import write_bytes

        if path.exists():
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError(
                f"--local-files {self.root}: the folder '{path.parent}' for pictures with a "
                f"margin cannot be made: {error.strerror}; make it, or leave --local-files out"
            ) from error
        write_bytes(path, picture.content())

    def _allow(self, folder: str) -> None:
        """Make a storage for a folder, once."""
        if folder in self.storages:
            return
        body = {"project": self.project, "path": folder, "use_blob_urls": True}
        body["title"] = f"pictures in {PurePosixPath(folder).name}"
        self.client.post("/api/storages/localfiles/", body)
        self.storages.add(folder)
