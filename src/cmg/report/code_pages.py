"""The folder of encoded media: tables, pictures, and a page with all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cmg.recipes.known_clips import KnownClips, KnownStep
from cmg.recipes.media_codes import CodedClip, EncodedMedia, sharing
from cmg.report.code_timeline import timeline_svg, when
from cmg.report.document import Block, Document, Figure, Fold, Section, Text
from cmg.report.html import page, standalone
from cmg.report.tables import FACTS, Cell, Table, plain
from cmg.report.write import Files, csv_text

CSV, JSON, HTML, SVG = "codes.csv", "codes.json", "timeline.html", "timeline.svg"
PICTURES = "timelines"
DIGITS = 6
"""Of numbers, in files."""


def encoded_files(encoded: EncodedMedia) -> Files:
    """``codes.csv``, ``codes.json``, ``timeline.html`` and the timelines as SVG.

    One clip has its timeline in ``timeline.svg``, several have theirs in ``timelines/``.
    """
    pictures = picture_files(encoded)
    return {
        CSV: codes_csv(encoded),
        JSON: codes_json(encoded, pictures),
        HTML: page(codes_document(encoded)),
        **{pictures[clip.id]: standalone(timeline_svg(clip)) for clip in encoded.clips},
    }


def written(encoded: EncodedMedia, out: Path) -> list[Path]:
    """The files of a folder, the picture of the first clip after the others."""
    return [out / name for name in (CSV, JSON, HTML, *picture_files(encoded).values())]


def picture_files(encoded: EncodedMedia) -> dict[str, str]:
    """Where the timeline of each clip is, by its id; numbered, as ids need not be file names."""
    if len(encoded.clips) == 1:
        return {encoded.clips[0].id: SVG}
    return {clip.id: f"{PICTURES}/{i:05d}.svg" for i, clip in enumerate(encoded.clips, 1)}


def codes_document(encoded: EncodedMedia) -> Document:
    """The page: a timeline per clip, its steps as a table, and the nearest known clips."""
    sections = {
        f"clip-{i}": Section(clip.id, clip_blocks(clip)) for i, clip in enumerate(encoded.clips, 1)
    }
    if encoded.known is not None:
        known = known_table(encoded, encoded.known)
        sections["known"] = Section(known.title, [known])
    count = len(encoded.clips)
    title = encoded.clips[0].id if count == 1 else f"{count} clips"
    names = ", ".join(f"{m} by {name}" for m, name in encoded.extractors.items())
    told = f"{len(encoded.codes)} of the {encoded.size} codes of {encoded.checkpoint} occur."
    rows = list(encoded.failed.items())
    failed = plain("Clips that could not be read", ("clip", "why"), rows, cls=FACTS)
    return Document(
        title,
        "Codes of media files",
        [Text(f"{told} Features: {names}.")],
        sections,
        encoded.remarks,
        [failed] if encoded.failed else [],
    )


def clip_blocks(clip: CodedClip) -> list[Block]:
    """One clip: picture and table."""
    files = ", ".join(dict.fromkeys(clip.files.values()))
    told = Text(f"{clip.seconds:.2f} s" + (f", {files}" if files else ""), "note")
    said = [Text(f"“{clip.text}”")] if clip.text else []
    figure = Figure("Codes over time", timeline_svg(clip))
    return [told, *said, figure, Fold("All steps", [steps_table(clip)])]


def step_rows(clip: CodedClip) -> Iterator[dict[str, Any]]:
    """A row per modality and step; None for times and words there are not."""
    shared = sharing(clip)
    for modality, track in clip.tracks.items():
        found, times = track.steps, track.times
        for step, code in enumerate(found.codes.tolist()):
            start, end = (None, None) if times is None else times[step].round(DIGITS).tolist()
            yield {
                "clip": clip.id,
                "modality": modality,
                "step": step,
                "start": start,
                "end": end,
                "word": track.words[step] if track.words else None,
                "code": code,
                "distance": round(float(found.distances[step]), DIGITS),
                "second": int(found.seconds[step]),
                "margin": round(float(found.margins[step]), DIGITS),
                "shared": shared[modality][step],
            }


def codes_csv(encoded: EncodedMedia) -> str:
    """The rows of all clips; what there is not is empty."""
    found = (row for clip in encoded.clips for row in step_rows(clip))
    rows = [row | {"shared": " ".join(row["shared"])} for row in found]
    return csv_text([list(rows[0]), *(list(row.values()) for row in rows)])


def codes_json(encoded: EncodedMedia, pictures: Mapping[str, str]) -> dict[str, Any]:
    """Everything: clips, steps, and the nearest known clips of each code that occurs.

    Args:
        encoded: What to write.
        pictures: File of the timeline by clip.
    """
    known = encoded.known
    return {
        "format": "cmg-media-codes",
        "version": 1,
        "checkpoint": encoded.checkpoint,
        "codebook_size": encoded.size,
        "extractors": dict(encoded.extractors),
        "clips": [clip_json(clip, pictures[clip.id]) for clip in encoded.clips],
        "failed": dict(encoded.failed),
        "remarks": list(encoded.remarks),
        "known": known
        and {
            "store": str(known.store.path),
            "content_hash": known.store.content_hash,
            "split": known.split,
            "codes": {
                str(code): {m: list(map(asdict, steps)) for m, steps in known.of(code).items()}
                for code in encoded.codes
            },
        },
    }


def clip_json(clip: CodedClip, picture: str) -> dict[str, Any]:
    """One clip: what it is, and its steps by modality."""
    modalities: dict[str, list[dict[str, Any]]] = {m: [] for m in clip.tracks}
    for row in step_rows(clip):
        kept = {key: value for key, value in row.items() if key not in ("clip", "modality")}
        modalities[row["modality"]].append(kept)
    return {
        "id": clip.id,
        "files": dict(clip.files),
        "text": clip.text,
        "seconds": round(clip.seconds, DIGITS),
        "timeline": picture,
        "modalities": modalities,
    }


def steps_table(clip: CodedClip) -> Table:
    """A row per step of a modality."""
    rows = [
        (
            row["modality"],
            str(row["step"]),
            "" if row["start"] is None else f"{row['start']:.2f}–{row['end']:.2f}",
            row["word"] or "",
            str(row["code"]),
            f"{row['distance']:.3f}",
            f"{row['second']} (+{row['margin']:.3f})",
            ", ".join(row["shared"]),
        )
        for row in step_rows(clip)
    ]
    columns = ("modality", "step", "seconds", "word", "code", "distance", "second", "also in")
    return plain(f"Steps of {clip.id}", columns, rows)


def known_table(encoded: EncodedMedia, known: KnownClips) -> Table:
    """For each code that occurs, the clips of a store that come nearest to it."""
    rows: list[tuple[str | Cell, ...]] = []
    for code in encoded.codes:
        nearest = ("\n".join(map(known_text, known.of(code)[m])) for m in known.nearest)
        rows.append((Cell(str(code), code=code), "\n".join(places(encoded, code)), *nearest))
    note = (
        f"Clips {known.split} of {known.store.path}: for each code, the clips with the step whose "
        "semantic feature is nearest to the code, one step per clip. Distances are Euclidean."
    )
    return plain("Nearest known clips", ("code", "here", *known.nearest), rows, note)


def places(encoded: EncodedMedia, code: int, most: int = 6) -> list[str]:
    """Where a code occurs, in words; those beyond `most` are counted."""
    found = []
    for clip in encoded.clips:
        of = f"{clip.id}: " if len(encoded.clips) > 1 else ""
        for m, track in clip.tracks.items():
            for step in (track.steps.codes == code).nonzero()[0].tolist():
                found.append(f"{of}{m}{when(track, step)}")
    more = len(found) - most
    return found if more <= 0 else [*found[:most], f"and {more} more"]


def known_text(step: KnownStep) -> str:
    """A step of a known clip, in words."""
    if step.start is None or step.end is None:
        where = f"word {step.step}"
    else:
        where = f"{step.start:.1f}–{step.end:.1f} s"
    labels = "".join(f", {name} {value}" for name, value in step.labels.items())
    return f"{step.distance:.3f}  {step.id}, {where}{labels}"
