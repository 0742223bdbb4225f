"""The looped float64 baseline gives the numbers of the step it is compared with."""

import pytest
import torch
from benchmarks.cases import Sizes, case_of
from benchmarks.looped import LoopedTraining

from cmg.training.step import pretraining_step

SMALL = {
    "model.codebook.size": 12,
    "model.codebook.reset.patience": 1,
    "model.codebook.reset.active": 1,
}
AS_CODED = SMALL | {"model.width": 16, "model.temporal.hidden": 8}
EVERYTHING = SMALL | {
    "objectives.reconstruction": "{}",
    "objectives.club": "{}",
    "objectives.cross_cpc.prediction_steps": 2,
    "model.codebook.reset.rule": "all",
    "optimizer.clip": "global",
}
CASES = [
    pytest.param("audio-text", AS_CODED, id="as-coded"),
    pytest.param("demo", SMALL, id="demo"),
    pytest.param("demo", EVERYTHING, id="every-term-three-modalities"),
]


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_equals_the_step(name, overrides):
    """Three steps with dropout: every logged value, the codebook and the weights."""
    case = case_of(name, Sizes(batch=6, length=5, overrides=overrides))
    ours, looped = case.state("float64"), LoopedTraining(case.state("float64"))
    book, resets = ours.model.codebook, []
    batch = case.features(ours)
    for seed in range(3):
        log = pretraining_step(ours, batch, recorded(case.draws(batch, seed), resets))
        plain = looped.step(batch, case.draws(batch, seed))
        share = plain.pop("clip_agreement")  # a float32 in our log
        assert share == pytest.approx(log.pop("clip_agreement"), rel=1e-6)
        assert plain == pytest.approx(log, rel=1e-9, abs=1e-12)
        close(looped.book.codes, book.codes)
        close(looped.book.sums, book.sums)
        close(torch.tensor(looped.book.counts, dtype=torch.float64), book.counts)
        assert [looped.book.idle[m] for m in book.modalities] == book.idle.tolist()
    assert resets  # codes were reset, or that part was not compared
    named = dict(looped.state.named_parameters())
    for key, p in ours.named_parameters():
        # Adam turns the rounding noise of gradients that are zero into steps of its rate.
        if not ("predictors" in key and key.endswith("bias")) and "in_proj_bias" not in key:
            close(named[key], p, message=key)


def recorded(draws, resets):
    """The same draws; how many codes they reset is appended to `resets`."""
    draw = draws.reset

    def record(count, sources, width):
        resets.append(count)
        return draw(count, sources, width)

    draws.reset = record
    return draws


def close(found, expected, message=None):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11, msg=message)
