"""Stamps of the Debian package ``tuxpaint-stamps-default``, installed or unpacked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmg.errors import DataError
from cmg.files import read_text

INSTALLED = Path("/usr/share/tuxpaint/stamps")
BELOW = ("usr/share/tuxpaint/stamps", "share/tuxpaint/stamps", "tuxpaint/stamps", "stamps", ".")
"""Where the stamps lie below a folder that a user may name; itself comes last."""
GET = (
    "apt-get install tuxpaint-stamps-default, or unpack it anywhere: "
    "apt-get download tuxpaint-stamps-default && dpkg -x tuxpaint-stamps-default_*.deb FOLDER"
)
LANGUAGES = ("bg", "ca", "es", "fr", "ro", "ru")
"""The languages in which nearly every stamp is described, by one main speaker each."""
PICTURES = (".png", ".svg")
"""In the order of preference."""
LARGEST = 1_000_000
"""Bytes of a description."""


@dataclass(frozen=True)
class Stamp:
    """A picture with what is said and written of it.

    Attributes:
        id: Its path below the folder of stamps, without suffix: ``animals/birds/blackbird``.
        picture: A png or svg file.
        caption: The English description.
        spoken: Recording of the description by language.
        unread: Why the description cannot be read; empty where it can.
    """

    id: str
    picture: Path
    caption: str
    spoken: Mapping[str, Path]
    unread: str = ""


def stamps_folder(source: Path | None = None) -> Path:
    """The folder of stamps.

    Args:
        source: It, or the folder of an unpacked package; None is the installed package.

    Raises:
        DataError: there are no stamps; how to get them.
    """
    places = [INSTALLED] if source is None else [source / below for below in BELOW]
    for place in places:
        if place.is_dir() and next(place.rglob("*_desc_*.ogg"), None) is not None:
            return place.resolve()
    raise DataError(f"no Tux Paint stamps in {source or INSTALLED}; {GET}")


def find_stamps(source: Path | None = None, languages: Sequence[str] = LANGUAGES) -> list[Stamp]:
    """The stamps that have a picture, an English description and a recording, by id.

    Args:
        source: See :func:`stamps_folder`.
        languages: Whose recordings count.

    Raises:
        DataError: there are none.
    """
    folder = stamps_folder(source)
    found = []
    for text in sorted(folder.rglob("*.txt")):
        picture = next((p for s in PICTURES if (p := text.with_suffix(s)).is_file()), None)
        spoken = {
            language: path
            for language in languages
            if (path := text.with_name(f"{text.stem}_desc_{language}.ogg")).is_file()
        }
        caption, unread = _first_line(text)
        if picture is not None and spoken and (caption or unread):
            name = text.relative_to(folder).with_suffix("").as_posix()
            found.append(Stamp(name, picture, caption, spoken, unread))
    if not found:
        raise DataError(f"no stamp in {folder} is described in {', '.join(languages)}")
    return found


def _first_line(text: Path) -> tuple[str, str]:
    """It, and why it cannot be read."""
    try:
        return next(iter(read_text(text, LARGEST).splitlines()), "").strip(), ""
    except DataError as error:
        return "", str(error)
