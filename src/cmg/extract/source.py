"""Clips of raw media on their way into a store: decoded when they are asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from cmg.data.about import About
from cmg.data.manifest import FeatureSpec, LabelSpec
from cmg.errors import CmgError, ConfigError, DataError, ModalityError
from cmg.extract.clip import MediaClip
from cmg.extract.extractor import KINDS, LoadOptions
from cmg.extract.reading import (
    ClipMedia,
    Features,
    FrameRule,
    Reader,
    decode_clip,
    extract_media,
    file_of,
)
from cmg.extract.registry import card_of, load_extractor
from cmg.extract.scan_options import printable
from cmg.types import plain_name

GROUP = 16
"""Clips that are decoded one after the other before another group is."""
TRACKS = "tracks_read"
"""Key of a row's `meta`: which track was read of files with several."""
FRAMES = 32
"""Frames that go through a network together, if a group has as many: pictures are one each."""


@dataclass(frozen=True)
class WantedExtractor:
    """An extractor to be loaded.

    Attributes:
        name: As in the registry.
        options: How.
    """

    name: str
    options: LoadOptions

    def load(self) -> Reader:
        """Load it.

        Raises:
            ConfigError: a package or its weights are missing.
        """
        return Reader(card_of(self.name).takes, load_extractor(self.name, self.options))


class ExtractedClips:
    """Clips of media files on their way into a store, a :class:`~cmg.copying.chunks.Copyable`.

    What is computed depends on the clips alone, not on the order in which they are asked for: clips
    are decoded in fixed groups. Other processes load the extractors again.

    Args:
        path: Where the clips are from, for messages.
        clips: At least one; ids are unique.
        asked: Extractors by modality.
        rule: Which frames stand for a step.
        notes: Where the data are from.

    Raises:
        ConfigError: no extractor, or one that cannot be loaded.
        ModalityError: a name that no modality can have.
    """

    def __init__(
        self,
        path: Path,
        clips: Sequence[MediaClip],
        asked: Mapping[str, WantedExtractor],
        rule: FrameRule | None = None,
        notes: str = "",
    ) -> None:
        if not asked:
            raise ConfigError("no extractor: say how a modality is read, e.g. --audio vggish")
        self.clips, self.asked = list(clips), dict(asked)
        self.rule = rule or FrameRule()
        self._group: int | None = None
        self._found: list[dict[str, Features] | CmgError] = []
        self._tracks: dict[int, list[str]] = {}
        readers = self.readers
        how = [f"{m}: {reader.extractor.notes}" for m, reader in readers.items()]
        identities = {m: reader.extractor.identity for m, reader in readers.items()}
        self.about = About(
            path=path,
            specs={m: _spec(m, reader) for m, reader in readers.items()},
            labels=_labels(self.clips),
            fingerprint=partial(_content_hash, self.clips, self.asked, identities, self.rule),
            notes=" ".join([notes, *how] if notes else how),
        )

    @cached_property
    def readers(self) -> dict[str, Reader]:
        """The extractors, loaded."""
        return {m: one.load() for m, one in self.asked.items()}

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the networks and what they computed."""
        return self.__dict__ | {"_group": None, "_found": []} | {"readers": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({key: value for key, value in state.items() if key != "readers"})

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of clips, the size and time of change of their files, and the extractors."""
        return self.about.fingerprint()

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.clips)

    @property
    def ids(self) -> list[str]:
        """Of all clips."""
        return self.ids_of(range(len(self)))

    def ids_of(self, clips: Sequence[int]) -> list[str]:
        """Of some clips by their positions."""
        return [self.clips[i].id for i in clips]

    def __getitem__(self, position: int) -> dict[str, Any]:
        """One clip as the fields of a :class:`~cmg.data.writer.Clip`; best asked for in order.

        Raises:
            DataError: it cannot be read, or has nothing that is asked for.
        """
        clip, features = self.clips[position], self.features(position)
        labels = {
            name: None if (value := clip.labels.get(name)) is None else spec.classes.index(value)
            for name, spec in self.about.labels.items()
        }
        tracks = {TRACKS: self._tracks[position]} if position in self._tracks else {}
        meta = dict(clip.meta) | tracks
        return {
            "id": clip.id,
            "split": clip.split,
            "features": features,
            "labels": labels,
            "meta": meta,
        }

    def features(self, position: int) -> dict[str, Features]:
        """Features [T, *shape] of one clip, of the modalities that it has.

        Raises:
            DataError: it cannot be read, or has nothing that is asked for.
        """
        group, place = divmod(position, GROUP)
        if group != self._group:
            self._group, self._found = None, []
            first = group * GROUP
            self._found = self._extracted(range(first, min(first + GROUP, len(self.clips))))
            self._group = group
        found = self._found[place]
        if isinstance(found, CmgError):
            raise found
        if not found:
            raise DataError(f"{self._names(position)} has none of {', '.join(self.asked)}")
        return found

    def _names(self, position: int) -> str:
        """The clip's files, for a message."""
        clip = self.clips[position]
        return ", ".join(dict.fromkeys(printable(p) for p in clip.files.values())) or clip.id

    def _extracted(self, positions: Sequence[int]) -> list[dict[str, Features] | CmgError]:
        """Features of clips, or why there are none; few frames wait for those of the next clips.

        Which of several tracks was read becomes known by it and is kept in the clips' `meta`.
        """
        found: list[dict[str, Features] | CmgError] = [{} for _ in positions]
        waiting: dict[int, ClipMedia] = {}

        def run() -> None:
            for index, features in zip(
                waiting, extract_media(list(waiting.values()), self.readers), strict=True
            ):
                found[index] = features
            waiting.clear()

        for index, position in enumerate(positions):
            try:
                media = decode_clip(self.clips[position], self.readers, self.rule)
                waiting[index] = media
                if media.tracks:
                    self._tracks[position] = list(media.tracks)
            except CmgError as error:
                found[index] = error
            if _frames(waiting.values()) >= FRAMES:
                run()
        run()
        return found


def _spec(name: str, reader: Reader) -> FeatureSpec:
    """What an extractor gives.

    Raises:
        ModalityError: a name that no modality can have.
    """
    network = reader.extractor
    try:
        plain_name(name)
    except ValueError as error:
        raise ModalityError(f"modality {name!r}: {error}") from error
    return FeatureSpec(
        kind=KINDS[reader.takes],
        shape=network.shape,
        step_seconds=network.step_seconds,
        extractor=reader.told,
    )


def _labels(clips: Sequence[MediaClip]) -> dict[str, LabelSpec]:
    """Every label with the classes that occur, in alphabetical order."""
    classes: dict[str, set[str]] = {}
    for clip in clips:
        for name, value in clip.labels.items():
            if value is not None:
                classes.setdefault(name, set()).add(value)
    return {name: LabelSpec(classes=tuple(sorted(found))) for name, found in classes.items()}


def _content_hash(
    clips: Sequence[MediaClip],
    asked: Mapping[str, WantedExtractor],
    identities: Mapping[str, str],
    rule: FrameRule,
) -> str:
    """SHA-256 of clips, the size and time of change of their files, and the extractors."""
    told = {
        "clips": [_told(clip, asked) for clip in clips],
        "extractors": dict(identities),
        "rule": asdict(rule),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _told(clip: MediaClip, asked: Mapping[str, WantedExtractor]) -> dict[str, Any]:
    used = {m: file_of(clip, m, card_of(one.name).takes) for m, one in asked.items()}
    files = {m: _state(path) for m, path in used.items() if path is not None}
    known = {"id": clip.id, "split": clip.split, "start": clip.start, "end": clip.end}
    texts, labels, meta = dict(clip.texts), dict(clip.labels), dict(clip.meta)
    known |= {"unread": clip.unread} if clip.unread else {}
    return known | {"files": files, "texts": texts, "labels": labels, "meta": meta}


def _frames(media: Any) -> int:
    return max((sum(len(d.frame_steps) for d in one.frames.values()) for one in media), default=0)


def _state(path: Path) -> list[Any]:
    """What tells a file, or a folder of pictures, from what it was before."""
    try:
        if path.is_dir():
            return [printable(path), *(_state(each) for each in sorted(path.iterdir()))]
        told = path.stat()
    except OSError as error:
        return [printable(path), error.strerror]
    return [printable(path), told.st_size, told.st_mtime_ns]
