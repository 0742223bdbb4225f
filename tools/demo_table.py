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
from cmg.report.markdown import table, text
from cmg.report.tables import control_rows, directions_table, sets_table, transfer_matrix


def main(path: Path) -> None:
    """Print classification, localization, controls, codebook and weights."""
    results = Results.load(path)
    print("Classification of held-out clips:\n")
    print(table(transfer_matrix("", results.transfer)))
    print("\nPer-step localization, 11 classes with background:\n")
    print(table(transfer_matrix("", results.localization)))
    for split, scores in results.extra_splits.items():
        print(f"\nClassification of clips of split `{split}`:\n")
        print(table(transfer_matrix("", scores)))
    print("\nBeside the controls:\n")
    print(table(directions_table(control_rows(results.transfer, results.controls))))
    used = results.codebook
    weights = ", ".join(
        f"{name} {'off' if weight is None else f'{weight:g}'}"
        for name, weight in results.weights.items()
    )
    print(
        f"\nCodebook on held-out clips: {used.size} codes, {used.used:.1f} used, perplexity "
        f"{used.perplexity:.1f} over {results.counted_steps}, {100 * used.shared_share:.0f} % of "
        f"the used codes shared by two or more modalities. Objective weights: {weights}. "
        f"Wall time {results.seconds:.0f} s on two CPU cores."
    )


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
