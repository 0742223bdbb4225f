"""What an evaluation writes: results, predictions, report and timelines."""

import csv
import json
import statistics
from dataclasses import replace

import pytest

from cmg.errors import DataError
from cmg.evaluation.metrics import micro_scores
from cmg.report.evaluation import EVALUATION, benchmark_table, evaluation_files
from cmg.report.write import write_folder

from ..report.conftest import Page
from .conftest import outcome_of


def test_the_folder_holds_results_predictions_and_reports(everything, tmp_path):
    out = tmp_path / "evaluation"
    write_folder(out, EVALUATION, lambda: everything, evaluation_files)
    told = json.loads((out / "results.json").read_text())
    figure = told["ave"]["published"]["video->audio"]["accuracy"]
    assert set(figure) == {"mean", "std", "n", "paper"}
    more = json.loads((out / "evaluation.json").read_text())
    values = more["benchmarks"]["ave"]["published"]["values"]["video->audio"]["accuracy"]
    assert statistics.fmean(values) == figure["mean"]
    assert more["format"] == "cmg-evaluation"
    assert more["benchmarks"]["avvp"]["clean"]["counts"]["test"] == {"video": 32, "audio": 35}
    assert len(list((out / "predictions").iterdir())) == 4 * 2 * 4
    assert not list(tmp_path.glob(".*"))


def test_predictions_can_be_recomputed_from_their_file(everything):
    files = evaluation_files(everything)
    rows = list(csv.DictReader(files["predictions/ave-clean-video-to-audio.csv"].splitlines()))
    assert len(rows) == 2 * 15
    each = [
        100.0 * statistics.fmean(r["truth"] == r["prediction"] for r in rows if r["seed"] == seed)
        for seed in ("0", "1")
    ]
    figure = everything.figures["ave"]["clean"]["video->audio"]["accuracy"]
    assert figure.mean == pytest.approx(statistics.fmean(each))
    steps = list(csv.DictReader(files["predictions/avvp-clean-video-to-audio.csv"].splitlines()))
    assert len(steps) == 2 * 35 * 10
    hits = predicted = 0
    for row in (r for r in steps if r["seed"] == "0"):
        guess = {x for x in row["prediction"].split("|") if x}
        predicted += len(guess)
        hits += len(guess & set(row["truth"].split("|")))
        assert len([p for p in row["probability"].split("|") if p]) == len(guess)
    outcome = outcome_of(everything, "avvp", "clean")
    said = outcome.predictions["video->audio"]
    assert hits / predicted == pytest.approx(
        micro_scores(said.probabilities[0], said.truth).precision
    )


def test_the_report_shows_tables_and_timelines(everything):
    files = evaluation_files(everything)
    page = Page(files["report.html"])
    # Two localization benchmarks, two protocols, two directions, a dozen clips each.
    assert [tag for tag, _ in page.tags].count("svg") == 2 * 2 * 2 * 12
    assert len([name for name in files if name.endswith(".svg")]) == 2 * 2 * 2 * 12
    assert "http" not in files["report.html"].replace("http-equiv", "")
    markdown = files["report.md"]
    assert "| published video → audio |" in markdown
    assert "47.7" in markdown
    assert "seen in pre-training on 40k" in markdown


def test_without_the_papers_data_its_figures_are_left_out_and_the_reason_is_said(everything):
    first = everything.outcomes[0]
    why = "ave has 45 clips with audio here, the paper's has 4,143"
    bare = replace(first, paper={}, unlike=why)
    table = benchmark_table([bare])
    assert "paper" not in table.columns
    assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1
    assert f"Without the paper's figures: {why}." in table.note
    assert "Controls: accuracy" in table.note
    assert "paper" in benchmark_table([first]).columns
    assert "Without the paper's" not in benchmark_table([first]).note
    assert bare.told()["without_paper"] == bare.unlike


def test_a_timeline_shows_truth_prediction_and_overlap(everything):
    from cmg.report.event_timelines import event_timelines, timeline_picture

    outcome = outcome_of(everything, "avvp", "clean")
    shown = event_timelines(outcome, "video->audio", 3)
    assert len(shown) == 3
    said = outcome.predictions["video->audio"]
    one = shown[1]
    at = [row.id for row in said.rows].index(one.id)
    assert int(one.truth.sum()) == int((said.truth[at] > 0).sum())
    assert int(one.predicted.sum()) == int((said.probabilities[0][at] > 0.5).sum())
    picture = timeline_picture(one)
    both = int((one.truth & one.predicted).sum())
    assert picture.count("<title>both</title>") == both
    assert picture.count("<title>truth</title>") == int(one.truth.sum()) - both
    assert picture.count("<title>prediction</title>") == int(one.predicted.sum()) - both


def test_simulated_data_are_called_so(everything):
    from dataclasses import replace

    simulated = replace(everything, about=everything.about | {"simulated": True})
    for name in ("report.md", "report.html"):
        assert "simulated data" in evaluation_files(simulated)[name]
        assert "simulated data" not in evaluation_files(everything)[name]


def test_an_occupied_folder_is_kept(everything, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    never = pytest.fail

    def write(out, evaluate, overwrite=False):
        write_folder(out, EVALUATION, evaluate, evaluation_files, overwrite)

    with pytest.raises(DataError, match="not empty"):
        write(out, never)
    with pytest.raises(DataError, match=r"no evaluation\.json"):
        write(out, never, overwrite=True)
    assert (out / "mine.txt").read_text() == "mine"
    (out / "mine.txt").unlink()
    write(out, lambda: everything)
    with pytest.raises(DataError, match="replace it with --overwrite"):
        write(out, never)
    write(out, lambda: everything, overwrite=True)

    def fails():
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        write(tmp_path / "new", fails)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
