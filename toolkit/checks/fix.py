"""Repairs: a plan first, then a new file that differs from the old in the plan only.

`plan_repairs` lists what would change, field by field, and writes nothing; `write_repaired`
writes it through the lossless document, so that every byte outside the plan stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from toolkit.checks.fix_base import Bench, Change, Repair
from toolkit.checks.fix_rules import REPAIRS
from toolkit.dataset import Dataset
from toolkit.errors import UsageError
from toolkit.files import check_output
from toolkit.formats.coco_write import CocoSource
from toolkit.formats.document import Edit, patch_record
from toolkit.report import Finding

__all__ = [
    "REPAIRS",
    "Change",
    "Offer",
    "Plan",
    "Repair",
    "Step",
    "plan_repairs",
    "write_repaired",
]

EXAMPLES = 3


@dataclass(frozen=True)
class Step:
    """One repair and the changes that it makes.

    Attributes:
        repair: The repair.
        changes: Field by field, in file order; never empty.
    """

    repair: Repair
    changes: tuple[Change, ...]

    @property
    def records(self) -> int:
        """Number of records that change."""
        return len({(change.section, change.index) for change in self.changes})

    def to_json(self) -> dict[str, object]:
        """The step as a JSON document: counts and the first changes."""
        return {
            "rule": self.repair.rule,
            "does": self.repair.does,
            "safe": self.repair.safe,
            "records": self.records,
            "examples": [asdict(change) for change in self.changes[:EXAMPLES]],
        }


@dataclass(frozen=True)
class Offer:
    """A repair that would do something, but that nobody has named.

    Attributes:
        repair: The repair; it is not safe.
        records: Number of records that it would change.
    """

    repair: Repair
    records: int

    def to_json(self) -> dict[str, object]:
        """The offer as a JSON document."""
        return {
            "rule": self.repair.rule,
            "does": self.repair.does,
            "safe": self.repair.safe,
            "records": self.records,
        }


@dataclass(frozen=True)
class Plan:
    """What will be repaired, and what could be if it were named.

    Attributes:
        steps: The repairs to make, at most one change for each field of a record.
        offered: Repairs that nobody named, though the file has something for them.
    """

    steps: tuple[Step, ...]
    offered: tuple[Offer, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change, in the order of the steps."""
        return tuple(change for step in self.steps for change in step.changes)

    def to_json(self) -> dict[str, object]:
        """The plan as a JSON document."""
        return {
            "repairs": [step.to_json() for step in self.steps],
            "offered": [offer.to_json() for offer in self.offered],
        }


def plan_repairs(
    dataset: Dataset, findings: Iterable[Finding] = (), named: Collection[str] = ()
) -> Plan:
    """Work out the repairs of a file; nothing is written.

    Args:
        dataset: A file as it was read, whole and unchanged.
        findings: What the reader found.
        named: Codes of rules whose unsafe repairs are wanted too.

    Raises:
        UsageError: A named rule has no repair, or the data come from no COCO file.
    """
    known = {repair.rule for repair in REPAIRS}
    for code in named:
        if code not in known:
            raise UsageError(
                f"no repair for rule '{code}'; there are repairs for {', '.join(sorted(known))}"
            )
    bench = Bench(dataset, _source(dataset), tuple(findings))
    steps: list[Step] = []
    offered: list[Offer] = []
    touched: set[tuple[str | None, int | None, str]] = set()
    for repair in REPAIRS:
        wanted = repair.safe or repair.rule in named
        bench.only_counts = not wanted
        changes = tuple(c for c in repair.propose(bench) if _place(c) not in touched)
        if changes and wanted:
            steps.append(Step(repair, changes))
            touched.update(_place(change) for change in changes)
        elif changes:
            offered.append(Offer(repair, len({(c.section, c.index) for c in changes})))
    return Plan(tuple(steps), tuple(offered))


def write_repaired(dataset: Dataset, plan: Plan, path: Path, *, force: bool = False) -> None:
    """Write the file with the changes of a plan, whole or not at all.

    Every byte that the plan does not name is copied, as in `Document.write`.

    Raises:
        UsageError: The path is the file that was read.
        OutputExistsError: The path exists and `force` was not given.
        WriteError: It cannot be written; what stood there before is intact.
    """
    check_output(path, force=force, inputs=() if dataset.path is None else (dataset.path,))
    document = _source(dataset).document
    wanted: dict[str, dict[int, dict[str, str | None]]] = defaultdict(lambda: defaultdict(dict))
    for change in plan.changes:
        if change.section is None or change.index is None:
            document = replace(document, prefix=b"")
        else:
            wanted[change.section][change.index][change.field] = change.new
    edits = {
        section: Edit(
            {
                index: patch_record(document.record(section, index), fields)
                for index, fields in records.items()
            }
        )
        for section, records in wanted.items()
    }
    document.write(path, edits, force=force)


def _place(change: Change) -> tuple[str | None, int | None, str]:
    return change.section, change.index, change.field


def _source(dataset: Dataset) -> CocoSource:
    if not isinstance(dataset.source, CocoSource):
        raise UsageError(
            f"{dataset.name}: only COCO files are repaired; convert to COCO first "
            "(toolkit convert FILE NEW.json --to coco)"
        )
    return dataset.source
