"""Cross reconstruction: against loops, with steps, clips and partners that are missing."""

import pytest
import torch

from cmg.objectives import CrossReconstruction, TermOptions, cross_reconstruction_loss
from cmg.types import Kind, Modality

GAIN = {"audio": 2.0, "video": -1.0, "text": 0.5, "eeg": 3.0}


def rebuild(m, content):
    """A decoder of one weight: content times it."""
    return GAIN[m] * content


def slow(inputs, vectors, lengths, words, m):
    """One step at a time."""
    clips, _, width = inputs[m].shape
    total, count = 0.0, 0
    for b in range(clips):
        for t in range(lengths[m][b]):
            count += 1
            found = []
            for n in inputs:
                if n == m:
                    continue
                if m in words or n in words:
                    if lengths[n][b] == 0:
                        continue
                    content = vectors[n][b, : lengths[n][b]].mean(0)
                elif t < lengths[n][b]:
                    content = vectors[n][b, t]
                else:
                    continue
                found.append(float(((GAIN[m] * content - inputs[m][b, t]) ** 2).sum()) / width)
            total += sum(found) / len(found) if found else 0.0
    return total / count


@pytest.mark.parametrize("modalities", [2, 3, 4])
@pytest.mark.parametrize("words", [(), ("text",), ("audio",)])
@pytest.mark.parametrize("whole", [True, False])
def test_against_loops(features, ragged, poisoned, steps_of, modalities, words, whole):
    inputs, vectors = features(modalities, seed=1), features(modalities, seed=2)
    lengths = {m: torch.full((5,), 4) for m in inputs} if whole else ragged(modalities, 5, 4, 3)
    steps = steps_of(inputs, None if whole else lengths)
    given = [poisoned(x, lengths, 1e3) for x in (inputs, vectors)]
    found = cross_reconstruction_loss(*given, rebuild, steps, words)
    told = {m: n.tolist() for m, n in lengths.items()}
    assert found.keys() == {m for m in inputs if any(told[m])}
    for m, loss in found.items():
        expected = slow(inputs, vectors, told, words, m)
        assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_parts_of_a_batch_add_up_by_their_steps(features, ragged, steps_of):
    """What micro-batches and ranks rely on: a step without a partner counts, and adds 0."""
    inputs, vectors, lengths = features(3, seed=1), features(3, seed=2), ragged(3, 5, 4, 7)
    whole = cross_reconstruction_loss(inputs, vectors, rebuild, steps_of(inputs, lengths))
    sums = dict.fromkeys(whole, 0.0)
    for rows in ([0, 3], [1], [2, 4]):
        some, own = ({m: x[rows] for m, x in y.items()} for y in (inputs, lengths))
        part = {m: x[rows] for m, x in vectors.items()}
        for m, loss in cross_reconstruction_loss(some, part, rebuild, steps_of(some, own)).items():
            sums[m] += loss.item() * int(own[m].sum()) / int(lengths[m].sum())
    assert sums == pytest.approx({m: x.item() for m, x in whole.items()}, rel=1e-12)


def test_the_gradient_reaches_the_partner_s_code_and_no_target(features):
    inputs, vectors = (
        {m: x.requires_grad_() for m, x in features(2, seed=s).items()} for s in (1, 2)
    )
    cross_reconstruction_loss(inputs, vectors, rebuild)["audio"].backward()
    assert vectors["video"].grad.abs().min() > 0
    assert vectors["audio"].grad is None
    assert all(x.grad is None for x in inputs.values())


def test_a_modality_by_itself_has_no_partner(features):
    one = features(1)
    assert cross_reconstruction_loss(one, one, rebuild) == {}


def test_words_are_told_by_their_kind():
    kinds = {"audio": Kind.VECTORS, "text": Kind.TOKENS}
    modalities = [Modality(name=m, kind=k, shape=(3,)) for m, k in kinds.items()]
    assert CrossReconstruction.build(TermOptions(), modalities, 3, 3).words == ("text",)
