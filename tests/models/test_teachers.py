"""Teachers: what they are, how they follow, and what is refused."""

import pytest
import torch

from cmg.errors import ConfigError
from cmg.training.step import pretraining_step

NAMES = ("audio", "text")
TAUGHT = {"assignment": {}, "teacher_info_nce": {"queue": 6}}


def weights(parts):
    return {n: p.detach().clone() for n, p in torch.nn.ModuleList(parts).named_parameters()}


@pytest.mark.parametrize("shared", [False, True])
def test_a_teacher_follows_its_encoders_and_nothing_else_moves_it(
    make_state, make_batch, draw, shared
):
    changes = {"teacher": 0.75, "temporal": {"shared": shared, "dropout": 0.5}}
    state = make_state(NAMES, TAUGHT, **changes)
    model, batch = state.model, make_batch(NAMES, lengths={"audio": [5, 4, 0, 1], "text": [2] * 4})
    before = weights([model.teacher.tokens, model.teacher.semantic])
    students = weights([model.tokens, model.semantic])
    assert all(torch.equal(x, students[n]) for n, x in before.items())
    assert not {n for n, _ in state.named_parameters() if "teacher" in n}
    for _ in range(3):
        pretraining_step(state, batch, draw(batch))
        students = weights([model.tokens, model.semantic])
        after = weights([model.teacher.tokens, model.teacher.semantic])
        for n, x in after.items():
            torch.testing.assert_close(x, 0.75 * before[n] + 0.25 * students[n])
        before = after
    assert not all(torch.equal(x, students[n]) for n, x in after.items())
    assert state.objectives["teacher_info_nce"].written.tolist() == [6 + 3, 3 * 4]


def test_a_teacher_has_no_dropout_and_no_gradient(make_state, make_batch):
    state = make_state(NAMES, TAUGHT, teacher=0.9, temporal={"dropout": 0.5})
    batch = make_batch(NAMES)
    state.model.train()
    assert not state.model.teacher.training
    encoded = state.represent(batch)
    for m, z in encoded.taught.items():
        assert not z.requires_grad
        torch.testing.assert_close(z, state.model.semantics(batch)[m])
        assert not torch.equal(z, encoded.semantic[m])
    assert state.model.represent(batch).taught == {}


def test_teachers_that_are_not_there_are_named(make_state):
    with pytest.raises(ConfigError, match=r"assignment needs teachers.*set model\.teacher=0\.995"):
        make_state(NAMES, TAUGHT)


def test_gradient_moves_learned_codes_and_lookup_has_none(make_state, make_batch, draw):
    book = {"kind": "learned", "distance": "cosine", "reset": {"enabled": False}}
    none = dict.fromkeys(("cmcm", "club", "cross_cpc", "reconstruction"))
    batch, found = make_batch(NAMES), {}
    for name, terms in (("with", TAUGHT), ("without", {})):
        plain = {"size": 16, "start": "uniform"}
        state = make_state(
            NAMES, none | terms, teacher=0.9, codebook=plain | book | {"ema": {"decay": 0.99}}
        )
        before = state.model.codebook.codes.detach().clone()
        assert not any(
            e.requires_grad for e in state.model.quantize(state.represent(batch)).codes.values()
        )
        log = pretraining_step(state, batch, draw(batch))
        found[name] = (state.model.codebook.codes - before).abs().amax().item()
        assert ("gradient_norm/all" in log) is True
    assert 0 < found["with"] <= 1e-2 * 1.001
    assert found["without"] == 0


def test_learned_codes_follow_no_averages(make_model):
    with pytest.raises(ValueError, match=r"leave it out, or set model\.codebook\.kind=shared"):
        make_model(codebook={"kind": "learned", "ema": {"partner": "none"}})
