"""AVSBench-S4: the list, the zips of audio, and every clip's frames and masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from cmg.errors import DataError
from cmg.official.catalogue import FOLDERS, FRAMES, MASKS, OPENNLPLAB, S4, SPLITS
from cmg.official.datasets.avsbench import STEPS, S4Pictures, pictures_of, s4_audio
from cmg.official.doctor.clips import compare_names
from cmg.official.doctor.examination import Examination, count
from cmg.official.doctor.features import Tally, check_zips, spread
from cmg.official.lists.avsbench import CATEGORIES, S4Clip
from cmg.pictures.masks import read_mask
from cmg.pictures.reader import read_picture

AUDIO = FOLDERS["avsbench", "audio"]
_AGAIN = f"get these again from {OPENNLPLAB}"


def check_avsbench(exam: Examination) -> None:
    """Check the list, and what there is of its clips."""
    clips: list[S4Clip] | None = None if S4 in exam.broken else exam.contents.get(S4)
    if clips is not None and not exam.faulty(S4):
        _check_list(exam, clips)
    _check_audio(exam, clips)
    if clips is None:
        return
    seen = _listed(exam, FRAMES, clips)
    meant = _listed(exam, MASKS, clips)
    if seen:
        _check_frames(exam, seen)
    if meant:
        _check_masks(exam, seen, meant)
    _open_some(exam, seen, meant)


def _check_list(exam: Examination, clips: Sequence[S4Clip]) -> None:
    found = Counter(clip.split for clip in clips)
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


def _listed(exam: Examination, kind: str, clips: Sequence[S4Clip]) -> dict[str, S4Pictures]:
    """Every clip's pictures, from the one folder of them; none where no clip has some."""
    places = exam.layout.pictures.get(kind, [])
    if len(places) != 1:
        return {}
    found = {clip.name: pictures_of(clip, places[0], kind) for clip in clips}
    if not any(pictures.names for pictures in found.values()):
        exam.wrong(
            kind,
            f"no clip of {S4} has pictures here; the first would be in "
            f"{exam.shown(found[clips[0].name].folder)}",
            f"the list or the folder is of another set; get both from {OPENNLPLAB}",
            "0 clips",
        )
        return {}
    folders = {place.name for place in places[0].glob("*/*/*") if place.is_dir()}
    more = sorted(folders - found.keys())
    exam.note(kind, "of no clip in the list: {}; not read", "", "{} more", more)
    return found


def _check_frames(exam: Examination, seen: Mapping[str, S4Pictures]) -> None:
    absent = [name for name, frames in seen.items() if not frames.names]
    whole = f"{len(seen):,} of the list, 5 frames each"
    exam.complete(FRAMES, count(len(seen) - len(absent), "clips"), whole)
    exam.truncated(
        FRAMES,
        "{}",
        f"{_AGAIN}; cmg leaves these clips out",
        "{} clips without frames",
        absent,
        f"{len(seen):,} clips of the list",
    )
    exam.wrong(
        FRAMES,
        f"clips without the {STEPS} frames <name>_1.png to <name>_{STEPS}.png: {{}}",
        _AGAIN,
        "{} clips",
        [f"{n} has {len(f.names)}" for n, f in seen.items() if f.names and (f.missing or f.more)],
    )


def _check_masks(
    exam: Examination, seen: Mapping[str, S4Pictures], meant: Mapping[str, S4Pictures]
) -> None:
    wanted = f"{len(meant):,} of the list, 1 mask in training, {STEPS} otherwise"
    exam.complete(MASKS, count(sum(bool(m.names) for m in meant.values()), "clips"), wanted)
    lacking = {name: m.missing for name, m in meant.items() if m.missing}
    missing = [m[0] for name, m in lacking.items() if not seen or seen[name].names]
    detail = "the first missing of each: {}"
    exam.truncated(MASKS, detail, _AGAIN, "{} clips lack a mask", missing, wanted)
    exam.note(
        MASKS,
        "clips with more masks than officially: {}; the further ones are not read",
        "",
        "{} clips",
        [name for name, masks in meant.items() if masks.more],
    )


def _open_some(
    exam: Examination, seen: Mapping[str, S4Pictures], meant: Mapping[str, S4Pictures]
) -> None:
    """Read a sample of the clips that have frames, with the masks that they have."""
    whole = [name for name, frames in seen.items() if frames.paths]
    if not whole or exam.deep == 0:
        return
    tallies = {FRAMES: Tally(), MASKS: Tally()}
    for name in spread(whole, exam.deep):
        sizes = _judge_frames(exam, seen[name].paths, tallies[FRAMES])
        _judge_masks(meant[name].paths if meant else (), sizes, tallies[MASKS])
    read = len(whole) if exam.deep is None else min(exam.deep, len(whole))
    for part, tally in tallies.items():
        tally.tell(exam, part, _AGAIN, f"files of {read:,} clips opened")


def _judge_frames(
    exam: Examination, paths: Sequence[Path], tally: Tally
) -> dict[str, tuple[int, int]]:
    """Read frames as they are read for a training; the sizes of those that can be read."""
    side = exam.expected.frame_size
    sizes: dict[str, tuple[int, int]] = {}
    for path in paths:
        try:
            height, width = read_picture(path).shape[:2]
        except DataError as error:
            tally.wrong[_problem(error, path)].append(path.name)
            continue
        sizes[path.name] = height, width
        if (height, width) != (side, side):
            tally.odd[f"{width} x {height} pixels, {side} x {side} expected"].append(path.name)
    return sizes


def _judge_masks(paths: Sequence[Path], sizes: Mapping[str, tuple[int, int]], tally: Tally) -> None:
    """Read masks likewise; they are of the size of their frame."""
    for path in paths:
        try:
            mask = read_mask(path)
        except DataError as error:
            tally.wrong[_problem(error, path)].append(path.name)
            continue
        if path.name in sizes and mask.shape != sizes[path.name]:
            tally.wrong["of another size than the frame"].append(path.name)
        if not mask.any():
            tally.odd["empty masks, where nothing is to be found"].append(path.name)


def _problem(error: DataError, path: Path) -> str:
    """What is wrong, without the name of the file, which may not be the only one."""
    return str(error).removeprefix(f"{path} ").partition(";")[0]
