"""Steps of the embedded set emoji: what designers drew, what people wrote."""

from __future__ import annotations

import io

from markupsafe import Markup
from PIL import Image

from cmg.data.emoji.archive import DESIGNERS, load_pictures
from cmg.report.html import data_uri
from cmg.report.media.base import Media, captioned
from cmg.report.samples import Place


class EmojiMedia(Media):
    """Drawings, names and keywords."""

    def thumbnail(self, place: Place) -> Markup:
        """The drawing that the step is a view of; nothing for a name or keyword."""
        if place.modality not in DESIGNERS:
            return Markup()
        return self._drawing(place) or super().thumbnail(place)

    def example(self, place: Place) -> Markup:
        """The drawing with its name, or the name or keyword with its emoji."""
        drawing, said = self._drawing(place), self.words(place.modality, place.clip)
        if drawing:
            return captioned(drawing, f"{self._name(place.clip)} ({place.modality})")
        if said:
            return captioned(
                Markup("<mark>{}</mark>").format(said[place.step]), self._name(place.clip)
            )
        return super().example(place)

    def words(self, modality: str, clip: int) -> list[str]:
        """Name and keywords of a language."""
        row = self.split.rows[clip]
        told = row.meta.get("phrases")
        said = told.get(modality, []) if isinstance(told, dict) else []
        return list(map(str, said)) if len(said) == row.lengths.get(modality, 0) else []

    def _name(self, clip: int) -> str:
        said = self.words("text", clip)
        return said[0] if said else self.split.rows[clip].id

    def _drawing(self, place: Place) -> Markup:
        """The whole drawing, for any view of it; empty where it is not known which."""
        concept = self.split.rows[place.clip].meta.get("concept")
        drawn = load_pictures().get(place.modality)
        if drawn is None or not isinstance(concept, int) or not 0 <= concept < len(drawn):
            return Markup()
        file = io.BytesIO()
        Image.fromarray(drawn[concept]).quantize(16).save(file, "PNG")
        alt = f"{self._name(place.clip)}, drawn for {place.modality}"
        uri = data_uri("image/png", file.getvalue())
        return Markup('<img class="drawing" src="{}" alt="{}">').format(uri, alt)
