"""Ranking, empty cells and escaping, from tables made by hand."""

import json
from dataclasses import replace

import pytest

from toolkit.benchmark.published import published_rows
from toolkit.benchmark.render_html import Exhibit, Gallery, Panel, render_html
from toolkit.benchmark.render_latex import render_latex
from toolkit.benchmark.render_markdown import render_markdown
from toolkit.benchmark.render_text import render_text
from toolkit.benchmark.tables import Column, Contrast, Row, SeedValues, Table, best_rival

AP = Column("AP", note="headline")
ERROR = Column("Error", kind="heads", better="low")
COUNT = Column("Parameters", kind="count", better=None)
EVIL = "<script>alert(1)</script>"
AWKWARD = "a_b&c|50%"


def make_table(*rows: Row) -> Table:
    return Table("demo", "Table 1: a_title", (AP, ERROR, COUNT), rows, rules=("rule <1>",))


def test_best_is_high_or_low_by_column_and_ties_share_a_mark() -> None:
    table = make_table(
        Row("a", {"AP": 0.5004, "Error": 1.0}),
        Row("b", {"AP": 0.4996, "Error": 0.5}),
        Row("c", {"AP": 0.4, "Error": 0.7}),
        Row("d", {"AP": 0.3, "Error": 0.7}),
    )

    assert table.marks(AP) == {"a": 1, "b": 1, "c": 2}  # both print as 50.0
    assert table.marks(ERROR) == {"b": 1, "c": 2, "d": 2}
    assert table.marks(COUNT) == {}


def test_oracles_published_rows_and_empty_cells_are_never_ranked() -> None:
    table = make_table(
        Row("a", {"AP": 0.2}),
        Row("b", {"AP": None}),
        Row("c", {"AP": 0.1}, kind="control"),
        Row("o", {"AP": 0.9}, kind="oracle"),
        Row("p", {"AP": 0.8}, kind="published", source="published"),
        Row("gain", {"AP": 0.1}, kind="improvement"),
    )

    assert table.marks(AP) == {"a": 1, "c": 2}
    rival = best_rival(table.rows, "a", AP)
    assert rival is not None
    assert rival.model == "c"
    assert best_rival(table.rows[:2], "a", AP) is None


def test_a_lone_competitor_is_not_called_best() -> None:
    assert make_table(Row("a", {"AP": 0.2})).marks(AP) == {}
    assert make_table(Row("a", {"AP": 0.0}), Row("b", {"AP": 0.0})).marks(AP) == {}


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        (AP, 0.1234, "12.3"),
        (AP, None, ""),
        (ERROR, 1.234, "1.23"),
        (ERROR, float("inf"), "inf"),
        (COUNT, 950, "950"),
        (COUNT, 12_345, "12.3k"),
        (COUNT, 1_234_567, "1.23M"),
        (Column("Text", kind="text", better=None), "MiniLM", "MiniLM"),
    ],
)
def test_values_are_shown_in_the_unit_of_their_column(
    column: Column, value: float | str | None, shown: str
) -> None:
    assert column.show(value) == shown


def test_json_has_the_promised_keys_and_null_for_what_is_not_finite() -> None:
    table = make_table(
        Row("a", {"AP": 0.5, "Error": float("inf")}, {"AP": (0.4, 0.6)}),
        Row("gain", {"AP": 0.1}, kind="improvement", rivals={"AP": "b"}),
    )

    document = json.loads(json.dumps(table.to_json(), allow_nan=False))

    assert document["columns"] == ["AP", "Error", "Parameters"]
    first, gain = document["rows"]
    assert first["values"] == {"AP": 0.5, "Error": None, "Parameters": None}
    assert first["intervals"]["AP"] == [0.4, 0.6]
    assert (first["source"], first["citation"]) == ("measured", None)
    assert gain["rivals"] == {"AP": "b"}


def test_json_has_null_for_a_training_seed_that_is_not_finite() -> None:
    """Nobody outside the box gives NaN; a median over people who are not found, infinity."""
    seeds = {0: 0.5, 1: float("nan"), 2: float("inf")}
    table = replace(make_table(), seeds=(SeedValues("a", "AP", seeds),))

    (item,) = json.loads(json.dumps(table.to_json(), allow_nan=False))["training_seeds"]

    assert item["seeds"] == {"0": 0.5, "1": None, "2": None}


def test_text_shows_marks_intervals_and_improvement() -> None:
    table = Table(
        "demo",
        "Demo",
        (AP,),
        (
            Row("a", {"AP": 0.5}, {"AP": (0.4, 0.6)}),
            Row("b", {"AP": 0.3}, note="it is fixed"),
            Row("o", {"AP": 0.9}, kind="oracle"),
            Row("a minus best", {"AP": 0.2}, {"AP": (0.1, 0.3)}, kind="improvement"),
        ),
    )

    text = render_text([table])

    for wanted in (
        "**50.0",
        "*30.0",
        "40.0-60.0",
        "o (oracle)",
        "+20.0",
        "+10.0..+30.0",
        "b: it is fixed",
    ):
        assert wanted in text
    assert text.isascii()


def test_a_wide_table_is_printed_in_blocks_that_fit() -> None:
    columns = tuple(Column(f"column {n}") for n in range(12))
    row = Row("model", {column.key: 0.5 for column in columns})

    lines = render_text([Table("t", "T", columns, (row,))], width=60).splitlines()

    assert max(len(line) for line in lines if "column" in line) <= 60
    assert sum(line.startswith("model ") for line in lines) >= 4


def test_names_are_escaped_in_every_format() -> None:
    table = make_table(Row(EVIL, {"AP": 0.5}), Row(AWKWARD, {"AP": 0.4}))
    panel = Panel(EVIL, AWKWARD, b"jpeg")
    gallery = Gallery(EVIL, b"jpeg", (Exhibit(EVIL, (panel,)),))

    page = render_html([table], [gallery], {"machine": EVIL}, EVIL)
    latex = render_latex([table])
    markdown = render_markdown([table], EVIL)

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "a_b&amp;c|50%" in page
    assert r"a\_b\&c\textbar{}50\%" in latex
    assert r"\textless{}script\textgreater{}" in latex
    assert r"a\_b&amp;c\|50%" in markdown
    assert "<script" not in markdown
    assert "a_b&c|50%" in render_text([table])


def test_the_page_asks_nothing_of_the_network() -> None:
    table = make_table(Row("a", {"AP": 0.5}, {"AP": (0.4, 0.6)}), Row("b", {"AP": 0.1}))

    page = render_html([table], [], {}, "Title")

    assert "http" not in page.replace("http-equiv", "")
    assert "<svg" in page
    assert page.count("<section") == page.count("</section>")


def test_a_measured_cell_without_a_value_is_a_hyphen_in_every_format() -> None:
    table = make_table(Row("a", {"AP": 0.5, "Error": None, "Parameters": 3}))

    assert "| a | 50.0 | - | 3 |" in render_markdown([table], "t")
    assert "a & 50.0 & -- & 3 " in render_latex([table])
    assert "<td>\N{EN DASH}</td>" in render_html([table], [], {}, "t")
    assert render_text([table]).splitlines()[4].split() == ["a", "50.0", "-", "3"]


def test_intervals_are_spoken_of_where_there_are_some_and_marks_are_explained() -> None:
    without = make_table(Row("a", {"AP": 0.5}), Row("b", {"AP": 0.4}))
    with_some = make_table(Row("a", {"AP": 0.5}, {"AP": (0.4, 0.6)}), Row("b", {"AP": 0.4}))

    for render in (
        lambda table: render_text([table]),
        lambda table: render_markdown([table], "t"),
        lambda table: render_latex([table]).replace("\\%", "%"),
        lambda table: render_html([table], [], {}, "t"),
    ):
        assert "95 % intervals" in render(with_some)
        assert "intervals" not in render(without)
        assert "second" in render(without)


def test_latex_rows_have_as_many_cells_as_columns() -> None:
    table = make_table(
        Row("a", {"AP": 0.5, "Error": 1.0}, {"AP": (0.4, 0.6)}),
        Row("b", {}),
        Row("gain", {"AP": 0.1}, {"AP": (0.0, 0.2)}, kind="improvement"),
        *published_rows("crowdpose"),
    )

    body = render_latex([table]).split(r"\midrule", 1)[1]
    rows = [r.replace(r"\&", "") for r in body.splitlines() if r" \\" in r]

    assert {r.count("&") for r in rows if "multicolumn" not in r} == {3}


@pytest.mark.parametrize("name", ["hockey", "lacrosse", "crowdpose"])
def test_every_published_row_is_cited_and_unknown_cells_are_empty(name: str) -> None:
    rows = published_rows(name)

    assert rows
    for row in rows:
        assert row.source == row.kind == "published"
        assert row.citation
        assert all(0 < value < 1 for value in row.values.values())
    ours = next(row for row in rows if row.model == "TokenCLIPose")
    assert ours.values == {}
    if name != "crowdpose":
        assert all(row.values == {} for row in rows)


def test_published_crowdpose_values_are_shares() -> None:
    row = next(r for r in published_rows("crowdpose") if r.model == "HRNet-W32")

    assert row.values == {
        "AP": 0.675,
        "AP50": 0.825,
        "AP75": 0.729,
        "APE": 0.77,
        "APM": 0.687,
        "APH": 0.553,
    }
    assert "mmpose" in str(row.citation)
    assert published_rows("unknown") == ()


def test_paired_tests_are_a_table_of_rivals_and_columns_in_pages_and_lines_elsewhere() -> None:
    once = Contrast("AP", "a", "b", 0.05, (0.01, 0.09), 0.002, True)
    seeds = {0: 0.03, 1: 0.05}
    sure = Contrast("AP", "a", "c", 0.04, (0.02, 0.06), 0.01, False, seeds, (0.01, 0.07))
    table = replace(
        make_table(Row("a", {"AP": 0.2}), Row("b", {"AP": 0.15}), Row("c", {"AP": 0.16})),
        contrasts=(once, sure),
    )

    markdown, page = render_markdown([table], "x"), render_html([table], [], {}, "x")

    assert "| a minus | AP |\n| :-- | --: |\n" in markdown
    assert "| b | +5.0 \\[+1.0, +9.0\\]<br>p&lt;=0.002 |" in markdown
    shown = "**+4.0 \\[+2.0, +6.0\\]**<br>seeds +3.0 +5.0<br>over seeds \\[+1.0, +7.0\\]"
    assert f"| c | {shown} |" in markdown
    assert "<th>a minus</th><th>AP</th>" in page
    assert "<td>+5.0<small>[+1.0, +9.0]</small><small>p&lt;=0.002</small></td>" in page
    assert "<td><b>+4.0</b><small>[+2.0, +6.0]</small><small>seeds +3.0 +5.0</small>" in page
    assert "paired test" not in markdown + page.replace("Paired tests", "")
    assert (
        "paired test, AP, a minus: b +5.0 [+1.0, +9.0], p<=0.002; c +4.0 [+2.0, +6.0], "
        "seeds +3.0 +5.0, over seeds [+1.0, +7.0]"
    ) in render_text([table])


def test_a_paired_test_comes_back_from_json_as_it_was() -> None:
    test = Contrast("AP", "a", "b", 0.05, (0.01, 0.09), 0.002, True, {0: 0.05}, None, "x", 0.1)

    assert Contrast.from_json(json.loads(json.dumps(test.to_json()))) == test
