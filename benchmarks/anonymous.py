"""Anonymous memory of this process: what no file backs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path


def anonymous_bytes() -> int:
    """RssAnon of this process, Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon; this needs Linux")


def peak_of(work: Callable[[], object]) -> int:
    """Most anonymous memory while `work` runs, in bytes."""
    peak, ended = anonymous_bytes(), threading.Event()

    def sample() -> None:
        nonlocal peak
        while not ended.is_set():
            peak = max(peak, anonymous_bytes())
            time.sleep(0.01)

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        work()
    finally:
        ended.set()
        watcher.join()
    return peak
