"""Stores and small runs of every kind, made or resumed by the checkout that runs this.

    PYTHONPATH=CHECKOUT/src python tests/compatibility/make.py OUT [--resume]

Only commands and `cmg.write_store` are used, so that checkouts far apart can run it:
`tools/side_by_side.py` does. What is committed in `kept/` was made so at commit 409785a, by this
file as commit d5527c3 had it.

A run in `kept/` is finished and holds its first and its last checkpoint. Without the last one it is
a run that was stopped, which resumes to the last one again.
"""

from __future__ import annotations

import json
import os
import shutil
from argparse import ArgumentParser
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zlib import crc32

import numpy as np

SHAPES = {"audio": (6,), "video": (2, 3, 5), "text": (7,)}
KINDS = {"text": "tokens"}
CLIPS, STEPS, CLASSES = 22, 6, 3
SMALL = [
    "data.batch_size=6",
    "model.width=8",
    "model.temporal.heads=2",
    "model.temporal.hidden=16",
    "model.codebook.size=9",
    "training.epochs=2",
    "training.threads=1",
    "training.tensorboard=false",
    "training.precision=float64",
]
THREE = ["model.detail_width={audio: 6, video: 6, text: 6}", "model.token_hidden={text: 4}"]
TWO = ["model.detail_width={audio: 6, video: 6}"]
CLUB = "objectives.club.hidden=8"
RESETS = "model.codebook.reset={patience: 3, active: 2, source: codes}"


@dataclass(frozen=True)
class Job:
    """A run to train.

    Attributes:
        named: The named run it starts from; empty: the defaults.
        store: Of those that :func:`stores` writes, or what ``data=`` takes.
        overrides: Beside :data:`SMALL`.
        options: Of `cmg pretrain`.
        heads: Modalities to train and test heads on.
        read: The store that is encoded; empty: `store`.
    """

    named: str = ""
    store: str = "stores/plain"
    overrides: Sequence[str] = ()
    options: Sequence[str] = ()
    heads: tuple[str, str] = ("audio", "video")
    read: str = ""


RUNS = {
    "defaults": Job(overrides=[*THREE, "model.detail_width.video=20", CLUB, RESETS]),
    "published": Job(
        "audio-video-text",
        "stores/whole",
        ["model.temporal.heads=4", *THREE, CLUB],
        ["--official-checkpoints"],
    ),
    "digits": Job("digits", "digits", ["model.temporal.hidden=8", *THREE, "data.batch_size=80"]),
    "codebook-only": Job(
        overrides=[*THREE, CLUB, "training.codebook_only=true", "model.codebook.start=uniform"]
    ),
    "paper": Job(
        overrides=[
            "data.modalities=[audio, text]",
            "model.detail_width={audio: 6, text: 6}",
            "model.token_hidden={text: 4}",
            CLUB,
            "model.codebook.start=kmeans",
            "model.codebook.reset={patience: 2, active: 2, source: tokens}",
            "model.codebook.ema={decay: 0.9, partner: cross_attention}",
            "objectives.commitment.form=paper",
            "training.checkpoint_every_steps=2",
        ],
        heads=("text", "audio"),
    ),
    "aligned": Job(
        store="stores/seconds", overrides=[*TWO, CLUB, "objectives.reconstruction=null"]
    ),
    "micro": Job(
        overrides=[*THREE, CLUB, "training.micro_batch=2", "training.recompute_maps=true"]
    ),
    "shuffled": Job(
        overrides=[
            *THREE,
            CLUB,
            "data.shuffled_pairs=true",
            "data.fraction=0.8",
            "objectives.cmcm=null",
        ]
    ),
    "indexed": Job(store="stores/indexed", overrides=[*TWO, "objectives.club=null"]),
    "compact": Job(store="stores/compact", overrides=[*THREE, "objectives.club=null"]),
    "collection": Job(
        store="stores/collection",
        overrides=[*THREE, "data.list=24k", "objectives.club=null", "data.batch_size=80"],
        read="stores/collection/ave",
    ),
}
"""Runs in float64 that are kept."""

SINGLE, BF16 = "training.precision=float32", "training.precision=bf16"
WIDE = ["model.detail_width={audio: 6, video: 1024}", CLUB]
BITS = {
    "float32": Job(overrides=[*THREE, CLUB, SINGLE]),
    "bf16": Job(overrides=[*THREE, CLUB, BF16]),
    "wide": Job(store="stores/wide", overrides=[*WIDE, SINGLE]),
    "wide-bf16": Job(store="stores/wide", overrides=[*WIDE, BF16]),
    "wide-published": Job(
        store="stores/wide",
        overrides=[
            "model.detail_width={audio: 6, video: 128}",
            CLUB,
            "model.map_detail=published",
            SINGLE,
        ],
    ),
}
"""Runs whose bits depend on the machine, to be compared side by side on one."""


def cmg(*arguments: object) -> str:
    """Run a command in this process; what it printed.

    Raises:
        RuntimeError: it failed.
    """
    from cmg.cli.main import app
    from cmg.cli.output import STATE

    STATE.json = False
    said = StringIO()
    with redirect_stdout(said):
        try:
            app([str(a) for a in arguments], standalone_mode=False)
        except SystemExit as stop:
            if stop.code:
                raise RuntimeError(f"cmg {arguments}: {said.getvalue()}") from stop
    return said.getvalue()


def clips(seed: int, missing: bool, shapes: dict[str, tuple[int, ...]], steps: Sequence[int]):
    """Ragged features of :data:`CLIPS` clips by modality, None where a clip lacks one."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray | None]] = {}
    for m, (name, shape) in enumerate(shapes.items()):
        found[name] = []
        for i in range(CLIPS):
            mean = rng.normal(0, 0.3) + 2.0 * np.eye(CLASSES)[i % CLASSES][m % CLASSES]
            length = steps[m] - int(rng.integers(0, 3) if missing else 0)
            block = rng.normal(mean, 0.4, (length, *shape)).astype(np.float32)
            lacks = missing and i % 7 == m
            found[name].append(None if lacks else np.maximum(block, 0))
    return found


def stores() -> None:
    """Every kind of store."""
    from cmg import write_store

    about = {
        "split": ["train"] * 14 + ["val"] * 3 + ["test"] * 5,
        "labels": {"class": [["cat", "dog", "owl"][i % CLASSES] for i in range(CLIPS)]},
        "ids": [f"clip{i}" for i in range(CLIPS)],
        "meta": [{"from": f"video {i}"} for i in range(CLIPS)],
        "notes": "made by tests/compatibility/make.py",
    }
    shapes, steps = SHAPES, [STEPS] * 3
    folder = Path("stores")
    write_store(folder / "plain", clips(0, True, shapes, steps), kinds=KINDS, **about)
    whole = {"audio": (6,), "video": (7, 7, 4), "text": (7,)}
    write_store(folder / "whole", clips(1, False, whole, [10] * 3), kinds=KINDS, **about)
    wide = {"audio": (6,), "video": (7, 7, 64)}
    write_store(folder / "wide", clips(2, False, wide, [10] * 2), **about)
    two = {"audio": (6,), "video": (5,)}
    seconds = {"audio": 0.5, "video": 1.0}
    write_store(folder / "seconds", clips(3, False, two, [8, 4]), step_seconds=seconds, **about)
    classes = [[(i + t) % CLASSES for t in range(STEPS)] for i in range(CLIPS)]
    spoken = about | {"labels": {"step": classes}}
    write_store(folder / "per-step", clips(4, False, two, [STEPS] * 2), **spoken)
    indexed = find_spec("cmg.data.index")  # later checkouts write none
    with patch("cmg.data.index.INDEXED_ABOVE", 10) if indexed else nullcontext():
        write_store(folder / "indexed", clips(5, False, two, [STEPS] * 2), **about)
    for name, dtype in (("compact", "float32"), ("half", "float16")):
        to = ("--out", folder / name, "--encoding", "compact", "--dtype", dtype)
        cmg("data", "import", folder / "plain", *to)
    simulated = Path("simulated")
    size = ("--fraction", 0.0003, "--map", 2, "--avs-fraction", 0, "--workers", 1)
    cmg("data", "simulate", simulated, "--widths", "video=8,audio=8,text=8", *size)
    to = ("--out", folder / "collection", "--only", "ave,vggsound40k", "--workers", 1)
    cmg("data", "import", simulated, *to)
    shutil.rmtree(simulated)


def train(name: str, job: Job) -> None:
    """Train a run, and keep of its checkpoints the first and the last."""
    run = Path("runs", name)
    named = [job.named] if job.named else []
    overrides = [f"data.store={job.store}", *SMALL, *job.overrides]
    cmg("pretrain", *named, *overrides, *job.options, "--out", run)
    for step in checkpoints(run)[1:-1]:
        shutil.rmtree(step)
    for file in sorted((run / "official").glob("*.pt"))[:-1]:
        file.unlink()


def checkpoints(run: Path) -> list[Path]:
    """Of a run, oldest first."""
    return sorted((run / "checkpoints").iterdir())


def resume(run: Path) -> None:
    """Take a run's last checkpoint away and train to it again."""
    shutil.rmtree(checkpoints(run)[-1])
    cmg("pretrain", "--out", run, "--resume")


def measured(run: Path, job: Job) -> dict[str, Any]:
    """What a head and the codes of a run say, by the newest checkpoint."""
    first, second = job.heads
    heads = ("--train-on", first, "--test-on", second, "--seeds", 1, "probe.epochs=3", "--json")
    probe = json.loads(cmg("probe", "--model", run, *heads))
    codes = encoded(run, job.read or job.store)
    return {"probe": probe, "codes": {name: codes[name] for name in list(codes)[:CLIPS]}}


def encoded(run: Path, store: str) -> dict[str, Any]:
    """Codes by clip and modality."""
    file = Path("codes.jsonl")
    cmg("encode", store, "--model", run, "--out", file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.unlink()
    return {line["id"]: line["codes"] for line in lines}


SEARCH = ("retrieve", "clip20", "--from", "audio", "--to", "video", "--model", "runs/defaults")


STUDY = """
title: Two variants
about: One with CMCM, one without.
reference: full
controls: []
variants:
  - {name: full, title: full recipe}
  - {name: no-cmcm, title: without CMCM, changes: {objectives.cmcm: null}}
"""


def study() -> None:
    """A finished study; it trains what is not in the folder yet."""
    Path("pair.yaml").write_text(STUDY)
    small = [*SMALL, "training.epochs=1", "model.temporal={kind: mlp, hidden: 8}", "probe.epochs=1"]
    small.append("method=full")  # which own-data had
    where = ("--data", "stores/seconds", "--base", "own-data", "--out", "study")
    cmg("study", "run", "pair.yaml", *where, "--seeds", 1, "--workers", 1, *small)
    Path("study/report.html").unlink()


def backbone_weights() -> dict[str, Any]:
    """Weights of the smallest backbone by a rule, so that they need not be kept."""
    import torch
    from transformers import PvtV2Backbone

    from cmg.segmentation.backbones import Backbone

    network = Backbone("pvt_v2_b0").network
    assert isinstance(network, PvtV2Backbone)
    for name, tensor in network.state_dict().items():
        plain = (torch.arange(tensor.numel()) * 37 + crc32(name.encode()) % 997) % 101 - 50
        tensor.copy_(plain.reshape(tensor.shape) / 1024 + (1 if tensor.ndim == 1 else 0))
    network.save_pretrained("backbone")
    return {f"backbone.network.{n}": x for n, x in network.state_dict().items()}


SEGMENT = [
    "evaluate", "avs", "--data", "framed", "--model", "runs/published", "--queries", "stores/whole",
    "--modalities", "audio", "--no-salient", "--backbone", "pvt_v2_b0", "--image-size", "32",
    "--backbone-weights", "backbone", "--freeze-backbone", "--channels", "4", "--stages", "3",
    "--epochs", "2", "--lr", "0.01", "--batch-size", "2", "--test-batch-size", "2",
    "--pictures", "0", "--no-tensorboard", "--out", "avs",
]  # fmt: skip


def with_backbone() -> None:
    """Put the backbone's weights, which are not kept, into the files of models and a folder."""
    from safetensors.torch import load_file, save_file

    weights = backbone_weights()
    for file in sorted(Path().glob("avs*/**/*.safetensors")):
        tensors = load_file(file)
        prefix = "model." if file.name == "training.safetensors" else ""
        save_file(tensors | {f"{prefix}{n}": x for n, x in weights.items()}, file)


def train_all(resumed: bool) -> None:
    """Train every run with its bits, or resume them, and say what is measured of them."""
    if not resumed:
        stores()
    found = {}
    for name, job in (RUNS | BITS).items():
        if resumed:
            resume(Path("runs", name))
        else:
            train(name, job)
        found[name] = measured(Path("runs", name), job)
    Path("measured.json").write_text(json.dumps(found, sort_keys=True))


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder to make, or with --resume to go on in")
    parser.add_argument("--resume", action="store_true", help="resume runs that were made")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=asked.resume)
    os.chdir(asked.out)  # runs name their stores relative to it
    train_all(asked.resume)
