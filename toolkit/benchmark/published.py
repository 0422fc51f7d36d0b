"""What others published, each number with its source; an unknown cell stays empty.

These rows are shown apart from measured ones and never ranked with them: they were measured
on other data (real footage), by other people, with detected boxes.

The absolute values of the TokenCLIPose paper's own tables are not known to us in text, so
their cells are empty; its stated improvements stand in the notes.
"""

from __future__ import annotations

from toolkit.benchmark.tables import Row

PAPER = (
    "Balaji et al., Seeing Beyond the Crop: Using Language Priors for Out-of-Bounding Box "
    "Keypoint Prediction, NeurIPS 2024, openreview.net LGus3wXPxc"
)
MMPOSE = "mmpose model zoo, CrowdPose test"
DEKR = "DEKR README, CrowdPose test"
GROUPPOSE = "GroupPose README, CrowdPose test"

_SPORTS_MODELS = (
    "SimpleBaseline-R50",
    "MSPN",
    "HRNet-W48",
    "TokenPose-L/D24",
    "ViTPose",
)
_CROWDPOSE_COLUMNS = ("AP", "AP50", "AP75", "APE", "APM", "APH")
_CROWDPOSE = (
    ("SimpleBaseline-R50", (63.7, 80.8, 69.2, 73.8, 65.0, 50.6), MMPOSE, "top-down"),
    (
        "HRNet-W32",
        (67.5, 82.5, 72.9, 77.0, 68.7, 55.3),
        MMPOSE,
        "top-down, YOLOv3 boxes",
    ),
    ("RTMPose-m", (70.6, 84.1, 76.5, 79.9, 71.9, 58.2), MMPOSE, "top-down"),
    ("DEKR-HRNet-W48", (67.3, 86.4, 72.2, 74.6, 68.1, 58.7), DEKR, "bottom-up"),
    ("QueryPose Swin-L", (72.7, 91.7, 78.1, 79.5, 73.4, 65.4), GROUPPOSE, ""),
    ("GroupPose Swin-L", (74.1, 91.3, 80.4, 80.8, 74.7, 66.4), GROUPPOSE, ""),
)


def published_rows(table: str) -> tuple[Row, ...]:
    """Published rows of table `hockey`, `lacrosse` or `crowdpose`; others have none."""
    if table in ("hockey", "lacrosse"):
        gain = {"hockey": "+4.36", "lacrosse": "+2.35"}[table]
        others = tuple(_empty(name, "value not known in text") for name in _SPORTS_MODELS)
        return (*others, _empty("TokenCLIPose", f"stated improvement {gain} points"))
    if table == "crowdpose":
        rows = tuple(_crowdpose_row(*entry) for entry in _CROWDPOSE)
        return (*rows, _empty("TokenCLIPose", "stated improvement +3.8 points"))
    return ()


_STATED = {
    "modalities": (
        ("image", ""),
        ("image + location", "stated: location tokens +0.45 points"),
        ("image + text", "stated: text tokens +3.35 points"),
        ("image + location + text", "stated: CLIP initialisation over random +2.31 points"),
    ),
    "attention": (
        ("intention", ""),
        ("self", ""),
        ("cross", "stated: the best, slightly over self-attention"),
    ),
    "prompts": (("none", ""), ("single", ""), ("ensemble", "stated: the best")),
    "boxes": (("Faster R-CNN", ""), ("ground truth", "stated: +2.47 points")),
}


def stated_rows(table: str) -> tuple[Row, ...]:
    """What the paper says of its tables 4 to 7: their values are not known in text."""
    return tuple(
        _empty(model, note or "value not known in text")
        for model, note in _STATED.get(table, ())
    )


def _empty(model: str, note: str) -> Row:
    return Row(
        model=model,
        values={},
        kind="published",
        source="published",
        citation=PAPER,
        note=note,
    )


def _crowdpose_row(model: str, percents: tuple[float, ...], citation: str, note: str) -> Row:
    values = {
        key: round(percent / 100, 6)
        for key, percent in zip(_CROWDPOSE_COLUMNS, percents, strict=True)
    }
    return Row(
        model=model,
        values=values,
        kind="published",
        source="published",
        citation=citation,
        note=note,
    )
