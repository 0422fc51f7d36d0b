"""From one format to another, with a list of everything that changes or is lost.

A file converted to its own format is copied as it was read. CrowdPose's and CropCOCO's
files are COCO's JSON with other fields, so between them only what one of them cannot hold
is touched. What a foreign format cannot hold can be kept in a sidecar.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from toolkit.annotations import Predictions
from toolkit.dataset import Dataset
from toolkit.errors import InvalidDataError, UsageError, counted
from toolkit.files import atomic_directory, atomic_file, check_output
from toolkit.formats import FORMATS, Format, dataset_format, detect, format_named
from toolkit.formats.adapter import path_hash
from toolkit.formats.coco import COCO, CROPCOCO, scan_coco, scan_text
from toolkit.formats.coco_write import CocoSource, coco_bytes, document_of_dataset
from toolkit.formats.foreign import ASSUMED, LEFT_OUT
from toolkit.formats.plan import Plan
from toolkit.formats.results import RESULTS, raise_errors, scan_predictions, write_predictions
from toolkit.formats.sidecar import (
    Sidecar,
    read_sidecar,
    sidecar_format,
    sidecar_path,
    text_of,
)
from toolkit.formats.sidecar_pair import find_sidecar, write_alone, write_pair
from toolkit.report import Finding, Severity
from toolkit.schema import Schema

AnyFormat = Format[Dataset] | Format[Predictions]
# Not in the way of a conversion: what is done about them is said.
_TOLERATED = frozenset({"skeleton-index", "visibility-beyond"})


@dataclass(frozen=True)
class Conversion:
    """What a conversion did.

    Attributes:
        source_format: Name of the format that was read.
        target_format: Name of the format that was written.
        images: Number of images.
        instances: Number of annotations or results in the arrays.
        lost: What is gone, by name, with how many records had it: neither the target
            holds it nor a sidecar.
        kept: What the target does not hold and its sidecar does.
        changed: What is different in the target, one line each.
        findings: What reading found.
        sidecar: The sidecar that keeps what is lost, or None.
        restored_from: The sidecar that the source's original came from, or None.
        notes: What the target's user should know though nothing of it is lost.
    """

    source_format: str
    target_format: str
    images: int
    instances: int
    lost: dict[str, int]
    changed: tuple[str, ...]
    findings: tuple[Finding, ...]
    sidecar: Path | None = None
    restored_from: Path | None = None
    notes: tuple[str, ...] = ()
    kept: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> int:
        """How many errors the source has."""
        return sum(f.count for f in self.findings if f.severity is Severity.ERROR)


@dataclass(frozen=True)
class _Source:
    """What was read: a data set, the format's name, and where the rest came from."""

    dataset: Dataset
    format: str
    findings: list[Finding]
    sidecar: Path | None = None
    changed: tuple[str, ...] = ()

    @property
    def original(self) -> str:
        """Name of the format of the original, where a sidecar kept that, else `format`."""
        kept = self.dataset.source
        if self.sidecar is None or not isinstance(kept, CocoSource):
            return self.format
        return kept.format


def convert(
    source: Path,
    target: Path,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    schema: Schema | None = None,
    target_schema: Schema | None = None,
    strict: bool = False,
    force: bool = False,
    sidecar: bool = False,
    sidecar_file: Path | None = None,
    others: tuple[Path | None, ...] = (),
) -> Conversion:
    """Convert a file; the target is written whole or not at all.

    Args:
        source: The file (or folder) to read.
        target: The file (or folder) to write.
        source_format: Name of a format; found from the file by default.
        target_format: Name of a format; by default the one that the target's suffix
            belongs to, else the source's.
        schema: What the source's keypoints are; found from the file by default.
        target_schema: Keypoints to write, matched by name; the source's by default.
        strict: Whether to refuse where the target cannot hold something.
        force: Whether an existing target may be replaced.
        sidecar: Whether to keep in a sidecar what a foreign target cannot hold.
        sidecar_file: The sidecar to write (with `sidecar`) or to read; by default the one
            beside the foreign file.
        others: Files that were read besides, such as schemas; no output may replace them.

    Raises:
        UsageError: There is no way from the one format to the other, or an output is or
            holds an input.
        InvalidDataError: The source has errors and is not merely copied, or `strict` was
            given and something would be lost; nothing is written.
    """
    begin = detect(source) if source_format is None else format_named(source_format)
    if source_format is None and begin.name == RESULTS.name:
        # An empty list may be a foreign file without pictures: its sidecar knows.
        begin = format_named(sidecar_format(source) or RESULTS.name)
    if begin.is_folder and source.is_file():
        source = source.parent  # the `data.yaml` of a folder stands for it
    check_output(target, force=force, inputs=(source, sidecar_file, *others), holds=())
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{target}: lies in the input; choose a place outside {source}")
    if begin.name == RESULTS.name:
        if sidecar:
            raise UsageError(
                "--sidecar keeps what a foreign format cannot hold; results only become results"
            )
        wanted = target_format or _by_suffix(target, begin, begin)
        return _convert_results(
            source, target, wanted, schema, target_schema, strict=strict, force=force
        )
    writes_sidecar = (
        sidecar and (target_format or _by_suffix(target, begin, begin)) not in _JSON
    )
    home = None if writes_sidecar else sidecar_file
    read = _read(source, dataset_format(begin.name), source_format, schema, home)
    original = format_named(read.original)
    end = format_named(target_format or _by_suffix(target, begin, original))
    if sidecar and end.name == RESULTS.name:
        raise UsageError(
            "--sidecar: results have no way back; the annotations stay the original"
        )
    if sidecar and not writes_sidecar:
        _check_sidecar_has_use(source, begin, end, read)
    as_it_is = schema is None and target_schema is None and not sidecar
    if end.name == read.format and as_it_is and not _has_another_kind(source, target, end):
        return _copy(source, target, read, force)
    blocking = [f for f in read.findings if f.rule not in _TOLERATED]
    raise_errors(source, read.dataset.schema, blocking)
    plan = _plan(read, end, target_schema)
    kept_in = (sidecar_file or sidecar_path(target)) if writes_sidecar else None
    if kept_in is not None:
        _check_sidecar_place(kept_in, target)
        check_output(kept_in, force=force, inputs=(source, target, *others))
    if strict:
        _refuse_any_loss(source, read.findings, plan, target_schema, kept_in)
    _write(plan, target, kept_in, force=force)
    return _told(read, plan, kept_in)


def _check_sidecar_place(sidecar: Path, target: Path) -> None:
    if sidecar.resolve().is_relative_to(target.resolve()):
        raise UsageError(
            f"{sidecar}: the sidecar would take the target's place; name a file beside {target}"
        )


def _check_sidecar_has_use(
    source: Path, begin: AnyFormat, end: AnyFormat, read: _Source
) -> None:
    if end.is_json and begin.is_json:
        raise UsageError(
            f"--sidecar keeps what a foreign format cannot hold; '{end.name}' is COCO's JSON"
        )
    if not begin.is_json and read.sidecar is None:
        raise UsageError(f"{source}: no sidecar beside it; name one with --sidecar FILE")


def _has_another_kind(source: Path, target: Path, end: AnyFormat) -> bool:
    """Whether a name is another format's and the target's is this one's own.

    A format that reads several kinds of files writes one: mmpose's JSON is no `.mat`.
    """
    begins, ends = source.suffix.lower(), target.suffix.lower()
    others = {suffix for item in FORMATS for suffix in item.suffixes} - {*end.suffixes}
    return begins in others and ends in end.suffixes


def _plan(read: _Source, end: AnyFormat, target_schema: Schema | None) -> Plan:
    plan = Plan(read.dataset, _start(read, end), end, read.findings)
    plan.changed += read.changed
    if target_schema is not None:
        plan.map_to(target_schema)
    plan.fit_target()
    return plan


def _told(read: _Source, plan: Plan, sidecar: Path | None) -> Conversion:
    kept = Counter[str]() if sidecar is None else plan.lost - plan.lost_by_schema
    return Conversion(
        read.format,
        plan.end.name,
        len(read.dataset.images),
        len(read.dataset.annotations),
        dict(plan.lost - kept),
        tuple(plan.changed),
        tuple(read.findings),
        sidecar=sidecar,
        restored_from=read.sidecar,
        notes=tuple(plan.notes),
        kept=dict(kept),
    )


def _start(read: _Source, end: AnyFormat) -> str:
    """What a target is fitted from: a restored original comes back as it was.

    Only visibility 3 has no place in any JSON but CropCOCO's, even then.
    """
    if read.sidecar is not None and end.is_json and read.original != CROPCOCO.name:
        return end.name
    return read.original


_JSON = frozenset(item.name for item in FORMATS if item.is_json)


def _by_suffix(target: Path, source: AnyFormat, original: AnyFormat) -> str:
    """The format that a target's suffix belongs to; of several the original's, else COCO's."""
    suffix = target.suffix.lower()
    fitting = [item.name for item in FORMATS if suffix and suffix in item.suffixes]
    if not fitting:
        return source.name
    if original.name in fitting:
        return original.name
    return COCO.name if COCO.name in fitting else fitting[0]


def _read(
    path: Path,
    begin: Format[Dataset],
    named: str | None,
    schema: Schema | None,
    sidecar_file: Path | None,
) -> _Source:
    """Read a source; of a foreign one that has a sidecar, its original with what changed."""
    if begin.is_json:
        scan = scan_coco(path, schema)
        kept = scan.dataset.source
        found = kept.format if isinstance(kept, CocoSource) else begin.name
        return _Source(scan.dataset, named or found, scan.findings)
    pair = find_sidecar(path, sidecar_file, begin.name)
    if pair is None:
        dataset, findings = begin.scan(path, schema)
        return _Source(dataset, begin.name, findings)
    beside, kept_there = pair
    if path_hash(path) == kept_there.target_sha256:
        scan = scan_text(text_of(path, kept_there.document), schema)
        return _Source(scan.dataset, begin.name, scan.findings, beside)
    dataset, findings = begin.scan(path, None)
    raise_errors(path, dataset.schema, [f for f in findings if f.rule not in _TOLERATED])
    text, changes = kept_there.original(path, document_of_dataset(dataset), begin.numbered)
    scan = scan_text(text, schema)
    changed = f"{len(changes):,} values and records changed since {beside.name}{changes.told}"
    told = [f for f in findings if f.rule in (ASSUMED, LEFT_OUT)]  # of what came since
    return _Source(scan.dataset, begin.name, [*told, *scan.findings], beside, (changed,))


def _copy(source: Path, target: Path, read: _Source, force: bool) -> Conversion:
    """Copy a file or folder to its own format, byte for byte, with its sidecar."""
    kept = read.dataset.source
    copied = None
    if read.format in _JSON and isinstance(kept, CocoSource):
        kept.document.write(target, {}, force=force)
    elif read.sidecar is None:
        write_alone(target, partial(_copy_bytes, source), force=force)
    else:
        copied = sidecar_path(target)
        check_output(copied, force=force, inputs=(source, target))
        content = read_sidecar(read.sidecar, read.format)
        write_pair(
            target,
            partial(_copy_bytes, source),
            copied,
            lambda _: content,
            is_folder=source.is_dir(),
            force=force,
        )
    images, people = len(read.dataset.images), len(read.dataset.annotations)
    found = tuple(read.findings)
    return Conversion(read.format, read.format, images, people, {}, (), found, sidecar=copied)


def _copy_bytes(source: Path, target: Path, force: bool) -> None:
    if not source.is_dir():
        with atomic_file(target, force=force) as temporary:
            shutil.copyfile(source, temporary)
        return
    with atomic_directory(target, force=force) as temporary:
        # A link stays a link: what it names is nobody's wish to read, and may be anything.
        shutil.copytree(source, temporary, symlinks=True, dirs_exist_ok=True)


def _write(plan: Plan, target: Path, sidecar: Path | None, *, force: bool) -> None:
    """Write the target, and its sidecar: never beside a target it is not of."""

    def write(path: Path, force: bool) -> None:
        plan.write(path, force=force)

    def describe(written: Path) -> Sidecar:
        way = plan.prepare()
        return Sidecar(
            format=plan.end.name,
            target_sha256=path_hash(written),
            document=coco_bytes(plan.dataset),
            written=way.read_back(written),
            dropped=tuple(sorted(way.dropped)),
        )

    if plan.end.is_json:
        write(target, force)
    elif sidecar is None:
        write_alone(target, write, force=force)
    else:
        is_folder = plan.end.is_folder
        write_pair(target, write, sidecar, describe, is_folder=is_folder, force=force)


def _convert_results(
    source: Path,
    target: Path,
    target_format: str,
    schema: Schema | None,
    target_schema: Schema | None,
    *,
    strict: bool,
    force: bool,
) -> Conversion:
    if target_format != RESULTS.name:
        raise UsageError(
            f"{source.name}: results cannot become '{target_format}': they hold no images "
            f"and no categories; name '{target.name}' with .json, or say --to results"
        )
    found, findings = scan_predictions(source, schema, boxes=True)
    if schema is not None or target_schema is not None:
        raise_errors(source, found.schema, findings)
    lost: Counter[str] = Counter()
    changed: tuple[str, ...] = ()
    if target_schema is not None and target_schema.names != found.schema.names:
        posed = int((~np.isnan(found.keypoints)).any(axis=(1, 2)).sum())
        unmatched = found.schema.mapping_to(target_schema).unmatched_source
        lost = +Counter({f"keypoint {name}": posed for name in unmatched})
        changed = (
            f"keypoints of schema '{found.schema.name}' became those of '{target_schema.name}'",
        )
        found = found.to_schema(target_schema)
        if strict:
            _refuse_loss(source, f"schema '{target_schema.name}'", lost)
    write_predictions(found, target, force)
    images = len(np.unique(found.image_id))
    name = RESULTS.name
    return Conversion(name, name, images, len(found), dict(lost), changed, tuple(findings))


def _refuse_loss(source: Path, holder: str, lost: Counter[str], way_out: str = "") -> None:
    if lost:
        raise InvalidDataError(
            f"{source.name}: {holder} cannot hold all of it, and --strict was given; it "
            f"would lose {_listed(lost)}; nothing was written{way_out}"
        )


def _refuse_any_loss(
    source: Path,
    findings: list[Finding],
    plan: Plan,
    target_schema: Schema | None,
    sidecar: Path | None,
) -> None:
    """What `--strict` is for: nothing of the source is left out, and nothing is lost."""
    left_out = [f for f in findings if f.rule == LEFT_OUT]
    if left_out:
        more = f" (and {len(left_out) - 1:,} more findings)" if left_out[1:] else ""
        raise InvalidDataError(
            f"{source.name}: {left_out[0].message}{more}; --strict was given; nothing was "
            "written; remove it, or convert without --strict"
        )
    holder, way_out = f"format '{plan.end.name}'", ""
    if target_schema is not None:
        holder += f" with the keypoints of '{target_schema.name}'"
    if sidecar is None and not plan.end.is_json:
        way_out = "; --sidecar keeps it in a file beside the target"
    gone = plan.lost if sidecar is None else plan.lost_by_schema
    _refuse_loss(source, holder, gone, way_out)


def _listed(lost: Counter[str]) -> str:
    return ", ".join(f"'{name}' of {counted(count, 'record')}" for name, count in lost.items())
