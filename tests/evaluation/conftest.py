"""A model trained for a moment on synthetic pairs, and stores for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.paired import paired_store

from cmg.data import Batches, Clips
from cmg.models.options import ModelOptions
from cmg.models.unified import UnifiedModel
from cmg.objectives import Draws, ObjectiveOptions
from cmg.training.optimizer import OptimizerOptions
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.types import Kind, Modality

AUDIO = Modality(name="audio", kind=Kind.VECTORS, shape=(12,), detail_width=8)
VIDEO = Modality(name="video", kind=Kind.MAPS, shape=(2, 2, 10), detail_width=8)
EEG = Modality(name="eeg", kind=Kind.VECTORS, shape=(5,), detail_width=8)

OPTIONS = ModelOptions.model_validate(
    {
        "width": 16,
        "temporal": {"kind": "mlp", "hidden": 32, "dropout": 0.1},
        "spatial_pool": "sum",
        "codebook": {
            "size": 16,
            "start": "samples",
            "ema": {"decay": 0.9},
            "reset": {"patience": 10, "active": 5, "source": "tokens"},
        },
    }
)

HARD = {"shared_noise": 1.5, "private_strength": 1.5}


@pytest.fixture(scope="session")
def paired(tmp_path_factory) -> Clips:
    """Audio and video that share the class of a clip; held-out clips are a draw of their own."""
    folder = tmp_path_factory.mktemp("paired") / "store"
    return paired_store(folder, [AUDIO, VIDEO], {"train": 160, "test": 120}, 4, 4, seed=3, **HARD)


@pytest.fixture
def ragged_store(tmp_path) -> Clips:
    """Lengths 1 .. 4, clips that lack modalities, labels per step."""
    return paired_store(
        tmp_path / "ragged",
        [AUDIO, VIDEO, EEG],
        {"train": 40, "test": 30},
        4,
        3,
        lengths=(1, 4),
        missing=0.5,
        per="step",
    )


@pytest.fixture(scope="session")
def trained(paired) -> UnifiedModel:
    """Unlabeled pre-training of 100 steps."""
    terms = {"reconstruction": None, "club": None, "cross_cpc": {"self_weight": 0.5}}
    state = TrainingState(
        [AUDIO, VIDEO],
        OPTIONS,
        ObjectiveOptions.model_validate(terms),
        OptimizerOptions.model_validate({"lr": 5e-3, "clip": "none"}),
    )
    batches = Batches(paired.split("train"), 40)
    generator = torch.Generator().manual_seed(0)
    first = state.model.semantics(batches.at(0, 0))
    tokens = {m: z.flatten(0, 1) for m, z in first.items()}
    state.model.codebook.start_from(tokens, generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for epoch in range(25):
            for batch in batches.epoch(epoch):
                names, steps = batch.modalities, batch.steps
                book = state.model.codebook
                draws = Draws.of_step(state.objectives, book, names, steps, lambda _: generator)
                pretraining_step(state, batch, draws)
    return state.model.eval()


@pytest.fixture
def untrained() -> Callable[..., UnifiedModel]:
    """A model of some modalities with spread codes."""

    def make(*modalities: Modality) -> UnifiedModel:
        model = UnifiedModel(modalities or (AUDIO, VIDEO), OPTIONS)
        codes = torch.randn(16, 16, generator=torch.Generator().manual_seed(1))
        model.codebook.codes.copy_(codes)
        return model.eval()

    return make


@pytest.fixture
def declared() -> dict[str, Modality]:
    """The modalities by name."""
    return {m.name: m for m in (AUDIO, VIDEO, EEG)}
