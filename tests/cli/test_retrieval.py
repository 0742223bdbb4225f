"""``cmg retrieve``, ``cmg evaluate retrieval`` and ``cmg evaluate two-stage``."""

import json

import numpy as np
import pytest
import torch

from cmg.data import open_store
from cmg.data.inmemory import write_store
from cmg.errors import DataError
from cmg.recipes.retrieval import lone_classes, retrieval_of
from cmg.runs.checkpoint import load_model
from cmg.types import Kind

from .conftest import SMALL

CLIPS = 30


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Three modalities of clips of three classes; text has fewer steps."""
    rng = np.random.default_rng(0)
    kinds = np.arange(CLIPS) % 3
    sides = {}
    for name, width in {"audio": 6, "video": 7, "text": 5}.items():
        centers = 2 * rng.normal(size=(3, width))
        steps = 4 if name == "text" else 6
        noise = rng.normal(0, 0.2, (CLIPS, steps, width))
        sides[name] = (centers[kinds][:, None] + noise).astype(np.float32)
    return write_store(
        tmp_path_factory.mktemp("retrieval") / "store",
        sides,
        split=["train" if i < 18 else "test" for i in range(CLIPS)],
        labels={"kind": [("a", "b", "c")[k] for k in kinds]},
        kinds={"text": Kind.TOKENS},
        step_seconds={"audio": 1.0, "video": 1.0},
    )


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    """Two runs of all modalities and two of video and text, and the store."""
    from cmg.config.load import load_config, override_config
    from cmg.recipes.pretrain import pretrain

    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, more in {
        "one": [],
        "two": ["training.seed=1"],
        "vt": ["data.modalities=[video,text]"],
        "vt2": ["data.modalities=[video,text]", "training.seed=1"],
    }.items():
        told = [f"data.store={store.path}", *SMALL, *more, "training.epochs=10"]
        pretrain(override_config(load_config("own-data"), told), folder / name)
        found[name] = folder / name
    return found | {"store": store.path}


def test_evaluation_of_several_runs(cmg, runs, tmp_path):
    args = ["--model", runs["one"], "--model", runs["two"], "--out", tmp_path / "r"]
    said = cmg("evaluate", "retrieval", *args, "--json")
    assert said.code == 0, said.err
    assert set(said.json["scores"]) == {"mean", "codes", "continuous", "sequence"}
    assert len(said.json["scores"]["mean"]) == 2
    first = said.json["scores"]["mean"][0]["audio->video"]
    assert first["chance"]["1"] == pytest.approx(100 / 12)
    assert first["ceiling"]["1"] == pytest.approx(25.0)
    assert first["gallery"] == 12
    assert "6 steps" in said.json["undefined"]["sequence"]["audio->text"]
    assert json.loads((tmp_path / "r" / "retrieval.json").read_text()) == said.json
    report = (tmp_path / "r" / "report.md").read_text()
    assert "By mean code vector" in report
    assert "±" in report
    assert "Not defined" in report
    assert "8.33 / 41.67 / 83.33" in report  # chance of R@1, R@5 and R@10
    again = cmg("evaluate", "retrieval", *args)
    assert again.code == 2
    assert "not empty" in again.err


def test_galleries_are_the_clips_that_share_a_value_of_their_meta(runs, tmp_path):
    """Two galleries of a set that is there twice: each scores as the set alone."""
    once = open_store(runs["store"]).split("test")
    sides = {m: 2 * list(once.features(m)[0].numpy()) for m in once.modalities}
    twice = write_store(
        tmp_path / "twice",
        sides,
        split="test",
        labels={"kind": 2 * once.label("kind").tolist()},
        kinds={"text": Kind.TOKENS},
        step_seconds={"audio": 1.0, "video": 1.0},
        meta=[{"day": day} for day in "ab" for _ in range(len(once))],
    ).split("test")
    model = load_model(runs["one"])
    assert retrieval_of(model, twice, ["mean"], "kind", "day").scores == (
        retrieval_of(model, once, ["mean"], "kind").scores
    )
    with pytest.raises(DataError, match=r"clip-00000' has no 'hour' in its meta \(day\)"):
        retrieval_of(model, twice, ["mean"], galleries="hour")


def test_clips_that_have_no_other_of_their_class_are_remarked(store):
    test = store.split("test")
    alone = torch.tensor([0, 1, 1, -1, 2, 3, 3, -1, 4, 4, 4, 4])
    said = lone_classes(test, "kind", alone)
    assert len(said) == 1
    assert "2 of 10 clips are the only one of their class of label 'kind'" in said[0]
    assert lone_classes(test, "kind", test.label("kind")) == []
    assert lone_classes(test, "kind", torch.full((12,), -1)) == []


def test_a_label_whose_classes_have_one_clip_is_remarked_in_every_form(cmg, runs, tmp_path):
    ids = [f"clip-{i:05d}" for i in range(CLIPS)]
    features = {
        m: open_store(runs["store"]).split("train+test").features(m)[0].numpy()
        for m in ("video", "text")
    }
    write_store(
        tmp_path / "lone",
        features,
        split="test",
        labels={"own": ids},
        ids=ids,
        kinds={"text": Kind.TOKENS},
        step_seconds={"video": 1.0},
    )
    args = ["--model", runs["vt"], "--data", tmp_path / "lone", "--out", tmp_path / "r", "--by"]
    said = cmg("evaluate", "retrieval", *args, "mean", "--json")
    assert said.code == 0, said.err
    remark = "30 of 30 clips are the only one of their class of label 'own'"
    assert remark in said.err
    assert remark in said.json["about"]["remarks"][0]
    assert remark in (tmp_path / "r" / "report.md").read_text()


def test_a_clip_of_a_store_finds_clips_of_another_modality(cmg, runs, store, tmp_path):
    base = ["--model", runs["one"], "--from", "audio", "--to", "video"]
    said = cmg("retrieve", "clip-00020", *base, "--top", "3", "--json")
    assert said.code == 0, said.err
    assert len(said.json["hits"]) == 3
    assert said.json["gallery"] == {
        "store": str(store.path),
        "split": "test",
        "modality": "video",
        "clips": 12,
    }
    index = tmp_path / "gallery.safetensors"
    kept = cmg("retrieve", "clip-00020", *base, "--save-index", index, "--top", "3", "--json")
    found = cmg("retrieve", "clip-00020", *base, "--gallery", index, "--top", "3", "--json")
    assert kept.json["hits"] == found.json["hits"] == said.json["hits"]
    other = ["--model", runs["two"], "--from", "audio", "--to", "video", "--gallery", index]
    refused = cmg("retrieve", "clip-00020", *other)
    assert refused.code == 2
    assert "another model" in refused.err
    wrong = cmg("retrieve", "clip-00020", "--model", runs["one"], "--from", "audio", "--to", "text",
                "--gallery", index)  # fmt: skip
    assert "is a gallery of 'video'" in wrong.err
    by = cmg("retrieve", "clip-00020", *base, "--gallery", index, "--by", "codes")
    assert "say --by mean" in by.err
    split = cmg("retrieve", "clip-00020", *base, "--gallery", index, "--split", "train")
    assert split.code == 2
    assert "is of split 'test'" in split.err


def test_the_query_is_of_the_store_that_an_index_was_made_of(cmg, runs, tmp_path):
    rng = np.random.default_rng(3)
    sides = {
        name: rng.normal(size=(4, 6, width)).astype(np.float32)
        for name, width in {"audio": 6, "video": 7}.items()
    }
    write_store(tmp_path / "other", sides, ids=list("wxyz"), split=["test"] * 4)
    base = ["--model", runs["one"], "--from", "audio", "--to", "video", "--json"]
    index = tmp_path / "other.safetensors"
    made = cmg("retrieve", "x", *base, "--gallery", tmp_path / "other", "--save-index", index)
    assert made.code == 0, made.err
    found = cmg("retrieve", "x", *base, "--gallery", index)
    assert found.json["hits"] == made.json["hits"]
    assert {hit["id"] for hit in found.json["hits"]} == set("wxyz")
    given = cmg("retrieve", "clip-00020", *base, "--gallery", index, "--queries", runs["store"])
    assert given.code == 0, given.err


@pytest.mark.parametrize("bad", ["audio", "video"])
def test_features_that_are_nan_are_refused_by_id(cmg, runs, tmp_path, bad):
    sides = {name: np.ones((4, 6, n), np.float32) for name, n in {"audio": 6, "video": 7}.items()}
    store = write_store(tmp_path / "s", sides, ids=list("wxyz"), split=["test"] * 4)
    (shard,) = store.path.rglob(f"*.{bad}.safetensors")
    width = {"audio": 6, "video": 7}[bad]
    content = bytearray(shard.read_bytes())
    first = len(content) - 3 * 6 * width * 4  # the last three of four clips begin here: x, y, z
    content[first : first + 4] = np.float32(np.nan).tobytes()
    shard.write_bytes(content)
    base = ["--model", runs["one"], "--from", "audio", "--to", "video", "--gallery", store.path]
    index = tmp_path / "i.safetensors"
    said = cmg("retrieve", "x", *base, "--save-index", index)
    assert said.code == 2, said.out
    assert f"modality {bad!r} has NaN or infinite features: clip 'x'" in said.err
    assert not index.exists()
    out = tmp_path / "r"
    told = cmg("evaluate", "retrieval", "--model", runs["one"], "--data", store.path, "--out", out)
    assert told.code == 2
    assert "NaN" in told.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s"]


def test_a_gallery_without_the_modality_names_what_there_is(cmg, runs, tmp_path):
    sides = {"audio": np.ones((4, 6, 6), np.float32)}
    store = write_store(tmp_path / "s", sides, ids=list("wxyz"), split=["test"] * 4)
    base = ["--model", runs["one"], "--from", "audio", "--to", "video"]
    said = cmg("retrieve", "x", *base, "--gallery", store.path)
    assert said.code == 2
    assert "no clip of split 'test' has 'video'" in said.err
    assert "share audio" in said.err
    out = tmp_path / "r"
    told = cmg("evaluate", "retrieval", "--model", runs["one"], "--data", store.path, "--out", out)
    assert told.code == 2
    assert "has only audio" in told.err
    assert not out.exists()


def test_runs_that_are_not_alike_have_no_mean(cmg, runs, tmp_path):
    out = tmp_path / "r"
    for pair, told in {("one", "vt"): "differ in modalities", ("one", "one"): "twice"}.items():
        models = [part for name in pair for part in ("--model", runs[name])]
        said = cmg("evaluate", "retrieval", *models, "--out", out)
        assert said.code == 2
        assert told in said.err
        assert not out.exists()
    nothing = cmg("evaluate", "retrieval", "--model", runs["one"], "--by", ",", "--out", out)
    assert nothing.code == 2
    assert "names nothing" in nothing.err


def test_without_faiss_or_with_sequences_the_remedy_is_named(cmg, runs):
    base = ["--model", runs["one"], "--from", "audio", "--to", "video", "--engine", "faiss"]
    said = cmg("retrieve", "clip-00020", *base, "--by", "sequence")
    assert said.code == 2
    assert "cmg-torch[faiss]" in said.err or "sequences are searched exactly" in said.err


BAD = {
    "unknown clip": (["nobody"], "has no clip 'nobody'"),
    "words": (["a dog barks"], "say --text if these are words"),
    "one word": (["dog"], "no clip 'dog', and there is no such file; name a clip of the store or"),
    "words for words": (["a dog, barking", "--from", "text"], "say --text if these are words"),
    "a file that is not there": (["barks.wav"], "no clip 'barks.wav', and there is no such file"),
    "unknown modality": (["clip-00020", "--to", "smell"], "no clip of split 'test' has 'smell'"),
    "query too long": (["clip-00020", "--to", "text", "--by", "sequence"], "cannot slide"),
    "no clip wanted": (["clip-00020", "--top", "0"], "at least 1"),
    "unknown kind": (["clip-00020", "--by", "meen"], "did you mean 'mean'"),
    "unknown engine": (["clip-00020", "--engine", "x"], "say exact, faiss, faiss-flat"),
    "no kind": (["clip-00020", "--by", ","], "names nothing"),
    "two kinds": (["clip-00020", "--by", "mean,codes"], "one of them"),
    "unknown store": (["clip-00020", "--gallery", "nowhere"], "nowhere"),
    "unknown index": (["clip-00020", "--gallery", "no.safetensors"], "is no index"),
    "unknown modality of the query": (["clip-00020", "--from", "smell"], "has no 'smell'"),
    "suffix of the index": (["clip-00020", "--save-index", "x.bin"], "must end in .safetensors"),
    "unknown split": (["clip-00020", "--split", "tset"], "did you mean 'test'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told(cmg, runs, name):
    given, told = BAD[name]
    args = {"--from": "audio", "--to": "video"} | dict(zip(given[1::2], given[2::2], strict=True))
    flat = [part for pair in args.items() for part in pair]
    said = cmg("retrieve", given[0], "--model", runs["one"], *flat)
    assert said.code == 2
    assert told in said.err


def test_a_modality_joins_later(cmg, runs, store, tmp_path):
    args = ["--model", runs["vt"], "--model", runs["vt2"], "--new", "audio", "--pivot", "text"]
    args += ["--seeds", "1"]
    small = ["--epochs", "40", "--batch-size", "6", "--lr", "0.01"]
    said = cmg("evaluate", "two-stage", *args, *small, "--out", tmp_path / "t", "--json")
    assert said.code == 0, said.err
    assert set(said.json["scores"]) == {"trained", "shuffled_pairs", "untrained"}
    mean = {
        variant: np.mean([seed["video->audio"]["map"] for seed in seeds])
        for variant, seeds in said.json["scores"].items()
    }
    assert mean["trained"] > mean["shuffled_pairs"]
    assert [len(seeds) for seeds in said.json["scores"].values()] == [2, 2, 2]
    assert said.json["about"]["training_split"] == "train"
    report = (tmp_path / "t" / "report.md").read_text()
    assert "video → audio (zero-shot)" in report
    assert "text → audio (fitted)" in report
    assert "2 runs of stage 1, 1 fit of each; split test, gallery 12 clips" in report
    for bad, told in {
        "--new": ("video", "was pre-trained with 'video'"),
        "--pivot": ("audio", "has no modality 'audio'"),
    }.items():
        given = [told[0] if args[i - 1] == bad else a for i, a in enumerate(args)]
        refused = cmg("evaluate", "two-stage", *given, "--out", tmp_path / "x")
        assert refused.code == 2
        assert told[1] in refused.err
        assert not (tmp_path / "x").exists()


def test_stage_one_is_left_as_it_was(runs, store):
    import torch

    from cmg.recipes.two_stage import JoinOptions, join, joined_model
    from cmg.runs.checkpoint import load_model

    stage1 = load_model(runs["vt"])
    model = joined_model(stage1, store, "audio", 0)
    before = {n: x.clone() for n, x in model.state_dict().items()}
    losses = join(model, store.split("train"), "text", "audio", JoinOptions(epochs=15, lr=0.01), 0)
    assert losses[-1] < losses[0]
    changed = {n for n, x in model.state_dict().items() if not torch.equal(x, before[n])}
    assert changed
    assert all(name.startswith("semantic.audio.") for name in changed)
    for name, tensor in stage1.state_dict().items():
        if name in before and before[name].shape == tensor.shape:
            assert torch.equal(before[name], tensor), name
