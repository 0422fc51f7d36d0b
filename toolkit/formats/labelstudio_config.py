"""Label Studio's labelling configuration: which labels are keypoints, which are boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from toolkit.errors import ToolkitError
from toolkit.formats.foreign_xml import read_xml

_MAX_BYTES = 1 << 20
_MAX_FILES = 50


@dataclass(frozen=True)
class Config:
    """A labelling configuration.

    Attributes:
        name: File name.
        points: Labels of all KeyPointLabels controls, in order.
        boxes: Labels of all RectangleLabels controls, in order.
        controls: Names of the controls.
    """

    name: str
    points: tuple[str, ...]
    boxes: tuple[str, ...]
    controls: frozenset[str]


def config_beside(path: Path, controls: set[str]) -> Config | None:
    """The configuration in an export's folder that has all controls the export names.

    Label Studio's JSON export leaves the configuration out; it stands under Settings,
    Labeling Interface, Code. A file that is no configuration is passed over.
    """
    files = sorted(file for file in path.parent.glob("*.xml") if file.is_file())
    for file in files[:_MAX_FILES]:
        if file.stat().st_size > _MAX_BYTES:
            continue
        try:
            found = config_of(read_xml(file), file.name)
        except ToolkitError:
            continue
        if found.points and controls <= found.controls:
            return found
    return None


def config_of(root: Element, name: str) -> Config:
    """What a parsed configuration says."""
    points, boxes = root.findall(".//KeyPointLabels"), root.findall(".//RectangleLabels")
    return Config(
        name,
        _labels(points),
        _labels(boxes),
        frozenset(e.get("name", "") for e in root.iter() if e.get("toName") is not None),
    )


def _labels(controls: list[Element]) -> tuple[str, ...]:
    found = [
        label.get("alias") or label.get("value") or ""
        for control in controls
        for label in control.iterfind(".//Label")
    ]
    return tuple(dict.fromkeys(label for label in found if label))
