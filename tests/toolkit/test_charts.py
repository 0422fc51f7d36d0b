"""Charts are well-formed SVG that shows what it was given."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from toolkit.charts import (
    Cloud,
    Series,
    curves,
    density,
    histogram,
    percent,
    scatter,
    stacked_bars,
    standalone,
)

EVIL = '"><script>&\x00'


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(standalone(svg))


def shapes(svg: str, kind: str) -> list[ElementTree.Element]:
    return parse(svg).findall(f".//{{http://www.w3.org/2000/svg}}{kind}")


def words(svg: str) -> str:
    return " ".join("".join(item.itertext()) for item in shapes(svg, "text"))


def test_bars_stack_and_an_empty_row_says_so() -> None:
    parts = [Series("seen", [0.5, None], "#111"), Series("hidden", [0.25, None], "#222")]

    svg = stacked_bars("t", ["a", "b"], parts, notes=["n", ""])

    first, second = (
        next(r for r in shapes(svg, "rect") if r.get("fill") == c and r.get("height") == "15.0")
        for c in ("#111", "#222")
    )
    assert float(first.get("width", 0)) == 2 * float(second.get("width", 0))
    left, width = (float(first.get(key, 0)) for key in ("x", "width"))
    assert left + width == float(second.get("x", 0))
    assert "no data" in words(svg)


def test_a_histogram_draws_every_count_and_names_its_edges() -> None:
    edges, counts = np.array([0.0, 10, 20, 30]), np.array([1, 4, 2])

    svg = histogram("t", edges, counts, unit="px")

    bars = [r for r in shapes(svg, "rect") if len(r)]
    tall = [float(bar.get("height", 0)) for bar in bars]
    assert tall == [45.0, 180.0, 90.0]
    assert all(word in words(svg) for word in ("0", "10", "20", "30", "px"))
    assert "10 to 20: 4" in svg


def test_curves_draw_a_line_a_series_and_name_the_empty_one() -> None:
    series = [Series("toe", [1.0, 0.5, 0.0], "#111"), Series("none", [None] * 3, "#222")]

    svg = curves("t", [1.0, 1.5, 2.0], series, x_name="padding", marks=[(1.25, "HRNet")])

    (line,) = shapes(svg, "polyline")
    assert len(line.get("points", "").split()) == 3
    assert "none (no data)" in words(svg)
    assert "HRNet" in words(svg)


def test_a_density_draws_cells_where_there_are_points_and_the_unit_box() -> None:
    counts = np.zeros((4, 4), np.int64)
    counts[1, 2], counts[3, 3] = 9, 1

    svg = density("t", counts, (-1.0, -1.0, 2.0, 2.0), color="#123456")

    cells = [r for r in shapes(svg, "rect") if r.get("fill") == "#123456"]
    assert [(c.get("x"), c.get("y")) for c in cells] == [("150.0", "75.0"), ("225.0", "225.0")]
    assert [c.get("fill-opacity") for c in cells] == ["1.00", "0.41"]
    box = next(r for r in shapes(svg, "rect") if r.get("fill") == "none")
    assert (box.get("x"), box.get("width")) == ("100.0", "100.0")


def test_hostile_labels_stay_text_and_the_file_stays_xml() -> None:
    for svg in (
        stacked_bars(EVIL, [EVIL], [Series(EVIL, [0.5], "#111")]),
        curves(EVIL, [1.0, 2.0], [Series(EVIL, [1.0, 0.0], "#111")], x_name=EVIL),
        histogram(EVIL, np.array([0.0, 1.0]), np.array([1]), unit=EVIL),
    ):
        assert "<script" not in svg
        parse(svg)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.0 %"), (0.0001, "<0.1 %"), (0.1234, "12.3 %"), (1.0, "100.0 %")],
)
def test_a_share_in_words(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_points_keep_their_proportions_and_their_names() -> None:
    """Twice as far apart in x as in y; the third lies on the first."""
    dots = Cloud("dots", [0.0, 2.0], [0.0, 1.0], "#123456")
    rings = Cloud(EVIL, [0.0], [0.0], "#654321", ["a name"], ring=True)

    svg = scatter("map", [dots, rings])

    first, second, legend, ring, _ = shapes(svg, "circle")
    spread = {
        axis: float(second.get(axis) or 0) - float(first.get(axis) or 0)
        for axis in ("cx", "cy")
    }
    assert spread["cx"] == pytest.approx(2 * spread["cy"], abs=0.2)
    assert ring.get("cx") == first.get("cx")
    assert "fill:none" in (ring.get("style") or "")
    assert "fill:#123456" in (legend.get("style") or "")
    assert "a name" in svg
    assert "<script>" not in svg


def test_names_of_points_in_one_place_stand_beneath_each_other() -> None:
    cloud = Cloud("c", [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], "#000000", ["one", "two", "far"])

    texts = {
        t.text or "": float(t.get("y") or 0) for t in shapes(scatter("map", [cloud]), "text")
    }

    assert texts["two"] - texts["one"] >= 12
