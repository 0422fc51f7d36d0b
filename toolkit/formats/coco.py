"""COCO keypoint files, and CrowdPose's, which are the same JSON with other fields.

Read leniently: whatever does not fit into arrays becomes a finding, and stays in the
document. CrowdPose's files have no `area`, a `crowdIndex` for each image, and COCO's
17-point skeleton on 14 keypoints; all of that is kept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Raw

from toolkit.annotations import Annotations, Images, Visibility
from toolkit.dataset import Dataset
from toolkit.formats.base import Format, Scan, collector_off
from toolkit.formats.categories import choose_schema, decode_categories
from toolkit.formats.coco_write import CocoSource, write_coco
from toolkit.formats.decode import decode_annotations
from toolkit.formats.decode_images import decode_images
from toolkit.formats.document import Document, field_texts
from toolkit.formats.lint import lint_record, lint_section
from toolkit.formats.parse import TOO_DEEP, Parsed, Section, parse, section_around, section_of
from toolkit.formats.rules import Findings
from toolkit.formats.text import BOM, Text, load_text
from toolkit.report import Finding
from toolkit.schema import Schema

SECTIONS = ("images", "annotations", "categories")
NOT_IN_CROWDPOSE = ("area", "segmentation")
_KIND = {b"{": "an object", b'"': "a string", b"t": "true", b"f": "false", b"n": "null"}
_OBJECT = re.compile(rb"[ \t\r\n]*\{")
_HEAD = 4096
_KEYPOINTS = re.compile(rb'"keypoints"\s*:\s*\[([-+0-9.eE,\s]+)\]')


def scan_coco(path: Path, schema: Schema | None = None) -> Scan:
    """Read a COCO keypoint file leniently.

    Args:
        path: The file.
        schema: What the keypoints are; by default found from the file's categories.

    Returns:
        The data set, and a finding for everything that arrays cannot hold.

    Raises:
        ReadError: It cannot be read, is not JSON, or is a list (a results file).
        ResourceError: It needs more memory than there is.
    """
    return scan_text(load_text(path), schema)


def scan_text(text: Text, schema: Schema | None = None) -> Scan:
    """Like `scan_coco`, of bytes that were read or made already."""
    with collector_off():
        parsed = parse(text)
        if parsed.items is not None:
            text.fail(
                f"the document is a list of {len(parsed.items)} entries; expected an "
                "object with images, annotations and categories; is this a results file?"
            )
        try:
            return _scan(text, parsed, schema)
        except RecursionError:
            text.fail(TOO_DEEP)


def _scan(text: Text, parsed: Parsed, schema: Schema | None) -> Scan:
    findings = Findings()
    if text.prefix:
        findings.add("json-bom", "begins with a UTF-8 byte order mark; JSON keeps it")
    sections: dict[str, Section] = {}
    raws: dict[str, list[Raw]] = {}
    for name in SECTIONS:
        raws[name] = parsed.lists.get(name, [])
        if raws[name]:
            sections[name] = section_around(parsed.data, name, raws[name])
            continue
        if name not in parsed.top:
            _tell_no_list(name, None, findings)
            continue
        try:
            sections[name], raws[name] = section_of(parsed.data, name, parsed.top[name])
        except msgspec.ValidationError:
            _tell_no_list(name, bytes(memoryview(parsed.top[name])[:1]), findings)
    _lint(text.data, sections, findings)
    categories = decode_categories(raws["categories"], findings)
    choice = choose_schema(categories, raws["annotations"], schema, findings)
    images, image_records = decode_images(raws.pop("images"), findings)
    rows = decode_annotations(raws.pop("annotations"), choice.schema, choice.other, findings)
    if rows.other:
        findings.add(
            "category-other",
            f"{rows.other} annotations of {len(choice.other)} categories with other "
            f"keypoints than schema '{choice.schema.name}' are left out of the arrays "
            "and kept in the file",
            section="annotations",
            count=rows.other,
        )
    source = CocoSource(
        document=Document(text.prefix, text.data, sections),
        schema=choice.schema,
        images=images,
        image_records=image_records,
        annotations=rows.annotations,
        annotation_records=rows.records,
        absent_with_coordinates=rows.absent_with_coordinates,
        categories=categories,
        format=_dialect(images, rows.annotations),
    )
    dataset = Dataset(
        schema=choice.schema,
        images=images,
        annotations=rows.annotations,
        path=text.path,
        digest=text.digest,
        source=source,
    )
    return Scan(dataset, findings.close())


def _dialect(images: Images, people: Annotations) -> str:
    """Name of the format: what only CropCOCO or only CrowdPose has tells."""
    if np.any(people.visibility == Visibility.BEYOND):
        return "cropcoco"
    return "coco" if np.isnan(images.crowd_index).all() else "crowdpose"


def document_faults(document: Document, top: Mapping[str, bytes]) -> list[Finding]:
    """What makes a document no data set whatever its records say.

    Args:
        document: What was read.
        top: The text of every top-level value that is not one of its lists.

    Returns:
        Findings for a list that is missing, a key that stands twice, a number too large
        for 64 bits, and a string that is no text.
    """
    findings = Findings()
    for name in SECTIONS:
        if name not in document.sections:
            _tell_no_list(name, top.get(name), findings)
    _lint(document.data, document.sections, findings)
    return findings.close()


def _tell_no_list(name: str, value: bytes | None, findings: Findings) -> None:
    """A finding for a section that is missing (None), or whose JSON text is no list."""
    if value is None:
        findings.add("section-missing", f"'{name}' is missing", section=name)
        return
    got = _KIND.get(value[:1], "a number")
    findings.add("section-type", f"got {got}; expected a list", section=name)


def _lint(data: bytes, sections: Mapping[str, Section], findings: Findings) -> None:
    """Look for what parsers keep quiet about: in the big lists fast, in the rest exactly."""
    at, rest = 0, []
    for name in ("images", "annotations"):
        if name in sections:
            lint_section(data, sections[name], findings)
    for section in sorted(sections.values(), key=lambda s: s.begin):
        if section.name != "categories":
            rest.append(data[at : section.begin])
            at = section.end
    rest.append(data[at:])
    lint_record(b"".join(rest), findings)


def detect_coco(path: Path) -> bool:
    """Whether a file begins like a COCO document: with an object."""
    with path.open("rb") as stream:
        return _OBJECT.match(stream.read(_HEAD).removeprefix(BOM)) is not None


def detect_crowdpose(path: Path) -> bool:
    """Whether a file begins like CrowdPose's: an object, with `crowdIndex` early on."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD).removeprefix(BOM)
    return _OBJECT.match(head) is not None and b'"crowdIndex"' in head


def detect_cropcoco(path: Path) -> bool:
    """Whether the first keypoints of a COCO file have visibility 3; most are found later.

    A file is CropCOCO's by its visibilities, which only reading all of it can tell:
    `CocoSource.format` does.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD).removeprefix(BOM)
    lists = _KEYPOINTS.findall(head) if _OBJECT.match(head) else []
    return any(value.strip() == b"3" for v in lists for value in v.split(b",")[2::3])


def _scan_pair(path: Path, schema: Schema | None) -> tuple[Dataset, list[Finding]]:
    scan = scan_coco(path, schema)
    return scan.dataset, scan.findings


def _lost_in_coco(dataset: Dataset) -> Counter[str]:
    """Visibility 3, which only CropCOCO has: it becomes 1."""
    outside = np.count_nonzero(
        (dataset.annotations.visibility == Visibility.BEYOND).any(axis=1)
    )
    return +Counter({"annotations.keypoints": int(outside)})


def _lost_in_crowdpose(dataset: Dataset) -> Counter[str]:
    """Visibility 3, and the fields that CrowdPose's files do not have."""
    lost, source = _lost_in_coco(dataset), dataset.source
    if isinstance(source, CocoSource):
        for index in source.annotation_records.tolist():
            fields = field_texts(source.document.record("annotations", index))
            lost.update(f"annotations.{name}" for name in NOT_IN_CROWDPOSE if name in fields)
    return lost


def _lost_in_cropcoco(dataset: Dataset) -> Counter[str]:
    return Counter()


COCO = Format(
    name="coco",
    suffixes=(".json",),
    description="COCO keypoint annotations (images, annotations, categories)",
    detect=detect_coco,
    scan=_scan_pair,
    write=write_coco,
    loses=_lost_in_coco,
    is_json=True,
)
CROWDPOSE = Format(
    name="crowdpose",
    suffixes=(".json",),
    description="CrowdPose annotations: COCO's JSON with crowdIndex and without area",
    detect=detect_crowdpose,
    scan=_scan_pair,
    write=write_coco,
    loses=_lost_in_crowdpose,
    is_json=True,
)
CROPCOCO = Format(
    name="cropcoco",
    suffixes=(".json",),
    description="CropCOCO annotations: COCO's JSON with visibility 3 outside the crop",
    detect=detect_cropcoco,
    scan=_scan_pair,
    write=write_coco,
    loses=_lost_in_cropcoco,
    is_json=True,
)
