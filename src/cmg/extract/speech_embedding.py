"""Google's speech embedding, from the package openwakeword, which is not itself imported.

A window of 76 mel frames (0.782 s) gives 96 numbers; windows follow each other every 80 ms.

Shape legend: S samples, M mel frames, W windows, T steps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError
from cmg.extract.cards import INSTALL
from cmg.extract.extractor import LoadOptions
from cmg.extract.identity import files_identity, identity_of
from cmg.extract.packages import package_file
from cmg.extract.steps import in_whole_steps, pooled, step_count, step_of
from cmg.optional import optional

GET = INSTALL["speech-embedding"]
FILES = ("melspectrogram.onnx", "embedding_model.onnx")

RATE = 16000
WIDTH = 96
MEL_READS, MEL_HOP = 512, 160
"""Samples of a mel frame, and from one to the next."""
FRAMES, FRAMES_HOP = 76, 8
"""Mel frames of a window, and from one to the next (*as coded*)."""
HOP = FRAMES_HOP * MEL_HOP
HOP_SECONDS = HOP / RATE
READS = (FRAMES - 1) * MEL_HOP + MEL_READS
"""Samples of a window: 0.782 s."""
BATCH = 64


def load(options: LoadOptions) -> SpeechEmbedding:
    """The embedding, on the CPU whatever the device.

    Args:
        options: `weights` is a folder with the two ``.onnx`` files; None takes the package's.

    Raises:
        ConfigError: a package or a file is missing, or steps shorter than the windows' hop.
    """
    folder = options.weights or package_file("openwakeword", "resources/models", GET)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(f"{folder} has no {' and no '.join(missing)}: {GET}")
    step = step_of(options)
    if step < HOP_SECONDS:
        raise ConfigError(
            f"speech-embedding: a step of {step:g} s; its windows follow every {HOP_SECONDS:g} s, "
            "so steps must last at least that"
        )
    return SpeechEmbedding(folder, step)


class SpeechEmbedding:
    """A :class:`~cmg.extract.extractor.SoundExtractor`.

    A step is the mean of the windows whose middle lies in it; the wave is padded with silence for
    those that begin before it or end after it.

    Steps of exactly 80 ms are another thing: the windows themselves, only those that lie in the
    wave, the first one beginning with it (a wave shorter than a window is padded to one).

    Args:
        folder: With the two networks.
        step_seconds: Duration of a step.
    """

    name = "speech-embedding"
    shape: tuple[int, ...] = (WIDTH,)
    rate = RATE

    def __init__(self, folder: Path, step_seconds: float) -> None:
        self.step_seconds: float | None = step_seconds
        self._step = step_seconds
        files = [folder / name for name in FILES]
        weights = files_identity(files)
        self.identity = identity_of(weights, step_seconds=step_seconds)
        pooling = "every window" if step_seconds == HOP_SECONDS else "mean of the windows of a step"
        self.notes = f"Google's speech embedding of openwakeword ({weights[:12]}), {pooling}."
        self._mel, self._embedding = (_session(file) for file in files)

    def extract(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of a mono waveform [S] in [-1, 1]: float32 [T, 96]."""
        if self._step == HOP_SECONDS:
            missing = max(0, READS - len(wave)) if len(wave) else 0
            return self.windows(np.pad(wave, (missing // 2, missing - missing // 2)))
        steps = step_count(len(wave), RATE, self._step)
        if steps == 0:
            return np.zeros((0, WIDTH), dtype=np.float32)
        line = in_whole_steps(wave, RATE, self._step)
        # So much silence before it that the middle of the first window is half a hop into it.
        before = (READS - HOP) // 2
        count = -(-len(line) // HOP)
        after = (count - 1) * HOP + READS - before - len(line)
        found = self.windows(np.pad(line, (before, after)))
        middles = np.arange(0.5, count, dtype=np.float64) * HOP_SECONDS
        return pooled(found, middles, self._step, steps)

    def windows(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """The windows that lie in a wave [S], one every 80 ms from its first sample: [W, 96]."""
        count = (len(wave) - READS) // HOP + 1
        if count < 1:
            return np.zeros((0, WIDTH), dtype=np.float32)
        mel = self._mel_frames(wave)
        views = np.lib.stride_tricks.sliding_window_view(mel, FRAMES, axis=0)[::FRAMES_HOP]
        inputs = views[:count].swapaxes(1, 2)[..., None]
        parts = [
            self._embedding.run(None, {"input_1": np.ascontiguousarray(inputs[i : i + BATCH])})[0]
            for i in range(0, count, BATCH)
        ]
        return np.concatenate(parts).reshape(count, WIDTH).astype(np.float32, copy=False)

    def _mel_frames(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Float32 [M, 32], scaled as the embedding was trained (*as coded*)."""
        pcm = np.clip(np.rint(wave * 32768.0), -32768, 32767).astype(np.float32)
        mel = self._mel.run(None, {"input": pcm[None]})[0]
        frames: NDArray[np.float32] = mel.reshape(-1, mel.shape[-1]) / 10 + 2
        return frames


def _session(file: Path) -> Any:
    needed = "the speech embedding needs onnxruntime: pip install 'cmg-torch[voices]'"
    onnxruntime = optional("onnxruntime", needed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # one worker, one core
    try:
        return onnxruntime.InferenceSession(
            file, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no common base
        raise ConfigError(f"cannot read {file}: {str(error).splitlines()[0]}; {GET}") from error
