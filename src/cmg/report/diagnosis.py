"""What the data doctor found, as a document: the verdict and the problems first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from cmg.official.doctor import FAULTS, LIMITS, Diagnosis, Finding, FindingStatus, group_of
from cmg.report.document import Block, Document, Items, Section, Text, slug
from cmg.report.tables import Cell, Table, plain
from cmg.report.write import report_files

DIAGNOSIS = "diagnosis.json"
COMPLETE = "In order"
"""Heading of the sets that nothing limits."""


def diagnosis_document(diagnosis: Diagnosis, every: bool = False) -> Document:
    """A table for every set.

    Args:
        diagnosis: What was found.
        every: Whether parts that limit nothing are in the tables; without them a set that has no
            other is a line.
    """
    sections: dict[str, Section] = {}
    lines = []
    for heading, group in groupby(diagnosis.findings, lambda f: group_of(f.part)):
        findings = list(group)
        told = [f for f in findings if every or f.status in LIMITS]
        if told:
            sections[slug(heading)] = Section(heading, [findings_table(heading, told)])
        else:
            lines.append(f"{heading}: {counted(findings)}")
    if lines:
        blocks: list[Block] = [Items(lines), Text("--all shows every part")]
        sections[slug(COMPLETE)] = Section(COMPLETE, blocks)
    return Document(verdict(diagnosis), "cmg data check", [], sections)


def diagnosis_files(diagnosis: Diagnosis) -> dict[str, Any]:
    """``diagnosis.json`` and the whole report, by name."""
    return {DIAGNOSIS: diagnosis.as_json(), **report_files(diagnosis_document(diagnosis, True))}


def verdict(diagnosis: Diagnosis) -> str:
    """Whether the folder is sound, and how many findings of each status."""
    sound = "sound" if diagnosis.sound else "not sound"
    return f"{diagnosis.root} is {sound}: {counted(diagnosis.findings)}"


def counted(findings: Iterable[Finding]) -> str:
    """How many of each status, the gravest first."""
    found = Counter(f.status for f in findings)
    return ", ".join(f"{found[s]} {s.value}" for s in FindingStatus if found[s])


def findings_table(title: str, findings: Sequence[Finding]) -> Table:
    """A row per finding; what is the matter with a part, and what to do about it."""
    rows: list[tuple[str | Cell, ...]] = []
    for f in findings:
        status = Cell(f.status.value, cls="fault" if f.status in FAULTS else f.status.value)
        compared = f"{f.found} / {f.expected}" if f.expected else f.found
        todo = "\n".join(filter(None, (f.detail, f.remedy and f"-> {f.remedy}")))
        rows.append((f.part, status, compared, todo))
    return plain(title, ("part", "status", "found / expected", "what to do"), rows)
