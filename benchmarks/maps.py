"""The video detail encoder and decoder at published widths: our convolutions against the library's.

`python -m benchmarks.maps [--frames 800] [--json FILE]`, and `--widths 128,256,512` for the table
that :data:`cmg.convolutions.TOOM_COOK_FROM` is read off; `--channels 320,512,1280` for forms of the
lean path of one's own maps.

A step is forward and backward of both. Rates are nominal: the operations of the published layers,
zeros that padding adds included, whatever a form really executes. float64 runs on fewer frames and
is scaled.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, get_args
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.cases import machine, machine_line
from benchmarks.figures import Figure, Section, Spread, markdown
from benchmarks.timing import side_by_side
from cmg.allocation import kept_memory
from cmg.convolutions.forms import TOOM_COOK_FROM, Form, Library
from cmg.convolutions.taps import Taps
from cmg.convolutions.toom_cook import ToomCook
from cmg.decoders import MapDecoder
from cmg.decoders.reconstruction import build_decoder
from cmg.encoders.detail import MapDetail, MapTail, build_detail
from cmg.types import Kind, Modality

SHAPE, WIDTH, CONTENT = (7, 7, 512), 2048, 256
DTYPES = {"float64": torch.float64, "float32": torch.float32, "bf16": torch.bfloat16}


def layer_flops(layers: nn.Module, size: int) -> tuple[int, int]:
    """Nominal operations of one frame's forward pass, and those of the first layer alone.

    Args:
        layers: Convolutions in order, on square maps.
        size: Positions along an axis of the input.
    """
    counts = []
    for layer in layers.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            continue
        kernel, padding = layer.kernel_size[0], int(layer.padding[0])
        grown = kernel - 1 - 2 * padding
        out = size + grown if isinstance(layer, nn.ConvTranspose2d) else size - grown
        positions = size if isinstance(layer, nn.ConvTranspose2d) else out
        counts.append(2 * positions**2 * kernel**2 * layer.in_channels * layer.out_channels)
        size = out
    return sum(counts), counts[0]


def step_flops(detail: MapDetail, decoder: MapDecoder) -> int:
    """Nominal operations of one frame, forward and backward; features need no gradient."""
    encoder, first = layer_flops(detail.convolutions, SHAPE[0])
    return 3 * encoder - first + 3 * layer_flops(decoder.convolutions, SHAPE[0] - 4)[0]


def step_of(
    precision: str,
    library: bool,
    frames: int,
    width: int = WIDTH,
    toom_cook_from: int = TOOM_COOK_FROM,
) -> Callable[[int], object]:
    """A function that runs both networks forward and backward."""
    torch.manual_seed(0)
    detail = MapDetail(SHAPE, width, toom_cook_from)
    decoder = MapDecoder(CONTENT, width, SHAPE, toom_cook_from)
    maps, content = torch.randn(frames // 10, 10, *SHAPE), torch.randn(frames // 10, 10, CONTENT)
    if precision == "float64":
        detail, decoder = detail.double(), decoder.double()
        maps, content = maps.double(), content.double()

    def run(_: int) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            own, private = detail(maps)
            rebuilt = decoder(content, own)
        loss = (rebuilt.to(maps.dtype) - maps).square().mean() + private.to(maps.dtype).mean()
        for network in (detail, decoder):
            network.zero_grad(set_to_none=True)
        loss.backward()

    def by_library(turn: int) -> None:
        with patch("cmg.encoders.detail.form_for", lambda *_: Library()):
            run(turn)

    return by_library if library else run


def by_width(widths: Sequence[int], frames: int, turns: int) -> str:
    """Toom-Cook in float32 against the library's convolutions, a row per width S; Markdown."""
    rows = []
    for width in widths:
        variants = {
            "Toom-Cook": step_of("float32", False, frames, width, toom_cook_from=1),
            "library": step_of("float32", True, frames, width),
        }
        timing = side_by_side(variants, turns, "wall")
        faster = Figure.of(timing.ratios("library"), "times")
        narrowest = min(SHAPE[2], width // 2)
        seconds = [f"{timing.median(name):.2f}" for name in ("library", "Toom-Cook")]
        ratio = f"{faster.value:.2f} ({faster.low:.2f}–{faster.high:.2f})"
        rows.append([str(width), str(narrowest), *seconds, ratio])
    heads = ("width S", "narrowest layer", "library s", "Toom-Cook s", "library / Toom-Cook")
    return markdown(heads, rows)


def by_channels(channels: Sequence[int], frames: int, turns: int) -> str:
    """Lean paths of maps of some widths C, S = 256 declared, in every form; one CPU's seconds."""
    rows = []
    for count, tail in product(channels, get_args(MapTail)):
        modality = Modality(name="video", kind=Kind.MAPS, shape=(*SHAPE[:2], count))
        networks = (
            build_detail(modality, count, "lean"),
            build_decoder(modality, CONTENT, count, "lean", map_tail=tail),
        )
        given = torch.randn(frames // 10, 10, *modality.shape)
        variants = {
            f"{dtype}, {name}": partial(step_in_form, networks, dtype, FORMS[name], given)
            for dtype, name in ROUNDED[:4]
        }
        with kept_memory():
            timing = side_by_side(variants, turns, "cpu")
        rows.append([str(count), tail, *(f"{timing.median(name):.2f}" for name in variants)])
    return markdown(("channels C", "tail", *(f"{d}, {name}, s" for d, name in ROUNDED[:4])), rows)


def step_in_form(
    networks: tuple[nn.Module, nn.Module], dtype: str, form: Form, maps: Tensor, turn: int
) -> None:
    """Both networks forward and backward in a form that is not chosen."""
    detail, decoder = networks
    torch.manual_seed(turn)
    content = torch.randn(*maps.shape[:2], CONTENT)
    with patch("cmg.encoders.detail.form_for", lambda *_: form):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16"):
            own, private = detail(maps)
            rebuilt = decoder(content, own)
        loss = (rebuilt.float() - maps).square().mean() + private.float().mean()
        for network in networks:
            network.zero_grad(set_to_none=True)
        loss.backward()


def matmul_rate(dtype: torch.dtype, size: int = 2048, turns: int = 5) -> float:
    """Best rate of a square matrix product, in GFLOP/s."""
    a, b = torch.randn(2, size, size).to(dtype)
    best = float("inf")
    for _ in range(turns):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2e-9 * size**3 / best


def measure(
    frames: int, few: int, turns: int, matmul: int = 2048, width: int = WIDTH
) -> dict[str, Any]:
    """Every form in turns; seconds are scaled to `frames`.

    Args:
        frames: Of a step.
        few: Frames of float64.
        turns: Counted.
        matmul: Size of the matrix product that gives the peak.
        width: S.
    """
    variants = {
        "float64 library": step_of("float64", True, few, width),
        "float32 library": step_of("float32", True, frames, width),
        "float32": step_of("float32", False, frames, width),
        "bf16 library": step_of("bf16", True, frames, width),
        "bf16": step_of("bf16", False, frames, width),
    }
    timing = side_by_side(variants, turns, "wall")
    peaks = {name: matmul_rate(dtype, matmul) for name, dtype in DTYPES.items()}
    flops = step_flops(MapDetail(SHAPE, width), MapDecoder(CONTENT, width, SHAPE))
    scale = {name: frames / few if name == "float64 library" else 1.0 for name in variants}
    base = [scale["float64 library"] * s for s in timing.seconds["float64 library"]]
    rows = {}
    for name, seconds in timing.seconds.items():
        own = [scale[name] * s for s in seconds]
        took = Figure.of(own, "s")
        faster = Figure.of([b / s for b, s in zip(base, own, strict=True)], "times")
        rate = 1e-9 * flops * frames / took.value
        rows[name] = {
            "seconds": round(took.value, 3),
            "seconds_min": round(took.low, 3),
            "seconds_max": round(took.high, 3),
            "faster": round(faster.value, 2),
            "faster_min": round(faster.low, 2),
            "faster_max": round(faster.high, 2),
            "nominal_gflops": round(rate, 1),
            "of_matmul_peak": round(rate / peaks[name.split()[0]], 3),
        }
    return {
        "frames": frames,
        "float64_frames": few,
        "turns": turns,
        "matmul_gflops": peaks,
        "forms": rows,
    }


LAYERS = {
    "3x3, 5x5 to 3x3 (5 points)": (nn.Conv2d, 5, 0),
    "3x3, 3x3 padded (5 points)": (nn.Conv2d, 3, 1),
    "3x3, 7x7 to 5x5 (7 points)": (nn.Conv2d, 7, 0),
    "3x3, 5x5 padded (7 points)": (nn.Conv2d, 5, 1),
    "transposed, 3x3 to 5x5 (5 points)": (nn.ConvTranspose2d, 3, 0),
    "transposed, 5x5 to 7x7 (7 points)": (nn.ConvTranspose2d, 5, 0),
}
"""The layers of the published networks: kind, positions along an axis, padding."""
FORMS = {"library": Library(), "Toom-Cook": ToomCook(), "windows": Taps()}
ROUNDED = (
    ("float32", "library"),
    ("float32", "Toom-Cook"),
    ("bf16", "library"),
    ("bf16", "windows"),
    ("bf16", "Toom-Cook"),
)
"""Dtypes and forms; the last is not used, and this is why."""


@torch.no_grad()
def rounding(channels: int = 256) -> dict[str, dict[str, float]]:
    """Errors of one layer in every form, relative to the root mean square of the exact result.

    Inputs and weights are normal and hold in the dtype; the exact result is float64's.
    """
    found: dict[str, dict[str, float]] = {}
    for name, (kind, size, padding) in LAYERS.items():
        torch.manual_seed(0)
        layer = kind(channels, channels, 3, padding=padding, bias=False)
        maps = torch.randn(32, size, size, channels)
        found[name] = {}
        for dtype, form in ROUNDED:
            rounded = layer.to(DTYPES[dtype])
            x = maps.to(DTYPES[dtype])
            exact = FORMS["library"].convolve(copy.deepcopy(rounded).double(), x.double())
            own = FORMS[form]
            y = own.leave(own.convolve(rounded, own.enter(x))).double()
            error = (y - exact).square().mean().sqrt() / exact.square().mean().sqrt()
            found[name][f"{dtype}, {form}"] = float(error)
    return found


def rounding_table(found: dict[str, dict[str, float]]) -> str:
    """Markdown."""
    forms = [f"{dtype}, {form}" for dtype, form in ROUNDED]
    rows = [[name, *(f"{100 * own[form]:.2g} %" for form in forms)] for name, own in found.items()]
    return markdown(("relative error of a layer", *forms), rows)


def figures(found: dict[str, Any]) -> dict[str, Figure]:
    """Seconds, ratios and shares of the peak."""
    spread: Spread = "turns" if found["turns"] > 1 else "once"
    told = {
        f"matmul peak, {k}": Figure.of([v], "GFLOP/s") for k, v in found["matmul_gflops"].items()
    }
    for name, row in found["forms"].items():
        for key, unit in (("seconds", "s"), ("faster", "times")):
            low, high = row[f"{key}_min"], row[f"{key}_max"]
            told[f"{name}: {key}"] = Figure(row[key], low, high, unit, spread)
        told[f"{name}: of the peak"] = Figure.of([100 * row["of_matmul_peak"]], "%")
    return told


def section(quick: bool = False, repeats: int | None = None) -> Section:
    """The convolutional part alone.

    Args:
        quick: Few frames and channels.
        repeats: Turns.
    """
    frames, few, matmul, width = (40, 10, 256, 128) if quick else (400, 40, 2048, WIDTH)
    turns = repeats or (1 if quick else 2)
    found = measure(frames, few, turns, matmul, width)
    errors = rounding(64 if quick else 256)
    told = figures(found) | {
        f"error: {name}: {form}": Figure.of([100 * error], "%")
        for name, own in errors.items()
        for form, error in own.items()
    }
    settings = {"frames": frames, "float64_frames": few, "matmul": matmul, "width": width}
    return Section(told, table(found) + "\n\n" + rounding_table(errors), settings)


def table(found: dict[str, Any]) -> str:
    """A Markdown table, a row per form."""
    lines = [
        f"| {found['frames']} frames, forward and backward | s | against float64 (range) "
        "| nominal GFLOP/s | of the matmul peak |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['seconds']:.2f} | {row['faster']:.3g} "
        f"({row['faster_min']:.3g}–{row['faster_max']:.3g}) | {row['nominal_gflops']:.0f} "
        f"| {100 * row['of_matmul_peak']:.0f} % |"
        for name, row in found["forms"].items()
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table and write JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.maps")
    parser.add_argument("--frames", type=int, default=800, help="a published batch has 80 x 10")
    parser.add_argument("--float64-frames", type=int, default=40, help="timed and scaled")
    parser.add_argument("--repeats", type=int, default=3, help="turns; a table gives their median")
    parser.add_argument("--widths", help="compare forms at these widths S instead")
    parser.add_argument("--json", type=Path, help="where the result is written")
    parser.add_argument("--channels", help="compare forms of lean paths of maps so wide instead")
    given = parser.parse_args(arguments)
    facts = machine()
    if given.channels is not None:
        channels = [int(count) for count in given.channels.split(",")]
        print(machine_line(facts) + "\n\n" + by_channels(channels, given.frames, given.repeats))
        return
    if given.widths is not None:
        widths = [int(width) for width in given.widths.split(",")]
        print(machine_line(facts) + "\n\n" + by_width(widths, given.frames, given.repeats))
        return
    found = measure(given.frames, given.float64_frames, given.repeats)
    print(machine_line(facts) + "\n\n" + table(found))
    print(
        "\nmatmul: " + ", ".join(f"{k} {v:.0f} GFLOP/s" for k, v in found["matmul_gflops"].items())
    )
    if given.json is not None:
        text = json.dumps({"machine": facts, **found}, indent=1)
        given.json.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
