"""What is measured: published builders and the demo, on random features of their shapes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from cmg.codebook.kinds import build_quantizer
from cmg.config.load import load_config
from cmg.config.schema import RunConfig
from cmg.encoders.detail import MapTail
from cmg.models.published import PUBLISHED
from cmg.objectives import Draws, ObjectiveOptions, WeightedObjectives, objectives
from cmg.runs.folder import versions
from cmg.training.options import Precision
from cmg.training.state import TrainingState
from cmg.types import Batch, Kind, Modality

DEMO = "demo"
SIZES = (DEMO, "audio-video", "audio-text", "video-text", "audio-video-text")
"""Names of the sizes: the demo (``digits`` with ``method=light``) and the published models."""


@dataclass(frozen=True)
class Case:
    """A model with its options, and the extent of a batch.

    Attributes:
        name: Of the size.
        modalities: Declarations.
        config: Options of model, objectives and optimizer.
        batch: B.
        length: T.
    """

    name: str
    modalities: list[Modality]
    config: RunConfig
    batch: int
    length: int = 10

    def state(self, precision: Precision = "float32") -> TrainingState:
        """A fresh training state; the same weights in every precision."""
        config = self.config
        state = TrainingState(
            self.modalities, config.model, config.objectives, config.optimizer, precision
        )
        state.model.train()
        return state

    def features(self, state: TrainingState) -> Batch:
        """A complete batch of standard normal features in the dtype of `state`."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch, self.length)
        features = {
            m.name: torch.randn(*shape, *m.shape, generator=generator) for m in self.modalities
        }
        return Batch(features).to("cpu", state.model.dtype)

    def draws(self, batch: Batch, seed: int, private_steps: int | None = None) -> Draws:
        """The random choices of step `seed`, the same in every variant; also seeds dropout."""
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        none = ObjectiveOptions.model_validate(dict.fromkeys(objectives))
        terms, names = WeightedObjectives([], 1, none), batch.modalities
        book = build_quantizer(names, 1, self.config.model.codebook)
        return Draws.of_step(terms, book, names, batch.steps, lambda _: generator, private_steps)


@dataclass
class Sizes:
    """Departures from a size's own numbers.

    Attributes:
        batch: B.
        length: T.
        codes: K; None keeps the size's own.
        overrides: Dotted configuration keys, for tests.
    """

    batch: int = 80
    length: int = 10
    codes: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def case_of(name: str, sizes: Sizes | None = None) -> Case:
    """The case of a size.

    Args:
        name: One of :data:`SIZES`.
        sizes: Batch, steps and codes.
    """
    sizes = sizes or Sizes()
    given = dict(sizes.overrides)
    if sizes.codes is not None:
        given["model.codebook.size"] = sizes.codes
    overrides = [f"{key}={value}" for key, value in given.items()]
    preset, method = ("digits", "light") if name == DEMO else (name, None)
    config = load_config(preset, overrides, method=method)
    modalities = demo_modalities(config) if name == DEMO else published_modalities(name)
    return Case(name, modalities, config, sizes.batch, sizes.length)


def lean(case: Case, tail: MapTail = "narrow") -> Case:
    """The case with the lean private path of maps."""
    model = case.config.model.model_copy(update={"map_detail": "lean", "map_tail": tail})
    return replace(case, config=case.config.model_copy(update={"model": model}))


def with_maps(case: Case, channels: int) -> Case:
    """The case with maps of one's own: C channels and the default detail width."""
    modalities = [
        Modality(name=m.name, kind=m.kind, shape=(*m.shape[:2], channels))
        if m.kind is Kind.MAPS
        else m
        for m in case.modalities
    ]
    return replace(case, name=f"{case.name}, C {channels}", modalities=modalities)


def narrowed(case: Case, divisor: int) -> Case:
    """The case with all detail widths divided, for quick runs."""
    modalities = [
        m.model_copy(update={"detail_width": max(1, m.detail_width // divisor)})
        for m in case.modalities
    ]
    return replace(case, modalities=modalities)


def demo_modalities(config: RunConfig) -> list[Modality]:
    """The modalities of the embedded digits set, with the run's widths."""
    shapes: dict[str, tuple[Kind, tuple[int, ...]]] = {
        "audio": (Kind.VECTORS, (128,)),
        "video": (Kind.MAPS, (4, 4, 64)),
        "text": (Kind.TOKENS, (96,)),
    }
    model = config.model
    return [
        Modality(
            name=name,
            kind=kind,
            shape=shape,
            detail_width=model.detail_width.get(name, 256),
            token_hidden=model.token_hidden.get(name, 128),
        )
        for name, (kind, shape) in shapes.items()
    ]


def published_modalities(name: str) -> list[Modality]:
    """The modalities of a published model."""
    return [PUBLISHED[m]() for m in name.split("-")]


FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Instructions that decide how fast a matrix product is."""


def machine() -> dict[str, Any]:
    """Versions, processor, memory, threads and load, for results."""
    facts = versions()
    cpu = dict(_pair(line) for line in reversed(_lines("/proc/cpuinfo")) if ":" in line)
    memory = dict(_pair(line) for line in _lines("/proc/meminfo"))
    flags = cpu.get("flags", "").split()
    parallel = torch.__config__.parallel_info().splitlines()
    return facts | {
        "processor": cpu.get("model name", facts["processor"]),
        "instructions": [flag for flag in FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory.get("MemTotal", "0 kB").split()[0]) / 2**20, 1),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "parallel": [line.strip() for line in parallel if line.strip()],
        "revision": revision(),
        "load": [round(x, 2) for x in os.getloadavg()],
        "cuda": torch.cuda.is_available(),
    }


def revision() -> str | None:
    """The commit of the working tree, with ``-dirty`` where it was changed; None outside git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip() or None


def machine_line(facts: Mapping[str, Any]) -> str:
    """The machine in one line."""
    packages = facts["packages"]
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} thread(s), "
        f"load {facts['load'][0]}; torch {packages['torch']}, Python {facts['python']}, "
        f"{facts['platform']}"
    )


def _pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
