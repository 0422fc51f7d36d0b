"""Reading CVAT for images 1.1: people from skeletons and boxes that share a group."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from xml.etree.ElementTree import Element

from toolkit.errors import ReadError, UnsafeInputError
from toolkit.formats.foreign import (
    ASSUMED,
    LEFT_OUT,
    UNUSABLE,
    CocoDocument,
    Record,
    foreign_error,
    foreign_finding,
)
from toolkit.formats.foreign_values import (
    PRECISION,
    Number,
    Point,
    flattened,
    labelled,
    parse_number,
    plain,
)
from toolkit.formats.foreign_xml import parse_xml, read_xml
from toolkit.report import Finding
from toolkit.schema import Schema

BOX_SUFFIX = "_box"
_SHAPES = ("skeleton", "box")
_OTHER = ("points", "polygon", "polyline", "ellipse", "cuboid", "mask", "tag")


@dataclass
class _Labels:
    """Category names, their keypoints in order and edges, and the attributes' types."""

    keypoints: dict[str, list[str]] = field(default_factory=dict)
    edges: dict[str, list[list[int]]] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        if name not in self.order:
            self.order.append(name)

    def category(self, label: str) -> str:
        """The category that a shape's label means: a box's may be `person_box`."""
        base = label.removesuffix(BOX_SUFFIX)
        return base if label not in self.order and base in self.order else label


def detect_cvat(path: Path) -> bool:
    """Whether a file's beginning is CVAT's XML."""
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 12)
    except OSError:
        return False
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", errors="ignore").encode()
    return b"<annotations" in head and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def read_cvat(path: Path, schema: Schema | None) -> tuple[CocoDocument, list[Finding]]:
    """Read the XML file.

    Raises:
        ReadError: It is no XML, no CVAT file, or CVAT's format for videos.
        UnsafeInputError: It has a DOCTYPE.
    """
    return document_of(read_xml(path), path.name, schema)


def document_of(
    root: Element, name: str, schema: Schema | None
) -> tuple[CocoDocument, list[Finding]]:
    """The COCO document that a parsed file says."""
    path = Path(name)
    if root.tag != "annotations":
        raise foreign_error(path, "", f"the root is <{root.tag[:40]}>; expected <annotations>")
    if root.find("track") is not None:
        raise foreign_error(path, "<track>", "this is CVAT for video; export CVAT for images")
    findings: list[Finding] = []
    labels = _labels(root, findings, schema)
    images: list[Record] = []
    annotations: list[Record] = []
    ids_of_images = _image_ids(root, findings)
    for number, element in enumerate(root.iterfind("image"), 1):
        place = f"image {number} '{str(element.get('name'))[:80]}'"
        image = {"id": ids_of_images[number - 1], **_image(element, place, path)}
        images.append(image)
        for record in _people(element, place, labels, findings):
            ids = {"id": len(annotations) + 1, "image_id": image["id"]}
            annotations.append({**ids, **record})
    rows = {category: row for row, category in enumerate(labels.order, 1)}
    for record in annotations:
        record["category_id"] = rows[record["category_id"]]
    document: CocoDocument = {
        "images": images,
        "annotations": annotations,
        "categories": [_category(rows[category], category, labels) for category in rows],
    }
    return document, findings


def _image(element: Element, place: str, path: Path) -> Record:
    size = [parse_number(element.get(name)) for name in ("width", "height")]
    if size[0] is None or size[1] is None or not min(size[0], size[1]) > 0:
        got = f"width {element.get('width')!r}, height {element.get('height')!r}"[:120]
        raise foreign_error(path, place, f"{got}; expected the picture's size in px")
    name = element.get("name", "")
    return {"file_name": name, "width": plain(size[0]), "height": plain(size[1])}


def _image_ids(root: Element, findings: list[Finding]) -> list[int]:
    """The images' own ids; their numbers where ids repeat, as in a project's export."""
    own = [element.get("id", "") for element in root.iterfind("image")]
    try:
        ids = [int(text) for text in own]
    except ValueError:
        ids = []
    if len(set(ids)) == len(own) and all(abs(i) < 2**63 for i in ids):
        return ids
    text = "ids repeat or are no integers; images are numbered anew"
    findings.append(foreign_finding(ASSUMED, "<image>", text, len(own)))
    return list(range(len(own)))


def _category(row: int, name: str, labels: _Labels) -> Record:
    category: Record = {"id": row, "name": name}
    if labels.keypoints.get(name):
        category["keypoints"] = labels.keypoints[name]
    if labels.edges.get(name):
        category["skeleton"] = labels.edges[name]
    return category


def _labels(root: Element, findings: list[Finding], schema: Schema | None) -> _Labels:
    """Labels from `<meta>`; without it, from the shapes, in order of appearance."""
    labels = _Labels()
    svgs: dict[str, str] = {}
    boxes = []
    for element in root.iterfind("meta/*/labels/label"):
        name, kind = element.findtext("name") or "", element.findtext("type")
        parent = element.findtext("parent")
        for attribute in element.iterfind("attributes/attribute"):
            input_type = attribute.findtext("input_type") or "text"
            labels.attributes[attribute.findtext("name") or ""] = input_type
        if parent is not None:
            names = labels.keypoints.setdefault(parent, [])
            names += [] if name in names else [name]
        elif kind == "rectangle":
            boxes.append(name)
            labels.add(name)
        else:
            labels.add(name)
            svgs.setdefault(name, element.findtext("svg") or "")
    for name in dict.fromkeys(boxes):
        base = name.removesuffix(BOX_SUFFIX)
        if base != name and base in labels.keypoints and name not in svgs:
            labels.order.remove(name)
    for name, svg in svgs.items():
        labels.edges[name] = _edges(svg, labels.keypoints.get(name, []))
    _labels_of_shapes(root, labels, findings, schema)
    return labels


def _labels_of_shapes(
    root: Element, labels: _Labels, findings: list[Finding], schema: Schema | None
) -> None:
    unknown = Counter[str]()
    for shape in root.iterfind("image/skeleton"):
        label = shape.get("label", "")
        labels.add(label)
        names = labels.keypoints.setdefault(label, [])
        for point in shape.iterfind("points"):
            if point.get("label", "") not in names:
                names.append(point.get("label", ""))
                unknown[label] += 1
    for label, count in unknown.items():
        names = labels.keypoints[label]
        if schema is not None and set(names) <= set(schema.names):
            labels.keypoints[label] = list(schema.names)
        text = f"{count} keypoints are not in <meta>; they are added in order of appearance"
        findings.append(foreign_finding(ASSUMED, f"label '{label[:80]}'", text, count))
    for shape in root.iterfind("image/box"):
        labels.add(labels.category(shape.get("label", "")))


def _edges(svg: str, names: list[str]) -> list[list[int]]:
    """1-based edges from CVAT's drawing of the skeleton."""
    try:
        root = parse_xml(f"<svg>{svg}</svg>".encode(errors="replace"), "svg")
    except (ReadError, UnsafeInputError):
        return []
    nodes = {
        circle.get("data-node-id", ""): circle.get("data-label-name", "")
        for circle in root.iter("circle")
    }
    found = []
    for line in root.iter("line"):
        ends = [nodes.get(line.get(f"data-node-{end}", ""), "") for end in ("from", "to")]
        if all(end in names for end in ends):
            found.append([names.index(end) + 1 for end in ends])
    return found


def _people(
    image: Element, place: str, labels: _Labels, findings: list[Finding]
) -> list[Record]:
    """One record for each group of a skeleton and a box, in order of appearance."""
    groups: dict[object, list[Element]] = {}
    others = Counter[str]()
    for number, shape in enumerate(image):
        if shape.tag not in _SHAPES:
            others[shape.tag] += shape.tag in _OTHER
            continue
        group = shape.get("group_id", "0")
        groups.setdefault(number if group in ("", "0") else group, []).append(shape)
    for tag, count in others.items():
        if count:
            text = f"{count} <{tag}>; only skeletons and boxes have a place here"
            findings.append(foreign_finding(LEFT_OUT, place, text, count))
    records = []
    for key, shapes in groups.items():
        tags = [shape.tag for shape in shapes]
        if len(shapes) > 1 and sorted(tags) != ["box", "skeleton"]:
            text = f"group {key} is not one skeleton and one box; its shapes stay apart"
            findings.append(foreign_finding(ASSUMED, place, text, len(shapes)))
            units = [[shape] for shape in shapes]
        else:
            units = [shapes]
        for unit in units:
            record = _person(unit, place, labels, findings)
            if record is not None:
                records.append(record)
    return records


def _person(
    shapes: list[Element], place: str, labels: _Labels, findings: list[Finding]
) -> Record | None:
    by_tag = {shape.tag: shape for shape in shapes}
    first = by_tag.get("skeleton", shapes[0])
    label = labels.category(first.get("label", ""))
    record: Record = {"category_id": label}
    if "skeleton" in by_tag and (names := labels.keypoints.get(label)):
        points = _points(by_tag["skeleton"], names, place, findings)
        if points is not None:
            record |= {"keypoints": flattened(points), "num_keypoints": labelled(points)}
    if "box" in by_tag:
        box = _box(by_tag["box"], place, findings)
        if box is not None:
            record["bbox"] = box
    record["iscrowd"] = 0
    attributes: dict[str, object] = {
        str(a.get("name")): _attribute_value(a, labels)
        for shape in shapes
        for a in shape.iterfind("attribute")
    }
    if any(shape.get("occluded") == "1" for shape in shapes):
        attributes["occluded"] = True
    if attributes:
        record["attributes"] = attributes
    return record


def _points(
    skeleton: Element, names: list[str], place: str, findings: list[Finding]
) -> list[Point] | None:
    found: dict[str, Point] = {}
    for element in skeleton.iterfind("points"):
        label, text = element.get("label", ""), element.get("points", "")
        values = [parse_number(part.strip()) for part in text[:200].split(",")]
        if len(values) != 2 or values[0] is None or values[1] is None:
            message = f"keypoint '{label[:40]}' has points {text[:40]!r}; expected 'x,y'"
            findings.append(foreign_finding(UNUSABLE, place, message))
            continue
        visibility = 1 if element.get("occluded") == "1" else 2
        visibility = 0 if element.get("outside") == "1" else visibility
        found[label] = (plain(values[0]), plain(values[1]), visibility)
    if not found and skeleton.find("points") is None:
        return None
    return [found.get(name, (0, 0, 0)) for name in names]


def _box(box: Element, place: str, findings: list[Finding]) -> list[Number] | None:
    corners = [parse_number(box.get(name)) for name in ("xtl", "ytl", "xbr", "ybr")]
    known: list[Decimal] = [corner for corner in corners if corner is not None]
    if len(known) != 4:
        shown = [str(box.get(name))[:30] for name in ("xtl", "ytl", "xbr", "ybr")]
        message = f"<box> has corners {shown}; expected four numbers"
        findings.append(foreign_finding(UNUSABLE, place, message))
        return None
    if parse_number(box.get("rotation", "0")) != 0:
        findings.append(foreign_finding(ASSUMED, place, "a turned <box> is taken unturned"))
    left, top, right, bottom = known
    spans = PRECISION.subtract(right, left), PRECISION.subtract(bottom, top)
    return [plain(value) for value in (left, top, *spans)]


def _attribute_value(element: Element, labels: _Labels) -> object:
    text = element.text or ""
    kind = labels.attributes.get(str(element.get("name")), "text")
    if kind == "checkbox" and text in ("true", "false"):
        return text == "true"
    value = parse_number(text) if kind == "number" else None
    return text if value is None else plain(value)
