"""The rules' own page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from toolkit import checks
from toolkit.checks.base import FAMILIES
from toolkit.checks.files import IMAGE_RULES
from toolkit.checks.rulebook import all_rules, explain, rules_page
from toolkit.errors import UsageError
from toolkit.formats import RULES


def test_every_code_that_can_be_reported_is_in_the_book() -> None:
    codes = [page.code for page in all_rules()]

    expected = [rule.code for rule in RULES] + [check.code for check in checks.CHECKS]
    assert codes == [*expected, *(rule.code for rule in IMAGE_RULES)]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)
    assert {page.family for page in all_rules()} <= set(FAMILIES)


def test_the_page_in_the_docs_is_the_rulebook(root: Path) -> None:
    page = (root / "docs" / "rules.md").read_text("utf-8")

    assert page == rules_page(), "run: toolkit validate --explain all > docs/rules.md"


def test_a_rule_is_explained_with_its_severities() -> None:
    assert explain("area-missing").lines() == [
        "area-missing",
        "  COCO states the area of every instance, and OKS scales with it. CrowdPose has none "
        "and is scored with 0.53 x width x height of the box.",
        "  coco error, crowdpose info, cropcoco error, extension error",
        "  boxes; found by checking",
    ]


def test_an_unknown_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="no rule 'area-mising'; did you mean 'area-missing'"):
        explain("area-mising")
    with pytest.raises(UsageError, match=r"no rule 'foo'; docs/rules\.md lists all"):
        explain("foo")


def test_a_rule_with_a_repair_says_so() -> None:
    assert explain("bbox-swapped").lines()[2] == (
        "  Repair: Exchange the box's last two numbers."
    )
