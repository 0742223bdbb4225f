"""Steps of one's own clips: their frames, sounds and words, from a folder that the user names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from cmg.data.clips import Clips
from cmg.data.digits.media import wav_bytes
from cmg.errors import CmgError, DataError
from cmg.extract.clip import MediaClip
from cmg.extract.extractor import Takes
from cmg.extract.reading import file_of, text_of
from cmg.extract.registry import card_of
from cmg.extract.scan import scan
from cmg.extract.thumbnails import RATE, SHORTEST, Shown, shown
from cmg.files import StrPath
from cmg.inference.readers import parsed
from cmg.recipes.encode_media import words_of
from cmg.report.html import data_uri
from cmg.report.media.base import Media, captioned, player, sentence
from cmg.report.samples import Place
from cmg.report.svg import waveform

Part = Literal["frame", "sound"]
Link = Callable[[Part, Place], str]
"""Address of the frame or the sound of a step, where a server has them."""
MB = 1_000_000


class OwnMedia(Media):
    """Frames, players and words of clips.

    Which files there are is found in the folder, never read from the store: a store of somebody
    else names no file of this machine.

    Args:
        split: Whose clips.
        clips: What the folder holds, by id.
        link: Where a server has them; None puts them into the page.
        room: Bytes of a page for them; what has no room is drawn as features.

    Attributes:
        left_out: What had no room.
    """

    def __init__(
        self,
        split: Clips,
        clips: Mapping[str, MediaClip],
        link: Link | None = None,
        room: int = 0,
    ) -> None:
        super().__init__(split)
        self.clips, self.link, self.room, self._left = clips, link, room, room
        self.left_out: Counter[Part] = Counter()
        self.takes = takes_of(split)
        # A page is made once, and an hour of sound takes 230 MB here.
        self.seen = lru_cache(maxsize=64 if link else 16)(self._shown)

    @property
    def remarks(self) -> list[str]:
        """What the folder lacks, and what had no room in the page so far."""
        ids, said = self.split.ids, []
        if lacking := sum(id_ not in self.clips for id_ in ids):
            said.append(f"The folder of media lacks {lacking} of {len(ids)} clips.")
        if unknown := [m for m in self.split.modalities if m not in self.takes]:
            said.append(
                f"The store does not say what {', '.join(unknown)} was extracted from: features "
                "are drawn."
            )
        if self.left_out:
            told = " and ".join(f"{n} {part}{'s'[: n > 1]}" for part, n in self.left_out.items())
            said.append(
                f"The page holds at most {self.room / MB:g} MB of frames and sounds: {told} had no "
                "room, and features are drawn instead (`--media-mb` takes more)."
            )
        return said

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
        """The frame of a step, or its waveform."""
        takes = self.takes.get(place.modality)
        if takes in ("frames", "sound") and self._missing(place) is None:
            try:
                if takes == "frames":
                    return self._frame(place) or self.drawn(place)
                wave = self._wave(place)
                return self.drawn(place) if wave is None else Markup(waveform(wave))
            except DataError:  # the examples and the player say so
                pass
        return self.drawn(place)

    def example(self, place: Place) -> Markup:
        """A frame, a player, or the word in its sentence; or why there is none."""
        if missing := self._missing(place):
            return captioned(self.drawn(place), missing)
        takes = self.takes.get(place.modality)
        where = f"{self.split.rows[place.clip].id}, step {place.step}"
        if takes in ("frames", "sound"):
            try:
                found = self._frame(place) if takes == "frames" else self._player(place, where)
            except DataError:
                return captioned(self.drawn(place), self._unreadable(place))
            return captioned(found or self.drawn(place), where)
        if said := self.words(place.modality, place.clip):
            return sentence(said, place.step)
        return super().example(place)

    def examples(self, places: Sequence[Place]) -> list[Markup]:
        """Of some steps: of sounds two, so that no room is taken by what is not shown."""
        heard = [place for place in places if self.takes.get(place.modality) == "sound"]
        return super().examples([place for place in places if place not in heard[2:]])

    def sound(self, clip: int) -> Markup:
        """A player of the whole clip, or why there is none; empty where nothing is heard."""
        for m in (m for m, takes in self.takes.items() if takes == "sound"):
            place = Place(m, clip, 0)
            told = self._missing(place)
            if told is None:
                try:
                    return self._player(place, f"sound of {self.split.rows[clip].id}", whole=True)
                except DataError:
                    told = self._unreadable(place)
            return Markup('<p class="quiet">{}</p>').format(told)
        return Markup()

    def words(self, modality: str, clip: int) -> list[str]:
        """A word per step of the clip's text, where they are as many and can be read."""
        found = self.clip(clip)
        if found is None or found.unread or self.takes.get(modality) != "text":
            return []
        count = self.split.rows[clip].lengths.get(modality, 0)
        return list(words_of(text_of(found, modality), count))

    def _missing(self, place: Place) -> str | None:
        """Why there is nothing of a step; None where there is."""
        id_, takes = self.split.rows[place.clip].id, self.takes.get(place.modality)
        clip, path = self.clip(place.clip), self.file(place)
        if clip is None:
            return f"{id_}: no such clip in the folder of media (moved since extraction?)"
        if takes == "text":
            return f"{id_}: its caption cannot be read" if clip.unread else None
        if takes is not None and path is None:
            return f"{id_}: nothing of {place.modality!r} in the folder of media"
        if path is not None and not path.exists():
            return f"{id_}: {path.name} has moved away since extraction"
        return None

    def _unreadable(self, place: Place) -> str:
        """What is said of a damaged file; its error may name folders of this machine."""
        path = self.file(place)
        return f"{self.split.rows[place.clip].id}: {path and path.name} cannot be read"

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
        """The picture of a step; empty where there is none, or no room for it."""
        source = self.link("frame", place) if self.link else self._held("frame", self.frame(place))
        alt = f"frame of {self.split.rows[place.clip].id}, step {place.step}"
        lazy = Markup(' loading="lazy"') if self.link else ""
        shape = '<img class="frame"{} src="{}" alt="{}">'
        return Markup(shape).format(lazy, source, alt) if source else Markup()

    def _player(self, place: Place, what: str, whole: bool = False) -> Markup:
        """What plays a step, or the whole clip; empty where there is no room for it.

        A server has the file, of which the clip may be a part: browsers go where it begins.
        """
        begins, clip = 0.0, self.clip(place.clip)
        if self.link:
            start, end = (clip.start, clip.end) if clip else (0.0, None)
            seconds = self.split.step_seconds.get(place.modality) or 0.0
            at = start if whole else start + place.step * seconds
            source, begins = self.link("sound", place) + fragment(at, end), -start
        else:
            wave = self.seen(place.clip).wave if whole else self._wave(place)
            source = self._held("sound", None if wave is None else wav_bytes(wave, RATE))
        load = "none" if self.link and not whole else "metadata"
        return player(source, what, begins, load) if source else Markup()

    def _wave(self, place: Place) -> NDArray[np.float32] | None:
        """What is heard in a step, or in the half second from its begin if it is shorter."""
        wave, seconds = self.seen(place.clip).wave, self.split.step_seconds.get(place.modality)
        if wave is None or not seconds:
            return wave
        count, first = round(max(seconds, SHORTEST) * RATE), round(place.step * seconds * RATE)
        first = max(0, min(first, len(wave) - count))
        return wave[first : first + count]

    def _held(self, part: Part, content: bytes | None) -> str:
        """A part of a clip as an address that holds it; empty where there is no room."""
        if content is None:
            return ""
        uri = data_uri({"frame": "image/jpeg", "sound": "audio/wav"}[part], content)
        if len(uri) > self._left:
            self.left_out[part] += 1
            return ""
        self._left -= len(uri)
        return uri


def clips_of(folder: StrPath, split: Clips) -> dict[str, MediaClip]:
    """The clips of a folder or manifest of media, by id.

    Raises:
        DataError: it cannot be read, or has none of the clips.
    """
    found = {clip.id: clip for clip in scan(Path(folder))}
    ids = split.ids
    if not any(id_ in found for id_ in ids):
        raise DataError(
            f"{Path(folder).name} has none of the {len(ids)} clips of {split.path} "
            f"(the first is {ids[0]!r}); name the folder that they were extracted from"
        )
    return found


def fragment(start: float, end: float | None) -> str:
    """What the address of a sound says besides, so that a part of it is played; all without."""
    if not start and end is None:
        return ""
    return f"#t={start:g}" + ("" if end is None else f",{end:g}")


def takes_of(split: Clips) -> dict[str, Takes]:
    """What the extractor of each modality reads, of those that are known."""
    found: dict[str, Takes] = {}
    for m, told in split.extractors.items():
        try:
            found[m] = card_of(parsed(told).name).takes
        except CmgError:  # of a plugin that is not loaded, or of another tool
            continue
    return found
