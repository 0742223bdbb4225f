"""Masked InfoNCE: by hand, against loops over what exists and is left, and as a term."""

import math
from itertools import product

import pytest
import torch

from cmg.codebook.codebook import CodebookOptions, SharedCodebook
from cmg.errors import ConfigError, DataError
from cmg.objectives import MaskedContrast, MaskedContrastOptions, View, masked_contrast
from cmg.objectives.info_nce import told_apart
from cmg.objectives.masked_contrast import adaptive_ratio
from cmg.options import checked_options
from cmg.types import Encoded, Kind, Modality, Steps

NAMES = ("audio", "video", "text", "touch")
AS_CODED = {"symmetric": False, "masked": "zeros"}


def some(batch=5, steps=4, width=3, seed=0, names=NAMES[:3]):
    generator = torch.Generator().manual_seed(seed)
    return {
        m: torch.randn(batch, steps, width, generator=generator, dtype=torch.float64) for m in names
    }


def chance(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def unit(x):
    return x / max(float(x.norm()), 1e-12)


def slow_rows(queries, keys, left, options):
    """Losses of one group of rows that exist: a list of what counts in the mean."""
    count, t, found = len(queries), options.temperature, []
    if count < 2:
        return found
    for i in range(count):
        if not left[i] and options.masked == "left_out":
            continue
        if not left[i]:
            found.append(math.log(count))
            continue
        scores = [float(unit(queries[i]) @ unit(k)) / t for k in keys]
        loss = math.log(sum(map(math.exp, scores))) - scores[i]
        if options.symmetric:
            back = [
                float(unit(q) @ unit(keys[i])) / t
                for q, is_left in zip(queries, left, strict=True)
                if is_left
            ]
            own = float(unit(queries[i]) @ unit(keys[i])) / t
            loss = 0.5 * (loss + math.log(sum(map(math.exp, back))) - own)
        found.append(loss)
    return found


def mean(values):
    return sum(values) / len(values) if values else 0.0


def slow(features, keep, lengths, options, grain):
    total = 0.0
    for m, n in product(features, features):
        queries, keys, left, found = [], [], [], []
        for b in range(len(features[m])):
            reach, own = min(lengths[m][b], lengths[n][b]), range(lengths[m][b])
            if grain == "steps":
                rows = [(features[m][b, t], features[n][b, t], keep[m][b, t]) for t in range(reach)]
                if rows:
                    found += slow_rows(*zip(*rows, strict=True), options)
            elif reach:
                stay = [features[m][b, t] for t in own if keep[m][b, t]]
                queries.append(sum(stay) if stay else 0 * features[m][b, 0])
                keys.append(features[n][b, : lengths[n][b]].mean(0))
                left.append(bool(stay))
        total += mean(found if grain == "steps" else slow_rows(queries, keys, left, options))
    return total


def summed(pairs):
    return float(torch.stack(list(pairs.values())).sum()) if pairs else 0.0


@pytest.mark.parametrize("form", [{}, AS_CODED, {"symmetric": False}, {"masked": "zeros"}])
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_against_loops_where_clips_and_steps_are_missing(form, count, seed):
    options = MaskedContrastOptions(temperature=0.4, **form)
    features = some(seed=seed, names=NAMES[:count])
    generator = torch.Generator().manual_seed(seed)
    lengths = {m: torch.randint(0, 5, (5,), generator=generator) for m in features}
    for m, x in features.items():  # whatever stands in the padding must not matter
        x[~(torch.arange(4) < lengths[m][:, None])] = 1e3
    keep = dict.fromkeys(features, chance(5, 4, seed=seed) > 0.4)
    found = masked_contrast(features, keep, Steps(5, 4, lengths), options)
    told = {m: n.tolist() for m, n in lengths.items()}
    for grain in ("steps", "clips"):
        expected = slow(features, keep, told, options, grain)
        assert summed(found[grain]) == pytest.approx(expected, rel=1e-9)


def test_two_orthogonal_steps_by_hand():
    eye, both = torch.eye(2)[None], torch.ones(1, 2, dtype=torch.bool)
    options = MaskedContrastOptions(of=("steps",), temperature=0.5)
    one = math.log(1 + math.exp(-2.0))  # scores 2 and 0
    found = masked_contrast({"a": eye, "b": 7 * eye}, {"a": both, "b": both}, None, options)
    assert list(found["steps"]) == [("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    assert [float(x) for x in found["steps"].values()] == pytest.approx([one] * 4)
    masked = {"a": torch.tensor([[True, False]])} | {"b": both}
    found = masked_contrast({"a": eye, "b": eye}, masked, None, options)
    # Of the one step that is left: its partner among two, and itself among those left, alone.
    assert float(found["steps"]["a", "b"]) == pytest.approx(0.5 * one)
    coded = MaskedContrastOptions(of=("steps",), temperature=0.5, **AS_CODED)
    found = masked_contrast({"a": eye, "b": eye}, masked, None, coded)
    assert float(found["steps"]["a", "b"]) == pytest.approx(0.5 * (one + math.log(2)))


def test_a_query_of_zeros_is_a_constant_in_float32_and_bfloat16():
    for dtype in (torch.float32, torch.bfloat16):
        query = torch.eye(3, dtype=dtype).requires_grad_()
        key = torch.randn(3, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
        key.requires_grad_()
        keep = torch.tensor([[1.0], [0.0], [1.0]], dtype=dtype)
        lost = told_apart(query * keep, key, 0.1)
        assert lost[1].item() == pytest.approx(math.log(3))
        lost[1].backward()
        assert query.grad.abs().max() == 0
        assert key.grad.abs().max() == 0


@pytest.mark.parametrize("form", [{}, AS_CODED])
def test_padding_gets_no_gradient_and_masked_steps_none_as_queries(form):
    features = {m: x.requires_grad_() for m, x in some(names=("a", "b")).items()}
    steps = Steps(5, 4, {"a": torch.tensor([4, 3, 2, 1, 0]), "b": torch.tensor([1, 4, 4, 4, 4])})
    nothing = torch.zeros(5, 4, dtype=torch.bool)
    keep = {"a": nothing, "b": chance(5, 4) > 0.3}
    options = MaskedContrastOptions(**form)
    found = masked_contrast(features, keep, steps, options)
    total = torch.stack([x for pairs in found.values() for x in pairs.values()]).sum()
    total.backward()
    for m, x in features.items():
        missing = torch.arange(4) >= steps.length_of(m)[:, None]
        assert x.grad.isfinite().all()
        assert x.grad[missing].abs().max() == 0
    told = [found[grain]["a", "a"].item() for grain in ("steps", "clips")]
    constants = [(4 * math.log(4) + 3 * math.log(3) + 2 * math.log(2)) / 9, math.log(4)]
    assert told == pytest.approx(constants if form else [0.0, 0.0])


def test_order_of_clips_changes_nothing():
    features, keep = some(), chance(5, 4) > 0.3
    order = torch.tensor([3, 1, 4, 0, 2])
    one = masked_contrast(features, dict.fromkeys(features, keep))
    moved = {m: x[order] for m, x in features.items()}
    two = masked_contrast(moved, dict.fromkeys(features, keep[order]))
    for grain in one:
        assert summed(one[grain]) == pytest.approx(summed(two[grain]), rel=1e-12)


def test_a_single_clip_has_steps_but_no_other_clip():
    features = some(1)
    keep = dict.fromkeys(features, torch.ones(1, 4, dtype=torch.bool))
    steps = masked_contrast(features, keep, None, MaskedContrastOptions(of=("steps",)))
    assert len(steps["steps"]) == 9
    with pytest.raises(DataError, match="one clip; give at least two"):
        masked_contrast(features, keep)


def test_clips_of_one_step_have_nothing_fine():
    features = {m: x[:, 0] for m, x in some().items()}
    keep = dict.fromkeys(features, torch.ones(5, 1, dtype=torch.bool))
    found = masked_contrast(features, keep)
    assert found["steps"] == {}
    assert len(found["clips"]) == 9


def view(features, steps=None, earlier=()):
    steps = steps or Steps.of(features)
    book = SharedCodebook(list(features), 3, CodebookOptions(size=4)).double()
    return View(Encoded({}, features, {}, {}, steps), book.lookup(features), {}, book, earlier)


def test_the_term_masks_by_its_draw_and_reads_the_first_pass():
    first, last = some(seed=1), some(seed=2)
    term, draw = MaskedContrast(), chance(5, 4)
    found = term.term(view(last, earlier=(view(first),)), draw)
    keep = dict.fromkeys(first, draw > 0.3)
    expected = masked_contrast(first, keep)
    assert list(found.values) == ["masked_contrast/steps", "masked_contrast/clips"]
    for grain, pairs in expected.items():
        assert float(found.values[f"masked_contrast/{grain}"]) == pytest.approx(summed(pairs))


def test_the_draw_is_of_all_clips_and_replays():
    steps, names = Steps(6, 3), ["a"]
    draws = [MaskedContrast.draw(torch.Generator().manual_seed(s), names, steps) for s in (0, 0, 1)]
    assert draws[0].shape == (6, 3)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    shares = MaskedContrast.draw(torch.Generator().manual_seed(0), names, Steps(400, 50)) > 0.3
    assert float(shares.double().mean()) == pytest.approx(0.7, abs=0.01)


def test_words_are_no_moments_but_as_coded():
    kinds = [Modality(name=m, kind=Kind.VECTORS, shape=(3,)) for m in ("audio", "video")]
    kinds.append(Modality(name="text", kind=Kind.TOKENS, shape=(3,)))
    features = some()
    for words in (False, True):
        term = MaskedContrast.build(MaskedContrastOptions(words=words), kinds, 3, 3)
        found = term.term(view(features), torch.ones(5, 4))
        aligned = features if words else {m: features[m] for m in ("audio", "video")}
        every = dict.fromkeys(features, torch.ones(5, 4, dtype=torch.bool))
        expected = {
            "steps": summed(masked_contrast(aligned, every)["steps"]),
            "clips": summed(masked_contrast(features, every)["clips"]),
        }
        told = {key.rpartition("/")[2]: float(x) for key, x in found.values.items()}
        assert told == pytest.approx(expected)


def test_a_rounded_mean_is_off_by_the_rounding_alone():
    features, draw = some(3), chance(3, 4)
    exact = MaskedContrast().term(view(features), draw).values["masked_contrast/steps"]
    options = MaskedContrastOptions(rounded_mean=True)
    rounded = MaskedContrast(options).term(view(features), draw).values["masked_contrast/steps"]
    third = float(torch.tensor(1 / 3, dtype=torch.float32))
    assert float(rounded / exact) == pytest.approx(3 * third, rel=1e-12)
    assert abs(3 * third - 1) > 1e-8


def test_the_median_modality_has_the_middle_share():
    scores = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    expected = [0.01 + 0.29 * (1 + math.tanh(v * v - 1)) for v in (0.5, 1.0, 2.0)]
    assert adaptive_ratio(scores).tolist() == pytest.approx(expected)
    assert expected[1] == pytest.approx(0.3)
    assert float(adaptive_ratio(torch.tensor([4.0, 1.0]), 0.2)[1]) == pytest.approx(0.2)


def test_adaptive_masks_more_of_what_is_better_aligned():
    common = torch.randn(200, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    noise = some(200, seed=5)
    strength = {"audio": 0.2, "video": 0.6, "text": 3.0}
    features = {m: common + strength[m] * noise[m] for m in noise}
    term, draw = MaskedContrast(MaskedContrastOptions(adaptive=True)), chance(200, 4)
    keep = term.kept(features, Steps.of(features), draw)
    shares = {m: 1 - float(x.double().mean()) for m, x in keep.items()}
    assert shares["audio"] > shares["video"] > shares["text"]
    assert shares["video"] == pytest.approx(0.3, abs=0.05)
    one = {"audio": features["audio"]}
    assert torch.equal(term.kept(one, Steps.of(one), draw)["audio"], draw > 0.3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"of": ()}, "name at least one of steps, clips"),
        ({"of": "words"}, "of.0: Input should be 'steps' or 'clips'"),
        ({"ratio": 1.0}, "ratio: Input should be less than 1"),
        ({"temperature": 0.0}, "temperature: Input should be greater than 0"),
    ],
)
def test_what_cannot_be_contrasted_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        checked_options(MaskedContrastOptions, **given)
