"""Building the embedded set **digits**: handwriting, voices and sentences, paired by digit.

A clip is 10 steps of one second. Its event, 4 to 10 steps, shows another scan of the clip's digit
and plays another utterance of it at every step; before and after the event there is a nearly
blank page and the noise of a quiet room. Its sentence mentions the digit once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmg.data.batches import permutation
from cmg.data.clips import Clips
from cmg.data.digits.archives import load_scans, load_spoken
from cmg.data.digits.logmel import LogMelWords, WordFeatures
from cmg.data.digits.sentences import (
    DIGIT_WORDS,
    TEST_TEMPLATES,
    TOKEN_WIDTH,
    TRAIN_TEMPLATES,
    sentence,
    tokens,
)
from cmg.data.embedded import EMBEDDED, EmbeddedSet
from cmg.data.manifest import FeatureSpec, LabelSpec
from cmg.data.store import open_store
from cmg.data.writer import Clip, StoreWriter
from cmg.errors import DataError
from cmg.files import StrPath
from cmg.types import Kind

VERSION = 2
"""Raised whenever the same parameters give other data, so that caches are built anew."""
STEPS = 10
SHORTEST_EVENT = 4
BACKGROUND = len(DIGIT_WORDS)

MODALITIES = {
    "audio": FeatureSpec(kind=Kind.VECTORS, shape=(LogMelWords.width,), step_seconds=1.0),
    "video": FeatureSpec(kind=Kind.MAPS, shape=(4, 4, 64), dtype="float16", step_seconds=1.0),
    "text": FeatureSpec(kind=Kind.TOKENS, shape=(TOKEN_WIDTH,)),
}
LABELS = {
    "digit": LabelSpec(classes=DIGIT_WORDS, per="clip"),
    "step": LabelSpec(classes=(*DIGIT_WORDS, "background"), per="step"),
}
NOTES = (
    "Real handwriting (UCI Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, "
    "CC BY 4.0), speech synthesized with espeak-ng, sentences written for cmg; the pairing by "
    "digit is constructed. Test clips have unseen scans, voices and templates."
)

_NOISE_SAMPLES = 2400
_NOISE_LEVELS = (0.002, 0.02)
"""Lowest and highest root mean square of the room: about 35 to 50 dB below speech."""


@dataclass(frozen=True)
class _Script:
    """What happens in each of some clips.

    Attributes:
        digits: int64 [N].
        events: bool [N, 10], the steps of the event.
        scans: int64 [N, 10], index of the scan shown, -1 outside the event.
        utterances: int64 [N, 10], index of the utterance played, -1 outside the event.
        sentences: N sentences.
    """

    digits: NDArray[np.int64]
    events: NDArray[np.bool_]
    scans: NDArray[np.int64]
    utterances: NDArray[np.int64]
    sentences: list[str]

    def with_one_scan(self) -> _Script:
        """The same clips, each with its first scan at all steps of its event."""
        first = self.scans[np.arange(len(self.digits)), self.events.argmax(axis=1)]
        scans = np.where(self.events, first[:, None], -1)
        return _Script(self.digits, self.events, scans, self.utterances, self.sentences)


def build_digits(
    path: StrPath,
    train_clips: int = 1500,
    test_clips: int = 500,
    seed: int = 0,
    overwrite: bool = False,
    words: WordFeatures | None = None,
) -> Clips:
    """Build the embedded set as a store.

    Splits: ``train``; ``test`` with unseen scans, voices and sentence templates;
    ``test_one_scan``, the clips of ``test`` with a single scan each. Labels: ``digit`` per clip,
    ``step`` per step, whose last class is the background. `meta` has the scan and the utterance
    of every step (-1 outside the event) and the sentence.

    Args:
        path: Folder to be.
        train_clips: Clips of ``train``, at least 2.
        test_clips: Clips of ``test`` and of ``test_one_scan``, at least 2.
        seed: Of everything drawn.
        overwrite: Whether a store at `path` may be replaced.
        words: Audio features of utterances and of room noise; None takes log-mel features.
            Nothing else of the store depends on them.

    Raises:
        DataError: too few clips, a negative seed, or `path` is occupied or cannot be written.
    """
    if min(train_clips, test_clips) < 2 or seed < 0:
        raise DataError(
            f"train_clips {train_clips} and test_clips {test_clips} must be at least 2 and "
            f"seed {seed} at least 0"
        )
    words = words or LogMelWords()
    train = _write_script(train_clips, False, seed)
    test = _write_script(test_clips, True, seed)
    scripts = {"train": train, "test": test, "test_one_scan": test.with_one_scan()}
    rooms = {"train": 0, "test": 1, "test_one_scan": 1}
    audio = MODALITIES["audio"].model_copy(update={"shape": (words.width,)})
    notes = f"{NOTES} {words.notes}".rstrip()
    with StoreWriter(
        path,
        MODALITIES | {"audio": audio},
        LABELS,
        media="digits",
        notes=notes,
        overwrite=overwrite,
    ) as writer:  # before the work, as it refuses an occupied path
        speech = words.of([load_spoken().wave(i) for i in range(len(load_spoken().digits))])
        for split, script in scripts.items():
            heard = _audio(script, speech, words, seed, rooms[split])
            video = _video(script, seed, rooms[split])
            for i in range(len(script.digits)):
                writer.add(_clip(script, split, i, heard[i], video[i]))
    return open_store(Path(path))


def _write_script(count: int, held_out: bool, seed: int) -> _Script:
    rng = _generator(seed, int(held_out))
    digits = (np.arange(count) % 10)[permutation(count, seed, int(held_out))]
    lengths = rng.integers(SHORTEST_EVENT, STEPS + 1, count)
    onsets = rng.integers(0, STEPS - lengths + 1)
    steps = np.arange(STEPS)
    events = (steps >= onsets[:, None]) & (steps < (onsets + lengths)[:, None])
    templates = TEST_TEMPLATES if held_out else TRAIN_TEMPLATES
    picks = rng.integers(0, len(templates), count)
    return _Script(
        digits=digits,
        events=events,
        scans=_distinct(load_scans(), digits, held_out, rng, events),
        utterances=_distinct(load_spoken(), digits, held_out, rng, events),
        sentences=[sentence(templates[k], int(d)) for k, d in zip(picks, digits, strict=True)],
    )


def _distinct(
    source: Any,
    digits: NDArray[np.int64],
    held_out: bool,
    rng: np.random.Generator,
    events: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Indices [N, 10] into a source of samples, all different within a clip, -1 off the event."""
    pools = [source.of(digit, held_out) for digit in range(10)]
    drawn = np.stack([rng.permutation(pools[d])[:STEPS] for d in digits])
    return np.where(events, drawn, -1)


def _audio(
    script: _Script, speech: NDArray[np.float32], words: WordFeatures, seed: int, room: int
) -> NDArray[np.float32]:
    """Audio features [N, 10, D]: utterances, and room noise that becomes features as they do."""
    audio = speech[np.maximum(script.utterances, 0)]
    quiet = ~script.events
    rng = _generator(seed, room, 1)
    low, high = np.log(_NOISE_LEVELS)
    level = np.exp(rng.uniform(low, high, (int(quiet.sum()), 1)))
    dullness = rng.uniform(0, 0.9, level.shape)
    hiss = rng.standard_normal((len(level), _NOISE_SAMPLES + 1))
    noise = hiss[:, 1:] + dullness * hiss[:, :-1]
    noise *= level / np.sqrt(1 + dullness**2)
    audio[quiet] = words.of(list(noise))
    return audio


def _video(script: _Script, seed: int, room: int) -> NDArray[np.float16]:
    """Video features [N, 10, 4, 4, 64]: scans, and blank pages with a few faint specks."""
    video = patches(load_scans().images)[np.maximum(script.scans, 0)]
    blank = ~script.events
    specks = _generator(seed, room, 2).random((int(blank.sum()), 8, 8))
    pages = (specks > 0.8).astype(np.uint8) + (specks > 0.97)
    video[blank] = patches(pages)
    return video


def patches(images: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Position-tagged patches of 8x8 images.

    Position (i, j) holds the 2x2 pixels of its patch in the four channels ``8 * row + column`` of
    those pixels and zeros elsewhere, so the sum over positions is the image itself and an average
    over space loses nothing of the layout.

    Args:
        images: [N, 8, 8], ink 0 to 16.

    Returns:
        float16 [N, 4, 4, 64], pixels divided by 16 (exact).
    """
    count = len(images)
    grid = np.zeros((count, 4, 4, 8, 8), dtype=np.float16)
    rows, columns = np.divmod(np.arange(64), 8)
    grid[:, rows // 2, columns // 2, rows, columns] = images.reshape(count, 64) / np.float16(16)
    return grid.reshape(count, 4, 4, 64)


def _clip(
    script: _Script,
    split: str,
    i: int,
    audio: NDArray[np.float32],
    video: NDArray[np.float16],
) -> Clip:
    digit = int(script.digits[i])
    text = script.sentences[i]
    return Clip(
        id=f"{split}-{i:05d}",
        split=split,
        features={"audio": audio, "video": video, "text": tokens(text)},
        labels={
            "digit": digit,
            "step": np.where(script.events[i], digit, BACKGROUND).tolist(),
        },
        meta={
            "scans": script.scans[i].tolist(),
            "utterances": script.utterances[i].tolist(),
            "sentence": text,
        },
    )


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


EMBEDDED["digits"] = EmbeddedSet(
    "digits", VERSION, 1, lambda path, _, overwrite: build_digits(path, overwrite=overwrite)
)
