"""Codes of media clips, with what there is to see, hear and read.

Shape legend: T steps, K codes, D semantic width, S samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmg.evaluation.encoding import pad_steps
from cmg.extract.extractor import Takes
from cmg.extract.thumbnails import Thumbnail
from cmg.models.unified import UnifiedModel, refuse_non_finite
from cmg.recipes.known_clips import KnownClips
from cmg.types import Batch

ALL_LEVELS = "`cmg encode STORE` writes those of all levels"


@dataclass(frozen=True)
class StepCodes:
    """The codes of one modality's steps.

    Attributes:
        codes: Index of the nearest code, int64 [T].
        distances: Euclidean distance of the semantic feature to it, float64 [T].
        seconds: Index of the second nearest code, int64 [T].
        margins: How much farther that one is, float64 [T]; 0 is a tie.
    """

    codes: NDArray[np.int64]
    distances: NDArray[np.float64]
    seconds: NDArray[np.int64]
    margins: NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """One modality of a clip: its steps and their codes.

    Attributes:
        takes: What its extractor reads.
        extractor: Name of the extractor.
        steps: The codes.
        times: Begin and end of every step in seconds after the clip's start, float64 [T, 2]; None
            where steps have no time, as words.
        words: The word of every step; empty where steps are no words.
    """

    takes: Takes
    extractor: str
    steps: StepCodes
    times: NDArray[np.float64] | None
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class CodedClip:
    """A clip and its codes.

    Attributes:
        id: Of the clip.
        files: Name of the file by modality.
        text: What its words are.
        seconds: Duration.
        tracks: The coded modalities, in the model's order.
        thumbnails: In order of time; empty without pictures.
        wave: Mono, float32 [S]; None without sound.
        rate: Samples per second of the wave.
    """

    id: str
    files: Mapping[str, str]
    text: str
    seconds: float
    tracks: Mapping[str, Track]
    thumbnails: Sequence[Thumbnail] = field(default_factory=tuple)
    wave: NDArray[np.float32] | None = None
    rate: int = 1


@torch.no_grad()
def code_steps(
    model: UnifiedModel, features: Mapping[str, Tensor], clip: str
) -> dict[str, StepCodes]:
    """Encode one clip, as `UnifiedModel.encode` does, and measure how near the codes are.

    Args:
        model: Left untouched.
        features: [T, *shape] per modality; each has its own T, those without steps are left out.
        clip: Its id, for messages.

    Returns:
        Per modality, in the model's order.

    Raises:
        ConfigError: a model without codes, or with several per step.
        ModalityError: a modality that the model lacks, or of another shape.
        DataError: NaN or infinite features, or no step at all.
    """
    model.codebook.need_one_level("a timeline", ALL_LEVELS)
    present = {m: x for m, x in features.items() if len(x)}
    longest = max((len(x) for x in present.values()), default=0)
    padded = {m: pad_steps(x[None].float(), longest, 0) for m, x in present.items()}
    lengths = {m: torch.tensor([len(x)]) for m, x in present.items()}
    batch = Batch(padded, lengths, [clip])
    batch.check(model.modalities)
    batch = batch.to(model.device, model.dtype)
    refuse_non_finite(batch)
    semantic = model.semantics(batch)
    nearest = model.codebook.lookup(semantic, batch.steps).indices
    exact = deepcopy(model.codebook).to("cpu", torch.float64)
    found = {}
    for m in model.modalities:
        if m in present:
            count = len(present[m])
            distances = exact.distances(m, semantic[m][0, :count].double().cpu())
            found[m] = _measured(distances, nearest[m][0, :count])
    return found


def _measured(distances: Tensor, codes: Tensor) -> StepCodes:
    """Distances [T, K] to the codes that the lookup chose, and to the best of the others."""
    chosen = codes.cpu()[:, None]
    best = distances.gather(1, chosen)[:, 0]
    others = distances.scatter(1, chosen, torch.inf)
    second = others.min(1)
    # The lookup and this table round on their own: on a tie the other one may be nearer by a bit.
    margins = (second.values - best).clamp_min(0)
    return StepCodes(chosen[:, 0].numpy(), best.numpy(), second.indices.numpy(), margins.numpy())


def sharing(clip: CodedClip) -> dict[str, list[list[str]]]:
    """Per modality and step, the other modalities that have its code at the same time.

    Steps with a time share with the steps that they overlap; a word has no time, so it shares
    with every step of the clip, and so does every step with words.
    """
    found = {}
    for name, track in clip.tracks.items():
        others = {m: t for m, t in clip.tracks.items() if m != name}
        found[name] = [
            [m for m, other in others.items() if _meets(track, step, other)]
            for step in range(len(track.steps.codes))
        ]
    return found


def _meets(track: Track, step: int, other: Track) -> bool:
    same = other.steps.codes == track.steps.codes[step]
    if track.times is not None and other.times is not None:
        start, end = track.times[step]
        same = same & (other.times[:, 0] < end) & (other.times[:, 1] > start)
    return bool(same.any())


@dataclass(frozen=True)
class EncodedMedia:
    """Some clips and their codes.

    Attributes:
        checkpoint: Whose codes they are.
        size: Number of codes K.
        extractors: What made the features, by modality.
        clips: At least one.
        failed: Why a clip was skipped, by its id.
        known: The nearest known clips of each code; None where they were not asked for.
        remarks: What is not as in training.
    """

    checkpoint: str
    size: int
    extractors: Mapping[str, str]
    clips: Sequence[CodedClip]
    failed: Mapping[str, str] = field(default_factory=dict)
    known: KnownClips | None = None
    remarks: tuple[str, ...] = ()

    @property
    def codes(self) -> list[int]:
        """The codes that occur, ascending."""
        tracks = [track for clip in self.clips for track in clip.tracks.values()]
        return sorted({code for track in tracks for code in track.steps.codes.tolist()})
