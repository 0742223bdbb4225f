"""The sound of a file as one mono waveform, where it belongs in time.

Shape legend: C channels, S samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.extract.media.container import SLACK, Packets, decoded
from cmg.extract.media.opening import pyav

Wave = NDArray[np.float32]

GAP = 0.1
"""Seconds by which a time stamp may differ from the samples before it; more is a gap."""
LONGEST_GAPS = 600.0
"""Seconds of all gaps together."""
BLOCK = 1 << 20
"""Samples that are resampled at a time."""


@dataclass
class _Stretch:
    """Sound without gaps.

    Attributes:
        begin: Seconds.
        rate: Samples per second.
        pieces: Samples of all channels, float32 [C, S].
        samples: S of all pieces.
    """

    begin: float
    rate: int
    pieces: list[Wave] = field(default_factory=list)
    samples: int = 0

    @property
    def end(self) -> float:
        return self.begin + self.samples / self.rate

    def mono(self) -> Wave:
        """The mean of the channels [S]."""
        parts, same = [], list[Wave]()
        for piece in (*self.pieces, None):
            if same and (piece is None or len(piece) != len(same[0])):
                parts.append(np.concatenate(same, axis=1).mean(axis=0, dtype=np.float32))
                same = []
            if piece is not None:
                same.append(piece)
        return np.concatenate(parts)


def waveform(path: Path, part: Packets, rate: int, start: float, end: float | None) -> Wave:
    """Decode sound, average its channels and resample it.

    Args:
        path: For messages.
        part: Packets of the sound stream.
        rate: Samples per second of the result.
        start: Time of the first sample, seconds.
        end: Time where the result ends at the latest.

    Returns:
        float32 [S]; zeros where the sound has a gap or begins later. Samples of a loud file may
        be beyond [-1, 1] by resampling.

    Raises:
        DataError: there is no sound between start and end, or too much cannot be decoded.
    """
    errors: list[str] = []
    stretches = _stretches(path, part, errors)
    if not stretches or _undecoded_seconds(part, errors) > SLACK:
        why = errors[0] if errors else part.reason or "it holds none"
        raise DataError(
            f"{path}: {len(errors)} of {len(part.packets)} pieces of sound cannot be decoded "
            f"({why}); it is damaged: restore it or leave it out"
        )
    _refuse_silent(path, stretches, start)
    last = min(max(stretch.end for stretch in stretches), _end_by_packets(part))
    until = last if end is None else min(end, last)
    samples = round((until - start) * rate)
    if samples < 1:
        raise DataError(f"{path}: no sound after {start:g} s; it ends at {last:.2f} s")
    out = np.zeros(samples, np.float32)
    for stretch in stretches:
        wave = resampled(stretch.mono(), stretch.rate, rate)
        first = round((stretch.begin - start) * rate)
        wave = wave[max(0, -first) : max(0, samples - first)]
        first = max(0, first)
        out[first : first + len(wave)] = wave
    return out


def _stretches(path: Path, part: Packets, errors: list[str]) -> list[_Stretch]:
    found: list[_Stretch] = []
    off = 0.0
    for frame in chain.from_iterable(decoded(part, run, errors) for run in part.recordings):
        now = found[-1].end if found else 0.0
        time = now if frame.pts is None else part.seconds(frame.pts)
        rate = frame.sample_rate
        if not found or abs(time - now) > GAP or rate != found[-1].rate:
            found.append(_Stretch(time, rate))
        found[-1].pieces.append(_samples(frame))
        found[-1].samples += frame.samples
        if rate != found[0].rate and frame.duration:
            off += abs(frame.duration * float(part.stream.time_base) - frame.samples / rate)
    if off > GAP:
        rates = " and ".join(f"{rate} Hz" for rate in dict.fromkeys(s.rate for s in found))
        raise DataError(
            f"{path}: its sound has {rates}, but the time stamps only follow the first: "
            "split or convert it"
        )
    return found


def _refuse_silent(path: Path, stretches: list[_Stretch], start: float) -> None:
    """Refuse time stamps that damage has put far apart."""
    begin = min(start, *(stretch.begin for stretch in stretches))
    length = max(stretch.end for stretch in stretches) - begin
    silent = length - sum(stretch.samples / stretch.rate for stretch in stretches)
    if silent > LONGEST_GAPS:
        raise DataError(
            f"{path}: its time stamps leave {silent:.0f} s of the sound empty; it is damaged: "
            "restore it or leave it out"
        )


def _end_by_packets(part: Packets) -> float:
    """When the sound ends by its packets, without what fills up the encoder's last block."""
    return part.end if all(p.duration for p in part.packets) else float("inf")


def _undecoded_seconds(part: Packets, errors: list[str]) -> float:
    durations = [p.duration or 0 for p in part.packets]
    usual = float(np.median(durations)) if durations else 0.0
    return len(errors) * usual * float(part.stream.time_base)


def _samples(frame: Any) -> Wave:
    """Samples in [-1, 1], float32 [C, S]."""
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    wave: Wave
    if raw.dtype.kind == "f":
        wave = raw.astype(np.float32, copy=False)
        return wave
    middle = np.float32(1 << (8 * raw.dtype.itemsize - 1))
    wave = raw.astype(np.float32)
    if raw.dtype.kind == "u":
        wave -= middle
    wave /= middle
    return wave


def resampled(wave: Wave, rate: int, target: int) -> Wave:
    """A mono waveform at another rate, by ffmpeg's resampler.

    Args:
        wave: float32 [S].
        rate: Its samples per second.
        target: Those of the result.
    """
    if rate == target or not len(wave):
        return wave
    av = pyav()
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=target)
    parts: list[Wave] = []
    for first in range(0, len(wave), BLOCK):
        piece = np.ascontiguousarray(wave[None, first : first + BLOCK])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate = rate
        frame.pts = first
        parts += [found.to_ndarray()[0] for found in resampler.resample(frame)]
    parts += [found.to_ndarray()[0] for found in resampler.resample(None)]
    return np.concatenate(parts)
