"""CVAT for images 1.1: one XML file with skeletons and boxes.

A person is a `<skeleton>` and a `<box>` that share a `group_id`; either may stand alone.
Of a keypoint, `outside="1"` is visibility 0, `occluded="1"` is 1, else 2; coordinates are
kept under all three. Attributes of the annotation (`attributes`, as CVAT's own COCO export
has them) are `<attribute>` elements. CVAT wants a label of its own for the box: the
category's name and `_box`. Coordinates are decimals, so a box comes back as it was.
"""

from __future__ import annotations

import re
from decimal import Decimal
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from toolkit.errors import InvalidDataError
from toolkit.formats.cvat_read import (
    BOX_SUFFIX,
    detect_cvat,
    document_of,
    read_cvat,
)
from toolkit.formats.foreign import FILE, CocoDocument, Files, Foreign, Record, records_of
from toolkit.formats.foreign_values import (
    PRECISION,
    Number,
    Point,
    box_of,
    categories_of,
    category_row,
    decimal_of,
    is_number,
    keypoint_names,
    people_by_image,
    plain,
    points_of,
    size_of,
    text_of,
    without_image,
)
from toolkit.formats.foreign_xml import parse_xml
from toolkit.schema import Schema

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def decode(files: Files) -> CocoDocument:
    """The document that the XML says."""
    return document_of(parse_xml(files[FILE], "annotations.xml"), "", None)[0]


def encode(document: CocoDocument, schema: Schema) -> Files:
    """The XML file."""
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    categories = categories_of(document, schema)
    images, records = records_of(document, "images"), records_of(document, "annotations")
    _write_meta(root, categories, records, len(images))
    people, _ = people_by_image(document)
    ids = _image_ids(images)
    for row, image in enumerate(images):
        width, height = size_of(image, row)
        element = SubElement(root, "image", id=str(ids[row]), name=str(image.get("file_name")))
        element.set("width", text_of(width))
        element.set("height", text_of(height))
        for index in people[row]:
            category = categories[category_row(categories, records[index], index)]
            _write_person(element, records[index], category, index + 1)
    indent(root)
    text = tostring(root, encoding="unicode")
    bad = _NOT_XML.search(text)
    if bad is not None:
        shown = text[max(bad.start() - 40, 0) : bad.end() + 20]
        raise InvalidDataError(
            f"the character U+{ord(bad[0]):04X} cannot stand in XML, near {shown!r}; correct it"
        )
    return {FILE: f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()}


def _image_ids(images: list[Record]) -> list[int]:
    """The images' own ids where all are different integers, else their numbers."""
    ids = [image.get("id") for image in images]
    own = [i for i in ids if isinstance(i, int) and not isinstance(i, bool)]
    return own if len(set(own)) == len(images) else list(range(len(images)))


def _write_meta(
    root: Element, categories: list[Record], records: list[Record], count: int
) -> None:
    meta = SubElement(SubElement(root, "meta"), "task")
    SubElement(meta, "size").text = str(count)
    SubElement(meta, "mode").text = "annotation"
    labels = SubElement(meta, "labels")
    kinds = _attribute_kinds(records)
    boxes: set[str] = set()
    for name, names, skeleton in _by_name(categories):
        if names:
            label = _label(labels, name, "skeleton", kinds)
            SubElement(label, "svg").text = _svg(names, skeleton)
        for keypoint in names:
            SubElement(_label(labels, keypoint, "points", {}), "parent").text = name
        box = name + BOX_SUFFIX if names else name
        if box not in boxes:
            _label(labels, box, "rectangle", kinds)
        boxes.add(box)


def _by_name(categories: list[Record]) -> list[tuple[str, list[str], object]]:
    """Name, keypoints and edges of each label: categories of one name become one label."""
    found: dict[str, tuple[list[str], object]] = {}
    for category in categories:
        name, own = str(category.get("name")), keypoint_names(category)
        names, skeleton = found.get(name, ([], None))
        # The edges number the keypoints of the first category, which stand first.
        skeleton = skeleton if names else category.get("skeleton")
        found[name] = ([*dict.fromkeys([*names, *own])], skeleton)
    return [(name, *kept) for name, kept in found.items()]


def _label(labels: Element, name: str, kind: str, attributes: dict[str, str]) -> Element:
    label = SubElement(labels, "label")
    SubElement(label, "name").text = name
    SubElement(label, "type").text = kind
    below = SubElement(label, "attributes")
    for attribute, input_type in attributes.items():
        element = SubElement(below, "attribute")
        SubElement(element, "name").text = attribute
        SubElement(element, "mutable").text = "True"
        SubElement(element, "input_type").text = input_type
        values = "false" if input_type == "checkbox" else ""
        SubElement(element, "default_value").text = values
        SubElement(element, "values").text = values
    return label


def _attribute_kinds(records: list[Record]) -> dict[str, str]:
    """CVAT's input type of each attribute: the one that all its values fit."""
    values: dict[str, set[str]] = {}
    for record in records:
        for name, value in _attributes(record).items():
            kind = "checkbox" if isinstance(value, bool) else "text"
            kind = "number" if is_number(value) else kind
            values.setdefault(name, set()).add(kind)
    return {name: k.pop() if len(k) == 1 else "text" for name, k in values.items()}


def _attributes(record: Record) -> dict[str, object]:
    """Attributes that XML can hold; `occluded` true is the shape's own."""
    found = record.get("attributes")
    return {
        name: value
        for name, value in (found.items() if isinstance(found, dict) else ())
        if isinstance(value, bool | str) or is_number(value)
        if not (name == "occluded" and value is True)
    }


def _svg(names: list[str], skeleton: object) -> str:
    """The skeleton as CVAT's constructor stores it: nodes on a ring, and edges."""
    import math

    nodes = []
    for k in range(len(names)):
        angle = 2 * math.pi * k / len(names)
        nodes.append((50 + 40 * math.sin(angle), 50 - 40 * math.cos(angle)))
    root = Element("svg")
    for edge in skeleton if isinstance(skeleton, list) else ():
        if isinstance(edge, list) and len(edge) == 2 and all(type(n) is int for n in edge):
            if not all(1 <= n <= len(names) for n in edge):
                continue
            ends = [nodes[n - 1] for n in edge]
            line = SubElement(root, "line", {"data-type": "edge"})
            for n, (axis, (x, y)) in enumerate(zip(("1", "2"), ends, strict=True)):
                line.set(f"x{axis}", f"{x:.3f}")
                line.set(f"y{axis}", f"{y:.3f}")
                line.set("data-node-from" if n == 0 else "data-node-to", str(edge[n]))
    for k, (x, y) in enumerate(nodes, 1):
        circle = SubElement(root, "circle", r="1.5", cx=f"{x:.3f}", cy=f"{y:.3f}")
        circle.set("data-type", "element node")
        circle.set("data-element-id", str(k))
        circle.set("data-node-id", str(k))
        circle.set("data-label-name", names[k - 1])
    return "".join(tostring(child, encoding="unicode") for child in root)


def _write_person(image: Element, record: Record, category: Record, group: int) -> None:
    names = keypoint_names(category)
    points, box = points_of(record) or [], box_of(record)
    has_points = bool(names) and len(points) == len(names)
    attributes = record.get("attributes")
    hidden = isinstance(attributes, dict) and attributes.get("occluded") is True
    common = {
        "source": "manual",
        "occluded": "1" if hidden else "0",
        "z_order": "0",
        "group_id": str(group),
    }
    label = str(category.get("name"))
    if has_points or box is None:
        shape = SubElement(image, "skeleton", {"label": label, **common})
        _write_points(shape, names, points if has_points else [])
        _write_attributes(shape, record)
    if box is not None:
        shape = SubElement(image, "box", {"label": label + BOX_SUFFIX if names else label})
        shape.attrib.update(_corners(box) | common)
        if not has_points:
            _write_attributes(shape, record)


def _write_points(shape: Element, names: list[str], points: list[Point]) -> None:
    for name, (x, y, visibility) in zip(names, points, strict=False):
        SubElement(
            shape,
            "points",
            label=name,
            outside="1" if visibility == 0 else "0",
            occluded="1" if visibility == 1 else "0",
            points=f"{text_of(x)},{text_of(y)}",
        )


def _corners(box: list[Number]) -> dict[str, str]:
    """A box's corners: the sums are written as exact decimals."""
    left, top, width, height = map(decimal_of, box)
    right, bottom = PRECISION.add(left, width), PRECISION.add(top, height)
    corners = {"xtl": left, "ytl": top, "xbr": right, "ybr": bottom}
    return {name: _shortest(value) for name, value in corners.items()}


def _shortest(value: Decimal) -> str:
    number = plain(value)
    return text_of(number) if decimal_of(number) == value else str(value)


def _write_attributes(shape: Element, record: Record) -> None:
    for name, value in _attributes(record).items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        SubElement(shape, "attribute", name=name).text = text


CVAT = Foreign(
    name="cvat",
    suffixes=(".xml",),
    description="CVAT for images 1.1 (XML): skeletons, and boxes in the same group",
    is_folder=False,
    detect=detect_cvat,
    to_coco=read_cvat,
    encode=encode,
    decode=decode,
    dropped=without_image,
    numbered=frozenset({"annotations"}),
)
