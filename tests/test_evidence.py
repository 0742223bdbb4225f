"""docs/evidence.md shows what its file says, and the file says what the studies found."""

import importlib
import json
import re
import shutil
from itertools import pairwise

import pytest

from cmg.errors import ConfigError
from cmg.studies.definition import read_study

from .studies.conftest import planted  # noqa: F401 - a fixture

STUDY = """
title: T
about: A
reference: infonce
computed: true
variants:
  - {name: infonce, title: I}
  - {name: codes, title: C, reads: [codes, posterior]}
controls:
  - {name: shuffled, title: S, changes: {data.shuffled_pairs: true}}
"""
AB, BA, AA = (f"classification/{d}" for d in ("a->b", "b->a", "a->a"))


@pytest.fixture
def evidence(request, monkeypatch):
    monkeypatch.syspath_prepend(request.config.rootpath / "tools")
    return importlib.import_module("evidence")


def cells(*values, more=0.0):
    """Of two folds: a->b as given, b->a two above it, a->a at 50."""
    found = {}
    for fold, value in enumerate(values):
        found[fold, 0] = {AB: value, BA: value + 2.0, AA: 50.0}
        if more:
            key = "classification, continuous features/"
            found[fold, 0] |= {f"{key}a->b": value + more, f"{key}b->a": value + 2 + more}
    return found


@pytest.fixture
def folder(planted):  # noqa: F811
    return planted(
        read_study(STUDY, "evidence", "test"),
        {
            "infonce": cells(10.0, 20.0, more=1.0),
            "codes": cells(11.0, 24.0, more=3.0),
            "codes/posterior": cells(12.0, 22.0),
            "shuffled": cells(1.0, 1.0),
            "computed": {(0, 0): {}, (1, 0): {}},
            "computed/ridge": {(f, 0): {AB: 5.0, BA: 5.0} for f in (0, 1)},
        },
        folds=range(2),
        seeds=1,
    )


def test_a_row_by_hand(evidence, folder):
    """Codes across are 12, 25, InfoNCE 11, 21: differences 1, 4, mean 2.5, deviation 3 / sqrt(2).

    The half-width is 12.7062 x 3 / sqrt(2) / sqrt(2) = 19.059.
    """
    found = evidence.evidence_of(folder)
    assert list(found) == [
        *("codes", "continuous", "infonce", "ridge", "shuffled", "codes/posterior")
    ]
    codes = found["codes"]
    assert codes["across"] == {
        **{"mean": 18.5, "std": pytest.approx(13 / 2**0.5), "n": 2},
        "values": (12.0, 25.0),
    }
    assert codes["within"]["values"] == (50.0, 50.0)
    assert codes["directions"]["a->b"] == {
        **{"mean": 17.5, "std": pytest.approx(13 / 2**0.5), "n": 2}
    }
    paired = codes["paired_to_infonce"]
    assert [paired[k] for k in ("mean", "low", "high")] == pytest.approx(
        [2.5, 2.5 - 19.0593, 2.5 + 19.0593], abs=1e-3
    )
    assert found["continuous"]["across"]["mean"] == 21.5
    assert (
        found["continuous"]["paired_to_infonce"]["mean"] == 5.5
    )  # to its codes, which it has none
    assert found["infonce"]["paired_to_infonce"] is None
    assert (found["ridge"]["across"]["mean"], found["ridge"]["within"]) == (5.0, None)


def test_the_tables_say_what_the_file_says(evidence, folder):
    text = evidence.page_tables(json.loads(json.dumps({"watch": evidence.evidence_of(folder)})))
    assert "| codes, the default | 18.5 ± 9.2 |" in text
    row = "| codes, the default | watch | +2.5 | −16.6 to +21.6 |"
    assert f"{row} not decidable at this size: 7 would decide |" in text
    assert "| a → b | 17.5 ± 9.2 | 20.5 ± 9.2 | 15.0 ± 7.1 | 5.0 ± 0.0 | 1.0 ± 0.0 |" in text
    assert "without folds: watch 2." in text


def test_the_page_has_the_tables_of_the_committed_file(evidence, request):
    root = request.config.rootpath
    told = json.loads((root / evidence.RESULTS / evidence.FILE).read_text())
    _, shown, _ = importlib.import_module("demo_table").parted(root / evidence.PAGE, evidence.PLACE)
    assert shown == evidence.page_tables(told)


def test_only_finished_studies_of_the_test_split_are_evidence(evidence, folder):
    with pytest.raises(ConfigError, match="no 'localization' across; it has classification"):
        evidence.evidence_of(folder, "localization")
    (folder / "jobs/shuffled/fold-1/seed-0.json").unlink()
    with pytest.raises(ConfigError, match="is not finished: 1 jobs, from shuffled/fold-1/seed-0"):
        evidence.evidence_of(folder)


def test_sets_join_the_file_and_the_page(evidence, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs/results").mkdir(parents=True)
    (tmp_path / evidence.RESULTS / evidence.FILE).write_text('{"old": {}}')
    monkeypatch.setattr(evidence, "page_tables", lambda sets: f"{', '.join(sets)}\n")
    marks = ["<!-- evidence: begin -->\n", "<!-- evidence: end -->"]
    (tmp_path / evidence.PAGE).write_text(f"before {marks[0]}gone{marks[1]} after")
    evidence.main([f"watch={folder}"])
    assert (
        tmp_path / evidence.PAGE
    ).read_text() == f"before {marks[0]}old, watch\n{marks[1]} after"
    copied = (tmp_path / "docs/results/evidence-watch.json").read_bytes()
    assert copied == (folder / "study.json").read_bytes()
    assert list(json.loads((tmp_path / evidence.RESULTS / evidence.FILE).read_text())) == [
        *("old", "watch")
    ]


@pytest.fixture
def leaderboard(request, monkeypatch, evidence):
    return importlib.import_module("leaderboard")


def test_a_leaderboard_has_methods_with_their_differences(leaderboard, folder):
    """Codes are the default: 12, 25 across; InfoNCE has 11, 21, ridge 5, 5."""
    found = leaderboard.rows_of(folder)
    assert list(found) == ["infonce", "default", "ridge"]
    default, infonce = found["default"], found["infonce"]
    assert default["across"]["values"] == (12.0, 25.0)
    assert (default["paired_to_default"], infonce["paired_to_infonce"]) == (None, None)
    assert infonce["paired_to_default"]["mean"] == -2.5
    assert default["paired_to_infonce"]["mean"] == 2.5
    assert found["ridge"]["paired_to_default"]["mean"] == -13.5
    assert (found["ridge"]["seconds"], default["tries"]) == (None, None)
    assert {row["study"] for row in found.values()} == {"evidence"}
    told = leaderboard.page_table({"one": found | {"x": {"not_applicable": "why"}}, "two": {}})
    assert "| infonce | 16.0 ± 7.1 (−2.5 ± 19.1) | – |" in told
    assert "| x | not applicable: why | – |" in told


def test_the_leaderboard_shows_what_its_file_says(leaderboard, request):
    root = request.config.rootpath
    board = json.loads((root / "docs/results/leaderboard.json").read_text())
    page = (root / "docs/leaderboard.md").read_text()
    assert leaderboard.page_table(board) in page
    for file, names in leaderboard.PAGES.items():
        assert leaderboard.own_table(board, names) in (root / file).read_text()
    assert {"watch", "emoji", "letters", "tuxpaint", "digits"} <= set(board)


def test_methods_of_a_part_are_compared_with_what_is_known(leaderboard, folder, planted):  # noqa: F811
    """A later part has one method more, on the same folds: 31, 41 are 19 and 16 above codes."""
    before = leaderboard.rows_of(folder)
    shutil.rmtree(folder)
    text = STUDY.replace("title: ", "title: A part of ", 1)
    later = planted(
        read_study(text, "evidence", "test"),
        {"infonce": cells(30.0, 40.0), "codes": {}},
        folds=range(2),
        seeds=1,
    )
    found = leaderboard.rows_of(later, before)
    assert list(found) == ["infonce"]
    assert found["infonce"]["paired_to_default"]["mean"] == pytest.approx(17.5)
    with pytest.raises(ConfigError, match="no row default"):
        leaderboard.rows_of(later)
    before["default"]["study"] = "zoo"
    with pytest.raises(ConfigError, match="no row default"):
        leaderboard.rows_of(later, before)


def test_the_plot_has_a_mark_of_every_method_on_every_set(leaderboard, request):
    board = json.loads((request.config.rootpath / "docs/results/leaderboard.json").read_text())
    drawn = leaderboard.plot(board)
    measured = sum("across" in row for rows in board.values() for row in rows.values())
    assert drawn.count("<circle") == measured
    for name in board:
        assert f">{name}, %<" in drawn
    assert drawn == (request.config.rootpath / "docs/results/leaderboard.svg").read_text()


def test_ticks_of_the_plot_stand_where_their_values_are(leaderboard):
    """A scale from 15 to 68 ends at ticks of 0 and 80, evenly apart; 42 is 42 / 80 of the way."""
    rows = {
        name: {"across": {"mean": mean, "std": 1.0, "n": 2, "values": [mean, mean]}}
        for name, mean in (("default", 67.0), ("baseline", 16.0), ("other", 42.0))
    }
    drawn = leaderboard.plot({"one": rows})
    grid = [float(x) for x in re.findall(r'x1="([0-9.]+)"[^>]*class="grid"', drawn)]
    gaps = {round(b - a, 1) for a, b in pairwise(grid)}
    assert len(gaps) == 1, gaps
    other = float(re.findall(r'cx="([0-9.]+)"', drawn)[2])
    assert (other - grid[0]) / (grid[-1] - grid[0]) == pytest.approx(42 / 80, abs=0.01)
