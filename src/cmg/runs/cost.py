"""What the training of a run has cost so far: time, clips, memory."""

from __future__ import annotations

import json
import resource
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter

from cmg.errors import DataError
from cmg.files import StrPath, read_json, replace_file

COST = "cost.json"


@dataclass
class Cost:
    """What ``cost.json`` of a run says, as of its newest checkpoint.

    Attributes:
        seconds: Wall time of the training loop, of all processes that trained it one after the
            other; reading, checkpoints and steps that were taken again are in it.
        clips: Read for steps, each as often as it was.
        from_step: The step that this is counted from; above 0 for a run that an earlier version
            of cmg began.
        memory: Most bytes that a process had in memory, Python and torch included.
        gpu_memory: Most bytes that torch had allocated for tensors on a GPU; None without one.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")
    seconds: float = 0.0
    clips: int = 0
    from_step: int = 0
    memory: int = 0
    gpu_memory: int | None = None


def read_cost(run: StrPath) -> Cost | None:
    """What a run has cost; None where it does not say.

    Raises:
        DataError: ``cost.json`` is damaged.
    """
    path = Path(run) / COST
    if not path.is_file():
        return None
    try:
        told: Any = read_json(path)
        return TypeAdapter(Cost).validate_python(told)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}); remove it, and the cost of the run is not told"
        ) from error


class CostMeter:
    """Counts while a run trains.

    Args:
        run: Its folder; None writes nothing.
        step: Steps done before, by other processes.
        device: Of the model.
    """

    def __init__(self, run: Path | None, step: int, device: torch.device) -> None:
        before = None if run is None or not step else read_cost(run)
        self.run, self.device = run, device
        self.cost = before or Cost(from_step=step)
        self.last = time.perf_counter()

    def write(self) -> None:
        """Keep what it has been so far.

        Raises:
            DataError: it cannot be written.
        """
        if self.run is None:
            return
        cost, now = self.cost, time.perf_counter()
        cost.seconds, self.last = round(cost.seconds + now - self.last, 3), now
        cost.memory = max(cost.memory, peak_memory())
        if self.device.type == "cuda":
            cost.gpu_memory = max(
                cost.gpu_memory or 0, torch.cuda.max_memory_allocated(self.device)
            )
        replace_file(self.run / COST, (json.dumps(asdict(cost)) + "\n").encode())


def peak_memory() -> int:
    """Most bytes that this process has had in memory."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024  # Linux counts in KiB
