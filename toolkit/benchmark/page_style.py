"""The look of the report page: one style sheet, light and dark."""

STYLE = """
:root{color-scheme:light dark;--ink:#18202f;--soft:#5c667a;--paper:#f5f6f8;--card:#fff;
--edge:#dde2ea;--best:#d8f3e3;--bestink:#0b5d36;--second:#e7edfb;--secondink:#2b4a94;
--model:#0b7a4b;--control:#7b8497;--oracle:#c2702a}
@media (prefers-color-scheme:dark){:root{--ink:#e8ecf4;--soft:#98a3b8;--paper:#10141b;
--card:#181e28;--edge:#2a3241;--best:#143a28;--bestink:#8fe6b8;--second:#1d2a48;
--secondink:#a9c2ff;--model:#3fcf8e;--control:#8b95a8;--oracle:#e8975a}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1480px;margin:0 auto;padding:0 28px}
header{padding-top:28px}
h1{font-size:28px;margin:0 0 8px}h2{font-size:20px;margin:0 0 4px}
h3{font-size:14px;margin:22px 0 8px;color:var(--soft);font-weight:600}
nav a{display:inline-block;margin:0 16px 8px 0;color:inherit}
section{background:var(--card);border:1px solid var(--edge);border-radius:12px;
padding:22px 24px;margin:0 0 22px}
.lead{margin:0 0 14px;color:var(--soft)}
.wide{overflow-x:auto;margin:6px -24px 0;padding:0 24px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 9px;text-align:right;vertical-align:top;border-top:1px solid var(--edge)}
thead th{border-top:0;color:var(--soft);font-size:13px;font-weight:600;vertical-align:bottom}
th:first-child{text-align:left;white-space:nowrap}
td small{display:block;color:var(--soft);font-size:11.5px;white-space:nowrap}
td.best{background:var(--best);font-weight:700;color:var(--bestink)}
td.second{background:var(--second);font-weight:600;color:var(--secondink)}
td small{font-weight:400}
.text{text-align:left;font-size:13px}
tbody th{font-weight:600}tbody th em{display:block;font-style:normal;font-weight:400;
font-size:11.5px;color:var(--soft)}
tr.oracle td,tr.oracle th{color:var(--soft)}
tfoot td,tfoot th{border-top:2px solid var(--ink)}
.key{font-size:13px;color:var(--soft);margin:10px 0 4px}
.key b{padding:1px 8px;border-radius:5px;margin-right:6px}
.key .best{background:var(--best);color:var(--bestink)}
.key .second{background:var(--second);color:var(--secondink)}
details{margin-top:12px;font-size:13.5px}summary{cursor:pointer;font-weight:600}
details ul{margin:8px 0 0;padding-left:20px;color:var(--soft)}
details li{overflow-wrap:anywhere;margin:2px 0}
.chart{margin:8px 0 14px}.chart figcaption{font-size:13px;color:var(--soft)}
svg{display:block;width:100%;max-width:860px;height:auto;font-size:12.5px}
svg text{fill:var(--ink)}svg .tick{text-anchor:middle;fill:var(--soft);font-size:11px}
svg .name{text-anchor:end}svg .grid{stroke:var(--edge)}
svg circle{fill:var(--model)}svg circle.control{fill:var(--control)}
svg circle.oracle{fill:var(--card);stroke:var(--oracle);stroke-width:2}
svg .whisker{stroke:var(--model);stroke-width:3;stroke-opacity:.45}
svg .whisker.control{stroke:var(--control)}svg .whisker.oracle{stroke:var(--oracle)}
.legend{display:block;max-width:100%;border-radius:8px;margin-top:8px}
.panels{display:grid;gap:10px;grid-template-columns:repeat(auto-fill,minmax(205px,1fr))}
.panels figure{margin:0;border:1px solid var(--edge);border-radius:8px;overflow:hidden}
.panels img{display:block;width:100%;height:auto}
.panels figcaption{padding:5px 9px 7px;font-size:12.5px;line-height:1.35;
overflow-wrap:anywhere}
.panels span{display:block;color:var(--soft);font-size:11.5px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:8px 0 0;
font-size:13.5px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media print{section{break-inside:avoid;border:0;padding:0}}
"""
