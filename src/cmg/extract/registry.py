"""Every extractor by name."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from cmg.errors import ConfigError, did_you_mean
from cmg.extract.cards import CARDS
from cmg.extract.extractor import Card, LoadOptions
from cmg.extract.scan_options import READS

__all__ = ["CARDS", "COLUMNS", "card_for", "card_of", "cards_table", "load_extractor"]

FAMILY = ":*"
"""What the name of a card ends in that stands for all models of a library."""
COLUMNS = ("name", "takes", "shape", "step", "code", "weights", "get")
"""Of :func:`cards_table`."""


def card_of(name: str) -> Card:
    """The card of an extractor, or of the family that it belongs to.

    Args:
        name: ``vggish``, or with a model: ``timm:resnet50``.

    Raises:
        ConfigError: unknown, a family without a model, or a model where there is no choice.
    """
    cards = {card.name: card for card in CARDS}
    head, colon, model = name.partition(":")
    family = cards.get(head + FAMILY)
    if family is not None:
        if not model or model == "*":
            raise ConfigError(f"{head!r} is a family of extractors; name its model: {head}:MODEL")
        return family
    if head in cards and colon:
        raise ConfigError(f"the extractor {head!r} has no models to choose from; leave out ':...'")
    if name not in cards:
        raise ConfigError(f"no extractor {name!r}{did_you_mean(name, cards)}")
    return cards[name]


def card_for(modality: str, name: str) -> Card:
    """The card of an extractor that is to read a modality.

    Raises:
        ConfigError: see :func:`card_of`, or it does not read what the modality is.
    """
    card, wanted = card_of(name), READS.get(modality)
    if wanted is not None and card.takes != wanted:
        fitting = ", ".join(c.name.replace("*", "MODEL") for c in CARDS if c.takes == wanted)
        raise ConfigError(
            f"{modality}: {name!r} reads {card.takes}, but {modality} is {wanted}; extractors of "
            f"{wanted}: {fitting}"
        )
    return card


def load_extractor(name: str, options: LoadOptions | None = None) -> Any:
    """Load an extractor; what it needs is imported now, and not before.

    Args:
        name: See :func:`card_of`.
        options: How; its `model` is what the name says.

    Returns:
        A :class:`~cmg.extract.extractor.FrameExtractor`,
        :class:`~cmg.extract.extractor.SoundExtractor` or
        :class:`~cmg.extract.extractor.TextExtractor`, as `takes` of its card says.

    Raises:
        ConfigError: unknown, or a package or its weights are missing: what to get, where to put it.
    """
    card = card_of(name)
    given = options or LoadOptions()
    model = name.partition(":")[2] if card.name.endswith(FAMILY) else ""
    module, _, function = card.loader.partition(":")
    weights = None if given.weights is None else Path(given.weights)
    return getattr(import_module(module), function)(replace(given, model=model, weights=weights))


def cards_table() -> list[tuple[str, ...]]:
    """A row per card, in :data:`COLUMNS`, as text."""
    return [
        (
            card.name,
            card.takes,
            card.shape,
            "a word" if card.step_seconds is None else f"{card.step_seconds:g} s",
            card.code,
            card.weights,
            card.get
            if card.extra is None
            else f"pip install 'cmg-torch[{card.extra}]'; {card.get}",
        )
        for card in CARDS
    ]
