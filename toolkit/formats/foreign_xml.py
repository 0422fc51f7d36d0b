"""XML of unknown origin: no DOCTYPE, so no entities, no external files, no bombs."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from toolkit.errors import ReadError, UnsafeInputError
from toolkit.formats.text import check_memory


def read_xml(path: Path) -> Element:
    """The root element of an XML file.

    Raises:
        ReadError: It cannot be read, or is not XML (with line and column).
        UnsafeInputError: It has a DOCTYPE, which annotation files never need.
        ResourceError: It is larger than the memory that is left.
    """
    try:
        check_memory(path, path.stat().st_size)
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(f"{path}: cannot read: {reason}") from error
    return parse_xml(data, path.name)


def parse_xml(data: bytes, name: str) -> Element:
    """The root element of an XML document; `name` is for messages."""

    def refuse(*_: object) -> None:
        raise UnsafeInputError(
            f"{name}: line {parser.CurrentLineNumber}: a DOCTYPE; refused, because entities "
            "can read files and fill the memory; remove the declaration"
        )

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise ReadError(
            f"{name}: line {error.lineno}, column {error.offset + 1}: not XML: {reason}"
        ) from error
    except (ValueError, LookupError) as error:  # an encoding nobody knows
        raise ReadError(f"{name}: not XML: {error}") from error
    root: Element = builder.close()
    return root
