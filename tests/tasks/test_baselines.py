"""Ridge, CCA, heads on raw features and InfoNCE beside a model on the benchmarks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests.tasks.conftest import make_model, outcome_of, write_run

from cmg.baselines.benchmarks import BenchmarkRows, RawSteps
from cmg.baselines.record import FOLDER, INFONCE
from cmg.baselines.rows import Baseline
from cmg.data import write_store
from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.evaluation.frozen import FrozenData
from cmg.recipes.evaluate_tasks import evaluate_tasks
from cmg.report.evaluation import benchmark_document, evaluation_record
from cmg.report.write import report_files
from cmg.tasks.benchmark import benchmarks, find_benchmark

CROSSING = ["video->audio", "audio->video"]


@pytest.fixture(scope="session")
def own(tmp_path_factory, folder):
    """A run on the clips of VGGSound, and its InfoNCE model."""
    store = folder.stores["vggsound40k"]
    path = tmp_path_factory.mktemp("own") / "run"
    for where, seed in ((path, 0), (path / FOLDER / INFONCE, 1)):
        given = {"store": str(store.path), "train_split": "train"}
        write_run(where, make_model(seed=seed), (1,), store.content_hash, **given)
    return path


@pytest.fixture(scope="session")
def beside(folder, own):
    """All benchmarks by the clean protocol with their baselines, two seeds."""
    with pytest.MonkeyPatch.context() as patch:
        for entry in benchmarks.values():  # so that heads learn in a few steps
            heads = entry.part.heads.model_copy(update={"lr": 0.03})
            patch.setattr(entry.part, "heads", heads)
        return evaluate_tasks(folder, own, protocols=["clean"], seeds=2, baselines=True)


def written(path, audio, video):
    arrays = {"audio": [np.float32(x) for x in audio], "video": [np.float32(x) for x in video]}
    return write_store(path, arrays, split=["train"] * len(audio))


def test_maps_are_fitted_to_steps_where_both_modalities_have_as_many(tmp_path):
    store = written(
        tmp_path / "a", [[[1.0], [3.0]], [[5.0]], [[7.0]]], [[[0.0], [2.0]], [[4.0]], [[10.0]]]
    )
    raw = RawSteps.of(store, ["audio", "video"])
    x, y = raw.pairs("audio", "video")
    deviation = np.std([1.0, 3.0, 5.0, 7.0])
    assert x[:, 0].tolist() == pytest.approx([(v - 4.0) / deviation for v in (1, 3, 5, 7)])
    assert y[:, 0].tolist() == pytest.approx(
        [(v - 4.0) / np.std([0, 2, 4, 10]) for v in (0, 2, 4, 10)]
    )


def test_maps_are_fitted_to_means_of_clips_where_steps_are_not_the_same(tmp_path):
    store = written(
        tmp_path / "a", [[[1.0], [3.0]], [[5.0]], [[7.0]]], [[[2.0]], [[4.0]], [[0.0], [10.0]]]
    )
    x, y = RawSteps.of(store, ["audio", "video"]).pairs("audio", "video")
    deviation = np.std([1.0, 3.0, 5.0, 7.0])
    assert x[:, 0].tolist() == pytest.approx([(v - 4.0) / deviation for v in (2, 5, 7)])
    assert y[:, 0].tolist() == pytest.approx([(v - 4.0) / np.std([2, 4, 0, 10]) for v in (2, 4, 5)])


def test_of_many_steps_whole_clips_at_even_distances_are_taken(tmp_path, monkeypatch):
    clips = [[[float(i)], [float(i)]] for i in range(9)]
    store = written(tmp_path / "a", clips, clips)
    monkeypatch.setattr("cmg.baselines.benchmarks.MOST_STEPS", 7)  # 18 steps: every third clip
    raw = RawSteps.of(store, ["audio", "video"])
    assert raw.counts["audio"].tolist() == [2, 2, 2]
    assert raw.features["audio"][::2, 0].tolist() == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])


def test_clips_without_pairs_are_refused(tmp_path):
    arrays = {
        "audio": [np.ones((1, 2), np.float32), None],
        "video": [None, np.ones((1, 2), np.float32)],
    }
    store = write_store(tmp_path / "a", arrays, split=["train", "train"])
    with pytest.raises(DataError, match="fewer than two clips have both 'audio' and 'video'"):
        RawSteps.of(store, ["audio", "video"]).pairs("audio", "video")


def test_every_benchmark_has_every_baseline_in_both_directions(beside):
    for outcome in beside.outcomes:
        name = outcome.benchmark.name
        for row in ("infonce", "ridge", "cca", "linear"):
            figures = outcome.controls[row]
            assert set(CROSSING) <= set(figures), (name, row)
            for direction in CROSSING:
                assert set(figures[direction]) == set(outcome.figures[direction])
                assert figures[direction][outcome.headline].n == 2
        assert set(beside.baselines[name].rows) == {"ridge", "cca", "linear"}


def test_concepts_that_both_modalities_have_linearly_are_carried_over_by_the_maps(beside):
    """Audio has six directions, video five of them: maps find them without a label."""
    outcome = outcome_of(beside, "ucf-vgg", "clean")
    for direction in CROSSING:
        found = {n: outcome.controls[n][direction]["accuracy"].mean for n in outcome.controls}
        assert found["linear"] > 85, direction
        assert found["ridge"] > 60, direction
        assert found["cca"] > 60, direction
        assert found["majority"] < 35, direction


def test_the_upper_bound_is_the_same_from_wherever_it_is_read(beside):
    linear = outcome_of(beside, "ave", "clean").controls["linear"]
    assert linear["video->audio"] == linear["audio->audio"]
    assert linear["audio->video"] == linear["video->video"]


def test_ridge_is_heads_on_the_source_read_on_the_targets_least_squares_guess(folder, own):
    """Against numpy's solution, and heads applied by hand."""
    one, store = find_benchmark("ave"), folder.stores["vggsound40k"].split("train")
    plan = one.plan(FrozenData(folder, make_model(), "clean"))
    known = RawSteps.of(store, ["audio", "video"])
    rows = BenchmarkRows(plan, one.head_options("clean", 0, own), [0], known)
    record = Baseline()
    figures = rows.ridge(record)["video->audio"]
    penalty = record.chosen["video->audio"]["penalty"]

    x, y = known.features["video"].numpy(), known.features["audio"].numpy()
    weight = np.linalg.solve(y.T @ y + len(y) * penalty * np.eye(6), y.T @ x)
    side = plan.test["audio"]
    steps, _ = side.source.features("audio", side.clips)
    flat = torch.cat([store.features("audio")[0].double().flatten(0, 1)]).numpy()
    heard = (steps.double().numpy() - flat.mean(0)) / flat.std(0)
    head = rows.heads("video")["video"][0]["selection"].head
    guess = torch.from_numpy(heard @ weight).float()
    logits = head.of_vectors(guess[None], torch.ones(1, *guess.shape[:2], dtype=torch.bool))[0]
    right = 100 * float((logits.argmax(1) == side.clip_labels()).double().mean())
    assert figures["accuracy"].values == pytest.approx((right,))


def test_the_report_and_the_record_have_them_and_what_they_cost(beside):
    found = evaluation_record(beside)["benchmarks"]["avvp"]
    assert set(found["clean"]["controls"]) > {"infonce", "ridge", "cca", "linear"}
    assert found["baselines"]["rows"]["cca"]["tries"] == 2 * 7 * 2  # 4 dimensions, and all 5
    assert found["baselines"]["rows"]["ridge"]["tries"] == 2 * 17
    page = report_files(benchmark_document(beside))["report.md"]
    assert "| InfoNCE, equal budget | ridge | CCA | linear head on the target |" in page
    assert "What the baselines cost" in page


def test_the_published_protocol_alone_has_none(folder, own):
    with pytest.raises(ConfigError, match="say --protocol clean or both"):
        evaluate_tasks(folder, own, protocols=["published"], baselines=True)


def test_a_run_whose_clips_are_others_now_has_none(folder, tmp_path):
    store = folder.stores["ave"].path
    run = write_run(tmp_path / "run", make_model(), store=str(store), train_split="train")
    with pytest.raises(DataError, match="was trained on 000000000000"):
        evaluate_tasks(folder, run, protocols=["clean"], baselines=True)


def test_a_converted_model_has_none(folder, own, monkeypatch):
    from dataclasses import replace

    from cmg.recipes import evaluate_tasks as recipe

    read = recipe.read_checkpoint
    converted = lambda *given: replace(read(*given), origin={"file": "a.pt"})  # noqa: E731
    monkeypatch.setattr(recipe, "read_checkpoint", converted)
    with pytest.raises(CheckpointError, match="was converted from another release"):
        evaluate_tasks(folder, own, protocols=["clean"], baselines=True)


def test_a_single_modality_has_none_and_says_so(folder, own):
    found = evaluate_tasks(folder, own, ["ave"], ["clean"], 1, modalities=["audio"], baselines=True)
    assert found.baselines == {}
    assert "no baselines, for they go between modalities" in found.outcomes[0].remarks[-1]


def test_the_command_names_what_is_missing(cmg, monkeypatch, folder, own, tmp_path):
    import cmg.official.collection as official

    monkeypatch.setattr(official, "open_collection", lambda *_, **__: folder)
    given = ["--data", "ROOT", "--model", own, "--seeds", 1, "--protocol", "clean"]
    said = cmg("evaluate", "ucf-vgg", *given, "--out", tmp_path / "a")
    told = "Baselines (infonce, ridge, cca, linear): the same command with --baselines."
    assert told in said.err
    said = cmg("evaluate", "ucf-vgg", *given, "--out", tmp_path / "b", "--baselines")
    assert (said.code, told in said.err) == (0, False)
    record = json.loads((tmp_path / "b" / "evaluation.json").read_text())
    assert record["benchmarks"]["ucf-vgg"]["baselines"]["label"] == "ucf_vgg"
