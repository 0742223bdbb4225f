"""Rows of segments: what a pick writes, what is read of the averages, where gradients go."""

import numpy as np
import pytest
import torch

from cmg.codebook.ema import mixed_features
from cmg.codebook.kinds import build_quantizer, of_kind
from cmg.codebook.reset import random_reset
from cmg.codebook.tied import TiedOptions, aligned, segment_contrast
from cmg.config.load import load_config
from cmg.errors import ConfigError
from cmg.types import Steps

NAMES, D, K = ("video", "audio", "text", "touch"), 3, 5
ROWS = {"kind": "tied", "size": K, "heads": "row", "gradient": "row", "writes": "segment"}
AS_CODED = {"own_weight": 3.0, "smoothing": True, "initial_count": 0.0}


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def make(modalities, **more):
    """A codebook in float64 with a row per whole number, its segments a little apart."""
    given = ROWS | {"start": "uniform", "reset": {"enabled": False}} | more
    book = build_quantizer(NAMES[:modalities], D, of_kind(given), chance()).double()
    book.codes.copy_(torch.randn(book.codes.shape, generator=chance(1), dtype=torch.float64))
    book.counts.copy_(torch.rand(book.counts.shape, generator=chance(2), dtype=torch.float64) + 0.5)
    book.sums.copy_(book.codes * book.counts[..., None])
    return book


def features(modalities, clips=4, steps=6, seed=3):
    shape = (clips, steps, D)
    return {
        m: torch.randn(shape, generator=chance(seed + i), dtype=torch.float64)
        for i, m in enumerate(NAMES[:modalities])
    }


def ragged(modalities):
    """Some steps of some clips, and a clip without its last modality."""
    lengths = {m: torch.tensor([6, 4, 1, 5]) for m in NAMES[:modalities]}
    lengths[NAMES[modalities - 1]] = torch.tensor([3, 6, 0, 6])
    return Steps(4, 6, lengths)


def exists(steps, m, b, t):
    return steps.lengths is None or t < int(steps.lengths[m][b])


def after_by_loops(book, z, steps, alignment):
    """One step of moving averages and what is read of them, token by token."""
    names, options = list(z), book.options.ema
    found = []
    for row, m in enumerate(names):
        counts, sums = book.counts[row].numpy() * 0.99, book.sums[row].numpy() * 0.99
        for b in range(4):
            for t in range(6):
                if not exists(steps, m, b, t):
                    continue
                own = z[m][b, t].numpy()
                k = int(((book.codes[row].numpy() - own) ** 2).sum(1).argmin())
                others = [z[n][b, t].numpy() for n in names if n != m and exists(steps, n, b, t)]
                counts[k] += 0.01
                sums[k] += 0.01 * (3 * own + sum(others)) / (3 + len(others))
        if options.smoothing:
            counts = (counts + 1e-5) / (counts.sum() + K * 1e-5) * counts.sum()
        found.append(sums / counts[:, None])
    if alignment == "sequential":
        for row in reversed(range(len(found))):
            found[row] = sum(found) / len(found)
    if alignment == "mean":
        middle = sum(found) / len(found)
        found = [(x + middle) / 2 for x in found]
    return torch.from_numpy(np.stack(found))


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("some_missing", [False, True])
@pytest.mark.parametrize("alignment", ["none", "mean", "sequential"])
@pytest.mark.parametrize("smoothing", [False, True])
def test_a_pick_of_its_own_segment_equals_loops(modalities, some_missing, alignment, smoothing):
    book = make(modalities, alignment=alignment, ema={"own_weight": 3.0, "smoothing": smoothing})
    z = features(modalities)
    steps = ragged(modalities) if some_missing else Steps(4, 6)
    wanted = after_by_loops(book, z, steps, alignment)
    book.update(book.lookup(z, steps))
    torch.testing.assert_close(book.codes, wanted, rtol=1e-12, atol=1e-12)


def test_own_weight_by_hand():
    """Two modalities 3/4 and 1/4, three 3/5, 1/5 and 1/5; alone a feature is itself."""
    z = {m: torch.full((1, 3, 1), float(10**i)) for i, m in enumerate(NAMES[:3])}
    steps = Steps(
        1,
        3,
        {"video": torch.tensor([3]), "audio": torch.tensor([2]), "text": torch.tensor([1])},
    )
    mixed = mixed_features(z, steps, "aligned", 3.0)
    assert mixed["video"].flatten().tolist() == pytest.approx([113 / 5, 13 / 4, 1.0])
    assert mixed["audio"].flatten()[:2].tolist() == pytest.approx([131 / 5, 31 / 4])


@pytest.mark.parametrize(
    ("how", "shares"),
    [
        ("none", [[1, 0], [0, 1]]),
        ("mean", [[3 / 4, 1 / 4], [1 / 4, 3 / 4]]),
        ("sequential", [[3 / 4, 1 / 4], [1 / 2, 1 / 2]]),
        ("mean", [[2 / 3, 1 / 6, 1 / 6], [1 / 6, 2 / 3, 1 / 6], [1 / 6, 1 / 6, 2 / 3]]),
        (
            "sequential",
            [[16 / 27, 7 / 27, 4 / 27], [4 / 9, 4 / 9, 1 / 9], [1 / 3, 1 / 3, 1 / 3]],
        ),
    ],
)
def test_what_is_read_of_a_row(how, shares):
    """Shares of the row's averages: of 3/4 and 1/4, the first segment keeps most of itself."""
    averages = torch.eye(len(shares), dtype=torch.float64)[:, None]
    torch.testing.assert_close(
        aligned(averages, how)[:, 0], torch.tensor(shares, dtype=torch.float64)
    )


@pytest.mark.parametrize("alignment", ["mean", "sequential"])
@pytest.mark.parametrize("there", [3, 2, 1])
def test_alignment_does_not_add_up(alignment, there):
    """After any number of steps the codes are a function of the averages, those of modalities
    that the steps have not included."""
    book, z = make(3, alignment=alignment), features(3)
    some = {m: z[m] for m in NAMES[:there]}
    for _ in range(4):
        book.update(book.lookup(some))
        averages = book.sums / book.counts[..., None]
        torch.testing.assert_close(book.codes, aligned(averages, alignment))


def test_a_modality_that_was_never_seen_divides_nothing_by_nothing():
    book = make(2, alignment="sequential", ema=AS_CODED)
    for buffer in (book.counts, book.sums):
        buffer.zero_()
    for _ in range(2):
        book.update(book.lookup({"audio": features(2)["audio"]}))
        assert bool(book.codes.isfinite().all())


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("some_missing", [False, True])
def test_a_row_s_gradient_reaches_every_feature_of_the_step(modalities, some_missing):
    book = make(modalities)
    z = {m: x.requires_grad_() for m, x in features(modalities).items()}
    steps = ragged(modalities) if some_missing else Steps(4, 6)
    quantized = book.lookup(z, steps)
    weights = {m: torch.randn(4, 6, modalities * D, generator=chance(7)).double() for m in z}
    for m, x in quantized.vectors.items():
        torch.testing.assert_close(x, book.vectors(m, quantized.indices[m]))
    torch.stack([(x * weights[m]).sum() for m, x in quantized.vectors.items()]).sum().backward()
    for place, m in enumerate(z):
        own = sum(w[..., place * D : (place + 1) * D] for w in weights.values())
        for b in range(4):
            for t in range(6):
                wanted = own[b, t] if exists(steps, m, b, t) else torch.zeros(D).double()
                torch.testing.assert_close(z[m].grad[b, t], wanted)


def test_single_features_and_single_modalities_have_rows_too():
    book = make(3)
    z = {m: x[:, 0].clone().requires_grad_() for m, x in features(3).items()}
    steps = Steps(4, 1, {m: torch.tensor([1, 1, 0, 1]) for m in NAMES[:3]})
    rows = book.lookup(z, steps).vectors["audio"]
    assert rows.shape == (4, 3 * D)
    rows.sum().backward()
    assert z["text"].grad[:, 0].tolist() == [1.0, 1.0, 0.0, 1.0]
    alone = book.lookup({"audio": z["audio"]})
    torch.testing.assert_close(alone.vectors["audio"], rows)
    assert torch.autograd.grad(alone.vectors["audio"].sum(), z["audio"])[0].eq(1.0).all()


@pytest.mark.parametrize(("reseed", "kept"), [(False, False), (True, True)])
def test_a_row_that_restarts_lasts_where_its_averages_restart(reseed, kept):
    """As coded only what is read of the averages changes, and the next step reads them again."""
    reset = {"patience": 1, "active": 1, "noise": 0.0, "reseed_stats": reseed}
    book = make(2, alignment="mean", reset=reset)
    book.codes.copy_(torch.arange(K)[None, :, None] * 10.0)
    book.sums.copy_(book.codes * book.counts[..., None])
    book.idle.copy_(torch.tensor([[0, 0, 5, 0, 0]] * 2))
    z = {m: torch.zeros(1, 1, D).double() for m in NAMES[:2]}  # picks row 0, the one that is active
    book.update(book.lookup(z), random_reset(chance(), 0.0))
    torch.testing.assert_close(book.codes[:, 2], book.codes[:, 0])
    assert book.idle[:, 2].tolist() == [0, 0]
    book.update(book.lookup(z), random_reset(chance(), 0.0))
    near = book.codes[:, 0] if kept else torch.full((2, D), 20.0).double()
    torch.testing.assert_close(book.codes[:, 2], near, rtol=0.0, atol=1e-6)


def test_segments_start_and_restart_apart():
    book = build_quantizer(NAMES[:2], D, of_kind(ROWS | {"start": "uniform", "apart": True}))
    assert not torch.equal(book.codes[0], book.codes[1])
    assert 0.5 / K < book.codes.abs().max() <= 1 / K
    assert torch.equal(book.sums, book.codes)
    book.idle.copy_(torch.tensor([[0, 0, 999, 999, 0]] * 2))
    noise = torch.arange(2.0 * 2 * D).view(2, 2 * D)
    before = book.codes.clone()

    def draw(resets, sources, width):
        assert (resets, sources, width) == (2, 3, 2 * D)
        return torch.tensor([0, 2]), noise

    quantized = book.lookup({m: torch.zeros(1, 1, D) for m in NAMES[:2]})
    quantized.indices = {m: torch.tensor([[0]]) for m in NAMES[:2]}
    book.revive(quantized, draw)
    for place, (code, source) in enumerate([(2, 0), (3, 4)]):
        wanted = before[:, source] + noise[place].view(2, D)
        torch.testing.assert_close(book.codes[:, code], wanted)


def test_normal_noise():
    _, noise = random_reset(chance(), 0.001, "normal")(4000, 7, 3)
    assert noise.std().item() == pytest.approx(0.001, rel=0.05)
    assert noise.abs().max() > 0.003  # no uniform noise of that spread reaches it


def contrast_by_loops(segments):
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in segments]
    pairs = []
    for a in range(len(unit)):
        for b in range(a + 1, len(unit)):
            score = unit[a] @ unit[b].T / 0.1
            rows = [np.log(np.exp(s).sum()) - s[k] for k, s in enumerate(score)]
            pairs.append(np.mean(rows))
    return 0.5 * np.mean(pairs)


@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_the_contrast_of_segments_is_logged_where_rows_are_aligned(modalities):
    book = make(modalities, alignment="mean")
    wanted = contrast_by_loops(book.codes.numpy())
    assert segment_contrast(book.codes).item() == pytest.approx(wanted)
    z = features(modalities)
    assert book.measures(book.lookup(z))["segment_contrast"].item() == pytest.approx(wanted)
    plain = make(modalities)
    assert "segment_contrast" not in plain.measures(plain.lookup(z))
    alone = make(1, alignment="mean")
    assert "segment_contrast" not in alone.measures(alone.lookup(features(1)))


def test_a_row_s_gradient_needs_rows():
    with pytest.raises(ValueError, match="gradient=row is of whole rows; set heads=row as well"):
        TiedOptions(gradient="row")
    overrides = ["model.codebook.kind=tied", "model.codebook.gradient=row"]
    with pytest.raises(ConfigError, match="set heads=row as well"):
        load_config("digits", overrides)
