"""A video or sound file: its streams, and the packets of a part of it.

Times are seconds after the earliest beginning of any stream of the file, so that pictures and
sound keep their alignment whatever the file's own clock says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import DataError
from cmg.extract.media.claims import is_guess, refuse_joined, restarts, stated_end
from cmg.extract.media.opening import open_container, pyav, reason_of
from cmg.extract.media.stamps import OneClock
from cmg.extract.media.tracks import best_track, choice_of, moving_tracks

SLACK = 1.0
"""Seconds that a file may lack of the duration it claims, or that may be undecodable."""
PREROLL = 0.5
"""Seconds that are read before a part, because sound decoders need what came before."""
MOMENT = 1e-6
"""Seconds by which a time may be off through rounding."""
SEEK_FROM = 2.0
"""A part that starts earlier is reached by reading what is before it."""


@dataclass(frozen=True)
class Packets:
    """The packets of one stream, in decoding order.

    Attributes:
        stream: PyAV's.
        packets: PyAV's, all with data.
        origin: Time zero on the clock of the file, in seconds.
        reason: Why reading ended before the end of the file; None where it did not.
        more: Whether the stream goes on after the part.
        joints: Which packets, by their place, are the first of another recording.
    """

    stream: Any
    packets: Sequence[Any]
    origin: float
    reason: str | None
    more: bool
    joints: Sequence[int] = ()

    @property
    def recordings(self) -> list[Sequence[Any]]:
        """The packets of each recording."""
        return [self.packets[a:b] for a, b in pairwise((0, *self.joints, len(self.packets)))]

    def seconds(self, pts: float) -> float:
        """A presentation time stamp of the stream as seconds after time zero."""
        return pts * self._scale - self.origin

    @cached_property
    def _scale(self) -> float:
        return float(self.stream.time_base)

    @property
    def end(self) -> float:
        """When the last packet ends."""
        ends = [p.pts + (p.duration or 0) for p in self.packets if p.pts is not None]
        return self.seconds(max(ends)) if ends else 0.0

    @property
    def longest_gap(self) -> float:
        """Longest time between the beginnings of two packets: how long a last one may last."""
        pts: NDArray[np.int64] = np.sort([p.pts for p in self.packets if p.pts is not None])
        return float(np.diff(pts).max(initial=0) * self.stream.time_base)


class MediaFile:
    """An open video or sound file.

    Args:
        path: The file.
        threads: Of a decoder.

    Raises:
        DataError: there is no such file, it is empty, or ffmpeg cannot read it.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self._container = open_container(path)
        streams = self._container.streams
        moving = moving_tracks(streams.video)
        self._timed = [*moving, *streams.audio]
        self.video, self.sound = best_track(moving), best_track(streams.audio)
        self._moved = False
        self.origin = (self._container.start_time or 0) / 1e6
        for stream in (self.video, self.sound):
            if stream is not None:
                stream.codec_context.thread_count = threads
                stream.codec_context.thread_type = "AUTO" if threads > 1 else "SLICE"

    def __enter__(self) -> MediaFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def choice(self, stream: Any) -> str:
        """Which of several tracks a stream is, in words; empty where it is the only one."""
        return choice_of([s for s in self._timed if s.type == stream.type], stream)

    def read(self, streams: Sequence[Any], start: float, end: float | None) -> list[Packets]:
        """The packets of streams that are needed to decode a part of the file, in one pass.

        Raises:
            DataError: the file holds over a second less than it states, or recordings of which only
                the first can be decoded.
        """
        found = None
        if start > SEEK_FROM and self._can_seek():
            found = self._read_from(start - PREROLL, streams, end)
            if not all(_begins_before(part, start) for part in found):
                found = None  # the file has no usable index
        if found is None:
            found = self._read_from(None, streams, end)
        self._refuse_truncated(found, end)
        return found

    def _can_seek(self) -> bool:
        """Whether the file has one clock, by reading it where that is in doubt."""
        raw_aac = self._container.format.name == "aac"
        if not raw_aac and not restarts(self._container):
            return True
        told = self.path.stat()
        return _has_one_clock(self.path, told.st_size, told.st_mtime_ns)

    def _read_from(
        self, start: float | None, streams: Sequence[Any], end: float | None
    ) -> list[Packets]:
        container = self._container
        if start is not None:
            target = round((start + self.origin) / streams[0].time_base)
            try:
                container.seek(target, stream=streams[0])
            except pyav().FFmpegError:
                container.seek(0)
        elif self._moved:
            container.seek(0)
        self._moved = True
        limit = float("inf") if end is None else end + self.origin
        packets: dict[int, list[Any]] = {stream.index: [] for stream in streams}
        scale = {stream.index: float(stream.time_base) for stream in streams}
        joints: dict[int, list[int]] = {stream.index: [] for stream in streams}
        running = set(packets)
        reason = None
        # Where recordings may be joined, the longest of all streams says where the next one begins.
        clocked = self._timed if restarts(container) else streams
        clock = OneClock(clocked)
        try:
            for packet in container.demux(*clocked):
                if packet.size == 0:
                    continue
                anew = clock.set(packet)
                if packet.stream_index not in running:
                    continue
                if anew:
                    joints[packet.stream_index].append(len(packets[packet.stream_index]))
                if packet.dts is not None and packet.dts * scale[packet.stream_index] >= limit:
                    running.discard(packet.stream_index)
                    if not running:
                        break
                    continue
                packets[packet.stream_index].append(packet)
        except pyav().FFmpegError as error:
            reason = reason_of(error)
        if running:
            kind = container.format.name
            every = [packet for found in packets.values() for packet in found]
            refuse_joined(self.path, kind, every, steady=clock.steady)
        return [
            Packets(s, packets[i], self.origin, reason, i not in running, joints[i])
            for i, s in ((stream.index, stream) for stream in streams)
        ]

    def _refuse_truncated(self, parts: Sequence[Packets], end: float | None) -> None:
        parts = [part for part in parts if not part.more]
        for part in parts:
            if not part.packets and part.reason is not None:
                raise DataError(f"{self.path} cannot be read: {part.reason}")
            self._refuse_short([part], part.stream, end)
        if parts and len(parts) == len(self._timed):
            self._refuse_short(parts, None, end)

    def _refuse_short(self, parts: Sequence[Packets], stream: Any, end: float | None) -> None:
        """Refuse what ends before the end that is stated of a stream, or of the file (None)."""
        stated = stated_end(self.path, self._container, stream)
        reason = parts[0].reason
        wanted = float("inf") if stated is None else stated - self.origin
        wanted = wanted if end is None else min(wanted, end)
        read = max(part.end for part in parts)
        missing = read + max(part.longest_gap for part in parts) < wanted - SLACK
        if not missing or (reason is None and (stated is None or is_guess(self.path))):
            return
        total = "" if wanted == float("inf") else f" of {wanted:.1f}"
        raise DataError(
            f"{self.path}: only {read:.1f}{total} s could be read "
            f"({reason or 'the file ends there'}); it is truncated, damaged or joined from "
            "recordings of different kinds: restore it, or name an end in a manifest"
        )


@lru_cache(maxsize=256)
def _has_one_clock(path: Path, size: int, changed: int) -> bool:
    """Whether a file's clock never begins anew, by reading all of it."""
    with MediaFile(path) as file:
        clock = OneClock(file._timed)
        with suppress(pyav().FFmpegError):
            for packet in file._container.demux(*file._timed):
                if packet.size:
                    clock.set(packet)
    return clock.steady


def _begins_before(part: Packets, start: float) -> bool:
    """Whether decoding can begin before the part that is to be read."""
    keys = (p.pts for p in part.packets if p.pts is not None and p.is_keyframe)
    first = next(keys, None)
    return first is not None and part.seconds(first) <= start + MOMENT


def decoded(part: Packets, packets: Iterable[Any], errors: list[str]) -> Iterator[Any]:
    """The frames of packets, in the order of presentation, with the decoder empty afterwards.

    Args:
        part: Whose stream it is.
        packets: Those to decode.
        errors: Gets ffmpeg's reason for every packet that could not be decoded.
    """
    context, failure = part.stream.codec_context, pyav().FFmpegError
    for packet in chain(packets, (None,)):
        try:
            yield from context.decode(packet)
        except failure as error:
            if packet is not None:
                errors.append(reason_of(error))
    context.flush_buffers()
