"""How ``benchmarks.published`` scales the looped form."""

import pytest
from benchmarks.published import on_a_line


def test_what_does_not_grow_with_the_batch_is_not_multiplied() -> None:
    # 1 s whatever the batch and 0.5 s a clip: 4 clips 3 s, 12 clips 7 s, 80 clips 41 s.
    assert on_a_line((4, 3.0), (12, 7.0), 80) == pytest.approx(41.0)
