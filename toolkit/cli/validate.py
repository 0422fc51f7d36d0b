"""`toolkit validate`: every finding about an annotation file, each with a rule code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from toolkit.cli.common import (
    PROFILES,
    console,
    echo_json,
    force_option,
    json_option,
    notice,
    progress_bar,
    schema_file,
    schema_option,
)
from toolkit.errors import InvalidDataError, UsageError, counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from toolkit.checks import Profile
    from toolkit.checks.baseline import Compared
    from toolkit.checks.text import Line
    from toolkit.formats import Scan
    from toolkit.report import Finding, Report

EXAMPLES = 3  # findings of a rule that the text shows
LISTED = 1000  # findings of a rule that the other outputs list
Output = Literal["text", "json", "sarif", "html"]
_PATH = click.Path(path_type=Path)


@dataclass(frozen=True)
class _Wanted:
    """What the user asked for, checked for sense."""

    file: Path
    schema: str | None
    given_profile: Profile | None
    images: Path | None
    workers: int | None
    scheduler: str | None
    output: Output
    limit: int | None
    out: Path | None
    baseline: Path | None
    write_baseline: Path | None
    fix: bool
    to: Path | None
    fix_rules: tuple[str, ...]
    yes: bool
    force: bool

    def check(self) -> None:
        """Refuse what cannot be done, before any work."""
        from toolkit.files import check_outputs

        if (self.to or self.fix_rules or self.yes) and not self.fix:
            raise UsageError("--to, --fix-rule and --yes go with --fix; add --fix")
        if self.yes and self.to is None:
            raise UsageError("--yes writes a new file; name it: --fix --to NEW --yes")
        if self.fix and self.output not in ("text", "json"):
            raise UsageError(
                f"--fix prints text or JSON; write the {self.output} report without it"
            )
        if self.fix and self.out is not None:
            raise UsageError("--out writes a report; --fix prints its plan: leave one out")
        if self.fix and (self.baseline or self.write_baseline):
            raise UsageError("--fix and a baseline do not go together; repair first")
        if (self.workers or self.scheduler) and self.images is None:
            raise UsageError("--workers and --scheduler are for images; add --images DIR")
        check_outputs(
            (self.out, self.write_baseline, self.to),
            force=self.force,
            inputs=(self.file, self.images, self.baseline, schema_file(self.schema)),
        )

    @property
    def listed(self) -> int:
        """Findings of a rule to list."""
        return self.limit or (EXAMPLES if self.output == "text" else LISTED)


@click.command(epilog="Example: toolkit validate annotations.json --profile extension")
@click.argument("file", type=_PATH, required=False)
@schema_option
@click.option(
    "--profile",
    "given_profile",
    type=click.Choice(PROFILES),
    help="What counts as an error: the rules of a family of data sets [default: the one "
    "that fits the data].",
)
@click.option("--images", type=_PATH, metavar="DIR", help="Also look at every image.")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Images to look at at once (default: one a core).",
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler to look at images with.")
@click.option(
    "--format",
    "output",
    type=click.Choice(("text", "json", "sarif", "html")),
    default="text",
    show_default=True,
    help="How to give the findings.",
)
@json_option
@click.option("--out", type=_PATH, metavar="PATH", help="Write the report to a file.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Findings to list for each rule (text {EXAMPLES}, others {LISTED}); all are counted.",
)
@click.option(
    "--baseline", type=_PATH, metavar="PATH", help="Accept the findings that this file lists."
)
@click.option(
    "--write-baseline", type=_PATH, metavar="PATH", help="Accept all findings from now on."
)
@click.option("--fix", is_flag=True, help="Show what can be repaired; --yes writes it.")
@click.option("--to", type=_PATH, metavar="NEW", help="The repaired file.")
@click.option(
    "--fix-rule",
    "fix_rules",
    multiple=True,
    metavar="CODE,...",
    help="Also make this repair, though scores or other tools depend on it.",
)
@click.option("--yes", is_flag=True, help="Write the repaired file.")
@force_option
@click.option("--explain", metavar="CODE", help="Say what a rule means ('all': every rule).")
def validate(
    *, file: Path | None, explain: str | None, as_json: bool, **options: object
) -> int:
    """Check the annotations in FILE and list every finding; ends with 1 on an error."""
    if as_json and options["output"] == "text":
        options["output"] = "json"
    if explain is not None:
        _explain(explain, as_json=options["output"] == "json")
        return 0
    if file is None:
        raise UsageError("no file to validate; name one: toolkit validate annotations.json")
    if as_json and options["output"] != "json":
        raise UsageError(f"--json and --format {options['output']}: choose one")
    named = options.pop("fix_rules")
    codes = [code for text in named for code in text.split(",") if code]  # type: ignore[attr-defined]
    wanted = _Wanted(file=file, fix_rules=tuple(codes), **options)  # type: ignore[arg-type]
    wanted.check()
    return _run(wanted)


def _run(wanted: _Wanted) -> int:
    from toolkit import checks, formats
    from toolkit.metrics.profiles import default_profile
    from toolkit.schema import Schema

    schema = None if wanted.schema is None else Schema.load(wanted.schema)
    scan = formats.scan(wanted.file, schema)
    profile = wanted.given_profile or default_profile(scan.dataset)
    looked = _look_at_images(scan, wanted)
    whole = wanted.baseline is not None or wanted.write_baseline is not None
    report = checks.validate(
        scan.dataset,
        profile=profile,
        findings=[*scan.findings, *looked],
        limit=None if whole else wanted.listed,
    )
    if wanted.fix:
        return _fix(scan, looked, report, profile, wanted)
    compared = None
    if whole:
        report, compared = _known(report, wanted)
    _give(report, compared, scan, wanted)
    accepted = report.ok or wanted.write_baseline is not None
    return 0 if accepted else InvalidDataError.exit_code


def _look_at_images(scan: Scan, wanted: _Wanted) -> list[Finding]:
    """Findings about the image files; unsafe names are refused."""
    if wanted.images is None:
        return []
    from toolkit.checks.images import check_images

    with progress_bar("looking at images") as progress:
        return check_images(
            scan.dataset,
            wanted.images,
            workers=wanted.workers,
            scheduler=wanted.scheduler,
            progress=progress,
        )


def _known(report: Report, wanted: _Wanted) -> tuple[Report, Compared | None]:
    """What is new, capped; and the comparison, where there is a baseline."""
    from toolkit.checks.baseline import capped, compare, read_baseline, write_baseline

    compared = None
    if wanted.baseline is not None:
        compared = compare(report, read_baseline(wanted.baseline, report.profile))
    if wanted.write_baseline is not None:
        write_baseline(report, wanted.write_baseline, force=wanted.force)
        total = sum(report.counts().values())
        notice(f"{wanted.write_baseline}: {counted(total, 'finding')} accepted from now on")
    return capped(compared.report if compared else report, wanted.listed), compared


def _give(report: Report, compared: Compared | None, scan: Scan, wanted: _Wanted) -> None:
    """Print the report, or write it to a file."""
    notes = _baseline_notes(compared, wanted.baseline)
    if wanted.output == "text" and wanted.out is None:
        from toolkit.checks.text import report_lines

        _print(report_lines(report, wanted.file.name, scan.dataset))
    elif wanted.output == "json" and wanted.out is None:
        echo_json(_document(report, compared))
    else:
        content = _content(report, compared, scan, wanted, notes)
        if wanted.out is None:
            click.echo(content, nl=False)
        else:
            from toolkit.files import write_bytes

            # Half a surrogate pair becomes its escape, which JSON reads as the same.
            data = content.encode("utf-8", "backslashreplace")
            write_bytes(wanted.out, data, force=wanted.force)
            notice(f"{wanted.out}: {'valid' if report.ok else 'not valid'}")
    for line in notes:
        notice(line)


def _content(
    report: Report,
    compared: Compared | None,
    scan: Scan,
    wanted: _Wanted,
    notes: list[str],
) -> str:
    """The report as the text of a file."""
    if wanted.output == "json":
        import json

        document = _document(report, compared)
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if wanted.output == "sarif":
        from toolkit import __version__
        from toolkit.checks.sarif import MAX_RESULTS, sarif_text

        if len(report.findings) > MAX_RESULTS:
            notice(f"the {MAX_RESULTS:,} worst findings are listed; pass a smaller --limit")
        return sarif_text(report, scan.dataset.source, __version__)
    if wanted.output == "html":
        from toolkit.checks.html import report_page

        name = wanted.file.name
        return report_page(
            report, scan.dataset, name=name, images_dir=wanted.images, notes=notes
        )
    from toolkit.checks.text import report_lines

    lines = report_lines(report, wanted.file.name, scan.dataset)
    return "".join(line.plain + "\n" for line in lines)


def _document(report: Report, compared: Compared | None) -> dict[str, object]:
    document = report.to_json()
    if compared is not None:
        document["baseline"] = {"known": compared.known, "fixed": list(compared.fixed)}
    return document


def _baseline_notes(compared: Compared | None, baseline: Path | None) -> list[str]:
    if compared is None or baseline is None:
        return []
    lines = [f"{baseline.name} accepts {compared.known:,} known findings"]
    lines += [
        f"{baseline.name}: {line}; remove it from the baseline" for line in compared.fixed
    ]
    return lines


def _fix(
    scan: Scan, looked: list[Finding], report: Report, profile: Profile, wanted: _Wanted
) -> int:
    """Show the plan of repairs; write it with --yes and check what was written."""
    from toolkit import checks, formats
    from toolkit.checks.fix import plan_repairs, write_repaired
    from toolkit.checks.text import plan_lines, remaining_lines, verdict

    plan = plan_repairs(scan.dataset, scan.findings, wanted.fix_rules)
    after = None
    if wanted.yes and wanted.to is not None:
        write_repaired(scan.dataset, plan, wanted.to, force=wanted.force)
        again = formats.scan(wanted.to, scan.dataset.schema if wanted.schema else None)
        after = checks.validate(
            again.dataset,
            profile=profile,
            findings=[*again.findings, *looked],
            limit=wanted.listed,
        )
    if wanted.output == "json":
        echo_json(
            report.to_json()
            | {"fix": plan.to_json() | {"to": str(wanted.to) if wanted.to else None}}
            | ({} if after is None else {"after": after.to_json()})
        )
    else:
        _print([verdict(report, wanted.file.name, scan.dataset), *plan_lines(plan)])
        if after is not None and wanted.to is not None:
            _print(remaining_lines(after, wanted.to.name, scan.dataset))
    if after is None:
        notice(f"nothing is written; add {'' if wanted.to else '--to NEW '}--yes to write")
    return 0 if (after or report).ok else InvalidDataError.exit_code


def _explain(code: str, *, as_json: bool) -> None:
    from toolkit.checks.rulebook import all_rules, explain, rules_page

    if code == "all":
        if as_json:
            echo_json({"rules": [page.to_json() for page in all_rules()]})
        else:
            click.echo(rules_page(), nl=False)
    elif as_json:
        echo_json(explain(code).to_json())
    else:
        click.echo("\n".join(explain(code).lines()))


def _print(lines: Iterable[Line]) -> None:
    """Print lines: coloured and wrapped in a terminal, one line each elsewhere."""
    terminal = console()
    if not terminal.is_terminal:
        for line in lines:
            click.echo(line.plain)
        return
    from rich.padding import Padding  # lazy: rich costs 0.1 s
    from rich.text import Text

    for line in lines:
        terminal.print(Padding(Text.assemble(*line.parts), (0, 0, 0, line.indent)))
