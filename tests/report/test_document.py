"""One small document as Markdown and as a page, by hand."""

from __future__ import annotations

import re

import pytest
from markupsafe import Markup

from cmg.errors import DataError
from cmg.report.document import (
    Box,
    Code,
    Document,
    Fold,
    Grid,
    InWords,
    Items,
    Section,
    Text,
    opened,
)
from cmg.report.html import page
from cmg.report.markdown import markdown
from cmg.report.tables import plain
from cmg.report.write import as_bytes, write_folder

TABLE = plain("Scores", ("of", "value"), [("a & b", "50 %")], "A note.")
DOCUMENT = Document(
    "Title <1>",
    "cmg test",
    opened("What it is.", ["Mind *this*."]),
    {
        "one": Section("One", [TABLE, InWords(Text("For Markdown.")), Markup("<hr>")]),
        "drawn": Section("Drawn", [Markup("<svg></svg>")]),
        "two": Section(
            "Two",
            [
                Box([Grid(TABLE, "Again", cls="facts", why="Why.")], {"class": "card"}),
                Fold("More", [Items(["x", "y|z"]), Code("k: 1")], "In full"),
            ],
            headed=False,
        ),
    },
)
PIPES = "| of | value |\n| --- | ---: |\n| a &amp; b | 50 % |\n\nA note."


def test_markdown_has_everything_but_markup():
    assert markdown(DOCUMENT).split("\n\n") == [
        "# Title &lt;1&gt;",
        "What it is.",
        r"> Mind \*this\*.",
        "## One",
        *PIPES.split("\n\n"),
        "For Markdown.",
        "## Again",
        "Why.",
        *PIPES.split("\n\n"),
        "## In full",
        "- x\n- y\\|z",
        "```yaml\nk: 1\n```\n",
    ]


def test_the_page_has_the_same_and_the_markup():
    body = re.sub(r"\s*\n\s*", "", page(DOCUMENT).partition("<body>")[2])
    table = (
        '<thead><tr><th scope="col">of</th><th scope="col">value</th></tr></thead><tbody><tr>'
        '<th scope="row">a &amp; b</th><td>50&nbsp;%</td></tr></tbody></table></div>'
        '<p class="note">A note.</p>'
    )
    assert body == (
        '<header><p class="kicker">cmg test</p><h1>Title &lt;1&gt;</h1>'
        '<p class="headline">What it is.</p><p class="remark">Mind *this*.</p>'
        '<nav aria-label="Sections"><a href="#one">One</a><a href="#drawn">Drawn</a>'
        '<a href="#two">Two</a></nav></header><main>'
        '<section id="one"><h2>One</h2><div class="scroll"><table>'
        f'<caption class="hidden">Scores</caption>{table}<hr></section>'
        '<section id="drawn"><h2>Drawn</h2><svg></svg></section>'
        '<section id="two"><h2>Two</h2><div class="card"><div class="scroll">'
        f'<table class="facts"><caption>Scores</caption>{table}<p class="note">Why.</p></div>'
        "<details><summary>More</summary><ul><li>x</li><li>y|z</li></ul>"
        "<pre><code>k: 1</code></pre></details></section></main></body></html>"
    )


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
