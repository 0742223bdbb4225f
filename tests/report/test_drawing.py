import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from cmg.codebook.measures import CodeUsage
from cmg.report.charts import (
    AxisScale,
    Bar,
    Line,
    bar_chart,
    line_chart,
    log_ticks,
    nice_ticks,
    scales,
    tick_text,
)
from cmg.report.colors import (
    OKABE_ITO,
    ON_DARK,
    code_color,
    contrast,
    heat,
    modality_colors,
    palette_css,
    text_on,
)
from cmg.report.curves import panels
from cmg.report.gather import RunLog, evenly
from cmg.report.markdown import fenced, text
from cmg.report.prose import percent
from cmg.report.samples import code_groups
from cmg.report.svg import pie


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 40.78), (-3, 7), (1e-6, 3e-6), (99.2, 99.9), (5, 5), (0, 0)]
)
def test_ticks_cover_the_range_with_round_numbers(low, high):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8
    gaps = {round((b - a) / (ticks[1] - ticks[0]), 6) for a, b in pairwise(ticks)}
    assert gaps == {1.0}
    assert all(len(tick_text(t)) <= 7 for t in ticks)


def test_log_ticks_are_powers_of_ten():
    assert log_ticks(0.02, 300) == [0.01, 0.1, 1, 10, 100, 1000]
    assert log_ticks(1, 1) == [1, 10]
    wide = log_ticks(1e-9, 1e9)
    assert wide[0] <= 1e-9
    assert wide[-1] >= 1e9
    assert len(wide) <= 6


@pytest.mark.parametrize("log", [False, True])
def test_points_stay_inside_the_plot(log):
    line = Line([(1, 0.5), (50, 700.0), (266, 3.0)], "red")
    across, up, _ = scales([line], log, (46, 318), (166, 30))
    for x, y in line.points:
        assert 46 <= across.at(x) <= 318
        assert 30 <= up.at(y) <= 166
    heights = [up.at(y) for _, y in line.points]
    assert heights[1] < heights[2] < heights[0]


def test_scale_by_hand():
    assert AxisScale(0, 100, 200, 300).at(25) == 225
    assert AxisScale(0, 100, 300, 200).at(25) == 275
    assert AxisScale(50, 800, 0, 4, log=True).at(100) == pytest.approx(1)  # four doublings
    assert AxisScale(0, 10, 0, 1).at(-5) == 0
    assert AxisScale(5, 5, 0, 1).at(5) == 0.5


def test_a_single_point_is_a_dot():
    drawn = line_chart("loss", [Line([(1, 2.0)], "red")])
    assert "<circle" in drawn
    assert "polyline" not in drawn
    assert "nan" not in drawn


def test_bars_have_their_heights():
    drawn = bar_chart([Bar("7", [10, 5]), Bar("3", [0, 0])], {"a": "red", "b": "blue"})
    heights = [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', drawn)]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.02)
    assert len(heights) == 2
    assert "<title>code 3: 0.00 %</title>" in drawn


def test_pie_slices_have_their_angles():
    drawn = pie((10, 10), 5, [0.75, 0.25, 0], ["red", "blue", "green"])
    paths = re.findall(
        r'd="M10 10L([\d.-]+) ([\d.-]+)A5.00 5.00 0 (\d) 1 ([\d.-]+) ([\d.-]+)Z"', drawn
    )
    assert len(paths) == 2
    assert [p[2] for p in paths] == ["1", "0"]
    turns = []
    for ax, ay, _, bx, by in paths:
        a, b = (math.atan2(float(x) - 10, 10 - float(y)) for x, y in ((ax, ay), (bx, by)))
        turns.append((b - a) / (2 * math.pi) % 1)
    assert turns == pytest.approx([0.75, 0.25], abs=1e-3)
    assert "green" not in drawn
    assert 'class="ring"' in pie((10, 10), 5, [0, 0], ["red", "blue"])
    assert pie((10, 10), 5, [1, 0], ["red", "blue"]).startswith("<circle")


def test_text_is_legible_on_every_color():
    for i in range(-100, 101):
        shade = heat(i / 100)
        assert contrast(shade.light, shade.light_text) >= 4.5
        assert contrast(shade.dark, shade.dark_text) >= 4.5
    assert heat(0).light == "#ffffff"
    assert heat(0).dark == heat(-1e-9).dark
    red, _, blue = (int(heat(-0.5).light[i : i + 2], 16) for i in (1, 3, 5))
    assert red > 200 > blue
    for code in range(1024):
        color = code_color(code)
        assert contrast(color, text_on(color)) >= 4.5


def test_colors_of_many_modalities_differ():
    names = [f"m{i}" for i in range(14)]
    colors = modality_colors(names)
    assert len(set(colors.values())) == 14
    on_light, on_dark = palette_css().split("@media (prefers-color-scheme: dark)")
    for i, (light, dark) in enumerate(zip(OKABE_ITO, ON_DARK, strict=True)):
        assert colors[f"m{i}"] == f"var(--m{i})"
        assert f"--m{i}: {light};" in on_light
        assert f"--m{i}: {dark};" in on_dark


def test_groups_agree_with_the_shared_share():
    torch.manual_seed(0)
    counts = torch.randint(0, 40, (3, 50)).double() * (torch.rand(3, 50) > 0.5)
    usage = CodeUsage(counts, ("a", "b", "c"))
    groups = code_groups(usage)
    assert sorted(k for codes in groups.values() for k in codes) == list(range(50))
    used = sum(len(codes) for by, codes in groups.items() if by)
    shared = sum(len(codes) for by, codes in groups.items() if len(by) > 1)
    assert used == int(usage.used().sum())
    assert shared / used == pytest.approx(usage.shared_share)
    assert [len(by) for by in groups] == sorted(map(len, groups), reverse=True)


def test_curves_leave_out_what_is_not_finite_and_average_the_rest():
    metrics = [{"epoch": 0, "step": s, "loss/total": float(s)} for s in range(1, 1001)]
    metrics[3]["loss/total"] = float("nan")
    (panel,) = panels([RunLog(Path("a"), {}, metrics)], {"eeg": "red"})
    (run,) = (line.points for line in panel.lines)
    assert len(run) <= 130
    assert all(math.isfinite(y) for _, y in run)
    assert all(x == pytest.approx(y) for x, y in run)


def test_no_metrics_no_panels():
    assert panels([RunLog(Path("a"), {}, [])], {"eeg": "red"}) == []


def test_evenly_spaced():
    assert evenly(3, 6) == [0, 1, 2]
    assert evenly(500, 6) == [41, 125, 208, 291, 375, 458]
    assert evenly(0, 6) == []


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.9996, "> 99.9 %"),
        (0.994, "99.4 %"),
        (0.5, "50 %"),
        (0.0123, "1.2 %"),
        (0.0001, "< 0.1 %"),
    ],
)
def test_percent(share, shown):
    assert percent(share) == shown


def test_markdown_keeps_text_as_text():
    assert text("a|b\n<i>*c*</i>") == r"a\|b &lt;i&gt;\*c\*&lt;/i&gt;"
    assert fenced("x: ```", "yaml").startswith("````yaml\n")
