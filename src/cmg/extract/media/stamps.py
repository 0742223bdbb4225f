"""Time stamps of joined recordings as one clock.

Where one recording follows another in a file, the clock of most formats begins anew, which ffmpeg's
demuxers hand on; and raw AAC goes on being timed by the first recording's rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BACK = 0.1
"""Seconds by which decoding times go back where a clock begins anew."""
AAC_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
"""Samples per second by the number in the header of a packet of raw AAC (ADTS)."""
AAC_SAMPLES = 1024
"""Of a block of AAC at that rate."""


class OneClock:
    """Makes the time stamps of packets, which come in the order of the file, those of one clock.

    Args:
        streams: PyAV's, of one file.
    """

    def __init__(self, streams: Sequence[Any]) -> None:
        self._tracks = {stream.index: _Track(stream) for stream in streams}
        self._shifts = [0.0]  # seconds, of each recording
        self._end = 0.0
        self.steady = True
        """Whether the file's own clock was one so far."""

    def set(self, packet: Any) -> bool:
        """Change the time stamps of the next packet where they are not those of one clock.

        Returns:
            Whether another recording begins with the packet, in its stream.
        """
        track = self._tracks[packet.stream_index]
        if track.raw_aac and track.retime(packet):
            self.steady = False
        pts, dts, duration = packet.pts, packet.dts, packet.duration or 0
        anew = False
        if dts is not None:
            before = dts if track.last is None else track.last
            anew = dts < before - BACK / track.scale
            if anew:
                self._begin_anew(track, dts if pts is None else pts)
            duration = duration or max(0, dts - before)
            track.last = dts
        shift = round(self._shifts[track.recording] / track.scale)
        if shift:
            packet.pts = pts = None if pts is None else pts + shift
            packet.dts = dts = None if dts is None else dts + shift
        begin = dts if pts is None else pts
        if begin is not None:
            self._end = max(self._end, (begin + duration) * track.scale)
        return anew

    def _begin_anew(self, track: _Track, first: int) -> None:
        """Begin where everything before has ended; the streams of a recording stay aligned."""
        self.steady = False
        track.recording += 1
        if track.recording == len(self._shifts):
            self._shifts.append(self._end - first * track.scale)


class _Track:
    """A stream.

    Attributes:
        scale: Seconds of a tick.
        recording: Number of the recording that it is in.
        last: Decoding time of the packet before, on the clock of its recording.
        raw_aac: Whether every packet has a header of its own.
    """

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        self.scale = float(stream.time_base)
        self.recording = 0
        self.last: int | None = None
        self.raw_aac = context is not None and context.name == "aac" and not context.extradata
        self._first: int | None = None
        self._ends: tuple[int, int] | None = None  # of the packet before, as told and in truth

    def retime(self, packet: Any) -> bool:
        """Time raw AAC by the rates in its headers as soon as one is not that of the first.

        A packet that begins where the one before was told to end was timed by ffmpeg, any other by
        the container.

        Returns:
            Whether the rate has changed.
        """
        head = memoryview(packet)[:7]
        if len(head) < 7 or head[0] != 0xFF or packet.pts is None:
            return False
        rate = min(head[2] >> 2 & 15, len(AAC_RATES) - 1)
        self._first = rate if self._first is None else self._first
        if rate == self._first and self._ends is None:
            return False
        told, true = self._ends or (packet.pts, packet.pts)
        begin = true if abs(packet.pts - told) <= 1 else packet.pts
        lasting = round(AAC_SAMPLES * (1 + (head[6] & 3)) / AAC_RATES[rate] / self.scale)
        self._ends = (packet.pts + (packet.duration or 0), begin + lasting)
        packet.pts = packet.dts = begin
        packet.duration = lasting
        return True
