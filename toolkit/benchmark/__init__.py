"""The paper's tables, measured: which models, on which data, by which rules.

* `demo`: the test sets and seeds of the demo suite, and which models stand in each table
* `runner`: data, predictions, evaluation and tables of one suite
* `measure`: one model's row from the metrics, and the paired tests between rows
* `tables`: the result as values; `published`: what others reported, cited
* `render_text`, `render_markdown`, `render_latex`, `render_html`: how it is printed

Adding a column: name it in `demo`, fill it in `measure`; the renderers need no change.
"""
