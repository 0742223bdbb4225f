"""Tables and plots from planted scores: every number by hand."""

import re
from xml.etree import ElementTree

import pytest

from cmg.config.load import load_config
from cmg.errors import DataError
from cmg.report.html import standalone
from cmg.studies.definition import load_study, read_study
from cmg.studies.plots import study_plot
from cmg.studies.summary import summarized, with_mean
from cmg.studies.tables import codebook_table, metric_table, paper_table, study_tables
from cmg.studies.write import write_study

from .conftest import PAIR

AV, VA = "classification/audio->video", "classification/video->audio"
FOUND = {
    "full": {
        0: {AV: 60.0, VA: 50.0, "classification/audio->audio": 90.0, "codebook/used": 8.0},
        1: {AV: 70.0, VA: 50.0, "classification/audio->audio": 90.0, "codebook/used": 7.0},
        2: {AV: 80.0, VA: 80.0, "classification/audio->audio": 90.0, "codebook/used": 6.0},
    },
    "no-cmcm": {
        0: {AV: 50.0, VA: 48.0, "classification/audio->audio": 91.0, "codebook/used": 4.0},
        1: {AV: 64.0, VA: 52.0, "classification/audio->audio": 92.0, "codebook/used": 4.0},
        2: {AV: 70.0, VA: 77.0, "classification/audio->audio": 93.0, "codebook/used": 4.0},
    },
}


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_means_and_paired_differences_by_hand(pair, planted):
    """Differences in audio->video are -10, -6, -10: mean -8.667, deviation sqrt(16/3) = 2.309.

    In video->audio -2, 2, -3: mean -1, deviation sqrt((1 + 9 + 4) / 2) = 2.646. Means over the two
    directions are 55, 60, 80 and 49, 58, 73.5: differences -6, -2, -6.5.
    """
    full, other = summarized(planted(pair, FOUND)).rows
    assert full.differences == {}
    assert full.scores[AV].mean == pytest.approx(70)
    assert full.scores[AV].std == pytest.approx(10)
    found = other.differences[AV]
    assert (found.mean, found.std, found.n) == pytest.approx((-26 / 3, (16 / 3) ** 0.5, 3))
    found = other.differences[VA]
    assert (found.mean, found.std) == pytest.approx((-1, 7**0.5))
    mean = "classification/mean"
    assert full.scores[mean].mean == pytest.approx(65)
    assert full.scores[mean].std == pytest.approx(175**0.5)  # 55, 60, 80
    assert other.differences[mean].mean == pytest.approx(-14.5 / 3)
    assert other.differences["codebook/used"].mean == -3


def test_table_by_hand(pair, planted):
    summary = summarized(planted(pair, FOUND))
    table = metric_table(summary, "classification")
    assert table.columns == ("", "mean across", "audio → video", "video → audio")
    assert texts(table) == [
        ["full recipe", "65.0 ± 13.2", "70.0 ± 10.0", "60.0 ± 17.3"],
        [
            "without CMCM",
            "60.2 ± 12.4 (−4.8 ± 2.5)",
            "61.3 ± 10.3 (−8.7 ± 2.3)",
            "59.0 ± 15.7 (−1.0 ± 2.6)",
        ],
    ]
    assert "3 pre-training seeds" in table.note
    assert "difference to “full recipe”" in table.note
    titles = [t.title for t in study_tables(summary)]
    assert titles == ["Classification", "Classification within a modality", "Use of the codebook"]
    assert [t.title for t in study_tables(summary, short=True)] == [titles[0], titles[2]]
    within = study_tables(summary)[1]
    assert texts(within)[1] == ["without CMCM", "92.0 ± 1.0 (+2.0 ± 1.0)"]
    used = codebook_table(summary)
    assert used.columns == ("", "codes", "codes used")
    assert texts(used) == [
        ["full recipe", "8", "7.0 ± 1.0"],
        ["without CMCM", "8", "4.0 ± 0.0 (−3.0 ± 1.0)"],
    ]


def test_differences_are_of_the_seeds_that_both_have(pair, planted):
    found = {"full": {0: {AV: 60.0}, 2: {AV: 80.0}}, "no-cmcm": {1: {AV: 10.0}, 2: {AV: 70.0}}}
    summary = summarized(planted(pair, found))
    other = summary.rows[1]
    assert (other.differences[AV].mean, other.differences[AV].n) == (-10, 1)
    assert other.scores[AV].mean == 40
    table = metric_table(summary, "classification")
    assert texts(table)[1][2] == "40.0 ± 42.4 (−10.0)"
    assert "over 2 pre-training seeds" in table.note


def test_one_seed_has_no_deviation(pair, planted):
    summary = summarized(planted(pair, {name: {0: seeds[0]} for name, seeds in FOUND.items()}))
    table = metric_table(summary, "classification")
    assert texts(table)[1] == ["without CMCM", "49.0 (−6.0)", "50.0 (−10.0)", "48.0 (−2.0)"]
    assert "±" not in table.note
    assert "1 pre-training seed;" in table.note


def test_mean_is_over_directions_between_modalities():
    found = with_mean({"m/a->b": 10.0, "m/b->a": 20.0, "m/a->a": 99.0, "other/b->b": 5.0, "c/u": 1})
    assert found["m/mean"] == 15.0
    assert "other/mean" not in found
    assert "c/mean" not in found


def test_the_papers_figures_stand_beside_other_data(planted):
    """24k, AVE video->audio: 34.9 without CLUB, 44.0 in full: -9.1."""
    study = load_study("ablation-av")
    summary = summarized(planted(study, {"full": {0: {AV: 60.0}}}))
    titles = [t.title for t in study_tables(summary)]
    assert titles[-2:] == [
        "The paper: Table 2, VGGSound 24k",
        "The paper: Table 2, VGGSound 40k",
    ]
    table = paper_table(summary, study.paper, "24k")
    assert table.columns[1:3] == ("AVE video → audio", "AVE audio → video")
    assert len(table.rows) == 8
    assert texts(table)[0] == ["full recipe", "44.0", "49.7", "61.9", "65.7"]
    assert texts(table)[1][:2] == ["without CLUB", "34.9 (−9.1)"]
    assert "Other data than above" in table.note


def test_the_papers_figures_stand_in_the_same_table_where_the_benchmark_is_the_same(planted):
    study = load_study("ablation-av")
    base = load_config(None, ["data.list=40k"])
    found = {"full": {0: {"ave/video->audio": 50.0, "ave/audio->video": 55.0}}}
    found["no-cpc"] = {0: {"ave/video->audio": 20.0, "ave/audio->video": 25.0}}
    found["untrained-encoders"] = {0: {"ave/video->audio": 9.0, "ave/audio->video": 8.0}}
    summary = summarized(planted(study, found, base))
    table = metric_table(summary, "ave")
    assert table.columns[-2:] == ("paper video → audio", "paper audio → video")
    assert texts(table)[1] == [
        *("without Cross-CPC", "22.5 (−30.0)", "20.0 (−30.0)", "25.0 (−30.0)", "5.2", "7.1")
    ]
    assert texts(table)[2][-2:] == ["–", "–"]
    assert [t.title for t in study_tables(summary)] == ["AVE accuracy"]


def test_no_job_and_no_study_are_told_apart(pair, planted, tmp_path):
    with pytest.raises(DataError, match="no finished job yet"):
        summarized(planted(pair, {}))
    with pytest.raises(DataError, match="holds no study"):
        summarized(tmp_path)


# ---- plots --------------------------------------------------------------------------------------


def circles(drawing):
    group = r'<g data-row="([^"]*)"><title>([^<]*)</title>.*?<circle cx="([\d.]+)" cy="([\d.]+)"'
    return [(r, t, float(x), float(y)) for r, t, x, y in re.findall(group, drawing)]


def test_dots_lie_at_their_scores(pair, planted):
    """Scores with whiskers reach from 42.7 to 80 (ticks 40 .. 80): 330 units for 40 percent."""
    drawing = study_plot(summarized(planted(pair, FOUND)))
    ElementTree.fromstring(drawing)
    dots = circles(drawing)
    assert [d[0] for d in dots] == ["full", "full", "no-cmcm", "no-cmcm"]
    assert dots[0][1] == "full recipe, audio → video: 70.0 ± 10.0"
    assert dots[0][2] == pytest.approx(230 + 330 * (70 - 40) / 40, abs=0.1)
    assert dots[3][2] == pytest.approx(230 + 330 * (59 - 40) / 40, abs=0.1)
    assert dots[0][3] < dots[1][3] < dots[2][3]


SWEEP = """
title: Sizes
about: Sizes.
reference: k4
axis: {title: codes}
variants:
  - {name: k2, title: 2 codes, x: 2, changes: {model.codebook.size: 2}}
  - {name: k4, title: 4 codes, x: 4, changes: {model.codebook.size: 4}}
  - {name: k16, title: 16 codes, x: 16, changes: {model.codebook.size: 16}}
"""


def test_a_sweep_is_drawn_on_a_logarithmic_axis_with_its_controls(planted):
    sizes = read_study(SWEEP, "sizes", "test")
    found = {name: {0: {AV: 20.0 + i}} for i, name in enumerate(("k2", "k4", "k16"))}
    found["shuffled-pairs"] = {0: {AV: 10.0}}
    drawing = study_plot(summarized(planted(sizes, found)))
    ElementTree.fromstring(drawing)
    xs = [d[2] for d in circles(drawing)]
    assert xs[2] - xs[1] == pytest.approx(2 * (xs[1] - xs[0]), abs=0.2)
    assert drawing.count("<polyline") == 1
    assert "control: shuffled pairs" in drawing
    assert "codes (log scale)" in drawing
    assert drawing.count('class="threshold"') == 1


def test_many_metrics_are_drawn_two_in_a_row(pair, planted):
    names = ("ave", "avvp", "ave-avvp", "ucf-vgg")
    scores = {f"{name}/audio->video": 50.0 for name in names} | {"ave, val/audio->video": 1.0}
    drawing = study_plot(summarized(planted(pair, {"full": {0: scores}})))
    titles = re.findall(r'class="title">([^<]*)<', drawing)
    assert titles == [
        "AVE accuracy, %",
        "AVVP precision, %",
        "AVE-AVVP f1, %",
        "UCF-VGG accuracy, %",
    ]
    assert re.findall(r"translate\(0 ([\d.]+)\)", drawing) == [
        "0",
        "0",
        "122",
        "122",
    ]  # 64 + 30 + 28
    assert 'height="244"' in drawing


def test_written_files_agree_and_load_nothing(pair, planted):
    out = planted(pair, FOUND)
    summary = summarized(out)
    written = write_study(out, summary)
    assert sorted(p.name for p in written) == ["plot.svg", "report.html", "study.json", "table.md"]
    told, page = (out / "table.md").read_text(), (out / "report.html").read_text()
    for shown in ("60.2 ± 12.4 (−4.8 ± 2.5)", "without CMCM"):
        assert shown in told
        assert shown in page
    assert "objectives.cmcm = None" in page
    plot = (out / "plot.svg").read_text()
    root = ElementTree.fromstring(plot)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for name in re.findall(r"var\((--[a-z0-9-]+)\)", plot):
        assert f"{name}:" in plot, f"{name} has no color in the file"
    for text in (page, plot.replace("http://www.w3.org/2000/svg", "")):
        assert not re.search(r"https?:|src=|@import|url\(", text)


def test_names_are_escaped(planted):
    evil = '<script>alert("1")</script> & | `x`'
    text = PAIR.replace("title: without CMCM", f"title: '{evil}'")
    out = planted(read_study(text, "pair", "test"), FOUND)
    summary = summarized(out)
    write_study(out, summary)
    page = (out / "report.html").read_text()
    assert "<script>" not in page + (out / "plot.svg").read_text() + (out / "table.md").read_text()
    ElementTree.fromstring((out / "plot.svg").read_text())
    assert standalone(study_plot(summary)).count("<svg") == 1


def test_scores_without_directions_have_tables_but_no_plot(pair, planted):
    out = planted(pair, {"full": {0: {"codebook/used": 3.0}}})
    written = write_study(out, summarized(out))
    assert "plot.svg" not in [p.name for p in written]
    assert "No direction was scored" in (out / "report.html").read_text()
