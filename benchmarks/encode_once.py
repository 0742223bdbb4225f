"""A clean AVE run, which encodes once, beside the release's way, which encodes in every epoch.

    python -m benchmarks.encode_once --json benchmarks/results/encode_once.json

Both in one process on the same features: maps and vectors at the paper's sizes, 64 random clips
over and over, 70 % zeros. The clean run is done whole: encode train, val and test in float32, train
a head per direction and seed for 30 epochs with selection on val, read both on test. Of the other,
which encodes the training clips in train mode and then all clips of both modalities in eval mode in
every epoch, in float64, a few epochs of one seed are timed, and multiplied.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.figures import Figure, Section, markdown
from cmg.data.about import About
from cmg.data.batches import permutation
from cmg.data.clips import Clips
from cmg.data.manifest import ClipRow, FeatureSpec, LabelSpec
from cmg.evaluation.frozen import FrozenData, Opened
from cmg.evaluation.training import HeadJob, HeadOptions
from cmg.models.published import PUBLISHED, published_model
from cmg.models.unified import UnifiedModel
from cmg.runs.folder import versions
from cmg.tasks.ave import AVE
from cmg.tasks.run import crossing_score
from cmg.types import Batch, Modality

TRAIN, HELD_OUT, CLASSES, STEPS = 3339, 402, 28, 10
EPOCHS, DIRECTIONS = 30, 2
TILE = 64


@dataclass(frozen=True)
class Tiles:
    """Features that repeat after :data:`TILE` clips; a :class:`~cmg.data.about.Read`."""

    features: dict[str, Tensor]

    def __call__(self, modality: str, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Features [B, T, *shape] and lengths."""
        found = self.features[modality][torch.from_numpy(clips % TILE)]
        return found, torch.full((len(clips),), STEPS)


def random_ave(clips: int) -> Clips:
    """AVE's shape: a class per clip of 28, in turn, and an event at every second.

    Args:
        clips: Of the training split; val and test keep their proportion.
    """
    rest = max(CLASSES, round(clips * HELD_OUT / TRAIN))
    splits = {"train": clips, "val": rest, "test": rest}
    rng = np.random.default_rng(0)
    modalities = audio_video_modalities()
    names = tuple(f"class {c}" for c in range(CLASSES))
    event = LabelSpec(classes=(*names, "background"), per="step", multiple=True)
    about = About(
        path=Path("random"),
        specs={
            m: FeatureSpec(kind=x.kind, shape=x.shape, step_seconds=1.0)
            for m, x in modalities.items()
        },
        labels={"category": LabelSpec(classes=names), "event": event},
        fingerprint=str,
        notes="random features",
    )
    lengths = dict.fromkeys(modalities, STEPS)
    of = [name for name, count in splits.items() for _ in range(count)]
    rows = (
        ClipRow(id=f"{i}", split=name, lengths=lengths, labels=labels_of(i % CLASSES))
        for i, name in enumerate(of)
    )
    tiles = {m: tile(rng, x.shape) for m, x in modalities.items()}
    return Clips.of_rows(about, rows, Tiles(tiles))


def labels_of(category: int) -> dict[str, int | list[int] | list[list[int]] | None]:
    """Labels of a clip whose event never ends."""
    return {"category": category, "event": [[category]] * STEPS}


def audio_video_modalities() -> dict[str, Modality]:
    """The paper's audio and video."""
    return {m: PUBLISHED[m]() for m in ("audio", "video")}


def tile(rng: np.random.Generator, shape: Sequence[int]) -> Tensor:
    """Random features of 64 clips, float32, at least 0, about 70 % of them 0."""
    x = rng.gamma(0.6, 1.0, (TILE, STEPS, *shape)).astype(np.float32)
    x[rng.random(x.shape) < 0.7] = 0.0
    return torch.from_numpy(x)


@dataclass
class Only:
    """A collection of one source."""

    source: Clips
    path: Path = Path("random")

    @property
    def names(self) -> list[str]:
        """AVE."""
        return ["ave"]

    def open(self, name: str) -> Clips:
        """The source."""
        return self.source


def random_model(source: Clips) -> UnifiedModel:
    """The published audio-video model, untrained, with codes among its features."""
    model = published_model("audio", "video").eval()
    batch = Batch({m: source.features(m, range(TILE))[0] for m in model.modalities})
    z = torch.cat([x.flatten(0, 1) for x in model.semantics(batch).values()])
    chosen = torch.from_numpy(permutation(len(z), 0)[: model.size])
    model.codebook.codes.copy_(z[chosen])
    return model


def clean_run(source: Clips, model: UnifiedModel, seeds: int) -> None:
    """The whole clean run."""
    plan = AVE().plan(FrozenData(Opened(Only(source)), model))
    crossing_score(plan, HeadOptions(epochs=EPOCHS), range(seeds))


class EachEpoch:
    """The release's way: features through the whole encoder whenever they are needed.

    Args:
        source: Of the clips.
        model: Its float64 copy is used.
    """

    def __init__(self, source: Clips, model: UnifiedModel) -> None:
        self.source = source
        self.model = copy.deepcopy(model).double()
        self.split = source.split("train")
        self.labels = self.split.label("category")

    def codes(self, modality: str, clips: Tensor, training: bool) -> Tensor:
        """Code vectors of a batch, [B, T, D]."""
        x, _ = self.source.features(modality, clips.numpy())
        self.model.train(training)
        with torch.no_grad():
            encoded = self.model.represent(Batch({modality: x.double()}), detail=False)
            return self.model.quantize(encoded).codes[modality]

    def run(self, epochs: int) -> None:
        """Both directions of one seed."""
        for modality in self.model.modalities:
            head = HeadJob(0, _Width(self.model), self.labels, CLASSES, {}).new_head(torch.float64)
            adam = torch.optim.Adam(head.parameters(), lr=4e-4)
            for epoch in range(epochs):
                order = torch.from_numpy(permutation(len(self.labels), 0, epoch))
                for some in torch.split(order, 80):
                    logits = head(self.codes(modality, some, True))
                    loss = torch.nn.functional.cross_entropy(logits, self.labels[some])
                    adam.zero_grad()
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(head.parameters(), 0.5)
                    adam.step()
                self.validate(head)

    @torch.no_grad()
    def validate(self, head: torch.nn.Module) -> list[float]:
        """Accuracy of both modalities on the training split, as published."""
        found = []
        for modality in self.model.modalities:
            right = 0
            for some in torch.split(torch.arange(len(self.labels)), 64):
                logits = head(self.codes(modality, some, False))
                right += int((logits.argmax(1) == self.labels[some]).sum())
            found.append(right / len(self.labels))
        return found


class _Width:
    """What a head has to know of its features."""

    def __init__(self, model: UnifiedModel) -> None:
        self.width = model.options.width


def timed(work: Callable[[], None]) -> dict[str, float]:
    """Seconds on the wall, and of CPU time, which other processes disturb less."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def measure(clips: int, epochs: int, seeds: int) -> dict[str, Any]:
    """Both ways, in seconds."""
    source = random_ave(clips)
    model = random_model(source)
    slow = EachEpoch(source, model)
    part = timed(lambda: slow.run(epochs))
    once = timed(lambda: clean_run(source, model, seeds))
    whole = {clock: seconds * EPOCHS / epochs * seeds for clock, seconds in part.items()}
    return {
        "clips": clips,
        "seeds": seeds,
        "epochs_timed": epochs,
        "each_epoch_timed": part,
        "each_epoch": whole,
        "encode_once": once,
        "ratio": {clock: whole[clock] / once[clock] for clock in once},
        "machine": versions(),
    }


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """Head training in both ways, on fewer clips than AVE has.

    Args:
        quick: A handful of clips, a single seed.
        repeats: Turns.
    """
    clips, seeds = (60, 1) if quick else (480, 3)
    turns = [measure(clips, 1, seeds) for _ in range(repeats or (1 if quick else 2))]
    rows = {
        "encoding in every epoch, one epoch of one seed": ("each_epoch_timed", "s"),
        "encoding in every epoch, multiplied": ("each_epoch", "s"),
        "encoding once, the whole run": ("encode_once", "s"),
        "faster": ("ratio", "times"),
    }
    found = {
        name: Figure.of([turn[key]["wall_s"] for turn in turns], unit)
        for name, (key, unit) in rows.items()
    }
    title = f"{clips} training clips, {DIRECTIONS} directions, {EPOCHS} epochs, {seeds} seed(s)"
    told = [[name, f"{figure.told()} {figure.unit}"] for name, figure in found.items()]
    settings = {"clips": clips, "seeds": seeds, "epochs": EPOCHS}
    return Section(found, markdown([title, "wall clock"], told), settings)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=TRAIN, help="training clips")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of the slow way to time")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.clips, given.epochs, given.seeds)
    print(
        f"{found['clips']} training clips, {DIRECTIONS} directions, {EPOCHS} epochs, "
        f"{found['seeds']} seeds, {found['machine']['threads']} thread(s); wall (CPU) seconds"
    )
    rows = {
        f"encoding in every epoch, {given.epochs} epochs of one seed": found["each_epoch_timed"],
        "encoding in every epoch, multiplied": found["each_epoch"],
        "encoding once, the whole run": found["encode_once"],
        "ratio": found["ratio"],
    }
    for name, value in rows.items():
        print(f"{name:48} {value['wall_s']:8.1f} ({value['cpu_s']:.1f})")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
