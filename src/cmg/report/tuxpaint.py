"""Tables of what transfers between pictures, voices and captions of stamps."""

from __future__ import annotations

from dataclasses import replace

from cmg.recipes.tuxpaint import TuxPaintResults
from cmg.report.markdown import table
from cmg.report.tables import Table, plain, score_text


def arrow(direction: str) -> str:
    """``audio->video`` as it is printed."""
    return direction.replace("->", " → ")


def transfer_table(results: TuxPaintResults) -> Table:
    """A row per direction, a column per variant."""
    variants = list(results.transfer)
    rows = []
    for direction in results.transfer["trained"]:
        cells = [score_text(results.transfer[v][direction]) for v in variants]
        rows.append((arrow(direction), *cells, score_text(results.continuous[direction])))
    names = [v.replace("_", " ") for v in variants]
    found = plain("Unseen stamps", ("head trained on → read on", *names, "not quantized"), rows)
    counts = ", ".join(f"{n:,} {what}" for what, n in results.counts.items())
    note = f"Accuracy in percent; majority {results.majority:.1f}. {counts}."
    return replace(found, note=note)


def plain_table(results: TuxPaintResults) -> Table:
    """Heads without a codebook."""
    rows = [(m, score_text(score)) for m, score in results.plain.items()]
    found = plain("Heads on the features themselves", ("modality", "accuracy"), rows)
    return replace(found, note="Supervised, read on the modality they were trained on.")


def recall_table(results: TuxPaintResults) -> Table:
    """Finding the stamp by another modality of it."""
    names = list(next(iter(results.recall.values())))
    rows = [(arrow(d), *(f"{row[k]:.1f}" for k in names)) for d, row in results.recall.items()]
    found = plain("Retrieval of unseen stamps", ("query → gallery", *names), rows)
    return replace(found, note="Percent, by the mean code vector; a gallery is one language.")


def tuxpaint_tables(results: TuxPaintResults) -> list[Table]:
    """All tables."""
    return [transfer_table(results), plain_table(results), recall_table(results)]


def tuxpaint_markdown(results: TuxPaintResults) -> str:
    """All tables as Markdown."""
    parts = ["# Tux Paint stamps"]
    for one in tuxpaint_tables(results):
        parts += [f"## {one.title}", table(one)]
    return "\n\n".join(parts) + "\n"
