"""Scripts in percent format become notebooks, are run, and become pages with what they printed.

python tools/pages/notebooks.py FOLDER        writes docs/learn/*.py as .ipynb there, run
"""

from __future__ import annotations

import re
import sys
import tempfile
from base64 import b64encode
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SCRIPTS = Path(__file__).resolve().parents[2] / "docs/learn"
SECONDS = 600
"""Most that a cell may take."""
COLORS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def notebook_of(script: Path) -> NotebookNode:
    """The notebook of a script: cells begin with `# %%` or `# %% [markdown]`."""
    cells = []
    for part in re.split(r"^# %%", script.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        if "[markdown]" in head:
            lines = (line.removeprefix("#").removeprefix(" ") for line in body.strip().split("\n"))
            cells.append(new_markdown_cell("\n".join(lines)))
        else:
            cells.append(new_code_cell(body.strip()))
    return new_notebook(cells=cells)


def run(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(
            notebook, timeout=SECONDS, kernel_name="python3", resources=resources
        )
        return client.execute()


def page(script: Path) -> str:
    """A page of a script, with what it printed."""
    parts = []
    for cell in run(notebook_of(script)).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        pictures = [picture for one in cell.outputs if (picture := drawn(one))]
        shown = "".join(printed(one) for one in cell.outputs if not drawn(one))
        if shown.strip():
            parts.append(f"```text\n{COLORS.sub('', shown).rstrip()}\n```")
        parts += pictures
    parts.append(f"*Made by running `docs/learn/{script.name}` when the site was built.*")
    return "\n\n".join(parts) + "\n"


def drawn(output: NotebookNode) -> str:
    """A picture that a cell is, as a part of the page; empty if it is none."""
    data = output.get("data", {})
    for kind in ("image/svg+xml", "image/png"):
        if kind in data:
            source = str(data[kind])
            whole = (
                b64encode(source.encode()).decode() if "svg" in kind else source.replace("\n", "")
            )
            alt = "What the code above draws"
            return f'<img class="paper" alt="{alt}" src="data:{kind};base64,{whole}">'
    return ""


def printed(output: NotebookNode) -> str:
    """What a cell printed or is."""
    if output.output_type == "stream":
        return str(output.text) if output.name == "stdout" else ""
    return str(output.get("data", {}).get("text/plain", "")) + "\n"


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for one in sorted(SCRIPTS.glob("*.py")):
        nbformat.write(run(notebook_of(one)), out / f"{one.stem}.ipynb")
