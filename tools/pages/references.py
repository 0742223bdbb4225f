"""Pages of reference made of the package itself: commands, Python, measurements."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import cmg
from cmg.cli.main import app
from cmg.evaluation.scores import Score
from cmg.report.markdown import fenced, table, text
from cmg.report.tables import plain, score_text

ROOT = Path(__file__).resolve().parents[2]


def commands_page() -> str:
    """Every command: what it does, its arguments and options, as `--help` says them."""
    parts = ["# Commands", "Made of the program itself: the same as `cmg COMMAND --help` says."]
    for name, command in walked(typer.main.get_command(app), "cmg"):
        parts += list(told(name, command))
    return "\n\n".join(parts) + "\n"


def walked(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it, by what is typed."""
    yield name, command
    for below, one in sorted(getattr(command, "commands", {}).items()):
        if not one.hidden:
            yield from walked(one, f"{name} {below}")


def told(name: str, command: Any) -> Iterator[str]:
    """The section of one command: what is typed, what it does, its arguments and options."""
    yield f"{'##' if name.count(' ') < 2 else '###'} {name}"
    context = command.context_class(command, info_name=name, max_content_width=10_000)
    yield fenced(command.get_usage(context).removeprefix("Usage: ").strip(), "console")
    yield paragraphs(command.help or "")
    records = [p.get_help_record(context) for p in command.get_params(context)]
    if rows := [(a, " ".join(b.split())) for a, b in filter(None, records)]:
        cells = [f"| {prose(a)} | {prose(b.replace('|', ' or '))} |" for a, b in rows]
        yield "\n".join(["| argument or option | meaning |", "| --- | --- |", *cells])


def paragraphs(help_text: str) -> str:
    """Help as Markdown: examples, which are indented or follow a backspace, keep their lines."""
    parts = []
    for part in inspect.cleandoc(help_text).split("\n\n"):
        body = part.replace("\b\n", "").replace("\b", "")
        verbatim = part.startswith("\b") or all(s.startswith("  ") for s in part.split("\n"))
        parts.append(fenced(inspect.cleandoc(body), "console") if verbatim else prose(body))
    return "\n\n".join(parts)


def prose(words: str) -> str:
    """Text as text, with what stands between backticks as code."""
    parts = words.split("`")
    whole = len(parts) % 2 == 1
    if not whole:
        return text(words)
    return "".join(f"`{part}`" if i % 2 else text(part) for i, part in enumerate(parts))


def api_page() -> str:
    """What `cmg` lists, and what docs/python.md calls public, from docstrings."""
    parts = [
        "# Python",
        "What `cmg` lists, and the names of its modules that [What is public](../python.md) tells.",
        "## cmg",
    ]
    for name in sorted(cmg._FROM, key=str.lower):
        module = cmg._FROM[name]
        inside = hasattr(importlib.import_module(module), name)
        parts.append(directive(module, name if inside else getattr(cmg, name).__name__, name))
    for module, names in sorted(public().items()):
        parts.append(f"## {module}")
        parts += [directive(module, name, name) for name in sorted(names)]
    return "\n\n".join(parts) + "\n"


def directive(module: str, name: str, shown: str) -> str:
    """The place of one name, for mkdocstrings."""
    heading = "" if shown == name else f"\n    options:\n      heading: {shown}"
    return f"::: {module}.{name}{heading}"


def public() -> dict[str, set[str]]:
    """Names by module that the Python of docs/python.md imports, which are not in `cmg` itself."""
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))
    found: dict[str, set[str]] = {}
    listed = {(module, name) for name, module in cmg._FROM.items()}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cmg."):
            for alias in node.names:
                value = getattr(importlib.import_module(node.module), alias.name)
                home = getattr(value, "__module__", None) or node.module
                home = home if home.startswith("cmg") else node.module
                if (home, alias.name) not in listed:
                    found.setdefault(home, set()).add(alias.name)
    return found


def measurements_page() -> str:
    """Every committed study: what it is, on what, with its rows, and which page speaks of it."""
    parts = [
        "# Every measurement",
        "Made of the files in `docs/results` when the site is built. A number is a mean ± standard "
        "deviation over folds, or over seeds where there are none, of all directions between "
        "different modalities. Pages say what follows from them.",
    ]
    for path in sorted((ROOT / "docs/results").glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict) and found.get("format") == "cmg-study":
            parts += study_parts(path.stem, found)
    parts.append("## Others")
    parts += [
        f"- `{path.name}`. {spoken_of(path.name)}"
        for path in sorted((ROOT / "docs/results").glob("*.json"))
        if json.loads(path.read_text(encoding="utf-8")).get("format") != "cmg-study"
    ]
    return "\n\n".join(parts) + "\n"


def study_parts(name: str, found: dict[str, Any]) -> Iterator[str]:
    """The section of one study."""
    study, rows = found["study"], found["rows"]
    yield f"## {name}"
    yield text(f"{study['title']}. {study['about']}".replace("..", "."))
    data, folds = (
        found["base"]["data"],
        sorted({f for r in rows.values() for f in r.get("folds", [])}),
    )
    of = f"{len(folds)} folds" if folds else f"{most_seeds(rows)} seeds"
    told = [
        f"Data `{data['store']}`, split `{data['test_split']}`, {of}",
        spoken_of(f"{name}.json"),
    ]
    missing = found.get("missing") or []
    told.append(f"{len(missing)} of the planned jobs were not run" if missing else "")
    yield ". ".join(filter(None, told)) + "."
    metrics = list(dict.fromkeys(key for row in rows.values() for key in row["scores"]))
    shown = [m for m in metrics if m.endswith("/mean") and not m.startswith("codebook")][:5]
    if shown:
        columns = ("", *(m.removesuffix("/mean") for m in shown))
        cells = [(row["title"] or n, *(cell(row, m) for m in shown)) for n, row in rows.items()]
        yield table(plain("", columns, cells))


def most_seeds(rows: dict[str, Any]) -> int:
    """Of the row that has most."""
    return max((len(row["seeds"]) for row in rows.values()), default=0)


def cell(row: dict[str, Any], metric: str) -> str:
    """A score of a row."""
    one = row["scores"].get(metric)
    return "–" if one is None else score_text(Score(one["mean"], one["std"], one["n"]))


def spoken_of(name: str) -> str:
    """Which pages name a file of results."""
    docs = ROOT / "docs"
    pages = [p.relative_to(docs).as_posix() for p in sorted(docs.rglob("*.md"))]
    told = [p for p in pages if f"results/{name}" in (docs / p).read_text(encoding="utf-8")]
    return "Page: " + ", ".join(f"[{p}](../{p})" for p in told) if told else ""
