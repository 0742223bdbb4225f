"""State of the process that a computation needs for itself: borrowed, and given back as it was.

Whoever uses the library from Python has threads, random numbers and an environment of their own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def mode(module: nn.Module, training: bool) -> Iterator[None]:
    """A module in train or eval mode within the block, and as it was after it."""
    before = module.training
    module.train(training)
    try:
        yield
    finally:
        module.train(before)


@contextmanager
def thread_count(threads: int | None) -> Iterator[None]:
    """Compute with so many CPU threads within the block; None leaves their number."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Train as torch does by default: with gradients, and new tensors of float32.

    A caller may be under ``no_grad`` or ``inference_mode``, or have another default dtype.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Draw from a seed within the block; the caller's random numbers go on after it as before.

    Args:
        seed: Of torch's global generators.
        device: Where numbers are drawn besides the CPU; other devices are not touched.
    """
    with torch.random.fork_rng(devices=[device] if device and device.type == "cuda" else []):
        reseed(seed, device)
        yield


def reseed(seed: int, device: torch.device | None = None) -> None:
    """Seed torch's global generators of the CPU and of one device.

    :func:`torch.manual_seed` would seed those of every device, which ``fork_rng`` of one device
    does not give back.
    """
    torch.default_generator.manual_seed(seed)
    if device is not None and device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables within the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def signals_kept() -> Iterator[None]:
    """Give back the signal handlers that the block replaces; only a main thread has them."""
    here = threading.current_thread() is threading.main_thread()
    kept = {s: signal.getsignal(s) for s in signal.valid_signals()} if here else {}
    try:
        yield
    finally:
        for number, handler in kept.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)
