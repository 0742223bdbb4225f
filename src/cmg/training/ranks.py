"""The processes (ranks) that train one model together, and what they tell each other."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, rendezvous  # type: ignore[attr-defined]

from cmg.errors import CmgError, ConfigError

T = TypeVar("T")
RESTART = "TORCHELASTIC_RESTART_COUNT"
PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others before it gives up."""


PORTS = (15000, 15000)
"""First port, and how many, of which the tasks of a step of Slurm take one by its number."""


class RankError(CmgError, RuntimeError):
    """Another rank failed; its own message says why."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: Of this process, 0 .. size - 1. Rank 0 writes, the others do not.
        size: Number of ranks.
        local: Number of this process on its machine; the GPU it takes.
        restart: How often the launcher has started all ranks anew.
        launch: Name of the launch, the same after a restart.
        address: Where they meet, as torch takes it: MASTER_ADDR and MASTER_PORT of the
            environment, or ``tcp://HOST:PORT``.
    """

    rank: int
    size: int
    local: int = 0
    restart: int = 0
    launch: str = ""
    address: str = "env://"

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes."""
        return self.rank == 0

    @classmethod
    def of_environment(cls, variables: Mapping[str, str] | None = None) -> Ranks | None:
        """The ranks that a launcher (``torchrun``, ``srun``) has described; None without one.

        Raises:
            ConfigError: variables that make no sense.
        """
        told = os.environ if variables is None else variables
        if "RANK" not in told or "WORLD_SIZE" not in told:
            return cls.of_slurm(told)
        try:
            rank, size = int(told["RANK"]), int(told["WORLD_SIZE"])
            local, restart = int(told.get("LOCAL_RANK", "0")), int(told.get(RESTART, "0"))
        except ValueError as error:
            raise ConfigError(f"RANK, WORLD_SIZE or LOCAL_RANK is no number: {error}") from error
        if not 0 <= rank < size:
            raise ConfigError(f"RANK={rank} must be from 0 to WORLD_SIZE - 1, which is {size - 1}")
        name = told.get("TORCHELASTIC_RUN_ID", "none")
        if name == "none":
            name = f"{told.get('MASTER_ADDR')}:{told.get('MASTER_PORT')}"
        return cls(rank, size, local, restart, name)

    @classmethod
    def of_slurm(cls, told: Mapping[str, str]) -> Ranks | None:
        """The ranks that the tasks of one ``srun`` are; None outside of one, or for one task.

        They meet on the first machine of the step, unless MASTER_ADDR and MASTER_PORT are set. A
        job that Slurm starts anew goes on with its own run, as a launch of ``torchrun`` does.

        Raises:
            ConfigError: variables that make no sense.
        """
        nodes, job = told.get("SLURM_STEP_NODELIST"), told.get("SLURM_JOB_ID", "0")
        if not nodes or "SLURM_PROCID" not in told:  # a batch script has a number, but no step
            return None
        try:
            rank, local = int(told["SLURM_PROCID"]), int(told.get("SLURM_LOCALID", "0"))
            size = int(told.get("SLURM_STEP_NUM_TASKS") or told.get("SLURM_NTASKS", "1"))
            restart = int(told.get("SLURM_RESTART_COUNT", "0"))
            place = (7 * int(job) + int(told.get("SLURM_STEP_ID", "0"))) % PORTS[1]
        except ValueError as error:
            raise ConfigError(f"a variable of Slurm is no number: {error}") from error
        if size == 1:
            return None
        if not 0 <= rank < size:
            raise ConfigError(f"SLURM_PROCID={rank} must be from 0 to {size - 1}, of {size} tasks")
        host = told.get("MASTER_ADDR") or first_host(nodes)
        port = told.get("MASTER_PORT") or str(PORTS[0] + place)
        return cls(rank, size, local, restart, f"slurm-{job}", f"tcp://{host}:{port}")

    # ---- the group ---------------------------------------------------------------------------

    def join(self, device: torch.device) -> None:
        """Meet the other ranks, once: gloo between CPUs, NCCL between GPUs.

        Raises:
            RankError: they did not come.
        """
        if dist.is_initialized():
            return
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        with others_needed():
            store, rank, size = next(rendezvous(self.address, self.rank, self.size))
            # The launcher's store outlives a restart: the addresses in it would be of the dead.
            fresh = PrefixStore(f"cmg-{self.restart}", store)
            dist.init_process_group(
                backend, store=fresh, rank=rank, world_size=size, timeout=PATIENCE
            )

    def leave(self) -> None:
        """End the meeting; harmless without one."""
        if dist.is_initialized():
            dist.destroy_process_group()

    def together(self, work: Callable[[], T]) -> T:
        """Do `work` on every rank, and go on only if it went well on all of them.

        Raises:
            CmgError: this rank's own.
            RankError: a rank before this one, or only another one, had an error of its own.
        """
        failed: CmgError | None = None
        try:
            done = work()
        except CmgError as error:
            failed = error
        told: list[Any] = [None] * self.size
        with others_needed():
            dist.all_gather_object(told, failed is not None)
        if any(told) and told.index(True) != self.rank:  # the first to fail tells it for all
            raise RankError(f"rank {told.index(True)} failed")
        if failed is not None:
            raise failed
        return done

    def barrier(self) -> None:
        """Wait for all ranks."""
        with others_needed():
            dist.barrier()

    # ---- tensors -----------------------------------------------------------------------------

    def gather_rows(self, own: Tensor, count: int) -> Tensor:
        """Rows of all ranks in the order of a single process; no gradient.

        Args:
            own: [b, ...], rows ``rank``, ``rank + size``, ... of the whole.
            count: B of the whole.

        Returns:
            [B, ...].
        """
        most = -(-count // self.size)
        padded = own.new_zeros(most, *own.shape[1:])
        padded[: own.shape[0]] = own.detach()
        found = [torch.empty_like(padded) for _ in range(self.size)]
        with others_needed():
            dist.all_gather(found, padded)
        return torch.stack(found, 1).flatten(0, 1)[:count]

    def sum(self, tensor: Tensor) -> Tensor:
        """Sum over ranks, in place."""
        with others_needed():
            dist.all_reduce(tensor)
        return tensor

    def sums(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Sums of tensors of one dtype over ranks, in one message; the tensors stay."""
        return pieces(self.sum(torch.cat([x.detach().flatten() for x in tensors])), tensors)

    def start_sum(self, tensor: Tensor) -> dist.Work:
        """Begin a sum over ranks, in place."""
        with others_needed():
            work: dist.Work = dist.all_reduce(tensor, async_op=True)
        return work

    def take_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""
        groups: dict[torch.dtype, list[Tensor]] = {}
        for tensor in tensors:
            groups.setdefault(tensor.dtype, []).append(tensor)
        for group in groups.values():
            flat = torch.cat([x.detach().flatten() for x in group])
            with others_needed():
                dist.broadcast(flat, 0)
            for x, part in zip(group, pieces(flat, group), strict=True):
                x.detach().copy_(part)


def first_host(nodes: str) -> str:
    """The first machine of a list as Slurm writes it: ``gpu[03-05,9],login`` is gpu03."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", nodes)
    return re.sub(r"\[(\w+)[^\]]*\]", r"\1", first[0] if first else nodes)


def choose_device(name: str, ranks: Ranks | None = None) -> torch.device:
    """The device a configuration names; ``auto`` is a GPU if there is one, else the CPU.

    Each of several ranks takes the GPU of its own number.

    Raises:
        ConfigError: an unknown device, or a GPU where there is none.
    """
    if ranks is not None and name in ("auto", "cuda") and torch.cuda.is_available():
        if ranks.local >= torch.cuda.device_count():
            raise ConfigError(
                f"rank {ranks.rank} is number {ranks.local} on its machine, which has "
                f"{torch.cuda.device_count()} GPU(s) to be seen; start as many processes as there "
                "are GPUs, all of which see all of them (srun --gpu-bind=none)"
            )
        return torch.device("cuda", ranks.local)
    if ranks is not None and name.startswith("cuda:"):
        raise ConfigError(f"training.device={name!r} is one GPU; use cuda with several processes")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"training.device={name!r} is no device: use cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"training.device={name!r}, but torch sees no GPU here; use cpu")
    return device


class others_needed:  # noqa: N801 - reads like a function
    """Turns the errors of a lost connection into a :class:`RankError`."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: type[BaseException] | None, error: Any, _: Any) -> None:
        """Raise the error by its name."""
        if isinstance(error, RuntimeError) and not isinstance(error, CmgError):
            raise RankError(f"the other ranks cannot be reached: {error}") from error


def pieces(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """A flat tensor in pieces of the shapes of others."""
    found = torch.split(flat, [x.numel() for x in like])
    return [piece.view_as(x) for piece, x in zip(found, like, strict=True)]


class GradientSum:
    """Sums gradients over ranks in buckets, while backward is still at work.

    Args:
        parameters: In the order of the forward pass, so that gradients arrive from the end.
        ranks: The ranks; all must hold the same parameters.
        bucket_bytes: From this size on a bucket is sent.
    """

    def __init__(
        self, parameters: Sequence[torch.nn.Parameter], ranks: Ranks, bucket_bytes: int = 25 << 20
    ) -> None:
        self.ranks = ranks
        self.buckets: list[list[torch.nn.Parameter]] = [[]]
        size = 0
        for p in reversed(parameters):
            if size >= bucket_bytes or (self.buckets[-1] and self.buckets[-1][0].dtype != p.dtype):
                self.buckets.append([])
                size = 0
            self.buckets[-1].append(p)
            size += p.numel() * p.element_size()
        self._bucket_of = {p: i for i, bucket in enumerate(self.buckets) for p in bucket}
        for p in self._bucket_of:
            p.register_post_accumulate_grad_hook(self._arrived)  # type: ignore[no-untyped-call]
        self._waiting: list[int] | None = None
        self._sent: list[tuple[Tensor, dist.Work]] = []

    def begin(self) -> None:
        """Send buckets as they fill, from now on: the next backward is the step's last."""
        self._waiting = [len(bucket) for bucket in self.buckets]
        self._sent = []

    def finish(self) -> None:
        """Send what is left, wait, and put the sums where the gradients were.

        A parameter that no rank has a gradient of keeps none.
        """
        while len(self._sent) < len(self.buckets):
            self._send()
        self._waiting = None
        parameters = [p for bucket in self.buckets for p in bucket]
        has = [float(p.grad is not None) for p in parameters]
        device = parameters[0].device
        anyone = self.ranks.sum(torch.tensor(has, device=device)).tolist()
        used = dict(zip(parameters, anyone, strict=True))
        for bucket, (flat, work) in zip(self.buckets, self._sent, strict=True):
            with others_needed():
                work.wait()
            for p, total in zip(bucket, pieces(flat, bucket), strict=True):
                p.grad = total if used[p] else None
        self._sent = []

    def _arrived(self, parameter: Tensor) -> None:
        if self._waiting is None:
            return
        self._waiting[self._bucket_of[parameter]] -= 1  # type: ignore[index]
        # In order, as all ranks must send the same bucket next.
        while len(self._sent) < len(self.buckets) and self._waiting[len(self._sent)] == 0:
            self._send()

    def _send(self) -> None:
        bucket = self.buckets[len(self._sent)]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
        flat = torch.cat([g.detach().flatten() for g in grads])
        self._sent.append((flat, self.ranks.start_sum(flat)))
