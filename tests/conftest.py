"""The command line, in this process (fast) or as a user types it (a new process); its state."""

from __future__ import annotations

import csv
import gc
import json
import locale
import logging
import multiprocessing
import os
import pickle
import random
import signal
import socket
import subprocess
import sys
import threading
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from filelock import FileLock

from cmg import allocation
from cmg.cli import main as entry
from cmg.cli.output import STATE
from cmg.process import thread_count


class Said(NamedTuple):
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def run_here(*args, encoding="utf-8"):
    """Run `cmg ARGS` in this process, with an output of an encoding."""
    handler, err = signal.getsignal(signal.SIGINT), StringIO()
    out = TextIOWrapper(BytesIO(), encoding, newline="")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["cmg", *map(str, args)])
        patch.setattr(STATE, "json", False)
        try:
            entry.main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        finally:
            signal.signal(signal.SIGINT, handler)
    out.flush()
    return Said(code, out.buffer.getvalue().decode(encoding), err.getvalue())


@pytest.fixture(scope="session")
def cmg():
    """Run `cmg ARGS` in this process."""
    return run_here


@pytest.fixture(scope="session")
def shared(tmp_path_factory, worker_id):
    """Have a folder made once for all worker processes; nobody changes what is in it.

    `shared(NAME, MAKE)` is the folder, and what `MAKE(folder)` said; it can be pickled.
    """
    root = tmp_path_factory.getbasetemp()
    root = (root if worker_id == "master" else root.parent) / "shared"
    root.mkdir(exist_ok=True)

    def once(name, make):
        folder, said = root / name, root / f"{name}.pickle"
        with FileLock(root / f"{name}.lock"):
            if not said.exists():
                said.write_bytes(pickle.dumps(make(folder)))
        return folder, pickle.loads(said.read_bytes())

    return once


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No text encoder of this machine, no cache of it, and no network."""
    from huggingface_hub import constants

    def refuse(*args, **kwargs):
        raise AssertionError("a test tried to reach the network")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("CMG_TEXT_ENCODER", raising=False)


SMALLEST = {"fraction": 1e-4, "map_size": 5, "frame_size": 32, "workers": 1}
SMALLEST |= {"widths": {"audio": 8, "video": 8, "text": 16}}


@pytest.fixture(scope="session")
def simulated(shared):
    """A folder in the official layout, the whole of it at its smallest size; read only."""
    from cmg.simulate import SimulateOptions, simulate

    return shared("simulated", lambda out: simulate(out, SimulateOptions(**SMALLEST)))[0]


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """Options for two small random networks: frames of 32 x 32, and sound."""
    pytest.importorskip("transformers")
    from tests.extract.networks import resnet, wav2vec2

    folder = tmp_path_factory.mktemp("networks")
    (folder / "eyes").mkdir()
    (folder / "ears").mkdir()
    resnet(folder / "eyes")
    wav2vec2(folder / "ears")
    return (
        *("--video", f"transformers-vision:{folder / 'eyes'}"),
        *("--audio", f"transformers-audio:{folder / 'ears'}"),
    )


@pytest.fixture(scope="session")
def reader(tmp_path_factory):
    """Options for a small random text encoder."""
    from tests.extract.networks import bert

    return "--text", f"hf-text:{bert(tmp_path_factory.mktemp('reader'))}"


@pytest.fixture(scope="session")
def own_clips(shared, cmg, networks, reader):
    """What :func:`tests.own.make_own_clips` makes, once; reports write its evaluation."""
    from tests.own import make_own_clips

    return shared("own_clips", lambda out: make_own_clips(out, cmg, networks, reader))[0]


@pytest.fixture(scope="session")
def shell():
    """Run `python -m cmg ARGS` as a process."""

    def run(*args, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "cmg", *map(str, args)],
            capture_output=True,
            text=True,
            env=os.environ | environment,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def snapshot():
    """What of the process a library has no business changing."""
    loggers = {name: logging.getLogger(name) for name in logging.root.manager.loggerDict}
    return {
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch's random numbers": torch.get_rng_state().tolist(),
        "numpy's random numbers": str(np.random.get_state()),  # noqa: NPY002 - the global ones
        "python's random numbers": random.getstate(),
        "environment": {n: x for n, x in os.environ.items() if n != "PYTEST_CURRENT_TEST"},
        "folder": Path.cwd(),
        "warnings": (list(warnings.filters), warnings.showwarning, warnings.formatwarning),
        "torch": (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.mkldnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cuda.matmul.allow_tf32,
        ),
        "numpy": np.geterr(),
        "signals": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.path[:]),
        "limits": (sys.getrecursionlimit(), csv.field_size_limit(), gc.isenabled()),
        "streams": (sys.stdout, sys.stderr, sys.stdin),
        "locale": locale.setlocale(locale.LC_ALL),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "log levels": {name: logger.level for name, logger in loggers.items()},
        "log handlers": {name: logger.handlers[:] for name, logger in loggers.items()},
        "root of the logs": (logging.root.level, logging.root.handlers[:]),
        "threads running": {thread.name for thread in threading.enumerate()},
        "children": multiprocessing.active_children(),
    }


@pytest.fixture
def untouched(monkeypatch):
    """Compare what is before and after a block; malloc's settings must not be asked for at all."""

    def forbidden():
        raise AssertionError("malloc's settings cannot be given back")

    @contextmanager
    def comparing():
        before = snapshot()
        yield
        after = snapshot()
        for name, value in before.items():
            found = after[name]
            if name.startswith("log "):
                found = {logger: found[logger] for logger in value}  # a new one is no change
            assert found == value, name

    monkeypatch.setattr(allocation, "glibc", forbidden)
    with thread_count(2):  # every call below asks for one
        yield comparing
