"""A report as one page of HTML: summary, rules, examples, pictures of the worst.

The page carries everything inside itself and asks the network for nothing; every text that
comes from a file is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from toolkit.checks.families import family_rank
from toolkit.checks.pictures import OFFENDING, Picture, worst_pictures
from toolkit.checks.rulebook import RulePage, all_rules
from toolkit.checks.text import SEVERITIES
from toolkit.dataset import Dataset
from toolkit.ink import BOX, OUTSIDE, TRUTH_BODY, TRUTH_STICK
from toolkit.page import data_uri, html_page
from toolkit.printed import printable
from toolkit.report import Finding, Report

EXAMPLES = 5
_SAID = {"error": "error", "warning": "warning", "info": "note"}
_LONGEST = 400  # characters of one message

_STYLE = """
.tiles{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));
margin:0 0 22px}
.tile{background:var(--card);border:1px solid var(--edge);border-radius:12px;
padding:12px 16px}
.tile b{display:block;font-size:26px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.verdict{font-weight:700}
code{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.badge{display:inline-block;min-width:64px;font-size:12.5px;font-weight:600}
.rules{min-width:0}
.rules td:first-child{width:100%}
.rules a{color:inherit}
.rules small,.rules .why{color:var(--soft);font-size:13.5px}
.rules .why{display:block}
.rules td:nth-child(2){overflow-wrap:normal;min-width:0}
details{border-top:1px solid var(--edge);padding:9px 0}
summary{cursor:pointer;overflow-wrap:anywhere}
summary .count{color:var(--soft)}
ul.found{list-style:none;margin:8px 0 4px;padding:0}
ul.found li{padding:3px 0 3px 12px;border-left:3px solid var(--edge);margin:0 0 4px;
overflow-wrap:anywhere}
ul.found code{color:var(--soft)}
.none{padding:24px 12px;color:var(--soft);font-size:13px;overflow-wrap:anywhere}
figcaption p{margin:2px 0}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:6px 18px;margin:0 0 14px;
padding:9px 14px;border-radius:8px;background:#10121a;color:#f2f4f8;font-size:13px}
.legend i{display:inline-block;width:11px;height:11px;margin-right:7px;
border:2.5px solid currentColor;vertical-align:-1px}
.legend .line{height:0;width:18px;border-width:2.5px 0 0;vertical-align:4px}
.legend .disc{background:currentColor}.legend .disc,.legend .ring{border-radius:50%}
.legend .turned{transform:rotate(45deg) scale(.85)}
@media (max-width:600px){header{padding-top:18px}.tiles{grid-template-columns:1fr 1fr 1fr}
.tile{padding:10px 12px}.tile b{font-size:21px}.rules thead{display:none}
.rules tr{display:grid;grid-template-columns:auto 1fr;border-top:1px solid var(--edge)}
.rules td{border:0;padding:0 0 8px}.rules td:first-child{grid-column:1/-1;padding:9px 0 3px}}
.panels{grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr))}
"""


@dataclass(frozen=True)
class _Group:
    """The findings of one rule at one severity."""

    rule: str
    severity: str
    page: RulePage | None
    findings: tuple[Finding, ...]

    @property
    def total(self) -> int:
        return sum(finding.count for finding in self.findings)

    @property
    def family(self) -> str:
        return self.page.family if self.page else ""


def report_page(
    report: Report,
    dataset: Dataset,
    *,
    name: str,
    images_dir: Path | None = None,
    notes: Sequence[str] = (),
) -> str:
    """The whole page.

    Args:
        report: What was found; of each rule `EXAMPLES` findings are shown, and all count.
        dataset: What was checked.
        name: How to call the file.
        images_dir: Folder of the images, for pictures of the worst instances.
        notes: Lines about the report itself, such as what a baseline accepted.
    """
    groups = _groups(report)
    parts = [_head(report, dataset, name, notes), "<main>", _tiles(report, dataset)]
    if groups:
        parts.append(_table(groups, report.profile))
    if images_dir is not None:
        parts.append(_pictures(worst_pictures(report.findings, dataset, images_dir), dataset))
    if groups:
        parts.append(_examples(groups))
    parts.append("</main>")
    return html_page(f"{_text(name)}: findings", "\n".join(parts), style=_STYLE)


def _text(text: str) -> str:
    """Text without characters that hide or turn round what follows; not escaped yet."""
    shown = printable(text).encode("utf-8", "backslashreplace").decode("utf-8")
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + "..."


def _safe(text: str) -> str:
    return escape(_text(text))


def _groups(report: Report) -> list[_Group]:
    """The rules that have findings, the worst first, then by family."""
    pages = {page.code: page for page in all_rules()}
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        found.setdefault((finding.severity.value, finding.rule), []).append(finding)
    groups = [
        _Group(rule, severity, pages.get(rule), tuple(findings))
        for (severity, rule), findings in found.items()
    ]
    return sorted(groups, key=lambda g: (SEVERITIES.index(g.severity), family_rank(g.family)))


def _head(report: Report, dataset: Dataset, name: str, notes: Sequence[str]) -> str:
    kind, word = ("good", "Valid") if report.ok else ("error", "Not valid")
    lines = [
        f"<header><h1>{_safe(name)}</h1>",
        f'<p class="lead"><span class="verdict {kind}">{word}</span> under profile '
        f"<b>{_safe(report.profile)}</b>, schema <b>{_safe(str(report.schema))}</b>",
    ]
    if dataset.sha256:
        lines.append(f"<br><small>SHA-256 <code>{escape(dataset.sha256)}</code></small>")
    lines.append("</p>")
    lines += [f'<p class="lead">{_safe(note)}</p>' for note in notes]
    return "".join([*lines, "</header>"])


def _tiles(report: Report, dataset: Dataset) -> str:
    counts = report.counts()
    tiles = [
        (f"{counts[severity]:,}", f"{_SAID[severity]}s", severity) for severity in SEVERITIES
    ]
    tiles.append((f"{len(dataset.images):,}", "images", ""))
    tiles.append((f"{len(dataset.annotations):,}", "annotations", ""))
    shown = [
        f'<div class="tile"><b class="{kind if number != "0" else ""}">{number}</b>'
        f"<span>{label}</span></div>"
        for number, label, kind in tiles
    ]
    return f'<div class="tiles">{"".join(shown)}</div>'


def _table(groups: Sequence[_Group], profile: str) -> str:
    rows = []
    for group in groups:
        why = _safe(group.page.sentence) if group.page else ""
        rows.append(
            f'<tr><td class="text"><a href="#{_anchor(group)}">'
            f"<code>{escape(group.rule)}</code></a> <small>{escape(group.family)}</small>"
            f'<span class="why">{why}</span></td>'
            f'<td class="text {group.severity}">{_SAID[group.severity]}</td>'
            f"<td>{group.total:,}</td></tr>"
        )
    return (
        '<section><h2>Rules</h2><p class="lead">Severities are those of profile '
        f"{escape(profile)}; only errors make a file invalid.</p>"
        '<table class="rules"><thead><tr><th>rule</th>'
        '<th class="text">severity</th><th>records</th></tr></thead><tbody>'
        f"{''.join(rows)}</tbody></table></section>"
    )


def _anchor(group: _Group) -> str:
    return escape(f"{group.severity}-{group.rule}")


def _examples(groups: Sequence[_Group]) -> str:
    return f"<section><h2>Examples</h2>{''.join(map(_example, groups))}</section>"


def _example(group: _Group) -> str:
    listed = [finding for finding in group.findings if finding.index is not None]
    shown = (listed or list(group.findings))[:EXAMPLES]
    items = [
        f"<li><code>{_safe(finding.place)}</code> {_safe(finding.message)}</li>"
        for finding in shown
    ]
    rest = group.total - sum(finding.count for finding in shown)
    if rest > 0:
        items.append(f"<li>{rest:,} more</li>")
    repair = ""
    if group.page is not None and group.page.repair:
        repair = f'<p class="lead">{_safe(group.page.repair)}</p>'
    opened = " open" if group.severity == "error" else ""
    return (
        f"<details{opened}><summary>"
        f'<span class="badge {group.severity}">{_SAID[group.severity]}</span> '
        f'<b>{escape(group.rule)}</b> <span class="count">{group.total:,}</span></summary>'
        # A link to something inside opens the details.
        f'<ul class="found" id="{_anchor(group)}">{"".join(items)}</ul>{repair}</details>'
    )


def _pictures(pictures: Sequence[Picture], dataset: Dataset) -> str:
    if not pictures:
        body = '<p class="lead">No error or warning is about one instance.</p>'
    else:
        body = (
            '<p class="lead">Instances with the most, and the most severe, findings.</p>'
            f"{_legend(bool(dataset.schema.is_extension.any()))}"
            f'<div class="panels">{"".join(map(_figure, pictures))}</div>'
        )
    return f"<section><h2>The worst</h2>{body}</section>"


def _legend(extension: bool) -> str:
    """What the strokes mean, as text that wraps on a narrow screen."""
    kinds = [("line", TRUTH_BODY, "body")]
    kinds += [("line", TRUTH_STICK, "extension")] if extension else []
    kinds += [
        ("disc", TRUTH_BODY, "visible"),
        ("ring", TRUTH_BODY, "occluded"),
        ("turned", OUTSIDE, "outside the box"),
        ("square", BOX, "human box"),
        ("ring", OFFENDING, "named by a finding"),
    ]
    items = [
        f'<li><i class="{kind}" style="color:rgb{colour}"></i>{text}</li>'
        for kind, colour, text in kinds
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def _figure(picture: Picture) -> str:
    first = picture.findings[0]
    if picture.jpeg is None:
        drawn = f'<div class="none">no picture: {_safe(picture.reason)}</div>'
    else:
        drawn = f'<img alt="{_safe(first.place)}" src="{data_uri(picture.jpeg)}">'
    lines = [f"<p><b>annotations[{first.index}] id={_safe(str(first.id))}</b></p>"]
    if picture.file_name:
        lines.append(f"<p><code>{_safe(picture.file_name)}</code></p>")
    lines += [
        f'<p><span class="{f.severity.value}">{escape(f.rule)}</span> {_safe(f.message)}</p>'
        for f in picture.findings[:4]
    ]
    if len(picture.findings) > 4:
        lines.append(f"<p>{len(picture.findings) - 4} more</p>")
    return f"<figure>{drawn}<figcaption>{''.join(lines)}</figcaption></figure>"
