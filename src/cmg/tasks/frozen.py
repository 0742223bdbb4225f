"""A source seen through a frozen model: every clip and modality is encoded once and kept small.

What is kept of a clip is its codes, its continuous features (for the control without a codebook),
and, where encoding is to be repeated with dropout, what the temporal encoder reads. Features, which
are a hundred times larger, are read in batches and dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cmg.data.source import ClipSource
from cmg.errors import DataError, ModalityError, did_you_mean
from cmg.evaluation.encoding import FrozenEncoder, pad_steps
from cmg.models.unified import UnifiedModel
from cmg.tasks.features import CodeFeatures, NoisyFeatures, VectorFeatures

CLIPS_AT_ONCE = 32
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many clips are done, and of how many."""


def quiet(what: str, done: int, of: int) -> None:
    """Progress that nobody watches."""


@dataclass
class _Kept:
    """What is known of some clips of one modality; row i is of clip `clips[i]`."""

    clips: NDArray[np.int64]
    codes: Tensor
    semantic: Tensor
    lengths: Tensor
    inputs: Tensor | None


class FrozenSource:
    """One source through one model.

    Args:
        model: Left untouched.
        source: Whose clips.
        name: For messages.
        keep_inputs: Whether :meth:`noisy` will be asked for.
        progress: Told about every batch.
    """

    def __init__(
        self,
        model: UnifiedModel,
        source: ClipSource,
        name: str,
        keep_inputs: bool = False,
        progress: Progress = quiet,
    ) -> None:
        self.model = model
        self.source = source
        self.name = name
        self.keep_inputs = keep_inputs
        self.progress = progress
        self._kept: dict[str, _Kept] = {}

    def check(self, modality: str) -> None:
        """Compare model and source.

        Raises:
            ModalityError: one of them lacks the modality, or their shapes differ.
        """
        found = self.source.modalities
        if modality not in found:
            raise ModalityError(
                f"{self.source.path}: unknown modality {modality!r}{did_you_mean(modality, found)}"
            )
        FrozenEncoder(self.model, modality)
        wanted, given = self.model.modalities[modality].shape, found[modality].shape
        if wanted != given:
            raise ModalityError(
                f"{self.source.path}: a step of {modality!r} has shape {list(given)}; the model "
                f"was trained on {list(wanted)}; use a model of these features"
            )

    def codes(self, modality: str, clips: NDArray[np.int64]) -> CodeFeatures:
        """Clips as codes.

        Args:
            modality: Name of the modality.
            clips: Positions in the source's rows; all of them have the modality.
        """
        kept, rows = self._of(modality, clips)
        device = self.model.device
        return CodeFeatures(self.model.codebook.codes, kept.codes[rows].long().to(device))

    def continuous(self, modality: str, clips: NDArray[np.int64]) -> VectorFeatures:
        """Clips as semantic features, without the codebook; arguments as of :meth:`codes`."""
        kept, rows = self._of(modality, clips)
        device = self.model.device
        mask = (kept.codes[rows] >= 0).to(device)
        return VectorFeatures(kept.semantic[rows].to(device), mask)

    def noisy(self, modality: str, clips: NDArray[np.int64]) -> NoisyFeatures:
        """Clips whose codes are drawn with dropout; arguments as of :meth:`codes`."""
        kept, rows = self._of(modality, clips)
        assert kept.inputs is not None
        encoder = FrozenEncoder(self.model, modality)
        return NoisyFeatures(
            encoder, kept.inputs[rows], kept.lengths[rows], self.model.codebook.codes
        )

    def _of(self, modality: str, clips: NDArray[np.int64]) -> tuple[_Kept, Tensor]:
        kept = self._kept.get(modality)
        known = np.array([], dtype=np.int64) if kept is None else kept.clips
        missing = np.setdiff1d(clips, known)
        if len(missing):
            new = self._encode(modality, missing)
            kept = new if kept is None else _joined(kept, new)
            self._kept[modality] = kept
        assert kept is not None
        order = np.argsort(kept.clips)
        rows = order[np.searchsorted(kept.clips, clips, sorter=order)]
        return kept, torch.from_numpy(rows)

    def _encode(self, modality: str, clips: NDArray[np.int64]) -> _Kept:
        self.check(modality)
        encoder = FrozenEncoder(self.model, modality)
        all_codes, all_z, all_lengths, all_inputs = [], [], [], []
        for start in range(0, len(clips), CLIPS_AT_ONCE):
            some = clips[start : start + CLIPS_AT_ONCE]
            features, lengths = self.source.gather(modality, some)
            ids = [self.source.rows[i].id for i in some]
            try:
                inputs = encoder.inputs(features, lengths, ids)
            except DataError as error:
                raise DataError(f"{self.source.path}: {error}; extract that clip again") from error
            z = encoder.semantic(inputs, lengths)
            all_codes.append(encoder.codes(z, lengths).to("cpu", torch.int32))
            all_z.append(z.to("cpu", torch.float32))
            all_lengths.append(lengths)
            if self.keep_inputs:
                all_inputs.append(inputs.cpu())
            self.progress(f"encode {self.name} {modality}", start + len(some), len(clips))
        return _Kept(
            clips,
            _stacked(all_codes, -1),
            _stacked(all_z, 0),
            torch.cat(all_lengths),
            _stacked(all_inputs, 0) if self.keep_inputs else None,
        )


def _stacked(parts: list[Tensor], fill: int) -> Tensor:
    """Batches one below the other, padded to the longest."""
    longest = max(x.shape[1] for x in parts)
    return torch.cat([pad_steps(x, longest, fill) for x in parts])


def _joined(a: _Kept, b: _Kept) -> _Kept:
    inputs = None
    if a.inputs is not None and b.inputs is not None:
        inputs = _stacked([a.inputs, b.inputs], 0)
    return _Kept(
        np.concatenate([a.clips, b.clips]),
        _stacked([a.codes, b.codes], -1),
        _stacked([a.semantic, b.semantic], 0),
        torch.cat([a.lengths, b.lengths]),
        inputs,
    )


def fitted_steps(labels: Tensor, steps: int) -> Tensor:
    """Labels per step, [N, t, C], cut or padded (-1) to `steps`."""
    return functional.pad(labels[:, :steps], (0, 0, 0, max(0, steps - labels.shape[1])), value=-1)
