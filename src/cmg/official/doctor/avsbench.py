"""AVSBench-S4: the list, the zips of audio, and every clip's frames and masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmg.errors import DataError
from cmg.official.catalogue import OPENNLPLAB, feature_part
from cmg.official.datasets.avsbench import (
    STEPS,
    clip_folder,
    mask_count,
    picture_names,
    pictures_in,
    s4_audio,
)
from cmg.official.doctor.clips import compare_names
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.features import Tally, check_zips, spread
from cmg.official.doctor.findings import some
from cmg.official.lists.avsbench import CATEGORIES, S4Clip
from cmg.official.names import FRAMES, MASKS, S4, SPLITS
from cmg.pictures.masks import read_mask
from cmg.pictures.reader import read_picture

AUDIO = feature_part("avsbench", "audio")
_AGAIN = f"get these again from {OPENNLPLAB}"


@dataclass(frozen=True)
class _Pictures:
    """The frames and masks of a clip that there should be."""

    frames: list[Path]
    masks: list[Path]


def check_avsbench(exam: Examination) -> None:
    """Check the list, and what there is of its clips."""
    clips: list[S4Clip] | None = exam.contents.get(S4)
    if clips is not None:
        _check_list(exam, clips)
    _check_audio(exam, clips)
    if clips is None:
        return
    seen = _listed(exam, FRAMES, clips)
    meant = _listed(exam, MASKS, clips)
    if seen:
        _check_frames(exam, clips, seen)
    if meant:
        _check_masks(exam, clips, seen, meant)
    _open_some(exam, clips, seen, meant)


def _check_list(exam: Examination, clips: Sequence[S4Clip]) -> None:
    found = Counter(clip.split for clip in clips)
    exam.rows(S4, len(clips))
    if exam.faulty(S4):
        return
    wanted = {split: exam.expected.rows("avsbench", split) for split in SPLITS}
    if other := [s for s in SPLITS if wanted[s] is not None and wanted[s] != found[s]]:
        told = ", ".join(
            f"{found[split]:,} of {split} (expected {wanted[split]:,})" for split in other
        )
        exam.warn(S4, f"splits of other sizes: {told}; numbers are those of another split")
    exam.spread(S4, clips, CATEGORIES)


def _check_audio(exam: Examination, clips: Sequence[S4Clip] | None) -> None:
    if not exam.where(AUDIO):
        return
    try:
        audio = s4_audio(exam.layout)
    except DataError as error:
        exam.wrong(AUDIO, str(error), "unpack the archive again")
        return
    if clips is None or exam.faulty(S4):
        exam.complete(AUDIO, count(len(audio.names), "zips"))
    else:
        compare_names(exam, AUDIO, set(audio.names), [clip.name for clip in clips])
    listed = [clip.name for clip in clips or () if clip.name in audio.names]
    paths = [audio.paths[name] for name in listed or sorted(audio.names)]
    check_zips(exam, AUDIO, "avsbench", "audio", paths)


def _listed(exam: Examination, kind: str, clips: Sequence[S4Clip]) -> dict[str, set[str]]:
    """Names of the pictures of every clip that has some, from the one folder of them."""
    places = exam.layout.pictures.get(kind, [])
    if len(places) != 1:
        return {}
    names = {clip.name: pictures_in(clip_folder(places[0], clip)) for clip in clips}
    found = {name: pictures for name, pictures in names.items() if pictures}
    if not found:
        exam.wrong(
            kind,
            f"no clip of {S4} has pictures here; the first would be in "
            f"{exam.shown(clip_folder(places[0], clips[0]))}",
            f"the list or the folder is of another set; get both from {OPENNLPLAB}",
            "0 clips",
        )
        return {}
    more = sorted(_folders(places[0]) - {clip.name for clip in clips})
    if more:
        exam.note(kind, f"of no clip in the list: {some(more)}; not read", f"{len(more):,} more")
    return found


def _folders(root: Path) -> set[str]:
    """Names of the clips below a folder of pictures."""
    return {place.name for place in root.glob("*/*/*") if place.is_dir()}


def _check_frames(exam: Examination, clips: Sequence[S4Clip], seen: Mapping[str, set[str]]) -> None:
    exam.complete(FRAMES, count(len(seen), "clips"), f"{len(clips):,} of the list, 5 frames each")
    if absent := [clip.name for clip in clips if clip.name not in seen]:
        exam.truncated(
            FRAMES,
            f"{len(absent):,} clips without frames",
            f"{len(clips):,} clips of the list",
            some(absent),
            f"{_AGAIN}; cmg leaves these clips out",
        )
    odd = [n for n, names in seen.items() if names != set(picture_names(n, STEPS))]
    if odd:
        held = some(f"{name} has {len(seen[name])}" for name in odd)
        exam.wrong(
            FRAMES,
            f"clips without the {STEPS} frames <name>_1.png to <name>_{STEPS}.png: {held}",
            _AGAIN,
            f"{len(odd):,} clips",
        )


def _check_masks(
    exam: Examination,
    clips: Sequence[S4Clip],
    seen: Mapping[str, set[str]],
    meant: Mapping[str, set[str]],
) -> None:
    wanted = f"{len(clips):,} of the list, 1 mask in training, {STEPS} otherwise"
    exam.complete(MASKS, count(len(meant), "clips"), wanted)
    missing, more = [], []
    for clip in clips:
        names = set(picture_names(clip.name, mask_count(clip)))
        there = meant.get(clip.name, set())
        if (clip.name in seen or not seen) and names - there:
            missing.append(min(names - there))
        if there - names:
            more.append(clip.name)
    if missing:
        found = f"{len(missing):,} clips lack a mask"
        detail = f"the first missing of each: {some(missing)}"
        exam.truncated(MASKS, found, wanted, detail, _AGAIN)
    if more:
        exam.note(
            MASKS,
            f"clips with more masks than officially: {some(more)}; the further ones are not read",
            f"{len(more):,} clips",
        )


def _open_some(
    exam: Examination,
    clips: Sequence[S4Clip],
    seen: Mapping[str, set[str]],
    meant: Mapping[str, set[str]],
) -> None:
    """Read a sample of the clips whose pictures are all there."""
    whole = list(_whole(exam, clips, seen, meant))
    if not whole or exam.deep == 0:
        return
    tallies = {FRAMES: Tally(), MASKS: Tally()}
    for pictures in spread(whole, exam.deep):
        _judge(exam, pictures, tallies[FRAMES], tallies[MASKS])
    read = len(whole) if exam.deep is None else min(exam.deep, len(whole))
    for part, tally in tallies.items():
        tally.tell(exam, part, _AGAIN, f"files of {read:,} clips opened")


def _whole(
    exam: Examination,
    clips: Sequence[S4Clip],
    seen: Mapping[str, set[str]],
    meant: Mapping[str, set[str]],
) -> Iterator[_Pictures]:
    """Clips that have frames, with the masks that they have."""
    for clip in clips:
        names = [n for n in picture_names(clip.name, STEPS) if n in seen.get(clip.name, ())]
        masks = [n for n in names[: mask_count(clip)] if n in meant.get(clip.name, ())]
        if names:
            frames_in = clip_folder(exam.layout.pictures[FRAMES][0], clip)
            masks_in = clip_folder(exam.layout.pictures[MASKS][0], clip) if masks else frames_in
            yield _Pictures([frames_in / n for n in names], [masks_in / n for n in masks])


def _judge(exam: Examination, pictures: _Pictures, frames: Tally, masks: Tally) -> None:
    """Read the pictures of one clip as they are read for a training."""
    side = exam.expected.frame_size
    sizes: dict[str, tuple[int, int]] = {}
    for path in pictures.frames:
        try:
            height, width = read_picture(path).shape[:2]
        except DataError as error:
            frames.wrong[_problem(error, path)].append(path.name)
            continue
        sizes[path.name] = height, width
        if (height, width) != (side, side):
            problem = f"{width} x {height} pixels, {side} x {side} expected"
            frames.odd[problem].append(path.name)
    for path in pictures.masks:
        try:
            mask = read_mask(path)
        except DataError as error:
            masks.wrong[_problem(error, path)].append(path.name)
            continue
        if path.name in sizes and mask.shape != sizes[path.name]:
            masks.wrong["of another size than the frame"].append(path.name)
        if not mask.any():
            masks.odd["empty masks, where nothing is to be found"].append(path.name)


def _problem(error: DataError, path: Path) -> str:
    """What is wrong, without the name of the file, which may not be the only one."""
    return str(error).removeprefix(f"{path} ").partition(";")[0]
