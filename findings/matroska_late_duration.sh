#!/bin/sh
# The duration of a Matroska file whose clock begins late is no duration: it is the last time stamp.
#
# Best guess, from memory: container.duration is how long the file lasts, whatever its first
# time stamp is, so that start_time + duration is its end; 3 s of video that begin at 10 s on the file's clock
# have start_time 10 and duration 3 in every container.
#
# Seen: mp4 and ts say 3 s. Matroska (written and read by ffmpeg) says 13 s with start_time 10, in the
# container's duration and in the stream's DURATION tag.
#
# Why it matters: cuts of recordings that keep their clock (`ffmpeg -copyts`) look as if most of them
# were missing: a check for truncated files drops whole clips, and frames per second by count / duration are
# far too low.
#
# What cmg does: cmg.extract.media.claims takes what Matroska and flv state as the last time stamp.
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'av==18.1.0' 'numpy==2.4.6'
cat > "$home/see.py" <<'PYTHON'
import sys
from fractions import Fraction

import av
import numpy as np

print("PyAV", av.__version__, "ffmpeg", av.ffmpeg_version_info)
seen = {}
for suffix in ("mp4", "ts", "mkv"):
    path = f"late.{suffix}"
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for index in range(75):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 250 + index, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open(path) as file:
        first = float(file.streams.video[0].start_time * file.streams.video[0].time_base)
        tag = file.streams.video[0].metadata.get("DURATION")
        seen[suffix] = file.duration / 1e6
        print(f"{suffix}: first stamp {first:.2f} s, duration {seen[suffix]:.2f} s, DURATION tag {tag}")
right = abs(seen["mp4"] - 3) < 0.1 and abs(seen["ts"] - 3) < 0.1
sys.exit(0 if right and abs(seen["mkv"] - 13) < 0.1 else 1)
PYTHON
cd "$home" && "$home/venv/bin/python" see.py
