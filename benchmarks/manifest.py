"""Opening a store of many clips: seconds and memory should not grow with their number.

`python -m benchmarks.manifest [--sizes 10000 100000 1000000 10000000] [--keep DIR] [--json FILE]`

Stores of tiny clips are simulated: one step of two float16 numbers, and none, one or two steps of
one uint8; nine of ten clips are in the split that is read. What grows with the number of clips is
in them as in any store: columns, positions of splits, orders. In a fresh process per size, after
the imports: seconds until the store is open, until the first shuffled batch of 80 clips is there,
and per later batch, once with its features and once without ("bookkeeping": which clips, their ids
and lengths); and how much the anonymous memory grows at most, sampled every 10 ms. Files were just
written, so they are in the page cache. "Version 1" is the same store as it was stored before, all
rows read at opening. Ten million clips take 1.5 GB of disk and a few minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.anonymous import anonymous_bytes, peak_of
from benchmarks.cases import machine, machine_line
from benchmarks.figures import Figure, Section, markdown
from cmg.data.batches import Batches
from cmg.data.columns import write_columns
from cmg.data.manifest import (
    BLOCKS,
    COLUMNS,
    LINES,
    MANIFEST,
    SHARDS,
    FeatureSpec,
    LabelSpec,
    Manifest,
    Shard,
    read_manifest,
)
from cmg.data.shards import shard_writer
from cmg.data.store import open_store
from cmg.data.writer import SHARD_BYTES, Clip, finish_store
from cmg.files import file_digests, write_synced
from cmg.types import Kind

ROOT = Path(__file__).parents[1]
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
QUICK = (10_000, 100_000)
OLD_UP_TO = 1_000_000
"""Clips up to which the store is also measured as version 1 had it."""
BATCH = 80
LATER = 100
AT_ONCE = 1 << 16

SPECS = {
    "audio": FeatureSpec(kind=Kind.VECTORS, shape=(2,), dtype="float16", step_seconds=1.0),
    "sensor": FeatureSpec(kind=Kind.VECTORS, shape=(1,), dtype="uint8", step_seconds=1.0),
}
LENGTHS = ('{"audio":1}', '{"audio":1,"sensor":1}', '{"audio":1,"sensor":2}')
LABELS = {"kind": LabelSpec(classes=tuple("abcdefghij"))}


def split_of(clip: int) -> str:
    """The split of a clip."""
    return "train" if clip % 10 else "test"


def simulated_clips(count: int) -> Iterator[Clip]:
    """The clips one by one, as :func:`write_bulk` writes them."""
    for i in range(count):
        audio, sensor = _features(range(i, i + 1))
        features = {"audio": audio, "sensor": sensor}
        yield Clip(f"clip-{i:08d}", split_of(i), features, {"kind": i % 7}, {})


def _features(clips: range) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Steps of consecutive clips, one after the other; clip i has i % 3 of the sensor."""
    numbers = np.arange(clips.start, clips.stop)
    audio = np.stack([numbers % 1024, numbers // 1024 % 1024], axis=1).astype(np.float16)
    return audio, np.repeat(numbers % 251, numbers % 3).astype(np.uint8)[:, None]


def write_bulk(folder: Path, count: int) -> None:
    """Write the store that a `StoreWriter` would write of :func:`simulated_clips`, to the byte.

    That takes minutes for each million clips, most of all to check them one by one.
    """
    (folder / SHARDS).mkdir(parents=True)
    shards = [
        shard_writer(folder / SHARDS / f"{number:05d}.{name}.safetensors", spec)
        for number, (name, spec) in enumerate(SPECS.items())
    ]
    for first in range(0, count, AT_ONCE):
        features = _features(range(first, min(first + AT_ONCE, count)))
        for shard, own in zip(shards, features, strict=True):
            shard.append(own)
    assert all(shard.bytes < SHARD_BYTES for shard in shards)  # it would begin another one
    blocks, written = {}, []
    for name, shard in zip(SPECS, shards, strict=True):
        shard.finish()
        file = f"{SHARDS}/{shard.path.name}"
        digest, blocks[file] = file_digests(shard.path)
        written.append(
            Shard(file=file, modality=name, clips=(0, count), sha256=digest, bytes=shard.bytes)
        )
    arrays, absent = _columns(count)
    write_columns(folder, arrays, absent)
    lines = hashlib.sha256()
    for line in _lines(count):
        lines.update(line)
    splits = {"test": -(-count // 10), "train": count - -(-count // 10)}
    manifest = Manifest(
        modalities=SPECS,
        labels=LABELS,
        splits={name: n for name, n in splits.items() if n},
        shards=tuple(written),
        clips_sha256=lines.hexdigest(),
    )
    finish_store(folder, manifest, blocks)


def _columns(count: int) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, int]]:
    """Columns of the simulated clips, and how many of them lack a modality."""
    numbers = np.arange(count)
    test, width = numbers % 10 == 0, len("clip-00000000")
    ids = np.char.add("clip-", np.char.zfill(numbers.astype("U8"), 8)).astype(f"S{width}")
    sensor = np.concatenate([[0], np.cumsum(numbers % 3)])
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "split": (~test).astype(np.int32),
        "ids": ids.view(np.uint8),
        "ids.ends": np.arange(count + 1) * width,
        "rest": np.zeros(0, np.uint8),
        "rest.ends": np.zeros(count + 1, np.int64),
        "split.test": np.flatnonzero(test),
        **({"split.train": np.flatnonzero(~test)} if count > 1 else {}),
        "steps.audio": np.arange(count + 1),
        "steps.sensor": sensor,
        "label.kind": numbers % 7,
    }
    return arrays, {"audio": 0, "sensor": int((numbers % 3 == 0).sum())}


def _lines(count: int) -> Iterator[bytes]:
    """The rows as version 1 had them, many at a time."""
    for first in range(0, count, AT_ONCE):
        yield "".join(
            f'{{"id":"clip-{i:08d}","split":"{split_of(i)}","lengths":{LENGTHS[i % 3]},'
            f'"labels":{{"kind":{i % 7}}},"meta":{{}}}}\n'
            for i in range(first, min(first + AT_ONCE, count))
        ).encode()


def as_version_1(folder: Path, old: Path) -> None:
    """The same store as version 1 had it; its shards are links."""
    shutil.copytree(folder, old, copy_function=os.link)
    (old / COLUMNS).unlink()
    (old / BLOCKS).unlink()
    manifest = read_manifest(folder)
    with (old / LINES).open("wb") as stream:
        stream.writelines(_lines(manifest.clips))
    change = {"version": 1, "columns_sha256": None, "blocks_sha256": None}
    (old / MANIFEST).unlink()
    write_synced(old / MANIFEST, manifest.model_copy(update=change).pretty())


# --- in a process of its own ---------------------------------------------------------------------


def measure_here(folder: Path) -> dict[str, float]:
    """Open the store and read batches; seconds, and bytes of anonymous memory."""
    found: dict[str, float] = {}

    def work() -> None:
        start = time.perf_counter()
        store = open_store(folder)
        found["open"] = time.perf_counter() - start
        batches = Batches(store.split("train"), BATCH, seed=0)
        batches.at(0, 0)
        found["first"] = time.perf_counter() - start
        numbers = range(1, min(LATER + 1, len(batches)))
        found["later"] = _median(batches.at, numbers)
        found["bookkeeping"] = _median(partial(_bookkeeping, batches), numbers)

    before = anonymous_bytes()
    found["anonymous"] = peak_of(work) - before
    return found


def _bookkeeping(batches: Batches, epoch: int, index: int) -> None:
    """What a batch takes beside its features: which clips, their ids and lengths."""
    clips = batches.indices(epoch, index)
    batches.split.ids_of(clips)
    batches.whole_lengths(epoch, index)


def _median(work: Callable[[int, int], object], numbers: range) -> float:
    """Seconds for a batch of the first epoch."""
    seconds = []
    for index in numbers:
        start = time.perf_counter()
        work(0, index)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def measure_apart(folder: Path) -> dict[str, float]:
    """:func:`measure_here` in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.manifest", "--measure", str(folder.absolute())]
    environment = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


# --- all sizes -----------------------------------------------------------------------------------


def measure(sizes: Sequence[int], keep: Path | None, turns: int) -> list[dict[str, Any]]:
    """Write a store of each size, measure it, and remove it.

    Args:
        sizes: Numbers of clips.
        keep: Where the stores stay; None is a temporary folder.
        turns: Fresh processes per size.
    """
    found = []
    with tempfile.TemporaryDirectory(prefix="cmg-manifest-") as temporary:
        for clips in sizes:
            folder = (keep or Path(temporary)) / f"{clips}-clips"
            start = time.perf_counter()
            write_bulk(folder, clips)
            written = time.perf_counter() - start
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            kinds = {"columns": folder}
            if clips <= OLD_UP_TO:
                kinds["version 1"] = folder.with_name(f"{clips}-clips-version-1")
                as_version_1(folder, kinds["version 1"])
            for kind, path in kinds.items():
                told = [measure_apart(path) for _ in range(turns)]
                found.append(
                    {"clips": clips, "rows": kind, "bytes": size, "written": written, "turns": told}
                )
            if keep is None:
                for path in kinds.values():
                    shutil.rmtree(path)
    return found


def figures_of(found: Sequence[dict[str, Any]]) -> dict[str, Figure]:
    """What was measured, by name."""
    figures = {}
    for one in found:
        name = f"{one['clips']:,} clips, {one['rows']}"
        for key, label, unit, scale in (
            ("open", "open", "ms", 1e3),
            ("first", "first batch", "ms", 1e3),
            ("later", "later batch", "ms", 1e3),
            ("bookkeeping", "bookkeeping", "ms", 1e3),
            ("anonymous", "memory", "MB", 1e-6),
        ):
            values = [scale * turn[key] for turn in one["turns"]]
            figures[f"{name}: {label}"] = Figure.of(values, unit)
    return figures


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """Open stores of 10,000 to 10 million clips; `quick` is up to 100,000."""
    return _section(QUICK if quick else SIZES, None, repeats or 3)


def _section(sizes: Sequence[int], keep: Path | None, turns: int) -> Section:
    found = measure(sizes, keep, turns)
    figures = figures_of(found)
    rows = []
    for one in found:
        name = f"{one['clips']:,} clips, {one['rows']}"
        told = [
            figures[f"{name}: {label}"].told()
            for label in ("open", "first batch", "later batch", "bookkeeping", "memory")
        ]
        rows.append([f"{one['clips']:,}", one["rows"], f"{one['bytes'] / 1e6:,.0f}", *told])
    head = (
        "clips",
        "rows",
        "MB on disk",
        "open ms",
        "first batch ms",
        "later batch ms",
        "bookkeeping ms",
        "MB",
    )
    text = (
        f"{markdown(head, rows)}\n\nFresh process after its imports, medians of {turns} (range); "
        f"batches of {BATCH} in shuffled order, later ones are the median of {LATER}; MB: growth "
        f"of anonymous memory at its peak. Bookkeeping: a batch without its features. Files in "
        "the page cache."
    )
    return Section(figures, text, {"sizes": list(sizes), "batch": BATCH, "turns": turns})


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.manifest")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of clips")
    parser.add_argument("--turns", type=int, default=3, help="fresh processes per size")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the stores here, for good")
    parser.add_argument("--json", type=Path, help="where the result is written")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure is not None:
        print(json.dumps(measure_here(given.measure)))
        return
    facts = machine()
    found = _section(given.sizes, given.keep, given.turns)
    facts["load_after"] = machine()["load"]
    print(machine_line(facts))
    print(f"\n{found.text}")
    if given.json is not None:
        told = {"machine": facts} | found.as_dict()
        given.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
