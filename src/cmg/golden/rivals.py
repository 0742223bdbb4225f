"""Recorded losses and codebooks of the methods that the paper is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.codebook.levels import ProductCodebook, ProductOptions
from cmg.codebook.measures import code_counts, perplexity
from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
from cmg.objectives.commitment import CommitmentOptions, commitment_loss
from cmg.objectives.info_nce import clip_info_nce
from cmg.objectives.margin import ClipMarginOptions, margin_loss


def verify_margin(case: Case, comparison: Comparison) -> None:
    """The contrast with a fixed margin, of recorded similarities."""
    score = case.array("in/similarity").clone().requires_grad_()
    loss = margin_loss(score, ClipMarginOptions(margin=float(case.setting("margin"))))
    comparison.check("out/loss", loss)
    comparison.check_gradients(loss, {"out/grad_similarity": score})


def verify_info_nce(case: Case, comparison: Comparison) -> None:
    """InfoNCE in one direction, of single vectors."""
    clips = {name: case.array(f"in/{name}").clone().requires_grad_() for name in ("query", "key")}
    loss = clip_info_nce(
        clips, temperature=float(case.setting("temperature")), directions="forward"
    )
    assert loss is not None
    comparison.check("out/loss", loss)
    comparison.check_gradients(loss, {f"out/grad_{name}": x for name, x in clips.items()})


ONE = "x"
"""What the modality of a codebook is called that was recorded with one."""


def verify_group_codes(case: Case, comparison: Comparison) -> None:
    """Groups of dimensions that share one codebook, with corrected averages.

    As coded, a group is looked up among codes that the groups before it have moved already. Here a
    lookup moves nothing, so groups are looked up and moved one after the other.
    """
    book = recorded_group_codes(case)
    options = CommitmentOptions(beta=float(case.setting("commitment")), form="own")
    step = 0
    while f"in/{step}/x" in case.arrays:
        x = case.array(f"in/{step}/x").clone().requires_grad_()
        vectors, losses, perplexities = [], [], []
        for group, one in enumerate(book.books):
            part = {ONE: book.part(x, group)}
            found = one.lookup(part)
            vectors.append(found.vectors[ONE])
            losses.append(commitment_loss(part, found.codes, found.steps, options)[ONE])
            counts = code_counts(found.indices[ONE], one.size, None)
            perplexities.append(perplexity(counts, 1e-6))
            one.update(found)
        quantized, loss = book.joined(vectors), torch.stack(losses).mean()
        comparison.check(f"out/{step}/quantized", quantized)
        comparison.check(f"out/{step}/loss", loss)
        comparison.check(f"out/{step}/perplexity", torch.stack(perplexities).mean())
        weighted = (quantized * case.array(f"in/{step}/weight")).sum()
        comparison.check_gradients(loss + weighted, {f"out/{step}/grad_x": x})
        comparison.check(f"out/{step}/embeddings", book.books[0].codes)
        step += 1
    last: Tensor = case.array(f"in/{step - 1}/x")
    comparison.check("out/eval_quantized", book.lookup({ONE: last}).codes[ONE])


def recorded_group_codes(case: Case) -> ProductCodebook:
    """A codebook in the recorded state, moving as coded."""
    options = ProductOptions.model_validate(
        {
            "size": int(case.setting("code_size")),
            "groups": int(case.setting("groups")),
            "shared": True,
            "start": "uniform",
            "ema": {
                "decay": float(case.setting("decay")),
                "partner": "none",
                "smoothing": True,
                "initial_count": 0.0,
                "correction": True,
            },
            "reset": {"enabled": False},
        }
    )
    book = ProductCodebook([ONE], int(case.setting("dim")), options).to(torch.float64)
    book.books[0].codes.copy_(case.array("param/embeddings"))
    return book
