"""One store by several processes, on one machine or many, that share nothing but a folder.

The process of rank r writes chunks r, r + world, r + 2 world, ...; the one that finds all of them
written joins them. A rank that was killed is started again and goes on where it was.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

from cmg.copying.chunks import Copyable
from cmg.copying.clips import Copied, Copying, CopyOptions
from cmg.errors import ConfigError
from cmg.files import StrPath


@dataclass(frozen=True)
class Rank:
    """Which of several processes this is.

    Attributes:
        rank: From 0.
        world: How many there are.
        here: How many of them are on this machine.
    """

    rank: int
    world: int
    here: int


def rank_of(environment: Mapping[str, str] | None = None) -> Rank | None:
    """Which of the processes of ``torchrun`` or of a step of Slurm (``srun``) this is.

    Args:
        environment: Variables; None is this process's.

    Returns:
        None for a process that is alone.

    Raises:
        ConfigError: variables that contradict each other.
    """
    told = os.environ if environment is None else environment
    if "WORLD_SIZE" in told:
        names = ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")
    elif "SLURM_STEP_ID" in told and "SLURM_STEP_NUM_TASKS" in told:
        # SLURM_NTASKS is also set in a batch script, which is one process for all tasks.
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE")
    else:
        return None
    numbers = []
    for name in names:
        number = re.match(r"\d+", told.get(name, ""))  # "2(x3)" is two tasks on each of three nodes
        if number is None and name != names[2]:
            raise ConfigError(f"{name}={told.get(name)!r} though {names[1]} is set; set both")
        numbers.append(1 if number is None else int(number[0]))
    rank, world, here = numbers
    if not 0 <= rank < world:
        raise ConfigError(f"{names[0]}={rank} of {names[1]}={world}; ranks count from 0")
    return Rank(rank, world, max(1, here)) if world > 1 else None


def copy_share(
    source: Copyable, out: StrPath, rank: Rank, **how: Unpack[CopyOptions]
) -> Copied | None:
    """Write this rank's chunks of a store, and join all chunks if they are there by then.

    The store's bytes are those of :func:`~cmg.copying.clips.copy_clips`, whose arguments these
    are.

    Returns:
        None where other ranks still write; the last of them joins.

    Raises:
        DataError: a clip cannot be read, `out` is occupied, another process has this rank, ...
        ModalityError: an unknown dtype or encoding.
        WorkerError: a worker was killed from outside.
    """
    copying = Copying(source, out, **how)
    workspace, chunks = copying.workspace, copying.plan.chunks
    with workspace.shared(copying.purpose, rank.rank, rank.world):
        own = range(rank.rank, chunks, rank.world)
        copying.write(own, workspace.finished(own))
        with workspace.joining() as mine:
            every = workspace.records(range(chunks)) if mine else {}
            return copying.join(every) if len(every) == chunks else None
