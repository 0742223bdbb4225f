"""Folders that one process writes: a file in them says which, so that a second one is refused.

The lock is ``FOLDER/.lock``, JSON: who holds it, where, since when, and by which command. It is
written beside and then linked, which is all or nothing on NFS, too, as a program on another
machine sees it. Who was killed leaves it behind: on the same machine that shows, and the next one
takes it over; of another machine it cannot be known, and the message says what to remove.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cmg.errors import CmgError, DataError
from cmg.files import LOCK, read_json, write_synced, writing
from cmg.writers import began, boot, machine

TRIES = 5
"""How often a lock is asked for that others take and give back meanwhile."""


class LockedError(CmgError, RuntimeError):
    """A folder that another process is writing."""


@dataclass(frozen=True)
class Holder:
    """A process that writes a folder.

    Attributes:
        host: Its machine.
        pid: Its number there.
        began: When it was started, as the machine tells it: two processes of one number differ.
        machine: The machine since it was booted, and the namespace that numbers are of.
        since: When it took the lock, UTC.
        command: What was typed.
        job: Of Slurm, and how often that was started anew: ``1234 2``; empty without.
        key: Tells this lock from others of the same process.
    """

    host: str
    pid: int
    began: str
    machine: str
    since: str
    command: str
    job: str = ""
    key: str = ""

    @classmethod
    def this(cls) -> Holder:
        """This process, with a key of its own."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            began=began(os.getpid()),
            machine=machine(),
            since=datetime.now(UTC).isoformat(timespec="seconds"),
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            job=job(os.environ),
            key=secrets.token_hex(8),
        )

    def same_process(self, other: Holder) -> bool:
        """Whether both are locks of one process."""
        return (self.machine, self.pid, self.began) == (other.machine, other.pid, other.began)

    def is_gone(self, seen_by: Holder) -> bool:
        """Whether the process is known to have ended, as another one sees it."""
        if self.machine == seen_by.machine:
            return began(self.pid) != self.began
        if self.host == seen_by.host and boot(self.machine) != boot(seen_by.machine):
            return True  # the machine was started anew since
        own, other = self.job.split(), seen_by.job.split()
        return len(own) == 2 and own[:1] == other[:1] and int(own[1]) < int(other[1])


def job(variables: Mapping[str, str]) -> str:
    """The job of Slurm that this process is of, and how often it was started anew."""
    restarts = variables.get("SLURM_RESTART_COUNT", "0")
    number = variables.get("SLURM_JOB_ID", "")
    return f"{number} {restarts}" if number and restarts.isdecimal() else ""


class FolderLock:
    """The right to write a folder, until it is given back or the process ends.

    A process may take a lock that it has; the last of those who have it gives it back.

    Args:
        folder: To write; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / LOCK
        self.own: Holder | None = None

    def take(self) -> FolderLock:
        """Take the lock.

        Raises:
            LockedError: another process has it; names its machine, number and start.
            DataError: it cannot be written.
        """
        own = Holder.this()
        mine = self.path.with_name(f"{LOCK}.{own.key}")
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            write_synced(mine, json.dumps(asdict(own), indent=1).encode())
        try:
            for _ in range(TRIES):
                if linked(mine, self.path):
                    self.own = own
                    return self
                holder = read_holder(self.path)
                if holder is not None and holder.same_process(own):
                    with writing(self.folder):
                        mine.replace(self.path)
                    self.own = own
                    return self
                if holder is not None and not holder.is_gone(own):
                    raise LockedError(held(self.folder, holder))
                if holder is not None:
                    set_aside(self.path, holder)
            raise LockedError(f"{self.path} is taken by others all the time; try again")
        finally:
            mine.unlink(missing_ok=True)

    def give_back(self) -> None:
        """Give the lock back, if it is still this one."""
        if self.own is not None:
            with suppress(DataError):
                if read_holder(self.path) == self.own:
                    self.path.unlink(missing_ok=True)
            self.own = None


@contextmanager
def until_failure(folder: Path | None) -> Iterator[FolderLock | None]:
    """Take a lock on a folder, if there is one, which is given back only where the block fails."""
    if folder is None:
        yield None
        return
    empty, lock = not folder.exists(), FolderLock(folder)
    lock.take()
    try:
        yield lock
    except BaseException:
        lock.give_back()
        with suppress(OSError):
            if empty:
                folder.rmdir()
        raise


@contextmanager
def locked(lock: FolderLock | None) -> Iterator[None]:
    """Hold a lock within the block; without one, nothing."""
    if lock is None:
        yield
        return
    lock.take()
    try:
        yield
    finally:
        lock.give_back()


def linked(mine: Path, path: Path) -> bool:
    """Give a file another name, if nothing has that name.

    Raises:
        DataError: it cannot be written.
    """
    try:
        os.link(mine, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        with writing(path):
            try:
                with path.open("xb") as stream:
                    stream.write(mine.read_bytes())
            except FileExistsError:
                return False
    return True


def read_holder(path: Path) -> Holder | None:
    """Who holds a lock; None where nobody does any more.

    Raises:
        DataError: it is none.
    """
    try:
        told: Any = read_json(path)
        return Holder(**told)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} is no lock of cmg ({error}); if no process writes {path.parent}, remove it"
        ) from error


def set_aside(path: Path, gone: Holder) -> None:
    """Remove the lock of a process that has ended, and no other.

    Two may find it at once. A rename is for one of them; the other may get what the first has
    written since, and puts it back.
    """
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    try:
        if read_holder(aside) != gone:
            linked(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def held(folder: Path, holder: Holder) -> str:
    """What is said to a second writer."""
    return (
        f"{folder} is being written by another process: {holder.pid} on {holder.host}, since "
        f"{holder.since} ({holder.command}). Wait for it, stop it, or choose another --out; if it "
        f"is no more, as after a crash of {holder.host}, remove {folder / LOCK}"
    )
