"""Sentences about categories, written for the simulation."""

from __future__ import annotations

import re

from cmg.simulate.scripts import rank

_TEMPLATES = (
    "in this clip you can clearly hear {} not far away",
    "a short recording of {} that goes on for several seconds",
    "somebody filmed {} on an ordinary day with a phone camera",
    "this is what {} looks and sounds like from close by",
    "the scene shows {} while the microphone stands right beside it",
    "we listen to {} and watch it from across the room",
)


def prompt(label: str, frame_of: str | None = None) -> str:
    """A sentence of about ten words that contains the words of a category.

    Args:
        label: The category.
        frame_of: Another category whose words around the name are taken.
    """
    words = re.sub(r"[^a-z0-9-]+", " ", label.lower()).split()
    return _TEMPLATES[rank(frame_of or label) % len(_TEMPLATES)].format(" ".join(words))
