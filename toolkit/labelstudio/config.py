"""The labelling interface for a schema, as Label Studio's XML.

One rectangle for the person, one keypoint label for each keypoint (body, then what reaches
beyond it), a visibility choice for the keypoint that is selected, and the annotation's id on
the rectangle. The controls' names are those that `toolkit.formats.labelstudio` writes.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from toolkit.errors import InvalidDataError
from toolkit.formats.foreign import Record
from toolkit.formats.foreign_values import categories_of, keypoint_names
from toolkit.formats.labelstudio_regions import (
    ABSENT,
    BOX,
    IMAGE,
    INSTANCE,
    OCCLUDED,
    POINT_WIDTH,
    POINTS,
    VISIBILITY,
    VISIBLE,
)
from toolkit.schema import Schema

NOTE = "note"  # key of a task's data: what the annotator should look at
# What the left hand reaches while the right one holds the mouse, without the keys that
# Label Studio's own tools answer to (b e h k m o p r u v w). A keypoint's mirror image has
# the same key with Shift.
PERSON_KEYS = "`"
FLAG_KEYS = {VISIBLE: "1", OCCLUDED: "2", ABSENT: "3"}
POINT_KEYS = ("q", "a", "z", "s", "x", "d", "c", "f", "t", "g", *"4567", *"yijln890")
BOX_COLORS = ("#ff7a00", "#00a2ff", "#b400ff", "#00b36b", "#8a8a8a")
# The id of a person has a line of its own in the list of regions; without this rule every
# keypoint would have an empty one. Where Label Studio renames its classes, they come back.
_STYLE = ".lsf-tree__node_type_keypointregion .lsf-outliner-item__ocr { display: none; }"
_GROUPS = {"body": "Body", "extension": "Beyond the body"}

INSTRUCTIONS = (
    "Each person is a box with its keypoints inside it in the list of regions; the number "
    "beside the box is the person's id.",
    "Drag a keypoint that is wrong. Select it and press {visible} for visible, {occluded} for "
    "hidden (you know where it is, though you do not see it), {absent} for absent.",
    "To add a keypoint, press its key and click; then drag the new region onto its person's "
    "box in the list.",
    "Where the picture has a grey margin, keypoints may lie there: the person or the stick "
    "goes on beyond the camera's picture.",
)


def instructions() -> tuple[str, ...]:
    """What an annotator has to know, a sentence or two each."""
    return tuple(text.format(**FLAG_KEYS) for text in INSTRUCTIONS)


def config_of_source(source: str) -> tuple[str, str]:
    """The interface for a schema (a name or a YAML file) or for an annotation file.

    Returns:
        The XML, and the schema's name.

    Raises:
        UsageError: It is neither.
        ReadError: The file cannot be read.
        InvalidDataError: It holds an integer of thousands of digits.
    """
    from toolkit import formats
    from toolkit.formats.coco_write import document_of_dataset

    is_schema = source in Schema.builtin_names() or Path(source).suffix in (".yaml", ".yml")
    if is_schema or not Path(source).exists():
        schema = Schema.load(source)
        return config_xml([schema.coco_category()], schema), schema.name
    dataset = formats.scan(Path(source)).dataset
    document = document_of_dataset(dataset)
    return config_xml(categories_of(document, dataset.schema), dataset.schema), (
        dataset.schema.name
    )


def config_xml(categories: Sequence[Record], schema: Schema) -> str:
    """The labelling interface for a document's categories.

    Args:
        categories: COCO categories; every one becomes a rectangle label, and the keypoint
            labels are all their keypoints.
        schema: Tells which keypoints belong to the body.

    Returns:
        XML; all names are escaped.

    Raises:
        InvalidDataError: A name holds a character that XML cannot hold.
    """
    names = dict.fromkeys(name for one in categories for name in keypoint_names(one))
    boxes = dict.fromkeys(str(one.get("name")) for one in categories)
    for name in (*names, *boxes):
        _check(name)
    view = Element("View")
    SubElement(view, "Header", value=f"${NOTE}", size="4")
    SubElement(
        view,
        "Image",
        name=IMAGE,
        value=f"${IMAGE}",
        zoom="true",
        zoomControl="true",
        rotateControl="false",
    )
    _boxes(view, list(boxes))
    _points(view, list(names), schema)
    _flags(view)
    _identity(view)
    SubElement(view, "Style").text = _STYLE
    panel = SubElement(SubElement(view, "Collapse"), "Panel", value="How to label")
    for text in instructions():
        SubElement(panel, "Header", value=text, size="6")
    indent(view)
    return tostring(view, encoding="unicode") + "\n"


def _boxes(view: Element, names: list[str]) -> None:
    control = SubElement(
        view,
        "RectangleLabels",
        name=BOX,
        toName=IMAGE,
        strokeWidth="2",
        opacity="0.1",
        canRotate="false",
    )
    keys = [PERSON_KEYS, *[f"shift+{number}" for number in range(1, 10)]]
    for row, name in enumerate(names):
        label = SubElement(
            control, "Label", value=name, background=BOX_COLORS[row % len(BOX_COLORS)]
        )
        if row < len(keys):
            label.set("hotkey", keys[row])


def _points(view: Element, names: list[str], schema: Schema) -> None:
    """Groups by what the schema says; a keypoint that it does not know is of the body."""
    group_of = {keypoint.name: keypoint.group for keypoint in schema.keypoints}
    groups: dict[str, list[str]] = {group: [] for group in _GROUPS}
    for name in names:
        groups[group_of.get(name, "body")].append(name)
    control = SubElement(
        view,
        "KeyPointLabels",
        name=POINTS,
        toName=IMAGE,
        strokeWidth=f"{POINT_WIDTH:g}",
        opacity="0.9",
    )
    keys = _keys(list(names), schema)
    row = 0
    for group, members in groups.items():
        if not members:
            continue
        box = SubElement(control, "View")
        SubElement(box, "Header", value=_GROUPS[group], size="5")
        for name in members:
            label = SubElement(box, "Label", value=name, background=color_of(row, len(names)))
            if name in keys:
                label.set("hotkey", keys[name])
            row += 1


def _keys(names: list[str], schema: Schema) -> dict[str, str]:
    """A key for each keypoint while there are any: mirror images share one."""
    partner = {keypoint.name: keypoint.flip or keypoint.name for keypoint in schema.keypoints}
    free = iter([*POINT_KEYS, *[f"shift+{key}" for key in reversed(POINT_KEYS)]])
    taken: dict[str, str] = {}
    for name in names:
        own = taken.get(partner.get(name, name), "shift+")
        if own.startswith("shift+"):
            key = next((each for each in free if each not in taken.values()), None)
        else:
            key = f"shift+{own}"
        if key is not None:
            taken[name] = key
    return taken


def _flags(view: Element) -> None:
    control = SubElement(
        view,
        "Choices",
        name=VISIBILITY,
        toName=IMAGE,
        perRegion="true",
        choice="single",
        showInline="true",
        visibleWhen="region-selected",
        whenTagName=POINTS,
    )
    for flag, key in FLAG_KEYS.items():
        SubElement(control, "Choice", value=flag, hotkey=key)


def _identity(view: Element) -> None:
    SubElement(
        view,
        "TextArea",
        name=INSTANCE,
        toName=IMAGE,
        perRegion="true",
        displayMode="region-list",
        editable="false",
        maxSubmissions="1",
        visibleWhen="region-selected",
        whenTagName=BOX,
    )


def color_of(row: int, count: int) -> str:
    """One of `count` colours that are far apart: hues in turn, lightness alternating.

    Returns:
        `#rrggbb`.
    """
    lightness = (0.5, 0.35, 0.65)[row % 3]
    rgb = colorsys.hls_to_rgb(row / max(count, 1), lightness, 0.95)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def _check(name: str) -> None:
    """XML 1.0 has no way to write control characters or half of a surrogate pair."""
    for character in name:
        code = ord(character)
        allowed = code in (9, 10, 13) or code >= 32
        if not allowed or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF):
            raise InvalidDataError(
                f"label {name!r}: the character U+{code:04X} cannot stand in a labelling "
                "interface; rename the keypoint or category"
            )
