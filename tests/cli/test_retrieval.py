"""``cmg retrieve``, ``cmg evaluate retrieval`` and ``cmg evaluate two-stage``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cmg.data.inmemory import write_store
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
    """Two runs of all modalities, and one of video and text."""
    from cmg.config.load import load_config, override_config
    from cmg.recipes.pretrain import pretrain

    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, more in {
        "one": [],
        "two": ["training.seed=1"],
        "vt": ["data.modalities=[video,text]"],
    }.items():
        told = [f"data.store={store.path}", *SMALL, *more, "training.epochs=20"]
        pretrain(override_config(load_config("own-data"), told), folder / name)
        found[name] = folder / name
    return found


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
    again = cmg("evaluate", "retrieval", *args)
    assert again.code == 2
    assert "not empty" in again.err


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


BAD = {
    "unknown clip": (["nobody"], "has no clip 'nobody'"),
    "unknown modality": (["clip-00020", "--to", "smell"], "no clip of split 'test' has 'smell'"),
    "query too long": (["clip-00020", "--to", "text", "--by", "sequence"], "cannot slide"),
    "no clip wanted": (["clip-00020", "--top", "0"], "at least 1"),
    "unknown kind": (["clip-00020", "--by", "meen"], "did you mean 'mean'"),
    "unknown engine": (["clip-00020", "--engine", "x"], "exact or faiss"),
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
    args = ["--model", runs["vt"], "--new", "audio", "--pivot", "text", "--seeds", "2"]
    small = ["--epochs", "40", "--batch-size", "6", "--lr", "0.01"]
    said = cmg("evaluate", "two-stage", *args, *small, "--out", tmp_path / "t", "--json")
    assert said.code == 0, said.err
    assert set(said.json["scores"]) == {"trained", "shuffled_pairs", "untrained"}
    mean = {
        variant: np.mean([seed["video->audio"]["map"] for seed in seeds])
        for variant, seeds in said.json["scores"].items()
    }
    assert mean["trained"] > mean["shuffled_pairs"]
    report = (tmp_path / "t" / "report.md").read_text()
    assert "video → audio (zero-shot)" in report
    assert "text → audio (fitted)" in report
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
    from cmg.training.checkpoint import load_model

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
