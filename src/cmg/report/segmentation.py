"""What a segmentation found, as tables, page and files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmg.evaluation.scores import plain as as_json
from cmg.official.catalogue import OFFICIAL_COUNTS
from cmg.recipes.segmentation_scores import METRICS, QUERY, SHUFFLED, ZERO, SegmentationResults
from cmg.report.document import Document, Section, Text
from cmg.report.html import data_uri, fill
from cmg.report.prose import SIMULATED
from cmg.report.tables import FACTS, Table, arrow, ends, plain, score_text
from cmg.report.write import Files, csv_text, report_files
from cmg.segmentation.overlays import labeled_sheet, png

RESULTS, RECORD, OVERLAYS = "results.json", "segmentation.json", "overlays"
TITLE = "Segmentation by sound or by words"
WHAT = (
    "A model is trained with the queries of one modality, as codes of the frozen codebook, and "
    "used, unchanged, with those of the other. Shuffled: every clip is asked by the query of a "
    "clip of another category. Zero: by nothing. Salient: a model that never had a query. What a "
    "query does is the distance to these three."
)
CONTROLS = "How much the query does"
PAPER = {"audio->text": (78.0, 87.1), "text->audio": (77.7, 86.7)}
"""mIoU and F of the paper, with ImageNet weights."""
NAMES = {
    "miou": "mIoU",
    "f_measure": "F",
    "published_miou": "mIoU by batch",
    "published_f": "F by batch",
}
SHORT = {"audio": "A", "text": "T", "video": "V"}


def short(direction: str) -> str:
    """``audio->text`` as ``A2T``."""
    source, target = ends(direction)
    known = source in SHORT and target in SHORT
    return f"{SHORT[source]}2{SHORT[target]}" if known else arrow(direction)


def scores_table(results: SegmentationResults) -> Table:
    """A row per direction with every metric."""
    published, unlike = results.about["protocol"] == "published", unlike_paper(results.about)
    rows = []
    for direction, variants in results.figures.items():
        cells = [score_text(variants[QUERY][m]) for m in METRICS]
        paper = PAPER.get(direction)
        known = "–" if paper is None else f"{paper[0]:.1f} / {paper[1]:.1f}"
        shown = known if published or paper is None else f"({known})"
        rows.append((short(direction), *cells, "–" if unlike else shown))
    sizes = {f.n for v in results.figures.values() for f in v[QUERY].values()}
    note = (
        f"Percent, models a direction: {max(sizes, default=1)}; trained by the first, asked by "
        "the second (A sound, T words). mIoU and F over the whole test set; by batch as published, "
        "which depends on the size of the test batches."
    )
    if (empty := results.about["empty_test_masks"])["masks"]:
        note += (
            f" Nothing is marked in {empty['masks']:,} masks of {empty['clips']:,} of the "
            f"{results.about['clips']['test']:,} clips: these count in mIoU by the share of pixels "
            "that was left empty, and not in F."
        )
    if unlike:
        note += f" Without the paper's figures: {unlike}."
    columns = ("direction", *(NAMES[m] for m in METRICS), "paper, mIoU / F")
    return plain("Masks of test clips", columns, rows, note).filled()


def unlike_paper(about: Mapping[str, Any]) -> str:
    """Why a segmentation's data are not the paper's; empty if they are, by number of clips."""
    if about["simulated"]:
        return "the data are simulated"
    full = OFFICIAL_COUNTS["avsbench"]
    if short := {s: n for s, n in about["clips"].items() if n != full.get(s)}:
        split, found = next(iter(short.items()))
        return f"{found:,} clips of split {split}, AVSBench-S4 has {full.get(split, 0):,}"
    return ""


def control_table(results: SegmentationResults, metric: str = "miou") -> Table:
    """A row per direction, a column per control."""
    rows = [
        (
            short(direction),
            *(score_text(variants[v][metric]) for v in (QUERY, SHUFFLED, ZERO)),
            score_text(results.salient.get(metric)),
        )
        for direction, variants in results.figures.items()
    ]
    columns = ("direction", "its query", "shuffled", "zero", "salient")
    return plain(f"{CONTROLS}, {NAMES[metric]}", columns, rows)


def training_table(results: SegmentationResults) -> Table:
    """How every model's training went."""
    rows = [
        (
            name,
            str(len(told["scores"])),
            str(told["best_epoch"]),
            f"{told['best']:.1f}",
            f"{told['losses'][-1]:.3f}",
        )
        for name, told in results.progress.items()
    ]
    columns = ("model", "epochs", "kept epoch", "its val mIoU", "last training loss")
    return plain("Training", columns, rows)


def about_table(results: SegmentationResults) -> Table:
    """Model, data and settings."""
    about = results.about
    model, training = about["model"], about["training"]
    clips = ", ".join(f"{n:,} {split}" for split, n in about["clips"].items())
    rows = [
        ("frozen encoder", about["encoder"]),
        ("data", about["data"]),
        ("clips", clips),
        ("protocol", about["protocol"]),
        ("backbone", f"{model['backbone']}, weights: {about['backbone_weights'] or 'random'}"),
        ("attention", f"{model['attention']} at stages {', '.join(map(str, model['stages']))}"),
        ("channels", str(model["channels"])),
        ("pictures", f"{training['side']} x {training['side']}"),
        (
            "training",
            f"{training['epochs']} epochs, batch {training['batch_size']}, "
            f"lr {training['lr']:g}, {training['precision']}",
        ),
        ("matching loss, query jitter", f"{training['matching']:g}, {training['query_jitter']:g}"),
    ]
    return plain("What was evaluated", ("", ""), rows, cls=FACTS)


def segmentation_document(results: SegmentationResults) -> Document:
    """The whole report."""
    scores, training, about = scores_table(results), training_table(results), about_table(results)
    controls = [control_table(results, metric) for metric in ("miou", "f_measure")]
    pictures = {
        title: {name: data_uri("image/png", png(pixels)) for name, pixels in rows.items()}
        for title, rows in results.pictures.items()
    }
    sections = {
        "scores": Section(scores.title, [scores]),
        "controls": Section(CONTROLS, controls),
        "pictures": Section("Pictures", [fill("overlays", pictures=pictures)]),
        "training": Section(training.title, [training]),
        "about": Section(about.title, [about]),
    }
    remarks = [SIMULATED] if results.about["simulated"] else []
    return Document(TITLE, "cmg evaluate avs", [Text(WHAT, "headline")], sections, remarks)


def segmentation_files(results: SegmentationResults) -> Files:
    """``results.json``, ``segmentation.json``, IoUs per clip, both reports and pictures."""
    overlays = {
        f"{OVERLAYS}/{title.partition(' (')[0].replace('/', '_')}.png": png(labeled_sheet(rows))
        for title, rows in results.pictures.items()
    }
    record = {"format": "cmg-segmentation", "version": 1}
    return {
        RESULTS: told(results),
        RECORD: record | {"about": results.about, "progress": results.progress},
        "clips.csv": clips_csv(results),
        **report_files(segmentation_document(results)),
        **overlays,
    }


def told(results: SegmentationResults) -> dict[str, Any]:
    """The figures as JSON."""
    return {
        "directions": as_json(results.figures, "paper"),
        "salient": as_json(results.salient, "paper"),
    }


def clips_csv(results: SegmentationResults) -> str:
    """Mean IoU of every test clip, a column per model, query and variant."""
    columns = [(m, key) for m, found in results.ious.items() for key in found]
    rows = [["id", *(f"{m} {key}" for m, key in columns)]]
    for i, clip in enumerate(results.clips):
        rows.append([clip, *(f"{results.ious[m][key][i]:.2f}" for m, key in columns)])
    return csv_text(rows)
