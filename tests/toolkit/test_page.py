"""Pages carry everything inside themselves and let no text become markup."""

from __future__ import annotations

import base64
import json
import re

from toolkit.page import data_uri, escape, html_page, script_data


def test_a_page_forbids_the_network_and_escapes_its_title() -> None:
    page = html_page("<b>&", "<main>x</main>", style="p{}", script="let a = 1;")

    assert "<title>&lt;b&gt;&amp;</title>" in page
    assert "default-src 'none'" in page
    assert "connect-src" not in page
    assert page.count("<script>") == 1
    assert "<script" not in html_page("t", "")


def test_text_that_no_file_can_hold_is_replaced() -> None:
    assert escape("a\x00\x1b\ud800b") == "a\N{REPLACEMENT CHARACTER}" * 1 + (
        "\N{REPLACEMENT CHARACTER}" * 2 + "b"
    )
    assert escape("\"'<") == "&quot;&#x27;&lt;"
    assert escape("Ж 犬\n") == "Ж 犬\n"


def test_data_for_the_script_cannot_close_its_element() -> None:
    value = {"name": "</script><script>alert(1)</script><!--", "other": "\u2028\ud800"}

    element = script_data("data", value)

    inner = re.fullmatch(
        r'<script type="application/json" id="data">([^<>]*)</script>', element
    )
    assert inner is not None
    assert json.loads(inner[1]) == value
    element.encode("utf-8")


def test_a_picture_inside_the_page() -> None:
    uri = data_uri(b"\x00\xff", "image/png")

    assert uri.startswith("data:image/png;base64,")
    assert base64.b64decode(uri.partition(",")[2]) == b"\x00\xff"
