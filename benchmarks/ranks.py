"""How well two ranks use two cores: the same batch on one core, and divided between two.

`python -m benchmarks --only ranks`

One process with one thread, on a core of its own, trains on a batch; two such processes, on a core
each, train on the same batch together (``Divided``, gloo). The efficiency is the time of one,
over twice the time of two. Features are random and nothing is read. Both take turns, so that what
else the machine does falls on both; where it does much, the CPU seconds tell more than the clock:
one process's over the sum of the ranks'.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from benchmarks.cases import Case, Sizes, case_of, narrowed
from benchmarks.figures import Figure, Section, markdown
from cmg.encoders.detail import MapPath
from cmg.training.options import Precision
from cmg.training.ranks import GradientSum, Ranks
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.training.together import Divided, some_clips
from cmg.types import Batch

SIZE = "audio-video-text"


@dataclass(frozen=True)
class Workload:
    """What is trained.

    Attributes:
        path: Private path of maps.
        precision: Of the step.
        batch: B of all ranks together; T is 10.
        divisor: Of the detail widths.
        length: T.
    """

    path: MapPath
    precision: Precision
    batch: int
    divisor: int = 1
    length: int = 10

    @property
    def name(self) -> str:
        """Of the row."""
        narrow = f", widths / {self.divisor}" if self.divisor > 1 else ""
        return f"{self.path} {self.precision}, {self.batch} clips{narrow}"

    def case(self) -> Case:
        """The audio-video-text builder with this private path."""
        sizes = Sizes(self.batch, self.length, overrides={"model.map_detail": self.path})
        return narrowed(case_of(SIZE, sizes), self.divisor)


WORKLOADS = (
    Workload("lean", "float32", 80),
    Workload("lean", "bf16", 80),
    Workload("published", "bf16", 80),
    Workload("published", "bf16", 24),
)
QUICK = (Workload("lean", "float32", 40),)


@dataclass
class Traffic:
    """What a rank told the others in a step.

    Attributes:
        gathered: Bytes of the features of the whole batch.
        summed: Bytes of gradients and log values that are summed.
        waited: Seconds within the calls, until the others' share was there.
    """

    gathered: int = 0
    summed: int = 0
    waited: float = 0.0


class Waited:
    """A sum under way whose wait is timed.

    Args:
        work: Of the sum.
        traffic: Where the seconds go.
    """

    def __init__(self, work: dist.Work, traffic: Traffic) -> None:
        self.work, self.traffic = work, traffic

    def wait(self) -> None:
        """Wait for the sum."""
        start = time.perf_counter()
        self.work.wait()
        self.traffic.waited += time.perf_counter() - start


@dataclass(frozen=True)
class CountedRanks(Ranks):
    """Ranks that count what they say.

    Attributes:
        traffic: So far.
    """

    traffic: Traffic = field(default_factory=Traffic)

    def gather_rows(self, own: Tensor, count: int) -> Tensor:
        """Counted."""
        start = time.perf_counter()
        found = super().gather_rows(own, count)
        self.traffic.waited += time.perf_counter() - start
        self.traffic.gathered += found.nbytes
        return found

    def sum(self, tensor: Tensor) -> Tensor:
        """Counted."""
        start = time.perf_counter()
        super().sum(tensor)
        self.traffic.waited += time.perf_counter() - start
        self.traffic.summed += tensor.nbytes
        return tensor

    def start_sum(self, tensor: Tensor) -> Any:
        """Counted."""
        self.traffic.summed += tensor.nbytes
        return Waited(super().start_sum(tensor), self.traffic)


@dataclass(frozen=True)
class Step:
    """A timed step of one process.

    Attributes:
        wall: Seconds.
        cpu: CPU seconds of the process.
        traffic: What it told the others.
    """

    wall: float
    cpu: float
    traffic: Traffic


def timed(step: Callable[[], object], traffic: Traffic) -> Step:
    """Time one step."""
    before = Traffic(**asdict(traffic))
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    told = Traffic(
        traffic.gathered - before.gathered,
        traffic.summed - before.summed,
        traffic.waited - before.waited,
    )
    return Step(wall, cpu, told)


def divided_step(
    case: Case, state: TrainingState, ranks: Ranks
) -> Callable[[int], dict[str, float]]:
    """A function that trains step number `turn` on this rank's clips, as the loop does."""
    whole = case.features(state)
    own = some_clips(whole, slice(ranks.rank, None, ranks.size))
    own = Batch({m: x.contiguous() for m, x in own.features.items()})
    gradients = GradientSum(list(state.model.parameters()), ranks)

    def step(turn: int) -> dict[str, float]:
        draws = case.draws(whole, turn)
        divided = Divided(whole.steps, turn, ranks, gradients=gradients)
        return pretraining_step(state, own, draws, divided)

    return step


def pin(core: int) -> None:
    """Keep this process on one core, with one thread."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # Linux
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def rank_main(rank: int, size: int, port: int, workload: Workload, turns: int, found: Any) -> None:
    """One rank: rank 0 is also the single process, while the others wait.

    Args:
        rank: Of this process.
        size: Ranks.
        port: Where they meet.
        workload: What is trained.
        turns: Counted turns after one of warm-up.
        found: Queue for (rank, steps alone, steps divided).
    """
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    pin(rank)
    case, ranks = workload.case(), CountedRanks(rank, size, rank)
    ranks.join(torch.device("cpu"))
    divided = divided_step(case, case.state(workload.precision), ranks)
    alone: list[Step] = []
    together: list[Step] = []
    state = case.state(workload.precision) if rank == 0 else None
    batch = None if state is None else case.features(state)
    for turn in range(turns + 1):
        if state is not None and batch is not None:
            draws = case.draws(batch, turn)
            one = timed(lambda d=draws: pretraining_step(state, batch, d), Traffic())  # type: ignore[misc]
            alone.append(one)
        ranks.barrier()
        together.append(timed(lambda t=turn: divided(t), ranks.traffic))  # type: ignore[misc]
        ranks.barrier()
    found.put((rank, alone[1:], together[1:]))
    ranks.barrier()  # nobody leaves while another still reads
    ranks.leave()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass(frozen=True)
class Efficiency:
    """What was measured of a workload, a number per turn.

    Attributes:
        alone: Seconds of one process.
        together: Seconds of the slowest rank.
        wall: Efficiency by the clock.
        cpu: Efficiency by CPU seconds.
        waiting: Share of the slowest rank's time within communication.
        gathered: Bytes of features that every rank has of the whole batch.
        summed: Bytes that are summed over ranks.
    """

    alone: list[float]
    together: list[float]
    wall: list[float]
    cpu: list[float]
    waiting: list[float]
    gathered: int
    summed: int


def measure(workload: Workload, turns: int, size: int = 2) -> Efficiency:
    """Train with one process and with several, in turns."""
    context = mp.get_context("spawn")
    found = context.SimpleQueue()
    arguments = (size, free_port(), workload, turns, found)
    ranks = mp.start_processes(rank_main, arguments, size, join=False)  # type: ignore[no-untyped-call,attr-defined]
    told: dict[int, list[list[Step]]] = {}
    while len(told) < size:
        if not found.empty():
            rank, *steps = found.get()
            told[rank] = steps
        elif ranks.join(timeout=0.1):
            break
    while not ranks.join():
        pass
    alone = told[0][0]
    wall, cpu, together, waiting = [], [], [], []
    for turn, one in enumerate(alone):
        steps = [told[rank][1][turn] for rank in range(size)]
        slowest = max(steps, key=lambda s: s.wall)
        together.append(slowest.wall)
        wall.append(one.wall / (size * slowest.wall))
        cpu.append(one.cpu / sum(s.cpu for s in steps))
        waiting.append(slowest.traffic.waited / slowest.wall)
    traffic = told[0][1][0].traffic
    one_wall = [s.wall for s in alone]
    return Efficiency(one_wall, together, wall, cpu, waiting, traffic.gathered, traffic.summed)


def figures_of(name: str, found: Efficiency) -> dict[str, Figure]:
    """The figures of a workload."""
    return {
        f"{name}: one process": Figure.of([1e3 * s for s in found.alone], "ms"),
        f"{name}: two ranks": Figure.of([1e3 * s for s in found.together], "ms"),
        f"{name}: efficiency": Figure.of([100 * x for x in found.wall], "%"),
        f"{name}: efficiency in CPU time": Figure.of([100 * x for x in found.cpu], "%"),
        f"{name}: in communication": Figure.of([100 * x for x in found.waiting], "%"),
        f"{name}: gathered": Figure.count(found.gathered / 1e6, "MB"),
        f"{name}: summed": Figure.count(found.summed / 1e6, "MB"),
    }


def section(quick: bool = False, repeats: int = 3, workloads: Sequence[Workload] = ()) -> Section:
    """Efficiency of two ranks.

    Args:
        quick: One small workload.
        repeats: Counted turns.
        workloads: Others than the usual.
    """
    chosen = list(workloads) or list(QUICK if quick else WORKLOADS)
    figures: dict[str, Figure] = {}
    rows = []
    for workload in chosen:
        own = figures_of(workload.name, measure(workload, repeats))
        figures |= own
        rows.append([workload.name, *(f.told() for f in own.values())])
    head = ["audio-video-text", "one process, ms", "two ranks, ms", "efficiency, %"]
    head += ["in CPU time, %", "in communication, %", "gathered, MB", "summed, MB"]
    settings = {"workloads": [asdict(w) for w in chosen], "repeats": repeats}
    return Section(figures, markdown(head, rows), settings)
