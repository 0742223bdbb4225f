"""How the recorded codebooks of other releases differ from the one that METHOD describes."""

from __future__ import annotations

from functools import partial

from cmg.codebook.codebook import SharedCodebook
from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
from cmg.golden.quantizer import index_margin, verify_quantizer
from cmg.interop.micu import DEAF_RESET, deaf_options

verify_deaf_quantizer = partial(verify_quantizer, reset=DEAF_RESET)
"""Replays passes of a codebook with :data:`DEAF_RESET`."""


def verify_zeroed_lookup(case: Case, comparison: Comparison) -> None:
    """A lookup outside training, which takes code 0 for the zero vector."""
    size, width = case.size("embedding"), case.size("embedding", 1)
    book = SharedCodebook(["any"], width, deaf_options(size)).double().eval()
    book.codes.copy_(case.array("param/embedding"))
    z = {"any": case.array("in/z")}
    found = book.lookup(z)
    comparison.check("out/vq", found.vectors["any"])
    comparison.check("out/indices", found.indices["any"])
    comparison.check("out/state_after/embedding", book.table("any"))
    comparison.check("out/min_index_margin", index_margin(book, z))
