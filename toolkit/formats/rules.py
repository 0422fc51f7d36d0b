"""The rules that reading a file can find broken, and the collector of such findings.

These are the faults that only a decoder can see: what does not fit into arrays at all.
Faults that arrays can show (repeated ids, dangling references, ranges) are checks.

Adding a rule: one line in `RULES`, one test that breaks it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from toolkit.report import Finding, Severity

_ERROR, _WARNING, _INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
MAX_FINDINGS = 1000  # of one rule; the rest is one finding with their number


@dataclass(frozen=True)
class Rule:
    """A rule of reading.

    Attributes:
        code: Stable name, by the fault.
        severity: Unless a profile says otherwise.
        summary: What is wrong, in one sentence.
    """

    code: str
    severity: Severity
    summary: str


RULES = (
    Rule("json-bom", _INFO, "The file begins with a UTF-8 byte order mark."),
    Rule("json-duplicate-key", _ERROR, "An object has a key twice; parsers keep one."),
    Rule("json-number-overflow", _ERROR, "A number is too large for a 64-bit float."),
    Rule("json-string", _ERROR, "A string holds NUL or half a surrogate pair."),
    Rule("section-missing", _ERROR, "images, annotations or categories is missing."),
    Rule("section-type", _ERROR, "images, annotations or categories is not a list."),
    Rule("record-type", _ERROR, "An entry of a list is not an object."),
    Rule("id-missing", _ERROR, "An id or a reference is missing."),
    Rule("id-type", _ERROR, "An id or a reference is not an integer."),
    Rule("id-range", _ERROR, "An id or a reference does not fit 64 bits."),
    Rule("file-name-missing", _ERROR, "An image has no file_name, or it is no text."),
    Rule("image-size-type", _ERROR, "width or height is missing or not an integer."),
    Rule("image-field-type", _ERROR, "clip, frame or crowdIndex is of the wrong kind."),
    Rule("category-type", _ERROR, "A category's name or keypoints is no text or list."),
    Rule("category-schema", _ERROR, "The category's keypoints are not the schema's."),
    Rule("category-without-keypoints", _WARNING, "No category names its keypoints."),
    Rule("category-other", _INFO, "Annotations of other categories are left out."),
    Rule("keypoint-name-duplicate", _ERROR, "A category names a keypoint twice."),
    Rule("skeleton-index", _ERROR, "A skeleton edge names a keypoint out of range."),
    Rule("keypoints-missing", _ERROR, "An instance has no keypoints."),
    Rule("keypoints-type", _ERROR, "keypoints is not a list of finite numbers."),
    Rule("keypoints-length", _ERROR, "keypoints is not 3 numbers for each keypoint."),
    Rule("visibility-value", _ERROR, "A visibility flag is none of 0, 1 and 2."),
    Rule("visibility-beyond", _ERROR, "Visibility 3 exists only in CropCOCO."),
    Rule("bbox-shape", _ERROR, "bbox is not four finite numbers."),
    Rule("area-type", _ERROR, "area is not a finite number."),
    Rule("iscrowd-missing", _ERROR, "iscrowd is missing."),
    Rule("iscrowd-value", _ERROR, "iscrowd is neither 0 nor 1."),
    Rule("num-keypoints-type", _ERROR, "num_keypoints is not an integer."),
    Rule("head-box-shape", _ERROR, "head_box_xywh is not four finite numbers."),
    Rule("score-missing", _ERROR, "A result has no score."),
    Rule("score-value", _ERROR, "A result's score is not a finite number."),
    Rule("keypoint-scores-shape", _ERROR, "keypoint_scores is not K finite numbers."),
    Rule("sigmas-shape", _ERROR, "sigmas is not 2K finite numbers."),
    Rule("results-empty", _WARNING, "The list of results is empty."),
    Rule("results-without-keypoints", _ERROR, "No result has keypoints: only boxes."),
    Rule("foreign-unusable", _ERROR, "A record of a foreign file cannot be used."),
    Rule("foreign-left-out", _WARNING, "COCO keypoints have no place for it; left out."),
    Rule("foreign-assumed", _WARNING, "A foreign file does not say it; it was assumed."),
)
# A wrong category explains wrong annotations, so it is told first.
_ORDER = ("categories", "images", "annotations", "results")
_SEVERITY = {rule.code: rule.severity for rule in RULES}


class Findings:
    """Collects findings; at most `MAX_FINDINGS` of a rule, the rest as one with their places.

    The places are kept so that whoever works on what could be read leaves alone what could
    not: unusable ids are all -1 in the arrays, and repeat no id.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._found: list[Finding] = []
        self._counts: Counter[str] = Counter()
        self._places: set[tuple[str, str | None, int | None, str | None]] = set()
        # Indices by rule, section and field: a file may have a million faults of one rule.
        self._rest: dict[str, dict[tuple[str, str | None], list[int]]] = {}

    def add(
        self,
        rule: str,
        message: str,
        *,
        section: str | None = None,
        index: int | None = None,
        id: object = None,
        field: str | None = None,
        count: int = 1,
    ) -> None:
        """Add a finding, once for each rule and place."""
        place = (rule, section, index, field)
        if index is not None and place in self._places:
            return
        if self._counts[rule] >= MAX_FINDINGS and section is not None and index is not None:
            known = self._rest.setdefault(rule, {}).setdefault((section, field), [])
            if known and known[-1] == index:
                return
            known.append(index)
        self._counts[rule] += 1
        if self._counts[rule] > MAX_FINDINGS:
            return
        self._places.add(place)
        shown = id if isinstance(id, int | str) and not isinstance(id, bool) else None
        severity = _SEVERITY[rule]
        self._found.append(
            Finding(rule, severity, message, section, index, shown, field, count)
        )

    def close(self) -> list[Finding]:
        """The findings by section and record, then one for each rule that had too many."""
        rest = [
            Finding(
                rule,
                _SEVERITY[rule],
                f"{number - MAX_FINDINGS:,} more of this kind",
                count=number - MAX_FINDINGS,
                unlisted=tuple(
                    (section, field, tuple(indices))
                    for (section, field), indices in self._rest.get(rule, {}).items()
                ),
            )
            for rule, number in self._counts.items()
            if number > MAX_FINDINGS
        ]
        return sorted(self._found, key=_file_order) + rest


def _file_order(finding: Finding) -> tuple[int, int]:
    rank = _ORDER.index(finding.section) if finding.section in _ORDER else -1
    return (rank, -1 if finding.index is None else finding.index)
