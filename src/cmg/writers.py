"""Which process writes: its machine, its number and its start, as others can look them up.

What a process writes beside its target carries its mark in the name, so that what a killed one left
is told from what a living one is writing.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

MARK = r"([0-9a-f]{6})-([0-9a-f]{6})-([0-9a-f]{6})-(\d+)-([0-9a-f]{6})-[0-9a-f]{6}"
"""Host, boot, who sees the number, number and start of a process, and a key."""


def began(pid: int) -> str:
    """When a process was started, in units of the machine; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        if Path("/proc/self/stat").exists():
            return ""
    asked = ["ps", "-o", "lstart=", "-p", str(pid)]
    with suppress(OSError):
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return ""


def machine() -> str:
    """The machine since it was booted, and which processes are seen here: of a container, its."""
    try:
        booted = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{booted} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def boot(of_machine: str) -> str:
    """The part of :func:`machine` that changes when it is started anew."""
    return of_machine.partition(" ")[0]


def beside(target: Path, kind: str = "partial") -> Path:
    """A hidden sibling of `target` for this process, ``.NAME.partial-MARK``."""
    return target.with_name(f".{target.name}.{kind}-{_mark(os.getpid())}-{secrets.token_hex(3)}")


def is_over(name: str) -> bool | None:
    """Whether who wrote a sibling of this name has ended; None where that cannot be known here."""
    found = re.search(f"-{MARK}$", name)
    if found is None:
        return None
    host, booted, seen, pid, start = found.groups()
    own = re.fullmatch(MARK, f"{_mark(os.getpid())}-{'0' * 6}")
    assert own is not None
    if host != own[1]:
        return None
    if booted != own[2]:
        return True
    return None if seen != own[3] else _short(began(int(pid))) != start


def clear_leftovers(target: Path) -> None:
    """Put right what processes that were killed while they wrote `target` left beside it.

    What was cut short is removed. A folder that was put aside goes back where nothing has taken its
    place. What may still be written, by a process that cannot be seen from here, is named.
    """
    if not target.parent.is_dir():
        return
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(partial|replaced)-([0-9a-f]{{8}}|{MARK})")
    with suppress(OSError):
        for path in sorted(target.parent.iterdir()):
            found = pattern.fullmatch(path.name)
            if found is None or (over := is_over(path.name)) is False:
                continue
            if over is None:
                warnings.warn(
                    f"{path} was left by a process that cannot be seen from here; "
                    f"remove it if nothing writes {target.name}",
                    stacklevel=2,
                )
            elif found[1] == "replaced" and not target.exists():
                path.rename(target)
            else:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@cache
def _mark(pid: int) -> str:
    """The mark of this process without its key."""
    here = machine()
    told = (socket.gethostname(), boot(here), here)
    return "-".join([*map(_short, told), str(pid), _short(began(pid))])


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
