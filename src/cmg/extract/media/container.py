"""A video or sound file: its streams, and the packets of a part of it.

Times are seconds after the earliest beginning of any stream of the file, so that pictures and
sound keep their alignment whatever the file's own clock says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError, DataError

SLACK = 1.0
"""Seconds that a file may lack of the duration it claims, or that may be undecodable."""
PREROLL = 0.5
"""Seconds that are read before a part, because sound decoders need what came before."""
MOMENT = 1e-6
"""Seconds by which a time may be off through rounding."""
LISTS = frozenset({"concat", "dash", "hls", "imf"})
"""Formats that only name other files."""
SEEK_FROM = 2.0
"""A part that starts earlier is reached by reading what is before it."""


def pyav() -> Any:
    """The module `av`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ConfigError(
            "decoding video and sound needs PyAV: pip install 'cmg-torch[extract]'"
        ) from error
    return av


@dataclass(frozen=True)
class Packets:
    """The packets of one stream, in decoding order.

    Attributes:
        stream: PyAV's.
        packets: PyAV's, all with data.
        origin: Time zero on the clock of the file, in seconds.
        reason: Why reading ended before the end of the file; None where it did not.
        more: Whether the stream goes on after the part.
    """

    stream: Any
    packets: Sequence[Any]
    origin: float
    reason: str | None
    more: bool

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
        self._container = _open(path)
        streams = self._container.streams
        cover = pyav().stream.Disposition.attached_pic
        moving = [s for s in streams.video if not s.disposition & cover]
        self._timed = [*moving, *streams.audio]
        self.video = next((s for s in moving if s.codec_context is not None), None)
        self.sound = next((s for s in streams.audio if s.codec_context is not None), None)
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

    def read(self, streams: Sequence[Any], start: float, end: float | None) -> list[Packets]:
        """The packets of streams that are needed to decode a part of the file, in one pass.

        Raises:
            DataError: the file holds over a second less than it claims.
        """
        found = None
        if start > SEEK_FROM:
            found = self._read_from(start - PREROLL, streams, end)
            if not all(_begins_before(part, start) for part in found):
                found = None  # the file has no usable index
        if found is None:
            found = self._read_from(None, streams, end)
        self._refuse_truncated(found, end)
        return found

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
        running = set(packets)
        reason = None
        try:
            for packet in container.demux(*streams):
                if packet.size == 0 or packet.stream_index not in running:
                    continue
                if packet.dts is not None and packet.dts * scale[packet.stream_index] >= limit:
                    running.discard(packet.stream_index)
                    if not running:
                        break
                    continue
                packets[packet.stream_index].append(packet)
        except pyav().FFmpegError as error:
            reason = _reason(error)
        return [
            Packets(s, packets[s.index], self.origin, reason, s.index not in running)
            for s in streams
        ]

    def _refuse_truncated(self, parts: Sequence[Packets], end: float | None) -> None:
        parts = [part for part in parts if not part.more]
        for part in parts:
            if not part.packets and part.reason is not None:
                raise DataError(f"{self.path} cannot be read: {part.reason}")
            claimed = self._claimed_end(part.stream)
            if claimed is not None:
                self._refuse_short([part], claimed, end)
        total = self._container.duration
        if total is not None and len(parts) == len(self._timed):
            self._refuse_short(parts, total / 1e6, end)

    def _refuse_short(self, parts: Sequence[Packets], claimed: float, end: float | None) -> None:
        wanted = claimed if end is None else min(claimed, end)
        read = max(part.end for part in parts)
        if read + max(part.longest_gap for part in parts) < wanted - SLACK:
            raise DataError(
                f"{self.path}: only {read:.1f} of {wanted:.1f} s could be read "
                f"({parts[0].reason or 'the file ends there'}); it is truncated: restore it, or "
                "name an end in a manifest"
            )

    def _claimed_end(self, stream: Any) -> float | None:
        """When a stream ends by what the file says of it."""
        if stream.duration is not None:
            duration = stream.duration * _size_claimed(self.path)
            return float(((stream.start_time or 0) + duration) * stream.time_base) - self.origin
        tag = stream.metadata.get("DURATION")  # Matroska's, hh:mm:ss.fraction
        try:
            hours, minutes, seconds = map(float, tag.split(":"))
        except (AttributeError, ValueError):
            return None
        return 3600 * hours + 60 * minutes + seconds - self.origin


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
                errors.append(_reason(error))
    context.flush_buffers()


def _open(path: Path) -> Any:
    av = pyav()
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: restore it")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    address = f"file:{path}"  # a name is a file, never an address or a list of files
    options = {"protocol_whitelist": "file"}
    try:
        container = av.open(address, options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        reason = _logged_reason(address, options) or _reason(error)
        raise DataError(f"{path} cannot be read: {reason}; restore it or leave it out") from error
    kind = container.format.name
    if kind in LISTS:
        container.close()
        raise DataError(f"{path} is a list of files ({kind}), not a media file: name these files")
    return container


def _logged_reason(address: str, options: Mapping[str, str]) -> str:
    """Why a file cannot be opened, as ffmpeg logs it, which says more than its error code."""
    av = pyav()
    level, repeated = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as lines, suppress(av.FFmpegError):
            av.open(address, options=dict(options), metadata_errors="replace").close()
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(repeated)
    return ", ".join(dict.fromkeys(text.strip() for _, _, text in lines if text.strip()))


def _reason(error: Any) -> str:
    return str(error.strerror or error)


def _size_claimed(path: Path) -> float:
    """How much larger than it is a wav or avi file was, by its header.

    ffmpeg takes the duration of these from the size that the file has.
    """
    if path.suffix.lower() not in (".wav", ".avi"):
        return 1.0
    with path.open("rb") as file:
        head = file.read(8)
        size = file.seek(0, 2)
    claimed = int.from_bytes(head[4:8], "little")
    streamed = claimed in (0, 0xFFFFFFFF)  # written without knowing the size
    return 1.0 if head[:4] != b"RIFF" or streamed else max(1.0, (claimed + 8) / size)
