"""Recorded losses and codebooks of the methods that the paper is compared with."""

from __future__ import annotations

from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
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
