"""Folders that appear whole or not at all, and take another's place in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
from pathlib import Path

from cmg.errors import DataError
from cmg.files import sync_folder, writing
from cmg.writers import beside, clear_leftovers


class Staging:
    """A temporary sibling folder that takes the place of `target` in one step.

    What was there changes places with it, so that a reader finds the one or the other, and what
    killed processes left beside `target` is cleared (:func:`~cmg.writers.clear_leftovers`).

    Args:
        target: The folder to be.
        overwrite: Whether `target` may be replaced; only a folder that holds `marker` ever is.
        marker: File name that tells a folder of ours from somebody else's.

    Raises:
        DataError: `target` exists and may not be replaced, or its parent cannot be written.
    """

    def __init__(self, target: Path, overwrite: bool, marker: str) -> None:
        self.target = target
        self.overwrite = overwrite
        self.marker = marker
        clear_leftovers(target)
        self._refuse_occupied()
        self.folder = self._made()

    def _made(self) -> Path:
        """The folder that is written."""
        folder = beside(self.target)
        with writing(self.target):
            folder.mkdir(parents=True)
        return folder

    def _refuse_occupied(self) -> None:
        target = self.target
        if target.is_symlink() or (target.exists() and not target.is_dir()):
            raise DataError(f"{target} exists and is not a folder; choose another path")
        if not target.exists() or not any(target.iterdir()):
            return
        if not self.overwrite:
            raise DataError(
                f"{target} exists and is not empty; choose another path, or replace it with "
                "--overwrite (in Python: overwrite=True)"
            )
        if not (target / self.marker).is_file():
            raise DataError(
                f"{target} is not empty and holds no {self.marker}, so it is not overwritten; "
                "choose another path"
            )

    def publish(self) -> None:
        """Put the finished folder in the place of `target`.

        Raises:
            DataError: another process has filled `target` meanwhile, or the rename failed.
        """
        self._refuse_occupied()
        with writing(self.target):
            sync_folder(self.folder)
            if not (self.overwrite and any_in(self.target)):
                self.folder.replace(self.target)  # fails where it was filled meanwhile
            elif not exchange(self.folder, self.target):
                self._in_two_renames()
            sync_folder(self.target.parent)
        self.discard()  # what was there before, where it has changed places

    def _in_two_renames(self) -> None:
        """Where two folders cannot change places at once; see :func:`clear_leftovers`."""
        aside = beside(self.target, "replaced")
        self.target.rename(aside)
        try:
            self.folder.rename(self.target)
        except BaseException:
            aside.rename(self.target)
            raise
        shutil.rmtree(aside, ignore_errors=True)

    def discard(self) -> None:
        """Remove everything written so far."""
        shutil.rmtree(self.folder, ignore_errors=True)


def any_in(folder: Path) -> bool:
    """Whether a folder is there and has something in it."""
    return folder.is_dir() and any(folder.iterdir())


def exchange(one: Path, other: Path) -> bool:
    """Have two paths of one file system change places at once; False where that cannot be.

    Raises:
        OSError: a path is not there, or its folder may not be changed.
    """
    swap = {"linux": ("renameat2", 2), "darwin": ("renameatx_np", 2)}.get(sys.platform)
    here = {"linux": -100, "darwin": -2}.get(sys.platform)  # AT_FDCWD
    call = swap and getattr(ctypes.CDLL(None, use_errno=True), swap[0], None)
    if not swap or call is None:
        return False
    names = [ctypes.c_char_p(os.fsencode(path)) for path in (one, other)]
    if call(here, names[0], here, names[1], ctypes.c_uint(swap[1])) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
        return False  # a file system that cannot, or an older kernel
    raise OSError(number, os.strerror(number), str(one), None, str(other))
