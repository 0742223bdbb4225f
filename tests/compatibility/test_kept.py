"""What earlier versions left on disk loads, measures the same and goes on exactly."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cmg.data.store import open_store
from cmg.data.verify import verify_store
from cmg.errors import CheckpointError
from cmg.recipes.pretrain import prepare
from cmg.runs.folder import read_config

from .make import (
    RUNS,
    SEARCH,
    SEGMENT,
    checkpoints,
    cmg,
    encoded,
    measured,
    resume,
    study,
    with_backbone,
)

KEPT = Path(__file__).parent / "kept"
EXPECTED = json.loads((KEPT / "expected.json").read_text())
HASHES = {k: v for k, v in EXPECTED["hashes"].items() if (KEPT / k).is_dir()}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A copy of it all, in the working directory: runs name their stores relative to it."""
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def furthest(found, wanted):
    """Largest difference of two files of tensors, relative above 1."""
    one, two = load_file(found), load_file(wanted)
    assert one.keys() == two.keys()
    return max(
        ((one[n] - two[n]).abs() / two[n].abs().clamp(min=1)).max().item()
        for n in one
        if one[n].numel()
    )


@pytest.mark.parametrize("name", HASHES)
def test_stores_hold_what_they_held(name):
    store = open_store(KEPT / name)
    assert verify_store(store.path) == []
    assert store.content_hash == HASHES[name]


@pytest.mark.parametrize("name", RUNS)
def test_runs_measure_the_same(kept, name):
    found = measured(Path("runs", name), RUNS[name])
    assert found["codes"] == EXPECTED[name]["codes"]
    probe = EXPECTED[name]["probe"]
    assert {key: found["probe"][key] for key in probe} == probe


@pytest.mark.parametrize("name", RUNS)
def test_stopped_runs_end_where_they_ended(kept, name):
    run = Path("runs", name)
    resume(run)
    wanted = checkpoints(KEPT / run)[-1]
    assert checkpoints(run)[-1].name == wanted.name
    for file in ("model.safetensors", "training.safetensors"):
        # Another processor rounds otherwise: between two of them 1.3e-11 was seen.
        assert furthest(checkpoints(run)[-1] / file, wanted / file) < 1e-9
    lines = [(path / run / "metrics.jsonl").read_text().splitlines() for path in (kept, KEPT)]
    assert len(lines[0]) == len(lines[1])


def test_an_official_file_converts_to_the_same_model_and_back(kept):
    cmg("convert", *Path("runs/published/official").glob("*.pt"), "--out", "again")
    newest = checkpoints(Path("again"))[-1], checkpoints(Path("runs/converted"))[-1]
    assert furthest(*(folder / "model.safetensors" for folder in newest)) == 0
    cmg("convert", "runs/converted", "--to-official", "back.pt")
    files = [Path("back.pt"), *Path("runs/published/official").glob("*.pt")]
    back, wanted = (torch.load(file, weights_only=True) for file in files)
    sections = [name for name in wanted if name.endswith("_parameters")]
    assert sections
    for section in sections:
        assert back[section].keys() == wanted[section].keys()
        for name, tensor in wanted[section].items():
            assert torch.equal(back[section][name], tensor), (section, name)


def test_a_converted_run_is_used_and_not_resumed(kept):
    assert encoded(Path("runs/converted"), "stores/whole") == EXPECTED["converted"]["codes"]
    run = Path("runs/converted")
    with pytest.raises(CheckpointError, match="converted from a checkpoint of the authors"):
        prepare(read_config(run), run, resume=True)


def test_an_index_of_a_gallery_finds_the_same(kept):
    found = json.loads(cmg(*SEARCH, "--gallery", "index.safetensors", "--json"))
    cosines = [[hit.pop("cosine") for hit in said["hits"]] for said in (found, EXPECTED["search"])]
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-6)
    assert found["hits"] == EXPECTED["search"]["hits"]


def test_a_finished_study_trains_nothing_again(kept):
    jobs = {p: p.read_bytes() for p in sorted(kept.glob("study/jobs/**/*.json"))}
    assert len(jobs) == 2
    study()
    assert {p: p.read_bytes() for p in sorted(kept.glob("study/jobs/**/*.json"))} == jobs
    numbers = [
        [line for line in (path / "study/table.md").read_text().splitlines() if line[:1] == "|"]
        for path in (kept, KEPT)
    ]
    assert numbers[0] == numbers[1]


def means(folder):
    """Mean of every measure, by direction and query."""
    told = json.loads((folder / "results.json").read_text())["directions"]
    return {
        (direction, query, name): measure["mean"]
        for direction, queries in told.items()
        for query, measures in queries.items()
        for name, measure in measures.items()
    }


def test_a_segmentation_model_scores_the_same(kept):
    with_backbone()
    cmg(*SEGMENT[:-1], "again", "--test-only", "--checkpoint", "avs")
    assert means(Path("again")) == pytest.approx(means(KEPT / "avs"))


def test_a_stopped_segmentation_model_ends_where_it_ended(kept):
    with_backbone()
    shutil.move("avs-stopped", "again/models/audio-0")
    cmg(*SEGMENT[:-1], "again", "--resume")
    for file in ("model.safetensors", "training.safetensors"):
        found = Path("again/models/audio-0", file)
        assert furthest(found, Path("avs/models/audio-0", file)) < 1e-4
