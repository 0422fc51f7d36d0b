"""Changes to a document, written into its bytes: everything else stays as it was spelled."""

from __future__ import annotations

import msgspec

from toolkit.errors import InvalidDataError
from toolkit.formats.changes import Changes, SectionChanges
from toolkit.formats.compare import MISSING, SECTIONS, same
from toolkit.formats.document import (
    Document,
    Edit,
    field_texts,
    number_tokens,
    patch_record,
    with_tokens,
)
from toolkit.formats.encode import number_text
from toolkit.formats.parse import parse, section_around, section_of
from toolkit.formats.text import BOM, Text


def patched_bytes(text: Text, changes: Changes) -> bytes:
    """A file's bytes with changes applied.

    Raises:
        InvalidDataError: The file has no list that a new record could be added to.
    """
    if not changes:
        return text.prefix + text.data
    document = document_of(text)
    edits = {
        name: _edit(document, name, section)
        for name, section in changes.sections.items()
        if section
    }
    data = b"".join(document.render(edits))
    if not changes.top:
        return data
    # Rare and slow: a top-level key changed, so the document itself is patched as a record.
    prefix = BOM if data.startswith(BOM) else b""
    fields = {key: msgspec.json.encode(value).decode() for key, value in changes.top.items()}
    return prefix + patch_record(data.removeprefix(prefix).strip(), fields)


def document_of(text: Text) -> Document:
    """A COCO file's bytes and where its records lie."""
    parsed = parse(text)
    sections = {}
    for name in SECTIONS:
        if parsed.lists.get(name):
            sections[name] = section_around(parsed.data, name, parsed.lists[name])
        elif name in parsed.top:
            try:
                sections[name], _ = section_of(parsed.data, name, parsed.top[name])
            except msgspec.ValidationError:
                continue  # no list: the COCO reader says so
    return Document(text.prefix, text.data, sections)


def _edit(document: Document, name: str, changes: SectionChanges) -> Edit:
    if name not in document.sections:
        raise InvalidDataError(
            f"the original has no list '{name}' to change or to add to; convert without "
            "the sidecar"
        )
    replaced = {
        index: _patched(document.record(name, index), fields)
        for index, fields in changes.fields.items()
        if index not in changes.removed
    }
    order = None
    if changes.removed:
        count = len(document.sections[name])
        order = [index for index in range(count) if index not in changes.removed]
    added = tuple(msgspec.json.encode(record) for record in changes.added)
    return Edit(replaced, order, added)


def _patched(record: bytes, fields: dict[str, object]) -> bytes:
    texts, values = field_texts(record), msgspec.json.decode(record)
    return patch_record(
        record,
        {
            key: None
            if value is MISSING
            else spelled(value, values.get(key, MISSING), texts.get(key))
            for key, value in fields.items()
        },
    )


def spelled(new: object, old: object, text: str | None) -> str:
    """A new value as JSON; a number in the way of the one it replaces.

    Args:
        new: The value.
        old: The value that it replaces.
        text: How that one is spelled.
    """
    if _is_number(new) and _is_number(old) and text is not None:
        return number_text(float(new) if isinstance(old, float) else new, text)  # type: ignore[arg-type]
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        tokens = number_tokens(text)
        if len(tokens) == len(new) and all(map(_is_number, new)):
            return with_tokens(
                text,
                [
                    token if same(value, before) else number_text(value, token)
                    for value, before, token in zip(new, old, tokens, strict=True)
                ],
            )
    return msgspec.json.encode(new).decode()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
