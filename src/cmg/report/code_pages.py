"""The folder of encoded media: tables, pictures, and a page with all of it."""

from __future__ import annotations

from pathlib import Path

from cmg.recipes.known_clips import KnownClips, KnownStep
from cmg.recipes.media_codes import CodedClip, EncodedMedia, codes_csv, codes_json, step_rows
from cmg.report.code_timeline import timeline_svg, when
from cmg.report.document import Block, Document, Figure, Fold, Section, Text
from cmg.report.html import fill, page, standalone
from cmg.report.tables import FACTS, Table, plain
from cmg.report.write import Files

CSV, JSON, HTML, SVG = "codes.csv", "codes.json", "timeline.html", "timeline.svg"
PICTURES = "timelines"


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
        known = known_blocks(encoded, encoded.known)
        sections["known"] = Section("Nearest known clips", known)
    count = len(encoded.clips)
    title = encoded.clips[0].id if count == 1 else f"{count} clips"
    names = ", ".join(f"{m} by {name}" for m, name in encoded.extractors.items())
    told = f"{len(encoded.codes)} of the {encoded.size} codes of {encoded.checkpoint} occur."
    return Document(
        title,
        "Codes of media files",
        [Text(f"{told} Features: {names}.")],
        sections,
        encoded.remarks,
        [failed_table(encoded)] if encoded.failed else [],
        "Codes over time",
    )


def failed_table(encoded: EncodedMedia) -> Table:
    """Why which clips were left out."""
    rows = list(encoded.failed.items())
    return plain("Clips that could not be read", ("clip", "why"), rows, cls=FACTS)


def clip_blocks(clip: CodedClip) -> list[Block]:
    """One clip: picture and table."""
    files = ", ".join(dict.fromkeys(clip.files.values()))
    told = Text(f"{clip.seconds:.2f} s" + (f", {files}" if files else ""), "note")
    said = [Text(f"“{clip.text}”")] if clip.text else []
    figure = Figure("Codes over time", timeline_svg(clip))
    return [told, *said, figure, Fold("All steps", [steps_table(clip)])]


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


def known_blocks(encoded: EncodedMedia, known: KnownClips) -> list[Block]:
    """For each code that occurs, the clips of a store that come nearest to it."""
    rows = {}
    for code in encoded.codes:
        found = known.of(code)
        nearest = [[known_text(step) for step in found[m]] for m in known.nearest]
        rows[code] = [places(encoded, code), *nearest]
    return [fill("known", known=known, modalities=list(known.nearest), rows=rows)]


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
