"""Steps of one's own clips: their frames, sounds and words, from a folder that the user names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup, escape

from cmg.data.clips import Clips
from cmg.errors import CmgError
from cmg.extract.clip import MediaClip
from cmg.extract.extractor import Takes
from cmg.extract.reading import file_of, text_of
from cmg.extract.registry import card_of
from cmg.extract.thumbnails import Shown, shown
from cmg.inference.readers import parsed
from cmg.recipes.encode_media import words_of
from cmg.report.media.base import Media, captioned
from cmg.report.samples import Place

Link = Callable[[str, Place], str]
"""Address of the ``frame`` or the ``sound`` of a step, where a server has them."""


class OwnMedia(Media):
    """Frames, players and words of clips.

    Which files there are is found in the folder, never read from the store: a store of somebody
    else names no file of this machine.

    Args:
        split: Whose clips.
        clips: What the folder holds, by id.
        link: Where a server has them.
    """

    def __init__(self, split: Clips, clips: Mapping[str, MediaClip], link: Link) -> None:
        super().__init__(split)
        self.clips, self.link = clips, link
        self.takes = takes_of(split)
        self.seen = lru_cache(maxsize=64)(self._shown)

    def clip(self, clip: int) -> MediaClip | None:
        """What the folder holds of a clip."""
        return self.clips.get(self.split.rows[clip].id)

    def file(self, place: Place) -> Path | None:
        """What is seen or heard of a step's clip; None where there is nothing of it."""
        clip, takes = self.clip(place.clip), self.takes.get(place.modality, "text")
        return None if clip is None or takes == "text" else file_of(clip, place.modality, takes)

    def frame(self, place: Place) -> bytes | None:
        """The frame in the middle of a step, JPEG.

        Raises:
            DataError: the file is missing or damaged.
        """
        found = self.seen(place.clip).thumbnails
        seconds = self.split.step_seconds.get(place.modality) or 1.0
        middle = (place.step + 0.5) * seconds
        return next(
            (one.jpeg for one in found if middle < one.end), found[-1].jpeg if found else None
        )

    def thumbnail(self, place: Place) -> Markup:
        """The frame of a step."""
        if self.takes.get(place.modality) != "frames" or self._missing(place) is not None:
            return super().thumbnail(place)
        return self._frame(place)

    def example(self, place: Place) -> Markup:
        """A frame, a player, or the word in its sentence; or why there is none."""
        missing = self._missing(place)
        if missing:
            return captioned(self.drawn(place), missing)
        takes = self.takes.get(place.modality)
        where = f"{self.split.rows[place.clip].id}, step {place.step}"
        if takes == "frames":
            return captioned(self._frame(place), where)
        if takes == "sound":
            return captioned(self._sound(place), where)
        try:
            said = self.words(place.modality, place.clip)
        except CmgError as error:  # its caption cannot be read; the page shows all else
            return captioned(self.drawn(place), str(error))
        if said:
            words = [escape(word) for word in said]
            words[place.step] = Markup("<mark>{}</mark>").format(said[place.step])
            return Markup('<div class="example sentence">{}</div>').format(Markup(" ").join(words))
        return super().example(place)

    def words(self, modality: str, clip: int) -> list[str]:
        """A word per step of the clip's text, where they are as many."""
        found = self.clip(clip)
        if found is None or self.takes.get(modality) != "text":
            return []
        count = self.split.rows[clip].lengths.get(modality, 0)
        return list(words_of(text_of(found, modality), count))

    def _missing(self, place: Place) -> str | None:
        """Why there is nothing of a step; None where there is."""
        id_ = self.split.rows[place.clip].id
        if self.clip(place.clip) is None:
            return f"{id_}: no such clip in the folder of media (moved since extraction?)"
        path = self.file(place)
        if path is not None and not path.exists():
            return f"{id_}: {path.name} has moved away since extraction"
        return None

    def _shown(self, clip: int) -> Shown:
        found = self.clip(clip)
        if found is None:
            return Shown((), None, 0.0)
        names = {takes: m for m, takes in self.takes.items()}
        video, audio = names.get("frames"), names.get("sound")
        return shown(
            None if video is None else file_of(found, video, "frames"),
            None if audio is None else file_of(found, audio, "sound"),
            (video and self.split.step_seconds.get(video)) or 1.0,
            found.start,
            found.end,
            found.meta.get("picture_fps"),
        )

    def _frame(self, place: Place) -> Markup:
        alt = f"frame of {self.split.rows[place.clip].id}, step {place.step}"
        shape = '<img class="frame" loading="lazy" src="{}" alt="{}">'
        return Markup(shape).format(self.link("frame", place), alt)

    def _sound(self, place: Place) -> Markup:
        what = f"sound of {self.split.rows[place.clip].id}, step {place.step}"
        shape = '<audio controls preload="none" src="{}" aria-label="{}"></audio>'
        return Markup(shape).format(self.link("sound", place), what)


def takes_of(split: Clips) -> dict[str, Takes]:
    """What the extractor of each modality reads, of those that are known."""
    found: dict[str, Takes] = {}
    for m, told in split.extractors.items():
        try:
            found[m] = card_of(parsed(told).name).takes
        except CmgError:  # of a plugin that is not loaded, or of another tool
            continue
    return found
