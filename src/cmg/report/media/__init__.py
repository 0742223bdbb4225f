"""What a step looks or sounds like, as HTML with the media inside."""

from cmg.data.clips import Clips
from cmg.data.manifest import MediaName
from cmg.report.media.base import Media
from cmg.report.media.digits import DigitsMedia
from cmg.report.media.emoji import EmojiMedia
from cmg.report.media.own import OwnMedia
from cmg.report.media.watch import WatchMedia

__all__ = ["DigitsMedia", "EmojiMedia", "Media", "OwnMedia", "WatchMedia", "media_of"]

SHOWN: dict[MediaName, type[Media]] = {
    "digits": DigitsMedia,
    "watch": WatchMedia,
    "emoji": EmojiMedia,
}
"""How the clips of embedded sets are shown; of all others, their features are."""


def media_of(split: Clips) -> Media:
    """How to show the clips of a store."""
    media = split.media
    return Media(split) if media is None else SHOWN.get(media, Media)(split)
