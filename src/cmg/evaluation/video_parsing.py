"""Metrics of audio-visual video parsing: which events are heard or seen, and when (LLP, HAN)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cmg.errors import DataError

MATCH = 0.5
"""Intersection over union from which two events are the same, this value included."""
KINDS = ("audio", "visual", "audio_visual", "type", "event")
"""Scores of a level, in the order in which papers print them."""


@dataclass(frozen=True)
class ParsingScores:
    """F1 of both levels, per video.

    Attributes:
        segment: By kind (KINDS), float64 [N], 0..1: every second is right or wrong.
        event: Likewise, of maximal runs of seconds, which match by their overlap.
    """

    segment: dict[str, Tensor]
    event: dict[str, Tensor]

    def percent(self) -> dict[str, float]:
        """Means over videos of equal weight in percent: ``segment_audio``, ..., ``event_event``."""
        levels = {"segment": self.segment, "event": self.event}
        return {
            f"{level}_{kind}": 100.0 * float(scores[kind].mean())
            for level, scores in levels.items()
            for kind in KINDS
        }


def parsing_scores(
    predicted: Mapping[str, Tensor], true: Mapping[str, Tensor], match: float = MATCH
) -> ParsingScores:
    """The official scores of AVVP, as the authors of LLP compute them (BASELINES B.4, as coded).

    Counts of every class of a video give F1 = 2 TP / (2 TP + FP + FN); the video's score is its
    mean over the classes that have any count, and **1 where no class has**: a video that is empty
    in truth and prediction is perfect, and one wrong class costs a zero in the mean.
    ``audio_visual`` is of what is heard and seen in the same second; ``type`` is the mean of
    ``audio``, ``visual`` and ``audio_visual``; ``event`` adds the counts of audio and visual
    before F1 is taken (and not those of ``audio_visual``).

    Args:
        predicted: ``audio`` and ``visual``, 0 and 1 or bool, [N, C, T] of N videos.
        true: Likewise.
        match: See MATCH.

    Raises:
        DataError: no video, or other shapes, keys or values.
    """
    found, truth = both(predicted, "predicted"), both(true, "true")
    if found["audio"].shape != truth["audio"].shape:
        raise DataError(
            f"predictions are {list(found['audio'].shape)} and the truth "
            f"{list(truth['audio'].shape)}, [videos, classes, seconds]; they must be alike"
        )
    segment = {m: segment_counts(found[m], truth[m]) for m in found}
    event = {m: event_counts(found[m], truth[m], match) for m in found}
    return ParsingScores(scores_of(segment), scores_of(event))


def both(given: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Checked cells of both modalities, and of both at once.

    Raises:
        DataError: see :func:`parsing_scores`.
    """
    if sorted(given) != ["audio", "visual"]:
        raise DataError(f"{what} events are of 'audio' and 'visual', got {', '.join(given)}")
    cells = {m: cells_of(given[m], f"{what} events of {m}") for m in ("audio", "visual")}
    if cells["audio"].shape != cells["visual"].shape:
        raise DataError(
            f"{what} events are {list(cells['audio'].shape)} of audio and "
            f"{list(cells['visual'].shape)} of visual; they must be of the same videos"
        )
    return {**cells, "audio_visual": cells["audio"] & cells["visual"]}


def cells_of(x: Tensor, what: str) -> Tensor:
    """Checked cells of one modality, bool [N, C, T].

    Raises:
        DataError: see :func:`parsing_scores`.
    """
    if x.dim() != 3 or 0 in x.shape:
        raise DataError(f"{what}: expected [videos, classes, seconds], got {list(x.shape)}")
    if not bool(((x == 0) | (x == 1)).all()):
        raise DataError(f"{what}: expected 0 and 1; probabilities are compared with 0.5 before")
    return x.bool()


def scores_of(counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Scores of a level by kind; see :func:`parsing_scores`.

    Args:
        counts: [N, C, 3] of ``audio``, ``visual`` and ``audio_visual``.
    """
    found = {m: video_f1(x) for m, x in counts.items()}
    found["type"] = torch.stack(list(found.values())).mean(0)
    found["event"] = video_f1(counts["audio"] + counts["visual"])
    return found


def video_f1(counts: Tensor) -> Tensor:
    """Mean F1 over the classes of a video that have any count; 1 where none has.

    Args:
        counts: True positives, false positives and false negatives, int64 [N, C, 3].

    Returns:
        float64 [N].
    """
    hits, wrong = 2 * counts[..., 0], counts[..., 1:].sum(-1)
    occurs = hits + wrong > 0
    f1 = hits / (hits + wrong).clamp_min(1).double()
    return torch.where(
        occurs.any(1), (f1 * occurs).sum(1) / occurs.sum(1).clamp_min(1), f1.new_ones(())
    )


def segment_counts(found: Tensor, true: Tensor) -> Tensor:
    """TP, FP and FN of the seconds of every class, int64 [N, C, 3], of bool [N, C, T]."""
    cells = (found & true, found & ~true, ~found & true)
    return torch.stack([x.sum(-1) for x in cells], -1)


def event_counts(found: Tensor, true: Tensor, match: float = MATCH) -> Tensor:
    """TP, FP and FN of the events of every class.

    An event is a maximal run of seconds. TP are predicted events that match a true one, FP the
    other predicted ones, FN true ones that no predicted one matches. Runs of one class lie apart,
    so that at an overlap of a half or more each matches at most one other.

    Args:
        found: bool [..., T].
        true: Likewise.
        match: Least intersection over union, in seconds.

    Returns:
        int64 [..., 3].
    """
    shape, steps = found.shape[:-1], found.shape[-1]
    found, true = found.reshape(-1, steps), true.reshape(-1, steps)
    runs, others = numbered_runs(found), numbered_runs(true)
    most = steps + 1  # more numbers than a row has runs
    row = torch.arange(len(found))[:, None] * most
    a, b = (row + runs)[found & true], (row + others)[found & true]
    pairs, shared = torch.unique(torch.stack([a, b]), dim=1, return_counts=True)
    lengths, lengths_true = (
        torch.bincount((row + r)[cells], minlength=len(found) * most)
        for r, cells in ((runs, found), (others, true))
    )
    union = lengths[pairs[0]] + lengths_true[pairs[1]] - shared
    pairs = pairs[:, shared >= match * union]
    matched, matched_true = (torch.unique(p) // most for p in pairs)
    hits, hits_true = (torch.bincount(p, minlength=len(found)) for p in (matched, matched_true))
    counts = [hits, runs.amax(1) - hits, others.amax(1) - hits_true]
    return torch.stack(counts, -1).reshape(*shape, 3)


def numbered_runs(cells: Tensor) -> Tensor:
    """The number, from 1, of the run of every cell, int64 [N, T]; between runs the last one's."""
    starts = cells & ~torch.cat([torch.zeros_like(cells[:, :1]), cells[:, :-1]], 1)
    return starts.cumsum(1)


def events_of(cells: Tensor) -> Tensor:
    """Maximal runs: rows (sequence, start, end) in order of time, the end exclusive, int64 [E, 3].

    Args:
        cells: bool [N, T].
    """
    change = functional.pad(cells.long(), (1, 1)).diff(dim=1)
    starts, ends = (change == 1).nonzero(), (change == -1).nonzero()
    return torch.cat([starts, ends[:, 1:]], 1)


def parsed(steps: Tensor, clips: Tensor, threshold: float = 0.5) -> Tensor:
    """Cells of one modality that are found: in the second, and in the video.

    HAN filters both modalities by one probability of the video, CPSP each by its own: their scores
    cannot be compared. What HAN pools over seconds and modalities may be above 1, and counts.

    Args:
        steps: Probabilities [N, T, C].
        clips: Of the whole video, [N, C].
        threshold: Both are this or more.

    Returns:
        bool [N, C, T].

    Raises:
        DataError: other shapes, or NaN.
    """
    if steps.dim() != 3 or clips.shape != steps.shape[::2]:
        raise DataError(
            f"expected probabilities [videos, seconds, classes] and, of videos, [videos, classes]; "
            f"got {list(steps.shape)} and {list(clips.shape)}"
        )
    if bool(steps.isnan().any() | clips.isnan().any()):
        raise DataError("probabilities of events are NaN")
    return ((steps >= threshold) & (clips >= threshold)[:, None]).transpose(1, 2)


def one_class(steps: Tensor, clips: Tensor, background: int) -> Tensor:
    """The class of every second where a clip has one class and the background (CPSP, as coded).

    Args:
        steps: Logits of any event, [B, T]; it is there above 0.
        clips: Logits of the clip's class, [B, C].
        background: Its index.

    Returns:
        int64 [B, T].
    """
    classes = clips.argmax(-1)[:, None].expand(steps.shape)
    return torch.where(steps > 0, classes, background)
