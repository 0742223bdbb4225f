"""Every key of a configuration as a document: ``cmg config``, and docs/configuration.md."""

from __future__ import annotations

from collections.abc import Sequence

from cmg.config.reference import KeyGroup
from cmg.report.document import Document, Section, Text
from cmg.report.tables import plain

LEAD = (
    "Written by cmg config --out docs/configuration.md, from the options themselves. A key is set "
    "as KEY=VALUE behind a command (cmg pretrain digits training.epochs=20 --out RUN), or in a "
    "YAML file that is given in place of a preset. Values are YAML: null is none, [a, b] a list. "
    "Defaults are those without a preset or method, which have their own (cmg presets show NAME); "
    "what a run was trained with is in its config.yaml."
)


def reference_document(groups: Sequence[KeyGroup]) -> Document:
    """Groups of keys, a table each."""
    sections = {}
    for group in groups:
        title = group.name or "run"
        rows = [(key.name, key.kind, key.default, key.meaning) for key in group.keys]
        table = plain(title, ("key", "values", "default", "meaning"), rows)
        sections[title] = Section(title, [Text(group.about), table])
    return Document("Configuration", "cmg config", [Text(LEAD)], sections)
