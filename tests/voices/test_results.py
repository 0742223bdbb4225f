"""Accuracies of words read, and how little a few words say."""

from __future__ import annotations

import json

import pytest

from cmg.recipes.voices import TOGETHER, Row, VoiceResults, wilson_interval
from cmg.report.voices import intervals_table, misread_table, voices_markdown, voices_table


def reading(**errors):
    """Two seeds that read all recordings rightly but for the first words of a source."""
    sources = [*TOGETHER["all recorded"], *TOGETHER["all unknown"], "synthetic"]
    truth = {source: list(range(10)) for source in sources}
    said = {
        source: [[(d + (d < errors.get(source, 0))) % 10 for d in range(10)], list(range(10))]
        for source in sources
    }
    return VoiceResults([Row("speech-embedding", "trained", "video", said)], truth)


def test_accuracy_is_the_mean_over_seeds_of_the_share_of_words():
    results = reading(asterisk=3, captcha=1)
    row = results.row("speech-embedding")
    assert results.accuracy(row, "asterisk").mean == pytest.approx(85.0)
    together = results.accuracy(row, "all recorded")
    assert (together.mean, together.n) == (pytest.approx(95.0), 2)
    assert together.std == pytest.approx(10 / 2**0.5)
    assert results.accuracy(row, "all unknown").mean == pytest.approx(97.5)
    assert (results.count("all recorded"), results.count("all unknown")) == (30, 20)


def test_sources_are_put_together_only_if_all_are_there():
    full = reading()
    some = {k: v for k, v in full.truth.items() if k != "tuxpaint-gb"}
    assert "all recorded" not in VoiceResults(full.rows, some).groups()
    assert "all unknown" in VoiceResults(full.rows, some).groups()


def test_misread_words_are_counted_over_seeds_and_synthetic_ones_left_out():
    results = reading(asterisk=2, synthetic=4)
    assert results.misread(results.rows[0]) == {"asterisk": {"0 as 1": 1, "1 as 2": 1}}


@pytest.mark.parametrize(
    ("percent", "words", "interval"),
    # Wilson 1927 by hand: 10 of 10, 9 of 10, 27 of 30, 0 of 20.
    [(100, 10, (72.2, 100)), (90, 10, (59.6, 98.2)), (90, 30, (74.4, 96.5)), (0, 20, (0, 16.1))],
)
def test_intervals_are_wide_for_few_words(percent, words, interval):
    assert wilson_interval(percent, words) == pytest.approx(interval, abs=0.05)


def test_the_tables_tell_the_words_seeds_and_intervals(tmp_path):
    results = reading(asterisk=2)
    columns = voices_table(results).columns
    assert "asterisk (10)" in columns
    assert "all recorded (30)" in columns
    short = voices_table(results, short=True).columns[3:]
    assert short == ("synthetic (10)", "all recorded (30)", "all unknown (20)")
    texts = [[cell.text for cell in row] for row in intervals_table(results).rows]
    assert ["speech-embedding", "asterisk", "10", "90.0 ± 14.1", "60–98"] in texts
    assert [cell.text for cell in misread_table(results).rows[0]] == [
        "speech-embedding",
        "asterisk",
        "0 as 1 (1), 1 as 2 (1)",
    ]
    assert "all unknown" in voices_markdown(results)
    results.save(tmp_path)
    told = json.loads((tmp_path / "voices.json").read_text())
    assert told["rows"][0]["accuracy"]["all recorded"]["words"] == 30
    assert told["rows"][0]["said"]["asterisk"][0][:3] == [1, 2, 2]
