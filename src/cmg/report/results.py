"""An evaluation in tables, and those of a demo: for its terminal, for its JSON, for docs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmg.evaluation.results import Results
from cmg.report.document import Block, Document, Section, Text
from cmg.report.tables import (
    control_rows,
    directions_table,
    means_across,
    sets_table,
    transfer_matrix,
)


def results_blocks(results: Results) -> list[Block]:
    """Tables, codebook, weights and remarks of one set."""
    matrices = {
        "Classification of held-out clips": results.transfer,
        "Localization, per-step classes with background": results.localization,
    }
    matrices |= {f"Classification, split {n}": found for n, found in results.extra_splits.items()}
    blocks: list[Block] = [transfer_matrix(*one) for one in matrices.items() if one[1]]
    if results.controls:
        blocks.append(directions_table(control_rows(results.transfer, results.controls)))
    used = results.codebook
    told = "Codebook: none (model.codebook.kind=none)."
    if used.size:
        told = (
            f"Codebook on held-out clips: {used.size} codes, {used.used:.1f} used, perplexity "
            f"{used.perplexity:.1f} over {results.counted_steps}, {100 * used.shared_share:.0f} % "
            "of the used codes shared by two or more modalities."
        )
    weights = ", ".join(
        f"{name} {'off' if weight is None else f'{weight:g}'}"
        for name, weight in results.weights.items()
    )
    blocks.append(Text(f"{told} Objective weights: {weights}."))
    return [*blocks, *(Text(remark, "remark") for remark in results.remarks)]


def demo_document(sets: Mapping[str, Results]) -> Document:
    """A demo, set by set, and last how they compare."""
    sections = {
        name: Section(name, [Text(f"The set {name}:"), *results_blocks(one)])
        for name, one in sets.items()
    }
    if len(sets) > 1:
        sections["sets"] = Section("Sets", [sets_table(sets)])
    return Document("Demo", "cmg demo", [], sections)


def demo_record(sets: Mapping[str, Results]) -> dict[str, Any]:
    """What ``cmg demo --json`` promises: the keys of the first set, and every set by its name."""
    told = {
        name: one.public() | {"across": means_across(one), "remarks": one.remarks}
        for name, one in sets.items()
    }
    return next(iter(sets.values())).public() | {"sets": told}
