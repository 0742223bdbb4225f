"""Benchmarks from a run folder to figures, files and the terminal."""

import json
import statistics
from dataclasses import replace

import pytest
import torch

from cmg.errors import CheckpointError, ConfigError
from cmg.evaluation.frozen import FrozenData, Opened
from cmg.evaluation.metrics import micro_scores
from cmg.evaluation.scores import Score
from cmg.evaluation.training import HeadOptions
from cmg.recipes.evaluate_tasks import (
    TaskResults,
    evaluate_tasks,
    pretraining_list,
    select,
)
from cmg.report.evaluation import remarks
from cmg.runs.checkpoint import list_checkpoints, load_model, read_checkpoint
from cmg.runs.selection import SELECTED, mark_checkpoint, marked_checkpoint
from cmg.tasks import benchmark
from cmg.tasks.ave import AVE
from cmg.tasks.benchmark import find_benchmark
from cmg.tasks.run import run_plan

from .conftest import NAMES, make_model, outcome_of, write_run

DIRECTIONS = ["video->audio", "audio->video", "video->video", "audio->audio"]


# --- figures -------------------------------------------------------------------------------------


def test_every_benchmark_has_both_protocols_and_all_directions(everything):
    figures = everything.figures
    assert list(figures) == ["ave", "avvp", "ave-avvp", "ucf-vgg"]
    for by_protocol in figures.values():
        assert list(by_protocol) == ["published", "clean"]
        for found in by_protocol.values():
            assert list(found) == DIRECTIONS
            for metrics in found.values():
                assert all(isinstance(f, Score) and f.n == 2 for f in metrics.values())
                assert all(0.0 <= f.mean <= 100.0 for f in metrics.values())


def test_the_papers_figures_stand_beside_published_ones_only(everything):
    ave = everything.figures["ave"]
    assert ave["published"]["video->audio"]["accuracy"].paper == 47.7
    assert ave["published"]["video->audio"]["macro_f1"].paper is None
    assert ave["published"]["video->video"]["accuracy"].paper is None
    assert everything.figures["avvp"]["published"]["audio->video"]["precision"].paper == 65.6
    for by_protocol in everything.figures.values():
        for metrics in by_protocol["clean"].values():
            assert all(f.paper is None for f in metrics.values())


@pytest.mark.parametrize("benchmark", ["ave", "ucf-vgg"])
def test_accuracy_is_what_the_predictions_say(everything, benchmark):
    outcome = outcome_of(everything, benchmark, "clean")
    for direction, metrics in outcome.figures.items():
        said = outcome.predictions[direction]
        each = [
            100.0 * sum((p.argmax(1) == said.truth).tolist()) / len(said.rows)
            for p in said.probabilities.values()
        ]
        assert metrics["accuracy"].mean == pytest.approx(statistics.fmean(each))
        assert metrics["accuracy"].std == pytest.approx(statistics.stdev(each))


def test_published_precision_is_averaged_over_batches_and_clean_is_not(everything):
    for protocol in ("published", "clean"):
        outcome = outcome_of(everything, "avvp", protocol)
        direction = "video->audio"
        said = outcome.predictions[direction]
        each = []
        for p in said.probabilities.values():
            if protocol == "clean":
                each.append(micro_scores(p, said.truth).precision)
                continue
            parts = [slice(i, i + 64) for i in range(0, len(p), 64)]
            weights = [len(p[part]) / len(p) for part in parts]
            values = [micro_scores(p[part], said.truth[part]).precision for part in parts]
            each.append(sum(w * v for w, v in zip(weights, values, strict=True)))
        assert len(said.rows) == (68 if protocol == "published" else 35)
        wanted = 100.0 * statistics.fmean(each)
        assert outcome.figures[direction]["precision"].mean == pytest.approx(wanted, abs=1e-6)


def test_published_ave_reports_the_last_epoch_and_tells_the_best(everything):
    outcome = outcome_of(everything, "ave", "published")
    for direction, metrics in outcome.figures.items():
        assert metrics["best_accuracy"].mean >= metrics["accuracy"].mean
        assert set(outcome.predictions[direction].epochs.values()) == {29}
    assert "best_accuracy" not in everything.figures["ucf-vgg"]["published"]["video->audio"]


def test_controls_leaks_and_marks_are_told(everything):
    outcome = outcome_of(everything, "ave", "clean")
    assert list(outcome.controls) == ["chance", "majority", "continuous"]
    for name in ("chance", "majority"):
        assert outcome.controls[name]["video->audio"]["accuracy"].mean == 20.0
    assert outcome.leaks[0]["in_pretraining"] == {"24k": 1, "40k": 1}
    ucf = outcome_of(everything, "ucf-vgg", "clean")
    assert set(ucf.marks) == set(DIRECTIONS) - {"video->video"}
    assert everything.about["pretraining"] == "40k"


def test_guessing_by_frequency_has_the_expected_precision(everything):
    outcome = outcome_of(everything, "avvp", "clean")
    found = outcome.controls["chance"]["audio->audio"]
    p, r, f = (found[k].mean for k in ("precision", "recall", "f1"))
    assert f == pytest.approx(2 * p * r / (p + r))
    assert list(outcome.controls)[:4] == ["chance", "majority", "background", "oracle_classes"]
    oracle = outcome.controls["oracle_classes"]["audio->audio"]
    assert (
        oracle["segment_f1"].mean
        > outcome.controls["background"]["audio->audio"]["segment_f1"].mean
    )
    assert "an oracle that reads test labels" in " ".join(outcome.remarks)
    always = outcome.controls["majority"]["audio->audio"]
    truth = outcome.predictions["audio->audio"].truth
    share = 100.0 * float(truth[..., -1].mean())  # half of all seconds are background
    assert always["precision"].mean == pytest.approx(share, abs=1e-4)


def test_the_same_call_gives_the_same_figures(folder, early, everything):
    again = evaluate_tasks(folder, early, ["ave"], ["published"], seeds=2)
    assert again.figures["ave"]["published"] == everything.figures["ave"]["published"]
    one = evaluate_tasks(folder, early, ["ave"], ["clean"], seeds=1)
    alone = outcome_of(one, "ave", "clean").predictions["video->audio"].probabilities[0]
    both = outcome_of(everything, "ave", "clean").predictions["video->audio"].probabilities[0]
    torch.testing.assert_close(alone, both, rtol=0, atol=1e-5)  # seeds do not disturb each other


def test_heads_learn_what_codes_tell(folder, model):
    plan = AVE().plan(FrozenData(Opened(folder), model))
    options = HeadOptions(epochs=60, lr=0.02, milestones=())
    found = run_plan(plan, options, [0, 1]).figures["audio->audio"]["accuracy"]
    assert found.mean > 60.0


# --- what is refused -----------------------------------------------------------------------------


def test_a_late_checkpoint_is_refused_before_anything_is_computed(folder, run):
    folder.opened.clear()
    with pytest.raises(ConfigError, match=r"epoch 29 .* stops before epoch 30, so no head"):
        evaluate_tasks(folder, run, ["ave"], ["published"])
    assert folder.opened == []
    ave, avvp, both = map(find_benchmark, ("ave", "avvp", "ave-avvp"))
    assert avvp.head_options("published", 30, run).first_epoch == 30
    assert ave.head_options("clean", 30, run).first_epoch == 0
    assert both.head_options("published", 30, run).clip_alpha
    assert not avvp.head_options("clean", 30, run).clip_alpha


def test_clean_heads_on_few_clips_are_trained_for_as_many_steps_as_on_all_of_ave(run, monkeypatch):
    monkeypatch.setattr(benchmark, "LEAST_STEPS", 1260)  # short_heads turned it off
    options = AVE().head_options("clean", 0, run)
    assert options.stretched(3339) == options  # 42 batches, 30 epochs: 1,260 steps
    few = options.stretched(160)  # 2 batches
    assert (few.epochs, few.milestones) == (630, (210, 420, 630))
    assert AVE().head_options("published", 5, run).stretched(160).epochs == 30


def test_unknown_benchmarks_and_no_seeds_are_refused(folder, run):
    with pytest.raises(ConfigError, match=r"unknown benchmark 'avp' \(did you mean 'avvp'\?\)"):
        evaluate_tasks(folder, run, ["avp"])
    with pytest.raises(ConfigError, match="seeds = 0"):
        evaluate_tasks(folder, run, ["ave"], seeds=0)


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"list": "24k", "store": "x"}, "24k"),
        ({"list": "81k", "store": "x"}, "81k"),
        ({"store": "data/vggsound40k"}, "24k"),
        ({"store": "data/vggsound40k", "train_split": "train+val+test"}, "40k"),
        ({"store": "data/vggsound81k"}, "81k"),
        ({"store": "data/mine"}, None),
    ],
)
def test_the_pre_training_list_is_read_from_the_configuration(tmp_path, data, wanted):
    path = write_run(tmp_path / "run", make_model(), (1,), **data)
    assert pretraining_list(read_checkpoint(path)) == wanted


# --- selection -----------------------------------------------------------------------------------


def test_select_marks_a_checkpoint_and_evaluate_takes_it(folder, run, tmp_path):
    found = select(run, folder, "clean", seeds=1)
    assert [s.epoch for s in found.scores] == [1, 3, 30]
    assert (found.epochs, found.missing) == (30, 27)
    # The three checkpoints are the same model, so the first is as good as any.
    assert found.best is found.scores[0]
    told = json.loads((run / SELECTED).read_text())
    assert told["checkpoint"] == found.best.checkpoint
    assert told["protocol"] == "clean"
    assert [s["accuracy"]["n"] for s in told["scores"]] == [1, 1, 1]
    results = evaluate_tasks(folder, run, ["ave"], ["published"], seeds=1)
    assert results.about["selected"]
    assert results.about["checkpoint"].endswith(found.best.checkpoint)
    (run / SELECTED).unlink()


def test_select_by_the_published_rule_passes_over_late_checkpoints(folder, run, tmp_path):
    found = select(run, folder, "published", seeds=1)
    assert found.scores[-1].accuracy is None
    assert found.best.epoch in (1, 3)
    (run / SELECTED).unlink()


def test_select_wants_a_run_with_checkpoints(folder, run, tmp_path):
    with pytest.raises(CheckpointError, match="is one checkpoint"):
        select(list_checkpoints(run)[0], folder)
    with pytest.raises(CheckpointError, match="does not exist"):
        select(tmp_path / "none", folder)


def test_a_mark_of_a_checkpoint_that_is_gone_says_what_to_do(folder, run):
    mark_checkpoint(run, run / "checkpoints" / "step-00000777", {})
    with pytest.raises(CheckpointError, match="'step-00000777', which is gone; run `cmg select"):
        evaluate_tasks(folder, run, ["ave"])
    (run / SELECTED).write_text("[]")
    with pytest.raises(CheckpointError, match="is damaged"):
        marked_checkpoint(run)
    (run / SELECTED).unlink()
    assert marked_checkpoint(run) is None
    load_model(run)


def test_classes_that_no_head_was_trained_on_are_remarked(folder, model):
    plan, options = AVE().plan(FrozenData(Opened(folder), model)), HeadOptions(epochs=1)
    fewer = {m: s.subset(r.labels["category"] != 4 for r in s.rows) for m, s in plan.train.items()}
    outcome = run_plan(replace(plan, train=fewer), options, [0])
    said = "3 of 15 test clips have classes without a training clip"
    assert [r.startswith(f"{said} ({NAMES[4]!r})") for r in outcome.remarks] == [True]
    assert outcome.told()["remarks"] == outcome.remarks
    assert remarks(TaskResults([outcome])) == [f"ave (clean): {outcome.remarks[0]}."]
    assert run_plan(plan, options, [0]).remarks == []
