"""The clips to render, and the processes that render them."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.files import bytes_below
from cmg.simulate import layout
from cmg.simulate.clip_files import write_frame, write_mask, write_zip
from cmg.simulate.latents import Floats
from cmg.simulate.lists import Combined, Lists
from cmg.simulate.pictures import ScenePainter
from cmg.simulate.scripts import (
    S4_STEPS,
    Script,
    ave_script,
    avsbench_script,
    avvp_script,
    segment_labels,
    ucf_script,
    vggsound_script,
    weak_events,
)
from cmg.workers import usable_cores, worker_processes

_CHUNK = 16
"""Clips that a process takes at a time."""


@dataclass(frozen=True)
class RenderJob:
    """A clip and where its features go.

    Attributes:
        script: What happens in it.
        audio: Zips that hold its audio, relative to the official folder.
        video: Likewise.
        frames: Pictures of its steps.
        masks: Pictures of what is meant, of its first steps.
        segments: Zip for its segment labels, and these.
        row: Its row in AVE's h5 files, which the parent process writes.
    """

    script: Script
    audio: tuple[str, ...] = ()
    video: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    segments: tuple[str, list[int]] | None = None
    row: int | None = None


@dataclass(frozen=True)
class Done:
    """What comes back of some jobs: their number, and AVE's rows with audio and video."""

    clips: int
    ave: list[tuple[int, Floats, Floats]] = field(default_factory=list)


def plan(lists: Lists, seed: int, weak_train: bool) -> list[RenderJob]:
    """Every clip of the lists that has features."""
    return [
        *_vggsound(lists, seed),
        *(
            RenderJob(ave_script(row, a.category, a.video_id, a.start, a.end, seed), row=row)
            for row, a in enumerate(lists.ave)
        ),
        *_avvp(lists, seed, weak_train),
        *_ucf(lists, seed),
        *_avsbench(lists, seed),
    ]


def _vggsound(lists: Lists, seed: int) -> Iterator[RenderJob]:
    more = set(lists.more)
    known = {video_id for _, video_id, _ in lists.vggsound}
    for category, video_id, _ in lists.vggsound:
        script = vggsound_script(category, video_id, seed)
        label = layout.segment_label(video_id), segment_labels(script, category)
        sets = (layout.VGGSOUND, layout.BEYOND) if video_id in more else (layout.VGGSOUND,)
        yield replace(_everywhere(script, sets), segments=label)
    for video_id in lists.more:
        if video_id not in known:
            yield _everywhere(vggsound_script(None, video_id, seed), (layout.BEYOND,))


def _everywhere(script: Script, datasets: Sequence[str]) -> RenderJob:
    audio, video = (
        tuple(layout.feature(dataset, modality, script.id) for dataset in datasets)
        for modality in ("audio", "video")
    )
    return RenderJob(script, audio, video)


def _avvp(lists: Lists, seed: int, weak_train: bool) -> Iterator[RenderJob]:
    events = {modality: _events(rows) for modality, rows in lists.avvp_combined.items()}
    weak = {name: labels.split(",") for name, labels in lists.avvp["train"]} if weak_train else {}
    listed = [name for split in ("val", "test") for name, _ in lists.avvp[split]]
    done: set[str] = set()
    for name in dict.fromkeys([*listed, *events["audio"], *events["visual"], *weak]):
        if name[:11] in done:
            continue  # Names that are cut to one key share one clip.
        done.add(name[:11])
        if name in weak:
            audible, visible = weak_events(name, weak[name], seed)
        else:
            audible, visible = (events[modality].get(name, []) for modality in ("audio", "visual"))
        yield _everywhere(avvp_script(name, audible, visible, seed), (layout.AVVP,))


def _events(rows: Sequence[Combined]) -> dict[str, list[tuple[int, int, str]]]:
    found: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for name, onsets, offsets, labels in rows:
        times = zip(onsets.split(","), offsets.split(","), labels.split(","), strict=True)
        found[name] += [(int(onset), int(offset), label) for onset, offset, label in times]
    return dict(found)


def _ucf(lists: Lists, seed: int) -> Iterator[RenderJob]:
    of_pairs = {name for _, name in lists.ucf}
    of_all = {name for _, name in lists.ucf51}
    categories = {name: category for category, name in [*lists.ucf, *lists.ucf51]}
    for name, category in categories.items():
        sets = [layout.UCF_ALL] if name in of_all else []
        job = _everywhere(ucf_script(category, name, seed), sets)
        own = (layout.feature(layout.UCF, "video", name),) if name in of_pairs else ()
        yield replace(job, video=(*own, *job.video))


def _avsbench(lists: Lists, seed: int) -> Iterator[RenderJob]:
    """Frames of all five steps; masks of the first one in training, of all otherwise."""
    steps = range(1, S4_STEPS + 1)
    for name, _, category, split in lists.avsbench:
        frames, masks = (
            tuple(layout.s4_picture(kind, split, category, name, step) for step in some)
            for kind, some in (
                ("visual_frames", steps),
                ("gt_masks", steps[:1] if split == "train" else steps),
            )
        )
        audio = (layout.s4_audio(split, category, name),)
        yield RenderJob(avsbench_script(category, name, seed), audio, frames=frames, masks=masks)


def make_folders(folder: Path, jobs: Sequence[RenderJob]) -> None:
    """The folders that the files of some jobs go to."""
    paths = {path for job in jobs for path in (*job.audio, *job.video, *job.frames, *job.masks)}
    paths |= {job.segments[0] for job in jobs if job.segments is not None}
    for parent in {Path(path).parent for path in paths}:
        (folder / parent).mkdir(parents=True, exist_ok=True)


def expected_bytes(jobs: Sequence[RenderJob], pictures: ScenePainter) -> int:
    """About what the features of all jobs take: each as much as the first one of its kind."""
    kinds: dict[tuple[bool, ...], list[RenderJob]] = defaultdict(list)
    for job in jobs:
        parts = (job.audio, job.video, job.frames, job.segments, job.row is not None)
        kinds[tuple(map(bool, parts))].append(job)
    size = 0
    for some in kinds.values():
        with TemporaryDirectory(prefix="cmg-simulate-") as temporary:
            folder = Path(temporary)
            make_folders(folder, some[:1])
            rows = render((pictures, folder), some[:1]).ave
            each = bytes_below(folder) + sum(x.nbytes + y.nbytes for _, x, y in rows)
        size += len(some) * each
    return size


def run(
    jobs: Sequence[RenderJob], pictures: ScenePainter, folder: Path, workers: int | None
) -> Iterator[Done]:
    """Write the features of all jobs below `folder`, side by side.

    Args:
        jobs: What to render.
        pictures: Renders it; its world renders the features.
        folder: Gets the files; their folders exist.
        workers: Processes; None takes one per CPU core, 1 works in this process.

    Yields:
        What is done, in the order of the jobs.

    Raises:
        WorkerError: a worker was killed from outside.
    """
    chunks = [jobs[i : i + _CHUNK] for i in range(0, len(jobs), _CHUNK)]
    workers = min(workers or usable_cores(), max(1, len(chunks)))
    if workers == 1:
        for chunk in chunks:
            yield render((pictures, folder), chunk)
        return
    with worker_processes(workers, (pictures, folder)) as submit:
        waiting = deque(submit(render, chunk) for chunk in chunks)
        while waiting:
            yield waiting.popleft().result()


def render(given: tuple[ScenePainter, Path], jobs: Sequence[RenderJob]) -> Done:
    """Write the features of some jobs; those of AVE come back."""
    pictures, folder = given
    ave, world = [], pictures.world
    for job in jobs:
        if job.row is not None:
            ave.append((job.row, world.audio(job.script), world.video(job.script)))
        if job.audio:
            _write_everywhere(folder, job.audio, world.audio(job.script))
        if job.video:
            _write_everywhere(folder, job.video, world.video(job.script))
        if job.frames:
            _write_pictures(folder, job, pictures)
        if job.segments is not None:
            path, labels = job.segments
            _write_everywhere(folder, (path,), np.array(labels, np.float32))
    return Done(len(jobs), ave)


def _write_pictures(folder: Path, job: RenderJob, pictures: ScenePainter) -> None:
    frames, masks = pictures.clip(job.script)
    for path, frame in zip(job.frames, frames, strict=True):
        write_frame(folder / path, frame)
    for path, mask in zip(job.masks, masks, strict=False):
        write_mask(folder / path, mask)


def _write_everywhere(folder: Path, paths: Sequence[str], array: NDArray[Any]) -> None:
    """Write a zip, and give it further names; copies where the disk knows no hard links."""
    first, *others = (folder / path for path in paths)
    write_zip(first, array)
    for other in others:
        try:
            os.link(first, other)
        except OSError:
            shutil.copyfile(first, other)
