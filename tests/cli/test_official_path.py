"""The whole path of the official world, as a user types it, on a simulated folder."""

import json
import os
import shutil

import pytest

from cmg.data import verify_store

TINY = [
    "model.width=16",
    "model.temporal.hidden=16",
    "model.codebook.size=32",
    "model.detail_width={audio: 8, video: 8, text: 8}",
    "model.token_hidden.text=8",
    "training.epochs=2",
    "training.tensorboard=false",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory, cmg, simulated):
    """A simulated folder and a run on it."""
    folder = tmp_path_factory.mktemp("official")
    shutil.copytree(simulated, folder / "data", copy_function=os.link)
    trained = cmg(
        "pretrain", "simulated", f"data={folder / 'data'}", *TINY, "--out", folder / "run"
    )
    assert trained.code == 0, trained.err
    return folder


@pytest.mark.slow
def test_four_commands_lead_from_nothing_to_every_benchmark(root, cmg):
    data, run = root / "data", root / "run"
    marked = cmg("select", run, "--data", data, "--seeds", 1)
    assert marked.code == 0, marked.err
    assert "epochs" not in marked.err  # weights of every one are there
    chosen = json.loads((run / "selected.json").read_text())["checkpoint"]
    out = root / "results"
    args = ["--data", data, "--model", run, "--protocol", "published", "--seeds", 1, "--out", out]
    said = cmg("evaluate", "all", *args, "--json")
    assert said.code == 0, said.err
    results = json.loads((out / "results.json").read_text())
    assert said.json == results
    assert list(results) == ["ave", "avvp", "ave-avvp", "ucf-vgg"]
    for protocols in results.values():
        for directions in protocols.values():
            assert {"video->audio", "audio->video"} <= directions.keys()
            for metrics in directions.values():
                assert all(0 <= score["mean"] <= 100 for score in metrics.values())
    assert chosen in (out / "evaluation.json").read_text()
    assert (out / "report.html").is_file()


@pytest.mark.slow
def test_an_imported_folder_gives_the_same_numbers(root, cmg):
    data, store = root / "data", root / "store"
    said = cmg("data", "import", data, "--out", store, "--workers", 1, "--dtype", "float64")
    assert said.code == 0, said.err
    assert verify_store(store / "ave") == []
    assert (store / "simulation.json").read_text() == (data / "simulation.json").read_text()
    found = []
    for where in (data, store):
        out = root / f"ave-{where.name}"
        args = ["--data", where, "--model", root / "run", "--seeds", 1, "--out", out]
        assert cmg("evaluate", "ave", "--protocol", "clean", *args).code == 0
        found.append(json.loads((out / "results.json").read_text()))
    assert found[0] == found[1]


def test_the_doctor_finds_the_folder_sound_and_its_copy_broken(root, cmg):
    said = cmg("data", "check", root / "data", "--json")
    assert said.code == 0, said.out
    victims = list((root / "data").rglob("vggsound-avel40k.csv"))
    text = victims[0].read_text()
    half = "".join(text.splitlines(keepends=True)[: len(text.splitlines()) // 2])
    try:
        for victim in victims:
            victim.unlink()  # it is a link to what others read
            victim.write_text(half)
        broken = cmg("data", "check", root / "data", "--json")
    finally:
        for victim in victims:
            victim.write_text(text)
    assert broken.code == 1
    assert "truncated" in {finding["status"] for finding in broken.json["findings"]}


def test_the_published_recipe_trains_and_its_official_checkpoint_comes_back(root, cmg):
    run, back = root / "published", root / "back"
    small = ["model.width=16", "model.temporal.hidden=16", "model.codebook.size=16"]
    small += ["model.detail_width={audio: 8, video: 8, text: 8}", "model.token_hidden.text=8"]
    said = cmg(
        "pretrain", "recipe=published", f"data={root / 'data'}", "list=24k", "modalities=avt",
        *small, "training.epochs=1", "training.tensorboard=false", "--out", run,
        "--official-checkpoints",
    )  # fmt: skip
    assert said.code == 0, said.err
    written = run / "official" / "DCID-model-0.pt"
    assert cmg("convert", written, "--out", back, "--map-size", 5).code == 0
    for model in (run, back):
        out = root / f"codes-{model.name}.jsonl"
        store = root / "data-ave"
        if not store.exists():
            imported = cmg("data", "import", root / "data", "--out", store, "--only", "ave")
            assert imported.code == 0, imported.err
        assert cmg("encode", store / "ave", "--model", model, "--out", out).code == 0
    codes = [(root / f"codes-{m.name}.jsonl").read_text() for m in (run, back)]
    assert codes[0] == codes[1]
