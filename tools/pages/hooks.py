"""What mkdocs does not do by itself: derived pages, and links to files that lie outside docs/.

GitHub shows the same pages, so links in them are relative to the repository. A page of another
folder (projects/..., benchmarks/...) becomes a page of the site; a link to any other file shows its
text alone, unless `repo_url` of mkdocs.yml says where that file is to be read.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(Path(__file__).parent))

import notebooks  # noqa: E402 - found beside this file
import references  # noqa: E402

DERIVED: dict[str, Callable[[], str]] = {
    "reference/commands.md": references.commands_page,
    "reference/api.md": references.api_page,
    "reference/measurements.md": references.measurements_page,
} | {f"learn/{one.stem}.md": partial(notebooks.page, one) for one in notebooks.SCRIPTS.glob("*.py")}
"""What is made of something else when the site is built."""
OUTSIDE = ["CHANGELOG.md", "CONTRIBUTING.md", "NOTICE", "projects", "benchmarks"]
"""Pages, and folders of pages, outside docs/ that become pages."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
FENCED = re.compile(r"(^ *```.*?^ *```\s*?$)", re.DOTALL | re.MULTILINE)


def outside_pages() -> dict[str, Path]:
    """Path in the site, by path in the repository."""
    found = [ROOT / one for one in OUTSIDE]
    files = [f for one in found for f in ([one] if one.is_file() else one.rglob("*.md"))]
    return {file.relative_to(ROOT).as_posix(): file for file in sorted(files)}


def place_of(path: str) -> str:
    """Where a page outside docs/ lies in the site, from its path in the repository."""
    return "more/" + path.removesuffix(".md").replace("README", "about") + ".md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the derived pages and those of other folders."""
    for name, make in DERIVED.items():
        files.append(File.generated(config, name, content=make()))
    for path, file in outside_pages().items():
        content = file.read_text(encoding="utf-8")
        if file.suffix != ".md":
            content = f"# {file.name}\n\n```text\n{content}```\n"
        files.append(File.generated(config, place_of(path), content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at pages of the site, and part lists and marks from the text above them."""
    here = page.file.src_uri
    known = {place_of(path): path for path in outside_pages()}
    source = known.get(here, f"docs/{here}")

    def pointed(match: re.Match[str]) -> str:
        drawn, said, link = match.groups()
        path, mark, anchor = link.partition("#")
        if "://" in link or link.startswith(("#", "mailto:")) or not path:
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        to = in_site(target)
        if to is None:
            base = config.repo_url
            return f"[{said}]({base.rstrip('/')}/blob/main/{target})" if base else said
        way = posixpath.relpath(to, posixpath.dirname(here) or ".")
        return f"{drawn}[{said}]({way}{mark}{anchor})"

    parts = FENCED.split(markdown)
    for i in range(0, len(parts), 2):
        parts[i] = as_markdown(LINK.sub(pointed, parts[i]))
    return "".join(parts)


def in_site(target: str) -> str | None:
    """Where a path of the repository is in the site."""
    pages = outside_pages()
    if target == "README.md":
        return "index.md"  # the same, at greater length
    for one in (target, f"{target}/README.md"):
        if one in pages:
            return place_of(one)
    inside = target.removeprefix("docs/")
    hidden = inside.startswith("results/") and inside.endswith((".json", ".md"))
    if inside == target or hidden or (ROOT / target).is_dir():
        return None
    return inside


def as_markdown(text: str) -> str:
    """GitHub starts a list or a table below a line of text, Markdown only below an empty one."""
    lines: list[str] = []
    for line in text.split("\n"):
        above = lines[-1] if lines else ""
        item = r"([-*] |\d+\. )"
        starts = (re.match(item, line) and not re.match(rf"({item}|\s)", above)) or (
            above.startswith("<!--") and line
        )
        if starts and above.strip():
            lines.append("")
        lines.append(line)
    return "\n".join(lines)
