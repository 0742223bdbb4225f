"""Reading clips: official zips against the feature store, side by side; and the import itself.

`OMP_NUM_THREADS=1 python -m benchmarks.loading [--clips 2000] [--json FILE]`

The clips are generated: maps [10, 7, 7, 512] and audio [10, 128], float32, full mantissas, about
70 and 65 % zeros. A zip holds a pickle, deflate level 6; zlib reads it, and ISA-L in an import of
its own. All forms deliver float32 batches of the same clips in the same random order, from one
thread; forms take turns, pass by pass. Warm: the files are in the page cache. Cold: they were
dropped from it with posix_fadvise (on a virtual machine the host may still have them).
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pickle
import pstats
import shutil
import statistics
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmarks.cases import machine, machine_line
from benchmarks.figures import Section, read_figures
from cmg.copying.clips import copy_clips
from cmg.data.batches import Batches
from cmg.data.clips import Clips
from cmg.data.manifest import ClipRow, FeatureSpec
from cmg.data.prefetch import epoch_ahead
from cmg.data.store import open_store
from cmg.official import zips
from cmg.official.dataset import OfficialDataset
from cmg.official.loaders import ZipFolder
from cmg.types import Kind

LEVEL = 6
ZIPS = "zips"
SHAPES = {"audio": (10, 128), "video": (10, 7, 7, 512)}
SHIFT = {"audio": 0.385, "video": 0.524}
"""A standard normal minus this is negative 65 (70) % of the time."""

FORMS = {
    "dense float32": ("dense", "float32"),
    "dense float16": ("dense", "float16"),
    "compact float32": ("compact", "float32"),
    "compact float16": ("compact", "float16"),
}
PHASES = {
    "decompression": ("decompress",),
    "disk: open and read": ("posix.open", "io.open", "readinto", "'read'", "stat", "scandir"),
    "disk: write and sync": ("fsync", "'write'", "rename", "mkdir"),
    "checksums": ("sha256", "file_digest", "'update' of '_hashlib", "crc32"),
    "numpy": ("numpy", "flatnonzero", "packbits", "ufunc", "'reduce'", "'astype'"),
}
"""Functions told apart in the profile of an import; everything else is Python."""


def write_zips(folder: Path, clips: int) -> None:
    """Zips as the official download has them."""
    rng = np.random.default_rng(0)
    for modality, shape in SHAPES.items():
        (folder / modality).mkdir(parents=True)
        for clip in range(clips):
            name = f"clip{clip:06d}"
            x = rng.standard_normal(shape, np.float32) - np.float32(SHIFT[modality])
            data = pickle.dumps(np.maximum(x, 0))
            path = folder / modality / f"{name}.zip"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
                archive.writestr(f"{name}.pkl", data)


def zip_source(folder: Path, clips: int) -> OfficialDataset:
    """The zips through the reader of the official layout."""
    rows = [
        ClipRow(
            id=f"clip{i:06d}",
            split="train",
            lengths=dict.fromkeys(SHAPES, 10),
            labels={},
            meta={"video_id": f"clip{i:06d}"},
        )
        for i in range(clips)
    ]
    specs = {
        m: FeatureSpec(kind=kind, shape=SHAPES[m][1:], dtype="float32", step_seconds=1.0)
        for m, kind in (("audio", Kind.VECTORS), ("video", Kind.MAPS))
    }
    loaders = {m: ZipFolder.of(folder / m, "vggsound", m) for m in SHAPES}
    return OfficialDataset("vggsound40k", folder, rows, specs, {}, {m: loaders[m] for m in SHAPES})


def drop_from_cache(folder: Path) -> None:
    """Ask the kernel to forget the files of a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


def read_pass(source: Clips, batch: int, epoch: int, limit: int, threads: int = 0) -> float:
    """Clips per second over random batches of about `limit` clips."""
    batches = Batches(source.split("train"), batch, seed=epoch)
    clips = 0
    start = time.perf_counter()
    for found in epoch_ahead(batches, 0, workers=threads):
        assert all(x.dtype == torch.float32 for x in found.features.values())
        clips += found.size
        if clips >= limit:
            break
    return clips / (time.perf_counter() - start)


def read_all(
    openers: Mapping[str, tuple[Path, Callable[[], Clips]]],
    batch: int,
    turns: int,
    limit: int,
    cold: bool,
) -> dict[str, list[float]]:
    """Clips per second of every form, one number per turn; all forms take turns."""
    rates: dict[str, list[float]] = {name: [] for name in openers}
    sources = {} if cold else {name: open_() for name, (_, open_) in openers.items()}
    for turn in range(turns if cold else turns + 1):
        for name, (folder, open_) in openers.items():
            if cold:
                drop_from_cache(folder)
            source = open_() if cold else sources[name]
            # The first warm pass, which is not counted, reads everything.
            whole = not cold and turn == 0
            rate = read_pass(source, batch, turn, 10**9 if whole else limit)
            if not whole:
                rates[name].append(rate)
    return rates


def rate_summary(rates: Mapping[str, list[float]], base: str = ZIPS) -> dict[str, dict[str, Any]]:
    """Medians, and ratios to one of the forms turn by turn."""
    told = {}
    for name, own in rates.items():
        ratios = [x / base for x, base in zip(own, rates[base], strict=True)]
        told[name] = {
            "clips_per_s": round(statistics.median(own), 1),
            "min": round(min(own), 1),
            "max": round(max(own), 1),
            "ratio": round(statistics.median(ratios), 2),
            "ratio_min": round(min(ratios), 2),
            "ratio_max": round(max(ratios), 2),
            "turns": len(own),
        }
    return told


def profile_import(source: Clips, out: Path) -> dict[str, Any]:
    """Shares of an import's time in one process, by what it is spent on.

    The profiler slows calls of Python functions and nothing else, so Python's is an upper bound.
    """
    profile = cProfile.Profile()
    start = time.perf_counter()
    profile.runcall(copy_clips, source, out, encoding="compact", workers=1)
    wall = time.perf_counter() - start
    shutil.rmtree(out)
    seconds = dict.fromkeys([*PHASES, "unpickling", "Python"], 0.0)
    stats: Any = pstats.Stats(profile)
    for (file, _, function), (_, _, own, _, _) in stats.stats.items():
        where = f"{file} {function}"
        seconds[_phase(where)] += own
    total = sum(seconds.values())
    shares = {phase: round(s / total, 4) for phase, s in seconds.items()}
    return {"wall_s": round(wall, 2), "shares": shares}


def _phase(where: str) -> str:
    if "pickle" in where:
        return "unpickling"
    for phase, names in PHASES.items():
        if any(name in where for name in names):
            return phase
    return "Python"


def time_imports(source: Clips, out: Path, turns: int) -> dict[str, Any]:
    """Clips per second of whole imports with one and two workers, taking turns.

    Where ISA-L is installed, also of one worker with it, and the ratio to one without.
    """
    forms = {"1 worker": (1, zlib), "2 workers": (2, zips.inflater())}
    if zips.inflater() is not zlib:
        forms["1 worker, ISA-L"] = (1, zips.inflater())
    rates: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(turns):
        for name, (workers, inflater) in forms.items():
            with patch.object(zips, "inflater", lambda inflater=inflater: inflater):
                start = time.perf_counter()
                copied = copy_clips(source, out, encoding="compact", workers=workers)
                rates[name].append(copied.clips / (time.perf_counter() - start))
            shutil.rmtree(out)
    return rate_summary(rates, "1 worker")


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def anonymous_megabytes() -> float:
    """Memory of this process that no file backs."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1e3


def measure(folder: Path, clips: int, batch: int, turns: int, limit: int) -> dict[str, Any]:
    """Everything, in `folder`."""
    write_zips(folder / "zips", clips)
    source = zip_source(folder / "zips", clips)
    openers: dict[str, tuple[Path, Callable[[], Clips]]] = {
        ZIPS: (folder / "zips", lambda: zip_source(folder / "zips", clips))
    }
    for name, (encoding, dtype) in FORMS.items():
        path = folder / name.replace(" ", "-")
        copy_clips(source, path, encoding=encoding, dtype=dtype, workers=1)
        openers[name] = (path, lambda path=path: open_store(path))
    sizes = {name: round(folder_bytes(path) / 1e6, 1) for name, (path, _) in openers.items()}
    before = anonymous_megabytes()
    with patch.object(zips, "inflater", lambda: zlib):  # the figures are about what stores save
        reading = {
            "warm": rate_summary(read_all(openers, batch, turns, limit, cold=False)),
            "cold": rate_summary(read_all(openers, batch, turns, limit, cold=True)),
        }
    return {
        "megabytes": sizes,
        "reading": reading,
        "anonymous_growth_mb": round(anonymous_megabytes() - before, 1),
        "import": time_imports(source, folder / "imported", max(1, turns // 2)),
        "import_profile": profile_import(source, folder / "imported"),
    }


def table(result: Mapping[str, Any]) -> str:
    """Markdown tables of :func:`measure`."""
    lines = ["| form | MB | warm clips/s | to zips (range) | cold clips/s | to zips (range) |"]
    lines.append("|" + "---|" * 6)
    for name, size in result["megabytes"].items():
        cells = [name, f"{size:.0f}"]
        for kind in ("warm", "cold"):
            found = result["reading"][kind][name]
            spread = f"{found['ratio_min']:.1f}–{found['ratio_max']:.1f}"
            cells += [f"{found['clips_per_s']:.0f}", f"{found['ratio']:.1f} ({spread})"]
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    for name, found in result["import"].items():
        lines.append(
            f"import, {name}: {found['clips_per_s']:.0f} clips/s "
            f"({found['min']:.0f}–{found['max']:.0f}), "
            f"{found['ratio']:.2f} times one worker with zlib"
        )
    shares = result["import_profile"]["shares"]
    parts = sorted(shares.items(), key=lambda item: -item[1])
    lines.append("profile of one worker: " + ", ".join(f"{k} {100 * v:.1f} %" for k, v in parts))
    lines.append(f"anonymous memory after reading: +{result['anonymous_growth_mb']:.0f} MB")
    return "\n".join(lines)


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """Reading and import, on fewer clips than the command line's own run.

    Args:
        quick: A handful of clips.
        repeats: Turns.
    """
    clips, batch, limit = (8, 4, 8) if quick else (240, 80, 240)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="cmg-loading-") as folder:
        result = measure(Path(folder), clips, batch, repeats or (1 if quick else 3), limit)
    settings = {"clips": clips, "batch": batch, "level": LEVEL}
    return Section(read_figures(result), table(result), settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the tables and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading")
    parser.add_argument("--clips", type=int, default=2000, help="clips, a zip per modality each")
    parser.add_argument("--batch", type=int, default=80)
    parser.add_argument("--turns", type=int, default=5, help="passes; a table gives their median")
    parser.add_argument("--limit", type=int, default=800, help="clips per counted pass")
    parser.add_argument("--folder", type=Path, help="where the data are written for the time")
    parser.add_argument("--json", type=Path, help="where the result is written")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    facts = machine()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="cmg-loading-") as folder:
        result = measure(Path(folder), given.clips, given.batch, given.turns, given.limit)
    facts["load_after"] = machine()["load"]
    print(machine_line(facts))
    print(f"\n{given.clips} clips, batches of {given.batch}, zips at deflate level {LEVEL}\n")
    print(table(result))
    if given.json is not None:
        told = {"machine": facts, "clips": given.clips, "batch": given.batch, "level": LEVEL}
        given.json.write_text(json.dumps(told | result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
