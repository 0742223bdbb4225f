"""Clips of raw media as a source of features: decoded and extracted when they are asked for."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.data.manifest import ClipRow, LabelSpec
from cmg.data.source import HasSplits
from cmg.errors import CmgError, ConfigError, DataError, ModalityError, did_you_mean
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
from cmg.types import Modality

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


class ExtractedClips(HasSplits):
    """Features of media files, a :class:`~cmg.data.source.ClipSource`.

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

    media = None

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
        self.path, self.clips, self.asked = path, list(clips), dict(asked)
        self.rule = rule or FrameRule()
        self._group: int | None = None
        self._found: list[dict[str, Features] | CmgError] = []
        readers = self.readers
        self.modalities = {
            m: Modality(name=m, kind=KINDS[reader.takes], shape=reader.extractor.shape)
            for m, reader in readers.items()
        }
        self.step_seconds: dict[str, float | None] = {
            m: reader.extractor.step_seconds for m, reader in readers.items()
        }
        self.extractors = {m: reader.told for m, reader in readers.items()}
        self._identities = {m: reader.extractor.identity for m, reader in readers.items()}
        how = [f"{m}: {reader.extractor.notes}" for m, reader in readers.items()]
        self.notes = " ".join([notes, *how] if notes else how)

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
    def rows(self) -> list[ClipRow]:
        """One row per clip; how long it is, is not known before it is decoded."""
        index = {name: {c: i for i, c in enumerate(s.classes)} for name, s in self.labels.items()}
        rows = []
        for clip in self.clips:
            named = {name: clip.labels.get(name) for name in index}
            labels: dict[str, Any] = {
                name: None if value is None else index[name][value] for name, value in named.items()
            }
            rows.append(
                ClipRow(
                    id=clip.id, split=clip.split, lengths={}, labels=labels, meta=dict(clip.meta)
                )
            )
        return rows

    @cached_property
    def labels(self) -> dict[str, LabelSpec]:
        """Every label with the classes that occur, in alphabetical order."""
        classes: dict[str, set[str]] = {}
        for clip in self.clips:
            for name, value in clip.labels.items():
                if value is not None:
                    classes.setdefault(name, set()).add(value)
        return {name: LabelSpec(classes=tuple(sorted(found))) for name, found in classes.items()}

    @property
    def splits(self) -> dict[str, int]:
        """Number of clips per split."""
        return dict(Counter(clip.split for clip in self.clips))

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the clips, the size and time of change of their files, and the extractors."""
        told = {
            "clips": [self._told(clip) for clip in self.clips],
            "extractors": self._identities,
            "rule": asdict(self.rule),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def _told(self, clip: MediaClip) -> dict[str, Any]:
        used = {m: file_of(clip, m, card_of(one.name).takes) for m, one in self.asked.items()}
        files = {m: _state(path) for m, path in used.items() if path is not None}
        known = {"id": clip.id, "split": clip.split, "start": clip.start, "end": clip.end}
        texts, labels, meta = dict(clip.texts), dict(clip.labels), dict(clip.meta)
        known |= {"unread": clip.unread} if clip.unread else {}
        return known | {"files": files, "texts": texts, "labels": labels, "meta": meta}

    def gather(self, modality: str, clips: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """See :class:`~cmg.data.source.ClipSource`; clips of one group are best asked for in turn.

        Raises:
            ModalityError: the source lacks the modality.
            DataError: a clip cannot be read.
        """
        if modality not in self.modalities:
            raise ModalityError(f"no modality {modality!r}{did_you_mean(modality, self.asked)}")
        empty = np.zeros((0, *self.modalities[modality].shape), dtype=np.float32)
        found = [self.features(int(position)).get(modality, empty) for position in clips]
        lengths = [len(steps) for steps in found]
        block = np.zeros((len(found), max(lengths, default=0), *empty.shape[1:]), dtype=np.float32)
        for row, steps in zip(block, found, strict=True):
            row[: len(steps)] = steps
        return torch.from_numpy(block), torch.tensor(lengths)

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

        Which of several tracks was read becomes known by it and is kept in the rows' `meta`.
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
                    self.rows[position].meta[TRACKS] = list(media.tracks)
            except CmgError as error:
                found[index] = error
            if _frames(waiting.values()) >= FRAMES:
                run()
        run()
        return found


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
