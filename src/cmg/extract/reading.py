"""From a clip's files and texts to the features of its steps: decoding, then the networks.

Shape legend: N frames, S samples, T steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.extract.clip import MediaClip
from cmg.extract.decode import Decoded, FramePlan, decode
from cmg.extract.extractor import Takes
from cmg.extract.media.choice import Rule
from cmg.extract.scan_options import READS, TEXT

Features = NDArray[np.float32]

_FILE_OF = {takes: modality for modality, takes in READS.items()}
"""Which file of a clip is read for a modality that the clip does not name itself."""


@dataclass(frozen=True)
class Reader:
    """A loaded extractor of a modality.

    Attributes:
        takes: What it reads.
        extractor: A frame, sound or text extractor, as `takes` says.
    """

    takes: Takes
    extractor: Any

    @property
    def told(self) -> str:
        """Name and the first digits of the identity, as a store keeps them."""
        return f"{self.extractor.name} sha256:{self.extractor.identity[:12]}"


@dataclass(frozen=True)
class FrameRule:
    """Which frames stand for a step, see :class:`~cmg.extract.decode.FramePlan`."""

    rule: Rule = "time"
    segments: int = 10


@dataclass(frozen=True)
class ClipMedia:
    """What is decoded of a clip, by modality.

    Attributes:
        frames: Of modalities that are seen.
        waves: Of modalities that are heard, [S].
        texts: Of modalities that are read.
        tracks: Which track was read of files with several, in words.
    """

    frames: Mapping[str, Decoded] = field(default_factory=dict)
    waves: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    tracks: Sequence[str] = ()


def file_of(clip: MediaClip, modality: str, takes: Takes) -> Path | None:
    """The file that a modality is read from; None where the clip has none."""
    if takes == "text":
        return None
    return clip.files.get(modality) or clip.files.get(_FILE_OF[takes])


def text_of(clip: MediaClip, modality: str) -> str:
    """The text that a modality is read from; empty where the clip has none.

    Raises:
        DataError: it is in a caption that could not be read.
    """
    text = clip.texts.get(modality) or clip.texts.get(TEXT, "")
    if not text and clip.unread:
        raise DataError(clip.unread)
    return text


def decode_clip(
    clip: MediaClip, readers: Mapping[str, Reader], rule: FrameRule | None = None
) -> ClipMedia:
    """Decode what the extractors read; frames and sound of one file in one pass over it.

    Args:
        clip: With files and texts.
        readers: By modality.
        rule: Which frames.

    Raises:
        DataError: a file is missing, damaged, or without what is asked of it.
    """
    rule = rule or FrameRule()
    files = {m: path for m, r in readers.items() if (path := file_of(clip, m, r.takes)) is not None}
    seen = [m for m in files if readers[m].takes == "frames"]
    heard = [m for m in files if readers[m].takes == "sound"]
    frames, waves, tracks = {}, {}, list[str]()
    for eye, ear in zip_longest(seen, heard):
        found = decode(
            None if eye is None else files[eye],
            None if ear is None else files[ear],
            None if eye is None else _plan(readers[eye], rule),
            None if ear is None else int(readers[ear].extractor.rate),
            clip.start,
            clip.end,
            picture_fps=clip.meta.get("picture_fps"),
        )
        tracks += found.tracks
        if eye is not None and found.frames is not None:
            frames[eye] = found
        if ear is not None and found.wave is not None:
            waves[ear] = found.wave
    texts = {m: text_of(clip, m) for m, reader in readers.items() if reader.takes == "text"}
    texts = {m: text for m, text in texts.items() if text}
    return ClipMedia(frames, waves, texts, list(dict.fromkeys(tracks)))


def extract_media(
    media: Sequence[ClipMedia], readers: Mapping[str, Reader]
) -> list[dict[str, Features]]:
    """Features [T, *shape] of every clip; the frames of all of them go through a network together.

    Modalities that a clip lacks, and texts without words, are left out.
    """
    found: list[dict[str, Features]] = [{} for _ in media]
    for m, reader in readers.items():
        if reader.takes == "frames":
            having = [index for index, one in enumerate(media) if m in one.frames]
            features = _frame_features([media[index].frames[m] for index in having], reader)
            for index, steps in zip(having, features, strict=True):
                found[index][m] = steps
            continue
        for index, one in enumerate(media):
            given: Any = one.waves.get(m) if reader.takes == "sound" else one.texts.get(m)
            if given is not None:
                steps = reader.extractor.extract(given)
                if len(steps):
                    found[index][m] = steps
    return found


def clip_features(
    clip: MediaClip, readers: Mapping[str, Reader], rule: FrameRule | None = None
) -> dict[str, Features]:
    """Features [T, *shape] of one clip by modality.

    Raises:
        DataError: a file is missing, damaged, or without what is asked of it.
    """
    return extract_media([decode_clip(clip, readers, rule)], readers)[0]


def _plan(reader: Reader, rule: FrameRule) -> FramePlan:
    own = reader.extractor
    return FramePlan(own.frames_per_step, own.size, own.step_seconds, rule.rule, rule.segments)


def _frame_features(clips: Sequence[Decoded], reader: Reader) -> list[Features]:
    """The mean over the frames of each step, for every clip.

    A frame that was chosen several times, as those of slow videos are, is looked at once.
    """
    if not clips:
        return []
    fresh = [np.diff(clip.frame_times, prepend=-np.inf) > 0 for clip in clips]
    frames = [clip.frames[new] for clip, new in zip(clips, fresh, strict=True)]  # type: ignore[index]
    each = reader.extractor.extract(frames[0] if len(frames) == 1 else np.concatenate(frames))
    found, first = [], 0
    for clip, new in zip(clips, fresh, strict=True):
        own = each[first : first + int(new.sum())]
        first += len(own)
        which = np.cumsum(new) - 1
        means = [own[which[clip.frame_steps == step]].mean(0) for step in range(clip.steps)]
        found.append(np.stack(means).astype(np.float32))
    return found
