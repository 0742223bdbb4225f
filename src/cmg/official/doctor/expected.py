"""What should be there: the official counts and sizes, or those of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmg.errors import DataError
from cmg.files import read_json
from cmg.official.catalogue import OFFICIAL_COUNTS

Counts = Mapping[str, Mapping[str, int]]

WORDS = 1_046
"""Entries of cnt.pkl."""
WORDS_MD5 = "5dc21abc77e192932cc03528f8e3a518"


@dataclass(frozen=True)
class Expected:
    """Sizes to compare with.

    Attributes:
        counts: Rows per list and split.
        widths: Channels of ``audio``, ``video`` and ``text``.
        map_size: Positions per side of a video map.
        fraction: Of the official size if simulated, else None.
        frame_size: Side of AVSBench's frames in pixels.
    """

    counts: Counts
    widths: Mapping[str, int]
    map_size: int
    fraction: float | None = None
    frame_size: int = 224

    def rows(self, name: str, split: str | None = None) -> int | None:
        """Rows of a list, or of one of its splits; None where unknown."""
        splits = self.counts.get(name)
        if splits is None:
            return None
        return sum(splits.values()) if split is None else splits.get(split)

    def step(self, feature: str) -> tuple[int, ...]:
        """Shape of a step of ``audio`` or ``video``."""
        width, size = self.widths[feature], self.map_size
        return (width,) if feature == "audio" else (size, size, width)


OFFICIAL = Expected(OFFICIAL_COUNTS, {"audio": 128, "video": 512, "text": 768}, 7)


def read_simulation(path: Path) -> Expected:
    """What `cmg data simulate` recorded of the folder it wrote.

    A simulation has fewer clips (two a class and split at least) and may have narrower features.

    Raises:
        DataError: damaged, or of another version.
    """
    try:
        told: Any = read_json(path)
        if (told["format"], told["version"]) != ("cmg-simulation", 1):
            raise DataError(f"{path} is of another format; simulate again")
        counts = {
            str(name): {str(split): int(count) for split, count in splits.items()}
            for name, splits in told["counts"].items()
            if isinstance(splits, dict)
        }
        widths = {str(name): int(width) for name, width in told["widths"].items()}
        fraction, frame_size = float(told["fraction"]), int(told.get("frame_size", 224))
        found = Expected(counts, widths, int(told["map"]), fraction, frame_size)
        needed = OFFICIAL_COUNTS.keys() - {"avsbench"}  # Simulations used to be without.
        if missing := sorted(needed - counts.keys()):
            raise KeyError(missing[0])
        if missing := [name for name in OFFICIAL.widths if name not in widths]:
            raise KeyError(missing[0])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged ({error!r}); simulate again") from error
    return found
