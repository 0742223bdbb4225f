"""What an explorer knows: a run, the clips whose codes it shows, and searches among them.

Shape legend: N clips, T steps, K codes.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cmg.clips import configured_clips, open_other
from cmg.codebook.measures import levels_of
from cmg.data.clips import Clips
from cmg.errors import CmgError, DataError, did_you_mean
from cmg.evaluation.encoding import code_usage, refuse_unknown
from cmg.extract.clip import MediaClip
from cmg.extract.media_files import one_clip
from cmg.extract.thumbnails import RATE, Shown
from cmg.files import StrPath
from cmg.inference.readers import Readers, load_readers, other_extractors, training_store
from cmg.recipes.media_codes import CodedClip, Track, code_steps
from cmg.recipes.retrieval import query_of, represented_query
from cmg.recipes.segment_clip import ClipSegmenter
from cmg.report.gather import CodedSplit, encode, shown_split
from cmg.report.media import Media, OwnMedia, media_of
from cmg.report.samples import Place, by_frequency, code_name, steps_of
from cmg.retrieval.evaluate import picked
from cmg.retrieval.index import ExactIndex, open_index, shown_hits
from cmg.retrieval.representation import By, represent
from cmg.runs.checkpoint import Checkpoint, load_model, read_checkpoint
from cmg.segmentation.checkpoint import refuse_other_codebook


@dataclass
class Session:
    """A run and its clips, encoded once.

    Attributes:
        checkpoint: Whose codes are shown.
        coded: The clips and their codes.
        media: What there is to see, hear and read of them.
        remarks: What is not as in training.
        segmenter: Says where it is what a query is about; None where no model was named.
        decoding: Held by those who decode, encode or load.
    """

    checkpoint: Checkpoint
    coded: CodedSplit
    media: Media
    remarks: tuple[str, ...] = ()
    segmenter: ClipSegmenter | None = None
    _indices: dict[tuple[str, By], ExactIndex] = field(default_factory=dict)
    _readers: dict[str, Readers] = field(default_factory=dict)
    decoding: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def open(
        cls,
        run: StrPath,
        data: StrPath | None = None,
        split: str | None = None,
        media: StrPath | None = None,
        segmentation: StrPath | None = None,
    ) -> Session:
        """Open a run.

        Args:
            run: Run folder or checkpoint.
            data: Store; None is what the run was trained on.
            split: Of it; None is the run's test split.
            media: Folder or manifest that the clips are from; None shows features, or the media
                of an embedded set.
            segmentation: Model of `cmg evaluate avs` that was trained with this run.

        Raises:
            CmgError: by its type, whatever cannot be opened, or a model without codes.
        """
        checkpoint = read_checkpoint(Path(run))
        model = load_model(checkpoint.path)
        model.codebook.need_codes("explore")
        segmenter = None
        if segmentation is not None:
            segmenter = ClipSegmenter(segmentation)
            refuse_other_codebook(segmenter.path, segmenter.record, checkpoint)
        config = checkpoint.config.data
        store = configured_clips(config) if data is None else open_other(config, data)
        remarks = other_extractors(checkpoint, store)
        chosen = store.split(split) if split else shown_split(store, checkpoint, remarks)
        clips, encoded = encode(model, chosen)
        coded = CodedSplit(model, clips, encoded, code_usage(encoded, model.size))
        shown = media_of(clips, media, link)
        return cls(checkpoint, coded, shown, (*remarks, *shown.remarks), segmenter)

    @property
    def split(self) -> Clips:
        """The clips."""
        return self.coded.split

    def classes(self) -> tuple[str, ...]:
        """Of the first label per clip; none without."""
        name = self.split.about.first_label("clip")
        return () if name is None else tuple(self.split.labels[name].classes)

    def codes(self, modality: str = "", label: str = "", code: str = "") -> list[int]:
        """Codes that are used, the most frequent first.

        Args:
            modality: Only those that it uses; empty is any.
            label: Only those that occur in clips of this class.
            code: Only the one of this name.

        Raises:
            ModalityError: there is no such modality.
            DataError: there is no such class or code.
        """
        coded = self.coded
        counts = coded.usage.counts
        if modality:
            refuse_unknown(modality, coded.modalities)
        if label:
            counts = self._counts_of(label)
        chosen = counts.sum(0) if not modality else counts[coded.modalities.index(modality)]
        found = [k for k in by_frequency(coded.usage) if chosen[k] > 0]
        if label:
            found.sort(key=lambda k: -float(chosen[k]))
        return found if not code else [k for k in found if k == self.code(code)]

    def code(self, name: str) -> int:
        """A code by its name.

        Raises:
            DataError: there is none of it.
        """
        usage = self.coded.usage
        names = {code_name(usage, k): k for k in range(usage.counts.shape[1])}
        if name not in names:
            raise DataError(
                f"no code {name!r}; the model has {len(names)}, from {next(iter(names))}"
            )
        return names[name]

    def _counts_of(self, label: str) -> torch.Tensor:
        """Tokens per modality and code, in clips of a class."""
        name, classes = self.split.about.first_label("clip"), self.classes()
        if name is None or label not in classes:
            raise DataError(f"no class {label!r}{did_you_mean(label, classes)}")
        rows = self.split.label(name) == classes.index(label)
        size, found = self.coded.usage.size, []
        for one in self.coded.encoded.values():
            levels = [level[rows] for level in levels_of(one.indices)]
            found.append(torch.cat([torch.bincount(x[x >= 0], minlength=size) for x in levels]))
        return torch.stack(found)

    def steps(self, code: int, modality: str = "") -> list[Place]:
        """All steps that took a code, clip by clip."""
        names = [modality] if modality else self.coded.modalities
        found = []
        for m in names:
            refuse_unknown(m, self.coded.modalities)
            found += [Place(m, *at) for at in steps_of(self.coded, m, code).nonzero().tolist()]
        return sorted(found, key=lambda p: (p.clip, p.step))

    def place_of(self, clip: str) -> int:
        """Where a clip is among those shown.

        Raises:
            DataError: it is not among them.
        """
        if clip not in self.split.places:
            raise DataError(f"no clip {clip!r} among the {len(self.split)} shown")
        return self.split.places[clip]

    def coded_clip(self, clip: int) -> CodedClip:
        """A clip with codes, times, words, and what is seen and heard of it.

        Raises:
            ConfigError: a model with several codes per step.
            DataError: its features cannot be read.
        """
        row, media = self.split.rows[clip], self.media
        there = [m for m in self.coded.modalities if row.lengths.get(m)]
        features = {m: self.split.features(m, [clip])[0][0] for m in there}
        with self.decoding:
            steps = code_steps(self.coded.model, features, row.id)
        takes = media.takes if isinstance(media, OwnMedia) else {}
        tracks = {}
        for m, found in steps.items():
            seconds, count = self.split.step_seconds.get(m), len(found.codes)
            edges = np.arange(count + 1, dtype=np.float64) * (seconds or 0.0)
            times = None if seconds is None else np.stack([edges[:-1], edges[1:]], 1)
            words = tuple(media.words(m, clip))
            tracks[m] = Track(takes.get(m, "text"), "", found, times, words)
        seen = self._seen(clip)
        ends = [float(t.times[-1, 1]) for t in tracks.values() if t.times is not None]
        length = max([seen.seconds, *ends], default=0.0)
        return CodedClip(row.id, {}, "", length, tracks, seen.thumbnails, seen.wave, RATE)

    def _seen(self, clip: int) -> Shown:
        """Frames and sound of a clip; nothing where they have moved away."""
        if not isinstance(self.media, OwnMedia):
            return Shown((), None, 0.0)
        try:
            with self.decoding:
                return self.media.seen(clip)
        except CmgError:
            return Shown((), None, 0.0)

    def index(self, target: str, by: By) -> ExactIndex:
        """The clips that have a modality, ready to be searched; made once.

        Raises:
            ModalityError: there is no such modality.
            DataError: no clip has it.
        """
        refuse_unknown(target, self.coded.modalities, "the gallery")
        with self.decoding:
            if (target, by) not in self._indices:
                encoded, ids = self.coded.encoded[target], self.split.ids
                rows = encoded.present.nonzero()[:, 0]
                if not len(rows):
                    raise DataError(f"no clip has {target!r}")
                names = [ids[i] for i in rows.tolist()]
                if len(rows) < len(ids):  # a copy of all steps is only made where it has to be
                    encoded = picked(encoded, rows)
                found = represent(encoded, by, self.coded.model.size, names)
                made = open_index(found)
                assert isinstance(made, ExactIndex)
                self._indices[target, by] = made
            return self._indices[target, by]

    def by_clip(
        self, clip: str, source: str, target: str, by: By = "mean", top: int = 10
    ) -> list[tuple[str, float]]:
        """(id, cosine) of the clips nearest to a clip of the store by another modality of it.

        Raises:
            CmgError: by its type, whatever does not fit.
        """
        refuse_unknown(source, self.coded.modalities)
        index = self.index(target, by)
        query = query_of(self.coded.model, self.split.whole, clip, source, by)
        return shown_hits(index.search(query, top), index.gallery)[0]

    def by_media(
        self, clip: MediaClip, source: str, target: str, by: By = "mean", top: int = 10
    ) -> list[tuple[str, float]]:
        """(id, cosine) of the clips nearest to a file or to words.

        Raises:
            CmgError: by its type, whatever does not fit.
        """
        index = self.index(target, by)
        features, _ = self._read(clip, source)
        steps = torch.from_numpy(features)[None]
        lengths = torch.tensor([steps.shape[1]])
        with self.decoding:
            query = represented_query(self.coded.model, steps, lengths, source, by, clip.id)
        return shown_hits(index.search(query, top), index.gallery)[0]

    def found(
        self,
        clip: str,
        words: str,
        file: Path | None,
        source: str,
        target: str,
        by: By = "mean",
        top: int = 10,
    ) -> list[tuple[str, float]]:
        """(id, cosine) of the clips nearest to a clip, to words or to a file: to one of them.

        Raises:
            CmgError: by its type, whatever does not fit.
        """
        if not clip:
            return self.by_media(asked(words, file, source), source, target, by, top)
        if words.strip() or file is not None:
            raise DataError("give a clip, words, or a file: one of them")
        return self.by_clip(clip, source, target, by, top)

    def codes_of(self, clip: MediaClip, source: str) -> tuple[list[int], float | None]:
        """Codes of a file or of words, and the duration of a step.

        Raises:
            CmgError: by its type, whatever does not fit.
        """
        features, seconds = self._read(clip, source)
        with self.decoding:
            found = code_steps(self.coded.model, {source: torch.from_numpy(features)}, clip.id)
        return found[source].codes.tolist(), seconds

    def _read(self, clip: MediaClip, source: str) -> tuple[NDArray[np.generic], float | None]:
        """Features of what was given, and the duration of a step."""
        with self.decoding:
            features, seconds = self.readers(source).read(clip)
        if source not in features or not len(features[source]):
            raise DataError(f"{clip.id}: nothing of {source!r} in it to ask by")
        return features[source], seconds[source]

    def readers(self, source: str) -> Readers:
        """The extractor of a modality that the run was trained with; loaded once.

        Raises:
            ModalityError: there is no such modality.
            ConfigError: its extractor is not known, or cannot be loaded.
        """
        refuse_unknown(source, self.coded.model.modalities)
        with self.decoding:
            if source not in self._readers:
                trained_on = training_store(self.checkpoint)
                made = load_readers(self.checkpoint, trained_on, None, None, only=source)
                self._readers[source] = made
            return self._readers[source]


def asked(words: str, file: Path | None, source: str) -> MediaClip:
    """Words or a file as a clip.

    Raises:
        DataError: neither, both, or a file that is no media.
    """
    said = " ".join(words.split())
    if bool(said) == (file is not None):
        raise DataError("give either words or a file")
    if file is None:
        return MediaClip("query", "query", texts={source: said})
    return one_clip(file)


def told_labels(row_labels: Mapping[str, object], split: Clips) -> dict[str, str]:
    """Class by label of a clip, of the labels per clip that it has."""
    return {
        name: split.labels[name].classes[value]
        for name, value in row_labels.items()
        if isinstance(value, int) and value >= 0
    }


def link(part: str, place: Place) -> str:
    """Where the app has a frame or the sound of a step."""
    if part == "frame":
        return f"/frame/{place.modality}/{place.clip}/{place.step}"
    return f"/sound/{place.modality}/{place.clip}"
