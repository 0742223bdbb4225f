"""MM-EMA: every number by hand on a small case, then against loops over tokens."""

import math

import numpy as np
import pytest
import torch

from cmg.codebook import CodebookOptions, SharedCodebook
from cmg.codebook.ema import attend
from cmg.types import Steps

CODES = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
AUDIO = torch.tensor([[[1.0, 0.0], [3.0, 1.0]]], dtype=torch.float64)  # codes 0 and 1
VIDEO = torch.tensor([[[0.0, 1.0], [1.0, 3.0]]], dtype=torch.float64)  # codes 0 and 2
# Half own, half partner: both modalities write (0.5, 0.5) at step 0 and (2, 2) at step 1.

HALF = {"decay": 0.5, "epsilon": 0.5}


def moved(book, z, lengths=None):
    some = next(iter(z.values()))
    quantized = book.lookup(z, Steps(some.shape[0], some.shape[1], lengths))
    book.accumulate(quantized)
    return book.counts.numpy(), book.sums.numpy(), book.codes.numpy(), quantized


SEQUENTIAL, JOINT = {"update": "sequential"}, {"update": "joint"}
ZERO, ONE = {"initial_count": 0.0}, {"initial_count": 1.0}
SMOOTH, APART = {"smoothing": True}, {"partner": "none"}
ORDER = ("audio", "video")


@pytest.mark.parametrize(
    ("ema", "order", "wanted"),
    [
        # As coded. Audio picks 0, 1: N = (.5, .5, 0), smoothed (1, 1, .5) / 2.5 * 1 = (.4, .4, .2).
        # Video picks 0, 2: N = (.2 + .5, .2, .1 + .5) = (.7, .2, .6), sum 1.5,
        # smoothed (1.2, .7, 1.1) / 3 * 1.5 = (.6, .35, .55).
        # O after audio: ((.25, .25), (3, 1), (0, 2)),
        # after video ((.375, .375), (1.5, .5), (1, 2)).
        (
            SEQUENTIAL | SMOOTH | ZERO,
            ORDER,
            {
                "counts": [0.6, 0.35, 0.55],
                "sums": [[0.375, 0.375], [1.5, 0.5], [1, 2]],
                "codes": [[0.625, 0.625], [30 / 7, 10 / 7], [20 / 11, 40 / 11]],
            },
        ),
        # Video first, whatever the order in the batch:
        # N = (.5, 0, .5) -> (.4, .2, .4) -> (.7, .6, .2) -> (.6, .55, .35).
        (
            SEQUENTIAL | SMOOTH | ZERO,
            ORDER[::-1],
            {"counts": [0.6, 0.55, 0.35], "sums": [[0.375, 0.375], [2, 1], [0.5, 1.5]]},
        ),
        # From N = 1: audio (1, 1, .5), video (1, .5, .75); O as above.
        (
            SEQUENTIAL | ONE,
            ORDER,
            {
                "counts": [1, 0.5, 0.75],
                "sums": [[0.375, 0.375], [1.5, 0.5], [1, 2]],
                "codes": [[0.375, 0.375], [3, 1], [4 / 3, 8 / 3]],
            },
        ),
        # Counts (2, 1, 1) at once: N = .5 + .5 n = (1.5, 1, 1), O = .5 codes + .5 sums.
        (
            JOINT | ONE,
            ORDER,
            {
                "counts": [1.5, 1, 1],
                "sums": [[0.5, 0.5], [3, 1], [1, 3]],
                "codes": [[1 / 3, 1 / 3], [3, 1], [1, 3]],
            },
        ),
        # As coded O starts at the codes even where N starts at 0, so codes 1 and 2 double.
        (JOINT | ZERO, ORDER, {"counts": [1, 0.5, 0.5], "codes": [[0.5, 0.5], [6, 2], [2, 6]]}),
        # N = (1.5, 1, 1), sum 3.5: (2, 1.5, 1.5) / 5 * 3.5 = (1.4, 1.05, 1.05).
        (JOINT | SMOOTH | ONE, ORDER, {"counts": [1.4, 1.05, 1.05]}),
        # Each modality writes itself: O = .5 codes + .5 of (1, 0) + (0, 1), (3, 1), (1, 3).
        (
            JOINT | ONE | APART,
            ORDER,
            {
                "counts": [1.5, 1, 1],
                "sums": [[0.5, 0.5], [3.5, 0.5], [0.5, 3.5]],
                "codes": [[1 / 3, 1 / 3], [3.5, 0.5], [0.5, 3.5]],
            },
        ),
    ],
)
def test_one_step_by_hand(make_codebook, ema, order, wanted):
    book = make_codebook(CODES, modalities=order, ema=ema | HALF)
    assert book.counts.tolist() == [ema["initial_count"]] * 3
    assert torch.equal(book.sums, CODES)
    counts, sums, codes, found = moved(book, {"audio": AUDIO, "video": VIDEO})
    assert (found.indices["audio"].tolist(), found.indices["video"].tolist()) == (
        [[0, 1]],
        [[0, 2]],
    )
    moved_to = {"counts": counts, "sums": sums, "codes": codes}
    for name, expected in wanted.items():
        np.testing.assert_allclose(moved_to[name], expected, rtol=1e-14)


def test_one_step_of_one_modality_by_hand(make_codebook):
    """Video ends after step 0: audio's step 1 has no partner and is written as it is, (3, 1)."""
    book = make_codebook(CODES, ema=JOINT | ONE | HALF)
    lengths = {"audio": torch.tensor([2]), "video": torch.tensor([1])}
    counts, sums, _, _ = moved(book, {"audio": AUDIO, "video": VIDEO}, lengths)
    np.testing.assert_allclose(counts, [1.5, 1, 0.5], rtol=1e-14)
    np.testing.assert_allclose(sums, [[0.5, 0.5], [3.5, 0.5], [0, 2]], rtol=1e-14)


def test_cross_attention_by_hand():
    """sqrt(D) = 2; scores 2 ln 3 and 0 over 2 give ln 3 and 0: weights 3/4 and 1/4."""
    query = torch.tensor([[[math.log(3.0), 0.0, 0.0, 0.0]]], dtype=torch.float64)
    partner = torch.tensor([[[2.0, 0.0, 4.0, 0.0], [0.0, 8.0, 0.0, 0.0]]], dtype=torch.float64)
    attended = attend(query, partner, None)
    np.testing.assert_allclose(attended[0, 0].numpy(), [1.5, 2, 3, 0], rtol=1e-14)
    first_only = attend(query, partner, torch.tensor([[True, False]]))
    assert first_only[0, 0].tolist() == [2, 0, 4, 0]
    assert attend(query, partner, torch.tensor([[False, False]]))[0, 0].tolist() == [0, 0, 0, 0]


# ---- against loops over tokens ------------------------------------------------------------------


def mixed_by_loops(z, lengths, partner):
    """METHOD section 4: half own, the rest shared by the partners that exist."""
    mixed = {}
    for m in z:
        mixed[m] = z[m].copy()
        clips, steps, width = z[m].shape
        for b in range(clips if partner != "none" else 0):
            for t in range(min(steps, lengths[m][b])):
                partners = []
                for n in z:
                    there = lengths[n][b]
                    if n == m or there == 0:
                        continue
                    if partner == "aligned":
                        if t < there:
                            partners.append(z[n][b, t])
                        continue
                    scores = [z[m][b, t] @ z[n][b, s] / math.sqrt(width) for s in range(there)]
                    weights = [math.exp(s - max(scores)) for s in scores]
                    read = sum(w * z[n][b, s] for s, w in enumerate(weights)) / sum(weights)
                    partners.append(read)
                if partners:
                    others = sum(partners) / (2 * len(partners))
                    mixed[m][b, t] = 0.5 * z[m][b, t] + others
    return mixed


def step_by_loops(state, z, lengths, options, order):
    """One MM-EMA step on (counts, sums, codes), as in METHOD section 4."""
    counts, sums, codes = (x.copy() for x in state)
    size = len(codes)
    mixed = mixed_by_loops(z, lengths, options["partner"])
    batches = []
    for m in order:
        if m not in z or not any(lengths[m]):
            continue
        n, o = np.zeros(size), np.zeros_like(sums)
        for b in range(z[m].shape[0]):
            for t in range(lengths[m][b]):
                i = ((codes - z[m][b, t]) ** 2).sum(1).argmin()
                n[i] += 1
                o[i] += mixed[m][b, t]
        batches.append((n, o))
    if options["update"] == "joint":
        batches = [(sum(n for n, _ in batches), sum(o for _, o in batches))]
    gamma, epsilon = options["decay"], options["epsilon"]
    for n, o in batches:
        counts = gamma * counts + (1 - gamma) * n
        if options["smoothing"]:
            total = counts.sum()
            counts = (counts + epsilon) / (total + size * epsilon) * total
        sums = gamma * sums + (1 - gamma) * o
    return counts, sums, sums / counts[:, None]


def some_features(names, clips, steps, width, seed):
    g = torch.Generator().manual_seed(seed)
    shape = (clips, steps, width)
    return {m: torch.randn(shape, generator=g, dtype=torch.float64) for m in names}


LENGTHS = {
    "audio": [4, 2, 0, 3],
    "video": [4, 4, 1, 0],
    "text": [1, 0, 4, 2],
    "eeg": [0, 3, 2, 2],
}


@pytest.mark.parametrize("partner", ["aligned", "cross_attention", "none"])
@pytest.mark.parametrize("update", ["sequential", "joint"])
@pytest.mark.parametrize("smoothing", [True, False])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_three_steps_equal_loops(partner, update, smoothing, ragged, modalities):
    names = ["audio", "video", "text", "eeg"][:modalities]
    ema = {
        "decay": 0.9,
        "epsilon": 1e-5,
        "partner": partner,
        "update": update,
        "smoothing": smoothing,
        "initial_count": 1.0,
    }
    options = CodebookOptions.model_validate({"size": 6, "ema": ema})
    book = SharedCodebook(names, 3, options, torch.Generator().manual_seed(0)).double()
    state = tuple(x.numpy().copy() for x in (book.counts, book.sums, book.codes))
    for step in range(3):
        z = some_features(names, 4, 4, 3, seed=step)
        told = {m: torch.tensor(LENGTHS[m]) for m in names} if ragged else None
        counts, sums, codes, _ = moved(book, z, told)
        lengths = {m: LENGTHS[m] if ragged else [4] * 4 for m in names}
        arrays = {m: x.numpy() for m, x in z.items()}
        state = step_by_loops(state, arrays, lengths, ema, names)
        for found, expected in zip((counts, sums, codes), state, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)


# ---- laws ---------------------------------------------------------------------------------------


def after(order, update, z):
    ema = {"update": update, "decay": 0.5}
    options = CodebookOptions.model_validate({"size": 5, "ema": ema})
    book = SharedCodebook(order, 3, options, torch.Generator().manual_seed(0)).double()
    moved(book, {m: z[m] for m in order})
    return book.codes


def test_the_sequential_update_depends_on_the_order_and_the_joint_one_does_not():
    z = some_features(["audio", "video", "text"], 4, 3, 3, seed=4)
    orders = [("audio", "video", "text"), ("text", "audio", "video"), ("video", "text", "audio")]
    first, *others = (after(order, "joint", z) for order in orders)
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-13, atol=1e-15)
    one, other = (after(order, "sequential", z) for order in orders[:2])
    assert (one - other).abs().max() > 1e-2


def run_beside_an_unused_code(book, steps):
    """Token 0 is on code 0; code 1 is far off and never picked."""
    z = {m: torch.zeros(1, 4, 2) for m in book.modalities}
    quantized = book.lookup(z, Steps(1, 4))
    for _ in range(steps):
        book.accumulate(quantized)


@pytest.mark.parametrize("update", ["sequential", "joint"])
@pytest.mark.parametrize("initial", [0.0, 1.0])
def test_unused_code_stays_without_smoothing(make_codebook, update, initial):
    """5000 steps take N of code 1 to 1.5e-22 (joint) or 2e-44, below float32, and to 0 after."""
    codes = torch.tensor([[0.0, 0.0], [30.0, -40.0]])
    ema = {"update": update, "smoothing": False, "initial_count": initial}
    book = make_codebook(codes, ema=ema)
    run_beside_an_unused_code(book, 5000)
    torch.testing.assert_close(book.codes, codes, rtol=1e-4, atol=0)
    assert torch.isfinite(book.sums).all()
    z = {m: torch.full((1, 4, 2), 21.0) for m in book.modalities}
    z = {m: x * torch.tensor([1.0, -1.0]) for m, x in z.items()}
    book.accumulate(book.lookup(z, Steps(1, 4)))
    torch.testing.assert_close(book.codes[1], torch.tensor([21.0, -21.0]), rtol=1e-5, atol=0)


@pytest.mark.parametrize("initial", [0.0, 1e-6])
def test_code_without_counts_goes_to_its_first_tokens(make_codebook, initial):
    """Nothing of where it started is left in O, though as coded O starts at the codes."""
    codes = torch.tensor([[0.0, 0.0], [30.0, -40.0]])
    book = make_codebook(codes, ema={"smoothing": False, "initial_count": initial})
    run_beside_an_unused_code(book, 1)
    z = {m: torch.tensor([[[21.0, -21.0]]]) for m in book.modalities}
    book.accumulate(book.lookup(z, Steps(1, 1)))
    torch.testing.assert_close(book.codes[1], torch.tensor([21.0, -21.0]), rtol=1e-3, atol=0)


def test_unused_code_goes_to_the_origin_with_smoothing(make_codebook):
    """METHOD section 9: its sum decays and smoothing holds its count up."""
    codes = torch.tensor([[0.0, 0.0], [30.0, -40.0]])
    ema = {"update": "sequential", "smoothing": True, "initial_count": 0.0}
    book = make_codebook(codes, ema=ema)
    run_beside_an_unused_code(book, 1)
    assert book.codes[1].norm() > 1e4  # explodes at once: sum over almost nothing
    run_beside_an_unused_code(book, 1500)
    assert book.codes[1].norm() < 1e-3
