"""What lies at a path that something else was wanted of, and the command line that takes it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cmg.suffixes import medium_of

PATH = re.compile(
    r"(?<![\w/.:<])(?:~?/[\w.@+-]+/[^\s'\"]*|~/\S+|file://\S+)|\b[A-Za-z]:\\\S+|\\\\\w+\\\S+"
)
"""A folder or file of some machine in a text; neither an address nor ``and/or`` is one."""
FOLDERS = {
    "manifest.json": ("a feature store", "`cmg pretrain data={} --out RUN` trains on it"),
    "collection.json": (
        "an imported collection",
        "`cmg pretrain data={} list=40k --out RUN` trains on a list of it",
    ),
    "checkpoint.json": ("a checkpoint of a run", "--model {} uses it"),
    "config.yaml": ("a run folder", "--model {} uses it"),
    "segmenter.json": ("a segmentation model", "`cmg segment CLIP --model {}` uses it"),
    "study.json": ("a study", "`cmg study table {}` shows it"),
    "demo.json": ("a demo, which holds runs", "--model {}/seed-0 uses the first"),
}
"""By the file that marks a folder: what it is, and what takes it."""
_ARRAYS = "`cmg data import --arrays CSV --out STORE` makes a store of arrays that a CSV lists"
_MEDIA = "`cmg extract {} --out STORE --video NAME --audio NAME` makes a store"
_OFFICIAL = f"`cmg data import ROOT --out STORE` reads the official folder; {_ARRAYS}"
_AUTHORS = "`cmg convert {} --out RUN` makes a run folder of a checkpoint of the authors"
SUFFIXES = {
    ".csv": (
        "a table",
        "`cmg data import --arrays {} --out STORE` makes a store of the arrays it lists, "
        "`cmg extract {} --out STORE --video NAME --audio NAME` of media",
    ),
    ".jsonl": ("a list", _MEDIA + " of the media it names"),
    ".yaml": ("a configuration", "`cmg pretrain {} --out RUN` trains by it"),
    ".npy": ("an array", _ARRAYS),
    ".npz": ("a file of arrays", _ARRAYS),
    ".h5": ("an HDF5 file", _OFFICIAL),
    ".pkl": ("a pickle", _OFFICIAL),
    ".zip": ("an archive", _OFFICIAL),
    ".pt": ("a file of torch", _AUTHORS),
    ".pth": ("a file of torch", _AUTHORS),
}
"""By the suffix of a file, which no command line takes for a folder."""
PATH = re.compile(
    r"(?<![\w/.:<])(?:~?/[\w.@+-]+/[^\s'\"]*|~/\S+|file://\S+)|\b[A-Za-z]:\\\S+|\\\\\w+\\\S+"
)
"""A folder or file of some machine in a text; neither an address nor ``and/or`` is one."""
LOOKED_AT = 200
"""So many entries of a folder are looked at for media."""


def lies_there(path: str | Path) -> str:
    """The tail of a message on a path that is not what was wanted.

    Returns:
        ``it is a feature store: `cmg pretrain data=PATH --out RUN` trains on it``, or nothing where
        there is nothing that any command takes, or where no path can be as long.
    """
    path = Path(path)
    marks = [(folder, mark) for folder in (path, path.parent) for mark in FOLDERS]
    for folder, mark in marks:
        if os.path.isfile(folder / mark) and os.path.exists(path):
            what, use = FOLDERS[mark]
            part = "" if folder == path else "part of "
            return f"it is {part}{what}: {use.format(folder)}"
    if os.path.isfile(path):  # unlike pathlib's, total: no name is too long for it
        what, use = SUFFIXES.get(path.suffix.lower().replace(".yml", ".yaml"), ("", ""))
        if medium_of(path):
            what, use = f"a {medium_of(path)}", _MEDIA + " of the folder that it lies in"
            path = path.parent
        return f"it is {what}: {use.replace('{}', str(path))}" if what else ""
    if os.path.isdir(path) and _has_media(path):
        return f"it is a folder of media: {_MEDIA.format(path)}"
    return ""


def _has_media(folder: Path) -> bool:
    entries = (entry for pattern in ("*", "*/*") for entry in folder.glob(pattern))
    return any(medium_of(entry) for entry, _ in zip(entries, range(LOOKED_AT), strict=False))


def public_name(place: str | os.PathLike[str]) -> str:
    """How a folder is called in what is handed on: a path of this machine by its end."""
    return Path(place).name if os.path.isabs(place) else os.fspath(place)


def public_text(text: str, *known: str | os.PathLike[str] | None) -> str:
    """A text as it is handed on: of paths of this machine, known or what looks like one, the end.

    A path with a space in it is found whole only where it is known.
    """
    for path in sorted((os.fspath(path) for path in known if path), key=len, reverse=True):
        text = text.replace(path, Path(path).name or path)
    return PATH.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], text)
