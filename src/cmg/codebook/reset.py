"""Code reset: codes that nobody picks for a while restart near codes in use (paper section 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from cmg.options import Options

ResetDraw = Callable[[int, int, int], tuple[Tensor, Tensor]]
"""(codes to reset R, sources, D) -> source picks int64 [R] and noise [R, D]; where
segments of a row have noise of their own, D is the width of a row."""


class ResetOptions(Options):
    """When an idle code restarts, and from what.

    Attributes:
        enabled: Whether codes are reset at all.
        rule: ``any`` keeps a code that any modality picked within `patience` steps [as coded];
            ``all`` only one that every modality picked [paper].
        patience: Steps a code may stay idle; 300 in the paper.
        active: Codes idle for fewer steps than this are sources.
        source: ``codes`` copies an active code plus noise [as coded]; ``tokens`` takes a feature
            of the current batch, which a feature is sure to be near.
        noise: Half-width of the noise added to the source; its standard deviation if `spread` is
            ``normal``.
        spread: Whether that noise is ``uniform``, ``normal``, or ``constant``: minus the half-width
            everywhere, as in releases whose uniform draw has equal bounds [as coded in successors].
        unheard: Modalities whose picks keep no code from being reset [as coded in a successor:
            text]. A name that the model has not is passed over.
        reseed_stats: Also restart N and O of a reset code. As coded they are kept, and the next
            update rebuilds the old code from them unless a feature picks the new one at once.
    """

    enabled: bool = True
    rule: Literal["any", "all"] = "any"
    patience: int = Field(300, ge=1)
    active: int = Field(100, ge=1)
    source: Literal["codes", "tokens"] = "codes"
    noise: float = Field(1.0 / 1024.0, ge=0.0)
    spread: Literal["uniform", "normal", "constant"] = "uniform"
    unheard: tuple[str, ...] = ()
    reseed_stats: bool = True


def random_reset(
    generator: torch.Generator | None, noise: float, spread: str = "uniform"
) -> ResetDraw:
    """The draws of a training step: sources with replacement, and noise.

    Args:
        generator: Of the draws; None is torch's global one.
        noise: Half-width, or standard deviation.
        spread: See :class:`ResetOptions`.
    """

    def draw(resets: int, sources: int, width: int) -> tuple[Tensor, Tensor]:
        picks = torch.randint(sources, (resets,), generator=generator)
        if spread == "normal":
            return picks, torch.randn(resets, width, generator=generator) * noise
        if spread == "constant":
            return picks, torch.full((resets, width), -noise)
        return picks, (torch.rand(resets, width, generator=generator) * 2.0 - 1.0) * noise

    return draw


def heard_rows(modalities: Sequence[str], options: ResetOptions) -> list[int]:
    """Rows of idle counters of the modalities whose picks keep a code."""
    return [row for row, m in enumerate(modalities) if m not in options.unheard]


def idle_after(idle: Tensor, picked: Tensor, present: Sequence[bool]) -> Tensor:
    """Idle counters after a step: one more for every code, zero for the codes picked.

    Args:
        idle: int64 [M, K], one row per modality; -1 before the modality's first step.
        picked: Bool [M, K].
        present: Which modalities the step had; the clocks of the others stand still, since a
            modality that is not there cannot pick.

    Returns:
        int64 [M, K].
    """
    ticked = torch.stack(
        [row + 1 if there else row for row, there in zip(idle, present, strict=True)]
    )
    return ticked.masked_fill(picked, 0)


def idle_by_rule(idle: Tensor, rule: str) -> Tensor:
    """Idle steps of each code under a rule, [K]: the least (any) or the most (all) of its rows.

    Modalities that have not been seen yet (-1) have no say, unless none has been seen.
    """
    if rule == "all":
        return idle.amax(0)
    unseen = idle < 0
    return torch.where(
        unseen.all(0), -1, idle.masked_fill(unseen, torch.iinfo(idle.dtype).max).amin(0)
    )
