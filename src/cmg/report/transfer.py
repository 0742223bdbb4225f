"""The transfer table of a model on a store, for notebooks and papers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from cmg.clips import configured_clips, open_other, training_split
from cmg.data.clips import Clips
from cmg.data.options import DataOptions
from cmg.decoders.heads import ProbeOptions
from cmg.errors import DataError
from cmg.evaluation.probe import Evaluation
from cmg.evaluation.scores import Score, ScoreMap, mean_of, plain
from cmg.files import StrPath, as_path, replace_file
from cmg.models.unified import UnifiedModel
from cmg.notebooks import Showing, shown_line
from cmg.process import torch_defaults
from cmg.report.charts import AxisScale, nice_ticks, tick_text
from cmg.report.document import Figure
from cmg.report.html import standalone
from cmg.report.latex import latex
from cmg.report.markdown import table as markdown_table
from cmg.report.svg import n, rule, svg, text
from cmg.report.tables import Table, arrow, crossing, ends, score_text, transfer_matrix
from cmg.report.write import csv_text
from cmg.runs.checkpoint import load_model, read_checkpoint


@dataclass(frozen=True)
class TransferPlot:
    """A drawing that notebooks show."""

    figure: Figure

    def _repr_svg_(self) -> str:
        """For notebooks."""
        return standalone(self.figure.drawing)

    def save(self, path: StrPath) -> None:
        """Write it as an SVG file.

        Raises:
            DataError: it cannot be written.
        """
        replace_file(as_path(path, "an SVG file"), self._repr_svg_().encode())


@dataclass(frozen=True)
class TransferTable:
    """What heads trained on one modality reach on each.

    Attributes:
        scores: Accuracy in percent by direction, ``audio->video``.
        chance: Of guessing uniformly.
        label: That was read.
        split: Whose clips were read.
        remarks: What has to be said beside the numbers.
    """

    scores: ScoreMap
    chance: float
    label: str
    split: str
    remarks: tuple[str, ...] = ()

    def __getitem__(self, direction: str) -> Score:
        """The score of ``audio->video``."""
        return self.scores[direction]

    def __iter__(self) -> Iterator[str]:
        """The directions."""
        return iter(self.scores)

    def __len__(self) -> int:
        """How many directions."""
        return len(self.scores)

    @property
    def mean(self) -> Score | None:
        """Of the directions between modalities; None where there is one modality."""
        across = list(crossing(self.scores).values())
        return mean_of(across) if across else None

    @property
    def table(self) -> Table:
        """As a report has it."""
        why = f"Label {self.label}, split {self.split}."
        return transfer_matrix("Transfer", self.scores, why, self.chance)

    def __repr__(self) -> str:
        """Five lines at most."""
        rows = [f"{d} {s.mean:.1f}" for d, s in crossing(self.scores).items()]
        shown = ", ".join(rows[:6]) + ", ..." * (len(rows) > 6)
        mean = f"mean across {self.mean.mean:.1f} %" if self.mean else "one modality"
        head = f"transfer of {self.label!r} on {self.split!r}: {mean}, chance {self.chance:.1f} %"
        return f"<{head}; {shown}>"

    def _repr_html_(self) -> str:
        """A table with colors of its own, since a notebook has no style of ours."""
        head, *rows = self.table.texts
        cells = self.table.rows
        style = "padding:.3em .7em;text-align:right"
        lines = ["<table><thead><tr>"]
        lines += [f"<th>{escape(name)}</th>" for name in head]
        lines.append("</tr></thead><tbody>")
        for texts, row in zip(rows, cells, strict=True):
            lines.append(f"<tr><th>{escape(texts[0])}</th>")
            for cell in row[1:]:
                part = cell.heat or 0.0
                hue = "33,113,181" if part >= 0 else "213,94,0"
                back = f"background:rgba({hue},{0.45 * abs(part):.2f})"
                frame = ";outline:1px solid" if cell.marked else ""
                lines.append(f'<td style="{style};{back}{frame}">{escape(cell.text)}</td>')
            lines.append("</tr>")
        lines.append(f"</tbody></table><p>{escape(self.table.note)}</p>")
        lines += [f"<p>{escape(remark)}</p>" for remark in self.remarks]
        return "".join(lines)

    def to_markdown(self) -> str:
        """For a text."""
        return markdown_table(self.table)

    def to_csv(self, path: StrPath | None = None) -> str:
        """For a spreadsheet; also written to `path`."""
        return self._written(csv_text(self.table.texts), path)

    def to_latex(self, path: StrPath | None = None) -> str:
        """A ``tabular`` with booktabs; also written to `path`."""
        return self._written(latex(self.table), path)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "label": self.label,
            "split": self.split,
            "chance": self.chance,
            "transfer": plain(self.scores, "values"),
            "remarks": list(self.remarks),
        }

    def rows(self) -> list[dict[str, Any]]:
        """A row per direction, as ``pandas.DataFrame`` takes them."""
        return [
            dict(zip(("train_on", "test_on"), ends(d), strict=True))
            | {"mean": s.mean, "std": s.std, "n": s.n}
            for d, s in self.scores.items()
        ]

    def plot(self, path: StrPath | None = None) -> TransferPlot:
        """A bar per direction, the line at chance; also written to `path`, as SVG."""
        made = TransferPlot(Figure("Transfer", bars(self.scores, self.chance)))
        if path is not None:
            made.save(path)
        return made

    def _written(self, content: str, path: StrPath | None) -> str:
        if path is not None:
            replace_file(as_path(path, "a file"), content.encode())
        return content


def bars(scores: ScoreMap, chance: float) -> str:
    """A horizontal bar per direction, those within a modality pale, and the line at chance."""
    left, right, line = 170.0, 600.0, 22.0
    bottom = 12 + line * len(scores)
    across = AxisScale(0, 100, left, right)
    parts = []
    for tick in nice_ticks(0, 100):
        x = across.at(tick)
        parts.append(rule((x, 8), (x, bottom), "grid"))
        parts.append(text(x, bottom + 16, tick_text(tick), "tick", "middle"))
    for i, (direction, score) in enumerate(scores.items()):
        y = 12 + line * i
        pale = "var(--ink-2)" if direction not in crossing(scores) else "var(--m0)"
        width = across.at(score.mean) - left
        parts.append(text(left - 8, y + 13, arrow(direction), "tick", "end"))
        parts.append(
            f'<rect x="{n(left)}" y="{n(y + 2)}" width="{n(width)}" height="{n(line - 6)}" '
            f'style="fill:{pale}"/>'
        )
        parts.append(text(left + width + 5, y + 13, score_text(score), "tick"))
    x = across.at(chance)
    parts.append(rule((x, 8), (x, bottom), "threshold"))
    parts.append(
        text(right, bottom + 32, f"accuracy, %; dashed: chance {chance:.1f}", "tick", "end")
    )
    return svg(right + 70, bottom + 40, "".join(parts), "Transfer between modalities")


@torch_defaults()
def transfer_table(
    model: UnifiedModel | StrPath,
    store: Clips | StrPath | None = None,
    label: str | None = None,
    options: ProbeOptions | None = None,
    train_split: str = "train",
    test_split: str = "test",
    seed: int = 0,
    progress: Showing = None,
) -> TransferTable:
    """Heads trained on each modality's frozen codes, read unchanged on every modality.

    Args:
        model: Left untouched; or a run folder or checkpoint.
        store: With labels; or what :func:`cmg.open_clips` takes; None is the run's own, with its
            own splits.
        label: Of the store; None takes its first label per clip, else per step.
        options: Head training; None of a run is its own.
        train_split: Whose labels are used.
        test_split: Held-out clips.
        seed: Of the first head.
        progress: Whether a line tells how far it is; None does in notebooks alone.

    Raises:
        DataError: no such store, label, split or modality, or labels of one class.
        CheckpointError: no such run.
    """
    data = DataOptions()
    if not isinstance(model, UnifiedModel):
        config = read_checkpoint(model).config
        data, options = config.data, options or config.probe
        model = load_model(model)
        if store is None:
            store = configured_clips(data)
            train_split, test_split = training_split(data), data.test_split
    if store is None:
        raise DataError("a model by itself has no data; give a store, or the run's folder as model")
    clips = open_other(data, store) if isinstance(store, str | os.PathLike) else store
    val = data.val_split if data.val_split in clips.splits else None
    with shown_line("transfer", progress) as tell:
        if tell:
            tell(0, 1, "encoding clips")
        evaluation = Evaluation(model, clips, train_split, test_split, val)
        wanted = label or evaluation.default_label("clip") or evaluation.default_label("step")
        if wanted is None:
            raise DataError(f"{clips.path} has no labels; probing needs some")
        scores: ScoreMap = {}
        classes = clips.about.need_label(wanted).classes
        sources = evaluation.modalities_for(wanted)
        for i, source in enumerate(sources):
            if tell:
                tell(i, len(sources), f"heads on {source}")
            read = evaluation.transfer(wanted, options or ProbeOptions(), seed, [source])
            scores |= read[test_split]
        if tell:
            tell(len(sources), len(sources), "heads trained")
    return TransferTable(
        scores, 100.0 / len(classes), wanted, test_split, tuple(evaluation.remarks)
    )
