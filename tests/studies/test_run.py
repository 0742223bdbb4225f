"""Running: what is finished stays finished, and nothing is mixed with something else."""

import functools
import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tests.paired import paired_store

from cmg.baselines.infonce import infonce_config
from cmg.errors import ConfigError, DataError
from cmg.studies.definition import CONTROLS
from cmg.studies.ledger import JobKey, finished_jobs, read_job
from cmg.studies.plan import plan_study
from cmg.studies.run import prepare_study, run_study
from cmg.studies.scorers import StoreScorer
from cmg.studies.summary import summarized
from cmg.workers import run_all

from .conftest import MODALITIES, PAIR, FakeScorer

EPOCHS = ["training.epochs=2"]


def quiet(name, clips, log):
    pass


class Killed(BaseException):
    """Stands for a signal."""


@pytest.fixture
def train(pair, store, tiny, tmp_path):
    """Run the study of two variants and two seeds, here and in this process."""

    def go(out="out", data=store, stop_after=None, study=pair, scorer=None, **options):
        trained = []

        def finished(record):
            trained.append((record.key.variant, record.key.seed))
            if len(trained) == stop_after:
                raise Killed

        keep = options.pop("keep_runs", False)
        options = {"assignments": EPOCHS, "seeds": 2} | options
        plan = plan_study(study, data, tiny, **options)
        prepared = prepare_study(plan, tmp_path / out, scorer or StoreScorer(), keep)
        try:
            run_study(prepared, quiet, 1, finished)
        except Killed:
            if stop_after is None:
                raise
        return tmp_path / out, trained

    return go


@pytest.fixture
def run(train, untrained):
    """The same with made-up numbers in place of training."""
    return functools.partial(train, scorer=FakeScorer())


@pytest.fixture
def made_up(run):
    """The study with made-up numbers, uninterrupted."""
    return run("made-up")[0]


@pytest.fixture(scope="session")
def whole(pair, store, tiny, tmp_path_factory):
    """The study, uninterrupted."""
    out = tmp_path_factory.mktemp("whole") / "out"
    plan = plan_study(pair, store, tiny, EPOCHS, 2)
    run_study(prepare_study(plan, out, StoreScorer()), quiet, 1)
    return out


def files(out):
    names = ("study.json", "table.md", "plot.svg", "report.html")
    return {name: (out / name).read_bytes() for name in names}


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_study_ends_like_an_uninterrupted_one(run, made_up, after):
    out, before = run(stop_after=after)
    assert before == [("full", 0), ("no-cmcm", 0), ("full", 1)][:after]  # first every variant
    assert len(finished_jobs(out)) == after
    kept = {k: (out / k.file).read_bytes() for k in finished_jobs(out)}
    out, trained = run()
    assert len(trained) == 4 - after
    assert not set(trained) & set(before)
    for key, content in kept.items():
        assert (out / key.file).read_bytes() == content
    assert files(out) == files(made_up)
    for seeds in (2, 1):  # fewer show all that is there, too
        assert run(seeds=seeds) == (out, [])
        assert files(out) == files(made_up)


def test_a_killed_process_leaves_whole_jobs_and_goes_on(train, whole, store, tiny, tmp_path):
    """SIGKILL at a random moment after the first job, of a real process."""
    study = tmp_path / "pair.yaml"
    study.write_text(PAIR)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cmg", "study", "run", str(study), "--data", store]
    command += ["--out", str(out), "--base", tiny, "--seeds", "2", "--workers", "1", *EPOCHS]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    first = out / "jobs" / "full" / "seed-0.json"
    deadline = time.monotonic() + 60
    while not first.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, said = process.communicate()
    assert first.is_file(), said.decode()
    survived = {(k.variant, k.seed) for k in finished_jobs(out)}
    out, trained = train()
    assert survived.isdisjoint(trained)
    assert len(survived) + len(trained) == 4
    assert files(out) == files(whole)


@pytest.mark.slow
def test_two_workers_find_the_same_numbers(pair, store, tiny, whole, tmp_path):
    plan = plan_study(pair, store, tiny, EPOCHS, 2)
    seen = []
    prepared = prepare_study(plan, tmp_path / "out", StoreScorer())
    run_study(prepared, lambda name, clips, log: seen.append(clips), 2)
    assert sum(seen) == prepared.clips == 4 * 2 * 24
    assert files(tmp_path / "out") == files(whole)


def test_a_job_file_holds_all_that_the_job_was(whole, store):
    key = finished_jobs(whole)[0]
    told = json.loads((whole / key.file).read_text())
    assert told["config"]["training"] | {"seed": 0, "epochs": 2} == told["config"]["training"]
    assert told["config"]["data"]["store"] == store
    assert told["trained_on"] == told["scored_on"]
    assert told["machine"]["packages"]["torch"]
    assert set(told["scores"]) >= {"classification/audio->video", "codebook/used"}
    assert read_job(whole, key).scores == told["scores"]


def test_more_seeds_and_variants_join_what_is_there(run, made_up):
    out, trained = run(seeds=1, only=["no-cmcm"])
    assert trained == [("no-cmcm", 0)]
    summary = summarized(out)
    assert summary.missing == ["full"]
    assert summary.rows[0].differences == {}
    out, trained = run()
    assert trained == [("full", 0), ("full", 1), ("no-cmcm", 1)]
    assert files(out) == files(made_up)


def test_kept_runs_go_on_from_their_last_checkpoint(train, whole, monkeypatch):
    from cmg.runs.loop import Pretraining

    steps = []
    real = Pretraining._one_step

    def counted(self, batch, metrics):
        real(self, batch, metrics)
        steps.append(self.position.step)
        if len(steps) == 4:  # of 6: inside the second epoch
            raise Killed

    monkeypatch.setattr(Pretraining, "_one_step", counted)
    with pytest.raises(Killed):
        train(keep_runs=True, seeds=1, only=["full"])
    monkeypatch.setattr(Pretraining, "_one_step", real)
    out, _ = train(keep_runs=True)
    assert files(out) == files(whole)
    assert len(list((out / "runs").glob("*/seed-*/checkpoints/*"))) == 4 * 2
    assert len((out / "runs/full/seed-0/metrics.jsonl").read_text().splitlines()) == 6


def test_a_run_without_a_start_is_made_anew(train, whole):
    out, _ = train(stop_after=1)
    broken = out / "runs" / "no-cmcm" / "seed-0"
    broken.mkdir(parents=True)
    (broken / "config.yaml").write_text("half")
    out, _ = train(keep_runs=True)
    assert files(out) == files(whole)


# ---- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"assignments": ["training.epochs=3"]}, r"training.epochs = 2 \(now 3\)"),
        ({"assignments": [*EPOCHS, "model.width=16"]}, r"model.width = 8 \(now 16\)"),
    ],
)
def test_another_configuration_is_refused_and_nothing_is_touched(run, options, message):
    out, _ = run(stop_after=2)
    before = {p: p.read_bytes() for p in out.rglob("*.json")}
    with pytest.raises(ConfigError, match=message) as found:
        run(**options)
    assert "choose another --out" in str(found.value)
    assert before == {p: p.read_bytes() for p in out.rglob("*.json")}


def test_another_study_is_refused(run, pair):
    run(stop_after=1)
    other = pair.model_copy(update={"name": "trio"})
    with pytest.raises(ConfigError, match="jobs of the study pair"):
        run(study=other)
    changed = pair.model_copy(update={"title": "Renamed"})
    with pytest.raises(ConfigError, match="an earlier form of the study"):
        run(study=changed)


def test_a_study_of_before_infonce_goes_on(run, pair):
    """It was a default control from then on; what was finished before stays."""
    _, before = run(stop_after=1)
    more = pair.model_copy(update={"controls": (CONTROLS[-1],)})
    out, trained = run(study=more, seeds=1)
    assert (before, trained) == ([("full", 0)], [("no-cmcm", 0), ("infonce", 0)])
    record = read_job(out, JobKey("infonce", 0))
    assert record.config == infonce_config(read_job(out, JobKey("full", 0)).config)


def test_other_data_are_refused_and_moved_data_are_not(run, store, tmp_path, made_up):
    run(stop_after=1)
    other = str(tmp_path / "other")
    paired_store(other, MODALITIES, {"train": 24, "test": 12}, steps=4, classes=3, seed=1)
    with pytest.raises(ConfigError, match="was trained on data with content hash"):
        run(data=other)
    with pytest.raises(ConfigError, match="give it the same data"):
        run(data=other, only=["no-cmcm"])  # also where the finished job is not asked for
    moved = tmp_path / "moved"
    shutil.copytree(store, moved)
    out, trained = run(data=str(moved))
    assert len(trained) == 3
    ours, theirs = (json.loads((o / "study.json").read_text()) for o in (out, made_up))
    assert ours["rows"] == theirs["rows"]


def test_a_variant_may_have_a_store_of_its_own_and_goes_on(run, pair, tmp_path):
    own = tmp_path / "own"
    paired_store(own, MODALITIES, {"train": 16, "test": 8}, steps=4, classes=3, seed=1)
    changed = pair.variant("no-cmcm").model_copy(update={"changes": {"data.store": str(own)}})
    study = pair.model_copy(update={"variants": (pair.variant("full"), changed)})
    out, trained = run(study=study, seeds=1)
    assert trained == [("full", 0), ("no-cmcm", 0)]
    assert run(study=study, seeds=1) == (out, [])
    paired_store(own, MODALITIES, {"train": 16, "test": 8}, steps=4, classes=3, overwrite=True)
    with pytest.raises(ConfigError, match=r"no-cmcm.* was trained on data with content hash"):
        run(study=study, seeds=1)


def test_a_study_without_finished_jobs_may_be_changed(run):
    out, _ = run(stop_after=1)
    shutil.rmtree(out / "jobs")
    _, trained = run(assignments=["training.epochs=1"])
    assert len(trained) == 4


def test_a_folder_of_something_else_is_left_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds no study"):
        run()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format": "cmg-study-job"}', '{"format": "x", "version": 1}']
)
def test_a_damaged_job_is_named(run, content):
    out, _ = run(stop_after=2)
    (out / "jobs/full/seed-0.json").write_text(content)
    with pytest.raises(DataError, match=r"full/seed-0\.json.*delete it"):
        run()
    with pytest.raises(DataError, match=r"full/seed-0\.json"):
        summarized(out)


def test_a_job_file_of_another_seed_is_damaged(run):
    out, _ = run(stop_after=1)
    shutil.copy(out / "jobs/full/seed-0.json", out / "jobs/full/seed-1.json")
    with pytest.raises(DataError, match="it is of variant full, seed 0"):
        run()


def test_a_damaged_study_is_named(run):
    out, _ = run(stop_after=1)
    (out / "study.json").write_text('{"format": "cmg-study", "version": 1, "study": {}}')
    with pytest.raises(DataError, match=r"study\.json is damaged"):
        run()


def test_data_without_labels_are_refused_before_training(run, tmp_path):
    import numpy as np

    from cmg.data.inmemory import write_store

    rng = np.random.default_rng(0)
    features = {m.name: [rng.normal(size=(4, *m.shape)) for _ in range(8)] for m in MODALITIES}
    write_store(tmp_path / "unlabeled", features, split=["train"] * 6 + ["test"] * 2)
    with pytest.raises(DataError, match="no labels"):
        run(data=str(tmp_path / "unlabeled"))
    assert not (tmp_path / "out").exists()


def test_a_failing_job_is_named_and_the_finished_ones_stay(train):
    """The second variant starts its codes from more tokens than there are."""
    from cmg.studies.definition import read_study

    text = PAIR.replace("objectives.cmcm: null", "model.codebook.size: 4000")
    study = read_study(text, "pair", "test")
    with pytest.raises(ConfigError, match=r"no-cmcm 0: model\.codebook\.size = 4000"):
        train(study=study)
    out, trained = train(study=study, only=["full"])
    assert trained == [("full", 1)]
    assert [(k.variant, k.seed) for k in finished_jobs(out)] == [("full", 0), ("full", 1)]


# ---- workers ------------------------------------------------------------------------------------


def doubled(job, report):
    report(str(job), 1, {})
    return 2 * job


def test_results_are_delivered_one_by_one():
    got = []

    def deliver(job, result):
        got.append((job, result))
        if len(got) == 2:
            raise Killed

    with pytest.raises(Killed):
        run_all([3, 1, 2], doubled, quiet, 1, deliver)
    assert got == [(3, 6), (1, 2)]
    assert run_all([3, 1, 2], doubled, quiet, 1) == [6, 2, 4]
    assert run_all([], doubled, quiet) == []
