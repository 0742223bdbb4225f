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
from cmg.extract.reading import Reader, clip_features, file_of
from cmg.files import StrPath
from cmg.inference.readers import load_readers, training_store
from cmg.runs.checkpoint import load_model, read_checkpoint
from cmg.segmentation.checkpoint import read_segmenter, refuse_other_codebook
from cmg.segmentation.model import Segmenter
from cmg.segmentation.queries import query_codes


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


def segment_clip(
    clip: MediaClip,
    segmenter: StrPath,
    query: str,
    encoder: StrPath | None = None,
    extractors: Mapping[str, str] | None = None,
    weights: Mapping[str, StrPath] | None = None,
    device: str = "cpu",
) -> SegmentedClip:
    """Segment a clip of media, one frame per second.

    A model takes T frames at a time, so a longer clip is cut into windows of T seconds, each asked
    by the sound of its own seconds or by all words; the last frame fills up a last short window.

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
    segmenter = Path(segmenter)
    encoder = None if encoder is None else Path(encoder)
    model, record = read_segmenter(segmenter, device)
    if record.query_steps is None:
        raise ConfigError(
            f"{segmenter} is of the published protocol, whose step mixer is drawn anew at every "
            "use; train one by --protocol clean"
        )
    if not record.model.by_query:
        raise ConfigError(f"{segmenter} takes no query; it is the control without one")
    if encoder is None and not Path(record.encoder).exists():
        raise CheckpointError(
            f"{segmenter} was trained with the run at {record.encoder}; say where it is now: "
            "--encoder RUN"
        )
    checkpoint = read_checkpoint(encoder or record.encoder)
    refuse_other_codebook(segmenter, record, checkpoint)
    frozen = FrozenEncoder(load_model(checkpoint.path, device), query)
    trained_on = training_store(checkpoint)
    readers = load_readers(checkpoint, trained_on, extractors, weights, device, only=query)
    frames = frames_of(clip, record.training.side)
    codes = _codes_by_window(clip, frozen, readers.by_modality[query], len(frames), model)
    asked = frozen.model.codebook.vectors(query, codes).float()
    with torch.no_grad():
        windows = windows_of(frames, model.frames).to(device)
        logits = torch.cat(
            [model(w[None], q[None]).logits[0] for w, q in zip(windows, asked, strict=True)]
        )
    probabilities = torch.sigmoid(logits[: len(frames)]).float().cpu()
    return SegmentedClip(clip.id, query, frames, probabilities, readers.remarks)


def frames_of(clip: MediaClip, side: int) -> Tensor:
    """The frame in the middle of every second, uint8 [N, 3, S, S].

    Raises:
        DataError: the clip has nothing to see, or cannot be read.
    """
    videos = [path for m in clip.files if (path := file_of(clip, m, "frames")) is not None]
    if not videos:
        raise DataError(f"{clip.id}: nothing to see; give a video, a picture or a folder of them")
    plan = FramePlan(1, (side, side), 1.0)
    found = decode(videos[0], None, plan, None, clip.start, clip.end, picture_fps=1.0)
    if found.frames is None:
        raise DataError(f"{videos[0]} has no pictures")
    return torch.from_numpy(found.frames).permute(0, 3, 1, 2).contiguous()


def windows_of(frames: Tensor, size: int) -> Tensor:
    """Frames in windows, [W, T, 3, S, S]; the last frame is repeated at the end."""
    missing = -len(frames) % size
    filled = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
    return filled.reshape(-1, size, *frames.shape[1:])


def _codes_by_window(
    clip: MediaClip, encoder: FrozenEncoder, reader: Reader, seconds: int, model: Segmenter
) -> Tensor:
    """The query's codes of every window, int64 [W, Q] or [W, Q, L]."""
    assert model.query_steps is not None
    found = clip_features(clip, {encoder.modality: reader}).get(encoder.modality)
    if found is None or len(found) == 0:
        raise DataError(f"{clip.id}: it has no {encoder.modality} to ask by")
    step = reader.extractor.step_seconds
    codes = []
    for first in range(0, seconds, model.frames):
        own = found
        if step is not None:
            begin, end = (round(t / step) for t in (first, first + model.frames))
            own = found[min(begin, len(found) - 1) : end]
        features = torch.from_numpy(np.ascontiguousarray(own))[None]
        lengths = torch.tensor([features.shape[1]])
        inputs = encoder.inputs(features, lengths, [clip.id])
        codes.append(query_codes(encoder, inputs, lengths, model.query_steps, [clip.id])[0])
    return torch.stack(codes)
