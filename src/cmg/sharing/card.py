"""The model card of an export: ``README.md``, with what hubs read on top."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from cmg.errors import ConfigError
from cmg.evaluation.results import Results
from cmg.extract.registry import COLUMNS, card_of, cards_table
from cmg.files import StrPath
from cmg.hub import is_hub
from cmg.inference.readers import EXTRACTORS, STEPS, parsed
from cmg.report.document import Block, Code, Document, Section, Text
from cmg.report.markdown import markdown
from cmg.report.tables import control_rows, controls_table, directions_table, plain
from cmg.runs.checkpoint import Checkpoint

CARD = "README.md"
SHOWN = 40
"""Classes of a label that are named."""


def card(
    checkpoint: Checkpoint,
    facts: Mapping[str, Any],
    results: Results | None,
    where: StrPath,
    onnx: bool = False,
) -> str:
    """The card as Markdown below YAML.

    Args:
        checkpoint: What is exported.
        facts: Its ``run.json``.
        results: Its evaluation with all controls; None where there was none.
        where: The folder or address that it is exported to.
        onnx: Whether encoders lie beside it as ONNX.
    """
    names = [m.name for m in checkpoint.modalities]
    at = os.fspath(where) if is_hub(where) else "path/to/this/folder"
    sections = {
        "use": Section("How to use it", usage(at, names, onnx)),
        "data": Section("What it was trained on", data(checkpoint, facts)),
        "extractors": Section("Features", [features(checkpoint, facts)]),
        "labels": Section("Labels", labels(facts)),
        "evaluation": Section("Transfer between modalities", evaluation(results)),
    }
    size = getattr(checkpoint.config.model.codebook, "size", None)
    about = f"One codebook{f' of {size} codes' if size else ''} shared by {', '.join(names)}: "
    about += "a head trained on the codes of one modality is read, unchanged, on another."
    title = "Cross Modal Generalization: " + ", ".join(names)
    document = Document(title, "", [Text(about)], sections)
    return front_matter(names) + markdown(document)


def front_matter(names: list[str]) -> str:
    """What hubs read: tags; JSON is YAML, so that no name is anything but a text."""
    tags = ["cross-modal-generalization", "discrete-codes", *names]
    told = {"library_name": "cmg-torch", "pipeline_tag": "feature-extraction", "tags": tags}
    lines = [f"{key}: {json.dumps(value)}" for key, value in told.items()]
    return "\n".join(["---", *lines, "---", "", ""])


def usage(at: str, names: list[str], onnx: bool) -> list[Block]:
    """Five lines of Python, and the same as a command."""
    python = [
        "import cmg",
        "",
        f'model = cmg.load("{at}")',
        "codes = model.encode(batch)  # {modality: features [clips, steps, ...]}, or cmg.Batches",
        "vectors = model.decode(codes)",
    ]
    if len(names) > 1:
        ends = f'train_on="{names[0]}", test_on="{names[1]}"'
        python.append(f'found = cmg.probe("{at}", "path/to/store", {ends})')
    blocks: list[Block] = [
        Code("\n".join(python), "python"),
        Code(f"cmg encode path/to/store --model {at} --out codes.jsonl", "console"),
    ]
    if onnx:
        files = ", ".join(f"{name}.onnx" for name in names)
        blocks.append(Text(f"Without torch: {files} map features of a modality to its codes."))
    return blocks


def data(checkpoint: Checkpoint, facts: Mapping[str, Any]) -> list[Block]:
    """What is known of the data; their license is what the store says of it."""
    position = checkpoint.position
    rows = [
        ("data", str(facts["store"])),
        ("content hash", checkpoint.data_hash or "not known"),
        ("trained", f"{position.epoch} epochs, {position.step} steps"),
        ("seed", str(facts.get("seed", "not known"))),
    ]
    if checkpoint.origin:
        rows.append(("converted from", str(checkpoint.origin.get("file", "a foreign file"))))
    rows += [(str(k), str(v)) for k, v in dict(facts.get("packages", {})).items()]
    notes = str(facts["notes"]) or "The store says nothing of source and license of the data."
    return [
        Text(f"Source and license of the data, as the store says: {notes}"),
        plain("", ("what", "value"), rows),
    ]


def features(checkpoint: Checkpoint, facts: Mapping[str, Any]) -> Any:
    """A row per modality: what is encoded, and what makes it."""
    steps, made, rows = facts.get(STEPS, {}), facts.get(EXTRACTORS, {}), []
    for m in checkpoint.modalities:
        seconds = steps.get(m.name)
        told = made.get(m.name)
        known = parsed(told) if told else None
        rows.append(
            (
                m.name,
                m.kind.value,
                " x ".join(map(str, m.shape)),
                "-" if seconds is None else f"{seconds:g} s",
                "not recorded" if known is None else known.name,
                "-" if known is None else known.identity or "not known",
                "-" if known is None else how_to_get(known.name),
            )
        )
    columns = (
        "modality",
        "kind",
        "shape of a step",
        "step",
        "extractor",
        "identity",
        "how to get it",
    )
    return plain("Features", columns, rows)


def how_to_get(name: str) -> str:
    """What an extractor asks for, as ``cmg extractors`` says it."""
    try:
        known = card_of(name).name
    except ConfigError:
        return "not an extractor of cmg"
    return next(row[COLUMNS.index("get")] for row in cards_table() if row[0] == known)


def labels(facts: Mapping[str, Any]) -> list[Block]:
    """The names of classes."""
    rows = []
    for name, spec in facts["labels"].items():
        shown = ", ".join(map(str, spec["classes"][:SHOWN]))
        more = len(spec["classes"]) - SHOWN
        rows.append((name, str(spec["per"]), shown + (f" and {more} more" if more > 0 else "")))
    return (
        [plain("Labels", ("label", "per", "classes"), rows)] if rows else [Text("None are known.")]
    )


def evaluation(results: Results | None) -> list[Block]:
    """Transfer with its controls."""
    if results is None:
        return [
            Text("Not evaluated: the report of a run, written before it is exported, does that.")
        ]
    if not results.transfer:
        return [Text("The data have no label per clip that heads could be trained with.")]
    rows = control_rows(results.transfer, results.controls)
    about = "Accuracy of heads on held-out clips in percent, beside controls."
    said: list[Block] = [Text(remark, "remark") for remark in results.remarks]
    return [Text(about), *said, controls_table(rows), directions_table(rows)]
