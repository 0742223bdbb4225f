"""What may come from a file: names without wrappers, and values that are numbers."""

import math

import pytest
import torch

from cmg.errors import CheckpointError, ConfigError
from cmg.tensors import check_finite, non_finite, unwrapped

NAN, INF = math.nan, math.inf
FLOATS = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.complex64,
    torch.float8_e5m2,
]


@pytest.mark.parametrize("dtype", FLOATS)
def test_values_that_are_no_numbers_are_counted(dtype):
    assert non_finite(torch.tensor([1.0, NAN, 3.0]).to(dtype)) == 1
    assert non_finite(torch.tensor([[-INF, 1.0], [NAN, INF]]).to(dtype)) == 3
    assert non_finite(torch.tensor([1.0, -2.0]).to(dtype)) == 0
    assert non_finite(torch.zeros(0, 3).to(dtype)) == 0


def test_whole_numbers_are_numbers_and_parameters_may_need_gradients():
    assert non_finite(torch.tensor([2**62, -1])) == non_finite(torch.tensor([True])) == 0
    assert non_finite(torch.nn.Parameter(torch.tensor([NAN]))) == 1


def test_the_first_broken_tensor_is_named_with_its_file_and_count():
    tensors = {"a": torch.ones(2), "b": torch.tensor([NAN, 1.0, INF]), "c": torch.tensor(NAN)}
    check_finite({"a": tensors["a"]}, "x.pth", "get it again", ConfigError)
    with pytest.raises(ConfigError) as caught:
        check_finite(tensors, "x.pth", "get it again", ConfigError)
    assert str(caught.value) == (
        "x.pth: 2 of the 3 values of 'b' are NaN or infinite, and 1 more tensors have some; "
        "get it again"
    )


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_what_a_wrapper_put_before_every_name_is_taken_off(prefix):
    bare = {"a.weight": torch.ones(1), "module_b": torch.ones(2)}
    assert unwrapped({prefix + name: x for name, x in bare.items()}) == bare
    assert unwrapped(bare) == bare
    assert unwrapped({}) == {}


def test_names_with_and_without_the_prefix_are_refused():
    with pytest.raises(
        CheckpointError, match=r"'module\.b' was saved under a wrapper.*'a' was not"
    ):
        unwrapped({"a": torch.ones(1), "module.b": torch.ones(1)})
