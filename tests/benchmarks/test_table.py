"""``python -m benchmarks``: what it writes, compares and says of targets; never times."""

import json

import pytest
from benchmarks.__main__ import main
from benchmarks.cases import Sizes, case_of, lean
from benchmarks.codebook import Extent
from benchmarks.components import component_times, scaled
from benchmarks.figures import Figure
from benchmarks.flops import COMPONENTS, MAPS, OBJECTIVES, REST, nominal_flops
from benchmarks.published import figures as published_figures
from benchmarks.targets import targets_table

from benchmarks import published, running

from .test_output import event


@pytest.mark.slow
def test_sections_run_apart_and_a_failure_stops_no_other(tmp_path, monkeypatch, capfd):
    """The registry's order whatever is asked; a section that breaks is told as failed."""
    monkeypatch.setattr(running, "ROOT", with_absent_costs(tmp_path))
    file = tmp_path / "found.json"
    asked = ["--quick", "--repeats", "1", "--only", "costs", "codebook", "demo"]
    assert main([*asked, "--json", str(file)]) == 1
    found = json.loads(file.read_text())
    assert set(found) == {"machine", "date", "sections"}
    machine = {"processor", "instructions", "cores", "memory_gb", "parallel", "revision", "load"}
    assert machine <= set(found["machine"])
    assert list(found["sections"]) == ["demo", "codebook", "costs"]
    assert "ModuleNotFoundError" in found["sections"]["costs"]["error"]
    demo, book = found["sections"]["demo"], found["sections"]["codebook"]
    assert demo["settings"] == {"quick": True, "threads": 1, "size": "demo", "batch": 8}
    assert set(demo["figures"]["step: float32"]) == {"value", "min", "max", "unit", "spread"}
    assert demo["figures"]["step: float32"]["spread"] == "once"
    for form in ("float32", "looped float64", "looped float32"):
        assert demo["figures"][f"objectives: {form}"]["unit"] == "ms"
    assert "lookup, K = 64: looped float64, 30 tokens" in book["figures"]
    out = capfd.readouterr().out
    assert out.index("## demo") < out.index("## codebook") < out.index("## targets")
    assert "failed: costs" in out
    assert main(["--compare", str(file), str(file)]) == 0
    assert "costs: failed in A" in capfd.readouterr().out


def with_absent_costs(folder):
    """A place from which children import the benchmarks, without their module of costs."""
    root = folder / "root"
    (root / "benchmarks").mkdir(parents=True)
    for file in (running.ROOT / "benchmarks").glob("*.py"):
        if file.name != "costs.py":
            (root / "benchmarks" / file.name).symlink_to(file)
    return root


def figure(value, low=None, high=None, unit="ms", spread="turns"):
    low, high = (value if x is None else x for x in (low, high))
    return {"value": value, "min": low, "max": high, "unit": unit, "spread": spread}


def result(path, figures, settings=None, **machine):
    """A file by hand: a section of one figure or more."""
    facts = {"processor": "P", "cores": 2, "memory_gb": 24.0, "instructions": [], "python": "3.11"}
    facts |= {"packages": {"torch": "2"}, "revision": "abc"} | machine
    section = {"settings": settings or {"batch": 80}, "figures": figures}
    path.write_text(json.dumps({"machine": facts, "date": "d", "sections": {"demo": section}}))
    return path


def compared(capsys, a, b):
    code = main(["--compare", str(a), str(b)])
    return code, capsys.readouterr().out


def test_compare_tells_spread_and_counts(tmp_path, capsys):
    """Overlapping ranges are the same; a count that changed comes first."""
    first = {
        "near": figure(10.0, 9.0, 12.0),
        "far": figure(10.0, 9.0, 11.0),
        "single": figure(10.0, spread="once"),
        "count": figure(100.0, unit="GFLOP", spread="exact"),
        "kept": figure(7.0, unit="GFLOP", spread="exact"),
        "gone": figure(1.0),
    }
    second = first | {
        "near": figure(12.5, 11.5, 13.0),
        "far": figure(5.0, 4.0, 6.0),
        "single": figure(20.0, spread="once"),
        "count": figure(50.0, unit="GFLOP", spread="exact"),
    }
    second.pop("gone")
    a, b = result(tmp_path / "a", first), result(tmp_path / "b", second)
    code, out = compared(capsys, a, b)
    assert code == 0
    assert "| demo: near | ms | 10 (9–12) | 12.5 (11.5–13) | 1.25 | same within the spread |" in out
    assert "| demo: far | ms | 10 (9–11) | 5 (4–6) | 0.5 | lower |" in out
    assert "| demo: single | ms | 10 | 20 | 2 | measured once |" in out
    assert "| demo: count | GFLOP | 100 | 50 | 0.5 | changed |" in out
    assert "| demo: kept | GFLOP | 7 | 7 | 1 | same |" in out
    assert out.index("Counts that changed") < out.index("demo: count") < out.index("demo: near")
    assert "- demo: gone (only in A)" in out
    assert "Different machines" not in out


def test_compare_refuses_other_settings_and_names_machines(tmp_path, capsys):
    a = result(tmp_path / "a", {"x": figure(1.0)}, {"batch": 80, "threads": 2})
    b = result(tmp_path / "b", {"x": figure(2.0)}, {"batch": 8, "threads": 2}, processor="Q")
    code, out = compared(capsys, a, b)
    assert code == 1
    assert "- demo: other settings: batch 80 in A, 8 in B" in out
    assert "**Different machines**" in out
    assert "- processor P in A, Q in B" in out
    assert "demo: x" not in out


BROKEN = {
    "nothing": (None, "cannot be read: No such file or directory"),
    "text": ("no json", "is not JSON"),
    "list": ("[]", "it holds no object"),
    "other": ('{"machine": {}}', "it has no 'sections'"),
    "bare": ('{"machine": {}, "sections": {"demo": {"figures": {}}}}', "no settings or figures"),
    "odd": ('{"machine": {}, "sections": {"demo": 1}}', "no settings or figures"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_compare_says_in_one_line_what_is_wrong(tmp_path, capsys, case):
    text, message = BROKEN[case]
    good, bad = result(tmp_path / "good", {"x": figure(1.0)}), tmp_path / "bad"
    if text is not None:
        bad.write_text(text)
    assert main(["--compare", str(good), str(bad)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert str(bad) in told.err
    assert message in told.err


def test_targets_are_told():
    found = {
        "published": {"faster: float32": Figure.of([11.0, 12.0, 13.0], "times")},
        "memory": {"bf16 / looped float64": Figure.of([51.0], "%")},
    }
    text = targets_table(found)
    assert "float32, against looped float64 | at least 12x | 12 (11–13)x | yes |" in text
    assert "memory, bf16, of looped float64's | at most 50 % | 51 % | **no** |" in text
    assert "lean and bf16 | at least 100x | not measured | – |" in text
    assert "**no**" not in targets_table(found, quick=True)


def test_parts_multiply_to_the_whole():
    """Looped float64 400 s, looped float32 100, float32 20, bf16 10, lean bf16 2: 4 * 5 * 2 * 5."""
    extent = published.Extent(batch=80, few=(4, 12))
    seconds = {"looped float64": 400.0, "looped float32": 100.0, "float32": 20.0, "bf16": 10.0}
    seconds |= {"lean float32": 4.0, "lean bf16": 2.0}
    found = published_figures({name: [value] for name, value in seconds.items()}, extent)
    assert [found[f"part: {part}"].value for part, _, _ in published.PARTS] == [4, 5, 2, 5]
    assert found["faster: lean bf16"].value == 200
    assert found["looped float64, 80 clips (scaled)"].value == 400
    whole, few = (found[f"nominal operations, {k}"].value for k in ("published", "lean"))
    assert whole == pytest.approx(6.09, rel=0.02)
    assert few == pytest.approx(0.043 * whole, rel=0.1)


def test_lean_operations():
    """The lean convolutional part has about 3 % of the published operations, the rest as many."""
    case = case_of("audio-video-text", Sizes())
    whole, less = nominal_flops(case), nominal_flops(lean(case))
    full = nominal_flops(lean(case, "full"))
    share = sum(less[c] for c in MAPS) / sum(whole[c] for c in MAPS)
    assert 0.025 < share < 0.03
    assert sum(full[c] for c in MAPS) == pytest.approx(269e9, rel=0.01)  # with its tail full
    assert all(whole[c] == less[c] for c in COMPONENTS if c not in MAPS)


def test_looped_lookup_is_timed_on_as_many_clips_as_the_budget_allows():
    extent = Extent()
    assert extent.tokens == 2400
    # 2^19 over K x 10 steps: 131, 51, 12, 3 and 0.8 clips.
    assert [extent.few_clips(k) for k in extent.codes] == [80, 51, 12, 3, 1]


def test_components_that_do_not_grow_are_not_scaled():
    # 1 s whatever the batch and 0.5 s a clip: 4 clips 3 s, 12 clips 7 s, 80 clips 41 s.
    assert scaled((4, 3.0), (12, 7.0), 80) == pytest.approx(41.0)
    assert scaled((4, 1.02), (12, 1.0), 80) == 1.02


def test_component_times_by_hand():
    """Backward and the gradient it hands on belong to the scope that recorded the node."""
    scope = event("component: objectives", 0, time=1e6)
    product = event("aten::mm", 1, scope, node=7, time=2e6)
    other = event("aten::mul", 2, node=8, time=4e6)
    node = event("autograd::engine::evaluate_function: MmBackward0", 3, node=7, time=1e6)
    back = event("aten::mm", 4, node, time=3e6)
    given = event("autograd::engine::evaluate_function: torch::autograd::AccumulateGrad", 5)
    copied = event("aten::copy_", 6, given, time=2e6)
    found = component_times([scope, product, other, node, back, copied, given], wall=20.0)
    assert found[OBJECTIVES] == pytest.approx(9.0, abs=1e-3)
    assert found[REST] == pytest.approx(11.0, abs=1e-3)
    assert sum(found.values()) == pytest.approx(20.0)
