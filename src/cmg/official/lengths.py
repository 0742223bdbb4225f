"""How official features are brought to the steps of a clip: padded, cut, or neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError

STEPS = 10
"""Steps of a clip in every task but AVSBench."""


@dataclass(frozen=True)
class LengthRule:
    """What is done to n rows where T are wanted.

    Attributes:
        steps: T.
        pad: Whether a shorter clip repeats its last row; otherwise it is refused.
        cut: Whether a longer clip keeps its first T rows; otherwise it is refused.
    """

    steps: int = STEPS
    pad: bool = True
    cut: bool = True


EXACT = LengthRule(pad=False, cut=False)
FITTED = LengthRule()

RULES: dict[tuple[str, str], LengthRule] = {
    ("vggsound", "audio"): FITTED,
    ("vggsound", "video"): EXACT,
    ("avvp", "audio"): FITTED,
    ("avvp", "video"): EXACT,
    ("ucf101", "video"): FITTED,
    ("ucf101all", "audio"): FITTED,
    ("ucf101all", "video"): FITTED,
    ("ave", "audio"): EXACT,
    ("ave", "video"): EXACT,
    ("avsbench", "audio"): LengthRule(steps=5),
}
"""By data set and modality, as the loaders of the release do it (VGGSound's audio has the same rule
in the UCF101 tasks). The ten token slots of a prompt are zero-filled by :mod:`cmg.text`."""


def fit_length(block: NDArray[Any], rule: LengthRule, what: str) -> NDArray[Any]:
    """Bring a clip to its steps.

    Args:
        block: [n, ...].
        rule: Of its data set and modality.
        what: Whose features, for messages.

    Returns:
        [T, ...].

    Raises:
        DataError: no row at all, or another length where the rule allows none.
    """
    rows = len(block) if block.ndim else 0
    if rows == 0:
        raise DataError(
            f"{what}: shorter than one second (shape {block.shape}), so there is no row to repeat; "
            "extract it again or leave the clip out"
        )
    if rows < rule.steps and rule.pad:
        return np.concatenate([block, np.repeat(block[-1:], rule.steps - rows, axis=0)])
    if rows > rule.steps and rule.cut:
        return block[: rule.steps]
    if rows != rule.steps:
        raise DataError(
            f"{what} has {rows} rows where exactly {rule.steps} are wanted (the release does not "
            "pad or cut these); extract it again or leave the clip out"
        )
    return block
