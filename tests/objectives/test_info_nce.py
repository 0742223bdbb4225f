"""InfoNCE of clips and steps: by hand, against loops, with clips and steps that do not exist."""

import math
from itertools import combinations

import pytest
import torch

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.errors import ConfigError, DataError
from cmg.objectives import (
    ClipInfoNCE,
    ClipInfoNCEOptions,
    InfoNCEOptions,
    StepInfoNCE,
    clip_info_nce,
    step_info_nce,
)
from cmg.objectives.base import View
from cmg.objectives.contrast import RootedDistribution, unit
from cmg.types import Encoded, Kind, Modality, Steps

NAMES = ("audio", "video", "text")


def some(batch=5, steps=4, width=3, seed=0, names=NAMES):
    generator = torch.Generator().manual_seed(seed)
    return {
        m: torch.randn(batch, steps, width, generator=generator, dtype=torch.float64) for m in names
    }


def cosine(x, y):
    return float(x @ y / (x.norm() * y.norm()))


def slow_pair(score):
    """Both directions of the contrast of a square of scores, one row at a time."""
    n = len(score)
    total = 0.0
    for i in range(n):
        row = sum(math.exp(score[i][j]) for j in range(n))
        column = sum(math.exp(score[j][i]) for j in range(n))
        total -= 2 * score[i][i] - math.log(row) - math.log(column)
    return total / n


def slow_clips(features, lengths, temperature):
    total = 0.0
    for a, b in combinations(features, 2):
        both = [i for i in range(len(features[a])) if lengths[a][i] and lengths[b][i]]
        mean = {m: [features[m][i, : lengths[m][i]].mean(0) for i in both] for m in (a, b)}
        if len(both) > 1:
            total += slow_pair([[cosine(x, y) / temperature for y in mean[b]] for x in mean[a]])
    return total


def slow_steps(features, lengths, temperature):
    total = 0.0
    for a, b in combinations(features, 2):
        found = []
        for t in range(features[a].shape[1]):
            here = [i for i in range(len(features[a])) if min(lengths[a][i], lengths[b][i]) > t]
            if len(here) > 1:
                score = [
                    [cosine(features[a][i, t], features[b][j, t]) / temperature for j in here]
                    for i in here
                ]
                found += [slow_pair(score)] * len(here)
        if found:
            total += sum(found) / len(found)
    return total


def test_two_orthogonal_clips_by_hand():
    eye = torch.eye(2)[:, None]
    expected = 2 * math.log(1 + math.exp(-2.0))  # scores 2 and 0, both directions
    for contrast in (clip_info_nce, step_info_nce):
        assert contrast({"a": eye, "b": 7 * eye}, temperature=0.5).item() == pytest.approx(expected)


def test_vectors_without_time_are_clips_of_one_step():
    single = {m: x[:, 0] for m, x in some().items()}
    expected = clip_info_nce({m: x[:, None] for m, x in single.items()})
    assert clip_info_nce(single) == expected
    assert step_info_nce(single).item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_against_loops_where_clips_and_steps_are_missing(seed):
    features = some(seed=seed)
    generator = torch.Generator().manual_seed(seed)
    lengths = {m: torch.randint(0, 5, (5,), generator=generator) for m in features}
    steps = Steps(5, 4, lengths)
    for m, x in features.items():  # whatever stands in the padding must not matter
        x[~(torch.arange(4) < lengths[m][:, None])] = 1e3
    for fast, slow in ((clip_info_nce, slow_clips), (step_info_nce, slow_steps)):
        expected = slow(features, {m: n.tolist() for m, n in lengths.items()}, 0.3)
        found = fast(features, steps, 0.3)
        assert (0.0 if found is None else found.item()) == pytest.approx(expected, rel=1e-9)


def test_padding_gets_no_gradient():
    features = {m: x.requires_grad_() for m, x in some(names=("a", "b")).items()}
    steps = Steps(5, 4, {"a": torch.tensor([4, 3, 2, 1, 0]), "b": torch.tensor([1, 4, 4, 4, 4])})
    (clip_info_nce(features, steps) + step_info_nce(features, steps)).backward()
    for m, x in features.items():
        missing = torch.arange(4) >= steps.length_of(m)[:, None]
        assert x.grad[missing].abs().max() == 0
        assert x.grad[~missing].abs().sum() > 0


def test_no_two_clips_with_the_same_two_modalities_give_nothing():
    lengths = {"a": torch.tensor([2, 0, 2]), "b": torch.tensor([2, 2, 0])}
    features = some(3, 2, names=("a", "b"))
    assert clip_info_nce(features, Steps(3, 2, lengths)) is None
    assert step_info_nce(features, Steps(3, 2, lengths)) is None


@pytest.mark.parametrize("contrast", [clip_info_nce, step_info_nce])
def test_a_single_clip_is_refused(contrast):
    with pytest.raises(DataError, match="one clip; give at least two"):
        contrast(some(1))


def test_words_are_not_contrasted_step_by_step():
    kinds = [Modality(name=m, kind=Kind.VECTORS, shape=(3,)) for m in ("a", "b")]
    text = Modality(name="text", kind=Kind.TOKENS, shape=(3,))
    features = some(names=("a", "b", "text"))
    term = StepInfoNCE.build(InfoNCEOptions(), [*kinds, text], 3, 3)
    pair = {m: features[m] for m in ("a", "b")}
    assert term.contrast(features, None) == step_info_nce(pair)
    assert StepInfoNCE.build(InfoNCEOptions(), [text], 3, 3).contrast(features, None) is None


def test_a_learned_temperature_starts_where_it_is_told_and_stays_above_a_hundredth():
    term = ClipInfoNCE(ClipInfoNCEOptions(temperature=0.2, learned=True)).double()
    features = some()
    fixed = clip_info_nce(features, temperature=0.2)
    assert term.contrast(features, None).item() == pytest.approx(fixed.item(), rel=1e-6)
    term.contrast(features, None).backward()
    assert term.sharpness.grad.abs() > 0
    term.sharpness.data.fill_(50.0)
    assert term.temperature.item() == pytest.approx(0.01)
    term.sharpness.grad = None
    term.contrast(features, None).backward()
    assert term.sharpness.grad.abs() > 0  # so that it can come back
    assert list(ClipInfoNCE().parameters()) == []


@pytest.mark.parametrize(
    ("of", "needs"),
    [(["features"], set()), (["codes"], {"codes"}), (["features", "posterior"], {"codes"})],
)
def test_codes_are_needed_where_they_are_contrasted(of, needs):
    assert ClipInfoNCE(ClipInfoNCEOptions(of=of)).needs == needs
    assert ClipInfoNCE.needs == frozenset()


def test_something_has_to_be_contrasted():
    assert InfoNCEOptions(of="codes").of == ("codes",)
    with pytest.raises(ValueError, match="at least one of features, codes, posterior"):
        InfoNCEOptions(of=[])


def test_of_distributions_the_roots_are_contrasted_by_hand():
    """Products of rooted distributions are Bhattacharyya coefficients: 1 with itself, 0.6 here."""
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64)
    coefficient = 2 * math.sqrt(0.09)
    expected = 2 * math.log(1 + math.exp((coefficient - 1) / 0.1))
    for contrast in (clip_info_nce, step_info_nce):
        found = contrast({"a": p, "b": p}, temperature=0.1, probabilities=True)
        assert found.item() == pytest.approx(expected, rel=1e-6)


def test_a_clip_has_the_mean_of_its_steps_distributions():
    p = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.5, 0.5]]])
    same = clip_info_nce({"a": p, "b": p}, probabilities=True)
    assert same.item() == pytest.approx(2 * math.log(2), rel=1e-6)


def test_what_is_contrasted_is_added():
    features, steps = some(names=("a", "b")), Steps(5, 4)
    codebook = SharedCodebook(["a", "b"], 3, CodebookOptions(size=6, start="uniform")).double()
    codebook.codes.copy_(torch.randn(6, 3, generator=torch.Generator().manual_seed(1)))
    quantized = codebook.lookup(features, steps)
    view = View(Encoded({}, features, {}, {}, steps), quantized, {}, codebook)
    posterior = {m: codebook.posterior(m, z, 0.3) for m, z in features.items()}
    parts = {
        "features": clip_info_nce(features, steps),
        "codes": clip_info_nce(quantized.vectors, steps),
        "posterior": clip_info_nce(posterior, steps, probabilities=True),
    }
    term = ClipInfoNCE(ClipInfoNCEOptions(of=list(parts), softness=0.3))
    assert term.term(view, None).item() == pytest.approx(sum(x.item() for x in parts.values()))
    alone = ClipInfoNCE(ClipInfoNCEOptions(of=["posterior"], softness=0.3)).term(view, None)
    assert alone.item() == pytest.approx(parts["posterior"].item())


@pytest.mark.parametrize("contrast", [clip_info_nce, step_info_nce])
def test_the_two_directions_add_up(contrast):
    """Forward asks the modality that comes first; with the order turned, the other one."""
    for lengths in (None, {m: torch.tensor([4, 0, 3, 1, 2]) for m in ("a", "b")}):
        a, b = some(names=("a", "b")).values()
        steps = Steps(5, 4, lengths)
        one, other, both = (
            contrast(x, steps, 0.3, directions=how)
            for x, how in (
                ({"a": a, "b": b}, "forward"),
                ({"b": b, "a": a}, "forward"),
                ({"a": a, "b": b}, "both"),
            )
        )
        assert (one + other).item() == pytest.approx(both.item(), rel=1e-12)
        assert one.item() != pytest.approx(other.item())


@pytest.mark.parametrize(("term", "contrast"), [("clip", clip_info_nce), ("step", step_info_nce)])
def test_a_term_asks_in_the_directions_it_is_told(term, contrast):
    made = (
        ClipInfoNCE(ClipInfoNCEOptions(directions="forward"))
        if term == "clip"
        else StepInfoNCE(InfoNCEOptions(directions="forward"))
    )
    assert made.contrast(some(), None) == contrast(some(), directions="forward")


def test_a_contrast_of_steps_through_a_softmax_has_autograds_gradient():
    """Nothing goes through the length of square roots of a distribution, for it is always 1."""
    generator = torch.Generator().manual_seed(3)
    scores = {m: torch.randn(4, 3, 6, generator=generator).double() for m in "ab"}
    found = []
    for rooted in (RootedDistribution.apply, lambda x: unit(x, True)):
        leaves = {m: x.clone().requires_grad_() for m, x in scores.items()}
        a, b = (rooted(x.softmax(-1)).transpose(0, 1) for x in leaves.values())
        score = a @ b.mT / 0.1
        loss = -(score.log_softmax(2) + score.log_softmax(1)).diagonal(0, 1, 2).mean()
        own = torch.autograd.grad(loss, list(leaves.values()))
        found.append((loss.detach(), *own))
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    soft = {m: x.softmax(-1) for m, x in scores.items()}
    torch.testing.assert_close(step_info_nce(soft, None, 0.1, True), found[1][0])


def test_terms_share_a_posterior():
    """It is made once for all that read it, however they are named."""
    made = []

    class Counted(SharedCodebook):
        def posterior(self, modality, z, temperature):
            made.append((modality, temperature))
            return super().posterior(modality, z, temperature)

    features = {m: torch.randn(4, 3, 6) for m in "ab"}
    book = Counted(["a", "b"], 6, CodebookOptions(size=5))
    steps = Steps.of(features)
    view = View(Encoded(features, features, {}, {}, steps), book.lookup(features), {}, book)
    first, second = view.posterior(0.1), view.posterior(0.1)
    assert first is second
    assert made == [("a", 0.1), ("b", 0.1)]
    view.posterior(0.2)
    assert len(made) == 4


def test_pairs_with_tokens_ask_moments_for_their_words():
    """Two modalities of moments and a text: two pairs of three, the moments asking."""
    g = torch.Generator().manual_seed(3)
    z = {m: torch.randn(5, 2, 4, generator=g).double() for m in ("text", "audio", "video")}
    kinds = {"text": Kind.TOKENS, "audio": Kind.VECTORS, "video": Kind.VECTORS}
    declared = [Modality(name=m, kind=kind, shape=(4,)) for m, kind in kinds.items()]
    options = ClipInfoNCEOptions(pairs="tokens", directions="forward")
    found = ClipInfoNCE.build(options, declared, 4, 4).contrast(z, None)
    unit = {m: torch.nn.functional.normalize(x.mean(1), dim=1) for m, x in z.items()}
    asked = [
        torch.nn.functional.cross_entropy(unit[m] @ unit["text"].T / 0.1, torch.arange(5))
        for m in ("audio", "video")
    ]
    torch.testing.assert_close(found, sum(asked))
    with pytest.raises(ConfigError, match=r"pairs=tokens contrasts .* set pairs=all"):
        ClipInfoNCE.build(options, declared[1:], 4, 4)
