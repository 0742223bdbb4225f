"""Codebook size and epochs for a store of one's own, where none are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cmg.clips import open_clips, training_part
from cmg.config.load import override_config
from cmg.config.schema import RunConfig
from cmg.data.source import ClipSource

SIZE, EPOCHS = "model.codebook.size", "training.epochs"
TOKENS_PER_CODE = 100
SIZES = (16, 400)
"""Smallest and largest codebook; 400 is the paper's."""
STEPS = 1500
LEAST_EPOCHS, MOST_EPOCHS = 10, 200


def fitted(config: RunConfig, overrides: Sequence[str]) -> tuple[RunConfig, list[str]]:
    """A configuration with the sizes that its training clips suggest.

    One code per 100 steps of all modalities together, from 16 to 400 in sixteens; epochs that make
    about 1,500 steps, from 10 to 200. See docs/own-data.md.

    Args:
        config: Names the store.
        overrides: What the user asked for, ``key=value``; it stays.

    Returns:
        The configuration, and what was chosen, ``key=value``.

    Raises:
        CmgError: the store cannot be opened, or lacks the split.
    """
    given = {override.partition("=")[0] for override in overrides}
    store = open_clips(config.data)
    chosen = [f"{key}={value}" for key, value in sizes(store, config).items() if key not in given]
    return override_config(config, chosen), chosen


def sizes(store: ClipSource, config: RunConfig) -> dict[str, int]:
    """Codebook size and epochs for the training clips of a store."""
    split = training_part(store, config.data)
    names = config.data.modalities or tuple(store.modalities)
    tokens = sum(split.total_steps(m) for m in names)
    least, most = SIZES
    size = min(most, max(least, tokens // TOKENS_PER_CODE // 16 * 16))
    batches = max(1, len(split) // config.data.batch_size)
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, math.ceil(STEPS / batches)))
    return {SIZE: size, EPOCHS: epochs}
