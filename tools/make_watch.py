"""Make the archive of the embedded set watch: `python tools/make_watch.py seglearn-1.2.5-*.whl`.

A development tool; users never need it. It takes the wheel of the Python package seglearn 1.2.5
(`pip download --no-deps seglearn==1.2.5`), reads the pickled array inside with the reader of
`cmg.pickles`, which runs nothing, and writes ``src/cmg/data/watch/recordings.npz``. Then it prints
size and SHA-256, which `cmg.data.watch.archive` records.
"""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cmg.data.watch.archive import PER_UNIT, Recording, Recordings
from cmg.pickles.plain import load_plain_pickle

TARGET = Path(__file__).parents[1] / "src/cmg/data/watch/recordings.npz"
MEMBER = "seglearn/data/watch_dataset.npy"
MEMBER_SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"
COLUMNS = {"accelerometer": ["ax", "ay", "az"], "gyroscope": ["wx", "wy", "wz"]}


def read_source(data: bytes) -> dict[str, Any]:
    """The dict in the file, which is an array of no axis whose one element is that dict."""
    file = io.BytesIO(data)
    assert npy.read_magic(file) == (1, 0)
    assert npy.read_array_header_1_0(file) == ((), False, np.dtype(object))
    source: dict[str, Any] = load_plain_pickle(file.read(), MEMBER, objects=True)
    return source


def halved(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every second sample, a quarter of both neighbors mixed in, so that 50 Hz become 25.

    The first and the last sample are their own outer neighbors.

    Args:
        samples: [N, C].

    Returns:
        [ceil(N / 2), C].
    """
    padded = np.concatenate([samples[:1], samples, samples[-1:]])
    smooth: NDArray[np.float64] = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return smooth[::2]


def in_counts(samples: NDArray[np.float64], per_unit: int) -> NDArray[np.int16]:
    """Whole counts; nothing is clipped."""
    counts = np.round(samples * per_unit)
    assert np.abs(counts).max() < 1 << 15, "does not fit into 16 bits"
    return counts.astype(np.int16)


def recordings_of(source: dict[str, Any]) -> Recordings:
    """The recordings of the source: at 25 Hz, in counts."""
    columns = {s: [source["X_labels"].index(c) for c in COLUMNS[s]] for s in PER_UNIT}
    exercises = tuple(source["y_labels"])
    facts = zip(source["subject"], source["side"], source["y"], source["X"], strict=True)
    each = (
        Recording(
            int(subject),
            "right" if side == 1 else "left",
            exercises[int(label)],
            {s: in_counts(halved(x[:, columns[s]]), PER_UNIT[s]) for s in PER_UNIT},
        )
        for subject, side, label, x in facts
    )
    return Recordings(exercises, tuple(each))


def packed(recordings: Recordings) -> dict[str, NDArray[np.generic]]:
    """Recordings as arrays, see `cmg.data.watch.archive.unpacked`."""
    each = recordings.each
    samples = np.concatenate([np.hstack([one.samples[s] for s in PER_UNIT]) for one in each])
    differences = np.diff(
        samples.T, axis=1, prepend=np.int16(0)
    )  # that overflow wrap, here and back
    return {
        "planes": np.stack([differences & 255, differences >> 8 & 255]).astype(np.uint8),
        "lengths": np.array([len(one.samples["gyroscope"]) for one in each]),
        "subjects": np.array([one.subject for one in each], np.uint8),
        "rights": np.array([one.side == "right" for one in each]),
        "labels": np.array([recordings.exercises.index(one.exercise) for one in each], np.uint8),
        "exercises": np.array(recordings.exercises),
    }


def main() -> None:
    """Write the archive and print its size and digest."""
    data = zipfile.ZipFile(sys.argv[1]).read(MEMBER)
    assert hashlib.sha256(data).hexdigest() == MEMBER_SHA256, "another version of seglearn"
    np.savez_compressed(TARGET, **packed(recordings_of(read_source(data))))
    made = TARGET.read_bytes()
    print(f"{TARGET.name}: {len(made):,} bytes, sha256 {hashlib.sha256(made).hexdigest()}")


if __name__ == "__main__":
    main()
