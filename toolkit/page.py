"""Pages of HTML for people: one file, one look, nothing fetched, everything escaped.

Every page that the toolkit writes (reports, galleries, tables) goes through `html_page`. A
content security policy in its head forbids all network requests, so a hostile label can
neither load nor send anything, whatever it says. Callers escape text with `escape`.
"""

from __future__ import annotations

import base64
import html
import json
import re

STYLE = """
:root{color-scheme:light dark;--ink:#18202f;--soft:#5c667a;--paper:#f5f6f8;--card:#fff;
--edge:#dde2ea;--error:#b3261e;--warning:#9a6700;--info:#1f5fbf;--good:#0b7a4b}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf4;--soft:#98a3b8;--paper:#10141b;
--card:#181e28;--edge:#2a3241;--error:#ff8a80;--warning:#f2c14e;--info:#8ab4ff;--good:#3fcf8e}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1480px;margin:0 auto;padding:0 28px}
header{padding-top:28px}
h1{font-size:28px;margin:0 0 8px;overflow-wrap:anywhere}h2{font-size:20px;margin:0 0 4px}
h3{font-size:14px;margin:22px 0 8px;color:var(--soft);font-weight:600}
section{background:var(--card);border:1px solid var(--edge);border-radius:12px;
padding:22px 24px;margin:0 0 22px}
.lead{margin:0 0 14px;color:var(--soft);overflow-wrap:anywhere}
.wide{overflow-x:auto}
.wide td{white-space:nowrap}.wide td.text{white-space:normal;min-width:14em}
.wide th:first-child,.wide td:first-child{position:sticky;left:0;background:var(--card)}
.chart svg{display:block;min-width:480px;max-width:760px;width:100%;height:auto}
.chart.bars svg{min-width:0;max-width:600px}
.chart svg text,.panels svg text{font-family:inherit}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 9px;text-align:right;vertical-align:top;border-top:1px solid var(--edge)}
th:first-child,td:first-child{text-align:left}
thead th{border-top:0;color:var(--soft);font-size:13px;font-weight:600;vertical-align:bottom}
td.text,th.text{text-align:left;overflow-wrap:anywhere}
.error{color:var(--error)}.warning{color:var(--warning)}.info{color:var(--info)}
.good{color:var(--good)}
.panels{display:grid;gap:10px;grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr))}
.panels figure{margin:0;border:1px solid var(--edge);border-radius:8px;overflow:hidden}
.panels img,.panels svg{display:block;width:100%;height:auto}
.panels figcaption{padding:5px 9px 7px;font-size:12.5px;line-height:1.35;overflow-wrap:anywhere}
img,svg{max-width:100%}
@media (max-width:600px){header,main{padding:0 12px}section{padding:14px 12px}}
@media print{section{break-inside:avoid;border:0;padding:0}}
"""

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)


def html_page(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page.

    Args:
        title: Plain text; escaped here.
        body: Markup of the page's `header` and `main`; the caller has escaped its texts.
        style: Rules after the common style sheet.
        script: JavaScript for the end of the page, or nothing.
    """
    name = escape(title)
    end = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{name}</title><style>{STYLE}{style}</style></head>\n"
        f"<body>{body}{end}</body></html>\n"
    )


def escape(text: object) -> str:
    """Text from outside as HTML and SVG show it, quotes included.

    Control characters and halves of surrogate pairs, which no file of text may hold,
    become U+FFFD.
    """
    return html.escape(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", str(text)), quote=True)


def script_data(name: str, value: object) -> str:
    """Plain values for a page's script, as a JSON element that no text can close.

    The script reads it with `JSON.parse(document.getElementById(name).textContent)`.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{escape(name)}">{safe}</script>'


def data_uri(content: bytes, kind: str = "image/jpeg") -> str:
    """A picture as text for `src`, so that the page carries it inside itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
