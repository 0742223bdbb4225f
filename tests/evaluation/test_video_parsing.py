"""Scores of audio-visual video parsing: by hand, against loops, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmg.errors import DataError
from cmg.evaluation.metrics import step_metrics
from cmg.evaluation.video_parsing import (
    event_counts,
    events_of,
    one_class,
    parsed,
    parsing_scores,
    video_f1,
)

KINDS = ("audio", "visual")


def cells(*rows):
    """Rows of 0 and 1 as classes of one video, bool [1, C, T]."""
    return torch.tensor([[[int(x) for x in row] for row in rows]]).bool()


def runs_in_a_loop(row):
    found, start = [], None
    for t, x in enumerate([*row, 0]):
        if x and start is None:
            start = t
        if not x and start is not None:
            found.append((start, t))
            start = None
    return found


def counts_in_a_loop(found, true, match):
    pairs = [
        (a, b)
        for a in runs_in_a_loop(found)
        for b in runs_in_a_loop(true)
        if len({*range(*a)} & {*range(*b)}) >= match * len({*range(*a)} | {*range(*b)})
    ]
    hits = len({a for a, _ in pairs})
    missed = len(runs_in_a_loop(true)) - len({b for _, b in pairs})
    return [hits, len(runs_in_a_loop(found)) - hits, missed]


def f1_in_a_loop(counts):
    scores = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in counts if tp + fp + fn]
    return sum(scores) / len(scores) if scores else 1.0


@st.composite
def videos(draw):
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 12)))
    seed = draw(st.integers(0, 10_000))
    rate = draw(st.sampled_from([0.0, 0.3, 0.6, 1.0]))
    return torch.rand(4, *shape, generator=torch.Generator().manual_seed(seed)) < rate


@given(videos(), st.sampled_from([0.5, 0.75]))
def test_scores_are_those_of_loops(drawn, match):
    found = dict(zip(KINDS, drawn[:2], strict=True))
    true = dict(zip(KINDS, drawn[2:], strict=True))
    scores = parsing_scores(found, true, match)
    for n in range(drawn.shape[1]):
        of = {m: [found[m][n], true[m][n]] for m in KINDS}
        of["av"] = [found["audio"][n] & found["visual"][n], true["audio"][n] & true["visual"][n]]
        segment = {
            m: [
                [int((p & g).sum()), int((p & ~g).sum()), int((~p & g).sum())]
                for p, g in zip(*x, strict=True)
            ]
            for m, x in of.items()
        }
        event = {
            m: [counts_in_a_loop(p.tolist(), g.tolist(), match) for p, g in zip(*x, strict=True)]
            for m, x in of.items()
        }
        for level, counts in ((scores.segment, segment), (scores.event, event)):
            expected = {m: f1_in_a_loop(x) for m, x in counts.items()}
            pooled = [
                [a + b for a, b in zip(*pair, strict=True)]
                for pair in zip(counts["audio"], counts["visual"], strict=True)
            ]
            assert level["audio"][n] == pytest.approx(expected["audio"])
            assert level["visual"][n] == pytest.approx(expected["visual"])
            assert level["audio_visual"][n] == pytest.approx(expected["av"])
            assert level["type"][n] == pytest.approx(sum(expected.values()) / 3)
            assert level["event"][n] == pytest.approx(f1_in_a_loop(pooled))


@given(videos())
def test_events_are_counted_as_in_loops_at_any_overlap(drawn):
    found, true = drawn[0], drawn[1]
    for match in (0.1, 0.5, 0.9, 1.0):
        counts = event_counts(found, true, match).flatten(0, 1)
        rows = zip(found.flatten(0, 1).tolist(), true.flatten(0, 1).tolist(), strict=True)
        assert counts.tolist() == [counts_in_a_loop(*row, match) for row in rows]


@given(videos())
def test_laws(drawn):
    found = dict(zip(KINDS, drawn[:2], strict=True))
    true = dict(zip(KINDS, drawn[2:], strict=True))
    assert set(parsing_scores(true, true).percent().values()) == {100.0}
    scores, swapped = parsing_scores(found, true), parsing_scores(true, found)
    for kind, value in scores.segment.items():  # seconds: F1 does not know which is the truth
        assert torch.allclose(value, swapped.segment[kind])
    turned = {m: x.flip(-1) for m, x in found.items()}, {m: x.flip(-1) for m, x in true.items()}
    assert parsing_scores(*turned).percent() == pytest.approx(scores.percent())
    longer = [{m: torch.nn.functional.pad(x, (0, 3)) for m, x in y.items()} for y in (found, true)]
    assert parsing_scores(*longer).percent() == pytest.approx(scores.percent())
    assert events_of(found["audio"].flatten(0, 1)).tolist() == [
        [i, *run]
        for i, row in enumerate(found["audio"].flatten(0, 1).tolist())
        for run in runs_in_a_loop(row)
    ]


def test_by_hand():
    found = cells("1111000000", "0000000000", "0000000001")
    true = cells("0011111100", "0000000000", "0000000001")
    # Class 0: two seconds right, two wrong, four missed; runs overlap by 2 of 8 seconds.
    scores = parsing_scores(dict.fromkeys(KINDS, found), dict.fromkeys(KINDS, true))
    assert scores.segment["audio"].tolist() == [pytest.approx((4 / 10 + 1) / 2)]
    assert scores.event["audio"].tolist() == [pytest.approx((0 + 1) / 2)]
    half = cells("1111110000"), cells("0011000000")  # 2 of 6; and then exactly a half
    assert event_counts(*half).tolist() == [[[0, 1, 1]]]
    assert event_counts(cells("1111000000"), cells("0011000000")).tolist() == [[[1, 0, 0]]]
    empty = cells("0000000000")
    assert video_f1(event_counts(empty, empty)).tolist() == [1.0]
    assert video_f1(event_counts(cells("0100000000"), empty)).tolist() == [0.0]


def test_heads_are_read_by_video_and_background_is_no_event():
    logits = torch.full((2, 4, 3), -9.0)
    targets = torch.zeros(2, 4, 3)
    logits[0, :2, 0], targets[0, :, 0] = 0.0, 1.0  # from 0.5 on: a half of four seconds
    logits[1, :, 2], targets[1, :, 2] = 9.0, 1.0  # background everywhere, rightly
    found = step_metrics(logits, targets, False)
    assert found["segment_f1"] == pytest.approx(100 * (2 * 2 / (2 * 2 + 2) + 1) / 2)
    assert found["event_f1"] == pytest.approx(100.0)  # 2 of 4 seconds is a match
    targets[0, 3] = -1.0  # does not count: two of three
    assert step_metrics(logits, targets, False)["segment_f1"] == pytest.approx(
        100 * (4 / 5 + 1) / 2
    )


def test_a_video_filters_its_seconds():
    steps = torch.tensor([[[0.5, 0.9], [0.4, 1.3]]])
    clips = torch.tensor([[0.5, 0.4]])
    assert parsed(steps, clips).tolist() == [[[True, False], [False, False]]]
    assert parsed(steps, torch.tensor([[0.4, 2.0]])).tolist() == [[[False, False], [True, True]]]
    assert one_class(torch.tensor([[0.0, 0.1]]), torch.tensor([[1.0, 2.0]]), 7).tolist() == [[7, 1]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"visual": torch.zeros(2, 3, 9)}, r"\[2, 3, 10\] of audio and \[2, 3, 9\] of visual"),
        ({"audio": torch.zeros(2, 3), "visual": torch.zeros(2, 3)}, "videos, classes, seconds"),
        ({"audio": torch.full((2, 3, 10), 0.7)}, "expected 0 and 1"),
        ({"audio": torch.full((2, 3, 10), torch.nan)}, "expected 0 and 1"),
        ({"heard": torch.zeros(2, 3, 10)}, "'audio' and 'visual'"),
        ({m: torch.zeros(2, 4, 10) for m in KINDS}, "must be alike"),
        ({m: torch.zeros(0, 3, 10) for m in KINDS}, "videos, classes, seconds"),
    ],
)
def test_what_is_no_answer_is_refused(change, said):
    true = {m: torch.zeros(2, 3, 10) for m in KINDS}
    with pytest.raises(DataError, match=said):
        parsing_scores({**true, **change}, true)
    with pytest.raises(DataError, match="NaN"):
        parsed(torch.full((1, 2, 3), torch.nan), torch.zeros(1, 3))
    with pytest.raises(DataError, match=r"\[1, 2, 3\] and \[1, 2\]"):
        parsed(torch.zeros(1, 2, 3), torch.zeros(1, 2))
