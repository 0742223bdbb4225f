"""Studies over folds: what is planned, in which order, and what is resampled."""

import dataclasses
import json

import numpy as np
import pytest

from cmg.data.clips import Clips
from cmg.data.inmemory import write_store
from cmg.data.store import open_store
from cmg.errors import ConfigError, DataError
from cmg.evaluation.scores import Score
from cmg.recipes.pretrain import pretrain
from cmg.studies.definition import read_study
from cmg.studies.ledger import finished_jobs, open_folder, read_identity, read_job
from cmg.studies.plan import named_by, plan_study
from cmg.studies.run import prepare_study, run_study
from cmg.studies.scorers import StoreScorer
from cmg.studies.summary import summarized
from cmg.studies.tables import metric_table, paired_table, verdict
from cmg.studies.write import remarks, study_document

from .conftest import CHOICE, MODALITIES, PAIR, FakeScorer


def quiet(name, clips, log):
    pass


def ridge(store, config):
    """A computed control that gives away which store it was given."""
    assert (config.data.store, config.data.test_split) == (str(store.path), "val")
    return {"ridge": {"a->b": Score.fixed(float(config.data.store[-1]), 1)}}


@pytest.fixture
def go(folds, tiny, tmp_path, untrained):
    """Run a study on three folds without training anything: (folder, summary)."""

    def run(text=CHOICE, out="out", hours=1.0, **options):
        study = read_study(text, "choice", "test")
        options = {"seeds": 2, "folds": 3} | options
        plan = plan_study(study, options.pop("data", folds), tiny, **options)
        prepared = prepare_study(plan, tmp_path / out, FakeScorer())
        return tmp_path / out, run_study(prepared, quiet, 1, hours=hours)

    return run


def test_all_variants_of_a_fold_come_together_and_each_is_on_its_own_store(go, folds, untrained):
    out, summary = go()
    assert untrained == [
        (f"{variant} {seed}", str(fold))
        for seed in (0, 1)
        for fold in (0, 1, 2)
        for variant in ("plain", "wide", "codes")
    ]
    job = json.loads((out / "jobs/codes/fold-2/seed-1.json").read_text())
    assert (job["variant"], job["fold"], job["seed"]) == ("codes", 2, 1)
    assert job["config"]["data"]["store"] == folds.replace("{fold}", "2")
    assert job["config"]["data"]["test_split"] == "val"
    assert job["trained_on"] == open_store(folds.replace("{fold}", "2")).content_hash
    assert job["reads"]["posterior"] == {"classification/a->b": 10 * 2 + 1 + 100}
    assert [row.variant.name for row in summary.rows] == [
        *("plain", "wide", "codes", "codes/posterior", "codes/continuous")
    ]
    plain = summary.rows[0].scores["classification/a->b"]
    assert plain.values == (0.5, 10.5, 20.5)  # seeds 0 and 1 averaged in each fold
    assert "A choice: scored on the validation split" in " ".join(remarks(summary))
    said = [one.text for one in study_document(summary).lead]
    assert "Tries: 2 for infonce, 2 for recipe." in said


def test_parts_of_a_study_join_without_running_a_job_again(go, untrained):
    whole, _ = go(out="whole")
    untrained.clear()
    out, _ = go(only_folds=[2, 0], seeds=1)
    assert {fold for _, fold in untrained} == {"0", "2"}
    assert (read_identity(out).folds, read_identity(out).seeds) == ((0, 1, 2), 1)
    first = list(untrained)
    go()
    assert len(untrained) == 18
    assert len(set(untrained)) == 18
    assert set(first) < set(untrained)
    assert (out / "study.json").read_bytes() == (whole / "study.json").read_bytes()


def test_no_job_begins_after_the_time_is_up_but_the_first_one(go, untrained):
    out, _ = go(hours=0.0)
    assert untrained == [("plain 0", "0")]
    go(hours=0.0)
    assert untrained[1:] == [("wide 0", "0")]
    assert len(finished_jobs(out)) == 2


def test_one_training_is_read_in_several_ways_and_a_choice_never_opens_the_test_split(
    folds, tiny, tmp_path, monkeypatch
):
    """Every read is what a study with `probe.features` set would have found, on the split val."""
    opened = set()
    real = Clips.split

    def split(self, name):
        opened.add(name)
        return real(self, name)

    monkeypatch.setattr(Clips, "split", split)
    reads = "reads: [codes, posterior, continuous]"
    study = read_study(PAIR.replace("title: full recipe", f"title: full, {reads}"), "pair", "test")
    plan = plan_study(study, folds, tiny, seeds=1, only=["full"], folds=1, choose=True)
    run_study(prepare_study(plan, tmp_path / "out", StoreScorer()), quiet, 1)
    assert opened == {"train", "val"}
    (key,) = finished_jobs(tmp_path / "out")
    job = read_job(tmp_path / "out", key)
    model = pretrain(job.config).state.model
    video, control = "classification/audio->video", "classification, continuous features/"
    for name, found in ({"codes": job.scores} | job.reads).items():
        probe = job.config.probe.model_copy(update={"features": name})
        (alone,) = StoreScorer().score(model, job.config, [probe], 0)
        assert alone[video] == found[video]
        assert alone[f"{control}audio->video"] == job.scores[f"{control}audio->video"]
    assert not [name for name in job.reads["posterior"] if "codebook" in name or control in name]
    plan = plan_study(study, folds, tiny, seeds=1, folds=1)
    with pytest.raises(ConfigError, match=r"test_split = 'val' \(now 'test'\)"):
        prepare_study(plan, tmp_path / "out", StoreScorer())


def test_computed_controls_are_a_job_per_fold_and_rows_beside_every_seed(
    go, untrained, monkeypatch
):
    monkeypatch.setattr("cmg.studies.scorers.computed_controls", ridge)
    out, summary = go(CHOICE + "computed: true\n")
    assert len(list((out / "jobs/computed").rglob("*.json"))) == 3
    row = summary.rows[-1]
    assert row.variant.title == "computed: ridge"
    assert row.scores["classification/a->b"].values == (0.0, 1.0, 2.0)
    apart = row.differences["classification/a->b"]
    assert apart.values == (-0.5, -9.5, -18.5)
    trained = len(untrained)
    go(CHOICE + "computed: true\n")
    assert len(untrained) == trained


AB, BA = "classification/a->b", "classification/b->a"


def test_differences_are_taken_within_folds_by_hand(pair, planted):
    """Folds 0, 1, 2: means over seeds 2, 4, 9 less 1, 2, 3 are differences 1, 2, 6.

    Mean 3, deviation sqrt(7), half-width 4.3027 sqrt(7 / 3) = 6.5724; 2 points need n = 10:
    2.2622 sqrt(7 / 10) = 1.893, and with 9 folds 2.3060 sqrt(7 / 9) = 2.034.
    """
    own = {(0, 0): 1.0, (0, 1): 3.0, (1, 0): 4.0, (1, 1): 4.0, (2, 0): 8.0, (2, 1): 10.0}
    found = {
        "full": {(f, s): {AB: 1.0 + f, BA: 1.0 + f} for f, s in own},
        "no-cmcm": {cell: {AB: value, BA: value} for cell, value in own.items()},
    }
    summary = summarized(planted(pair, found, folds=range(3)))
    row = summary.rows[1]
    assert row.scores[AB].values == (2.0, 4.0, 9.0)
    apart = row.differences["classification/mean"]
    assert apart.values == (1.0, 2.0, 6.0)
    assert apart.interval == pytest.approx((3 - 6.5724, 3 + 6.5724), abs=1e-3)
    (cells,) = [[c.text for c in r] for r in paired_table(summary, "classification").rows]
    assert cells == [
        *("without CMCM", "+3.0", "−3.6 to +9.6", "3"),
        "not decidable at this size: 10 would decide",
    ]
    table = metric_table(summary, "classification")
    assert table.rows[1][1].text == "5.0 ± 3.6 (+3.0; −3.6 to +9.6)"
    assert "over 3 folds, 2 pre-training seeds averaged inside each" in table.note
    told = summary.as_dict()["rows"]["no-cmcm"]
    assert told["folds"] == [0, 1, 2]
    assert told["scores"][AB]["values"] == (2.0, 4.0, 9.0)
    assert told["differences"][AB]["interval"] == apart.interval


def test_a_fold_counts_once_however_many_seeds_it_has(pair, planted):
    """Fold 0 has two seeds of the variant and one of the reference: only seed 0 is compared."""
    found = {
        "full": {(0, 0): {AB: 1.0}, (1, 0): {AB: 1.0}},
        "no-cmcm": {(0, 0): {AB: 2.0}, (0, 1): {AB: 8.0}, (1, 0): {AB: 4.0}},
    }
    row = summarized(planted(pair, found, folds=range(2))).rows[1]
    assert row.scores[AB].values == (5.0, 4.0)
    assert row.differences[AB].values == (1.0, 3.0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1.0, 1.1, 1.2), "above"),
        ((-1.0, -1.1, -1.2), "below"),
        ((-0.1, 0.0, 0.1), "no difference found"),
        ((0.0, 10.0), "not decidable at this size: 51 would decide"),
        ((20.0, 30.0, 40.0), "above; by how much is not decidable at this size: 99 would decide"),
        ((3.0,), "one fold says nothing of others"),
    ],
)
def test_what_an_interval_says(values, said):
    """0 and 10: deviation sqrt(50); of 51, 2.0086 sqrt(50 / 51) = 1.989, of 50 2.010.

    20, 30, 40: 30 - 4.3027 10 / sqrt(3) = 5.2 is above 0; of 99, 1.9845 10 / sqrt(99) = 1.994.
    """
    assert verdict(Score.of(values)) == said


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (CHOICE, {"only_folds": [3]}, "--only-folds 3: there is no such fold; the study has 0, 1"),
        (
            CHOICE,
            {"assignments": ["data.test_split=test"]},
            "base has data.test_split=test, but a choice",
        ),
        (CHOICE.replace("posterior", "features"), {}, "variant codes/features: probe.features"),
        (CHOICE, {"folds": None}, "has a place for folds; say how many with --folds"),
        (CHOICE.replace("reads: [codes, posterior, continuous]", "x: 1"), {}, "infonce has 2, rec"),
        (
            CHOICE.replace("optimizer.lr: 0.5", "data.test_split: test"),
            {},
            "codes has data.test_split=test, but a choice is scored on val alone",
        ),
    ],
)
def test_what_cannot_be_run_over_folds_is_refused(go, text, options, message, untrained):
    with pytest.raises(ConfigError, match=message):
        go(text, **options)
    assert untrained == []


def test_unequal_groups_are_run_where_the_user_says_so(go, untrained):
    go(CHOICE.replace("reads: [codes, posterior, continuous]", "x: 1"), uneven=True, seeds=1)
    assert len(untrained) == 9


def test_names_of_data_with_folds(store):
    assert named_by("watch", (0, 1)) == "watch:{fold}"
    assert named_by("a/fold-{fold}/store", (0,)) == "a/fold-{fold}/store"
    assert named_by("watch", ()) == "watch"
    with pytest.raises(ConfigError, match="is a single folder; with folds, give an embedded set"):
        named_by(store, (0, 1))
    with pytest.raises(ConfigError, match=r"^--folds 12: watch has 10 folds, watch:0 to watch:9$"):
        named_by("watch", tuple(range(12)))


def test_a_fold_without_a_class_to_learn_from_is_refused(tmp_path, tiny, pair):
    """The class that only the scored split of fold 1 has is named, before anything is trained."""
    rng = np.random.default_rng(0)
    for fold, last in enumerate(("dog", "owl")):
        features = {m.name: [rng.normal(size=(2, *m.shape)) for _ in range(6)] for m in MODALITIES}
        labels = {"class": ["cat", "dog", "cat", "dog", "cat", last]}
        parts = ["train"] * 4 + ["test"] * 2
        write_store(tmp_path / f"fold-{fold}", features, labels=labels, split=parts)
    data = str(tmp_path / "fold-{fold}")
    assert len(plan_study(pair, data, tiny, folds=2, only_folds=[0]).configs) == 2
    with pytest.raises(DataError, match=r"fold-1.* 'class': 1 of 2 test clips have .*\('owl'\)"):
        plan_study(pair, data, tiny, folds=2)


def test_folds_do_not_mix_with_none(pair, planted, tmp_path):
    out = planted(pair, {"full": {(0, 0): {AB: 1.0}}}, folds=range(2))
    before = read_identity(out)
    with pytest.raises(ConfigError, match="data with folds, now it has none"):
        open_folder(out, dataclasses.replace(before, folds=()))
