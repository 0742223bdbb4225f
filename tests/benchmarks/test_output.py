"""What the benchmarks write: keys and counts, never times."""

import json
from types import SimpleNamespace

import pytest
from benchmarks.cases import Sizes
from benchmarks.groups import GROUPS, group_times
from benchmarks.timing import Timing, table

from benchmarks import profile_step, step


def test_step_json(tmp_path, capsys):
    file = tmp_path / "step.json"
    step.main(["--sizes", "demo", "--batch", "4", "--repeats", "2", "--json", str(file)])
    found = json.loads(file.read_text())
    assert set(found) == {"machine", "clock", "batch", "step"}
    assert {"python", "platform", "threads", "packages", "load"} <= set(found["machine"])
    row = found["step"]["demo"]
    assert set(row) == {"float32", "float64", "looped float64", "looped float32"}
    assert {"median_ms", "ratio", "ratio_min", "ratio_max", "turns"} <= set(row["float32"])
    assert row["float32"]["ratio"] == 1.0
    assert "| demo |" in capsys.readouterr().out


def test_profile_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(profile_step, "EXTENTS", (Sizes(4, 5, 8), Sizes(6, 7, 12)))
    file = tmp_path / "profile.json"
    profile_step.main(["--sizes", "demo", "--batch", "4", "--steps", "1", "--json", str(file)])
    found = json.loads(file.read_text())
    assert set(found) == {"machine", "batch", "sizes", "synchronizations"}
    shares = found["sizes"]["demo"]["share_percent"]
    assert set(shares) == set(GROUPS)
    assert sum(shares.values()) == pytest.approx(100.0, abs=0.1)
    assert min(shares["matrix products"], shares["recurrent"], shares["dropout"]) > 0
    first, second = found["synchronizations"]["per_step"]
    assert first["synchronizations"] == second["synchronizations"]
    assert "rest" in capsys.readouterr().out


def test_ratios_are_taken_turn_by_turn():
    timing = Timing({"a": [1.0, 10.0, 2.0], "b": [2.0, 20.0, 8.0]}, "a")
    assert timing.ratios("b") == [2.0, 2.0, 4.0]
    assert timing.as_dict()["b"]["ratio"] == 2.0
    assert table("what", {"x": timing}).splitlines()[-1] == "| x | 2e+03 | 8e+03 | 2 (2–4) |"


def event(name, start, parent=None, node=-1, time=1.0):
    return SimpleNamespace(
        name=name,
        cpu_parent=parent,
        sequence_nr=node,
        self_cpu_time_total=time,
        time_range=SimpleNamespace(start=start),
    )


def test_groups_by_hand():
    """Dropout's product counts as dropout forward and backward; another product is the rest."""
    dropout = event("aten::dropout", 0, node=7)
    noise = event("aten::bernoulli_", 1, dropout, node=7)
    product = event("aten::mul", 2, dropout, node=7)
    other = event("aten::mul", 3, node=8, time=10.0)
    linear = event("aten::linear", 4, node=9)
    addmm = event("aten::addmm", 5, linear, node=9)
    bias = event("aten::copy_", 6, addmm, node=9)
    node = event("autograd::engine::evaluate_function: MulBackward0", 7, node=7)
    back = event("aten::mul", 8, node)
    node_of_other = event("autograd::engine::evaluate_function: MulBackward0", 9, node=8)
    back_of_other = event("aten::mul", 10, node_of_other, time=10.0)
    events = [dropout, noise, product, other, linear, addmm, bias, node, back]
    groups, rest = group_times([*events, node_of_other, back_of_other])
    assert groups == {"dropout": 5.0, "matrix products": 2.0, "rest": 22.0}
    assert rest["aten::mul"] == 20.0
