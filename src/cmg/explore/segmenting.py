"""Clips segmented by a query, as an explorer answers it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cmg.errors import CmgError, ConfigError, DataError
from cmg.evaluation.encoding import FrozenEncoder
from cmg.explore.session import Session, asked
from cmg.extract.clip import MediaClip
from cmg.extract.media_files import one_clip
from cmg.extract.thumbnails import jpeg_bytes
from cmg.recipes.segment_clip import SegmentedClip, frames_of, query_features, seen_in
from cmg.report.html import data_uri
from cmg.report.media import OwnMedia
from cmg.segmentation.overlays import FOUND, blended, png

MOST = 60
"""Seconds of a clip that are segmented at once: a frame each."""


@dataclass(frozen=True)
class Query:
    """What a clip is asked by; nothing but a modality is its own sound or words.

    Attributes:
        modality: Of the query.
        words: Words.
        clip: Id of another clip of those shown.
        file: A file of media.
    """

    modality: str = ""
    words: str = ""
    clip: str = ""
    file: Path | None = None

    @property
    def told(self) -> str:
        """As a heading says it."""
        if self.words.strip():
            return f"“{' '.join(self.words.split())}”"
        if self.clip:
            return f"the {self.modality} of {self.clip}"
        return f"the {self.modality} of a file" if self.file else f"its own {self.modality}"


def can_segment(session: Session, place: int) -> bool:
    """Whether there is a model, and something to see of a clip."""
    media = session.media
    if session.segmenter is None or not isinstance(media, OwnMedia):
        return False
    clip = media.clip(place)
    return clip is not None and seen_in(clip) is not None


def clip_of(session: Session, place: int) -> MediaClip:
    """A clip's files.

    Raises:
        DataError: none are known, or they have moved away.
    """
    media, id_ = session.media, session.split.ids_of([place])[0]
    clip = media.clip(place) if isinstance(media, OwnMedia) else None
    if clip is None:
        raise DataError(f"{id_}: its files are not known; name their folder by --media")
    for path in clip.files.values():
        if not path.exists():
            raise DataError(f"{id_}: {path.name} has moved away since extraction")
    return clip


def segmented(
    session: Session, query: Query, clip: str = "", file: Path | None = None
) -> SegmentedClip:
    """A clip of those shown, or a file, segmented: a frame per second, :data:`MOST` at most.

    Its own sound asks second by second; words, another clip and a file ask all of it, sound by as
    many seconds of its beginning as the model takes frames.

    Raises:
        ConfigError: the explorer was started without a model.
        CmgError: by its type, whatever does not fit.
    """
    segmenter = session.segmenter
    if segmenter is None:
        raise ConfigError("start `cmg explore` with --segmentation MODEL to segment by a query")
    if bool(clip) == (file is not None):
        raise DataError("say which clip is segmented: its id, or a file")
    shown = clip_of(session, session.place_of(clip)) if file is None else one_clip(file)
    by = _asking(session, query)
    readers, size = session.readers(query.modality), segmenter.model.frames
    last = shown.start + MOST
    cut = replace(shown, end=last if shown.end is None else min(shown.end, last))
    known = [*([shown] if clip else []), *([by] if by and query.clip else [])]
    paths = [path for one in known for path in one.files.values()]
    with named({path: path.name for path in paths}), session.decoding:
        frames = frames_of(cut, segmenter.record.training.side)
        features, seconds = query_features(by or cut, query.modality, readers)
        if by is not None and seconds is not None:
            features, seconds = features[: max(1, round(size / seconds))], None
        encoder = FrozenEncoder(session.coded.model, query.modality)
        found = segmenter.probabilities(frames, encoder, features, seconds, (by or cut).id)
    return SegmentedClip(shown.id, query.modality, frames, found, readers.remarks)


def _asking(session: Session, query: Query) -> MediaClip | None:
    """What asks; None is the clip itself."""
    if sum((bool(query.words.strip()), bool(query.clip), query.file is not None)) > 1:
        raise DataError("ask by words, a clip, or a file: one of them")
    if query.clip:
        return clip_of(session, session.place_of(query.clip))
    if query.words.strip() or query.file is not None:
        return asked(query.words, query.file, query.modality)
    return None


def masks(found: SegmentedClip) -> list[str]:
    """PNG files in base64, white where it is what the query is about; one per second."""
    white = (found.probabilities > 0.5).numpy().astype(np.uint8) * 255
    return [base64.b64encode(png(np.repeat(x[..., None], 3, 2))).decode() for x in white]


def shares(found: SegmentedClip) -> list[float]:
    """Share of the pixels within each mask, 0..1."""
    return [float(mask.float().mean()) for mask in found.probabilities > 0.5]


def pictures(found: SegmentedClip) -> list[str]:
    """The frames with their masks laid over them, as URIs."""
    inside = found.probabilities > 0.5
    parts = (slice(i, i + 1) for i in range(len(inside)))
    laid = (blended(found.frames[part], inside[part], FOUND) for part in parts)
    return [data_uri("image/jpeg", jpeg_bytes(one)) for one in laid]


@contextmanager
def named(names: Mapping[Path, str]) -> Iterator[None]:
    """Errors of the block name files, and no path of this machine."""
    try:
        yield
    except CmgError as error:
        told = str(error)
        for path, name in names.items():
            told = told.replace(str(path), name)
        raise type(error)(told) from error
