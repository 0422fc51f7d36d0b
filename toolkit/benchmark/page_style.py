"""What the report page adds to the look that all pages share (`toolkit.page`)."""

STYLE = """
:root{--best:#d8f3e3;--bestink:#0b5d36;--second:#e7edfb;--secondink:#2b4a94;
--model:#0b7a4b;--control:#7b8497;--oracle:#c2702a}
@media (prefers-color-scheme:dark){:root{--best:#143a28;--bestink:#8fe6b8;--second:#1d2a48;
--secondink:#a9c2ff;--model:#3fcf8e;--control:#8b95a8;--oracle:#e8975a}}
nav a{display:inline-block;margin:0 16px 8px 0;color:inherit}
.wide{margin:6px 0 0}
th:first-child{white-space:nowrap}
td small{display:block;color:var(--soft);font-size:11.5px;white-space:nowrap;font-weight:400}
td.best{background:var(--best);font-weight:700;color:var(--bestink)}
td.second{background:var(--second);font-weight:600;color:var(--secondink)}
.text{text-align:left;font-size:13px}
tbody th{font-weight:600}tbody th em{display:block;font-style:normal;font-weight:400;
font-size:11.5px;color:var(--soft)}
tr.oracle td,tr.oracle th{color:var(--soft)}
tfoot td,tfoot th{border-top:2px solid var(--ink)}
.wide td:first-child{position:static}
.key{font-size:13px;color:var(--soft);margin:10px 0 4px}
.key b{padding:1px 8px;border-radius:5px;margin-right:6px}
.key .best{background:var(--best);color:var(--bestink)}
.key .second{background:var(--second);color:var(--secondink)}
details{margin-top:12px;font-size:13.5px}summary{cursor:pointer;font-weight:600}
details ul{margin:8px 0 0;padding-left:20px;color:var(--soft)}
details li{overflow-wrap:anywhere;margin:2px 0}
figure.chart{margin:8px 0 14px;overflow-x:auto}
.chart figcaption{font-size:13px;color:var(--soft)}
.chart svg{min-width:640px;max-width:860px;font-size:12.5px}
svg text{fill:var(--ink)}svg .tick{text-anchor:middle;fill:var(--soft);font-size:11px}
svg .name{text-anchor:end}svg .grid{stroke:var(--edge)}
svg circle{fill:var(--model)}svg circle.control{fill:var(--control)}
svg circle.oracle{fill:var(--card);stroke:var(--oracle);stroke-width:2}
svg .whisker{stroke:var(--model);stroke-width:3;stroke-opacity:.45}
svg .whisker.control{stroke:var(--control)}svg .whisker.oracle{stroke:var(--oracle)}
.legend{display:block;max-width:none;border-radius:8px;margin-top:8px}
.panels{grid-template-columns:repeat(auto-fill,minmax(min(100%,205px),1fr))}
.panels span{display:block;color:var(--soft);font-size:11.5px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:8px 0 0;
font-size:13.5px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media (max-width:600px){dl{grid-template-columns:1fr}dt{margin-top:8px}}
"""
