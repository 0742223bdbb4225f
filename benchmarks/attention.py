"""Attention between query and pixels beside the plain form, which makes the P x P matrix.

    OMP_NUM_THREADS=1 python -m benchmarks.attention --json benchmarks/results/attention.json

Forward and backward of one clip at the published sizes (256 channels, 5 frames, stages of 224
pixels): time in turns in one process, peak memory of a fresh process per form, and the largest
difference in float64 relative to the largest value, of the output and of both gradients.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import Timing, side_by_side, table
from cmg.runs.folder import versions
from cmg.segmentation.attention import PixelAttention

CHANNELS, FRAMES, QUERY = 256, 5, 256
SIDES = {"stage 3 (7x7)": 7, "stage 2 (14x14)": 14, "stage 1 (28x28)": 28}
LARGEST = {"stage 0 (56x56)": 56}
"""One direct pass takes seconds and gigabytes, so it is timed in few turns."""
FORMS = ("columns", "matrix")


def inputs(side: int, dtype: torch.dtype) -> tuple[PixelAttention, Tensor, Tensor]:
    """A block with every weight drawn, pixels and query of one clip."""
    torch.manual_seed(0)
    module = PixelAttention(CHANNELS, QUERY).to(dtype).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.05)
    x = torch.randn(1, CHANNELS, FRAMES, side, side, dtype=dtype, requires_grad=True)
    query = torch.randn(1, FRAMES, QUERY, dtype=dtype, requires_grad=True)
    return module, x, query


def matrix_form(module: PixelAttention, x: Tensor, query: Tensor) -> Tensor:
    """The dot mode as a plain script writes it."""
    b, c, t, h, w = x.shape
    pixels = x.flatten(2).transpose(1, 2)
    partner = module.align(query)[..., None, None].expand(b, t, c, h, w)
    partner = partner.permute(0, 1, 3, 4, 2).reshape(b, t * h * w, c)
    weights = module.theta(pixels) @ module.phi(partner).transpose(1, 2) / (t * h * w)
    y = module.out(weights @ module.g(pixels))
    z = module.norm(module.out_norm(y.flatten(0, 1)).view_as(pixels) + pixels)
    return z.transpose(1, 2).reshape(x.shape)


def gradients(form: str, side: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Output, and gradients by pixels and query."""
    module, x, query = inputs(side, dtype)
    z = module(x, query)[0] if form == "columns" else matrix_form(module, x, query)
    one, two = torch.autograd.grad(
        (z * torch.linspace(-1, 1, z.numel()).view_as(z)).sum(), (x, query)
    )
    return z.detach(), one, two


def difference(side: int) -> float:
    """Largest difference of the forms in float64, relative to the largest value."""
    both = [gradients(form, side, torch.float64) for form in FORMS]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(*both, strict=True))


def _peak(form: str, side: int, sender: Any) -> None:
    torch.set_num_threads(1)
    gradients(form, 2, torch.float32)
    before = _highest_kilobytes()
    gradients(form, side, torch.float32)
    sender.send((_highest_kilobytes() - before) / 1024)


def _highest_kilobytes() -> int:
    """Peak resident memory of this process; `getrusage` would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def peak_megabytes(form: str, side: int) -> float:
    """How much the peak of a fresh process grows by one pass in float32."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_peak, args=(form, side, sender))
    process.start()
    found: float = receiver.recv()
    process.join()
    return found


def timed(side: int, turns: int) -> Timing:
    """Forward and backward in float32, both forms in turns."""
    return side_by_side(
        {form: lambda turn, form=form: gradients(form, side, torch.float32) for form in FORMS},
        turns,
        "cpu",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    sides = SIDES | LARGEST
    timings = {n: timed(s, args.turns if n in SIDES else 2) for n, s in sides.items()}
    peaks = {n: {f: round(peak_megabytes(f, s)) for f in FORMS} for n, s in sides.items()}
    apart = {name: difference(side) for name, side in SIDES.items()}
    print(table("forward and backward, one clip", timings))
    for name, row in peaks.items():
        print(f"{name}: peak memory {row['columns']} MB, with the matrix {row['matrix']} MB")
    for name, value in apart.items():
        print(f"{name}: largest relative difference in float64 {value:.1e}")
    if args.json:
        told = {
            "machine": versions(),
            "timings": {n: t.as_dict() for n, t in timings.items()},
            "peak_megabytes": peaks,
            "difference_float64": apart,
        }
        args.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
