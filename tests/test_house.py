"""The plan of the house: every room is told, names mean one thing, files fit in one reading.

That rooms import only from those below them is checked by import-linter, in `make lint`.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted([*(ROOT / "src/cmg").rglob("*.py"), *(ROOT / "projects").glob("*/*.py")])
LONGEST = 400
"""Lines of a file."""

SHARED_NAMES: set[str] = set()
"""Still to be renamed."""
LONGER: set[str] = set()
"""Still to be divided."""


def test_every_room_is_in_the_table_of_the_contributors():
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = {p.name for p in (ROOT / "src/cmg").iterdir() if (p / "__init__.py").is_file()}
    rooms |= {p.stem for p in (ROOT / "src/cmg").glob("[!_]*.py")}
    assert sorted(room for room in rooms if f"`{room}`" not in told) == []


def test_every_project_is_in_the_table_of_projects_and_has_a_page():
    told = (ROOT / "projects/README.md").read_text(encoding="utf-8")
    found = [p.parent for p in (ROOT / "projects").glob("*/__init__.py")]
    assert [p.name for p in found if f"]({p.name}/README.md)" not in told] == []
    assert [p.name for p in found if not (p / "README.md").is_file()] == []


def test_no_two_public_classes_have_one_name():
    places = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name for name, found in places.items() if len(found) > 1} == SHARED_NAMES


def test_every_file_fits_in_one_reading():
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines())
        for path in FILES
    }
    assert {name for name, count in lengths.items() if count > LONGEST} == LONGER


@pytest.mark.slow
def test_a_configuration_is_followed_to_the_step_with_few_climbs():
    """14: two are validators that pydantic calls while the file is read, of options that lie
    beside what they configure: the plugins of a record, and what InfoNCE contrasts.
    """
    told = subprocess.run(
        [sys.executable, "tools/follow.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(told.stdout.splitlines()[-1].split()[-2]) <= 14, told.stdout
