"""Lookup and update of the codebook alone, from 400 to 65,536 codes, against the looped form.

`python -m benchmarks --only codebook`

Three modalities of 80 clips x 10 steps, D = 256, ours in float32. The looped float64 form looks
tokens up one by one, so on many codes it is timed on few tokens and multiplied; its update loops
over codes and is timed whole. The features stay the same over the few turns, so no code becomes
idle for long enough to be reset: what is timed is lookup, MM-EMA and the idle counters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.figures import Figure, Section, markdown
from benchmarks.looped_codebook import LoopedCodebook
from benchmarks.timing import Timing, side_by_side
from cmg.codebook import SharedCodebook, random_reset
from cmg.models.published import published_options
from cmg.types import Steps

MODALITIES = ("audio", "video", "text")
OURS, LOOPED = "float32", "looped float64"


@dataclass(frozen=True)
class Extent:
    """How large everything is.

    Attributes:
        codes: Sizes K.
        clips: B.
        length: T.
        width: D.
        budget: Codes times tokens of a modality up to which the looped lookup is timed.
    """

    codes: tuple[int, ...] = (400, 1024, 4096, 16384, 65536)
    clips: int = 80
    length: int = 10
    width: int = 256
    budget: int = 1 << 19

    @property
    def tokens(self) -> int:
        """Of a step."""
        return len(MODALITIES) * self.clips * self.length

    def few_clips(self, codes: int) -> int:
        """Clips on which the looped lookup is timed."""
        return max(1, min(self.clips, self.budget // (codes * self.length)))


QUICK = Extent(codes=(16, 64), clips=4, width=32, budget=1 << 10)


def content(extent: Extent, dtype: torch.dtype) -> dict[str, Tensor]:
    """Features z: standard normal, [B, T, D] per modality."""
    generator = torch.Generator().manual_seed(0)
    shape = (extent.clips, extent.length, extent.width)
    return {m: torch.randn(shape, generator=generator).to(dtype) for m in MODALITIES}


def codebook_of(extent: Extent, codes: int, dtype: torch.dtype) -> SharedCodebook:
    """A codebook as published, its codes spread like the features."""
    options = published_options(extent.width, codes).codebook
    book = SharedCodebook(MODALITIES, extent.width, options).to(dtype)
    book.codes.copy_(torch.randn(book.codes.shape, generator=torch.Generator().manual_seed(1)))
    book.counts.fill_(1.0)
    book.sums.copy_(book.codes)
    return book


def time_codebook(extent: Extent, codes: int, turns: int) -> tuple[Timing, Timing]:
    """Lookup, the looped one on few clips, and update."""
    ours = codebook_of(extent, codes, torch.float32)
    looped = LoopedCodebook(codebook_of(extent, codes, torch.float64))
    single, double = content(extent, torch.float32), content(extent, torch.float64)
    few = {m: z[: extent.few_clips(codes)] for m, z in double.items()}
    steps = Steps(extent.clips, extent.length)
    lookup = side_by_side(
        {OURS: lambda _: ours.lookup(single, steps), LOOPED: lambda _: looped.lookup(few)},
        turns,
        "wall",
    )
    quantized = ours.lookup(single, steps)
    picked = {m: indices.tolist() for m, indices in quantized.indices.items()}
    draw = random_reset(torch.Generator().manual_seed(0), ours.options.reset.noise)
    update = side_by_side(
        {
            OURS: lambda _: ours.update(quantized, draw),
            LOOPED: lambda _: looped.update(double, picked, draw),
        },
        turns,
        "wall",
    )
    return lookup, update


def figures_at(extent: Extent, codes: int, turns: int) -> dict[str, Figure]:
    """The figures of one codebook size."""
    lookup, update = time_codebook(extent, codes, turns)
    few = extent.few_clips(codes)
    scale = extent.clips / few
    timed = lookup.seconds[LOOPED]
    found = {f"lookup, K = {codes}: {OURS}": milliseconds(lookup.seconds[OURS])}
    if few < extent.clips:
        tokens = len(MODALITIES) * few * extent.length
        found[f"lookup, K = {codes}: {LOOPED}, {tokens} tokens"] = milliseconds(timed)
    found[f"lookup, K = {codes}: {LOOPED}"] = milliseconds([scale * s for s in timed])
    ratios = [scale * r for r in lookup.ratios(LOOPED)]
    found[f"lookup, K = {codes}: faster"] = Figure.of(ratios, "times")
    for name, seconds in update.seconds.items():
        found[f"update, K = {codes}: {name}"] = milliseconds(seconds)
    found[f"update, K = {codes}: faster"] = Figure.of(update.ratios(LOOPED), "times")
    return found


def milliseconds(seconds: Sequence[float]) -> Figure:
    """Of several turns."""
    return Figure.of([1e3 * s for s in seconds], "ms")


def table(found: dict[str, Figure], extent: Extent) -> str:
    """Markdown."""
    rows = []
    for part in ("lookup", "update"):
        for codes in extent.codes:
            name = f"{part}, K = {codes}"
            few = [k for k in found if k.startswith(f"{name}: {LOOPED}, ")]
            looped = found[f"{name}: {LOOPED}"].told()
            if few:
                looped += f", from {found[few[0]].told()} on {few[0].rsplit(', ', 1)[1]}"
            rows.append([name, found[f"{name}: {OURS}"].told(), looped])
            rows[-1].append(f"**{found[f'{name}: faster'].told()}**")
    head = (f"{extent.tokens} tokens, D = {extent.width}", f"{OURS}, ms", f"{LOOPED}, ms")
    return markdown((*head, "times faster (range)"), rows)


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """Lookup and update at every K.

    Args:
        quick: Few codes and clips.
        repeats: Turns.
    """
    extent = QUICK if quick else Extent()
    found: dict[str, Figure] = {}
    for codes in extent.codes:
        found |= figures_at(extent, codes, repeats or (2 if quick else 3))
    settings = {"codes": list(extent.codes), "tokens": extent.tokens, "width": extent.width}
    return Section(found, table(found, extent), settings)
