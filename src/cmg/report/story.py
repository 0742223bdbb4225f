"""What a report says in sentences, and the tables it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cmg.codebook.measures import CodeUsage, tuples_of
from cmg.report.colors import modality_colors
from cmg.report.curves import Panel, curves_table, panels
from cmg.report.gather import ReportData
from cmg.report.prose import DIGITS, DIGITS_IN_SHORT, SPLITS, count_text
from cmg.report.samples import CodeCard, Timeline, label_of, most_used, timelines
from cmg.report.tables import (
    Table,
    codebook_table,
    control_rows,
    controls_table,
    crossing,
    directions_table,
    levels_table,
    mean_of,
    modality_table,
    objectives_table,
    plain,
    transfer_matrix,
    usage_table,
)


@dataclass(frozen=True)
class Story:
    """A report's sentences, tables, cards and curves; each is computed once.

    Attributes:
        data: What was gathered.
    """

    data: ReportData

    @property
    def title(self) -> str:
        """Of the page."""
        return self.data.name

    @property
    def kind(self) -> str:
        """What was run."""
        count = len(self.data.runs)
        seeds = f"{count} seed{'s' if count > 1 else ''}"
        return f"cmg demo, {seeds}" if self.data.demo else "cmg run"

    @cached_property
    def colors(self) -> dict[str, str]:
        """A color per modality."""
        return modality_colors(self.data.modalities)

    @cached_property
    def cards(self) -> list[CodeCard]:
        """The most used codes."""
        return most_used(self.data)

    @cached_property
    def timelines(self) -> list[Timeline]:
        """Some held-out clips."""
        return timelines(self.data)

    @cached_property
    def panels(self) -> list[Panel]:
        """Training curves."""
        return panels(self.data.runs, self.colors)

    # ---- sentences ---------------------------------------------------------------------------

    @cached_property
    def headline(self) -> str:
        """The result in a sentence or two."""
        results, stats = self.data.results, self.data.stats
        used = f"{count_text(stats.used)} of {stats.size} codes are used"
        shared = f"{100 * stats.shared_share:.0f} % of them by two or more modalities"
        held_out = self.data.split.name == self.data.checkpoint.config.data.test_split
        codes = f"On {'held-out' if held_out else 'training'} clips {used}, {shared}."
        if not stats.size:
            codes = "The model is continuous: it has no codes."
        if results is None:
            return f"This model has not been probed. {codes}"
        label, scores = "clips", results.transfer
        if not crossing(scores):
            label, scores = "steps", results.localization
        across, within = crossing(scores), crossing(scores, same=True)
        if not across:
            return f"No label of the store can be read across modalities. {codes}"
        low = min(across, key=lambda d: across[d].mean)
        text = (
            f"Heads trained on the codes of one modality and read, unchanged, on another are "
            f"right on {mean_of(across):.1f} % of the held-out {label} (mean of {len(across)} "
            f"directions; lowest {across[low].mean:.1f} %, {low.replace('->', ' → ')})"
        )
        text += f"; within a modality on {mean_of(within):.1f} %." if within else "."
        return f"{text} {self._baselines(label)}{codes}"

    def _baselines(self, label: str) -> str:
        results = self.data.results
        if results is None or label != "clips":
            return ""
        names = {
            "chance": "chance",
            "shuffled_pairs": "training on shuffled pairs",
            "untrained_encoders": "codes over untrained encoders",
        }
        found = {n: crossing(results.controls.get(n, {})) for n in names}
        told = [f"{names[n]} {mean_of(s):.1f} %" for n, s in found.items() if s]
        return f"For comparison: {', '.join(told)}. " if told else ""

    @property
    def data_in_short(self) -> str:
        """What the clips are, in a sentence."""
        data = self.data
        if data.store.media == "digits":
            return DIGITS_IN_SHORT
        return f"Data: {', '.join(data.modalities)} of {data.checkpoint.config.data.store}."

    @property
    def about_data(self) -> list[str]:
        """What the clips are."""
        data = self.data
        if data.store.media == "digits":
            return list(DIGITS)
        notes = data.store.notes
        return [notes] if notes else []

    @property
    def scope(self) -> str:
        """Which clips, which run."""
        data = self.data
        example = f" of {data.runs[0].name}" if data.demo else ""
        return (
            f"Codes{example} on the {len(data.split)} clips of the split "
            f"“{data.split.name}”, after {data.checkpoint.position.step} training steps."
        )

    # ---- tables ------------------------------------------------------------------------------

    @cached_property
    def matrices(self) -> list[tuple[Table, str]]:
        """Transfer matrices, each with a sentence of explanation."""
        results = self.data.results
        if results is None:
            return []
        out = []
        if results.transfer:
            label = label_of(self.data, "clip") or "class"
            why = f"One class per clip (label {label}), from the codes of all its steps."
            out.append((transfer_matrix("Classification", results.transfer), why))
        if results.localization:
            label = label_of(self.data, "step") or "class"
            among = ", background included" if "background" in self._classes(label) else ""
            why = (
                f"One class per step (label {label}{among}). Words are no points in time, so "
                "modalities of tokens are left out."
            )
            out.append((transfer_matrix("Localization", results.localization), why))
        for name, scores in results.extra_splits.items():
            title, why = SPLITS.get(name, (name, f"Classification on the split “{name}”."))
            if scores:
                out.append((transfer_matrix(title, scores), why))
        return out

    def _classes(self, label: str) -> tuple[str, ...]:
        spec = self.data.store.labels.get(label)
        return () if spec is None else spec.classes

    @cached_property
    def controls(self) -> tuple[Table, Table] | None:
        """The controls, in short and for every direction."""
        results = self.data.results
        if results is None or not results.transfer:
            return None
        rows = control_rows(results.transfer, results.controls)
        return controls_table(rows), directions_table(rows)

    @property
    def objectives(self) -> Table:
        """Terms and weights."""
        results = self.data.results
        weights = results.weights if results else None
        return objectives_table(weights or self.data.checkpoint.config.objectives.weights())

    @property
    def codebook(self) -> Table:
        """Use of the codebook."""
        over = "all steps"
        step = label_of(self.data, "step")
        if self.data.results and step and "background" in self._classes(step):
            over = "the steps of events"
        return codebook_table(self.data.stats, over)

    @cached_property
    def levels(self) -> Table | None:
        """Use of each level of codes; None where a step has one code."""
        data = self.data
        if data.usage.levels == 1:
            return None
        numbers, count = tuples_of({m: one.indices for m, one in data.encoded.items()})
        valid = {m: one.mask for m, one in data.encoded.items()}
        return levels_table(data.usage, CodeUsage.of(numbers, count, valid))

    @property
    def groups(self) -> Table:
        """Codes per combination of modalities."""
        return usage_table(self.data.usage)

    @property
    def training(self) -> Table | None:
        """Training curves as numbers."""
        return curves_table(self.panels) if self.panels else None

    @property
    def modalities(self) -> Table:
        """The modalities."""
        seconds = self.data.store.step_seconds
        rows = []
        for m in self.data.model.modalities.values():
            length = seconds.get(m.name)
            shape = " × ".join(map(str, m.shape))
            rows.append((m.name, m.kind.value, shape, "–" if length is None else f"{length:g}"))
        return modality_table(self.data.checkpoint.config, rows)

    @property
    def provenance(self) -> Table:
        """Seeds, data and versions."""
        data = self.data
        config, facts = data.checkpoint.config, data.runs[0].facts
        seeds = [str(run.facts.get("seed", "?")) for run in data.runs]
        splits = ", ".join(f"{name} {count}" for name, count in data.store.splits.items())
        position = data.checkpoint.position
        rows = [
            ("seeds" if data.demo else "seed", ", ".join(seeds)),
            ("trained", f"{position.epoch} epochs, {position.step} steps"),
            ("store", config.data.store),
            ("clips", splits),
            ("data hash", data.checkpoint.data_hash),
        ]
        for key in ("started", "python", "platform", "processor", "threads"):
            if key in facts:
                rows.append((key, str(facts[key])))
        packages = facts.get("packages")
        for name, version in packages.items() if isinstance(packages, dict) else ():
            rows.append((str(name), str(version)))
        if data.results is not None and data.results.seconds:
            rows.append(("wall time", f"{data.results.seconds:.0f} s"))
        return plain("Provenance", ("what", "value"), rows)
