"""A clip and its codes as a picture: frames, waveform and words, and the code under each.

Coordinates are pixels; a long clip is broken into lines like a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from cmg.recipes.media_codes import CodedClip, Track, sharing
from cmg.report.colors import code_color, modality_colors, text_on
from cmg.report.event_timelines import shortened
from cmg.report.html import data_uri
from cmg.report.svg import envelope, n, rule, svg, text

LEFT, LINE = 116.0, 1000.0
"""Width of the names, and of a line beside them at most."""
NARROWEST = 26.0
"""Pixels of the shortest step: a number of three digits fits."""
SLOWEST, FASTEST = 40.0, 160.0
"""Pixels per second of long steps, and of short clips."""
FRAME, WAVE, CODE, GAP = 60.0, 38.0, 24.0, 12.0
"""Heights."""
LETTER = 6.4
"""Mean width of a letter of the words."""


@dataclass(frozen=True)
class Window:
    """The part of a clip that one line shows.

    Attributes:
        start: Seconds.
        end: Likewise.
        scale: Pixels per second.
    """

    start: float
    end: float
    scale: float

    def x(self, time: float) -> float:
        """Where a time is."""
        return LEFT + (time - self.start) * self.scale

    @property
    def right(self) -> float:
        """Where the line ends."""
        return self.x(self.end)


def timeline_svg(clip: CodedClip) -> str:
    """The picture of a clip, for a page that has style.css."""
    body, y, width = "", 4.0, 480.0
    timed = {m: t for m, t in clip.tracks.items() if t.times is not None}
    shared = sharing(clip)
    for window in windows(clip):
        drawn, y = _line(clip, timed, shared, window, y)
        body += drawn
        width = max(width, window.right + 16)
    for m, track in clip.tracks.items():
        if track.times is None:
            drawn, y = _words(clip, m, track, shared[m], y, max(width, LEFT + LINE * 0.7))
            body += drawn
            width = max(width, LEFT + LINE * 0.7)
    body += _legend(clip, shared, y + 10)
    return svg(width, y + 22, body, label_of(clip), "codetimeline")


def label_of(clip: CodedClip) -> str:
    """What a screen reader says."""
    told = "; ".join(
        f"{m}: codes {', '.join(map(str, track.steps.codes.tolist()))}"
        for m, track in clip.tracks.items()
    )
    return f"{clip.id}, {clip.seconds:.1f} s. {told}"


def windows(clip: CodedClip) -> list[Window]:
    """How a clip is broken into lines: whole steps of its longest-stepped modality each."""
    times = [t.times for t in clip.tracks.values() if t.times is not None]
    if not times:
        return []
    lengths = [float(np.diff(x, axis=1).mean()) for x in times]
    last = max(clip.seconds, *(float(x[-1, 1]) for x in times))
    scale = max(NARROWEST / min(lengths), SLOWEST, min(FASTEST, LINE / last))
    whole = max(lengths)
    span = max(1, int(LINE / scale / whole)) * whole
    count = max(1, int(np.ceil(last / span - 1e-6)))
    ends = [min((i + 1) * span, last) for i in range(count)]
    return [Window(i * span, end, scale) for i, end in enumerate(ends)]


def _line(
    clip: CodedClip,
    timed: dict[str, Track],
    shared: dict[str, list[list[str]]],
    window: Window,
    y: float,
) -> tuple[str, float]:
    """One line with all modalities that have times, and where the next begins."""
    parts, y = [_ruler(window, y)], y + 22
    for m, track in timed.items():
        drawn, y = _media(clip, track, window, y)
        parts.append(drawn)
        parts.append(_name(clip, m, y))
        assert track.times is not None
        for step, (start, end) in enumerate(track.times.tolist()):
            left, right = max(start, window.start), min(end, window.end)
            if right - left > 1e-6:
                box = (window.x(left), y, (right - left) * window.scale)
                parts.append(code_cell(track, step, shared[m][step], box))
        y += CODE + GAP
    return "".join(parts), y + 4


def _ruler(window: Window, y: float) -> str:
    """Seconds."""
    every = next(s for s in (0.5, 1, 2, 5, 10, 30, 60, 600) if s * window.scale >= 60)
    first = int(np.ceil(window.start / every - 1e-6))
    parts = [rule((LEFT, y + 16), (window.right, y + 16), "grid")]
    for tick in range(first, int(window.end / every + 1e-6) + 1):
        x = window.x(tick * every)
        parts.append(rule((x, y + 12), (x, y + 16), "axis"))
        parts.append(text(x, y + 9, f"{tick * every:g} s", "tick", "middle"))
    return "".join(parts)


def _name(clip: CodedClip, modality: str, y: float) -> str:
    color = modality_colors(list(clip.tracks))[modality]
    dot = f'<circle cx="8" cy="{n(y + CODE / 2)}" r="5" style="fill:{color}"/>'
    return dot + text(20, y + CODE / 2 + 4, shortened(modality, 14), "title")


def _media(clip: CodedClip, track: Track, window: Window, y: float) -> tuple[str, float]:
    """What the steps look or sound like, above their codes."""
    if track.takes == "frames" and clip.thumbnails:
        return _frames(clip, window, y), y + FRAME + 3
    if track.takes == "sound" and clip.wave is not None:
        return _sound(clip.wave, clip.rate, window, y), y + WAVE + 3
    if track.words:
        return _said(track, window, y), y + 17
    return "", y


def _frames(clip: CodedClip, window: Window, y: float) -> str:
    parts = []
    for one in clip.thumbnails:
        left, right = max(one.start, window.start), min(one.end, window.end)
        if right - left < 1e-6:
            continue
        uri = data_uri("image/jpeg", one.jpeg)
        parts.append(
            f'<image x="{n(window.x(left) + 1)}" y="{n(y)}" height="{n(FRAME)}" '
            f'width="{n((right - left) * window.scale - 2)}" href="{uri}" '
            f'preserveAspectRatio="xMidYMid slice"><title>{left:.1f} s</title></image>'
        )
    return "".join(parts)


def _sound(wave: NDArray[np.float32], rate: int, window: Window, y: float) -> str:
    """The envelope; the loudest sample of the clip fills the height."""
    part = wave[round(window.start * rate) : round(window.end * rate)]
    if not len(part):
        return ""
    width = len(part) / rate * window.scale
    loudest = max(float(np.abs(wave).max(initial=0)), 1e-6)
    peaks = envelope(part, max(1, int(width / 2))) / loudest
    middle, half = y + WAVE / 2, WAVE / 2 - 1
    step = width / len(peaks)
    strokes = "".join(
        f"M{LEFT + (i + 0.5) * step:.1f} {middle - max(half * p, 0.4):.1f}"
        f"V{middle + max(half * p, 0.4):.1f}"
        for i, p in enumerate(peaks.tolist())
    )
    return f'<path class="sound" d="{strokes}"/>'


def _said(track: Track, window: Window, y: float) -> str:
    """Words that have times."""
    assert track.times is not None
    parts = []
    for word, (start, end) in zip(track.words, track.times.tolist(), strict=True):
        middle = (start + end) / 2
        if window.start <= middle < window.end:
            fits = max(2, int((end - start) * window.scale / LETTER))
            parts.append(text(window.x(middle), y + 12, shortened(word, fits), "", "middle"))
    return "".join(parts)


def _words(
    clip: CodedClip, modality: str, track: Track, shared: list[list[str]], y: float, width: float
) -> tuple[str, float]:
    """Words without times, one after the other in as many lines as they need."""
    parts, x = [_name(clip, modality, y + 17)], LEFT
    words = track.words or tuple(str(step) for step in range(len(track.steps.codes)))
    for step, word in enumerate(words):
        shown = shortened(word, 40)
        wide = max(NARROWEST + 6, len(shown) * LETTER + 10)
        if x > LEFT and x + wide > width - 12:
            x, y = LEFT, y + 17 + CODE + GAP
        parts.append(text(x + wide / 2, y + 12, shown, "", "middle"))
        parts.append(code_cell(track, step, shared[step], (x, y + 17, wide)))
        x += wide
    return "".join(parts), y + 17 + CODE + GAP


def code_cell(track: Track, step: int, shared: list[str], box: tuple[float, float, float]) -> str:
    """The code of a step on its color; outlined where another modality has it at that time.

    Args:
        track: Its modality.
        step: Number of the step.
        shared: Modalities that have the code at that time.
        box: Left, top and width.
    """
    x, y, width = box
    code = int(track.steps.codes[step])
    color = code_color(code)
    told = (
        f"step {step}{when(track, step)}: code {code}, distance {track.steps.distances[step]:.3f}"
    )
    told += f", next {int(track.steps.seconds[step])} at +{track.steps.margins[step]:.3f}"
    if shared:
        told += f"; also in {', '.join(shared)}"
    kind = ' class="shared"' if shared else ""
    inset = 2.0 if shared else 1.0
    at = ""
    if track.times is not None:
        start, end = track.times[step].tolist()
        at = f' data-start="{start:.6g}" data-end="{end:.6g}"'
    number = ""
    if width >= 7 * len(str(code)) + 2:
        number = (
            f'<text x="{n(x + width / 2)}" y="{n(y + CODE / 2 + 4)}" text-anchor="middle" '
            f'style="fill:{text_on(color)}">{code}</text>'
        )
    return (
        f'<g{at}><title>{escape(told)}</title><rect x="{n(x + inset)}" y="{n(y + inset)}" '
        f'width="{n(max(width - 2 * inset, 1))}" height="{n(CODE - 2 * inset)}" rx="3"{kind} '
        f'style="fill:{color}"/>{number}</g>'
    )


def when(track: Track, step: int) -> str:
    """The time or the word of a step, in words."""
    if track.times is not None:
        start, end = track.times[step].tolist()
        return f", {start:.2f}–{end:.2f} s"
    return f" “{track.words[step]}”" if track.words else ""


def _legend(clip: CodedClip, shared: dict[str, list[list[str]]], y: float) -> str:
    told = "One color is one code."
    if any(step for steps in shared.values() for step in steps):
        told += " Outlined: another modality has the code at the same time"
        words = any(track.times is None for track in clip.tracks.values())
        told += " (words: anywhere in the clip, as they have no times)." if words else "."
    return text(LEFT, y, told, "tick")
