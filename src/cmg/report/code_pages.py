"""The folder of encoded media: tables, pictures, and a page with all of it."""

from __future__ import annotations

from html import escape
from pathlib import Path

from cmg.files import Staging, write_synced, writing
from cmg.recipes.known_clips import KnownClips, KnownStep
from cmg.recipes.media_codes import CodedClip, EncodedMedia, codes_csv, codes_json, step_rows
from cmg.report.code_timeline import standalone_svg, timeline_svg, when
from cmg.report.html import chip, details, page, paragraph, table, tag
from cmg.report.tables import Table, plain

CSV, JSON, HTML, SVG = "codes.csv", "codes.json", "timeline.html", "timeline.svg"
PICTURES = "timelines"


def write_encoded(encoded: EncodedMedia, out: Path, overwrite: bool = False) -> list[Path]:
    """Write ``codes.csv``, ``codes.json``, ``timeline.html`` and the timelines as SVG.

    One clip has its timeline in ``timeline.svg``, several have theirs in ``timelines/``.

    Args:
        encoded: What to write.
        out: Folder to be, whole or not at all.
        overwrite: Whether an earlier folder of encoded media may be replaced.

    Returns:
        The files, the picture of the first clip last.

    Raises:
        DataError: `out` is occupied or cannot be written.
    """
    pictures = picture_files(encoded)
    staging = Staging(out, overwrite, JSON)
    try:
        with writing(out):
            write_synced(staging.folder / CSV, codes_csv(encoded))
            write_synced(staging.folder / JSON, codes_json(encoded, pictures))
            write_synced(staging.folder / HTML, text_bytes(timeline_page(encoded)))
            for clip in encoded.clips:
                path = staging.folder / pictures[clip.id]
                path.parent.mkdir(exist_ok=True)
                write_synced(path, text_bytes(standalone_svg(clip)))
        staging.publish()
    except BaseException:
        staging.discard()
        raise
    return [out / name for name in (CSV, JSON, HTML, *pictures.values())]


def text_bytes(text: str) -> bytes:
    """UTF-8; bytes of file names that are none are written as backslash, u and digits."""
    return text.encode("utf-8", "backslashreplace")


def check_out(out: Path, overwrite: bool = False) -> None:
    """Refuse a place that cannot be written before any work is done.

    Raises:
        DataError: `out` is occupied or cannot be written.
    """
    Staging(out, overwrite, JSON).discard()


def picture_files(encoded: EncodedMedia) -> dict[str, str]:
    """Where the timeline of each clip is, by its id; numbered, as ids need not be file names."""
    if len(encoded.clips) == 1:
        return {encoded.clips[0].id: SVG}
    return {clip.id: f"{PICTURES}/{i:05d}.svg" for i, clip in enumerate(encoded.clips, 1)}


def timeline_page(encoded: EncodedMedia) -> str:
    """The page: a timeline per clip, its steps as a table, and the nearest known clips."""
    sections = {
        f"clip-{i}": (clip.id, clip_section(clip)) for i, clip in enumerate(encoded.clips, 1)
    }
    if encoded.known is not None:
        sections["known"] = ("Nearest known clips", known_section(encoded, encoded.known))
    count = len(encoded.clips)
    names = ", ".join(f"{m} by {name}" for m, name in encoded.extractors.items())
    head = [
        tag("p", "Codes of media files", cls="kicker"),
        tag("h1", escape(encoded.clips[0].id if count == 1 else f"{count} clips")),
        paragraph(
            f"{len(encoded.codes)} of the {encoded.size} codes of {encoded.checkpoint} occur. "
            f"Features: {names}."
        ),
    ]
    head += [paragraph(remark, "remark") for remark in encoded.remarks]
    if encoded.failed:
        rows = [[id_, reason] for id_, reason in encoded.failed.items()]
        head.append(table(plain("Clips that could not be read", ("clip", "why"), rows), "facts"))
    return page("Codes over time", "\n".join(head), sections)


def clip_section(clip: CodedClip) -> str:
    """One clip: picture and table."""
    files = ", ".join(dict.fromkeys(clip.files.values()))
    told = f"{clip.seconds:.2f} s" + (f", {files}" if files else "")
    text = paragraph(f"“{clip.text}”") if clip.text else ""
    figure = tag("figure", tag("div", timeline_svg(clip), cls="scroll"))
    return paragraph(told, "note") + text + figure + details("All steps", table(steps_table(clip)))


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


def known_section(encoded: EncodedMedia, known: KnownClips) -> str:
    """For each code that occurs, the clips of a store that come nearest to it."""
    intro = (
        f"Split {known.split} of {known.store.path}: for each code, the clips with the step whose "
        "semantic feature is nearest to the code, one step per clip. Distances are Euclidean."
    )
    head = ["code", "here", *known.nearest]
    rows = [tag("tr", *(tag("th", escape(name), scope="col") for name in head))]
    for code in encoded.codes:
        found = known.of(code)
        cells = [_lines(places(encoded, code))]
        cells += [_lines([known_text(step) for step in found[m]]) for m in known.nearest]
        rows.append(tag("tr", tag("th", chip(code), scope="row"), *cells))
    caption = tag("caption", "Nearest known clips of each code", cls="hidden")
    grid = tag("table", caption, tag("thead", rows[0]), tag("tbody", *rows[1:]))
    return paragraph(intro) + tag("div", grid, cls="scroll")


def _lines(lines: list[str]) -> str:
    return tag("td", "<br>".join(escape(line) for line in lines))


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
