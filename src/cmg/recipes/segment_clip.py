"""Segment a video by its own sound, or by words: `cmg segment`.

Shape legend: N seconds of the video, T frames that the model takes at a time, S pixels a side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.evaluation.encoding import FrozenEncoder
from cmg.extract.clip import MediaClip
from cmg.extract.decode import FramePlan, decode
from cmg.extract.reading import Features, clip_features, file_of
from cmg.files import StrPath
from cmg.inference.readers import Readers, load_readers, training_store
from cmg.runs.checkpoint import load_model, read_checkpoint
from cmg.segmentation.checkpoint import read_segmenter, refuse_other_codebook
from cmg.segmentation.queries import query_codes
from cmg.suffixes import medium_of


@dataclass(frozen=True)
class SegmentedClip:
    """A video, a frame per second, and what the query is about in each.

    Attributes:
        id: Of the clip.
        query: Modality of the query.
        frames: uint8 [N, 3, S, S].
        probabilities: float32 [N, S, S].
        remarks: What is different from training.
    """

    id: str
    query: str
    frames: Tensor
    probabilities: Tensor
    remarks: tuple[str, ...] = ()


class ClipSegmenter:
    """A trained segmentation model, to be asked about clips of media.

    A model takes T frames at a time, so a longer clip is cut into windows of T seconds; the last
    frame fills up a last short window.

    Args:
        path: Folder of a model of `cmg evaluate avs`.
        device: Where to compute.

    Raises:
        CheckpointError: a model that is missing or damaged.
        ConfigError: a model of the published protocol, or one that takes no query.
    """

    def __init__(self, path: StrPath, device: str = "cpu") -> None:
        self.path = Path(path)
        self.model, self.record = read_segmenter(self.path, device)
        if self.record.query_steps is None:
            raise ConfigError(
                f"{path} is of the published protocol, whose step mixer is drawn anew at every "
                "use; train one by --protocol clean"
            )
        if not self.record.model.by_query:
            raise ConfigError(f"{path} takes no query; it is the control without one")

    def probabilities(
        self,
        frames: Tensor,
        encoder: FrozenEncoder,
        features: Features,
        step_seconds: float | None,
        named: str,
    ) -> Tensor:
        """Where in each frame it is what the query is about, float32 [N, S, S].

        Args:
            frames: One per second, uint8 [N, 3, S, S].
            encoder: Of the query's modality, of the run that the model was trained with.
            features: Of the query, [T, *shape].
            step_seconds: Duration of its steps where each window is asked by its own seconds; None
                asks every window by all of them.
            named: What the query is, for messages.

        Raises:
            DataError: a query that is longer than the model takes.
        """
        size, codes = self.model.frames, []
        for first in range(0, len(frames), size):
            own = features
            if step_seconds is not None:
                begin, end = (round(t / step_seconds) for t in (first, first + size))
                own = features[min(begin, len(features) - 1) : end]
            steps = torch.from_numpy(np.ascontiguousarray(own))[None]
            codes.append(self._codes(encoder, steps, named))
        asked = encoder.model.codebook.vectors(encoder.modality, torch.stack(codes)).float()
        windows = windows_of(frames, size).to(self.model.device)
        with torch.no_grad():
            found = [
                self.model(w[None], q[None]).logits[0] for w, q in zip(windows, asked, strict=True)
            ]
        return torch.sigmoid(torch.cat(found)[: len(frames)]).float().cpu()

    def _codes(self, encoder: FrozenEncoder, features: Tensor, named: str) -> Tensor:
        """The codes of a query [1, T, *shape], int64 [Q] or [Q, L]."""
        assert self.record.query_steps is not None
        lengths = torch.tensor([features.shape[1]])
        inputs = encoder.inputs(features, lengths, [named])
        return query_codes(encoder, inputs, lengths, self.record.query_steps, [named])[0]


def segment_clip(
    clip: MediaClip,
    segmenter: StrPath,
    query: str,
    encoder: StrPath | None = None,
    extractors: Mapping[str, str] | None = None,
    weights: Mapping[str, StrPath] | None = None,
    device: str = "cpu",
) -> SegmentedClip:
    """Segment a clip of media, one frame per second, asked by the sound of each second or by words.

    Args:
        clip: With a video, and with a sound or words for the query.
        segmenter: Folder of a model of `cmg evaluate avs`.
        query: Modality of the query.
        encoder: Run or checkpoint that the model was trained with; where it is not any more where
            it was.
        extractors: By modality, where the run does not know the query's.
        weights: Files or folders of an extractor's weights by modality.
        device: Where to compute.

    Raises:
        CheckpointError: a model that is missing, damaged, or of another codebook.
        ConfigError: the query's extractor is not known, or the model is of the published protocol.
        DataError: the clip cannot be read or has no such query.
    """
    opened = ClipSegmenter(segmenter, device)
    record, encoder = opened.record, None if encoder is None else Path(encoder)
    if encoder is None and not Path(record.encoder).exists():
        raise CheckpointError(
            f"{segmenter} was trained with the run at {record.encoder}; say where it is now: "
            "--encoder RUN"
        )
    checkpoint = read_checkpoint(encoder or record.encoder)
    refuse_other_codebook(opened.path, record, checkpoint)
    frozen = FrozenEncoder(load_model(checkpoint.path, device), query)
    trained_on = training_store(checkpoint)
    readers = load_readers(checkpoint, trained_on, extractors, weights, device, only=query)
    frames = frames_of(clip, record.training.side)
    features, step = query_features(clip, query, readers)
    found = opened.probabilities(frames, frozen, features, step, clip.id)
    return SegmentedClip(clip.id, query, frames, found, readers.remarks)


def query_features(clip: MediaClip, query: str, readers: Readers) -> tuple[Features, float | None]:
    """What a clip is asked by, [T, *shape], and the duration of a step.

    Raises:
        DataError: the clip cannot be read or has no such query.
    """
    reader = readers.by_modality[query]
    found = clip_features(clip, {query: reader}).get(query)
    if found is None or len(found) == 0:
        raise DataError(f"{clip.id}: it has no {query} to ask by")
    return found, reader.extractor.step_seconds


def frames_of(clip: MediaClip, side: int) -> Tensor:
    """The frame in the middle of every second, uint8 [N, 3, S, S].

    Raises:
        DataError: the clip has nothing to see, or cannot be read.
    """
    video = seen_in(clip)
    if video is None:
        raise DataError(f"{clip.id}: nothing to see; give a video, a picture or a folder of them")
    plan = FramePlan(1, (side, side), 1.0)
    found = decode(video, None, plan, None, clip.start, clip.end, picture_fps=1.0)
    if found.frames is None:
        raise DataError(f"{video} has no pictures")
    return torch.from_numpy(found.frames).permute(0, 3, 1, 2).contiguous()


def seen_in(clip: MediaClip) -> Path | None:
    """The video, the picture or the folder of pictures of a clip; None where nothing is seen."""
    files = (file_of(clip, m, "frames") for m in clip.files)
    return next((path for path in files if path and medium_of(path) != "sound"), None)


def windows_of(frames: Tensor, size: int) -> Tensor:
    """Frames in windows, [W, T, 3, S, S]; the last frame is repeated at the end."""
    missing = -len(frames) % size
    filled = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
    return filled.reshape(-1, size, *frames.shape[1:])
