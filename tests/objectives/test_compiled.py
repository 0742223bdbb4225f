"""Objectives as one graph of torch.compile, which gives what they give without."""

import pytest
import torch

from cmg.codebook import CodebookOptions, SharedCodebook
from cmg.objectives import (
    CMCM,
    CLUBGroup,
    Commitment,
    CrossCPC,
    Reconstruction,
    TeacherInfoNCE,
    assignment_loss,
    clip_info_nce,
    clip_margin,
    clip_sigmoid,
    cross_reconstruction_loss,
)


def features(seed):
    return torch.randn(6, 5, 16, generator=torch.Generator().manual_seed(seed))


Z = {"a": features(0), "b": features(1)}
BOOK = SharedCodebook(["a", "b"], 16, CodebookOptions(size=8), torch.Generator().manual_seed(2))
CODES = BOOK(Z).codes
OTHERS = dict.fromkeys("ab", torch.arange(5, -1, -1))
CPC, CLUB = CrossCPC(["a", "b"], 16), CLUBGroup(16, {"a": 16, "b": 16})
QUEUED = TeacherInfoNCE(None, ["a", "b"], 16)
COMMITMENT, CONTRAST, REBUILD = Commitment(), CMCM(), Reconstruction()
PARTS = {
    "commitment": lambda z: COMMITMENT(z, CODES),
    "cmcm": lambda z: CONTRAST(z, BOOK.distances),
    "reconstruction": lambda z: REBUILD(z, CODES),
    "club": lambda z: CLUB(z, CODES, None, OTHERS),
    "info_nce": clip_info_nce,
    "margin": clip_margin,
    "sigmoid": clip_sigmoid,
    "assignment": lambda z: assignment_loss(z, CODES, dict.fromkeys("ab", BOOK.codes)),
    "teachers": lambda z: QUEUED(z, CODES),
    "crossed": lambda z: cross_reconstruction_loss(z, CODES, lambda m, x: 2.0 * x),
}


@pytest.mark.parametrize("part", PARTS)
def test_one_graph(part):
    torch.compiler.reset()
    plain, compiled = (f(Z) for f in (PARTS[part], compile_whole(PARTS[part])))
    torch.testing.assert_close(compiled, plain)


def compile_whole(function):
    return torch.compile(function, fullgraph=True, backend="eager")


def test_an_lstm_keeps_cross_cpc_from_one_graph_and_not_from_running():
    torch.compiler.reset()
    with pytest.raises(Exception, match=r"LSTM|data-dependent"):
        compile_whole(CPC)(Z, None, 0.4)
    torch.compiler.reset()
    found = torch.compile(CPC, backend="eager")(Z, None, 0.4)
    torch.testing.assert_close(found.cross_cpc, CPC(Z, None, 0.4).cross_cpc)
