"""The report of a run or a demo."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cmg.baselines.record import absent
from cmg.config.load import to_yaml
from cmg.errors import ConfigError
from cmg.files import StrPath
from cmg.hub import is_hub, local
from cmg.places import public_name, public_text
from cmg.report.baselines import cost_table, missing_note
from cmg.report.colors import modality_colors
from cmg.report.curves import (
    IN_NUMBERS,
    Panel,
    chart,
    curves_table,
    panels,
    term_meaning,
    term_name,
)
from cmg.report.document import Block, Box, Code, Document, Fold, Items, Section, Text
from cmg.report.gather import ReportData, gather, sets_of
from cmg.report.html import fill
from cmg.report.media import MB, Media, media_of
from cmg.report.prose import DIGITS, DIGITS_IN_SHORT, SPLITS, count_text
from cmg.report.run_codes import code_sections
from cmg.report.samples import classes_of
from cmg.report.tables import (
    FACTS,
    Table,
    arrow,
    control_rows,
    controls_table,
    crossing,
    directions_table,
    mean_of,
    plain,
    sets_table,
    transfer_matrix,
)
from cmg.report.write import replace_files, report_files
from cmg.runs.folder import places_of, with_places

MEDIA_MB = 5.0
"""Of one's own frames and sounds in a page."""


def write_report(
    folder: StrPath,
    out: StrPath | None = None,
    media: StrPath | None = None,
    media_mb: float = MEDIA_MB,
    labels: StrPath | None = None,
    label: str | None = None,
    data: StrPath | None = None,
) -> list[Path]:
    """Write ``report.html``, one self-contained file, ``report.md``, and the folder ``report``.

    In the folder is every table as CSV and LaTeX and every figure as SVG. A run that has not been
    evaluated is evaluated first, if its store has labels.

    Args:
        folder: A run folder of ``cmg pretrain`` or the folder of ``cmg demo``, with all its sets.
        out: Folder for all of it; None for `folder`. Earlier reports in it are replaced.
        media: Folder or manifest that the clips were extracted from, whose frames, sounds and words
            are put into the page; None shows features, or the media of an embedded set.
        media_mb: Megabytes of them at most; beyond, features are drawn.
        labels: csv or jsonl file of labels to read instead of the store's.
        label: Names of the labels to read, with commas between; None is the first. With either,
            transfer is evaluated anew, and not kept as the run's evaluation.
        data: Where the data of a run are, which an export lacks; None is where it says.

    Returns:
        The two files of the whole report.

    Raises:
        CheckpointError: `folder` is no run and no demo, or a checkpoint is damaged.
        ConfigError: a model on a hub without `out`; labels of a demo; `media_mb` is no size.
        DataError: the store, the results, the media or the labels are missing or damaged, or `out`
            cannot be written.
    """
    if not 0 <= media_mb < math.inf:
        raise ConfigError(f"--media-mb {media_mb:g} is no number of megabytes")
    if out is None and is_hub(folder):
        raise ConfigError(f"{folder} is on a hub, so its report needs a folder: say --out DIR")
    folder = local(folder)
    sets = [gather(one, labels, label, data) for one in sets_of(folder)]
    shown = media_of(sets[0].split, media, room=round(media_mb * MB))
    document = run_document(sets, shown)
    return replace_files(Path(folder if out is None else out), report_files(document))


def run_document(sets: Sequence[ReportData], media: Media) -> Document:
    """The whole report of a run or a demo, and what a demo found on further sets."""
    data, *others = sets
    sections = side_by_side(sets) if others else {}
    sections |= run_sections(data, media)
    for other in others:
        sections[f"set-{other.folder.name}"] = Section(
            f"The set {other.set_name}", set_blocks(other)
        )
    seeds = f"{len(data.runs)} seed{'s' if len(data.runs) > 1 else ''}"
    kicker = f"cmg demo, {seeds}" if data.demo else "cmg run"
    lead = [
        Text((f"{one.set_name}: " if others else "") + headline(one), "headline")
        for one in (data, *others)
    ]
    name = data.folder.resolve().name
    return Document(name, kicker, lead, sections, [*data.remarks, *media.remarks], opening(data))


def side_by_side(sets: Sequence[ReportData]) -> dict[str, Section]:
    """What heads reach on each set of a demo, codes and all others."""
    results, remarks = {}, []
    for data in sets:
        assert data.results is not None, "a demo has results"
        results[data.set_name] = data.results
        told = data.remarks if data is not sets[0] else []
        remarks += [Text(f"{data.set_name}: {remark}", "remark") for remark in told]
    about = Text(f"Sections that name no set are of {sets[0].set_name}.", "note")
    table = sets_table(results)
    return {"sets": Section(table.title, [table, *remarks, about])}


def set_blocks(data: ReportData) -> list[Block]:
    """A further set of a demo in one section: tables and controls, the rest to unfold."""
    shown, folded = ("transfer", "controls"), ("objectives", "training", "usage", "setup")
    sections = run_sections(data, media_of(data.split))
    found = {name: sections[name] for name in (*shown, *folded) if name in sections}
    blocks = opening(data)
    for name, one in found.items():
        below = Fold(f"{one.title}: {data.set_name}", one.blocks)
        blocks += [below] if name in folded else one.blocks
    command = f"`cmg report {public_name(data.folder)}`"
    more = f"{command} writes the whole report of this set, clip by clip."
    return [*blocks, Text(more, "note")]


def run_sections(data: ReportData, media: Media) -> dict[str, Section]:
    """Everything about one set, by anchor: results, what codes mean, then how it was trained."""
    colors = modality_colors(data.modalities)
    sections = {}
    if found := matrices(data):
        sections["transfer"] = Section("Transfer", transfer(found))
    if data.results is not None and data.results.transfer:
        sections["controls"] = Section("Controls", controls(data))
    sections |= code_sections(data, media, colors)
    sections["objectives"] = Section("Objectives", [objectives_table(data)])
    if curves := panels(data.runs, colors):
        sections["training"] = Section("Training", training(data, curves))
    sections["setup"] = Section("Configuration", setup(data))
    return sections


def opening(data: ReportData) -> list[Block]:
    """Key numbers, and what the data are."""
    store = data.store
    place = public_name(data.checkpoint.config.data.store)
    short = f"Data: {', '.join(data.modalities)} of {place}."
    about = [public_text(store.notes)] if store.notes else []
    if store.media == "digits":
        short, about = DIGITS_IN_SHORT, list(DIGITS)
    more = [Fold("More about the data", [Items(about)])] if about else []
    return [fill("tiles", tiles=tiles(data)), Text(short), *more]


def headline(data: ReportData) -> str:
    """The result in a sentence or two."""
    results, stats = data.results, data.stats
    used = f"{count_text(stats.used)} of {stats.size} codes are used"
    shared = f"{100 * stats.shared_share:.0f} % of them by two or more modalities"
    held_out = data.split.name == data.checkpoint.config.data.test_split
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
        f"directions; lowest {across[low].mean:.1f} %, {arrow(low)})"
    )
    text += f"; within a modality on {mean_of(within):.1f} %." if within else "."
    return f"{text} {_baselines(data) if label == 'clips' else ''}{codes}"


def _baselines(data: ReportData) -> str:
    names = {
        "infonce": "symmetric InfoNCE at equal budget",
        "ridge": "ridge",
        "cca": "CCA",
        "chance": "chance",
        "shuffled_pairs": "training on shuffled pairs",
        "untrained_encoders": "codes over untrained encoders",
    }
    known = data.results.controls if data.results else {}
    found = {n: crossing(known.get(n, {})) for n in names}
    told = [f"{names[n]} {mean_of(s):.1f} %" for n, s in found.items() if s]
    return f"For comparison: {', '.join(told)}. " if told else ""


def tiles(data: ReportData) -> list[tuple[str, str]]:
    """The key numbers."""
    results, stats = data.results, data.stats
    scores = [results.transfer, results.localization] if results else []
    found = [
        (f"{mean_of(across):.1f} %", f"{what} across modalities")
        for what, one in zip(("classification", "localization"), scores, strict=False)
        if (across := crossing(one))
    ]
    if stats.size:
        found += [
            (f"{count_text(stats.used)} / {stats.size}", "codes used"),
            (f"{stats.perplexity:.1f}", "perplexity"),
            (f"{100 * stats.shared_share:.0f} %", "of used codes shared"),
        ]
    return found


def matrices(data: ReportData) -> list[Table]:
    """Transfer matrices, each with a sentence of explanation."""
    results, found = data.results, []
    if results is None:
        return []
    by_clip = chance(data, data.store.about.first_label("clip"))
    if results.transfer:
        label = data.store.about.first_label("clip") or "class"
        why = f"One class per clip (label {label}), from the codes of all its steps."
        found.append(("Classification", results.transfer, why, by_clip))
    if results.localization:
        label = data.store.about.first_label("step") or "class"
        among = ", background included" if "background" in classes_of(data, label) else ""
        why = (
            f"One class per step (label {label}{among}). Words are no points in time, so "
            "modalities of tokens are left out."
        )
        found.append(("Localization", results.localization, why, chance(data, label)))
    for name, scores in results.extra_splits.items():
        title, why = SPLITS.get(name, (name, f"Classification on the split “{name}”."))
        if scores:
            found.append((title, scores, why, by_clip))
    further = [replace(one.table, title=f"Label {one.label}") for one in data.further]
    return [*(transfer_matrix(*one) for one in found), *further]


def chance(data: ReportData, label: str | None) -> float:
    """Of guessing uniformly among the classes of a label, in percent; 0 where they are unknown."""
    classes = () if label is None else classes_of(data, label)
    return 100 / len(classes) if classes else 0.0


def transfer(found: list[Table]) -> list[Block]:
    """Heat maps: rows are trained on, columns tested on."""
    about = Text(
        "A head is trained with the labels of one modality (row) on frozen codes and read, "
        "unchanged, on held-out clips of each modality (column). Framed: the same modality, the "
        "upper bound. Colors begin at chance: blue is above it, orange below."
    )
    return [about, Box([Box([one], "card") for one in found], "matrices"), fill("heat_scale")]


def controls(data: ReportData) -> list[Block]:
    """The controls beside the model."""
    results = data.results
    assert results is not None
    rows = control_rows(results.transfer, results.controls)
    missing = [] if data.asked else absent(results.controls)
    notes = missing_note(public_name(data.folder), missing)
    if {"shuffled_pairs", "untrained_encoders"} - set(results.controls):
        own = "Shuffled pairs and untrained encoders need models of their own: `cmg demo` has them."
        notes.append(own)
    folded = [directions_table(rows)]
    if data.baselines is not None:
        folded.append(cost_table(data.baselines))
    return [
        Text("Classification of held-out clips, in percent."),
        controls_table(rows),
        fill("strip_key"),
        *(Text(note, "note") for note in notes),
        *(Fold(one.title, [one]) for one in folded),
    ]


def objectives_table(data: ReportData) -> Table:
    """Every term with its weight, "off" where it is left out."""
    weights = data.results.weights if data.results else None
    rows = []
    for name, weight in (weights or data.checkpoint.config.objectives.weights()).items():
        shown = "off" if weight is None else f"{weight:g}"
        if weight == 0:
            shown = "0 (logged only)"
        rows.append((term_name(name), shown, term_meaning(name)))
    return plain("Objectives", ("term", "weight", "what it asks for"), rows)


def training(data: ReportData, found: list[Panel]) -> list[Block]:
    """Curves as small multiples."""
    told = "Over the steps of pre-training, which sees no labels; averaged in short windows."
    count = len([run for run in data.runs if run.metrics])
    if count > 1:
        told += f" A thin line per seed ({count} seeds)."
    drawn = Box([chart(panel) for panel in found], "panels")
    return [Text(told), drawn, Fold(IN_NUMBERS, [curves_table(found)])]


def setup(data: ReportData) -> list[Block]:
    """Configuration, versions, seeds, data."""
    config = data.checkpoint.config
    places = {key: where and public_name(where) for key, where in places_of(config).items()}
    told = to_yaml(with_places(config, places))
    return [
        Box([modalities_table(data), provenance(data)], "columns"),
        Fold("Resolved configuration (config.yaml)", [Code(told)]),
    ]


def modalities_table(data: ReportData) -> Table:
    """The modalities of the model."""
    seconds, rows = data.store.step_seconds, []
    for m in data.model.modalities.values():
        length = seconds.get(m.name)
        shape = " × ".join(map(str, m.shape))
        rows.append((m.name, m.kind.value, shape, "–" if length is None else f"{length:g}"))
    return plain("Modalities", ("modality", "kind", "shape of a step", "seconds per step"), rows)


def provenance(data: ReportData) -> Table:
    """Seeds, data and versions."""
    config, facts = data.checkpoint.config, data.runs[0].facts
    seeds = [str(run.facts.get("seed", "?")) for run in data.runs]
    position = data.checkpoint.position
    rows = [
        ("seeds" if data.demo else "seed", ", ".join(seeds)),
        ("trained", f"{position.epoch} epochs, {position.step} steps"),
        ("store", public_name(config.data.store)),
        ("clips", ", ".join(f"{name} {count}" for name, count in data.store.splits.items())),
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
    return plain("Provenance", ("what", "value"), rows, cls=FACTS)
