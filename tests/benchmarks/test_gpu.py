"""The script for a machine with a GPU: here a CPU stands for it."""

import torch
from benchmarks.cases import DEMO, Sizes, case_of
from benchmarks.gpu import after_steps, exactness, furthest, host_waits, main

CPU = torch.device("cpu")
SMALL = case_of(DEMO, Sizes(batch=6, overrides={"model.temporal.dropout": 0.0}))


def test_one_device_agrees_with_itself_and_a_difference_is_seen():
    found = exactness("float64", CPU, SMALL, 2)
    assert (found["furthest"], found["exact"], found["idle counters equal"]) == (0.0, True, 1.0)
    one, _ = after_steps(SMALL, SMALL.state("float64"), 2)
    other = {name: x.clone() for name, x in one.items()}
    other["codebook.codes"] *= 1.001
    difference, name = furthest(one, other)
    assert name == "codebook.codes"
    assert abs(difference - 1e-3) < 1e-9


def test_without_a_gpu_it_says_so(capsys, tmp_path):
    assert host_waits(lambda: None, CPU) is None
    if not torch.cuda.is_available():
        assert main(["--json", str(tmp_path / "gpu.json")]) == 2
        assert "torch sees no GPU here" in capsys.readouterr().err
        assert not (tmp_path / "gpu.json").exists()
