"""Codebook size and epochs for a store of one's own, where none are asked for."""

from __future__ import annotations

import math

from cmg.clips import training_part
from cmg.config.schema import RunConfig
from cmg.data.clips import Clips

TOKENS_PER_CODE = 10
SIZES = (16, 2048)
"""Smallest and largest codebook."""
STEPS = 1500
LEAST_EPOCHS, MOST_EPOCHS = 10, 200


def sizes(store: Clips, config: RunConfig) -> dict[str, int]:
    """Codebook size and epochs for the training clips of a store, by configuration key.

    One code per 10 steps of all modalities together, from 16 to 2048 in sixteens; epochs that make
    about 1,500 steps, from 10 to 200. See docs/own-data.md. A quantizer of a kind that has no size
    gets none.

    Raises:
        DataError: the store lacks the split.
    """
    split = training_part(store, config.data)
    names = config.data.modalities or tuple(store.modalities)
    tokens = sum(split.total_steps(m) for m in names)
    least, most = SIZES
    size = min(most, max(least, tokens // TOKENS_PER_CODE // 16 * 16))
    batches = max(1, len(split) // config.data.batch_size)
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, math.ceil(STEPS / batches)))
    sized = "size" in type(config.model.codebook).model_fields
    return ({"model.codebook.size": size} if sized else {}) | {"training.epochs": epochs}
