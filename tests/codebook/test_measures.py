"""Code usage, all by hand."""

import math

import pytest
import torch

from cmg.codebook.measures import (
    CodeUsage,
    clip_agreement,
    code_counts,
    collapse,
    commonest_code,
    perplexity,
    step_agreement,
    step_measures,
)
from cmg.types import Steps


def mask(lengths, steps):
    return torch.arange(steps)[None] < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1.0, 1.0, 1.0, 1.0], 4.0),
        ([7.0, 0.0, 0.0], 1.0),
        ([2.0, 1.0, 1.0], math.exp(1.5 * math.log(2))),
        ([0.0, 0.0], 1.0),
    ],
)
def test_perplexity(counts, expected):
    found = perplexity(torch.tensor(counts, dtype=torch.float64))
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_perplexity_of_rows():
    found = perplexity(torch.tensor([[1.0, 1.0], [3.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([2.0, 1.0], dtype=torch.float64))


def test_code_counts():
    indices = torch.tensor([[0, 2, 2], [1, 1, 2]])
    assert code_counts(indices, 4, None).tolist() == [1, 2, 3, 0]
    assert code_counts(indices, 4, mask([3, 1], 3)).tolist() == [1, 1, 2, 0]


@pytest.mark.parametrize(
    ("codes", "length", "expected"),
    [
        ([3, 1, 3, 2], 4, 3),
        ([5, 2, 5, 2], 4, 2),  # a tie: the smallest index
        ([9, 0, 4, 7], 4, 0),
        ([6, 0, 0, 0], 1, 6),  # padding does not vote
        ([6, 4, 0, 0], 2, 4),
        ([4, 6, 6, 6], 2, 4),
        ([0, 0, 0, 0], 0, -1),  # no step at all
    ],
)
def test_commonest_code(codes, length, expected):
    found = commonest_code(torch.tensor([codes]), mask([length], 4))
    assert found.tolist() == [expected]
    if length == 4:
        assert commonest_code(torch.tensor([codes]), None).tolist() == [expected]


AUDIO = torch.tensor([[1, 1, 2], [3, 3, 0], [4, 5, 5]])
VIDEO = torch.tensor([[1, 2, 2], [0, 3, 3], [5, 5, 4]])
TEXT = torch.tensor([[1, 1, 1], [3, 3, 3], [0, 0, 5]])


def test_agreement_of_complete_clips():
    """Steps: audio-video 4 of 9, audio-text 5 of 9, video-text 3 of 9."""
    steps = Steps(3, 3)
    pair = {"audio": AUDIO, "video": VIDEO}
    assert float(step_agreement(pair, steps)) == pytest.approx(4 / 9)
    assert int(clip_agreement(pair, steps)) == 2  # 1 vs 2; 3 and 3; 5 and 5
    three = pair | {"text": TEXT}
    assert float(step_agreement(three, steps)) == pytest.approx((4 + 5 + 3) / 27)
    assert int(clip_agreement(three, steps)) == 1  # only the clip of 3s


def test_agreement_of_ragged_clips():
    """Both have 2 + 0 + 1 steps: equal at 1. Most frequent: 1 and 1, none, 4 and 5."""
    lengths = {"audio": torch.tensor([2, 0, 1]), "video": torch.tensor([3, 3, 1])}
    steps = Steps(3, 3, lengths)
    pair = {"audio": AUDIO, "video": VIDEO}
    assert float(step_agreement(pair, steps)) == pytest.approx(1 / 3)
    assert int(clip_agreement(pair, steps)) == 0
    shorter = Steps(3, 3, lengths | {"video": torch.tensor([1, 3, 1])})
    assert int(clip_agreement(pair, shorter)) == 1  # 1 and 1


def test_clips_without_any_modality_do_not_agree():
    nothing = torch.tensor([0, 2])
    steps = Steps(2, 2, {"audio": nothing, "video": nothing})
    same = torch.tensor([[1, 1], [1, 1]])
    assert int(clip_agreement({"audio": same, "video": same}, steps)) == 1


def test_pairs_that_share_no_step_are_left_out():
    lengths = {"audio": torch.tensor([2, 0]), "video": torch.tensor([2, 1])}
    lengths["text"] = torch.tensor([0, 2])
    same = torch.tensor([[1, 2], [3, 4]])
    indices = {"audio": same, "video": same, "text": same + 1}
    # audio-video agree at 2 of 2, video-text at 0 of 1, audio-text never meet
    assert float(step_agreement(indices, Steps(2, 2, lengths))) == pytest.approx(0.5)
    assert float(step_agreement({"audio": same}, Steps(2, 2))) == 0.0


def test_measures_are_where_the_indices_are():
    """The log is read in one transfer, which needs all of it on one device."""
    alone = {"audio": torch.zeros(2, 3, dtype=torch.int64, device="meta")}
    assert step_agreement(alone, Steps(2, 3, device="meta")).device.type == "meta"


def test_step_measures(make_quantized):
    indices = {"audio": torch.tensor([[0, 1], [2, 2]]), "video": torch.tensor([[0, 0], [2, 1]])}
    measures = step_measures(make_quantized(indices), 6)
    expected = {
        "perplexity/audio": math.exp(1.5 * math.log(2)),
        "perplexity/video": math.exp(1.5 * math.log(2)),
        "code_usage": 0.5,
        "agreement": 0.5,
        "clip_agreement": 0.5,  # codes 0 and 0, then 2 and 1
    }
    assert {k: float(v) for k, v in measures.items()} == pytest.approx(expected, rel=1e-8)


def usage(*rows):
    counts = torch.tensor(rows, dtype=torch.float64)
    return CodeUsage(counts, tuple("abc"[: len(rows)]))


def test_shares_weigh_modalities_equally():
    """Modality b has ten times the tokens; its rates are 0.5, 0.5, 0, 0."""
    found = usage([3, 1, 0, 0], [20, 20, 0, 0]).shares
    expected = torch.tensor([[0.6, 1 / 3, 0, 0], [0.4, 2 / 3, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected)


def test_used_needs_a_thousandth():
    counts = [9980, 10, 9, 1, 0]  # of 10000
    assert usage(counts, [0, 0, 0, 0, 0]).used().tolist() == [True, True, False, False, False]


def test_shared_needs_five_percent_of_two():
    """Shares of b per code: 0.5, 1/22 = 0.045 (too little), 1, 0."""
    one = usage([50, 42, 0, 8], [50, 2, 48, 0])
    assert one.shared().tolist() == [True, False, False, False]
    assert one.shared_share == pytest.approx(1 / 4)
    assert usage([1, 1], [1, 1]).shared_share == 1.0
    assert usage([1, 0], [0, 1]).shared_share == 0.0
    assert usage([0, 0], [0, 0]).shared_share == 0.0


def test_two_of_three_are_enough():
    assert usage([5, 5], [5, 5], [0, 10]).shared().tolist() == [True, True]


def test_pooled_perplexity():
    assert usage([2, 0, 0, 0], [0, 1, 1, 0]).perplexity == pytest.approx(
        math.exp(1.5 * math.log(2))
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [[10, 0, 0, 0, 0], [4, 3, 2, 1, 0]],
            ["a has 100 % of its steps in one code, perplexity 1.0"],
        ),
        (
            [[18, 1, 1, 0, 0], [5, 5, 5, 5, 0]],
            ["a has 90 % of its steps in one code, perplexity 1.5"],
        ),
        (
            [[17, 3, 0, 0, 0], [5, 5, 5, 5, 0]],
            ["a has 85 % of its steps in one code, perplexity 1.5"],
        ),
        ([[5, 5, 0, 0, 0], [0, 0, 5, 5, 0]], ["0 % of the 4 used codes are shared"]),
        (
            [[9, 0, 0, 0, 0], [0, 9, 0, 0, 0]],
            ["a has 100 %", "b has 100 %", "0 % of the 2 used codes are shared"],
        ),
        ([[5, 5, 0, 0, 0], [4, 3, 2, 1, 0]], []),  # perplexity 2: two codes are two things
        ([[7, 3], [3, 7]], []),  # of two codes there is no more to expect
        ([[4, 3, 2, 1, 0], [0, 0, 0, 0, 0]], []),  # a modality without a step says nothing
        ([[0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], []),
    ],
)
def test_a_codebook_that_says_next_to_nothing_is_said_to_have_collapsed(rows, said):
    found = collapse(usage(*rows))
    assert len(found) == bool(said)
    for part in said:
        assert part in found[0]
    if said:
        assert f"the codebook of {len(rows[0])} codes has collapsed: {said[0]}" in found[0]
        assert "Try a lower optimizer.lr" in found[0]
