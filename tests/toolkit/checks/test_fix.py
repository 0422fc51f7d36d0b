"""Repairs: each answers its rule, changes what the plan lists, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolkit import checks, formats
from toolkit.checks import fix
from toolkit.dataset import Dataset
from toolkit.errors import OutputExistsError, UsageError
from toolkit.schema import Schema

Document = dict[str, Any]
SAFE = ("json-bom", "annotation-id-duplicate", "annotation-id-zero", "iscrowd-missing")


def people(document: Document) -> list[Document]:
    listed: list[Document] = document["annotations"]
    return listed


def two_later_duplicates(document: Document) -> None:
    people(document).append(people(document)[0] | {"id": 2, "area": 7})


def zero(document: Document) -> None:
    people(document)[1]["id"] = 0


def no_flag(document: Document) -> None:
    del people(document)[0]["iscrowd"]


def no_count(document: Document) -> None:
    del people(document)[1]["num_keypoints"]


def wrong_count(document: Document) -> None:
    people(document)[1]["num_keypoints"] = 5


def zero_count(document: Document) -> None:
    people(document)[1]["num_keypoints"] = 0


def no_area(document: Document) -> None:
    del people(document)[0]["area"]


def wrong_area(document: Document) -> None:
    people(document)[0]["area"] = -3


def turned_box(document: Document) -> None:
    people(document)[0]["bbox"] = [26, 20, -16, 32]


def stray_coordinates(document: Document) -> None:
    people(document)[0]["keypoints"][5] = 0
    people(document)[0]["num_keypoints"] = 16


def bad_edge(document: Document) -> None:
    document["categories"][0]["skeleton"] = [[1, 2], [3, 99]]


def text_id(document: Document) -> None:
    people(document)[0]["image_id"] = "7"


# Rule, damage, and what the repair makes of it: section, index, field, new value.
FAULTS: tuple[
    tuple[str, Callable[[Document], None], list[tuple[str, int, str, object]]], ...
] = (
    ("annotation-id-duplicate", two_later_duplicates, [("annotations", 2, "id", 3)]),
    ("annotation-id-zero", zero, [("annotations", 1, "id", 2)]),
    ("iscrowd-missing", no_flag, [("annotations", 0, "iscrowd", 0)]),
    ("num-keypoints-missing", no_count, [("annotations", 1, "num_keypoints", 17)]),
    ("num-keypoints-mismatch", wrong_count, [("annotations", 1, "num_keypoints", 17)]),
    ("num-keypoints-zero", zero_count, [("annotations", 1, "num_keypoints", 17)]),
    ("area-missing", no_area, [("annotations", 0, "area", 512)]),
    ("area-value", wrong_area, [("annotations", 0, "area", 512)]),
    ("bbox-size", turned_box, [("annotations", 0, "bbox", [10, 20, 16, 32])]),
    ("skeleton-index", bad_edge, [("categories", 0, "skeleton", [[1, 2]])]),
    ("id-type", text_id, [("annotations", 0, "image_id", 7)]),
)


def plan_of(path: Path, *named: str) -> tuple[Dataset, fix.Plan]:
    scan = formats.scan(path)
    return scan.dataset, fix.plan_repairs(scan.dataset, scan.findings, named)


def rules_in(path: Path) -> set[str]:
    scan = formats.scan(path)
    report = checks.validate(scan.dataset, findings=scan.findings)
    return {finding.rule for finding in report.findings}


@pytest.mark.parametrize(("rule", "damage", "expected"), FAULTS, ids=[f[0] for f in FAULTS])
def test_a_repair_answers_its_rule_and_touches_nothing_else(
    rule: str,
    damage: Callable[[Document], None],
    expected: list[tuple[str, int, str, object]],
    coco_document: Document,
    write_json: Callable[..., Path],
    tmp_path: Path,
) -> None:
    damage(coco_document)
    path = write_json(coco_document)
    before = path.read_bytes()
    assert rule in rules_in(path)

    dataset, plan = plan_of(path, rule)
    fix.write_repaired(dataset, plan, tmp_path / "new.json")

    assert rule not in rules_in(tmp_path / "new.json")
    for section, index, field, value in expected:
        coco_document[section][index][field] = value
    assert json.loads((tmp_path / "new.json").read_bytes()) == coco_document
    assert path.read_bytes() == before
    assert [(c.section, c.index, c.field) for c in plan.changes] == [e[:3] for e in expected]


def test_coordinates_under_visibility_0_become_0_only_when_named(
    coco_document: Document, write_json: Callable[..., Path], tmp_path: Path
) -> None:
    stray_coordinates(coco_document)
    path = write_json(coco_document)

    assert plan_of(path)[1].steps == ()
    dataset, plan = plan_of(path, "visibility-zero-coordinates")
    fix.write_repaired(dataset, plan, tmp_path / "new.json")

    coco_document["annotations"][0]["keypoints"][3:5] = [0, 0]
    assert json.loads((tmp_path / "new.json").read_bytes()) == coco_document


def test_a_byte_order_mark_is_left_out(
    coco_document: Document, write_json: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_json(b"\xef\xbb\xbf" + json.dumps(coco_document).encode())

    dataset, plan = plan_of(path)
    fix.write_repaired(dataset, plan, tmp_path / "new.json")

    assert (tmp_path / "new.json").read_bytes() == json.dumps(coco_document).encode()
    assert [step.repair.rule for step in plan.steps] == ["json-bom"]


@pytest.mark.parametrize("rule", [r.rule for r in fix.REPAIRS if r.rule not in SAFE])
def test_what_a_score_depends_on_is_offered_and_not_done(
    rule: str, coco_document: Document, write_json: Callable[..., Path]
) -> None:
    damages = {code: damage for code, damage, _ in FAULTS}
    damages["visibility-zero-coordinates"] = stray_coordinates
    damages[rule](coco_document)

    _, plan = plan_of(write_json(coco_document))

    assert plan.steps == ()
    assert [(o.repair.rule, o.records) for o in plan.offered] == [(rule, 1)]


def test_the_safe_repairs_are_these_and_no_others() -> None:
    assert tuple(repair.rule for repair in fix.REPAIRS if repair.safe) == SAFE


def test_an_instance_with_id_0_twice_gets_two_ids_that_no_record_has(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    coco_document["categories"].append({"id": 9, "name": "puck", "keypoints": ["middle"]})
    first, second = people(coco_document)
    first["id"] = second["id"] = 0
    people(coco_document).append(first | {"id": 41, "category_id": 9, "keypoints": [1, 1, 2]})

    _, plan = plan_of(write_json(coco_document))

    assert [(c.index, c.new) for c in plan.changes] == [(1, "42"), (0, "43")]


def test_where_ids_reach_the_end_of_exact_numbers_the_gaps_are_filled(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    first, second = people(coco_document)
    first["id"], second["id"] = 2**63 - 1, 0
    people(coco_document).append(second | {"id": 1})

    _, plan = plan_of(write_json(coco_document))

    assert [(c.index, c.new) for c in plan.changes] == [(1, "2")]


def test_more_missing_flags_than_the_reader_lists_are_all_repaired(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    first = people(coco_document)[0]
    del first["iscrowd"]
    coco_document["annotations"] = [first | {"id": i + 1} for i in range(1500)]

    _, plan = plan_of(write_json(coco_document))

    assert plan.steps[0].records == 1500


def test_unusable_ids_beyond_those_that_are_listed_repeat_no_id(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    first = people(coco_document)[0]
    coco_document["annotations"] = [first | {"id": f"p{i}"} for i in range(1003)]
    path = write_json(coco_document)

    scan = formats.scan(path)
    report = checks.validate(scan.dataset, findings=scan.findings, limit=3)

    assert plan_of(path)[1].steps == ()
    assert "annotation-id-duplicate" not in {finding.rule for finding in report.findings}
    assert report.counts()["error"] == 1003


def test_all_ids_in_quotes_are_repaired_in_file_order(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    first = people(coco_document)[0]
    coco_document["annotations"] = [first | {"id": str(i + 1)} for i in range(1003)]

    _, plan = plan_of(write_json(coco_document), "id-type")

    assert [(c.index, c.new) for c in plan.changes] == [(i, str(i + 1)) for i in range(1003)]


def test_a_new_id_is_not_one_that_another_repair_makes(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    first, second = people(coco_document)
    second["id"] = first["id"] = 11
    people(coco_document).extend([first | {"id": "12"}, first | {"id": 13.0}])

    _, plan = plan_of(write_json(coco_document), "id-type")

    assert [(c.index, c.new) for c in plan.changes] == [(1, "14"), (2, "12"), (3, "13")]


def test_entries_that_are_no_annotations_do_not_stop_a_repair(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    first = people(coco_document)[0] | {"id": 3}
    odd: list[Any] = [5, None, "x", [1], {}, {"id": None}, {"id": 12.5}, {"id": "4"}]
    coco_document["annotations"] = [*odd, first, first]

    _, plan = plan_of(write_json(coco_document))

    assert [(c.index, c.new) for c in plan.changes if c.field == "id"] == [(9, "5")]


def test_skeletons_without_a_wrong_edge_are_left_alone(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    coco_document["categories"][0]["skeleton"] = None
    coco_document["categories"].append({"id": 9, "name": "puck", "skeleton": [[1, 2]]})

    _, plan = plan_of(write_json(coco_document), "skeleton-index")

    assert plan.steps == ()


def test_a_rule_without_a_repair_is_refused(
    coco_document: Document, write_json: Callable[..., Path]
) -> None:
    with pytest.raises(UsageError, match="no repair for rule 'bbox-missing'; there are"):
        plan_of(write_json(coco_document), "bbox-missing")


def test_the_file_that_was_read_is_never_the_output(
    coco_document: Document, write_json: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_json(coco_document)
    dataset, plan = plan_of(path)
    (tmp_path / "there.json").write_text("mine")

    with pytest.raises(UsageError, match="the output is the input"):
        fix.write_repaired(dataset, plan, path, force=True)
    with pytest.raises(OutputExistsError, match="exists already; pass --force"):
        fix.write_repaired(dataset, plan, tmp_path / "there.json")
    assert (tmp_path / "there.json").read_text() == "mine"


def test_data_that_come_from_no_file_are_refused(make_dataset: Callable[..., Dataset]) -> None:
    with pytest.raises(UsageError, match="only COCO files are repaired"):
        fix.plan_repairs(make_dataset())


def test_crowdpose_s_counts_and_its_missing_areas_stay(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "crowdpose" / "crowdpose_val.json"

    dataset, plan = plan_of(path)
    fix.write_repaired(dataset, plan, tmp_path / "new.json")

    assert plan.steps == ()
    offered = {offer.repair.rule: offer.records for offer in plan.offered}
    assert (offered["num-keypoints-zero"], offered["area-missing"]) == (954, 8527)
    assert (tmp_path / "new.json").read_bytes() == path.read_bytes()


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A file with any mix of repairable faults, and the repairs to name."""
    schema = Schema.load("coco")
    ids = st.integers(-2, 4)
    maybe = st.sampled_from
    records = []
    for _ in range(draw(st.integers(0, 5))):
        record: Document = {
            "unknown é": draw(maybe(["kept", [1.50, {"x": None}]])),
            "id": draw(ids),
            "image_id": draw(maybe([7, "7", 7.0, 8])),
            "category_id": 1,
            "keypoints": draw(st.lists(maybe([0, 1, 2]), min_size=51, max_size=51)),
            "bbox": draw(maybe([[1, 2, 3, 4], [1.0, 2, -3, 4.50], [1, 2, 0, 4], [1, 2]])),
        }
        for key, values in {
            "iscrowd": [0, 1],
            "num_keypoints": [0, 3, 17],
            "area": [10, -1, 0, 2.50],
        }.items():
            if draw(st.booleans()):
                record[key] = draw(maybe(values))
        records.append(record)
    document = {
        "images": [{"id": 7, "file_name": "seven.jpg", "width": 100, "height": 80}],
        "categories": [schema.coco_category() | {"skeleton": [[1, 2], [0, 3]]}],
        "annotations": records,
    }
    text = json.dumps(document, indent=draw(maybe([None, 0, 2])), ensure_ascii=False)
    named = draw(st.sets(maybe([r.rule for r in fix.REPAIRS])))
    return draw(maybe(["", "\ufeff"])) + text, sorted(named)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=damaged())
def test_the_new_file_differs_from_the_old_in_the_plan_only(
    case: tuple[str, list[str]], tmp_path: Path
) -> None:
    text, named = case
    path, new, back = (tmp_path / name for name in ("old.json", "new.json", "back.json"))
    path.write_text(text, encoding="utf-8")

    dataset, plan = plan_of(path, *named)
    fix.write_repaired(dataset, plan, new, force=True)

    old, now = (json.loads(p.read_text(encoding="utf-8-sig")) for p in (path, new))
    for change in plan.changes:
        if change.section is None:
            continue
        record, fresh = old[change.section][change.index], now[change.section][change.index]
        assert change.old == (None if change.field not in record else change.old)
        if change.old is not None:
            assert record[change.field] == json.loads(change.old)
        assert fresh[change.field] == json.loads(change.new or "null")
        record[change.field] = fresh[change.field]
    assert old == now
    # Taking every change back gives the first file, byte for byte.
    undone = tuple(
        fix.Step(
            step.repair,
            tuple(
                fix.Change(c.section, c.index, c.id, c.field, c.new, c.old)
                for c in step.changes
                if c.section is not None
            ),
        )
        for step in plan.steps
    )
    repaired = formats.scan(new).dataset
    fix.write_repaired(repaired, fix.Plan(undone, ()), back, force=True)
    assert back.read_bytes() == path.read_bytes().removeprefix(b"\xef\xbb\xbf")
