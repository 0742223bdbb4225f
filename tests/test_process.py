"""Whoever uses cmg from Python finds the process as it was before every call."""

import logging
import os
import signal
import sys
import types
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny import TINY

import cmg
from cmg import allocation
from cmg.copying.ray_engine import ray_chunks
from cmg.errors import NonFiniteError
from cmg.launching import launch, under_launch
from cmg.process import environment, seeded, signals_kept, thread_count
from cmg.recipes.encode_media import write_codes
from cmg.recipes.evaluate import evaluate_run
from cmg.recipes.jobs import Job, run_job
from cmg.recipes.pretrain import prepare
from cmg.recipes.retrieval import evaluate_retrieval
from cmg.recipes.two_stage import JoinOptions, two_stage
from cmg.workers import OWN_PROCESS, run_all

SMALL = [*TINY, "data.batch_size=5", "model.codebook.size=6"]
SMALL += ["probe={epochs: 2, seeds: 1, dropout_in_encoder: true}"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    rng = np.random.default_rng(0)
    features = {m: rng.standard_normal((20, 4, 6), dtype=np.float32) for m in ("a", "b", "c")}
    split = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
    labels = {"kind": [i % 2 for i in range(20)]}
    path = tmp_path_factory.mktemp("process") / "store"
    cmg.write_store(path, features, split=split, labels=labels)
    return path


def config(store, *more):
    names = "data.modalities=[a, b]"
    return cmg.load_config(None, [f"data.store={store}", names, *SMALL, *more])


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("process") / "run"
    cmg.pretrain(config(store), out)
    return out


def probed(store, run, out):
    model, opened = cmg.load(run), cmg.open_clips(store)
    options = config(store).probe
    cmg.probe(model, opened, "a", "b", options=options)
    write_codes(model, opened, out / "codes.jsonl")
    write_codes(model, opened, out / "codes.safetensors")
    model.decode(model.encode({"a": torch.ones(2, 3, 6), "b": torch.ones(2, 3, 6)}))


CALLS = {
    "write_store": lambda store, run, out: cmg.write_store(out / "s", {"a": np.ones((3, 2, 4))}),
    "pretrain": lambda store, run, out: cmg.pretrain(config(store), out / "run"),
    "pretrain in parts": lambda store, run, out: cmg.pretrain(
        config(store, "training.micro_batch=2", "model.codebook.start=kmeans")
    ),
    "resume": lambda store, run, out: cmg.pretrain(config(store), run, resume=True),
    "prepare": lambda store, run, out: prepare(config(store)),
    "jobs": lambda store, run, out: run_all([Job("x", config(store))], run_job, lambda *_: None),
    "load, probe, encode": probed,
    "evaluate": lambda store, run, out: evaluate_run(run),
    "retrieval": lambda store, run, out: evaluate_retrieval([run]),
    "two stages": lambda store, run, out: two_stage(
        [run], "c", "a", options=JoinOptions(epochs=1), seeds=1, variants=["trained"]
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_process_as_it_was(name, store, run, tmp_path, untouched):
    with untouched():
        CALLS[name](store, run, tmp_path)


def test_a_call_that_fails_leaves_the_process_as_it_was(store, untouched):
    broken = config(store, "optimizer.lr=1e30", "training.epochs=50")
    with untouched(), pytest.raises(NonFiniteError):
        cmg.pretrain(broken)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_command_keeps_memory_and_gives_it_back_after_training(
    store, cmg, tmp_path, monkeypatch, keeps
):
    asked = []
    libc = types.SimpleNamespace(
        mallopt=lambda option, value: asked.append((option, value)),
        malloc_trim=lambda pad: asked.append("trim"),
    )
    monkeypatch.setattr(allocation, "glibc", lambda: libc)
    more = [f"data.store={store}", f"training.keep_memory={str(keeps).lower()}"]
    said = cmg("pretrain", *SMALL, *more, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    trim, mmap = allocation.TRIM_THRESHOLD, allocation.MMAP_THRESHOLD
    kept = [(trim, (1 << 31) - 1), (mmap, allocation.LARGEST_KEPT)]
    usual = [(trim, allocation.USUAL[0]), (mmap, allocation.USUAL[1]), "trim"]
    assert asked == ([*kept, *usual] if keeps else [])
    assert not OWN_PROCESS.get()


def test_a_launch_gives_back_environment_signals_and_logging(monkeypatch, untouched):
    seen = []

    def elastic(config, program):
        def start(*arguments):
            for number in (signal.SIGTERM, signal.SIGINT):  # as torch's own does
                signal.signal(number, lambda *_: None)
            seen.append((arguments, os.environ["OMP_NUM_THREADS"], under_launch()))

        return start

    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", elastic)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.INFO)
    with untouched():
        launch(["pretrain"], os.cpu_count(), 0)
    assert seen == [(("-m", "cmg", "pretrain"), "1", True)]


@pytest.mark.parametrize("running", [True, False])
def test_only_a_ray_of_our_own_is_ended(monkeypatch, running):
    calls = []
    record = types.SimpleNamespace(
        is_initialized=lambda: running,
        init=lambda **_: calls.append("init"),
        shutdown=lambda: calls.append("shutdown"),
        data=types.SimpleNamespace(from_items=lambda *_, **__: 1 / 0),
    )
    monkeypatch.setitem(sys.modules, "ray", record)
    monkeypatch.setitem(sys.modules, "ray.data", record.data)
    with pytest.raises(ZeroDivisionError):
        list(ray_chunks(None, None, Path("x"), [1], 1, lambda n: None))
    assert calls == ([] if running else ["init", "shutdown"])


def test_a_seed_gives_torchs_numbers_and_leaves_the_callers():
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(11)
    following = torch.rand(4)
    torch.manual_seed(11)
    with seeded(3):
        assert torch.equal(torch.rand(4), wanted)
    assert torch.equal(torch.rand(4), following)


def test_what_is_borrowed_comes_back_after_an_error_too(untouched, monkeypatch):
    monkeypatch.setenv("CMG_A", "1")
    variables = environment({"CMG_A": "2", "CMG_B": "3"})
    with untouched(), suppress(KeyError), thread_count(1), variables, signals_kept(), seeded(1):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert (torch.get_num_threads(), os.environ["CMG_A"], os.environ["CMG_B"]) == (1, "2", "3")
        raise KeyError
    with untouched(), thread_count(None):
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("around", ["no_grad", "inference_mode", "float64"])
def test_what_the_caller_does_with_torch_changes_no_training(store, around):
    """A notebook's modes and default dtype are left as they were, and are not taken over."""

    def trained():
        model = cmg.pretrain(config(store)).state.model
        found = cmg.probe(model, cmg.open_clips(store), "a", "b")
        return [*model.state_dict().values(), torch.tensor(found.transfer.mean)]

    wanted = trained()
    if around == "float64":
        torch.set_default_dtype(torch.float64)
    try:
        with getattr(torch, around)() if around != "float64" else torch.enable_grad():
            found = trained()
            left = torch.get_default_dtype(), torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
    assert left == ((torch.float64, True) if around == "float64" else (torch.float32, False))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
