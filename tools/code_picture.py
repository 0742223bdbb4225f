"""Draw one code of a run on digits: its scans, its sounds, its sentences.

cmg pretrain digits --out runs/digits
python tools/code_picture.py runs/digits docs/pictures/code.svg

It is the most used code that all three modalities take, mostly at one digit. Each column is of
other test clips than the others; the report (`cmg report`) has more of them, with sound.
"""

from __future__ import annotations

import base64
import sys
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from cmg.data.digits.archives import load_spoken
from cmg.data.digits.sentences import words
from cmg.errors import CmgError, DataError
from cmg.report.gather import ReportData, gather
from cmg.report.prose import percent
from cmg.report.samples import CodeCard, Place, by_frequency, code_card, examples, steps_of
from cmg.report.svg import envelope, n

WIDTH, HEIGHT, SHOWN = 900, 250, 3
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1f2430}.q{font-size:12px;fill:#5a6272}"
    ".c{font-size:34px;font-weight:700}.m{font-weight:700;fill:#8a4b00}"
)


def main(run: Path, out: Path) -> None:
    """Write the picture."""
    data = gather(run)
    if set(data.modalities) != {"audio", "video", "text"}:
        raise DataError(f"{run} was not trained on digits; it has {', '.join(data.modalities)}")
    card = chosen(data)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(drawn(data, card), encoding="utf-8")


def chosen(data: ReportData) -> CodeCard:
    """The code to show.

    Raises:
        DataError: no code is shared by all modalities.
    """
    for code in by_frequency(data.usage):
        card = code_card(data, code)
        spoken = [p for p in shown(data, code, "audio") if utterance(data, p) is not None]
        mostly = card.classes and card.classes[0][0] != "background" and card.classes[0][1] > 0.9
        if mostly and len(spoken) == SHOWN and min(card.shares.values()) > 0.2:
            return card
    raise DataError("no code is shared by all modalities and mostly of one digit: train for longer")


def shown(data: ReportData, code: int, modality: str) -> list[Place]:
    """Steps of clips spread over the split that took the code."""
    return examples(data, modality, code, SHOWN)


def utterance(data: ReportData, place: Place) -> int | None:
    """Which utterance a step has."""
    found = data.split.rows[place.clip].meta["utterances"][place.step]
    return found if isinstance(found, int) else None


def drawn(data: ReportData, card: CodeCard) -> str:
    """The picture: three columns that meet in one code."""
    label, share = card.classes[0]
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" rx="10" fill="#fff" stroke="#d5d9e2"/>']
    columns = {"video": 24, "audio": 250, "text": 492}
    names = {"video": "what is written", "audio": "what is heard", "text": "what is said"}
    for modality, x in columns.items():
        steps = int(steps_of(data, modality, card.code).sum())
        parts.append(f'<text x="{x}" y="34" class="q">{names[modality]}: {steps} steps</text>')
        for i, place in enumerate(shown(data, card.code, modality)):
            parts.append(COLUMNS[modality](data, place, x, i))
    parts.append(f'<text x="24" y="218" class="c">code {card.name}</text>')
    told = f"{percent(share)} of its labeled steps are “{label}”. It was learned from pairs alone,"
    parts.append(f'<text x="190" y="205">{escape(told)}</text>')
    parts.append(
        '<text x="190" y="227">without a label; these scans and voices are new to it.</text>'
    )
    told = f"Code {card.name} in scans, sounds and sentences of “{label}”"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'width="{WIDTH}" height="{HEIGHT}"><title>{escape(told)}</title>'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def scan(data: ReportData, place: Place, x: float, i: int) -> str:
    """A scan of 8 x 8 pixels."""
    feature = data.split.features("video", [place.clip])[0][0][place.step].float().sum((0, 1))
    ink = (255 - feature.view(8, 8).clamp(0, 1) * 255).round().numpy().astype(np.uint8)
    file = BytesIO()
    Image.fromarray(ink).save(file, "png")
    uri = base64.b64encode(file.getvalue()).decode()
    where = f'x="{n(x + 68 * i)}" y="56" width="60" height="60"'
    return f'<image {where} style="image-rendering:pixelated" href="data:image/png;base64,{uri}"/>'


def sound(data: ReportData, place: Place, x: float, i: int) -> str:
    """The waveform of an utterance, and its voice."""
    spoken, which = load_spoken(), utterance(data, place)
    if which is None:
        raise DataError("a step of this code is background")
    middle, bars = 66 + 40 * i, envelope(spoken.wave(which), 44)
    path = "".join(
        f"M{n(x + 3 * k)} {n(middle - 1 - 14 * h)}V{n(middle + 1 + 14 * h)}"
        for k, h in enumerate(bars / bars.max())
    )
    voice = spoken.voice_names[spoken.voices[which]].split()[0].split("+")[-1]
    said = f'<text x="{x + 142}" y="{middle + 4}" class="q">{escape(voice)}</text>'
    return f'<path d="{path}" stroke="#2f5fd0" stroke-width="2"/>{said}'


def sentence(data: ReportData, place: Place, x: float, i: int) -> str:
    """A sentence, with the word that has the code."""
    said = words(str(data.split.rows[place.clip].meta["sentence"]))
    spans = [
        f'<tspan class="m">{escape(w)}</tspan>' if k == place.step else escape(w)
        for k, w in enumerate(said)
    ]
    return f'<text x="{x}" y="{70 + 40 * i}">{" ".join(spans)}</text>'


COLUMNS = {"video": scan, "audio": sound, "text": sentence}

if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except CmgError as error:
        sys.exit(str(error))
