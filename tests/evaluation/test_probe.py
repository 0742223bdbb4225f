"""Heads on frozen features: what they learn, from what, and what they refuse."""

import re

import pytest
import torch

from cmg.decoders import ClipHead, StepHead
from cmg.decoders.heads import ProbeOptions
from cmg.errors import DataError, NonFiniteError
from cmg.evaluation.probe import Labeled, accuracy, train_head, unseen_classes

FAST = ProbeOptions(epochs=30, batch_size=16, lr=0.02)


def toy(clips=60, steps=3, classes=3, per="clip", seed=0, width=4):
    """Separable: the class is where the feature is largest."""
    g = torch.Generator().manual_seed(seed)
    shape = (clips,) if per == "clip" else (clips, steps)
    labels = torch.randint(classes, shape, generator=g)
    spread = labels[:, None].expand(clips, steps) if per == "clip" else labels
    features = 0.3 * torch.randn(clips, steps, width, generator=g)
    features[..., :classes] += 2.0 * torch.eye(classes)[spread]
    return Labeled(features, torch.ones(clips, steps, dtype=torch.bool), labels, classes)


@pytest.mark.parametrize("pooling", ["max", "mean"])
@pytest.mark.parametrize("per", ["clip", "step"])
def test_separable_classes_are_learned(per, pooling):
    options = FAST.model_copy(update={"pooling": pooling})
    data = toy(per=per)
    head = train_head(data, options, seed=0)
    assert type(head) is {"clip": ClipHead, "step": StepHead}[per]
    assert not head.training
    assert accuracy(head, data) == 100.0
    assert accuracy(head, toy(per=per, seed=1)) == 100.0


def weights(head):
    return torch.cat([p.detach().flatten() for p in head.parameters()])


def test_head_is_a_function_of_the_seed():
    data = toy()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = weights(train_head(data, FAST, seed=0))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(one, weights(train_head(data, FAST, seed=0)))
    assert not torch.equal(one, weights(train_head(data, FAST, seed=1)))


def test_untrained_head_is_near_chance():
    """So that what is learned is learned by training."""
    found = accuracy(train_head(toy(), FAST.model_copy(update={"lr": 1e-9}), 0), toy(600, seed=2))
    assert found < 70.0


def unlabeled(data, keep):
    """The same with labels only at `keep`."""
    labels = torch.where(keep, data.labels, -1)
    return Labeled(data.features, data.mask, labels, data.classes)


@pytest.mark.parametrize("per", ["clip", "step"])
def test_unlabeled_clips_do_not_count(per):
    """Poisoned features of clips without a label change neither the head nor its accuracy."""
    data = toy(per=per)
    keep = torch.arange(60) < 40
    data = unlabeled(data, keep if per == "clip" else keep[:, None])
    poisoned = data.features.clone()
    poisoned[40:] = torch.nan
    other = Labeled(poisoned, data.mask, data.labels, data.classes)
    head = train_head(data, FAST, 0)
    assert torch.equal(weights(head), weights(train_head(other, FAST, 0)))
    assert accuracy(head, other) == accuracy(head, data) == 100.0


def test_single_unlabeled_steps_do_not_count():
    data = toy(per="step")
    keep = torch.ones(60, 3, dtype=torch.bool)
    keep[:, 1] = False
    some = unlabeled(data, keep)
    changed = data.features.clone()
    changed[:, 1] = 100.0
    other = Labeled(changed, data.mask, some.labels, 3)
    head = train_head(some, FAST, 0)
    assert torch.equal(weights(head), weights(train_head(other, FAST, 0)))
    assert accuracy(head, other) == 100.0


@pytest.mark.parametrize("per", ["clip", "step"])
def test_steps_that_do_not_exist_do_not_count(per):
    """Labels per step may go on where a modality has ended; these are no examples of it."""
    data = toy(per=per)
    mask = torch.arange(3)[None] < torch.tensor([3, 2, 1, 0]).repeat(15)[:, None]
    clean, spoilt = data.features.clone(), data.features.clone()
    clean[~mask], spoilt[~mask] = 0.0, -50.0
    labels = data.labels.clone()
    if per == "step":
        labels[~mask] = (labels[~mask] + 1) % 3
    head, other = (
        train_head(Labeled(x, mask, y, 3), FAST, 0)
        for x, y in ((clean, data.labels), (spoilt, labels))
    )
    assert torch.equal(weights(head), weights(other))
    assert accuracy(head, Labeled(spoilt, mask, labels, 3)) == 100.0


@pytest.mark.parametrize("per", ["clip", "step"])
def test_labels_of_one_class(per):
    data = toy(per=per)
    one = Labeled(data.features, data.mask, torch.full_like(data.labels, 2), 3)
    with pytest.raises(DataError) as error:
        train_head(one, FAST, 0)
    assert str(error.value) == (
        "all labels are of one class (index 2); a head needs two or more classes"
    )


@pytest.mark.parametrize("use", [lambda d: train_head(d, FAST, 0), lambda d: accuracy(None, d)])
def test_no_label_at_all(use):
    data = toy()
    message = "no clip has both this modality and a label; label some clips first"
    with pytest.raises(DataError, match=message):
        use(unlabeled(data, torch.zeros(60, dtype=torch.bool)))
    nowhere = Labeled(data.features, torch.zeros_like(data.mask), data.labels, 3)
    with pytest.raises(DataError, match=message):
        use(nowhere)


def test_accuracy_by_hand():
    head = StepHead(2, 2)
    with torch.no_grad():
        for layer in (head.linear, head.classifier):
            layer.weight.copy_(torch.eye(2))
            layer.bias.zero_()
    features = torch.tensor([[[1.0, 0], [1, 0], [0, 1]], [[0, 1], [0, 1], [1, 0]]])
    labels = torch.tensor([[0, 1, 1], [1, -1, 0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    # right, wrong, right; right, unlabeled, not there
    assert accuracy(head, Labeled(features, mask, labels, 2)) == 75.0


NAMES = ("cat", "dog", "cow", "hen", "pig", "fox")


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ([0, 1, 1], [0, 1, -1], None),
        ([0, 1, -1], [0, 2, 2, -1], r"2 of 3 test clips have .* without a training clip \('cow'\)"),
        ([0, 1], [3, 2], r"2 of 2 test clips have classes .* \('cow', 'hen'\), which no head can"),
        ([0, 0], [1, 2, 3, 4, 5], r"5 of 5 .*\('dog', 'cow', 'hen', 'pig' and 1 more\)"),
        (
            [[0, 1], [1, -1]],
            [[0, 2], [1, -1]],
            r"1 of 3 test steps .* a training step \('cow'\)",
        ),
    ],
)
def test_classes_without_a_training_clip_are_counted(train, test, said):
    found = unseen_classes(torch.tensor(train), torch.tensor(test), NAMES)
    assert found is None if said is None else re.match(said, found)


def test_classes_of_steps_that_have_several_are_counted():
    train, test = torch.zeros(1, 2, 3), torch.zeros(2, 2, 3)
    train[0, 0, 0] = train[0, 1, 2] = 1.0
    test[0, 0, 0] = test[0, 1, 1] = test[1, 0, 1] = test[1, 0, 2] = 1.0
    test[1, 1] = -1.0  # unknown
    assert unseen_classes(train, test, NAMES[:3]).startswith("2 of 3 test steps have classes")
    assert unseen_classes(test, train, NAMES[:3]) is None


def test_a_head_that_diverged_is_not_read():
    """Its scores are NaN, and the largest of those is the first class."""
    with pytest.raises(NonFiniteError, match=r"the head: .* are NaN or infinite.*lower probe\.lr"):
        train_head(toy(), FAST.model_copy(update={"lr": 1e38}), 0)
