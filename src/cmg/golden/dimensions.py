"""Recorded choices of codebook dimensions: criterion, order, and both lookups that read them."""

from __future__ import annotations

from torch import Tensor

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.codebook.dimensions import DimensionOptions, dimension_criterion, kept_dimensions
from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
from cmg.golden.quantizer import index_margin


def verify_dimensions(case: Case, comparison: Comparison) -> None:
    """The kept columns of a lookup in all dimensions; and a lookup in the kept ones only."""
    codes, z = case.array("param/embedding"), case.array("in/z")
    options = DimensionOptions(
        keep=int(case.setting("choose_channel")),
        largest=int(case.setting("toc_max_num")),
        smallest=int(case.setting("toc_min_num")),
        as_coded=True,
    )
    criterion = dimension_criterion(codes)
    comparison.check("out/criterion", criterion)
    comparison.check("out/criterion_float32", criterion)
    book = codebook_of(codes)
    kept = kept_dimensions(book, options)
    comparison.check("out/indices", kept)
    found = book.lookup({ANY: z})
    comparison.check("out/codes_full", found.indices[ANY].flatten())
    comparison.check("out/vq_masked", found.vectors[ANY][..., kept])
    comparison.check("out/min_index_margin", index_margin(book, {ANY: z}))
    small, z = codebook_of(codes[:, kept]), z[..., kept]
    found = small.lookup({ANY: z})
    comparison.check("out/codes_choose", found.indices[ANY].flatten())
    comparison.check("out/vq_choose", found.vectors[ANY])
    comparison.check("out/min_index_margin_choose", index_margin(small, {ANY: z}))


ANY = "any"
"""Name of a modality that was not recorded, since it makes no difference."""


def codebook_of(codes: Tensor) -> SharedCodebook:
    """A codebook of recorded codes [K, D]."""
    book = SharedCodebook([ANY], codes.shape[1], CodebookOptions(size=len(codes))).to(codes.dtype)
    book.codes.copy_(codes)
    return book
