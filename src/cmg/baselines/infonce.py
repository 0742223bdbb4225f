"""Symmetric InfoNCE at equal budget: a run without its codes and all that goes with them."""

from __future__ import annotations

from typing import Any

from cmg.config.load import override_config
from cmg.config.schema import RunConfig

CLIPS, STEPS = "clip_info_nce", "step_info_nce"
"""Keys of the two contrasts in `objectives`."""


def infonce_changes(config: RunConfig) -> dict[str, Any]:
    """What a run's configuration differs in from InfoNCE at equal budget, by dotted key.

    No codebook, and of the objectives only InfoNCE of clips on continuous features, and of steps
    where the run has it, as the run has them. All else stays: encoders, width, epochs, batch,
    optimizer, regularization, seed and heads.
    """
    given = config.objectives.model_dump(mode="json")
    terms: dict[str, Any] = dict.fromkeys(given)
    terms[CLIPS] = (given.get(CLIPS) or {}) | {"of": ("features",)}
    if given.get(STEPS):
        terms[STEPS] = given[STEPS] | {"of": ("features",)}
    changes = {"model.codebook.kind": "none", "objectives": terms}
    # Without codes there is no posterior; heads on "codes" then read the features.
    return changes | ({} if config.probe.features != "posterior" else {"probe.features": "codes"})


def infonce_config(config: RunConfig) -> RunConfig:
    """The configuration of symmetric InfoNCE at the budget of a run."""
    return override_config(config, changes=infonce_changes(config))


def is_infonce(config: RunConfig) -> bool:
    """Whether a run is symmetric InfoNCE itself."""
    return infonce_config(config) == config
