"""Starts a command once per device and sees it through: ``cmg pretrain --devices N``."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cmg import errors
from cmg.errors import CmgError, WorkerError
from cmg.files import read_json

ERROR_FILE = "CMG_ERROR_FILE"
"""Where a rank says what went wrong, so that it is said once and is not tried again."""


def launch(arguments: Sequence[str], devices: int, restarts: int) -> None:
    """Run ``python -m cmg ARGUMENTS`` as `devices` ranks on this machine.

    A rank that dies (killed, out of memory) makes all ranks start anew, from the last checkpoint,
    at most `restarts` times. An error that a user can cause is told at once.

    Raises:
        CmgError: that of the rank that failed, by its type.
        WorkerError: ranks died more often than that.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from cmg.process import environment, signals_kept

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=devices,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        rdzv_configs={"timeout": 900},
        max_restarts=restarts,
        monitor_interval=0.1,
    )
    share = str(max(1, (os.cpu_count() or 1) // devices))
    with tempfile.TemporaryDirectory(prefix="cmg-launch-") as folder:
        told = Path(folder) / "error.json"
        threads = os.environ.get("OMP_NUM_THREADS", share)
        variables = {"OMP_NUM_THREADS": threads, ERROR_FILE: str(told)}
        with environment(variables), signals_kept(), quiet("torch.distributed.elastic"):
            stopped = None
            try:
                elastic_launch(config, sys.executable)("-m", "cmg", *arguments)
            except SignalException as error:
                stopped = error.sigval
            except ChildFailedError as error:
                raise own_error(told) or died(error, restarts) from error
        if stopped is not None:
            signal.raise_signal(stopped)  # to whoever handled it before the launch


@contextmanager
def quiet(logger: str) -> Iterator[None]:
    """Let a logger say nothing within the block."""
    found = logging.getLogger(logger)
    level = found.level
    found.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        found.setLevel(level)


def own_error(told: Path) -> CmgError | None:
    """The error that a rank has left."""
    if not told.is_file():
        return None
    found = read_json(told)
    kind = getattr(errors, found["error"], CmgError)
    return kind(found["message"]) if issubclass(kind, CmgError) else CmgError(found["message"])


def died(error: BaseException, restarts: int) -> WorkerError:
    """What is said of ranks that ended without a word."""
    failures = getattr(error, "failures", {})
    codes = ", ".join(f"rank {rank}: exit {f.exitcode}" for rank, f in sorted(failures.items()))
    return WorkerError(
        f"a rank ended before its work, after {restarts} restart(s) ({codes or error}); what it "
        "said is above. Go on with --resume: from the last checkpoint, or anew if there is none"
    )


def leave_error(error: CmgError) -> bool:
    """Leave an error to the launcher; False if there is none to tell."""
    path = os.environ.get(ERROR_FILE)
    if path is None:
        return False
    told = {"error": type(error).__name__, "message": str(error)}
    staged = Path(f"{path}.{os.getpid()}")
    staged.write_text(json.dumps(told), encoding="utf-8")
    staged.replace(path)
    return True


def under_launch() -> bool:
    """Whether this process was started by :func:`launch`, which says what there is to say."""
    return ERROR_FILE in os.environ


def already_failed() -> bool:
    """Whether a rank of an earlier start of this launch has left an error: trying again is vain."""
    path = os.environ.get(ERROR_FILE)
    return path is not None and Path(path).is_file()
