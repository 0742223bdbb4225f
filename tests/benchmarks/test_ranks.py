"""The step that ``benchmarks.ranks`` times, and its arithmetic; no times."""

import pytest
from benchmarks.ranks import SIZE, Workload, section

TINY = Workload("lean", "float32", 6, divisor=16, length=3)


@pytest.fixture(scope="module")
def found():
    return section(workloads=[TINY], repeats=2)


@pytest.mark.slow
def test_figures_are_those_of_the_row(found):
    name = "lean float32, 6 clips, widths / 16"
    assert TINY.name == name
    assert {f.unit for f in found.figures.values()} == {"ms", "%", "MB"}
    efficiency = found.figures[f"{name}: efficiency"]
    one, two = (found.figures[f"{name}: {n}"] for n in ("one process", "two ranks"))
    assert efficiency.low <= 100 * one.high / (2 * two.low)
    assert efficiency.high >= 100 * one.low / (2 * two.high)
    assert f"| {name} | " in found.text
    assert found.settings["repeats"] == 2


@pytest.mark.slow
def test_bytes_are_those_of_features_and_gradients(found):
    case = TINY.case()
    state = case.state("float32")
    d, private = 256, 16 + 512 + 16  # z; details of audio and text, and pooled maps for CLUB
    gathered = 4 * TINY.batch * TINY.length * (3 * d + private)
    assert found.figures[f"{TINY.name}: gathered"].value == pytest.approx(gathered / 1e6)
    parameters = list(state.model.parameters())
    of_club = sum(p.numel() for p in state.objectives["club"].parameters())
    summed = sum(p.numel() for p in parameters) + len(parameters)  # and who has a gradient
    summed += 5 * (of_club + 3)  # five inner steps, with three log-likelihoods
    summed += 2 * 4  # reconstruction, whole or by modality, for the log; and who has it
    assert found.figures[f"{TINY.name}: summed"].value == pytest.approx(4 * summed / 1e6)


def test_the_workload_is_the_published_size_with_a_lean_path():
    case = Workload("lean", "bf16", 80).case()
    assert (case.name, case.batch, case.length) == (SIZE, 80, 10)
    assert case.config.model.map_detail == "lean"
    assert {m.name: m.detail_width for m in case.modalities} == {
        "audio": 256,
        "video": 2048,
        "text": 256,
    }
