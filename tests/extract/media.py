"""Tiny videos, sounds and pictures, drawn by the tests themselves."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 6: "5.1"}
"""By the number of channels."""
CODECS = {
    ".mp3": "libmp3lame", ".m4a": "aac", ".aac": "aac", ".ts": "aac", ".mka": "aac", ".flv": "aac",
    ".mpg": "mp2", ".amr": "libopencore_amrnb", ".ac3": "ac3", ".avi": "mp2", ".aiff": "pcm_s16be",
    ".au": "pcm_s16be", ".flac": "flac", ".wav": "pcm_s16le",
}  # fmt: skip


def counted_frame(index: int, size: tuple[int, int]) -> np.ndarray:
    """A gray RGB frame [H, W, 3] whose level says which frame it is: 16 levels from 8 on."""
    return np.full((*size, 3), 8 + 15 * (index % 16), np.uint8)


def tone_wave(seconds: float, tone: float, rate: int) -> np.ndarray:
    """A sine of amplitude 0.5: float32 [S]."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * tone * time)).astype(np.float32)


def write_video(
    path: Path,
    seconds: float = 2.0,
    fps: int = 25,
    size: tuple[int, int] = (48, 64),
    tone: float | None = 440.0,
    rate: int = 16000,
    frames: Callable[[int], np.ndarray] | None = None,
    *,
    wave: np.ndarray | None = None,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    sound_start: float = 0.0,
    audio_codec: str = "aac",
    muxing: dict[str, str] | None = None,
) -> Path:
    """Write a video with sound.

    Args:
        path: The suffix chooses the container.
        seconds: Duration of both streams.
        fps: Frames per second.
        size: Height and width.
        tone: Hertz of the sound; None writes no sound.
        rate: Samples per second.
        frames: Frame by index, uint8 [H, W, 3]; by default :func:`counted_frame`.
        wave: Instead of a tone: float32 [S] or [channels, S].
        times: Seconds at which the frames are shown, for variable rates; their number counts.
        codec: Of the video.
        options: Of that codec.
        sound_start: Seconds by which the sound begins after the pictures.
        audio_codec: Of the sound.
        muxing: Options of the container.
    """
    draw = frames or (lambda index: counted_frame(index, size))
    shown = times if times is not None else [i / fps for i in range(round(seconds * fps))]
    if wave is None and tone is not None:
        wave = tone_wave(seconds, tone, rate)
    with av.open(str(path), "w", options=muxing or {}) as container:
        video = container.add_stream(codec, rate=fps, options=options or {"preset": "ultrafast"})
        video.height, video.width = size
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000) if times else Fraction(1, fps)
        audio = None
        if wave is not None:
            wave = np.atleast_2d(wave).astype(np.float32)
            layout = LAYOUTS[len(wave)]
            audio = container.add_stream(audio_codec, rate=rate, layout=layout)
        for index, time in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(draw(index)), format="rgb24")
            frame.time_base = video.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            add_sound(container, audio, wave, rate, round(sound_start * rate))
    return path


def write_sound(
    path: Path,
    wave: np.ndarray,
    rate: int = 16000,
    codec: str | None = None,
    muxing: dict[str, str] | None = None,
) -> Path:
    """Write a sound, float32 [S] or [channels, S] in [-1, 1]; the suffix chooses the format."""
    wave = np.atleast_2d(wave).astype(np.float32)
    layout = LAYOUTS[len(wave)]
    codec = codec or CODECS.get(path.suffix, "libopus")
    with av.open(str(path), "w", options=muxing or {}) as container:
        add_sound(container, container.add_stream(codec, rate=rate, layout=layout), wave, rate, 0)
    return path


def join_files(path: Path, *parts: Path) -> Path:
    """Write the bytes of some files one after the other, as `cat` does."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def copy_tracks(
    path: Path,
    *sources: Path,
    flags: Sequence[int] = (),
    titles: Sequence[str] = (),
    change: Callable[[av.Packet], None] = lambda packet: None,
) -> Path:
    """Write the tracks of some files into one, without coding them anew.

    Args:
        path: The suffix chooses the container.
        sources: Files of one track each.
        flags: Disposition of each track; by default none.
        titles: Of the tracks.
        change: Called with every packet.
    """
    with ExitStack() as stack:
        out = stack.enter_context(av.open(str(path), "w"))
        files = [stack.enter_context(av.open(str(source))) for source in sources]
        copies = [out.add_stream_from_template(file.streams[0]) for file in files]
        for copy, flag in zip(copies, flags, strict=False):
            copy.disposition = flag
        for copy, title in zip(copies, titles, strict=False):
            copy.metadata["title"] = title
        packets = [(p, c) for f, c in zip(files, copies, strict=True) for p in f.demux() if p.size]
        for packet, copy in sorted(packets, key=lambda pair: pair[0].dts * pair[0].time_base):
            packet.stream = copy
            change(packet)
            out.mux(packet)
    return path


def add_sound(container, stream, wave: np.ndarray, rate: int, start: int) -> None:
    """Encode a wave [channels, S] whose first sample has the number `start`."""
    layout = LAYOUTS[len(wave)]
    block = 4096  # an encoder whose frames have a size gets what it asks for from PyAV
    for first in range(0, wave.shape[1], block):
        piece = np.ascontiguousarray(wave[:, first : first + block])
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = start + first
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_picture(path: Path, array: np.ndarray) -> Path:
    """Write a picture, uint8 [H, W, 3], or [H, W, 4] with transparency; png keeps every number."""
    Image.fromarray(array).save(path)
    return path


def turn_mp4(path: Path, degrees: int) -> Path:
    """Mark an mp4 as recorded with the camera turned: shown turned clockwise by 90, 180 or 270."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one, last = 1 << 16, 1 << 30
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, last)
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd")
    while at >= 0:
        width, height = struct.unpack(">II", data[at + 80 : at + 88])
        if width and height:  # the track of the pictures
            data[at + 44 : at + 80] = struct.pack(">9i", *matrix)
        at = data.find(b"tkhd", at + 4)
    path.write_bytes(data)
    return path


def cut_file(path: Path, share: float) -> Path:
    """Truncate a file to a share of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path
