"""One's own store on the command line: sizes by its size, labels of a file, steps by time."""

import json
import shlex

import numpy as np
import pytest
import yaml

from cmg.data import Clip, FeatureSpec, StoreWriter, open_store
from cmg.runs.folder import read_metrics
from cmg.types import Kind

QUICK = ["model.width=8", "model.temporal.heads=2", "model.temporal.hidden=16"]
QUICK += ["training.threads=1", "training.tensorboard=false", "data.batch_size=8"]


@pytest.fixture
def make(tmp_path):
    """A store without labels whose two kinds of clips differ in every modality, and their kinds."""

    def write(durations, clips=32, splits=("train", "test"), steps=4, lacking=None):
        specs = {
            name: FeatureSpec(kind=Kind.VECTORS, shape=(3,), step_seconds=seconds)
            for name, seconds in durations.items()
        }
        rng = np.random.default_rng(0)
        with StoreWriter(tmp_path / "store", specs, {}) as writer:
            for clip in range(clips):
                features = {
                    name: (3 * (clip % 2) + rng.normal(0, 0.3, (round(steps / (s or 1)), 3)))
                    for name, s in durations.items()
                    if (name, clip % 3) != (lacking, 0)
                }
                features = {name: x.astype(np.float32) for name, x in features.items()}
                split = splits[clip % 8 in (3, 6)] if len(splits) > 1 else splits[0]
                writer.add(Clip(f"clip{clip:02d}", split, features, {}))
        labels = tmp_path / "labels.csv"
        kinds = [f"clip{i:02d},{['cat', 'dog'][i % 2]}" for i in range(clips)]
        labels.write_text("\n".join(["id,kind", *kinds]) + "\n")
        return tmp_path / "store", labels

    return write


def test_sizes_follow_the_store_unless_they_are_given(make, cmg, tmp_path):
    store, _ = make({"a": 1.0, "b": 1.0}, steps=40)
    said = cmg("pretrain", f"data={store}", *QUICK, "training.epochs=1", "--out", tmp_path / "run")
    assert said.code == 0, said.err
    # 24 training clips x 40 steps x 2 modalities = 1,920 tokens: 192 codes.
    assert "model.codebook.size=192" in said.err
    assert "training.epochs" not in said.err
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["model"]["codebook"]["size"], config["training"]["epochs"]) == (192, 1)


@pytest.mark.parametrize(
    ("clips", "steps", "wanted"),
    [
        (24, 4, {"model.codebook.size": 16, "training.epochs": 200}),
        (800, 4, {"model.codebook.size": 640, "training.epochs": 150}),  # in 10 batches
        (8000, 4, {"model.codebook.size": 2048, "training.epochs": 15}),
    ],
)
def test_the_rule_of_the_sizes(make, clips, steps, wanted):
    from cmg.config.load import load_config, override_config
    from cmg.recipes.own_data import sizes

    store, _ = make({"a": 1.0, "b": 1.0}, clips=clips, steps=steps, splits=("train",))
    config = load_config("own-data", [f"data={store}"])
    assert sizes(open_store(store), config) == wanted
    continuous = override_config(config, ["model.codebook.kind=none"])
    assert sizes(open_store(store), continuous) == {"training.epochs": wanted["training.epochs"]}


@pytest.mark.slow
def test_five_modalities_of_any_duration_learn_and_a_label_file_is_read(make, cmg, tmp_path):
    durations = {"video": 1.0, "audio": 0.5, "depth": 0.25, "gaze": 1.0, "notes": None}
    store, labels = make(durations, lacking="gaze")
    run = tmp_path / "run"
    said = cmg(
        "pretrain", f"data={store}", *QUICK, "training.epochs=40", "optimizer.lr=0.01", "--out", run
    )
    assert said.code == 0, said.err
    facts = json.loads((run / "run.json").read_text())
    assert facts["grid"] == 1.0
    assert facts["step_seconds"] == durations
    before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
    probe = ("probe", "--model", run, "--train-on", "audio", "--test-on", "video", "--json")
    unlabeled = cmg(*probe)
    assert unlabeled.code == 2
    assert "label" in unlabeled.err
    said = cmg(*probe, "--labels", labels)
    assert said.code == 0, said.err
    assert said.json["label"] == "kind"
    assert said.json["transfer"]["mean"] >= 75, said.json
    assert before == {p: p.read_bytes() for p in before}


def test_labels_that_do_not_fit_are_told(make, cmg, tmp_path):
    store, labels = make({"a": 1.0, "b": 1.0})
    run = tmp_path / "run"
    assert cmg("pretrain", f"data={store}", *QUICK, "training.epochs=1", "--out", run).code == 0
    text = labels.read_text().splitlines()
    labels.write_text("\n".join([*text[:-1], "elsewhere,cat"]) + "\n")
    probe = ("probe", "--model", run, "--train-on", "a", "--test-on", "b", "--labels", labels)
    said = cmg(*probe)
    assert said.code == 0, said.err
    assert "1 clips not in the store, e.g. 'elsewhere'" in said.err
    assert "1 clips without a label, e.g. 'clip31'" in said.err
    labels.write_text("id,kind\nclip00,cat\nclip00,dog\n")
    said = cmg(*probe)
    assert said.code == 2
    assert "line 3: the id 'clip00' is in line 2 already" in said.err


@pytest.mark.parametrize("name", ["null", "my #1"])
def test_a_folder_of_any_name_is_trained_on_and_its_run_goes_on(
    name, make, cmg, tmp_path, monkeypatch
):
    """YAML reads nothing, and a comment."""
    store, _ = make({"a": 1.0, "b": 1.0})
    store.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    asked = [*QUICK, "training.epochs=01", "training.seed=010", "model.codebook.size=0x10"]
    said = cmg("pretrain", f"data={name}", *asked, "--out", "run", "--json")
    assert (said.code, said.json["epochs"]) == (0, 1), said.err
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["data"]["store"], config["training"]["seed"]) == (str(tmp_path / name), 10)
    assert config["model"]["codebook"]["size"] == 16
    for given in ([], [f"data={name}", *asked]):  # what it was begun with is taken, too
        again = cmg("pretrain", *given, "--resume", "--out", "run", "--json")
        assert again.json == said.json, again.err
    longer = cmg("pretrain", "training.epochs=2", "--resume", "--out", "run")
    assert longer.code == 0, longer.err
    first, last = longer.err.splitlines()[0], longer.out.splitlines()[-1]
    assert first.startswith("training commitment + clip_info_nce + step_info_nce on ")
    assert "b (vectors " in first
    assert "; 16 codes (shared); 2 epochs of " in first
    assert first.endswith("steps are done; cpu")
    probe = shlex.split(last.partition("  or  ")[2] or last.removeprefix("Next: "))[1:]
    labels = tmp_path / "labels.csv"
    done = cmg(*(labels if word == "LABELS.csv" else word for word in probe))
    assert done.code == 0, done.err


def test_one_modality_trains_as_its_own_upper_bound(make, cmg, tmp_path):
    """No pairs, so no term between modalities; the store need not have more."""
    store, _ = make({"a": 1.0})
    run, quick = tmp_path / "run", [*QUICK, "training.epochs=1"]
    said = cmg("pretrain", f"data={store}", *quick, "--out", run)
    assert said.code == 0, said.err
    log = read_metrics(run)[-1]
    assert "loss/commitment/a" in log
    assert "loss/cmcm" not in log


def test_a_store_without_a_training_split_says_which_there_are(make, cmg, tmp_path):
    store, _ = make({"a": 1.0, "b": 1.0}, splits=("all",))
    said = cmg("pretrain", f"data={store}", *QUICK, "--out", tmp_path / "run")
    assert said.code == 2
    assert "'train'" in said.err
    assert "all" in said.err
    found = ["data.train_split=all", "training.epochs=1"]
    said = cmg("pretrain", f"data={store}", *QUICK, *found, "--out", tmp_path / "run")
    assert said.code == 0, said.err


def test_a_folder_of_arrays_and_a_misspelt_split_are_told_with_the_remedy(make, cmg, tmp_path):
    store, _ = make({"a": 1.0, "b": 1.0})
    said = cmg("pretrain", f"data={store}", "data.train_split=trian", "--out", tmp_path / "run")
    assert (said.code, "data.train_split=trian: " in said.err) == (2, True), said.err
    (tmp_path / "arrays").mkdir()
    np.save(tmp_path / "arrays" / "a.npy", np.ones((2, 3)))
    said = cmg("pretrain", f"data={tmp_path / 'arrays'}", "--out", tmp_path / "run")
    assert (said.code, "`cmg data import --arrays CSV --out STORE`" in said.err) == (2, True)
    assert not (tmp_path / "run").exists()


def test_steps_are_taken_by_their_index_where_asked(make, cmg, tmp_path):
    store, _ = make({"a": 1.0, "b": 0.5})
    for value, grid in [("null", None), ("2.0", 2.0)]:
        run = tmp_path / f"run{value}"
        asked = [f"data.step_seconds={value}", "training.epochs=1"]
        said = cmg("pretrain", f"data={store}", *QUICK, *asked, "--out", run)
        assert said.code == 0, said.err
        assert json.loads((run / "run.json").read_text())["grid"] == grid
        codes = tmp_path / f"codes{value}.jsonl"
        assert cmg("encode", store, "--model", run, "--out", codes).code == 0
        row = json.loads(codes.read_text().splitlines()[0])
        lengths = {m: len(found) for m, found in row["codes"].items()}
        assert lengths == ({"a": 4, "b": 8} if grid is None else {"a": 2, "b": 2})
