"""The pip lines of README and docs work from a checkout: cmg-torch is on no package index."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for folder in (".", "docs", "projects", "benchmarks")
    for page in (ROOT / folder).glob("*.md" if folder != "projects" else "**/*.md")
    if page.name != "CHANGELOG.md"
]


def test_pip_lines_of_pages_install_the_checkout_with_extras_that_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    found = 0
    for page in PAGES:
        text = page.read_text()
        assert "pip install cmg" not in text, page
        assert not re.search(r"pip install '?cmg-torch", text), page
        for named in re.findall(r"pip install '\.\[([^\]]*)\]'", text):
            found += 1
            assert set(named.split(",")) <= extras.keys(), f"{page}: {named}"
    assert found > 8
