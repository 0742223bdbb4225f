"""Whether clips can teach what modalities share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmg.data.clips import Clips
from cmg.errors import DataError

FEW_PAIRS = 0.5
"""Share of clips with two modalities below which there is a remark."""


def check_pairs(split: Clips, modalities: Sequence[str]) -> list[str]:
    """Refuse clips that cannot teach what modalities have in common.

    Args:
        split: To train on.
        modalities: To train with; a single one asks for no pairs, and the model decides on it.

    Returns:
        Remarks where few of the clips can, or none of those with some modality.

    Raises:
        DataError: a modality that no clip has, or no clip with two of them.
    """
    if len(modalities) < 2 or all(split.columns.absent[m] == 0 for m in modalities):
        return []
    have, beside, paired = np.zeros(len(modalities)), np.zeros(len(modalities)), 0
    for part in split.parts():
        there = np.stack([split.lengths_of(m, part) > 0 for m in modalities])
        two = there.sum(0) > 1
        have, beside = have + there.sum(1), beside + (there & two).sum(1)
        paired += int(two.sum())
    where = f"split {split.name!r} of {split.path}"
    absent = [m for m, count in zip(modalities, have, strict=True) if not count]
    kept = ", ".join(m for m in modalities if m not in absent)
    if absent:
        raise DataError(
            f"{where}: no clip has {' or '.join(absent)}; leave it out by "
            f"'data.modalities=[{kept}]', or train on another split"
        )
    if not paired:
        raise DataError(
            f"{where}: none of its {len(split)} clips has two of the modalities {kept}, so nothing "
            "can be learned of what they have in common; give files that belong together one clip "
            "id (one row of the table)"
        )
    alone = [m for m, count in zip(modalities, beside, strict=True) if not count]
    remarks = [
        f"{where}: no clip has {m} beside another modality, so its codes stay its own"
        for m in alone
    ]
    if paired < FEW_PAIRS * len(split):
        remarks.append(
            f"{where}: only {paired} of {len(split)} clips have two modalities or more; the others "
            "teach nothing of what modalities have in common"
        )
    return remarks
