"""Encode to codes: a store into a file, media files with the extractors of a run.

Shape legend: N clips, T steps, L levels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import save

from cmg.clips import open_other, training_split
from cmg.data.clips import Clips
from cmg.data.options import DataOptions
from cmg.errors import ConfigError, DataError
from cmg.evaluation.encoding import EncodedModality, encode_split, pad_steps
from cmg.extract.clip import MediaClip
from cmg.extract.reading import Reader, file_of, text_of
from cmg.extract.scan_options import printable
from cmg.extract.thumbnails import RATE, shown
from cmg.files import StrPath, replace_file
from cmg.inference.readers import Readers, load_readers, training_store
from cmg.models.unified import UnifiedModel
from cmg.recipes.known_clips import KnownClips, known_clips
from cmg.recipes.media_codes import (
    ALL_LEVELS,
    CodedClip,
    EncodedMedia,
    StepCodes,
    Track,
    code_steps,
)
from cmg.runs.checkpoint import Checkpoint, load_model, read_checkpoint


def write_codes(model: UnifiedModel, store: Clips, out: StrPath, split: str | None = None) -> int:
    """Write the codes of a store's clips.

    ``.jsonl`` has a row per clip: id, split, and the codes of each modality it has, a list per step
    where a step has several. ``.safetensors`` has int64 [N, T] or [N, T, L] per modality (-1 where
    a step does not exist) and the ids and splits as JSON in its metadata.

    Args:
        model: Left untouched.
        store: What to encode.
        out: File; the suffix decides the format.
        split: Only this split; None encodes all.

    Returns:
        Number of clips.

    Raises:
        ConfigError: another suffix, or a model without codes.
        DataError: no clip, an unknown split, or the file cannot be written.
    """
    model.codebook.need_codes("encode", "its features are what model.semantics() returns")
    out = Path(out)
    if out.suffix not in {".jsonl", ".safetensors"}:
        raise ConfigError(f"--out {out} must end in .jsonl or .safetensors")
    names = [split] if split is not None else list(store.splits)
    encoded = {name: encode_split(model, store.split(name)) for name in names}
    ids = {name: store.split(name).ids for name in names}
    data = (as_rows if out.suffix == ".jsonl" else as_tensors)(encoded, ids)
    replace_file(out, data)
    return sum(len(i) for i in ids.values())


def as_rows(encoded: dict[str, dict[str, EncodedModality]], ids: dict[str, list[str]]) -> bytes:
    """JSON lines."""
    lines = []
    for split, modalities in encoded.items():
        for clip, name in enumerate(ids[split]):
            present = {
                m: e.indices[clip][e.mask[clip]].tolist()
                for m, e in modalities.items()
                if e.present[clip]
            }
            lines.append(json.dumps({"id": name, "split": split, "codes": present}))
    return ("\n".join(lines) + "\n").encode()


def as_tensors(encoded: dict[str, dict[str, EncodedModality]], ids: dict[str, list[str]]) -> bytes:
    """A safetensors file; splits one after the other."""
    modalities = next(iter(encoded.values()))
    tensors = {}
    for m in modalities:
        parts = [e[m].indices for e in encoded.values()]
        longest = max(p.shape[1] for p in parts)
        tensors[m] = torch.cat([pad_steps(p, longest, -1) for p in parts])
    names = [name for split in ids.values() for name in split]
    splits = [split for split, members in ids.items() for _ in members]
    return save(tensors, {"ids": json.dumps(names), "splits": json.dumps(splits)})


def encode_media(
    clips: Sequence[MediaClip],
    run: StrPath,
    extractors: Mapping[str, str] | None = None,
    weights: Mapping[str, StrPath] | None = None,
    known: StrPath | Literal[False] | None = None,
    on_error: Literal["fail", "skip"] = "fail",
    device: str = "cpu",
) -> EncodedMedia:
    """Decode and extract clips as the run's training store was, and encode them.

    Args:
        clips: At least one.
        run: Run folder or checkpoint.
        extractors: By modality, where the run does not know them or others are wanted.
        weights: Files or folders of weights by modality.
        known: Store whose clips are compared with the codes; None is the split that the run was
            trained on, False leaves it out.
        on_error: Whether a clip that cannot be read ends everything, or is left out and named.
        device: Of the extractors.

    Raises:
        CmgError: by its type, whatever is wrong with the run, its extractors, or a clip.
    """
    run = Path(run)
    checkpoint = read_checkpoint(run)
    model = load_model(run)
    model.codebook.need_one_level("a timeline", ALL_LEVELS)
    trained_on = training_store(checkpoint)
    readers = load_readers(checkpoint, trained_on, extractors, weights, device)
    nearest = None
    if known is not False:
        nearest = known_of(model, checkpoint, trained_on, known)
    coded, failed = [], {}
    for clip in clips:
        try:
            coded.append(code_clip(model, clip, readers))
        except DataError as error:
            if on_error == "fail" or len(clips) == 1:
                raise
            failed[clip.id] = str(error)
    if not coded:
        raise DataError(f"none of {len(clips)} clips can be encoded: {next(iter(failed.values()))}")
    told = {m: reader.told for m, reader in readers.by_modality.items()}
    kept = () if nearest is None or not nearest.remark else (nearest.remark,)
    remarks = (*readers.remarks, *kept)
    return EncodedMedia(str(checkpoint.path), model.size, told, coded, failed, nearest, remarks)


def known_of(
    model: UnifiedModel,
    checkpoint: Checkpoint,
    trained_on: Clips | None,
    known: StrPath | None,
) -> KnownClips:
    """The nearest known clips of the training split, or of all of another store.

    Raises:
        ConfigError: no other store, and the training store is not there.
        DataError: a store cannot be read.
    """
    if known is not None:
        store = open_other(checkpoint.config.data, known)
        return known_clips(model, checkpoint.path, store, "+".join(store.splits))
    data: DataOptions = checkpoint.config.data
    if trained_on is None:
        raise ConfigError(
            f"the training store {data.store} is not there, or not as it was in training, so its "
            "clips cannot be compared with the codes; give one with --known STORE, or --no-known"
        )
    return known_clips(model, checkpoint.path, trained_on, training_split(data))


def code_clip(model: UnifiedModel, clip: MediaClip, readers: Readers) -> CodedClip:
    """Encode one clip, whatever it has of the model's modalities.

    Raises:
        DataError: it cannot be read, or has nothing that the run knows.
    """
    by_modality = readers.by_modality
    features, durations = readers.read(clip)
    present = {m: torch.from_numpy(x) for m, x in features.items() if len(x)}
    if not present:
        raise DataError(
            f"{clip.id}: nothing to encode; the run reads {', '.join(by_modality)}, the clip has "
            f"{', '.join([*clip.files, *clip.texts]) or 'nothing'} of that"
        )
    codes = code_steps(model, present, clip.id)
    tracks = {m: _track(clip, m, by_modality[m], steps, durations[m]) for m, steps in codes.items()}
    seen = next((m for m, track in tracks.items() if track.takes == "frames"), None)
    heard = next((m for m, track in tracks.items() if track.takes == "sound"), None)
    pictures = shown(
        None if seen is None else file_of(clip, seen, "frames"),
        None if heard is None else file_of(clip, heard, "sound"),
        1.0 if seen is None else by_modality[seen].extractor.step_seconds,
        clip.start,
        clip.end,
        clip.meta.get("picture_fps"),
    )
    files = {m: printable(Path(path.name)) for m, path in clip.files.items()}
    text = next(iter(clip.texts.values()), "")
    return CodedClip(
        clip.id, files, text, pictures.seconds, tracks, pictures.thumbnails, pictures.wave, RATE
    )


def _track(
    clip: MediaClip, modality: str, reader: Reader, steps: StepCodes, seconds: float | None
) -> Track:
    count = len(steps.codes)
    times = None
    if seconds is not None:
        times = (
            np.stack([np.arange(count), np.arange(1, count + 1)], 1).astype(np.float64) * seconds
        )
    said = () if reader.takes != "text" else words_of(text_of(clip, modality), count)
    return Track(reader.takes, reader.extractor.name, steps, times, said)


def words_of(text: str, count: int) -> tuple[str, ...]:
    """The words of a text, if they are as many as the steps of its extractor.

    Text encoders part punctuation from words or only look at white space; where neither gives the
    right number (a text was cut), the words of the steps are not known.
    """
    for found in (re.findall(r"[^\W_]+|[^\w\s]|_", text), text.split()):
        if len(found) == count:
            return tuple(found)
    return ()
