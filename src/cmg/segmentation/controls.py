"""Controls that tell how much the query does.

``shuffled``: every clip is asked by the query of another clip, of another category where categories
are known. ``zero``: every query is the zero vector. The third, a model that never had a query, is
trained with ``by_query`` off: it finds what is salient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from cmg.data.batches import permutation
from cmg.data.frames import FramedClip
from cmg.errors import DataError
from cmg.segmentation.training import AskedBy

Change = Callable[[list[str], Tensor], Tensor]


def other_clips(clips: Sequence[FramedClip], seed: int) -> dict[str, str]:
    """For every clip another one, of another category where both have one.

    A permutation is looked through for the first fitting clip from a place of its own, so that
    queries are spread over all clips.

    Raises:
        DataError: all clips are of one category, or there is a single one.
    """
    order = [int(i) for i in permutation(len(clips), seed, 1)]
    place = {clip: at for at, clip in enumerate(order)}
    found = {}
    for index, clip in enumerate(clips):
        later = np.roll(order, -place[index])[1:]
        fitting = (clips[i] for i in later if _differ(clip, clips[i]))
        other = next(fitting, None)
        if other is None:
            raise DataError(
                f"no clip is of another category than {clip.id!r} ({clip.category}); the control "
                "with shuffled queries needs two categories"
            )
        found[clip.id] = other.id
    return found


def _differ(a: FramedClip, b: FramedClip) -> bool:
    return not a.category or not b.category or a.category != b.category


def shuffled(clips: Sequence[FramedClip], asked: AskedBy, seed: int) -> Change:
    """Queries of other clips."""
    others = other_clips(clips, seed)
    return lambda ids, query: asked.vectors([others[i] for i in ids], seed)


def zero(ids: list[str], query: Tensor) -> Tensor:
    """Queries of zeros."""
    return torch.zeros_like(query)
