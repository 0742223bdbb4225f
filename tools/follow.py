"""Follow a configuration from ``cmg pretrain`` to the first step, and count the climbs.

One step is trained on a few clips of the embedded set. From the command to the end of the step,
every function of ``cmg`` is noted when it is first called: a *station*. Their files, in the order
in which they are come to, are what somebody opens who reads along. Where the next file lies in a
room above that of the file before, by the layers of ``pyproject.toml`` (``[tool.importlinter]``),
the reader goes back up: a **climb**.

    python tools/follow.py [--src SRC] [--ground] [--stations]

SRC is the folder of the package, of another checkout perhaps; this one's if not said. A room that
the layers do not know lies where ``recipes`` does. The ground floor, single files of helpers below
all rooms (errors, files, types, ...), is read like a standard library and left out unless
``--ground`` is given.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = ("cmg.cli.training", "pretrain"), ("cmg.training.step", "pretraining_step")
GROUND = "convolutions"
"""The lowest room; what lies below it is the ground floor."""

TRACED = """
import json, sys, threading
from pathlib import Path

begin, end, where, arguments = json.loads(sys.argv[1])
import cmg
root = str(Path(cmg.__file__).parent)
known, stations, names, live = set(), [], {}, False

def station(frame):
    code = frame.f_code
    if code not in names:
        file = code.co_filename
        plain = file.startswith(root) and code.co_flags & 1 and "<" not in code.co_qualname
        inside = Path(file).relative_to(root).with_suffix("").parts if plain else ()
        module = ".".join(part for part in ("cmg", *inside) if part != "__init__")
        names[code] = (module, code.co_qualname) if plain else None
    return names[code]

def importing(frame):
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(root):
            return True
        frame = frame.f_back
    return False

def noted(frame, event, _):
    global live
    if event not in ("call", "return"):
        return
    here = station(frame)
    if here is None:
        return
    live = live or here == begin
    if event == "return" and here == end:
        live = False
        sys.setprofile(None)
        threading.setprofile(None)
    if event == "call" and live and here not in known:
        known.add(here)
        if not importing(frame.f_back):
            stations.append(here)

begin, end = tuple(begin), tuple(end)
from cmg.cli.main import main
sys.argv = ["cmg", *arguments]
threading.setprofile(noted)
sys.setprofile(noted)
try:
    main()
finally:
    sys.setprofile(None)
    Path(where).write_text(json.dumps(stations))
"""


def layers() -> dict[str, int]:
    """Height of every room, 0 the lowest; rooms of one line are equally high."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = told["tool"]["importlinter"]["contracts"][0]["layers"][::-1]
    return {room.strip(): i for i, line in enumerate(lines) for room in line.split("|")}


def height(module: str, rooms: dict[str, int]) -> int:
    """How high the room of a module lies."""
    return rooms.get(([*module.split("."), ""])[1], rooms["recipes"])


def follow(src: Path) -> list[tuple[str, str]]:
    """Module and function of every station of one step, in order."""
    with tempfile.TemporaryDirectory(prefix="cmg-follow-") as folder:
        out, where = Path(folder) / "run", Path(folder) / "stations.json"
        small = ["digits", "data.fraction=0.06", "training.epochs=1", "training.tensorboard=false"]
        arguments = ["pretrain", *small, "--out", str(out)]
        told = json.dumps([BEGIN, END, str(where), arguments])
        subprocess.run(
            [sys.executable, "-c", TRACED, told],
            env={**os.environ, "PYTHONPATH": str(src)},
            check=True,
            capture_output=True,
        )
        return [tuple(station) for station in json.loads(where.read_text(encoding="utf-8"))]


def climbs(stations: list[tuple[str, str]], ground: bool = False) -> list[str]:
    """Where a reader goes back up: the file left, and the function come to.

    Args:
        stations: In order.
        ground: Whether the ground floor counts.
    """
    rooms, seen, found = layers(), set(), []
    before = BEGIN[0]
    for module, name in stations:
        at = height(module, rooms)
        if module in seen or (at < rooms[GROUND] and not ground):
            continue
        seen.add(module)
        if at > height(before, rooms):
            found.append(f"{before} -> {module}:{name}")
        before = module
    return found


def main() -> None:
    """Follow, and print what was found."""
    parser = argparse.ArgumentParser(prog="tools/follow.py")
    parser.add_argument("--src", type=Path, default=ROOT / "src", help="folder of the package")
    parser.add_argument("--ground", action="store_true", help="count the ground floor too")
    parser.add_argument("--stations", action="store_true", help="also list all stations")
    given = parser.parse_args()
    stations = follow(given.src.resolve())
    if given.stations:
        rooms = layers()
        print("\n".join(f"{height(m, rooms):3} {m}:{name}" for m, name in stations))
    up = climbs(stations, given.ground)
    print("\n".join(f"up: {climb}" for climb in up))
    files = len({module for module, _ in stations})
    print(f"{len(stations)} stations in {files} files, {len(up)} climbs")


if __name__ == "__main__":
    main()
