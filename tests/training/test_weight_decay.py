"""Weight decay: of matrices, by the learning rate, and none as published."""

import torch
from torch import nn

from cmg.training.optimizer import OptimizerOptions, build_optimizer


def test_matrices_decay_by_lr_times_the_rate_and_vectors_do_not():
    matrix, bias = nn.Parameter(torch.full((2, 2), 2.0)), nn.Parameter(torch.full((2,), 2.0))
    optimizer = build_optimizer([matrix, bias], OptimizerOptions(lr=0.1, weight_decay=0.5))
    for p in (matrix, bias):
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(matrix.detach(), torch.full((2, 2), 1.9))  # 2 - 0.1 * 0.5 * 2
    assert bias.tolist() == [2.0, 2.0]


def test_without_it_there_is_one_group_of_adam():
    p = nn.Parameter(torch.ones(2, 2))
    optimizer = build_optimizer([p], OptimizerOptions())
    assert type(optimizer) is torch.optim.Adam
    assert len(optimizer.param_groups) == 1
