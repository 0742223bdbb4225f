"""Clips: what training, heads, retrieval and reports are given, however the data are kept.

Shape legend: N clips, B of them, T steps of the longest of these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cmg.data.about import About, Read
from cmg.data.alignment import Grid, OnGrid, chosen_grid, moved_steps
from cmg.data.columns import Columns, ColumnsWriter, Positions, Rows
from cmg.data.labeled import LabelFile, read_labels
from cmg.data.labels import multi_hot
from cmg.data.manifest import ClipRow, LabelSpec, Manifest, MediaName
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.files import StrPath
from cmg.types import Modality

AT_ONCE = 1 << 16
"""Clips that are looked at together where all have to be."""


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips with features and labels: a store, an official set, or some of either.

    A view costs nothing: :meth:`split`, :meth:`only`, :meth:`share`, :meth:`on_grid` and
    :meth:`labelled` read no features. Clips can be pickled, and used by several threads and
    processes.

    Attributes:
        about: What is known of all of them.
        columns: What is known of each.
        read: Their features.
        name: The split that these are of, or several as in ``train+test``; empty of all.
        at: int64 [N], which clips of the columns; None is all of `name`.
    """

    about: About
    columns: Columns
    read: Read
    name: str = ""
    at: Positions | None = None

    @classmethod
    def of_rows(cls, about: About, rows: Iterable[ClipRow], read: Read) -> Clips:
        """Clips of rows in memory."""
        columns = ColumnsWriter(about.specs, about.labels, hashed=False)
        for row in rows:
            columns.add(row)
        return cls(about, columns.columns(about.path), read)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the fields; what can be found again, is."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What was pickled."""
        self.__dict__.update(state)

    def __repr__(self) -> str:
        """Where, which and how many."""
        part = f", split {self.name!r}" if self.name else ""
        return f"<{len(self)} clips of {self.path}{part}: {', '.join(self.modalities)}>"

    def __len__(self) -> int:
        """Number of clips N."""
        return len(self.columns if self._whole else self.positions)

    @property
    def _whole(self) -> bool:
        return self.at is None and not self.name

    @cached_property
    def positions(self) -> Positions:
        """Which clips of the columns these are, int64 [N]; of a split they are memory mapped."""
        if self.at is not None:
            return self.at
        parts = [self.columns.members(part) for part in self.name.split("+") if part]
        if not parts:
            return np.arange(len(self))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _at(self, clips: ArrayLike | slice) -> Positions:
        """Positions in the columns of clips that are given by positions in these."""
        chosen = clips if isinstance(clips, slice) else np.asarray(clips, dtype=np.int64)
        if self._whole and not isinstance(chosen, slice) and (chosen >= 0).all():
            if chosen.size and chosen.max() >= len(self):
                raise IndexError(f"no clip {chosen.max()}; there are {len(self)}")
            return chosen
        return self.columns.within(np.asarray(self.positions[chosen]))

    # --- what there is ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """Where they are, for messages."""
        return self.about.path

    @cached_property
    def modalities(self) -> dict[str, Modality]:
        """What there is of every clip, or of some; widths that belong to models are defaults."""
        specs = self.about.specs
        return {m: Modality(name=m, kind=s.kind, shape=s.shape) for m, s in specs.items()}

    @property
    def media(self) -> MediaName | None:
        """The embedded set that the rows' `meta` refers to."""
        return self.about.media

    @property
    def notes(self) -> str:
        """Where the data are from."""
        return self.about.notes

    @property
    def labels(self) -> Mapping[str, LabelSpec]:
        """The labels with their classes."""
        return self.about.labels

    @property
    def splits(self) -> dict[str, int]:
        """Number of clips per split, of all clips."""
        return dict(self.columns.splits)

    @property
    def step_seconds(self) -> dict[str, float | None]:
        """Duration of a step per modality, None where steps are not equally long."""
        grid = self.about.grid
        return {m: d if None in (d, grid) else grid for m, d in self.native_seconds.items()}

    @property
    def native_seconds(self) -> dict[str, float | None]:
        """Durations of the steps as they are stored, whatever grid they are brought to."""
        return {m: spec.step_seconds for m, spec in self.about.specs.items()}

    @property
    def extractors(self) -> dict[str, str]:
        """What made the features of each modality, of those where that is known."""
        return {m: s.extractor for m, s in self.about.specs.items() if s.extractor is not None}

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 that changes with the content of all clips; equal stores have equal hashes."""
        return self.about.fingerprint()

    @property
    def manifest(self) -> Manifest:
        """Of a store as it is on disk.

        Raises:
            DataError: these are not a whole store, or were changed.
        """
        if self.about.manifest is None:
            raise DataError(f"{self.path} is no store as it is on disk, and has no manifest")
        return self.about.manifest

    # --- views -----------------------------------------------------------------------------------

    @cached_property
    def whole(self) -> Clips:
        """All of the clips that these are some of."""
        return replace(self, name="", at=None)

    def split(self, name: str) -> Clips:
        """The clips of one split, or of several joined as in ``train+test``, in that order.

        Raises:
            DataError: there is no such split.
        """
        for part in name.split("+"):
            if part not in (known := self.columns.splits):
                raise DataError(f"{self.path}: unknown split {part!r}{did_you_mean(part, known)}")
        found = replace(self, name=name, at=None)
        if self._whole:
            return found
        return replace(found, at=found.positions[np.isin(found.positions, self.positions)])

    def only(self, clips: ArrayLike) -> Clips:
        """The clips at some positions, in that order.

        Raises:
            IndexError: a position outside these clips.
        """
        return replace(self, at=self._at(clips))

    def share(self, fraction: float) -> Clips:
        """A share of the clips, in their order.

        Clips are ranked by a hash of their ids, so a smaller share lies within a larger one, no
        seed has a say, and clips that are added to the data do not change the ranks of the others.

        Args:
            fraction: Above 0 and up to 1; the count is rounded up.
        """
        count = int(np.ceil(fraction * len(self)))
        if count == len(self):
            return self
        keys = np.concatenate([self._keys(part) for part in self.parts()])
        return self.only(np.sort(np.argsort(keys, kind="stable")[:count]))

    def _keys(self, part: slice) -> NDArray[np.uint64]:
        """The first 8 bytes of the SHA-256 of the ids of some clips."""
        ids = self.columns.ids(self._at(part))
        digests = (hashlib.sha256(clip.encode()).digest()[:8] for clip in ids)
        return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)

    def on_grid(self, seconds: Grid = "auto", modalities: Sequence[str] | None = None) -> Clips:
        """The clips with steps of one duration; the same where they have it.

        Args:
            seconds: Duration, see :data:`~cmg.data.alignment.Grid`.
            modalities: In use; None is all.

        Raises:
            DataError: there are labels per step, whose steps would not be those of the features.
        """
        native = self.native_seconds
        grid = chosen_grid(native, seconds, modalities)
        if grid is None:
            return self
        for name, label in self.labels.items():
            if label.per == "step":
                durations = ", ".join(f"{m} {d:g} s" for m, d in native.items() if d)
                raise DataError(
                    f"{self.path}: the label {name!r} is per step, but steps are of {durations}; "
                    "say data.step_seconds=null to take steps by their index"
                )
        timed = {m: d for m, d in native.items() if d is not None}
        moved = {m: partial(moved_steps, seconds=d, grid=grid) for m, d in timed.items()}
        told = partial(_changed, self.about.fingerprint, f" on steps of {grid!r} s")
        return replace(
            self,
            about=replace(self.about, grid=grid, fingerprint=told, manifest=None),
            columns=self.columns.on_grid(moved),
            read=OnGrid(self.read, timed, grid),
        )

    def labelled(self, labels: LabelFile | StrPath) -> Clips:
        """The clips with the labels of a file instead of their own.

        What does not fit, clips without a label and labels without a clip, is in the remarks.

        Args:
            labels: A csv or JSON lines, see :func:`~cmg.data.labeled.read_labels`; or what it read.

        Raises:
            DataError: the file cannot be read, or labels none of the clips.
        """
        file = labels if isinstance(labels, LabelFile) else read_labels(labels)
        ids = self.columns.ids(range(len(self.columns)))
        said = tuple(file.remarks(ids, str(self.path)))
        specs = {name: LabelSpec(classes=file.classes_of(name)) for name in file.classes}
        values = {name: file.column(name, ids) for name in file.classes}
        told = partial(_labelled, self.about.fingerprint, file.classes)
        about = replace(self.about, labels=specs, fingerprint=told, remarks=said, manifest=None)
        return replace(self, about=about, columns=self.columns.labelled(values))

    # --- clips one by one, and all of them -------------------------------------------------------

    @property
    def rows(self) -> Rows:
        """What is known of each clip beside its features; a row is made when it is asked for."""
        return Rows(self.columns, None if self._whole else self.positions)

    @property
    def ids(self) -> list[str]:
        """The clips' ids, all of them; of a few, ask :meth:`ids_of`."""
        return self.columns.ids(self._at(slice(None)).tolist())

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each clip is, by its id."""
        return {name: at for at, name in enumerate(self.ids)}

    def ids_of(self, clips: ArrayLike) -> list[str]:
        """Ids of some clips by their positions."""
        return self.columns.ids(self._at(clips).tolist())

    def __getitem__(self, position: int) -> dict[str, Any]:
        """One clip: ``id``, ``split``, ``labels``, ``meta``, and ``features`` by modality.

        Args:
            position: From 0; from the end if negative.

        Returns:
            Features [T, *shape] in the stored dtype, of the modalities that the clip has.

        Raises:
            IndexError: there is no such clip.
            DataError: it cannot be read.
        """
        at = range(len(self))[position]
        row = self.rows[at]
        there = (m for m in self.about.specs if row.lengths.get(m))
        features = {m: self.features(m, [at])[0][0] for m in there}
        return row.model_dump(exclude={"lengths"}) | {"features": features}

    def parts(self) -> Iterator[slice]:
        """Slices, :data:`AT_ONCE` clips each, for what has to look at all of them."""
        return (slice(i, min(i + AT_ONCE, len(self))) for i in range(0, len(self), AT_ONCE))

    def check_modality(self, name: str) -> None:
        """Refuse a modality that there is not.

        Raises:
            ModalityError: it is none of these.
        """
        if name not in self.about.specs:
            raise ModalityError(
                f"{self.path}: unknown modality {name!r}{did_you_mean(name, self.about.specs)}"
            )

    def lengths(self, modality: str) -> Tensor:
        """Steps of each clip, int64 [N], 0 where it lacks the modality.

        Raises:
            ModalityError: there is no such modality.
        """
        self.check_modality(modality)
        return torch.from_numpy(self.lengths_of(modality, slice(None)).copy())

    def total_steps(self, modality: str) -> int:
        """Sum of :meth:`lengths`, without holding them.

        Raises:
            ModalityError: there is no such modality.
        """
        self.check_modality(modality)
        return sum(int(self.lengths_of(modality, part).sum()) for part in self.parts())

    def lengths_of(self, modality: str, clips: ArrayLike | slice) -> Positions:
        """Steps of some clips by their positions, int64 [B]; the modality is one of these."""
        return self.columns.lengths(modality, self._at(clips))

    def features(self, modality: str, clips: ArrayLike | None = None) -> tuple[Tensor, Tensor]:
        """Features of some clips.

        Args:
            modality: Name.
            clips: Positions, B of them; None for all.

        Returns:
            Features [B, T, *shape] in the stored dtype, zero after each clip's end, T the longest
            of these clips; and their lengths, int64 [B].

        Raises:
            ModalityError: there is no such modality.
            DataError: a clip cannot be read.
            IndexError: a position outside these clips.
        """
        self.check_modality(modality)
        return self.read(modality, self._at(slice(None) if clips is None else clips))

    def label(self, name: str) -> Tensor:
        """Class indices of a label, -1 where unlabelled.

        Returns:
            int64 [N] for a label per clip; [N, T] for a label per step, T the longest clip, -1
            after each clip's end. For a multiple label float32 [N, T, C], 1 for every class of a
            step, -1 throughout where a step is unlabelled or does not exist.

        Raises:
            DataError: there is no such label, or its column is damaged.
        """
        if name not in self.labels:
            raise DataError(f"{self.path}: unknown label {name!r}{did_you_mean(name, self.labels)}")
        if self.columns.label(name) is not None:
            known = len(self.labels[name].classes)
            return torch.from_numpy(self.columns.classes(name, self._at(slice(None)), known))
        values = [row.labels.get(name) for row in self.rows]
        longest = max(int(self.lengths_of(m, slice(None)).max(initial=0)) for m in self.about.specs)
        if self.labels[name].multiple:
            return multi_hot(values, longest, len(self.labels[name].classes))
        out = torch.full((len(values), longest), -1, dtype=torch.int64)
        for clip, value in enumerate(values):
            if isinstance(value, list):
                out[clip, : len(value)] = torch.tensor(value)
        return out


def _changed(fingerprint: Callable[[], str], how: str) -> str:
    return hashlib.sha256(f"{fingerprint()}{how}".encode()).hexdigest()


def _labelled(fingerprint: Callable[[], str], classes: Mapping[str, Mapping[str, str]]) -> str:
    told = json.dumps([fingerprint(), classes], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()
