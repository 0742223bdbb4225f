"""Codes, losses and scores are those of full precision, whatever autocast or dtype they meet."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cmg.codebook import CodebookOptions, EMAOptions, ResetOptions, SharedCodebook
from cmg.codebook.distances import distance_to_codes, nearest_code, squared_gap
from cmg.codebook.ema import assign, mixed_features
from cmg.codebook.kmeans import kmeans
from cmg.codebook.measures import perplexity
from cmg.decoders.heads import ProbeOptions
from cmg.evaluation.metrics import clip_metrics, probabilities, step_metrics
from cmg.evaluation.probe import Labeled, accuracy, train_head
from cmg.evaluation.stack import clip_loss, exp_log_loss, step_loss
from cmg.objectives import (
    CrossCPC,
    CrossCPCOptions,
    cmcm_loss,
    commitment_loss,
    reconstruction_loss,
)
from cmg.objectives.club import CLUB, CLUBGroup, CLUBOptions
from cmg.objectives.cross_cpc import contrast, scores
from cmg.precision import full_precision
from cmg.retrieval.index import best_in_blocks, open_index
from cmg.retrieval.representation import Represented, similarity
from cmg.segmentation.metrics import ious
from cmg.segmentation.training import first_frame_loss, matching_loss
from cmg.types import Quantized, Steps

B, T, D, K = 12, 6, 24, 40
LOW = [torch.bfloat16, torch.float16]
WIDE = [torch.float32, torch.float64]


def drawn(*shape, seed=0, dtype=torch.float32):
    """Normal values that bfloat16 and float16 hold exactly, so that casting changes none."""
    g = torch.Generator().manual_seed(seed)
    return ((32.0 * torch.randn(shape, generator=g)).round() / 32.0).clamp(-4.0, 4.0).to(dtype)


def numbers(found) -> list[Tensor]:
    """Every tensor and number of a result."""
    if isinstance(found, Tensor):
        return [found.detach().double()]
    if isinstance(found, float | int):
        return [torch.tensor(float(found), dtype=torch.float64)]
    if isinstance(found, dict):
        found = list(found.values())
    elif not isinstance(found, list | tuple):
        found = [x for x in vars(found).values() if x is not None]
    return [x for part in found for x in numbers(part)]


def two(x):
    return {"a": x[: B // 2], "b": x[B // 2 :]}


STEPS = Steps(B // 2, T, None)
SHORT = Steps(B // 2, T, {m: torch.tensor([6, 1, 2, 6, 4, 5]) for m in "ab"})
CLASSES = torch.arange(B) % 5
CELLS = torch.nn.functional.one_hot(torch.arange(B * T) % 5, 5).view(B, T, 5)


def seeded(module: nn.Module, like: Tensor) -> nn.Module:
    """The module with the same weights every time, in the dtype that a caller would have."""
    g = torch.Generator().manual_seed(3)
    for p in module.parameters():
        p.data = torch.randn(p.shape, generator=g) * 0.3
    return module.to(like.dtype if like.dtype == torch.float64 else torch.float32)


def cpc(z, steps):
    module = CrossCPC(["a", "b"], D, CrossCPCOptions())
    return seeded(module, z)(two(z), steps, 0.4)


def bound(z):
    return seeded(CLUB(D, D, 16), z).estimate(z[:4], z[4:8], torch.tensor([1, 2, 3, 0]))


def likelihood(z):
    return seeded(CLUB(D, D, 16), z).negative_log_likelihood(z[:4], z[4:8])


LOSSES = {
    "cmcm": lambda z: cmcm_loss(two(z), z[:, 0], STEPS),
    "cmcm, ragged": lambda z: cmcm_loss(two(z), z[:, 0], SHORT),
    "commitment": lambda z: sum(commitment_loss(two(z), two(z.flip(0)), SHORT).values()),
    "reconstruction": lambda z: sum(reconstruction_loss(two(z), two(z.flip(0)), SHORT).values()),
    "cross_cpc": lambda z: cpc(z, STEPS).cross_cpc,
    "same_step_nce": lambda z: cpc(z, SHORT).same_step_nce,
    "contrast": lambda z: contrast(scores(z[:, 0], z[:, 1], None)),
    "club": bound,
    "club likelihood": likelihood,
    "explog": lambda z: exp_log_loss(z[..., :5], CELLS, z[0, 0, :5]),
    "clip_loss": lambda z: clip_loss(z[None, :, 0, :5], CLASSES[None]),
    "step_loss": lambda z: step_loss(z[None, ..., :5], CELLS[None].to(z), z[:1, 0, :5], None),
    "first_frame_loss": lambda z: first_frame_loss(z[:, None], z[:, None] > 0),
    "matching_loss": lambda z: matching_loss(
        z[:, :4, :, None] * z[:, :4, None, :6], [z.view(B, 6, 4, 3, 2)], [z[..., :6][:, :4]]
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_that_of_full_precision_and_has_its_gradient(name):
    loss, z = LOSSES[name], drawn(B, T, D, seed=1)
    plain = z.clone().requires_grad_()
    value = loss(plain)
    value.backward()
    for given in (torch.float32, *LOW):
        x = z.clone().to(given).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            found = loss(x)
        assert found.dtype == torch.float32
        assert torch.equal(found, value)
        found.backward()
        assert x.grad.dtype == given
        torch.testing.assert_close(x.grad.float(), plain.grad, rtol=1e-2, atol=1e-3)
        if given == torch.float32:
            assert torch.equal(x.grad, plain.grad)
        assert torch.equal(loss(z.to(given)), value)  # without autocast, in low precision
    with torch.autocast("cpu", torch.bfloat16):
        again = z.clone().requires_grad_()
        loss(again).backward()  # backward within autocast: torch's own products may be rounded
        assert loss(z.double()).dtype == torch.float64
    torch.testing.assert_close(again.grad, plain.grad, rtol=0.1, atol=0.02 * plain.grad.abs().max())


def book(z, **options):
    g = torch.Generator().manual_seed(4)
    return SharedCodebook(["a", "b"], D, CodebookOptions(size=K, **options), g).to(z.dtype)


def state_after(z, **options):
    """A codebook after a step in which every code restarts that was not picked."""
    wide = z.to(max(z.dtype, torch.float32, key=lambda d: d.itemsize))
    codebook = book(wide, reset=ResetOptions(patience=1, source="tokens"), **options)
    quantized = codebook.lookup(two(z), SHORT)
    codebook.idle.fill_(5)
    codebook.update(quantized, lambda r, n, d: (torch.arange(r) % n, torch.zeros(r, d)))
    return [codebook.codes, codebook.counts, codebook.sums, codebook.idle]


def looked_up(z) -> Quantized:
    wide = z.to(max(z.dtype, torch.float32, key=lambda d: d.itemsize))
    found = book(wide).lookup(two(z), SHORT)
    return [found.indices, found.codes, found.vectors]


def fitted(z):
    group = seeded(CLUBGroup(D, {"a": D, "b": D}, CLUBOptions(hidden=16)), z)
    adam = torch.optim.Adam(group.parameters(), 1e-2)
    nll = group.fit_nets(two(z), two(z.flip(0)), SHORT, adam, 3)
    return [nll, list(group.state_dict().values())]


def probed(z):
    data = Labeled(z, torch.ones(B, T, dtype=torch.bool), CLASSES, 5)
    head = train_head(data, ProbeOptions(epochs=3), seed=0)
    return [list(head.state_dict().values()), accuracy(head, data)]


def clips(z, by):
    x = z if by == "sequence" else z[:, 0]
    return Represented(by, x, torch.full((B,), T), tuple(map(str, range(B))))


def searched(z, by):
    found = open_index(clips(z, by)).search(clips(z.flip(0), by), 3)
    return [found.places, found.scores]


RESULTS = {
    "lookup": looked_up,
    "update": state_after,
    "update by attention": lambda z: state_after(z, ema=EMAOptions(partner="cross_attention")),
    "nearest_code": lambda z: nearest_code(z[0], z[:, 1], z[0, 0]),
    "distance_to_codes": lambda z: distance_to_codes(z, z[:, 0]),
    "squared_gap": lambda z: squared_gap(z[0], z[:, 0]),
    "mixed_features": lambda z: mixed_features(two(z), SHORT, "cross_attention"),
    "assign": lambda z: assign(torch.zeros(1, 600).long(), z[:1, :1].expand(1, 600, D), 2, None),
    "kmeans": lambda z: kmeans(z.flatten(0, 1), z[:, 0]),
    "perplexity": lambda z: perplexity(z[0].abs()),
    "CLUB's fit": fitted,
    "probe": probed,
    "similarity": lambda z: similarity(clips(z, "mean"), clips(z, "mean")),
    "alignment": lambda z: similarity(clips(z, "sequence"), clips(z, "sequence")),
    "search": lambda z: searched(z, "mean"),
    "search of sequences": lambda z: searched(z, "sequence"),
    "best_in_blocks": lambda z: list(vars(best_in_blocks(z[:, 0], z[:, 1], 4)).values()),
    "clip_metrics": lambda z: clip_metrics(z[:, 0, :5], CLASSES),
    "step_metrics": lambda z: step_metrics(z[..., :5] / 64, CELLS, False),
    "probabilities": lambda z: probabilities(z[..., :5].contiguous()),
    "ious": lambda z: ious(z / 512, z > 0),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_that_of_full_precision(name):
    function, z = RESULTS[name], drawn(B, T, D, seed=2)
    wanted = numbers(function(z))
    for given in (torch.float32, *LOW):
        for enabled in (True, False):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                found = numbers(function(z.to(given)))
            for x, y in zip(found, wanted, strict=True):
                assert torch.equal(x, y), (given, enabled)


def test_only_low_precision_is_widened_to_the_widest():
    seen = []

    @full_precision
    def look(*values, **named):
        seen.append([x.dtype for x in [*values, *named["more"].values()]])
        assert not torch.is_autocast_enabled("cpu")

    x = torch.ones(2)
    with torch.autocast("cpu", torch.bfloat16):
        look(x.half(), x.bfloat16(), more={"n": x.half()})
        look(x.half(), x, more={"n": x.double()})
        look(x.int(), more={"n": x.double()})
        assert torch.is_autocast_enabled("cpu")
    assert seen == [
        [torch.float32] * 3,
        [torch.float64, torch.float32, torch.float64],
        [torch.int32, torch.float64],
    ]


def test_a_module_in_low_precision_computes_in_it():
    club = CLUB(D, D, 16).bfloat16()
    z = drawn(4, T, D, dtype=torch.bfloat16)
    assert club.negative_log_likelihood(z, z).dtype == torch.bfloat16
