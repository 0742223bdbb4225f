"""Published builders: parameter counts of the official checkpoints, and the named runs."""

import pytest
import torch

from cmg.config.load import load_config
from cmg.models.published import published_model, published_options
from cmg.objectives import ObjectiveOptions, WeightedObjectives
from cmg.training.optimizer import OptimizerOptions

# Of the official files, without the unused template layer (789 760 per modality) in the encoder
# and the 141-class head (102 029 per modality) in the decoder, which never get a gradient:
#   audio-video-text  encoder 80 123 649 - 3 * 789 760, decoder 37 402 663 - 3 * 102 029
#   audio-video       encoder 77 622 785 - 2 * 789 760, decoder 37 103 514 - 2 * 102 029
#   audio-text        encoder  4 936 192 - 2 * 789 760, decoder    532 634 - 2 * 102 029
# Video-text has no file: it is audio-video-text less what audio adds, 1 645 568 and 131 456.
ENCODER = {
    "audio-video-text": 77_754_369,
    "audio-video": 76_043_265,
    "audio-text": 3_356_672,
    "video-text": 76_108_801,
}
DECODER = {
    "audio-video-text": 37_096_576,
    "audio-video": 36_899_456,
    "audio-text": 328_576,
    "video-text": 36_965_120,
}
TEXT_LSTM = 1_314_816
CPC = {2: 2_236_928, 3: 3_355_392}
CLUB = {"audio": 197_888, "video": 263_936, "text": 197_888}


def count(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


@pytest.fixture(scope="module")
def published():
    """Every builder's model, without memory behind its 80 million weights."""
    with torch.device("meta"):
        return {name: published_model(*name.split("-")) for name in ENCODER}


@pytest.mark.parametrize("name", list(ENCODER))
def test_parameters_are_those_of_the_official_files(published, name):
    model = published[name]
    modalities = name.split("-")
    assert list(model.modalities) == modalities
    assert count(model.semantic, model.detail) == ENCODER[name]
    assert count(model.decoder) == DECODER[name]
    assert count(model.tokens) == (TEXT_LSTM if "text" in modalities else 0)
    assert {n: tuple(x.shape) for n, x in model.codebook.named_buffers()} == {
        "codes": (400, 256),
        "counts": (400,),
        "sums": (400, 256),
        "idle": (len(modalities), 400),
    }


@pytest.mark.parametrize("name", list(ENCODER))
def test_objectives_are_those_of_the_official_files(published, name):
    modalities = list(published[name].modalities.values())
    with torch.device("meta"):
        objectives = WeightedObjectives(modalities, 256, ObjectiveOptions())
    assert count(objectives["cross_cpc"]) == CPC[len(modalities)]
    assert {m: count(net) for m, net in objectives["club"].nets.items()} == {
        m.name: CLUB[m.name] for m in modalities
    }


@pytest.mark.parametrize("name", [*ENCODER, "digits-published"])
def test_named_run_is_the_builder(name):
    """The YAML files spell out what the builders do: as coded, in every option."""
    config = load_config(name)
    model = config.model.model_dump(exclude={"detail_width", "token_hidden"})
    assert model == published_options().model_dump()
    as_coded = ObjectiveOptions.model_validate({"reconstruction": {"detach_token_target": False}})
    assert config.objectives == as_coded
    steps = {"kind": "multistep", "milestones": (10, 20, 30), "factor": 0.5}
    assert config.optimizer == OptimizerOptions.model_validate(
        {"lr": 4e-4, "clip": "per_part", "clip_norm": 0.5, "schedule": steps}
    )
    assert config.data.batch_size == 80
    assert config.probe.pooling == "max"
    assert config.probe.dropout_in_encoder


@pytest.mark.parametrize("name", list(ENCODER))
def test_named_run_has_the_builders_widths(published, name):
    config = load_config(name)
    for m, modality in published[name].modalities.items():
        assert config.model.detail_width[m] == modality.detail_width
        assert config.model.token_hidden.get(m, 128) == modality.token_hidden
    assert config.data.modalities == tuple(published[name].modalities)


def test_as_coded_options():
    options = published_options()
    assert options.spatial_pool == "sum"
    assert not options.mask_tokens
    assert options.temporal.model_dump() == {
        "kind": "transformer",
        "layers": 2,
        "heads": 4,
        "hidden": 1024,
        "dropout": 0.1,
        "skip": False,
        "input_dropout": 0.0,
        "shared": False,
    }
    assert options.codebook.model_dump() == {
        "size": 400,
        "kind": "shared",
        "start": "uniform",
        "distance": "euclidean",
        "first_code": "kept",
        "ema": {
            "decay": 0.99,
            "epsilon": 1e-5,
            "partner": "aligned",
            "own_weight": None,
            "update": "sequential",
            "smoothing": True,
            "initial_count": 0.0,
            "correction": False,
        },
        "reset": {
            "enabled": True,
            "rule": "any",
            "patience": 300,
            "active": 100,
            "source": "codes",
            "noise": 1 / 1024,
            "spread": "uniform",
            "unheard": (),
            "reseed_stats": False,
        },
    }
