"""The docs as a site: what is derived, and that console blocks name commands and options there are.

`make docs` builds it strictly and runs the notebooks. Blocks that need the authors' data,
a download or hours are not run here: they are parsed, every one.
"""

import importlib
import re
import shlex

import pytest
import typer

from cmg.cli.main import app
from cmg.errors import ConfigError

ROOT_COMMAND = typer.main.get_command(app)


@pytest.fixture
def tool(request, monkeypatch):
    """A module of tools/pages."""
    monkeypatch.syspath_prepend(request.config.rootpath / "tools/pages")
    return importlib.import_module


def lines(text):
    """Commands of `cmg` in the blocks of a page; a line that ends with a backslash goes on."""
    for block in re.findall(r"^```(?:console)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("cmg "):
                yield line


def unknown(line):
    """What a command line names that is not there; None if all is."""
    words = shlex.split(line, comments=True)[1:]
    command = ROOT_COMMAND
    context = command.context_class(command, info_name="cmg")
    while hasattr(command, "commands"):
        below = command.get_command(context, words[0]) if words else None
        if below is None:
            return words[:1] or ["no command"]
        command = below
        words.pop(0)
        context = command.context_class(command, info_name="cmg")
    known = {o for p in command.get_params(context) for o in [*p.opts, *p.secondary_opts]}
    asked = [w.partition("=")[0] for w in words if w.startswith("--") and len(w) > 2]
    return [w for w in asked if w not in known | {"--json", "--plugin", "--help"}] or None


def test_every_command_of_the_pages_is_there(request):
    root = request.config.rootpath
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    told = [(page.name, line) for page in pages for line in lines(page.read_text())]
    assert len(told) > 100
    assert [(*one, bad) for one in told if (bad := unknown(one[1]))] == []


def test_what_is_not_there_is_found():
    assert unknown("cmg pretrain digits --out runs/x") is None
    with pytest.raises(ConfigError, match="no command 'pretrian'"):
        unknown("cmg pretrian digits")
    assert unknown("cmg data check data --uot x  # --not-asked") == ["--uot"]


def test_the_reference_has_every_command_and_every_public_name(tool):
    import cmg

    references = tool("references")
    commands = references.commands_page()
    assert "### cmg data check" in commands
    assert "| --train-on &lt;str&gt; |" in commands
    api = references.api_page()
    assert api.count("\n::: ") >= len(cmg._FROM)
    assert "::: cmg.runs.checkpoint.load_model\n    options:\n      heading: load" in api


def test_measurements_are_those_of_the_files(tool, request):
    page = tool("references").measurements_page()
    for path in (request.config.rootpath / "docs/results").glob("*.json"):
        assert path.stem in page
    assert "| codes, own | 46.3 ± 2.3 | 43.8 ± 2.3 |" in page


def test_a_script_becomes_a_page_with_what_it_printed(tool, tmp_path):
    notebooks = tool("notebooks")
    script = tmp_path / "one.py"
    script.write_text(
        "# %% [markdown]\n# # Title\n#\n# Words.\n\n# %%\nx = 6\n\n# %%\nprint(7 * x)\n"
        "# %%\nclass Drawn:\n    _repr_svg_ = lambda self: '<svg/>'\n\nDrawn()\n"
    )
    page = notebooks.page(script)
    assert page.startswith("# Title\n\nWords.\n\n```python\nx = 6\n```\n\n```python\nprint(7 * x)")
    assert "```text\n42\n```" in page
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in page  # of <svg/>
    assert "Drawn object" not in page
    script.write_text("# %%\n1 / 0\n")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        notebooks.page(script)
