"""Recorded contrasts: InfoNCE one way, and the masked one with its pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.golden.cases import Case
from cmg.golden.compare import SINGLE, Comparison
from cmg.golden.quantizer import modalities_in
from cmg.objectives.base import View
from cmg.objectives.info_nce import told_apart
from cmg.objectives.masked_contrast import (
    MaskedContrast,
    MaskedContrastOptions,
    adaptive_ratio,
    masked_contrast,
)
from cmg.types import Encoded, Steps

AS_CODED = {"symmetric": False, "masked": "zeros", "words": True, "rounded_mean": True}
"""How the masked contrast was recorded."""


def verify_told_apart(case: Case, comparison: Comparison) -> None:
    """The value with a masked query, and both gradients."""
    query = case.array("in/query").clone().requires_grad_()
    key = case.array("in/positive_key").clone().requires_grad_()
    masked = query * case.array("in/keep")[:, None]
    loss = told_apart(masked, key, float(case.setting("temperature"))).mean()
    comparison.check("out/loss", loss)
    comparison.check_gradients(loss, {"out/grad_query": query, "out/grad_positive_key": key})


def verify_masked_contrast(case: Case, comparison: Comparison) -> None:
    """Fine and coarse: every pair, the sums, and their gradients."""
    names = modalities_in(case.inputs, "")
    z = {m: case.array(f"in/{m}").clone().requires_grad_() for m in names}
    settings = {
        "ratio": case.setting("mask_prob"),
        "temperature": case.setting("temperature"),
    }
    options = MaskedContrastOptions.model_validate(settings | AS_CODED)
    draw, steps = case.array("in/keep"), Steps.of(z)
    term = MaskedContrast(options)
    term.name = "masked"
    pairs = masked_contrast(z, term.kept(z, steps, draw), steps, options)
    for official, grain in {"fine": "steps", "coarse": "clips"}.items():
        table = [[pairs[grain][m, n] for n in names] for m in names]  # type: ignore[index]
        comparison.check(f"out/pair_{official}", torch.stack([torch.stack(row) for row in table]))
    values = term.named(term.term(view_of(z, steps), draw)).values
    for official, grain in {"fine": "steps", "coarse": "clips"}.items():
        loss = values[f"masked/{grain}"]
        rounded = SINGLE if grain == "steps" else None  # its sum was taken in float32
        comparison.check(f"out/{official}", loss, rounded)
        comparison.check_gradients(loss, {f"out/grad_{official}/{m}": x for m, x in z.items()})


def view_of(z: dict[str, Tensor], steps: Steps) -> View:
    """A step that has these features and nothing else to tell."""
    first = next(iter(z.values()))
    book = SharedCodebook(list(z), first.shape[-1], CodebookOptions(size=2)).to(first.dtype)
    return View(Encoded({}, z, {}, {}, steps), book.lookup(z, steps), {}, book)


def verify_mask_ratio(case: Case, comparison: Comparison) -> None:
    """The mapping, of three scores and of one relative to the median."""
    middle = float(case.setting("mid_ratio"))
    comparison.check("out/ratios", adaptive_ratio(case.array("in/scores"), middle))
    single = case.array("in/values")[:, None]
    among = torch.cat([single, torch.ones_like(single), 2.0 - single], 1)  # its median is 1
    comparison.check("out/single", adaptive_ratio(among, middle)[:, 0])
