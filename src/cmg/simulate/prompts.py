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


def prompt(label: str) -> str:
    """A sentence of about ten words that contains the words of a category."""
    words = re.sub(r"[^a-z0-9-]+", " ", label.lower()).split()
    return _TEMPLATES[rank(label) % len(_TEMPLATES)].format(" ".join(words))
