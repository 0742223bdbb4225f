"""``training.compile``: what is compiled, and what happens where it cannot be."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from cmg.errors import ConfigError
from cmg.recipes.pretrain import prepare, pretrain
from cmg.saved import flat
from cmg.training import compiling


def weights(training):
    return flat(training.state.model)


def test_without_a_working_compiler_training_says_so_and_is_the_same(
    tiny_config, tmp_path, monkeypatch
):
    plain = pretrain(tiny_config())

    def broken(*_, **__):
        raise RuntimeError("no C++ compiler\nand a long trace")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.warns(UserWarning, match="goes on without.*here: no C\\+\\+ compiler$"):
        other = pretrain(tiny_config("training.compile=true"), tmp_path / "run")
    assert all(torch.equal(x, weights(other)[n]) for n, x in weights(plain).items())


def test_encoders_and_decoders_are_compiled_but_for_maps_on_a_cpu(tiny_config, monkeypatch):
    done = []

    def record(part):
        done.append(part)
        part._compiled_call_impl = part.forward

    monkeypatch.setattr(compiling, "why_not", lambda _: None)
    monkeypatch.setattr(nn.Module, "compile", record)
    model = prepare(tiny_config("training.compile=true")).state.model
    names = {id(part): name for name, part in model.named_modules()}
    expected = {f"semantic.{m}" for m in model.modalities}
    expected |= {
        f"{part}.{m.name}"
        for part in ("detail", "decoder")
        for m in model.modalities.values()
        if m.kind != "maps"
    }
    assert {names[id(part)] for part in done} == expected
    assert len(expected) < 3 * len(model.modalities)  # there are maps among them


def test_a_part_that_the_compiler_cannot_take_runs_as_it_is(tiny_config, monkeypatch):
    plain = pretrain(tiny_config("training.epochs=1"))
    compile_part, asked = nn.Module.compile, []

    def broken(graph, inputs):
        asked.append(graph)
        raise RuntimeError("the backend broke")

    monkeypatch.setattr(compiling, "why_not", lambda _: None)
    monkeypatch.setattr(nn.Module, "compile", lambda part: compile_part(part, backend=broken))
    settings = torch._dynamo.config.get_config_copy()
    other = pretrain(tiny_config("training.epochs=1", "training.compile=true"))
    assert asked
    assert torch._dynamo.config.get_config_copy() == settings
    assert not settings["suppress_errors"]
    assert all(torch.equal(x, weights(other)[n]) for n, x in weights(plain).items())


@pytest.mark.parametrize("width", [6, 5])
def test_a_compiler_of_the_callers_own_is_as_strict_as_before(tiny_config, monkeypatch, width):
    """After a compiled part was used, and after it refused what it was given."""

    def broken(graph, inputs):
        raise RuntimeError("the backend broke")

    compile_part = nn.Module.compile
    monkeypatch.setattr(compiling, "why_not", lambda _: None)
    monkeypatch.setattr(nn.Module, "compile", lambda part: compile_part(part, backend="eager"))
    settings = torch._dynamo.config.get_config_copy()
    part = prepare(tiny_config("training.compile=true")).state.model.detail["audio"]
    with nullcontext() if width == 6 else pytest.raises(RuntimeError, match="shapes"):
        assert part(torch.ones(2, 3, width))[0].shape == (2, 3, 6)
    assert torch._dynamo.config.get_config_copy() == settings
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed, match="the backend broke"):
        torch.compile(lambda x: x + 1.0, backend=broken)(torch.ones(2))


@pytest.mark.parametrize("other", ["training.micro_batch=2", "training.recompute_maps=true"])
def test_what_it_does_not_go_with_is_refused(tiny_config, other):
    with pytest.raises(ConfigError, match=r"training\.compile is for one process"):
        prepare(tiny_config("training.compile=true", other))


@pytest.mark.slow
def test_compiled_training_gives_the_same_numbers(tiny_config):
    double = "training.precision=float64"
    whole = weights(pretrain(tiny_config(double)))
    other = weights(pretrain(tiny_config(double, "training.compile=true")))
    assert not any("_orig_mod" in name for name in other)
    # Dropout inside a compiled function draws other masks: the run has none.
    for name, x in whole.items():
        torch.testing.assert_close(other[name], x, rtol=1e-8, atol=1e-9, msg=name)
