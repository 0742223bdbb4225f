"""The embedded set **emoji**: drawings of three designers, names and keywords, by concept."""

from cmg.data.emoji.archive import Emoji, load_drawings, load_pictures, load_words
from cmg.data.emoji.build import build_emoji

__all__ = ["Emoji", "build_emoji", "load_drawings", "load_pictures", "load_words"]
