"""Heads that read some dimensions of code vectors: of a store, of benchmarks, and in commands."""

import torch

from cmg.codebook.dimensions import DimensionOptions, kept_dimensions
from cmg.config.schema import RunConfig
from cmg.decoders.heads import ProbeOptions
from cmg.evaluation.probe import Evaluation
from cmg.recipes.evaluate import evaluate


def test_heads_read_the_kept_dimensions_alone(paired, trained):
    """In the order in which they are kept; all modalities the same ones."""
    evaluation = Evaluation(trained, paired, "train", "test")
    options = ProbeOptions(dimensions=DimensionOptions(keep=6, largest=2, smallest=1))
    kept = kept_dimensions(trained.codebook, options.dimensions)
    for m, one in evaluation.encoded["test"].items():
        read = evaluation.labeled(evaluation.test, m, "class", options)
        assert torch.equal(read.features, one.codes[..., kept])
    assert evaluation.remarks == []
    scores = evaluation.transfer("class", options.model_copy(update={"epochs": 40, "lr": 0.02}))
    assert scores["test"]["audio->audio"].mean > 40.0  # of four classes, by 6 of 16 dimensions


def test_fewer_dimensions_than_asked_for_are_said_once(paired, trained):
    evaluation = Evaluation(trained, paired, "train", "test")
    fewer = DimensionOptions(keep=7, largest=2, smallest=1, as_coded=True)
    evaluation.transfer("class", ProbeOptions(epochs=1, dimensions=fewer))
    assert [line for line in evaluation.remarks if "6 of the 7 dimensions" in line] == (
        evaluation.remarks
    )
    assert len(evaluation.remarks) == 1


def test_the_unquantized_control_has_no_dimensions(paired, trained):
    """They are those of codes; the control reads what it read without them."""
    config = RunConfig.model_validate(
        {
            "data": {"store": str(paired.path)},
            "probe": {"epochs": 2, "dimensions": {"keep": 4}},
        }
    )
    plain = config.model_copy(update={"probe": ProbeOptions(epochs=2)})
    found, whole = evaluate(trained, config, 0), evaluate(trained, plain, 0)
    assert found.controls["continuous"] == whole.controls["continuous"]
    assert found.transfer != whole.transfer
