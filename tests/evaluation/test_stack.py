"""Stacked heads compute what the modules compute, on codes and on vectors."""

import pytest
import torch

from cmg.decoders import ClipHead, StepHead
from cmg.evaluation.features import CodeFeatures, compacted
from cmg.evaluation.stack import HeadStack, clip_loss, exp_log_loss, step_loss, whole_clips

WIDTH, CLASSES, CODES = 6, 4, 9


@pytest.fixture
def heads():
    def make(kind, count=3):
        torch.manual_seed(0)
        return [kind(WIDTH, CLASSES).double() for _ in range(count)]

    return make


@pytest.fixture
def table():
    return torch.randn(
        CODES, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def some_codes(heads=3, clips=5, steps=7):
    generator = torch.Generator().manual_seed(2)
    codes = torch.randint(0, CODES, (heads, clips, steps), generator=generator)
    codes[:, 1, 4:] = -1
    codes[:, 3, 1:] = -1
    return codes


@pytest.mark.parametrize("kind", [ClipHead, StepHead])
def test_codes_and_vectors_give_the_logits_of_the_modules(heads, table, kind):
    modules, codes = heads(kind), some_codes()
    stack = HeadStack.of(modules)
    mask = codes >= 0
    vectors = table[codes.clamp_min(0)]
    wanted = torch.stack([h(x, m) for h, x, m in zip(modules, vectors, mask, strict=True)])
    for found in (stack.of_codes(table, whole_clips(codes)), stack.of_vectors(vectors, mask)):
        if kind is StepHead:
            torch.testing.assert_close(found[mask], wanted[mask], rtol=0, atol=1e-13)
        else:
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", [ClipHead, StepHead])
def test_gradients_of_a_stack_are_those_of_the_modules(heads, table, kind):
    modules, codes = heads(kind), some_codes().clamp_min(0)
    stack = HeadStack.of(modules).leaves(torch.device("cpu"))
    stack.of_codes(table, codes).square().sum().backward()
    for index, module in enumerate(modules):
        module(table[codes[index]]).square().sum().backward()
        for mine, wanted in zip(stack.weights, module.parameters(), strict=True):
            torch.testing.assert_close(mine.grad[index], wanted.grad, rtol=1e-12, atol=1e-12)


def test_every_head_is_clipped_by_its_own_norm(heads, table):
    modules, codes = heads(ClipHead), some_codes().clamp_min(0)
    stack = HeadStack.of(modules).leaves(torch.device("cpu"))
    scales = torch.tensor([1e-3, 1.0, 50.0]).double()
    (stack.of_codes(table, codes).sum((1, 2)) * scales).sum().backward()
    stack.clip_gradients(0.5, alpha=False)
    for index, module in enumerate(modules):
        (module(table[codes[index]]).sum() * scales[index]).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 0.5)
        for mine, wanted in zip(stack.weights, module.parameters(), strict=True):
            torch.testing.assert_close(mine.grad[index], wanted.grad, rtol=1e-12, atol=1e-15)


def test_a_copy_of_one_head_reads_like_it(heads, table):
    stack = HeadStack.of(heads(ClipHead), alpha=0.1)
    codes = some_codes().clamp_min(0)
    one = stack.only(2)
    assert one.alpha is None
    assert not any(x.requires_grad for x in one.weights)
    torch.testing.assert_close(
        one.of_codes(table, codes[2:]), stack.of_codes(table, codes)[2:], rtol=0, atol=1e-14
    )


def test_compaction_keeps_every_vector_and_every_missing_step(table):
    codes = some_codes()
    a, b = compacted([CodeFeatures(table, codes[0]), CodeFeatures(table, codes[1] // 2)])
    assert a.table is b.table
    assert len(a.table) <= CODES
    for small, given in ((a, codes[0]), (b, codes[1] // 2)):
        assert torch.equal(small.codes < 0, given < 0)
        assert torch.equal(small.table[small.codes][given >= 0], table[given][given >= 0])


def test_losses_are_sums_over_heads_of_means_over_what_counts():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 4, 5, dtype=torch.float64, generator=generator)
    targets = (torch.rand(2, 3, 4, 5, generator=generator) > 0.5).double()
    alpha = torch.randn(2, 5, dtype=torch.float64, generator=generator)
    mask = torch.rand(2, 3, 4, generator=generator) > 0.3
    wanted = 0.0
    for m in range(2):
        cells, steps = [], []
        for b in range(3):
            for t in range(4):
                if not mask[m, b, t]:
                    continue
                p = logits[m, b, t].sigmoid()
                y = targets[m, b, t]
                cells += (-(y * p.log() + (1 - y) * (1 - p).log())).tolist()
                weighted = y * logits[m, b, t].softmax(0).log() * (-alpha[m]).exp()
                steps.append(-float(weighted.sum()))
        wanted += sum(cells) / len(cells) + sum(steps) / len(steps)
    assert float(step_loss(logits, targets, alpha, mask)) == pytest.approx(wanted, rel=1e-12)
    whole = step_loss(logits, targets, alpha, torch.ones_like(mask))
    assert float(step_loss(logits, targets, alpha, None)) == pytest.approx(float(whole), rel=1e-12)
    alone = [exp_log_loss(x, y, a) for x, y, a in zip(logits, targets, alpha, strict=True)]
    together = 2 * exp_log_loss(logits, targets, alpha[:, None, None])
    assert float(sum(alone)) == pytest.approx(float(together), rel=1e-12)


def test_clip_loss_is_the_sum_of_cross_entropies():
    logits = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(4))
    classes = torch.tensor([[0, 4, 2], [1, 1, 3]])
    wanted = [torch.nn.functional.cross_entropy(x, y) for x, y in zip(logits, classes, strict=True)]
    assert float(clip_loss(logits, classes)) == pytest.approx(float(sum(wanted)), rel=1e-6)
