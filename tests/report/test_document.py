"""One small document in every form, by hand."""

import csv
import io
import json
import re
from dataclasses import replace
from io import StringIO
from xml.etree import ElementTree

import pytest
from markupsafe import Markup
from rich.console import Console

from cmg.errors import DataError
from cmg.report.document import (
    Box,
    Code,
    Document,
    Figure,
    Fold,
    Items,
    Section,
    Text,
    of_tables,
)
from cmg.report.html import page
from cmg.report.latex import latex
from cmg.report.markdown import markdown
from cmg.report.tables import plain
from cmg.report.terminal import shown
from cmg.report.write import as_bytes, csv_text, replace_files, report_files, write_folder

TABLE = plain("Scores", ("of", "value"), [("a & b", "50 %")], "A note.", cls="facts")
DRAWN = '<svg viewBox="0 0 1 1"><text>\x07</text></svg>'
DOCUMENT = Document(
    "Title <1>",
    "cmg test",
    [Text("What it is.")],
    {
        "scores": Section("Scores", [TABLE, Markup("<hr>")]),
        "drawn": Section("Drawn", [Figure("Curve", DRAWN, "A curve.")]),
        "two": Section(
            "Two",
            [Box([TABLE], "card"), Fold("More", [Items(["x", "y|z"]), Code("k: 1"), TABLE])],
        ),
    },
    ["Mind *this*."],
)
PIPES = "| of | value |\n| --- | ---: |\n| a &amp; b | 50 % |\n\nA note."


def test_markdown_has_everything_but_pictures():
    assert markdown(DOCUMENT).removesuffix("\n").split("\n\n") == [
        "# Title &lt;1&gt;",
        "What it is.",
        r"> Mind \*this\*.",
        "## Scores",
        *PIPES.split("\n\n"),
        "## Two",
        "### Scores",
        *PIPES.split("\n\n"),
        "### More",
        "- x\n- y\\|z",
        "```yaml\nk: 1\n```",
        "#### Scores",
        *PIPES.split("\n\n"),
    ]


def test_the_page_has_the_same_and_the_pictures():
    body = re.sub(r"\s*\n\s*", "", page(DOCUMENT).partition("<body>")[2])
    table = (
        '<thead><tr><th scope="col">of</th><th scope="col">value</th></tr></thead><tbody><tr>'
        '<th scope="row">a &amp; b</th><td>50&nbsp;%</td></tr></tbody></table></div>'
        '<p class="note">A note.</p>'
    )
    box = '<div class="scroll" tabindex="0" role="region" aria-label="{}">'
    scores = box.format("Scores")
    titled = f'{scores}<table class="facts"><caption>Scores</caption>{table}'
    assert body == (
        '<header><p class="kicker">cmg test</p><h1>Title &lt;1&gt;</h1>'
        '<p>What it is.</p><p class="remark">Mind *this*.</p>'
        '<nav aria-label="Sections"><a href="#scores">Scores</a><a href="#drawn">Drawn</a>'
        '<a href="#two">Two</a></nav></header><main>'
        '<section id="scores"><h2>Scores</h2>'
        f'{scores}<table class="facts">'
        f'<caption class="hidden">Scores</caption>{table}<hr></section>'
        f'<section id="drawn"><h2>Drawn</h2><figure>{box.format("Curve")}{DRAWN}</div>'
        '<p class="note">A curve.</p></figure></section>'
        f'<section id="two"><h2>Two</h2><div class="card">{titled}</div>'
        "<details><summary>More</summary><ul><li>x</li><li>y|z</li></ul>"
        f"<pre><code>k: 1</code></pre>{titled}</details></section></main></body></html>"
    )


def test_a_terminal_has_what_the_page_shows_at_once_but_settings():
    results = replace(DOCUMENT, sections=of_tables([replace(TABLE, cls=""), TABLE]))
    said = StringIO()
    for line in shown(results.at_once):
        Console(file=said, width=60).print(line)
    assert [line.strip() for line in said.getvalue().splitlines()[:4]] == [
        "Title <1>",
        "What it is.",
        "Remark: Mind *this*.",
        "Scores",
    ]
    assert said.getvalue().count("a & b") == 1
    assert [type(line) for line in shown(DOCUMENT.at_once)] == [str, str, str]


def test_every_table_and_figure_is_a_file(tmp_path):
    """Tables of one title are numbered; a folder ``report`` of somebody else's is left alone."""
    again = {**DOCUMENT.sections, "more": Section("More", [TABLE, TABLE])}
    files = report_files(replace(DOCUMENT, sections=again), "table.md")
    written = replace_files(tmp_path, files)
    assert [path.name for path in written] == ["report.html", "table.md"]
    told = json.loads((tmp_path / "report" / "contents.json").read_text())
    assert (told["format"], told["version"]) == ("cmg-report", 1)
    assert [one["title"] for one in told["contents"]] == [
        *("Scores", "Curve", "Scores", "Scores", "Scores", "Scores")
    ]
    names = [name for one in told["contents"] for name in one["files"]]
    assert [name for name in names if name.endswith((".csv", ".svg"))] == [
        *("scores.csv", "drawn-curve.svg", "two-scores.csv", "two-scores-2.csv"),
        *("more-scores.csv", "more-scores-2.csv"),
    ]
    there = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert there == sorted([*names, "contents.json"])
    assert (tmp_path / "report" / "scores.csv").read_text() == "of,value\na & b,50 %\n"
    ElementTree.fromstring((tmp_path / "report" / "drawn-curve.svg").read_text())
    replace_files(tmp_path, report_files(DOCUMENT))
    assert not (tmp_path / "report" / "more-scores.csv").exists()
    (tmp_path / "report" / "contents.json").unlink()
    with pytest.raises(DataError, match=r"report is not empty and holds no contents\.json"):
        replace_files(tmp_path, report_files(DOCUMENT))


def test_latex_has_rules_and_no_sign_of_its_own():
    signs = plain("T\n%", ("_", "a → b"), [("50 % & \\x{1}", "1.5 ± 0.5"), ("#$~^", "−2")])
    assert latex(signs).splitlines() == [
        "% T %",
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"\_ & a $\rightarrow$ b \\",
        r"\midrule",
        r"50 \% \& \textbackslash{}x\{1\} & 1.5 $\pm$ 0.5 \\",
        r"\#\$\textasciitilde{}\textasciicircum{} & $-$2 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_a_row_of_latex_may_begin_with_what_belongs_to_the_end_of_one():
    """A bracket there is read as a distance, a star as a wish that the page does not break."""
    rows = latex(plain("", ("a", "b"), [("[1, 2]", "x"), ("*", "y")])).splitlines()[5:7]
    assert rows == [r"{[}1, 2] & x \\", r"{*} & y \\"]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    made = write_folder(tmp_path / "out", "a.json", lambda: 3, lambda n: {"a.json": {"n": n}})
    assert made == 3
    assert (tmp_path / "out" / "a.json").read_text() == '{\n "n": 3\n}\n'
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="not a folder"):
        write_folder(tmp_path / "file", "a.json", pytest.fail, dict)
    with pytest.raises(ZeroDivisionError):
        write_folder(tmp_path / "new", "a.json", lambda: 1 / 0, dict)
    with pytest.raises(DataError, match="nothing was left"):
        write_folder(tmp_path / "new", "a", lambda: 0, lambda _: {"a/b": "", "a": ""})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "out"]


def test_names_that_are_no_text_are_written_all_the_same():
    assert as_bytes("a\udc80 ö") == b"a\\udc80 \xc3\xb6"


def test_no_cell_of_a_csv_is_a_formula():
    plain = ["a,b", "", "+0.6 (−5.7 ± 4.0)", "+0.3 to +2.7", "-12.5 %", "−3", "x=1", "a@b", 3, -2.5]
    formulas = ["=1+1", "@SUM(A1)", "-2+3+cmd|' /C calc'!A0", "+HYPERLINK(1)", "\t=1", "-0AbcDEf"]
    rows = list(csv.reader(io.StringIO(csv_text([plain, formulas]), newline="")))
    assert rows == [[str(cell) for cell in plain], [f"'{cell}" for cell in formulas]]
