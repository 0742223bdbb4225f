"""Small data sets in the shape of the official ones, a collection of them, and models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cmg.config.load import to_yaml
from cmg.config.schema import RunConfig
from cmg.data import Clip, Clips, FeatureSpec, LabelSpec, StoreWriter, open_store
from cmg.models.options import ModelOptions
from cmg.models.saving import MODEL
from cmg.models.unified import UnifiedModel
from cmg.recipes.evaluate_tasks import evaluate_tasks
from cmg.runs.checkpoint import Checkpoint, Position, checkpoint_folder, write_checkpoint
from cmg.saved import flat
from cmg.tasks import benchmark
from cmg.types import Kind, Modality

STEPS, CONCEPTS = 10, 5
AUDIO = Modality(name="audio", kind=Kind.VECTORS, shape=(6,), detail_width=4)
VIDEO = Modality(name="video", kind=Kind.MAPS, shape=(2, 2, 5), detail_width=4)
SPECS = {
    "audio": FeatureSpec(kind=Kind.VECTORS, shape=(6,), step_seconds=1.0),
    "video": FeatureSpec(kind=Kind.MAPS, shape=(2, 2, 5), step_seconds=1.0),
}
OPTIONS = ModelOptions.model_validate(
    {
        "width": 8,
        "temporal": {"kind": "transformer", "layers": 1, "heads": 2, "hidden": 16, "dropout": 0.1},
        "codebook": {"size": 24, "start": "uniform"},
    }
)
NAMES = ["Cat", "Dog, barking", "Banjo", "Truck", "Flute"]


class Folder:
    """A collection: stores by name."""

    def __init__(self, path: Path, stores: dict[str, Clips]) -> None:
        self.path = path
        self.stores = stores
        self.opened: list[str] = []

    @property
    def names(self) -> list[str]:
        return list(self.stores)

    def open(self, name: str) -> Clips:
        self.opened.append(name)
        return self.stores[name]


def features(rng, concept, modalities=("audio", "video"), steps=STEPS):
    """Features in which a concept can be told apart, step by step; -1 is background."""
    directions = np.random.default_rng(7).normal(0, 2.0, (CONCEPTS + 1, 6))
    made = {}
    for m in modalities:
        shape = SPECS[m].shape
        base = directions[np.asarray(concept)][:, : shape[-1]]
        base = base.reshape(steps, *[1] * (len(shape) - 1), shape[-1])
        made[m] = (base + rng.normal(0, 0.5, (steps, *shape))).astype(np.float32)
    return made


def event(rng, concept):
    """A concept per step, -1 for background, and the multi-hot indices of it."""
    start, length = int(rng.integers(0, 4)), int(rng.integers(3, 7))
    concepts = [concept if start <= t < start + length else -1 for t in range(STEPS)]
    return concepts, [[c if c >= 0 else CONCEPTS] for c in concepts]


def ave_store(path: Path, counts=None, **change) -> Clips:
    """AVE: 5 categories, one event per clip, splits; the first three are shared with AVVP."""
    rng = np.random.default_rng(0)
    classes = tuple(NAMES)
    labels = {
        "category": LabelSpec(classes=classes),
        "event": LabelSpec(classes=(*classes, "background"), per="step", multiple=True),
        "shared": LabelSpec(classes=(*NAMES[:3], "background"), per="step", multiple=True),
    }
    with StoreWriter(path, SPECS, labels) as writer:
        number = 0
        for split, count in (counts or {"train": 40, "val": 15, "test": 15}).items():
            for i in range(count):
                concept = change.get("only", i % CONCEPTS)
                steps, events = event(rng, concept)
                shared = [[c[0]] if c[0] < 3 else [3] for c in events] if concept < 3 else None
                values = {"category": concept, "event": events, "shared": shared}
                video = f"video{number:06d}" if number != 50 else "video000000"
                writer.add(
                    Clip(
                        f"ave-{number:05d}",
                        split,
                        features(rng, steps),
                        values,
                        {"video_id": video, "row": number},
                    )
                )
                number += 1
    return open_store(path)


def avvp_store(path: Path, counts=None) -> Clips:
    """AVVP: events seen and heard; some clips are in one list only, some in no split list."""
    rng = np.random.default_rng(1)
    multiple = {"per": "step", "multiple": True}
    every = LabelSpec(classes=(*NAMES, "background"), **multiple)
    shared = LabelSpec(classes=(*NAMES[:3], "background"), **multiple)
    labels = {
        "audio": every,
        "visual": every,
        "shared_audio": shared,
        "shared_visual": shared,
    }
    counts = counts or {"val": 30, "test": 35, "unlisted": 3}
    with StoreWriter(path, SPECS, labels) as writer:
        number = 0
        for split, count in counts.items():
            for i in range(count):
                concept = i % CONCEPTS
                steps, events = event(rng, concept)
                few = [[c[0]] if c[0] < 3 else [3] for c in events] if concept < 3 else None
                seen = None if i % 11 == 10 else events
                values = {
                    "audio": events,
                    "visual": seen,
                    "shared_audio": few,
                    "shared_visual": None if seen is None else few,
                }
                video = "video000003" if number == 31 else f"avvp{number:07d}"
                name = f"{video}_0_10"
                writer.add(Clip(name, split, features(rng, steps), values, {"video_id": video}))
                number += 1
    return open_store(path)


def vgg_store(path: Path, clips=60) -> Clips:
    """VGGSound: a part of it shares classes with UCF101."""
    rng = np.random.default_rng(2)
    labels = {"ucf_vgg": LabelSpec(classes=tuple(NAMES))}
    splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    with StoreWriter(path, SPECS, labels) as writer:
        for order in ("train", "test", "val"):
            for number in range(clips):
                split = splits[(number // CONCEPTS) % 10]
                if split != order:
                    continue
                concept = number % CONCEPTS
                video = f"vggs{number:07d}" if number != 1 else "video000060"
                listed = number % 6 != 5
                meta = {"video_id": video} | ({"ucf_split": split} if listed else {})
                values = {"ucf_vgg": concept if listed else None}
                writer.add(Clip(video, split, features(rng, [concept] * STEPS), values, meta))
    return open_store(path)


def ucf_store(path: Path, name="v_Class{concept}_g{group:02d}_c01") -> Clips:
    """UCF101: video only, 25 groups."""
    rng = np.random.default_rng(3)
    labels = {"ucf_vgg": LabelSpec(classes=tuple(NAMES))}
    with StoreWriter(path, {"video": SPECS["video"]}, labels) as writer:
        for group in range(1, 26):
            for concept in range(CONCEPTS):
                made = features(rng, [concept] * STEPS, ("video",))
                clip = name.format(concept=concept, group=group)
                writer.add(Clip(clip, "all", made, {"ucf_vgg": concept}, {"video_id": clip}))
    return open_store(path)


@pytest.fixture(scope="session", autouse=True)
def short_heads():
    """Clean heads are not trained for longer on few clips, and these are what the paper has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "LEAST_STEPS", 0)
        for entry in benchmark.benchmarks.values():
            patch.setattr(entry.part, "scored", ())
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Folder:
    """The four data sets."""
    path = tmp_path_factory.mktemp("data")
    stores = {
        "vggsound40k": vgg_store(path / "vggsound40k"),
        "ave": ave_store(path / "ave"),
        "avvp": avvp_store(path / "avvp"),
        "ucf101": ucf_store(path / "ucf101"),
    }
    return Folder(path, stores)


def make_model(*modalities: Modality, seed: int = 0) -> UnifiedModel:
    """A model whose codes are semantic features of audio, so that codes mean something."""
    model = UnifiedModel(modalities or (AUDIO, VIDEO), OPTIONS, seed).eval()
    rng = np.random.default_rng(5)
    with torch.no_grad():
        made = features(rng, rng.integers(0, CONCEPTS + 1, STEPS * 8) - 1, steps=STEPS * 8)
        x = torch.from_numpy(made["audio"])[None]
        if "audio" in model.modalities:
            z = model.semantic["audio"](x, None)[0]
            model.codebook.codes.copy_(z[: model.size])
    return model


@pytest.fixture
def model() -> UnifiedModel:
    return make_model()


def write_run(path: Path, model: UnifiedModel, epochs=(1,), data_hash="0" * 64, **data) -> Path:
    """A run folder with checkpoints after the given epochs."""
    config = RunConfig.model_validate({"data": data, "model": OPTIONS.model_dump()})
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.yaml").write_text(to_yaml(config))
    for epoch in epochs:
        position = Position(epoch * 10, epoch)
        folder = checkpoint_folder(path, position)
        described = Checkpoint(folder, config, list(model.modalities.values()), position, data_hash)
        write_checkpoint(described, {MODEL: flat(model)})
    return path


@pytest.fixture
def make_options() -> ModelOptions:
    """A small model's options."""
    return OPTIONS


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run with checkpoints after epochs 1, 3 and 30."""
    path = tmp_path_factory.mktemp("run") / "run"
    return write_run(path, make_model(), (1, 3, 30), store="COLLECTION", list="40k")


@pytest.fixture(scope="session")
def early(tmp_path_factory):
    """A run with a checkpoint after epoch 28, so that published heads of AVE get two epochs."""
    path = tmp_path_factory.mktemp("early") / "run"
    return write_run(path, make_model(), (28,), store="COLLECTION", list="40k")


@pytest.fixture(scope="session")
def everything(folder, early):
    """All benchmarks by both protocols, two seeds."""
    return evaluate_tasks(folder, early, seeds=2)


def outcome_of(results, benchmark, protocol):
    return next(
        o for o in results.outcomes if (o.benchmark.name, o.protocol) == (benchmark, protocol)
    )
