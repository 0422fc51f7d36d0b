"""What the App's operators do with the frames that a person selected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.annotations import Images
from toolkit.checks import PROFILES, validate
from toolkit.dataset import Dataset
from toolkit.errors import ToolkitError, UsageError
from toolkit.formats.coco_write import CocoSource
from toolkit.report import Finding, Severity
from toolkit.views.documents import BOXES, POINTS, LabelIds, kind_of
from toolkit.views.edits import rules_of
from toolkit.views.home import bring_home
from toolkit.views.keep import load

if TYPE_CHECKING:
    from fiftyone import Dataset as FiftyOneDataset
    from fiftyone import DatasetView

SHOWN = 50  # findings


def selected_frames(
    view: DatasetView, samples: Sequence[str], labels: Iterable[dict[str, str]]
) -> list[str]:
    """Ids of the selected frames, or of the selected labels' frames, or of all in view."""
    found = list(samples) or sorted({label["sample_id"] for label in labels})
    return found or list(view.values("id"))


def current(view: FiftyOneDataset, samples: Sequence[str]) -> Dataset:
    """The labels of some frames as they are now.

    Raises:
        UsageError: The toolkit did not make this data set, or no frame is left.
    """
    home = bring_home(view)
    ids = LabelIds(home.kept.prefix)
    rows = {ids.row_of(sample, kind_of("sample")) for sample in samples}
    wanted = [int(home.before.images.ids[row]) for row in rows if row is not None]
    after = home.after
    keep = np.isin(after.images.ids, wanted)
    if not keep.any():
        raise UsageError("none of the selected frames is in the file that the data came from")
    return replace(
        after,
        images=_only(after.images, np.flatnonzero(keep).tolist()),
        annotations=after.annotations[np.isin(after.annotations.image_id, wanted)],
    )


def _only(images: Images, rows: list[int]) -> Images:
    return Images(
        ids=images.ids[rows],
        file_names=tuple(images.file_names[row] for row in rows),
        size_wh=images.size_wh[rows],
        clips=tuple(images.clips[row] for row in rows),
        frames=images.frames[rows],
        crowd_index=images.crowd_index[rows],
    )


def validate_frames(view: FiftyOneDataset, samples: Sequence[str]) -> dict[str, object]:
    """Validate some frames as they are now, and tag their labels with what is wrong.

    Returns:
        `summary`, and `findings` as lines of text, for the App.
    """
    try:
        findings = findings_of(view, samples)
    except ToolkitError as error:
        return {"summary": f"Error: {error}", "findings": []}
    errors = sum(f.severity is Severity.ERROR for f in findings)
    warnings = sum(f.severity is Severity.WARNING for f in findings)
    return {
        "summary": f"{errors} errors and {warnings} warnings in {len(samples)} frames",
        "findings": [f"{f.rule}: {f.line('')[2:]}" for f in findings[:SHOWN]],
    }


def send_frames(
    view: FiftyOneDataset, samples: Sequence[str], project: str
) -> dict[str, object]:
    """Push some frames, as they are now, to a Label Studio project.

    The server and its token come from the environment or the settings file; see
    `toolkit.labelstudio.server`.

    Returns:
        `summary`, and `address` of the project, for the App.
    """
    from toolkit.labelstudio.desk import send
    from toolkit.labelstudio.server import find_server

    try:
        server = find_server()
        frames = current(view, samples)
        there, pushed = send(server, frames, _folder(view, samples, frames), project)
    except ToolkitError as error:
        return {"summary": f"Error: {error}", "address": ""}
    kept = f", {pushed.kept} that somebody works on" if pushed.kept else ""
    return {
        "summary": f"{pushed.created} new tasks, {pushed.updated} updated, "
        f"{pushed.unchanged} unchanged{kept}",
        "address": f"{server.url}/projects/{there.id}/data",
    }


def _folder(view: FiftyOneDataset, samples: Sequence[str], frames: Dataset) -> Path:
    """The folder of the images, wherever the App runs: a path without the file's name."""
    names = frames.images.file_names
    for path in view.select(list(samples)).values("filepath"):
        for name in names:
            if Path(path).parts[-len(Path(name).parts) :] == Path(name).parts:
                return Path(path).parents[len(Path(name).parts) - 1]
    return Path(load(view).images)


def findings_of(view: FiftyOneDataset, samples: Sequence[str]) -> list[Finding]:
    """Errors and warnings about some frames as they are now; tags follow them."""
    home = bring_home(view)
    after = home.after
    ids = LabelIds(home.kept.prefix)
    rows = {ids.row_of(sample, kind_of("sample")) for sample in samples}
    wanted = {int(home.before.images.ids[row]) for row in rows if row is not None}
    named = home.kept.recipe.get("profile", "")  # as given when the view was built
    profile = next((known for known in PROFILES if known == named), None)
    report = validate(after, profile=profile)
    source = after.source
    assert isinstance(source, CocoSource)
    image_of = dict(
        zip(
            source.annotation_records.tolist(),
            zip(after.annotations.instance_id, after.annotations.image_id, strict=True),
            strict=True,
        )
    )
    found, rules = [], dict[int, set[str]]()
    for finding in report.findings:
        if finding.section != "annotations" or finding.severity is Severity.INFO:
            continue
        instance, image = image_of.get(finding.index or 0, (None, None))
        if finding.index is not None and instance is not None and int(image) in wanted:
            found.append(finding)
            rules.setdefault(int(instance), set()).add(finding.rule)
    _tag(view, samples, rules)
    return found


def _tag(view: FiftyOneDataset, samples: Sequence[str], rules: dict[int, set[str]]) -> None:
    """Replace the validator's tags on the labels of some frames; a person's stay."""
    codes = rules_of()
    for sample in view.select(list(samples)).iter_samples(autosave=True):
        for name, inner in ((BOXES, "detections"), (POINTS, "keypoints")):
            for label in getattr(sample[name], inner, ()):
                own = [each for each in label.tags if each not in codes]
                label.tags = own + sorted(rules.get(label["annotation_id"], ()))
