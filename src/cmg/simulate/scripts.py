"""What happens in a clip: which concept is heard and seen when.

A script says nothing of features; :class:`~cmg.simulate.latents.Latents` renders it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmg.official.lengths import RULES, STEPS
from cmg.simulate.vocabulary import concepts, concepts_of

S4_STEPS = RULES["avsbench", "audio"].steps
_OFF_LABEL = 0.3
"""Share of clips in which an event goes on, only heard or only seen, outside its label."""
_MISPAIRED, _EMPTY, _OFF_SCREEN, _SILENT = 0.04, 0.02, 0.06, 0.06
"""Shares of pre-training clips with another object on screen, with nothing but background, with
the sounding object out of sight, and with the visible object silent."""
_DISTRACTED = 0.25
"""Share of pre-training clips with a second concept for a while, heard or seen."""


@dataclass(frozen=True)
class Occurrence:
    """A concept during the steps onset <= t < offset; empty where offset <= onset."""

    concept: str
    onset: int
    offset: int


@dataclass(frozen=True)
class Script:
    """A clip to render.

    Attributes:
        dataset: Clips of one id in different data sets differ in all but their nuisances.
        id: Unique in the data set.
        scene: What scene and recording are drawn from, usually the id of the video.
        heard: What sounds.
        seen: What is on screen.
        audio_steps: Rows of the audio features.
        video_steps: Maps of the video features.
    """

    dataset: str
    id: str
    scene: str
    heard: tuple[Occurrence, ...]
    seen: tuple[Occurrence, ...]
    audio_steps: int = STEPS
    video_steps: int = STEPS


def generator(*key: object) -> np.random.Generator:
    """A generator of its own for every key, the same in every process."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def rank(clip_id: str) -> int:
    """A fixed shuffled order of ids, so that data sets that share an id keep it together."""
    return int.from_bytes(hashlib.blake2b(clip_id.encode(), digest_size=8).digest(), "little")


def made_id(*key: object) -> str:
    """An id in YouTube's alphabet, 11 characters, the same for the same key."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=9).digest()
    return base64.urlsafe_b64encode(digest).decode()[:11]


def vggsound_script(category: str | None, video_id: str, seed: int) -> Script:
    """A pre-training clip: mostly its category in sound and picture, with the usual exceptions.

    Args:
        category: Of VGGSound; None draws one.
        video_id: Of the clip.
        seed: Of the world.
    """
    rng = generator(seed, "vggsound", video_id, "script")
    pretraining = [c.name for c in concepts() if "vggsound" in c.names and "ucf" not in c.names]
    drawn = str(rng.choice(pretraining))
    concept = drawn if category is None else concepts_of("vggsound", category)[0]
    onset, offset = _interval(rng)
    heard = [Occurrence(concept, onset, offset)]
    seen = [Occurrence(concept, onset, offset)]
    if rng.random() < _OFF_LABEL:
        longer = Occurrence(concept, max(0, onset - 3), min(STEPS, offset + 3))
        (heard if rng.random() < 0.5 else seen)[0] = longer
    fate, other = rng.random(), str(rng.choice(pretraining))
    if fate < _MISPAIRED:
        seen = [Occurrence(other, *_interval(rng))]
    elif fate < _MISPAIRED + _EMPTY:
        heard, seen = [], []
    elif fate < _MISPAIRED + _EMPTY + _OFF_SCREEN:
        seen = []
    elif fate < _MISPAIRED + _EMPTY + _OFF_SCREEN + _SILENT:
        heard = []
    if rng.random() < _DISTRACTED:
        extra = Occurrence(str(rng.choice(pretraining)), *_interval(rng, longest=5))
        (heard if rng.random() < 0.6 else seen).append(extra)
    short = int(rng.integers(8, STEPS)) if rng.random() < 0.04 else STEPS
    return Script("vggsound", video_id, video_id, tuple(heard), tuple(seen), audio_steps=short)


def segment_labels(script: Script, category: str) -> list[int]:
    """1 for every step in which the category is both heard and seen, else 0."""
    concept = concepts_of("vggsound", category)[0]
    both = _active(script.heard, concept) & _active(script.seen, concept)
    return [int(t in both) for t in range(STEPS)]


def ave_script(
    row: int, category: str, video_id: str, onset: int, offset: int, seed: int
) -> Script:
    """An AVE clip: its event is heard and seen in [onset, offset), as AVE defines an event."""
    rng = generator(seed, "ave", row, video_id, "script")
    concept = concepts_of("ave", category)[0]
    event = Occurrence(concept, onset, offset)
    heard, seen = [event], [event]
    if rng.random() < _OFF_LABEL:
        longer = Occurrence(concept, max(0, onset - 3), min(STEPS, max(onset, offset) + 3))
        (heard if rng.random() < 0.5 else seen)[0] = longer
    return Script("ave", f"{row}-{video_id}", video_id, tuple(heard), tuple(seen))


Events = Sequence[tuple[int, int, str]]
"""(onset, offset, AVVP category) of every event."""


def avvp_script(filename: str, audible: Events, visible: Events, seed: int) -> Script:
    """An AVVP clip: its audio events are heard and its visual events seen, each on its own."""
    key = filename[:11]
    rng = generator(seed, "avvp", key, "script")
    short = int(rng.integers(8, STEPS)) if rng.random() < 0.04 else STEPS
    return Script(
        "avvp",
        key,
        key,
        tuple(Occurrence(_one_of(key, name), a, b) for a, b, name in audible),
        tuple(Occurrence(_one_of(key, name), a, b) for a, b, name in visible),
        audio_steps=short,
    )


def weak_events(filename: str, categories: Sequence[str], seed: int) -> tuple[Events, Events]:
    """Events of a weakly labeled AVVP clip: each category is heard, seen or mostly both."""
    rng = generator(seed, "avvp", filename, "weak")
    audible, visible = [], []
    for name in categories:
        draw = rng.random()
        if draw < 0.95:
            audible.append((*_interval(rng), name))
        if draw > 0.35:
            visible.append((*_interval(rng), name))
    return audible, visible


def ucf_script(category: str, name: str, seed: int) -> Script:
    """A UCF clip: its action is on screen throughout; often heard, sometimes only background."""
    rng = generator(seed, "ucf", name, "script")
    concept = concepts_of("ucf", category)[0]
    steps, draw = STEPS, rng.random()
    if draw < 0.08:
        steps = int(rng.integers(4, STEPS))
    elif draw < 0.12:
        steps = int(rng.integers(STEPS + 1, STEPS + 5))
    always = Occurrence(concept, 0, steps)
    heard = (always,) if rng.random() < 0.8 else ()
    return Script("ucf", name, name, heard, (always,), audio_steps=steps, video_steps=steps)


def avsbench_script(category: str, name: str, seed: int) -> Script:
    """An AVSBench clip: one concept is heard all the time, and seen among two silent ones."""
    rng = generator(seed, "avsbench", name, "script")
    meant = concepts_of("avsbench", category)[0]
    others = [c.name for c in concepts() if "avsbench" in c.names and c.name != meant]
    distractors = rng.choice(others, 2, replace=False)
    seen = [Occurrence(str(c), 0, S4_STEPS) for c in (meant, *distractors)]
    return Script("avsbench", name, name, (seen[0],), tuple(seen), S4_STEPS, S4_STEPS)


def _one_of(key: str, category: str) -> str:
    """The concept a broad category stands for in one clip."""
    candidates = concepts_of("avvp", category)
    return candidates[rank(f"{key} {category}") % len(candidates)]


def _interval(rng: np.random.Generator, longest: int = STEPS) -> tuple[int, int]:
    """Onset and offset of an event; two thirds of the events last as long as they can."""
    length = longest if rng.random() < 2 / 3 else int(rng.integers(2, longest))
    onset = int(rng.integers(0, STEPS - length + 1))
    return onset, onset + length


def _active(occurrences: Sequence[Occurrence], concept: str) -> set[int]:
    return {t for o in occurrences if o.concept == concept for t in range(o.onset, o.offset)}
