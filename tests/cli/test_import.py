"""`cmg data import` of a folder in the official layout."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cmg.data import open_store, verify_store
from cmg.official.collection import ImportedCollection, open_collection
from cmg.recipes import import_official as module

SMALL = ["--workers", "1", "--text", "none"]


@pytest.fixture
def root(simulated, tmp_path):
    """A copy of its smaller sets, to be damaged."""
    copy = tmp_path / "root"
    for part in ("UCF101", "UCF101ALL", "OSCMG/data/UCF_OSCMG"):
        shutil.copytree(simulated / part, copy / part)
    return copy


def same_clips(source, store):
    assert [row.id for row in store.rows] == [row.id for row in source.rows]
    assert [row.labels for row in store.rows] == [row.labels for row in source.rows]
    assert [row.meta for row in store.rows] == [row.meta for row in source.rows]
    assert store.splits == source.splits
    assert store.labels == source.labels
    assert store.step_seconds == source.step_seconds
    assert store.modalities == source.modalities
    clips = np.arange(len(source))
    for modality in source.modalities:
        x, n = source.features(modality, clips)
        y, m = store.features(modality, clips)
        assert y.dtype == torch.float32
        assert torch.equal(x.to(torch.float32), y)
        assert torch.equal(n, m)


def test_every_set_is_imported_exactly(cmg, simulated, tmp_path):
    out = tmp_path / "out"
    sets = ["ave", "avvp", "ucf101", "ucf101all", "vggsound40k"]
    said = cmg(
        "data", "import", simulated, "--out", out, "--only", ",".join(sets), *SMALL, "--json"
    )
    assert said.code == 0
    assert sorted(said.json["stores"]) == sets
    official = open_collection(simulated, text="none")
    official.segments = True
    imported = open_collection(out)
    assert isinstance(imported, ImportedCollection)
    assert sorted(imported.names) == sets
    for name in sets:
        told = said.json["stores"][name]
        store = imported.open(name)
        same_clips(official.open(name), store)
        assert verify_store(out / name) == []
        assert told["clips"] == len(store)
        assert told["content_hash"] == store.content_hash
        assert {s.encoding for s in store.manifest.modalities.values()} == {"compact"}
    assert "segment" in imported.open("vggsound40k").labels
    assert json.loads((out / "import.json").read_text()) == said.json
    assert sorted(p.name for p in out.iterdir()) == sorted(
        [*sets, "collection.json", "import.json", "simulation.json"]
    )
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_import_can_be_made_dense_and_half(cmg, root, tmp_path):
    assert cmg("data", "import", root, "--out", tmp_path / "a", *SMALL).code == 0
    dense = ("--encoding", "dense", "--dtype", "float16")
    said = cmg("data", "import", tmp_path / "a", "--out", tmp_path / "b", *dense, "--json")
    assert said.code == 0
    assert 0 < said.json["stores"]["ucf101all"]["rounding"]["video"] < 0.01
    one = cmg("data", "import", tmp_path / "a/ucf101all", "--out", tmp_path / "c", *dense, "--json")
    stores = [open_store(tmp_path / where) for where in ("a/ucf101all", "b/ucf101all", "c")]
    assert one.json["stores"]["c"]["content_hash"] == stores[1].content_hash
    assert stores[2].content_hash == stores[1].content_hash
    exact, _ = stores[0].split("all").features("video")
    half, _ = stores[1].split("all").features("video")
    assert torch.equal(exact.half(), half)
    info = cmg("data", "info", tmp_path / "a/ucf101all")
    assert "video: maps [5, 5, 8] float32 compact" in info.out


def damage(root):
    path = sorted((root / "UCF101ALL/feature/video/zip").iterdir())[4]
    path.write_bytes(path.read_bytes()[:-40])
    return path


def test_a_corrupt_clip_is_skipped_by_name(cmg, root, tmp_path):
    path = damage(root)
    out = tmp_path / "out"
    said = cmg("data", "import", root, "--out", out, "--only", "ucf101all", *SMALL)
    assert said.code == 0
    assert f"skipped {path.stem}" in said.out
    (skipped,) = json.loads((out / "import.json").read_text())["stores"]["ucf101all"]["skipped"]
    assert skipped["id"] == path.stem
    assert path.name in skipped["reason"]
    store = open_collection(out).open("ucf101all")
    assert path.stem not in [row.id for row in store.rows]


def test_a_corrupt_clip_ends_the_import_where_asked(cmg, root, tmp_path):
    path = damage(root)
    options = ("--only", "ucf101all", "--on-error", "fail", *SMALL)
    said = cmg("data", "import", root, "--out", tmp_path / "out", *options)
    assert said.code == 2
    assert path.name in said.err
    assert [p.name for p in tmp_path.iterdir()] == ["root"]


@pytest.fixture
def stopped(cmg, root, tmp_path, monkeypatch):
    """An import that was interrupted after its first set."""
    once = module._import_set

    def stops(collection, name, *rest):
        if name == "ucf101all":
            raise KeyboardInterrupt
        return once(collection, name, *rest)

    monkeypatch.setattr(module, "_import_set", stops)
    with pytest.raises(KeyboardInterrupt):
        module.import_clips(root, tmp_path / "out", module.ImportOptions(text="none", workers=1))
    monkeypatch.setattr(module, "_import_set", once)
    assert not (tmp_path / "out").exists()
    return tmp_path / "out"


def test_an_interrupted_import_takes_finished_sets_over(cmg, root, stopped, tmp_path):
    said = cmg("data", "import", root, "--out", stopped, *SMALL, "--json")
    assert said.code == 0
    whole = cmg("data", "import", root, "--out", tmp_path / "whole", *SMALL, "--json")
    for name in ("ucf101", "ucf101all"):
        hashes = {s.json["stores"][name]["content_hash"] for s in (said, whole)}
        assert len(hashes) == 1
    assert sorted(p.name for p in stopped.iterdir()) == [
        "collection.json",
        "import.json",
        "ucf101",
        "ucf101all",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "root", "whole"]


def test_other_options_or_a_changed_source_do_not_go_on(cmg, root, stopped):
    said = cmg("data", "import", root, "--out", stopped, *SMALL, "--dtype", "float16")
    assert said.code == 2
    assert "with another dtype" in said.err
    assert "remove that folder" in said.err
    path = next((root / "UCF101/feature/video/zip").iterdir())
    path.write_bytes(path.read_bytes() + b"x")
    said = cmg("data", "import", root, "--out", stopped, *SMALL)
    assert said.code == 2
    assert "ucf101 has changed since it was imported" in said.err
    assert not stopped.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "ucf11"], "did you mean 'ucf101'"),
        (["--arrays", "x.csv"], "either ROOT, a folder, or --arrays"),
        (["--dtype", "float8"], "unknown dtype 'float8'"),
        (["--kind", "text=tokens"], "are for --arrays"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(cmg, root, tmp_path, arguments, said):
    found = cmg("data", "import", root, "--out", tmp_path / "out", *SMALL, *arguments)
    assert found.code == 2
    assert said in found.err
    assert [p.name for p in tmp_path.iterdir()] == ["root"]


def test_neither_root_nor_arrays_is_refused(cmg, tmp_path):
    found = cmg("data", "import", "--out", tmp_path / "out")
    assert found.code == 2
    assert "give either ROOT" in found.err


def test_an_existing_import_is_only_replaced_when_said(cmg, root, tmp_path):
    arguments = ["data", "import", root, "--out", tmp_path / "out", *SMALL, "--only", "ucf101"]
    assert cmg(*arguments).code == 0
    said = cmg(*arguments)
    assert said.code == 2
    assert "not empty" in said.err
    assert cmg(*arguments, "--overwrite", "--dtype", "float16").code == 0
    store = open_collection(tmp_path / "out").open("ucf101")
    assert store.manifest.modalities["video"].dtype == "float16"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "root"]


@pytest.mark.parametrize("what", ["arrays", "simulate"])
def test_space_is_asked_for_before_a_store_is_written(cmg, arrays, tmp_path, monkeypatch, what):
    csv = arrays({"audio": (4,), "video": (2, 2, 3)})
    words = ["simulate", "--fraction", 0.0001, "--map", 2, "--workers", 1, "--frame-size", 16]
    words = words if what == "simulate" else ["import", "--arrays", csv]
    before, out = sorted(tmp_path.iterdir()), tmp_path / "deep" / "out"
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    where = [out] if what == "simulate" else ["--out", out]
    said = cmg("data", *words, *where)
    assert said.code == 2
    assert f"{out} is going to take about" in said.err
    assert "0 MB are free there; free space or choose another --out" in said.err
    assert [p for p in sorted(tmp_path.rglob("*")) if p.is_file() and p not in before] == []
