"""All benchmarks in one command: tables as they come, the targets at the end, one JSON.

python -m benchmarks [--only SECTION ...] [--skip SECTION ...] [--quick] [--json FILE]
python -m benchmarks --compare A.json B.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cases import machine, machine_line
from benchmarks.compare import NotAResultError, compare
from benchmarks.registry import SECTIONS
from benchmarks.running import Found, figures_of, run_as_child, run_sections
from benchmarks.targets import targets_table
from cmg.files import replace_file


def parser() -> argparse.ArgumentParser:
    """The command line."""
    listed = "\n".join(f"  {name:<12}{entry.about}" for name, entry in SECTIONS.items())
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure everything, or compare two results.",
        epilog=f"sections:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choice = {"nargs": "+", "choices": list(SECTIONS), "metavar": "SECTION", "default": []}
    made.add_argument("--only", **choice, help="these sections")
    made.add_argument("--skip", **choice, help="all but these")
    made.add_argument("--quick", action="store_true", help="tiny sizes: to see that it works")
    made.add_argument("--repeats", type=int, help="turns, instead of each section's own number")
    made.add_argument("--json", type=Path, metavar="FILE", help="where the result is written")
    made.add_argument("--compare", nargs=2, type=Path, metavar=("A.json", "B.json"))
    made.add_argument("--run-section", choices=list(SECTIONS), help=argparse.SUPPRESS)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; the process's exit code."""
    given = parser().parse_args(arguments)
    if given.compare:
        try:
            text, code = compare(*given.compare)
        except NotAResultError as error:
            print(f"python -m benchmarks: {error}", file=sys.stderr)
            return 2
        print(text)
        return code
    if given.repeats is not None and given.repeats < 1:
        parser().error("--repeats must be at least 1")
    if given.run_section:
        return run_as_child(given.run_section, given.quick, given.repeats, given.json)
    names = [n for n in SECTIONS if n in (given.only or SECTIONS) and n not in given.skip]
    facts = machine()

    def keep(found: Found) -> None:
        if given.json is not None:
            whole = {"machine": facts, "date": facts["started"], "sections": found}
            replace_file(given.json, (json.dumps(whole, indent=1) + "\n").encode())

    keep({})  # a path that cannot be written fails now, not at the end
    print(machine_line(facts), flush=True)
    found = run_sections(names, given.quick, given.repeats, keep)
    print("\n## targets\n\n" + targets_table(figures_of(found), given.quick))
    failed = [name for name, told in found.items() if "error" in told]
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
