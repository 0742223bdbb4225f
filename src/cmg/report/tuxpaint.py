"""Tables of what transfers between pictures, voices and captions of stamps."""

from __future__ import annotations

from cmg.recipes.tuxpaint import TuxPaintResults
from cmg.report.document import Document, of_tables
from cmg.report.tables import Table, arrow, plain, score_text


def transfer_table(results: TuxPaintResults) -> Table:
    """A row per direction, a column per variant."""
    variants = list(results.transfer)
    rows = []
    for direction in results.transfer["trained"]:
        cells = [score_text(results.transfer[v][direction]) for v in variants]
        rows.append((arrow(direction), *cells, score_text(results.continuous[direction])))
    names = [v.replace("_", " ") for v in variants]
    columns = ("head trained on → read on", *names, "not quantized")
    counts = ", ".join(f"{n:,} {what}" for what, n in results.counts.items())
    note = f"Accuracy in percent; majority {results.majority:.1f}. {counts}."
    return plain("Unseen stamps", columns, rows, note)


def plain_table(results: TuxPaintResults) -> Table:
    """Heads without a codebook."""
    rows = [(m, score_text(score)) for m, score in results.plain.items()]
    note = "Supervised, read on the modality they were trained on."
    return plain("Heads on the features themselves", ("modality", "accuracy"), rows, note)


def retrieval_table(results: TuxPaintResults) -> Table:
    """Finding the stamp, and stamps of its class, by another modality."""
    names = ("R@1", "R@10", "mAP")
    variants = [v for v in results.retrieval if v in results.transfer]
    rows = []
    for direction, chance in results.retrieval_chance.items():
        for name in names:
            cells = [score_text(results.retrieval[v][direction][name]) for v in variants]
            rows.append((f"{arrow(direction)}, {name}", *cells, f"{chance[name]:.1f}"))
    columns = ("query → gallery", *(v.replace("_", " ") for v in variants), "chance")
    note = (
        "Percent, by the mean code vector; a gallery is one language. R@k: the stamp itself; mAP: "
        "stamps of its class."
    )
    return plain("Retrieval of unseen stamps", columns, rows, note)


def tuxpaint_tables(results: TuxPaintResults) -> list[Table]:
    """All tables."""
    return [transfer_table(results), plain_table(results), retrieval_table(results)]


def tuxpaint_document(results: TuxPaintResults) -> Document:
    """All tables as a report."""
    return Document("Tux Paint stamps", "cmg tuxpaint", [], of_tables(tuxpaint_tables(results)))
