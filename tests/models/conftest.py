"""Small models of any modalities, batches for them, and training states."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor

from cmg.codebook import CodebookOptions, SharedCodebook
from cmg.models.options import ModelOptions
from cmg.models.unified import UnifiedModel
from cmg.objectives import Draws, ObjectiveOptions, WeightedObjectives, objectives
from cmg.training.optimizer import OptimizerOptions
from cmg.training.state import TrainingState
from cmg.types import Batch, Kind, Modality

SHAPES: dict[str, tuple[Kind, tuple[int, ...]]] = {
    "audio": (Kind.VECTORS, (6,)),
    "video": (Kind.MAPS, (5, 5, 4)),
    "text": (Kind.TOKENS, (7,)),
    "eeg": (Kind.VECTORS, (3,)),
    "depth": (Kind.MAPS, (2, 3, 2)),
}

SMALL = {
    "width": 8,
    "temporal": {"kind": "transformer", "heads": 2, "hidden": 16, "layers": 1, "dropout": 0.0},
    "codebook": {"size": 16, "start": "uniform", "ema": {"decay": 0.9}},
}


def declared(name: str) -> Modality:
    kind, shape = SHAPES[name]
    return Modality(name=name, kind=kind, shape=shape, detail_width=12, token_hidden=4)


def merged(base: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    both = dict(base)
    for key, value in changes.items():
        old = both.get(key)
        deeper = isinstance(old, dict) and isinstance(value, dict)
        both[key] = merged(old, value) if deeper else value
    return both


@pytest.fixture
def options() -> Callable[..., ModelOptions]:
    """Options of a small model; nested changes by keyword."""
    return lambda **changes: ModelOptions.model_validate(merged(SMALL, changes))


@pytest.fixture
def make_model(options: Callable[..., ModelOptions]) -> Callable[..., UnifiedModel]:
    """A small model in eval mode; its codes are spread out so that many are picked."""

    def make(names: Sequence[str] = ("audio", "video"), seed: int = 0, **changes: object):
        model = UnifiedModel([declared(n) for n in names], options(**changes), seed).eval()
        with torch.no_grad():
            model.codebook.codes.copy_(torch.randn(16, 8, generator=generator(seed)))
        return model

    return make


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Random features, zero where a step does not exist."""

    def make(
        names: Sequence[str] = ("audio", "video"),
        clips: int = 4,
        steps: int = 5,
        lengths: dict[str, Sequence[int]] | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> Batch:
        g = generator(seed)
        features = {n: torch.randn(clips, steps, *SHAPES[n][1], generator=g) for n in names}
        told = None if lengths is None else {m: torch.tensor(n) for m, n in lengths.items()}
        for m, reach in (told or {}).items():
            features[m][torch.arange(steps)[None] >= reach[:, None]] = 0
        return Batch({m: x.to(dtype) for m, x in features.items()}, told)

    return make


@pytest.fixture
def make_state(options: Callable[..., ModelOptions]) -> Callable[..., TrainingState]:
    """A small training state."""

    def make(
        names: Sequence[str] = ("audio", "video"),
        objectives: dict[str, object] | None = None,
        optimizer: dict[str, object] | None = None,
        precision: str = "float32",
        seed: int = 0,
        **changes: object,
    ) -> TrainingState:
        return TrainingState(
            [declared(n) for n in names],
            options(**changes),
            ObjectiveOptions.model_validate({"club": {"hidden": 8}} | (objectives or {})),
            OptimizerOptions.model_validate({"lr": 1e-2} | (optimizer or {})),
            precision,
            seed,
        )

    return make


@pytest.fixture
def draw() -> Callable[..., Draws]:
    """The draws of a step of the paper's terms."""
    none = WeightedObjectives([], 1, ObjectiveOptions.model_validate(dict.fromkeys(objectives)))
    book = SharedCodebook(["any"], 1, CodebookOptions(size=2))

    def drawn(batch: Batch, seed: int = 0) -> Draws:
        one = generator(seed)
        return Draws.of_step(none, book, batch.modalities, batch.steps, lambda _: one)

    return drawn


@pytest.fixture
def snapshot() -> Callable[[TrainingState], dict[str, Tensor]]:
    """A copy of all that a step may change: weights, codebook, both optimizers."""

    def copy(state: TrainingState) -> dict[str, Tensor]:
        kept = {f"model.{n}": x.clone() for n, x in state.model.state_dict().items()}
        kept |= {f"objectives.{n}": x.clone() for n, x in state.objectives.state_dict().items()}
        for name, adam in {"main": state.optimizer, **state.inner}.items():
            for index, moments in adam.state_dict()["state"].items():
                kept |= {f"{name}.{index}.{n}": x.clone() for n, x in moments.items()}
        return kept

    return copy


@pytest.fixture(autouse=True)
def _global_seed() -> Iterator[None]:
    """Dropout draws from the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
