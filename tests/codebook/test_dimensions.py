"""Which dimensions of the codes are kept: by hand, against loops, and what is refused."""

import numpy as np
import pytest
import torch

from cmg.codebook import quantizers
from cmg.codebook.dimensions import (
    DimensionOptions,
    chosen_dimensions,
    dimension_criterion,
    kept_dimensions,
)
from cmg.codebook.kinds import build_quantizer, of_kind
from cmg.decoders.heads import ProbeOptions
from cmg.errors import ConfigError
from cmg.options import checked_options


def slow_criterion(codes):
    """The mean over all ordered pairs, one pair at a time."""
    count, width = codes.shape
    found = []
    for d in range(width):
        pairs = [codes[i, d] * codes[j, d] for i in range(count) for j in range(count) if i != j]
        found.append(0.3 * np.var(codes[:, d], ddof=1) - 0.7 * np.mean(pairs))
    return found


def test_two_codes_by_hand():
    codes = torch.tensor([[1.0, 2.0, 0.0], [3.0, -2.0, 0.0]])
    assert dimension_criterion(codes).tolist() == pytest.approx([0.6 - 2.1, 2.4 + 2.8, 0.0])


@pytest.mark.parametrize("shape", [(2, 3), (7, 5), (30, 8)])
def test_criterion_against_loops(shape):
    codes = torch.randn(shape, generator=torch.Generator().manual_seed(shape[0])) + 0.5
    found = dimension_criterion(codes)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(slow_criterion(codes.double().numpy()), rel=1e-9)


def test_the_largest_come_first_and_the_smallest_from_the_bottom():
    criterion = torch.tensor([3.0, 9.0, 1.0, 7.0, 5.0])

    def kept(**given):
        return chosen_dimensions(criterion, DimensionOptions(**given)).tolist()

    assert kept(keep=5) == [1, 3, 4, 0, 2]  # all of them, in another order
    assert kept(keep=2, smallest=1) == [1, 2]
    assert kept(keep=4, largest=3, smallest=1) == [1, 3, 4, 2]
    assert kept(keep=2, largest=0, smallest=1) == [2, 0]
    assert kept(keep=5, largest=2, smallest=1, as_coded=True) == [1, 3, 2]


def test_equal_dimensions_keep_their_order():
    assert chosen_dimensions(torch.zeros(4), DimensionOptions(keep=4)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keep": 10, "largest": 2, "smallest": 1}, "keep 9 or 12, or set as_coded=true, which k"),
        ({"keep": 2, "largest": 3, "as_coded": True}, "no multiple of largest + smallest = 3; kee"),
        ({"keep": 4, "largest": 0}, "largest and smallest are both 0, which keeps nothing"),
        ({"keep": 0}, "keep: Input should be greater than or equal to 1, got 0"),
    ],
)
def test_what_cannot_be_divided_is_refused(given, said):
    with pytest.raises(ConfigError, match=said.replace("+", r"\+")):
        checked_options(DimensionOptions, **given)


def test_fewer_as_coded_are_said():
    assert DimensionOptions(keep=9, largest=2, smallest=1).remark is None
    fewer = DimensionOptions(keep=10, largest=2, smallest=1, as_coded=True)
    assert fewer.kept == 9
    assert "9 of the 10 dimensions asked for are kept: the ratio 2:1" in fewer.remark


def test_more_than_there_are_is_refused():
    with pytest.raises(ConfigError, match=r"keep = 9, but code vectors have 4 dimensions"):
        chosen_dimensions(torch.zeros(4), DimensionOptions(keep=9))


def test_heads_that_read_no_code_vectors_have_no_dimensions():
    with pytest.raises(ConfigError, match="dimensions are those of code vectors, but features is"):
        checked_options(ProbeOptions, features="posterior", dimensions={"keep": 4})


def made(names=("a", "b", "c"), width=6, **options):
    book = build_quantizer(names, width, of_kind({"size": 12} | options))
    features = {
        m: torch.randn(40, width, generator=torch.Generator().manual_seed(i)) * (1 + i)
        for i, m in enumerate(names)
    }
    book.start_from(features, torch.Generator().manual_seed(0))
    return book


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "c"), ("a", "b", "c", "d")])
def test_one_list_for_all_modalities(names):
    """Of a shared table it is that of its codes; of segments that of the mean criterion."""
    options = DimensionOptions(keep=4, largest=1, smallest=1)
    shared = made(names)
    alone = chosen_dimensions(dimension_criterion(shared.codes), options)
    assert torch.equal(kept_dimensions(shared, options), alone)
    tied = made(names, kind="tied")
    tied.codes.add_(torch.randn(tied.codes.shape, generator=torch.Generator().manual_seed(3)))
    criteria = np.array([slow_criterion(segment.double().numpy()) for segment in tied.codes])
    order = criteria.mean(0).argsort()
    assert kept_dimensions(tied, options).tolist() == [*order[:-3:-1], *order[:2]]


def test_of_whole_rows_as_wide_as_they_are():
    rows = made(kind="tied", heads="row")
    found = kept_dimensions(rows, DimensionOptions(keep=18))
    assert sorted(found.tolist()) == list(range(18))


def test_each_group_has_a_list_of_its_own():
    """As many of each, by its own codes, group after group."""
    kind, options = "product", DimensionOptions(keep=2, largest=1, smallest=1)
    own = quantizers[kind].options.model_validate({"size": 12, "groups": 2, "start": "uniform"})
    book = build_quantizer(["a", "b"], 8, own)
    g = torch.Generator().manual_seed(5)
    for one in book.books:
        one.codes.copy_(torch.randn(one.codes.shape, generator=g))
    found = [np.array(slow_criterion(one.codes.double().numpy())) for one in book.books]
    orders = [one.argsort() for one in found]
    wanted = [[int(order[-1]), int(order[0])] for order in orders]
    found = kept_dimensions(book, options).tolist()
    assert found == [*wanted[0], *(4 + x for x in wanted[1])]
    with pytest.raises(ConfigError, match="have 4 dimensions; keep at most so many"):
        kept_dimensions(book, DimensionOptions(keep=5))


@pytest.mark.parametrize("kind", ["residual", "none"])
def test_kinds_without_one_vector_per_index_are_refused(kind):
    options = {"size": 12} if kind != "none" else {}
    book = build_quantizer(["a", "b"], 6, quantizers[kind].options.model_validate(options))
    with pytest.raises(ConfigError, match=r"probe\.dimensions needs"):
        kept_dimensions(book, DimensionOptions(keep=4))
