"""Code reset: thresholds, rules, sources, and what becomes of a reset code."""

import pytest
import torch

from cmg.codebook import random_reset
from cmg.codebook.reset import idle_after, idle_by_rule
from cmg.errors import ConfigError


def recorded(picks, noise=0.0):
    """A draw with chosen sources; it keeps what it was asked for."""
    asked = []

    def draw(resets, sources, width):
        asked.append((resets, sources, width))
        return torch.tensor(picks), torch.full((resets, width), noise)

    draw.asked = asked
    return draw


def refused(resets, sources, width):
    raise AssertionError(f"nothing should be drawn, asked for {resets} of {sources}")


def line(size, width=2):
    """Codes (i, 10 i)."""
    return torch.arange(float(size))[:, None] * torch.tensor([1.0, 10.0])[:width]


def picks(*codes):
    return {"audio": torch.tensor([codes]), "video": torch.tensor([codes])}


def test_counters_by_hand():
    idle = torch.tensor([[-1, -1, 5, 7], [-1, 0, 2, 299]])
    picked = torch.tensor([[True, False, False, True], [False, False, True, False]])
    after = idle_after(idle, picked, [True, True])
    assert after.tolist() == [[0, 0, 6, 0], [0, 1, 0, 300]]
    assert idle_by_rule(after, "any").tolist() == [0, 0, 0, 0]
    assert idle_by_rule(after, "all").tolist() == [0, 1, 6, 300]


def test_patience_is_exact(make_codebook, make_quantized):
    """Counters 299, 300, 301 after this step's += 1: only the last is beyond 300."""
    book = make_codebook(line(4))
    book.idle.copy_(torch.tensor([[298, 299, 300, 50]] * 2))
    draw = recorded([0], noise=0.5)
    book.revive(make_quantized(picks(3)), draw)
    assert draw.asked == [(1, 1, 2)]
    assert book.idle.tolist() == [[299, 300, 0, 0]] * 2
    assert book.codes.tolist() == [[0, 0], [1, 10], [3.5, 30.5], [3, 30]]


def test_source_threshold_is_exact(make_codebook, make_quantized):
    """Counters 98, 99, 100 after the step: the first two are sources, and so is code 4, picked."""
    book = make_codebook(line(5))
    book.idle.copy_(torch.tensor([[97, 98, 99, 300, 250]] * 2))
    draw = recorded([1])
    book.revive(make_quantized(picks(4)), draw)
    assert draw.asked == [(1, 3, 2)]
    assert book.codes[3].tolist() == [1, 10]  # sources in order: codes 0, 1, 4
    assert book.idle.tolist() == [[98, 99, 100, 0, 0]] * 2


def test_counters_start_below_zero(make_codebook, make_quantized):
    """After the first step every counter is 0, so a fresh codebook is all source."""
    book = make_codebook(line(4))
    assert book.idle.tolist() == [[-1] * 4] * 2
    book.revive(make_quantized(picks(0)), refused)
    assert book.idle.tolist() == [[0, 0, 0, 0]] * 2


def test_every_reset_code_has_its_own_source_and_noise(make_codebook, make_quantized):
    book = make_codebook(line(5), reset={"patience": 3, "active": 2})
    book.idle.copy_(torch.tensor([[3, 3, 3, 0, 0]] * 2))

    def draw(resets, sources, width):
        assert (resets, sources, width) == (3, 2, 2)
        return torch.tensor([1, 0, 1]), torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])

    book.revive(make_quantized(picks(3)), draw)
    expected = torch.tensor([[4.1, 40.2], [3.3, 30.4], [4.5, 40.6]])
    torch.testing.assert_close(book.codes[:3], expected)


def test_any_keeps_a_code_that_one_modality_picks(make_codebook, make_quantized):
    book = make_codebook(line(3), reset={"patience": 2, "active": 1, "rule": "any"})
    for _ in range(6):
        indices = {"audio": torch.tensor([[0, 1]]), "video": torch.tensor([[0, 0]])}
        book.revive(make_quantized(indices), recorded([0]))
    assert book.codes[1].tolist() == [1, 10]
    assert book.codes[2].tolist() == [0, 0]  # nobody's: restarted at a source
    assert book.idle[:, 0].tolist() == [0, 0]
    assert book.idle[0, 1] == 0
    assert book.idle[1, 1] == 5


def test_all_restarts_a_code_that_one_modality_leaves_alone(make_codebook, make_quantized):
    book = make_codebook(line(3), reset={"patience": 2, "active": 1, "rule": "all"})
    indices = {"audio": torch.tensor([[0, 1]]), "video": torch.tensor([[0, 2]])}
    for _ in range(3):
        book.revive(make_quantized(indices), refused)
    assert book.idle.tolist() == [[0, 0, 2], [0, 2, 0]]
    draw = recorded([0, 0])
    book.revive(make_quantized(indices), draw)
    assert draw.asked == [(2, 1, 2)]
    assert book.codes.tolist() == [[0, 0], [0, 0], [0, 0]]
    assert book.idle.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_padding_picks_nothing(make_codebook, make_quantized):
    """Code 2 stands at a step, code 1 in a clip, that does not exist."""
    book = make_codebook(line(3))
    indices = {"audio": torch.tensor([[0, 2], [1, 1]]), "video": torch.tensor([[0, 2], [1, 1]])}
    lengths = {"audio": torch.tensor([1, 0]), "video": torch.tensor([1, 0])}
    book.idle.zero_()
    book.revive(make_quantized(indices, lengths=lengths), refused)
    assert book.idle.tolist() == [[0, 1, 1], [0, 1, 1]]


def test_the_clock_of_an_absent_modality_stands_still(make_codebook, make_quantized):
    book = make_codebook(line(2))
    book.idle.fill_(7)
    book.revive(make_quantized({"audio": torch.tensor([[0, 0]])}), refused)
    assert book.idle.tolist() == [[0, 8], [7, 7]]


@pytest.mark.parametrize("rule", ["any", "all"])
def test_a_modality_that_never_comes_has_no_say(make_codebook, make_quantized, rule):
    """With the video always absent, code 1 goes stale and code 0, in use, never does."""
    book = make_codebook(line(2), reset={"rule": rule, "patience": 4, "active": 3})
    resets = []

    def draw(count, sources, width):
        resets.append((count, sources))
        return torch.zeros(count, dtype=torch.int64), torch.zeros(count, width)

    for _ in range(12):
        book.revive(make_quantized({"audio": torch.tensor([[0, 0]])}), draw)
    assert resets == [(1, 1), (1, 1)]  # at steps 6 and 11, when its counter reaches 5
    assert book.idle.tolist() == [[0, 1], [-1, -1]]


def test_empty_source_set_does_nothing(make_codebook, make_quantized, state_of):
    """Active is 1 and nobody picked anything: every code is stale and there is no source."""
    book = make_codebook(line(3), reset={"patience": 1, "active": 1})
    book.idle.fill_(5)
    lengths = {"audio": torch.tensor([0]), "video": torch.tensor([0])}
    before = state_of(book)
    book.revive(make_quantized(picks(0), lengths=lengths), refused)
    assert torch.equal(book.codes, before["codes"])
    assert book.idle.tolist() == [[5, 5, 5]] * 2


def test_disabled_counts_but_never_restarts(make_codebook, make_quantized):
    book = make_codebook(line(3), reset={"enabled": False, "patience": 1})
    book.idle.fill_(500)
    book.revive(make_quantized(picks(0)), refused)
    assert book.idle.tolist() == [[0, 501, 501]] * 2


def test_token_sources_are_the_features_that_exist(make_codebook, make_quantized):
    book = make_codebook(line(3), reset={"patience": 2, "source": "tokens"})
    book.idle.copy_(torch.tensor([[0, 2, 2]] * 2))
    audio = torch.tensor([[[1.0, 2.0], [9.0, 9.0]], [[3.0, 4.0], [5.0, 6.0]]])
    video = torch.tensor([[[9.0, 9.0], [9.0, 9.0]], [[7.0, 8.0], [9.0, 9.0]]])
    zeros = torch.zeros(2, 2, dtype=torch.int64)
    lengths = {"audio": torch.tensor([1, 2]), "video": torch.tensor([0, 1])}
    indices = {"audio": zeros, "video": zeros}
    draw = recorded([3, 1], noise=0.25)
    book.revive(make_quantized(indices, {"audio": audio, "video": video}, lengths), draw)
    assert draw.asked == [(2, 4, 2)]  # three tokens of audio, one of video
    assert book.codes.tolist() == [[0, 0], [7.25, 8.25], [3.25, 4.25]]


def test_reset_comes_after_the_update(make_codebook, make_quantized):
    """The source is the code as MM-EMA just moved it: (0, 0) -> (1, 1) with decay 0."""
    book = make_codebook(line(2), reset={"patience": 1}, ema={"decay": 0.0})
    book.idle.fill_(1)
    z = {m: torch.ones(1, 1, 2) for m in ("audio", "video")}
    book.update(make_quantized(picks(0), z), recorded([0]))
    assert book.codes.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize(("reseed", "kept"), [(True, True), (False, False)])
def test_reseeded_code_lives_on(make_codebook, make_quantized, reseed, kept):
    """As coded the next update rebuilds the old code from N and O, unless a token picks it."""
    book = make_codebook(line(3) + 5, reset={"patience": 1, "active": 1, "reseed_stats": reseed})
    old = book.codes[2].clone()
    book.idle.copy_(torch.tensor([[0, 0, 1]] * 2))
    z = {m: torch.tensor([[[5.0, 5.0], [6.0, 15.0]]]) for m in ("audio", "video")}
    quantized = make_quantized(picks(0, 1), z)
    book.update(quantized, recorded([0]))
    fresh = book.codes[2].clone()
    torch.testing.assert_close(fresh, torch.tensor([5.0, 5.0]))
    assert (book.counts[2] == 1.0) == reseed
    book.update(quantized, refused)
    torch.testing.assert_close(book.codes[2], fresh if kept else old)


def test_random_draw_stays_in_range():
    noise = 1.0 / 1024.0
    chosen, spread = random_reset(torch.Generator().manual_seed(0), noise)(4000, 7, 3)
    assert chosen.unique().tolist() == list(range(7))
    assert spread.shape == (4000, 3)
    assert noise * 0.99 < spread.abs().max() <= noise
    assert spread.mean().abs() < 0.02 * noise
    again, same = random_reset(torch.Generator().manual_seed(0), noise)(4000, 7, 3)
    assert torch.equal(chosen, again)
    assert torch.equal(spread, same)


def deaf(make_codebook, rule, unheard=("audio",)):
    return make_codebook(
        line(3), reset={"patience": 2, "active": 1, "rule": rule, "unheard": unheard}
    )


@pytest.mark.parametrize("rule", ["any", "all"])
def test_picks_of_an_unheard_modality_keep_no_code(make_codebook, make_quantized, rule):
    """Audio alone picks code 1, and only video is asked."""
    book = deaf(make_codebook, rule)
    indices = {"audio": torch.tensor([[0, 1]]), "video": torch.tensor([[0, 2]])}
    for _ in range(3):
        book.revive(make_quantized(indices), refused)
    assert book.idle_steps().tolist() == [0, 2, 0]
    draw = recorded([0])
    book.revive(make_quantized(indices), draw)
    assert draw.asked == [(1, 2, 2)]
    assert book.codes.tolist() == [[0, 0], [0, 0], [2, 20]]
    assert book.idle_steps().tolist() == [0, 0, 0]


def test_a_name_that_the_model_has_not_is_passed_over(make_codebook, make_quantized):
    """So that one method serves data with and without it."""
    books = [deaf(make_codebook, "any", unheard) for unheard in ((), ("text",))]
    for book in books:
        for _ in range(6):
            book.revive(make_quantized(picks(0)), recorded([0, 0]))
    assert torch.equal(books[0].codes, books[1].codes)
    assert torch.equal(books[0].idle_steps(), books[1].idle_steps())


def test_nobody_heard_is_refused(make_codebook):
    with pytest.raises(ConfigError, match=r"reset\.unheard names all modalities \(audio, video\)"):
        deaf(make_codebook, "any", ("video", "audio"))


def test_constant_noise_is_one_number_and_sources_are_the_same():
    def drawn(spread):
        return random_reset(torch.Generator().manual_seed(3), 0.25, spread)(4, 9, 2)

    picked, noise = drawn("constant")
    assert noise.tolist() == [[-0.25, -0.25]] * 4
    uniform, spread = drawn("uniform")
    assert torch.equal(picked, uniform)
    assert len(set(spread.flatten().tolist())) == 8
    assert spread.abs().max() <= 0.25


def test_a_codebook_draws_the_noise_that_it_is_told(make_codebook):
    book = make_codebook(line(3), reset={"noise": 0.5, "spread": "constant"})
    assert book.draw()(2, 3, 2)[1].tolist() == [[-0.5, -0.5]] * 2
