"""Print tables of a demo's results.json as Markdown, or put such a file into a document.

python tools/demo_table.py runs/demo/results.json > docs/results/demo-default.md
python tools/demo_table.py --sets digits=runs/demo/results.json watch=runs/demo/watch/results.json
python tools/demo_table.py --into README.md demo-table docs/results/demo-default.md
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cmg.evaluation.results import Results
from cmg.report.document import Text
from cmg.report.markdown import table, text
from cmg.report.results import results_blocks
from cmg.report.tables import Table, sets_table


def main(path: Path) -> None:
    """Print classification, localization, controls, codebook and weights."""
    results = Results.load(path)
    for block in results_blocks(results):
        if isinstance(block, Table):
            print(f"{text(block.title)}:\n\n{table(block)}\n")
        elif isinstance(block, Text):
            print(f"{text(block.text)}\n")
    print(f"Wall time {results.seconds:.0f} s on two CPU cores.")


def side_by_side(files: Sequence[str]) -> None:
    """Print how sets compare, given as ``NAME=FILE``, and what has to be said of each."""
    named = [given.partition("=") for given in files]
    sets = {name: Results.load(Path(file)) for name, _, file in named}
    print(table(sets_table(sets)))
    for name, results in sets.items():
        for remark in results.remarks:
            print(f"\n{text(f'{name}: {remark}')}")


def put(document: Path, place: str, tables: str) -> None:
    """Replace what stands between the place's two comments in a document."""
    before, _, after = parted(document, place)
    document.write_text(before + tables + after, encoding="utf-8")


def parted(document: Path, place: str) -> tuple[str, str, str]:
    """What stands before, between and after the place's two comments, which are kept outside.

    Raises:
        SystemExit: the document lacks one of them.
    """
    whole = document.read_text(encoding="utf-8")
    begin, end = f"<!-- {place}: begin -->\n", f"<!-- {place}: end -->"
    before, found, rest = whole.partition(begin)
    between, ended, after = rest.partition(end)
    if not found or not ended:
        raise SystemExit(f"{document} has no place {place!r}: write {begin}{end} where it goes")
    return before + begin, between, end + after


if __name__ == "__main__":
    if sys.argv[1] == "--into":
        put(Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]).read_text(encoding="utf-8"))
    elif sys.argv[1] == "--sets":
        side_by_side(sys.argv[2:])
    else:
        main(Path(sys.argv[1]))
