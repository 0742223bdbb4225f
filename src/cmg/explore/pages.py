"""The pages of an explorer, as HTML: every text that goes in is escaped by the templates."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from markupsafe import Markup

from cmg.errors import CmgError
from cmg.explore.segmenting import Query, can_segment, pictures, segmented, shares
from cmg.explore.session import Session, told_labels
from cmg.report.code_timeline import timeline_svg
from cmg.report.colors import modality_colors
from cmg.report.html import fill
from cmg.report.samples import Place, code_card, code_name
from cmg.retrieval.representation import MEANINGS, By

CARDS, STEPS = 12, 24
"""On a page."""


def made(template: str, **values: object) -> str:
    """A page of ``templates/``."""
    return str(fill(template, "cmg.explore", **values))


def error(message: str) -> str:
    """What went wrong, as a page."""
    return made("error", message=message)


def turned(page: int, count: int, size: int, **kept: str) -> tuple[slice, str, str, str]:
    """What a page of a list shows, which it is, and the addresses of those beside it.

    Args:
        page: From 1; beyond the list it is the last.
        count: Of all.
        size: Of a page.
        **kept: What the addresses say besides.
    """
    last = max(1, -(-count // size))
    page = min(max(page, 1), last)

    def to(number: int) -> str:
        said = {name: value for name, value in kept.items() if value}
        return "?" + urlencode({**said, "page": number}) if 1 <= number <= last else ""

    return (
        slice((page - 1) * size, page * size),
        f"page {page} of {last}",
        to(page - 1),
        to(page + 1),
    )


def cards(session: Session, modality: str, label: str, code: str, page: int) -> str:
    """Cards of the codes that are used."""
    coded, problem = session.coded, ""
    try:
        found = session.codes(modality, label, code.strip())
    except CmgError as wrong:
        found, problem = [], str(wrong)
    part, where, before, after = turned(
        page, len(found), CARDS, modality=modality, label=label, code=code
    )
    return made(
        "cards",
        session=session,
        cards=[code_card(coded, k) for k in found[part]],
        colors=modality_colors(coded.modalities),
        media=session.media,
        count=len(found),
        problem=problem,
        chosen={"modality": modality, "label": label, "code": code},
        turn=(where, before, after),
    )


def steps(session: Session, name: str, modality: str, page: int) -> str:
    """All steps that took a code."""
    coded = session.coded
    code = session.code(name)
    found = session.steps(code, modality)
    part, where, before, after = turned(page, len(found), STEPS, modality=modality)
    return made(
        "steps",
        session=session,
        card=code_card(coded, code),
        colors=modality_colors(coded.modalities),
        media=session.media,
        places=found[part],
        count=len(found),
        modality=modality,
        turn=(where, before, after),
    )


def clip(session: Session, place: int, query: Query) -> str:
    """A clip in time, and segmented where it is asked to be."""
    coded, row = session.coded, session.split.rows[place]
    drawn, problem = Markup(), ""
    try:
        drawn = Markup(timeline_svg(session.coded_clip(place)))
    except CmgError as wrong:
        problem = str(wrong)
    can, masked, refused = can_segment(session, place), [], ""
    if query.modality:
        try:
            found = segmented(session, query, row.id)
            masked = list(zip(pictures(found), shares(found), strict=True))
        except CmgError as error:
            if query.file is not None:  # told by the name it was sent by
                raise
            refused = str(error)
    codes = sorted(
        {
            k
            for one in coded.encoded.values()
            for k in one.indices[place].flatten().tolist()
            if k >= 0 and one.indices.dim() == 2
        }
    )
    return made(
        "clip",
        row=row,
        labels=told_labels(row.labels, session.split),
        drawn=drawn,
        player=session.media.sound(place),
        problem=problem,
        codes=[(k, code_name(coded.usage, k)) for k in codes],
        modalities=[m for m in coded.modalities if row.lengths.get(m)],
        place=place,
        count=len(session.split),
        names=coded.model.modalities if can else (),
        asking=query,
        masked=masked,
        refused=refused,
    )


def search(
    session: Session,
    clip: str,
    words: str,
    file: Path | None,
    source: str,
    target: str,
    by: By,
) -> str:
    """The form of a search, and what was found."""
    names, problem = session.coded.modalities, ""
    hits: list[tuple[str, float]] = []
    asking = bool(clip or words.strip() or file)
    source, target = source or names[0], target or names[-1]
    if asking:
        try:
            hits = session.found(clip, words, file, source, target, by)
        except CmgError as wrong:
            if file is not None:
                raise
            problem = str(wrong)
    where = session.split.places
    return made(
        "search",
        session=session,
        hits=[
            (at, id_, score, Place(target, at, 0), file is None and can_segment(session, at))
            for id_, score in hits
            for at in (where[id_],)
        ],
        media=session.media,
        asking=asking,
        problem=problem,
        meanings=MEANINGS,
        chosen={"clip": clip, "words": words, "source": source, "target": target, "by": by},
    )
