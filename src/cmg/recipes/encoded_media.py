"""What encoding media files gives, and the same as a table and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cmg.recipes.known_clips import KnownClips
from cmg.recipes.media_codes import CodedClip, Track, sharing

FORMAT, VERSION = "cmg-media-codes", 1
COLUMNS = (
    "clip",
    "modality",
    "step",
    "start",
    "end",
    "word",
    "code",
    "distance",
    "second",
    "margin",
    "shared",
)
DIGITS = 6


@dataclass(frozen=True)
class EncodedMedia:
    """Some clips and their codes.

    Attributes:
        checkpoint: Whose codes they are.
        size: Number of codes K.
        extractors: What made the features, by modality.
        clips: At least one.
        failed: Why a clip was skipped, by its id.
        known: The nearest known clips of each code; None where they were not asked for.
        remarks: What is not as in training.
    """

    checkpoint: str
    size: int
    extractors: Mapping[str, str]
    clips: Sequence[CodedClip]
    failed: Mapping[str, str] = field(default_factory=dict)
    known: KnownClips | None = None
    remarks: tuple[str, ...] = ()

    @property
    def codes(self) -> list[int]:
        """The codes that occur, ascending."""
        tracks = [track for clip in self.clips for track in clip.tracks.values()]
        return sorted({code for track in tracks for code in track.steps.codes.tolist()})


def step_rows(clip: CodedClip) -> list[dict[str, Any]]:
    """A row per modality and step, by :data:`COLUMNS`; None for times and words there are not."""
    shared = sharing(clip)
    return [
        _row(clip.id, m, track, step, shared[m][step])
        for m, track in clip.tracks.items()
        for step in range(len(track.steps.codes))
    ]


def _row(clip: str, modality: str, track: Track, step: int, shared: list[str]) -> dict[str, Any]:
    start, end = (None, None) if track.times is None else track.times[step].round(DIGITS).tolist()
    found = track.steps
    values = (
        clip,
        modality,
        step,
        start,
        end,
        track.words[step] if track.words else None,
        int(found.codes[step]),
        round(float(found.distances[step]), DIGITS),
        int(found.seconds[step]),
        round(float(found.margins[step]), DIGITS),
        shared,
    )
    return dict(zip(COLUMNS, values, strict=True))


def codes_csv(encoded: EncodedMedia) -> bytes:
    """The rows of all clips; what there is not is empty."""
    buffer = io.StringIO(newline="")
    table = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    table.writeheader()
    for clip in encoded.clips:
        for row in step_rows(clip):
            table.writerow(row | {"shared": " ".join(row["shared"])})
    return buffer.getvalue().encode("utf-8", "backslashreplace")


def codes_json(encoded: EncodedMedia, pictures: Mapping[str, str]) -> bytes:
    """Everything: clips, steps, and the nearest known clips of each code that occurs.

    Args:
        encoded: What to write.
        pictures: File of the timeline by clip.
    """
    told = {
        "format": FORMAT,
        "version": VERSION,
        "checkpoint": encoded.checkpoint,
        "codebook_size": encoded.size,
        "extractors": dict(encoded.extractors),
        "clips": [_clip(clip, pictures[clip.id]) for clip in encoded.clips],
        "failed": dict(encoded.failed),
        "remarks": list(encoded.remarks),
        "known": None if encoded.known is None else _known(encoded.known, encoded.codes),
    }
    return (json.dumps(told, indent=1) + "\n").encode()


def _clip(clip: CodedClip, picture: str) -> dict[str, Any]:
    modalities: dict[str, list[dict[str, Any]]] = {m: [] for m in clip.tracks}
    for row in step_rows(clip):
        kept = {k: v for k, v in row.items() if k not in ("clip", "modality")}
        modalities[row["modality"]].append(kept)
    return {
        "id": clip.id,
        "files": dict(clip.files),
        "text": clip.text,
        "seconds": round(clip.seconds, DIGITS),
        "timeline": picture,
        "modalities": modalities,
    }


def _known(known: KnownClips, codes: Sequence[int]) -> dict[str, Any]:
    return {
        "store": str(known.store.path),
        "content_hash": known.store.content_hash,
        "split": known.split,
        "codes": {
            str(code): {m: [asdict(step) for step in steps] for m, steps in known.of(code).items()}
            for code in codes
        },
    }
