"""The last resort of the command line: an error that nobody foresaw is told, and kept in a file."""

from __future__ import annotations

import platform
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cmg import __version__
from cmg.cache import cache_folder
from cmg.cli.output import typed_again
from cmg.files import replace_file

EXIT = 70
"""EX_SOFTWARE of sysexits: the program is at fault, not what it was given."""


def unforeseen(error: Exception) -> tuple[dict[str, Any], str, int]:
    """What is said of an error that is no :class:`~cmg.errors.CmgError`, and the exit code.

    The traceback goes to ``faults/`` in the cache folder; where that cannot be written, to the
    terminal.

    Args:
        error: As it was raised.

    Returns:
        For JSON, for people, and for the shell.
    """
    typed = typed_again()
    told = (f"{type(error).__name__}: {error}").partition("\n")[0]
    trace = "".join(traceback.format_exception(error))
    report = (
        f"cmg {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"{typed}\nin {here()}\n\n{trace}"
    )
    now = datetime.now(UTC)
    path = cache_folder() / "faults" / f"{now:%Y%m%d-%H%M%S-%f}.txt"
    try:
        replace_file(path, report.encode("utf-8", "backslashreplace"))
        kept = f"The traceback is in {path}; send that file with your report"
    except Exception:  # nothing may hide the error itself
        kept = f"The traceback could not be kept:\n{report}"
    text = (
        f"error: cmg is at fault, not you: {told}\n"
        f"in `{typed}`. {kept} to those you have cmg from (it names paths of this machine)."
    )
    about = {"error": type(error).__name__, "message": told, "traceback": str(path)}
    return about, text, EXIT


def here() -> str:
    """The folder that was typed in, which may be gone by now."""
    try:
        return str(Path.cwd())
    except OSError:
        return "a folder that is gone"
