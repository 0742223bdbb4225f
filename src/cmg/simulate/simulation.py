"""Writing a simulated official folder, whole or not at all."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmg.files import StrPath, bytes_below, need_space, writing
from cmg.official.catalogue import COUNTS, S4, SPLITS
from cmg.official.layout import SIMULATION, Layout
from cmg.optional import h5py
from cmg.simulate.dialects import annotation_files, find_lists, read_lists
from cmg.simulate.hdf5 import ave_features, write_ave_lists
from cmg.simulate.jobs import RenderJob, expected_bytes, make_folders, plan, run
from cmg.simulate.latents import Latents
from cmg.simulate.lists import Lists
from cmg.simulate.options import SimulateOptions
from cmg.simulate.own_lists import own_lists
from cmg.simulate.pictures import ScenePainter
from cmg.simulate.text_encoder import count_file, write_text_encoder
from cmg.staging import Staging

TEXT_ENCODER = "text-encoder"

Progress = Callable[[int, int], None]
"""Told (clips done, clips in all)."""


@dataclass(frozen=True)
class SimulationSummary:
    """What was written.

    Attributes:
        path: The folder.
        facts: Content of ``simulation.json``.
        clips: Clips with features.
        bytes: Size of all files; a file with several names counts once.
        seconds: It took.
    """

    path: str
    facts: dict[str, Any]
    clips: int
    bytes: int
    seconds: float


def simulate(
    out: StrPath, options: SimulateOptions | None = None, progress: Progress | None = None
) -> SimulationSummary:
    """Write a folder in the official layout with the features of a simulated world.

    Numbers measured on it are not the paper's. The folder appears when it is whole; equal options
    give equal bytes, whatever the number of workers.

    Args:
        out: Folder to be.
        options: Sizes, seed, lists.
        progress: Told of every few clips.

    Returns:
        What was written.

    Raises:
        ConfigError: h5py is missing.
        DataError: `out` is occupied or cannot be written, or the lists are incomplete or in
            another dialect.
        WorkerError: a worker process was killed from outside.
    """
    start = time.perf_counter()
    options = options or SimulateOptions()
    out = Path(out)
    h5py("AVE's set")
    whole, originals = _whole_lists(options.lists)
    lists = whole.cut(options.fraction, options.of_avsbench)
    jobs = plan(lists, options.seed, options.weak_train)
    widths = options.all_widths
    world = Latents(options.seed, widths["audio"], widths["video"], options.map_size)
    pictures = ScenePainter(world, options.frame_size)
    staging = Staging(out, options.overwrite, SIMULATION)
    try:
        with writing(out):
            need_space(out, expected_bytes(jobs, pictures))
            _write_lists(staging.folder, lists)
            if originals is not None and options.fraction == 1.0:
                _put_originals(staging.folder, originals, whole.avsbench == lists.avsbench)
            _write_text(staging.folder, lists, options)
            _write_features(staging.folder, jobs, lists, options, pictures, progress)
            facts = _facts(options, lists, jobs)
            (staging.folder / SIMULATION).write_text(json.dumps(facts, indent=2) + "\n")
            size = bytes_below(staging.folder)
        staging.publish()
    finally:
        staging.discard()
    return SimulationSummary(str(out), facts, len(jobs), size, time.perf_counter() - start)


def _whole_lists(folder: StrPath | None) -> tuple[Lists, Layout | None]:
    """The lists at their full size, and where the real ones lie."""
    if folder is None:
        return own_lists(), None
    layout = find_lists(Path(folder))
    return read_lists(layout), layout


def _write_lists(folder: Path, lists: Lists) -> None:
    for name, content in annotation_files(lists).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_ave_lists(folder, lists)


def _put_originals(folder: Path, originals: Layout, whole_s4: bool) -> None:
    """At full size the real files take the place of ours, byte for byte."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        original = originals.file(path.name)
        if original is not None and (whole_s4 or path.name != S4):
            shutil.copyfile(original, path)


def _write_text(folder: Path, lists: Lists, options: SimulateOptions) -> None:
    """The text encoder knows the words of the prompts, those for AVSBench's categories too."""
    prompts = [sentence for _, sentence in lists.prompts]
    more = [sentence for _, sentence in lists.avsbench_prompts]
    width = options.all_widths["text"]
    write_text_encoder(folder / TEXT_ENCODER, [*prompts, *more], width, options.seed)
    (folder / COUNTS).write_bytes(count_file([*prompts, *more]))


def _write_features(
    folder: Path,
    jobs: Sequence[RenderJob],
    lists: Lists,
    options: SimulateOptions,
    pictures: ScenePainter,
    progress: Progress | None,
) -> None:
    widths, size = options.all_widths, options.map_size
    make_folders(folder, jobs)
    shapes = {"audio": (widths["audio"],), "visual": (size, size, widths["video"])}
    clips = 0
    with ave_features(folder, len(lists.ave), shapes) as ave:
        for done in run(jobs, pictures, folder, options.workers):
            for row, audio, video in done.ave:
                ave["audio"][row], ave["visual"][row] = audio, video
            clips += done.clips
            if progress is not None:
                progress(clips, len(jobs))


def _facts(options: SimulateOptions, lists: Lists, jobs: Sequence[RenderJob]) -> dict[str, Any]:
    """What ``simulation.json`` says."""
    counts: dict[str, Any] = {
        "vggsound40k": _by_split([split for _, _, split in lists.vggsound]),
        "vggsound2ucf": _by_split([split for _, _, split in lists.vggsound2ucf]),
        "vggsound81k": {"train": len(lists.more)},
        "ave": {split: len(rows) for split, rows in lists.ave_order.items()},
        "avvp": {split: len(rows) for split, rows in lists.avvp.items()}
        | {modality: len(rows) for modality, rows in lists.avvp_combined.items()},
        "ave_avvp": {modality: len(rows) for modality, rows in lists.shared_combined.items()},
        "ucf101": {"all": len(lists.ucf)},
        "ucf101all": {"all": len(lists.ucf51)},
        "avsbench": _by_split([row[3] for row in lists.avsbench]),
        "clips": len(jobs),
    }
    return {
        "format": "cmg-simulation",
        "version": 1,
        "fraction": options.fraction,
        "widths": options.all_widths,
        "map": options.map_size,
        "frame_size": options.frame_size,
        "seed": options.seed,
        "lists": "own" if options.lists is None else "real",
        "weak_train": options.weak_train,
        "counts": counts,
    }


def _by_split(splits: Sequence[str]) -> dict[str, int]:
    return {split: splits.count(split) for split in SPLITS}
