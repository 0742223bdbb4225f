"""What can be chosen about a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cmg.errors import ConfigError, did_you_mean
from cmg.files import StrPath
from cmg.official.doctor.expected import OFFICIAL

_SMALLEST_WIDTH, _LARGEST_WIDTH = 8, 65_536


@dataclass(frozen=True)
class SimulateOptions:
    """Options of :func:`~cmg.simulate.simulate`, checked when made.

    Attributes:
        fraction: Share of every class's official number of clips, in (0, 1]; at any fraction a
            class keeps at least two clips a split (or all that the lists have of it).
        widths: Channels per modality where they differ from audio 128, video 512, text 768.
        map_size: Positions per side of the video maps.
        lists: A folder tree that holds the real annotation files under their official names;
            None makes lists of its own.
        seed: Of the world: another seed has other concepts and another rendering.
        workers: Processes; None takes one per CPU core, 1 writes in this process.
        frame_size: Side of AVSBench's frames and masks in pixels.
        avs_fraction: Share of AVSBench's clips where it differs from `fraction`; 0 leaves the set
            out.
        weak_train: Whether AVVP's weakly labeled training clips get features too.
        overwrite: Whether a simulation in the way is replaced. Another kind of folder never is.

    Raises:
        ConfigError: a value out of range or an unknown modality.
    """

    fraction: float = 0.01
    widths: Mapping[str, int] = field(default_factory=dict)
    map_size: int = OFFICIAL.map_size
    lists: StrPath | None = None
    seed: int = 0
    workers: int | None = None
    frame_size: int = OFFICIAL.frame_size
    avs_fraction: float | None = None
    weak_train: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.fraction <= 1.0:
            raise ConfigError(
                f"fraction {self.fraction:g} must lie above 0 and at most at 1 (1 is the official "
                "size, 0.02 takes a minute or two)"
            )
        for name, width in self.widths.items():
            if name not in OFFICIAL.widths:
                raise ConfigError(
                    f"widths: unknown modality {name!r}{did_you_mean(name, OFFICIAL.widths)}"
                )
            if not _SMALLEST_WIDTH <= width <= _LARGEST_WIDTH:
                allowed = f"{_SMALLEST_WIDTH} to {_LARGEST_WIDTH:,} channels"
                raise ConfigError(f"widths: {name}={width} must be {allowed}")
        if not 2 <= self.map_size <= 64:
            raise ConfigError(f"map {self.map_size} must be 2 to 64 positions per side")
        if not 16 <= self.frame_size <= 1024:
            raise ConfigError(f"frame size {self.frame_size} must be 16 to 1024 pixels")
        if self.avs_fraction is not None and not 0.0 <= self.avs_fraction <= 1.0:
            raise ConfigError(
                f"avs fraction {self.avs_fraction:g} must lie between 0 (no AVSBench) and 1"
            )
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed} must be at least 0")
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"workers {self.workers} must be at least 1")

    @property
    def of_avsbench(self) -> float:
        """Share of AVSBench's clips."""
        return self.fraction if self.avs_fraction is None else self.avs_fraction

    @property
    def all_widths(self) -> dict[str, int]:
        """Channels of every modality."""
        return {**OFFICIAL.widths, **self.widths}
