"""What a step looks or sounds like, as HTML with the media inside."""

from __future__ import annotations

from cmg.data.clips import Clips
from cmg.data.manifest import MediaName
from cmg.files import StrPath
from cmg.report.media.base import Media
from cmg.report.media.digits import DigitsMedia
from cmg.report.media.emoji import EmojiMedia
from cmg.report.media.own import MB, Link, OwnMedia, clips_of
from cmg.report.media.watch import WatchMedia

__all__ = ["MB", "DigitsMedia", "EmojiMedia", "Media", "OwnMedia", "WatchMedia"]

SHOWN: dict[MediaName, type[Media]] = {
    "digits": DigitsMedia,
    "watch": WatchMedia,
    "emoji": EmojiMedia,
}
"""How the clips of embedded sets are shown; of all others, their features are."""


def media_of(
    split: Clips, folder: StrPath | None = None, link: Link | None = None, room: int = 0
) -> Media:
    """How to show the clips of a store.

    Args:
        split: Whose clips.
        folder: Folder or manifest of one's own media; None shows features, or the media of an
            embedded set.
        link: Where a server has one's own media; None puts them into the page.
        room: Bytes of a page for them.

    Raises:
        DataError: the folder cannot be read, or has none of the clips.
    """
    if folder is not None:
        return OwnMedia(split, clips_of(folder, split), link, room)
    media = split.media
    return Media(split) if media is None else SHOWN.get(media, Media)(split)
