#!/bin/sh
# Raw AAC (ADTS) of two recordings with different rates: ffmpeg's demuxer times all of it by the first rate.
#
# Best guess, written down before running: every ADTS packet has its rate in its own header, the parser reads
# that header, and decoded frames follow it; so packets last 1024 / 44100 s in the first recording and
# 1024 / 22050 s in the second, as MP3 packets do, whose parser follows the rate.
#
# Seen: decoded frames say 22050 Hz, but packets and frames keep the duration and time stamps of 44100 Hz, so the
# second recording's stamps run twice as fast as its sound (half as fast the other way round). MP3 is timed right.
#
# Why it matters: sound that is put where its time stamps say (to keep it beside pictures, to fill gaps with
# zeros) overwrites itself, or gets a hole of 23 ms after every 23 ms; loudness and length are wrong without an
# error. Radio streams and `cat a.aac b.aac` give such files, and the AAC of joined .ts files behaves alike.
#
# What cmg does: cmg.extract.media.stamps times raw AAC by the rates in its headers once one differs.
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'av==18.1.0' 'numpy==2.4.6'
cat > "$home/see.py" <<'PYTHON'
import sys

import av
import numpy as np


def write(path, codec, rate, layout):
    channels = {"mono": 1, "stereo": 2}[layout]
    with av.open(path, "w") as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
        frame = av.AudioFrame.from_ndarray(
            np.repeat(wave[None].astype("f4"), channels, 0), format="fltp", layout=layout
        )
        frame.sample_rate, frame.pts = rate, 0
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return open(path, "rb").read()


print("PyAV", av.__version__, "ffmpeg", av.ffmpeg_version_info)
seen = {}
for suffix, codec in (("aac", "aac"), ("mp3", "libmp3lame")):
    path = f"joined.{suffix}"
    parts = write(f"1.{suffix}", codec, 44100, "mono"), write(f"2.{suffix}", codec, 22050, "stereo")
    open(path, "wb").write(b"".join(parts))
    with av.open(path) as file:
        stream = file.streams.audio[0]
        scale, real, last = float(stream.time_base), 0.0, None
        for packet in file.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:  # the header of the second mp3 is no sound
                frames = []
            for frame in frames:
                real, last = real + frame.samples / frame.sample_rate, frame
        stamps = (last.pts + last.duration) * scale
        seen[suffix] = (round(real, 2), round(stamps, 2))
        print(f"{suffix}: {real:.2f} s of sound, stamps up to {stamps:.2f} s; last frame "
              f"{last.sample_rate} Hz, {last.samples} samples, said to last {last.duration * scale:.4f} s")
aac, mp3 = seen["aac"], seen["mp3"]
sys.exit(0 if aac[0] > 4.0 and aac[1] < 3.2 and abs(mp3[0] - mp3[1]) < 0.1 else 1)
PYTHON
cd "$home" && "$home/venv/bin/python" see.py
