"""Studies on a collection: lists to train on, benchmarks to score with."""

import json

import pytest

from cmg.errors import ConfigError, DataError, ModalityError
from cmg.evaluation.frozen import FrozenData, Opened
from cmg.official.collection import open_collection
from cmg.recipes.pretrain import pretrain
from cmg.studies.campaign import Asked, fitted
from cmg.studies.definition import load_study
from cmg.studies.plan import plan_study
from cmg.studies.run import prepare_study, run_study
from cmg.studies.scorers import StoreScorer, TaskScorer, scorer_for
from cmg.studies.tables import study_tables
from cmg.studies.write import remarks
from cmg.tasks import benchmark
from cmg.tasks.ave import AVE
from cmg.tasks.run import crossing_score

SMALL = ["data.batch_size=40", "model.detail_width={video: 8}"]


@pytest.fixture(scope="session")
def root(simulated):
    return str(simulated)


@pytest.mark.slow
def test_lists_are_trained_on_and_benchmarks_scored(root, tiny, tmp_path):
    study = load_study("pretraining-lists")
    plan = plan_study(study, root, tiny, SMALL, seeds=1, only=["list-24k", "list-40k"])
    assert plan.clips["list-40k", None] > plan.clips["list-24k", None]
    assert plan.base.data.modalities == ("audio", "video")
    scorer = scorer_for(root)
    assert scorer == TaskScorer(("ave",), "clean", simulated=True)
    prepared = prepare_study(plan, tmp_path / "out", scorer)
    summary = run_study(prepared, lambda *_: None, 1)
    assert summary.metrics() == ["ave", "ave, continuous features", "codebook"]
    assert set(summary.columns("ave")) == {
        *("mean", "video->audio", "audio->video", "video->video", "audio->audio")
    }
    assert "These are simulated data" in " ".join(remarks(summary))
    (table, *_) = study_tables(summary)
    assert table.title == "AVE accuracy"
    assert not [column for column in table.columns if "paper" in column]
    assert json.loads((tmp_path / "out" / "study.json").read_text())["without_paper"] == (
        "the data are simulated"
    )
    theirs = study_tables(summary)[-1]  # in a table of its own
    assert theirs.title.startswith("The paper: Table 1, Uni-Code")
    assert "Other data than above (the data are simulated)" in theirs.note


def test_scores_are_those_of_the_benchmark(root, tiny, monkeypatch):
    """The mean across directions is what `cmg select` would compute for this model."""
    monkeypatch.setattr(benchmark, "LEAST_STEPS", 0)
    study = load_study("pretraining-lists")
    plan = plan_study(study, root, tiny, [*SMALL, "probe.seeds=2"], only=["list-24k"])
    config = plan.configs["list-24k", None]
    model = pretrain(config).state.model
    (found,) = TaskScorer(("ave",), "clean").score(model, config, [config.probe], seed=3)
    plan = AVE().plan(FrozenData(Opened(open_collection(root, text="none")), model))
    expected = crossing_score(plan, AVE().head_options("clean", 1, ""), [3, 4])
    both = (found["ave/video->audio"] + found["ave/audio->video"]) / 2
    assert both == pytest.approx(expected.mean)
    assert 1 <= found["codebook/used"] <= 8


def test_a_campaign_on_a_collection_computes_no_controls(root, tiny, tmp_path):
    study = load_study("zoo")
    kept = study.model_copy(update={"variants": study.variants[:1], "controls": ()})
    assert kept.computed
    asked = Asked(root, tiny, [*SMALL, "list=24k", "modalities=av"], seeds=1, only=["default"])
    left, costs = fitted(kept, asked, tmp_path)
    assert (left.computed, list(costs)) == (False, ["default"])
    assert left.unfit == {
        "computed": f"controls are computed on a store, and {root} is a collection"
    }
    assert study.joined(left).computed is False


def test_what_does_not_fit_is_refused_before_training(root, tiny, store):
    study = load_study("codebook-size")
    small = [*SMALL, "list=24k"]
    with pytest.raises(ConfigError, match="which list to train on"):
        plan_study(study, root, tiny, SMALL)
    plan = plan_study(study, root, tiny, [*small, "training.epochs=30", "modalities=av"])
    config = plan.configs["k50", None]
    with pytest.raises(ConfigError, match=r"training\.epochs = 30.*--protocol clean"):
        TaskScorer(("ave",), "published").check(config)
    assert len(TaskScorer(("ave",), "clean").check(config)) == 64
    data = config.data.model_copy(update={"modalities": ("audio", "text")})
    with pytest.raises(ModalityError, match="has no video"):
        TaskScorer(("ave",), "clean").check(config.model_copy(update={"data": data}))
    data = config.data.model_copy(update={"store": store, "list": None})
    with pytest.raises((ConfigError, DataError)):
        TaskScorer(("ave",), "clean").check(config.model_copy(update={"data": data}))


def test_who_scores_what(root, store):
    assert scorer_for(store) == scorer_for("digits") == StoreScorer()
    both = scorer_for(root, "ave, avvp", "published")
    assert both.name == "ave, avvp of simulated data, published protocol"
    assert scorer_for(root, "all").benchmarks == ("ave", "avvp", "ave-avvp", "ucf-vgg")
    with pytest.raises(ConfigError, match="did you mean 'avvp'"):
        scorer_for(root, "avp")
    with pytest.raises(ConfigError, match="valid: clean, published"):
        scorer_for(root, protocol="dirty")
    with pytest.raises(ConfigError, match="single store"):
        scorer_for(store, "ave")
