"""Accuracies of words read, and how little a few words say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from cmg.evaluation.scores import Score
from projects.voices.compare import TOGETHER, by_source, intervals_table, wilson_interval

NAMES = [*TOGETHER["all recorded"], *TOGETHER["all unknown"], "synthetic"]


class Reads(torch.nn.Module):
    """Reads a word as the digit that its features are the number of."""

    def forward(self, x, mask=None):
        """Logits [B, 10] of [B, 1, 1]."""
        return torch.nn.functional.one_hot(x[:, 0, 0].long(), 10).float()


def accuracies(errors, names=NAMES):
    """What is read of ten words per source, the first of them wrongly."""
    from projects.voices.embedded import single_words

    digits = torch.arange(10).repeat(len(names))
    wrong = torch.cat([torch.arange(10) < errors.get(name, 0) for name in names])
    words = single_words(((digits + wrong) % 10)[:, None].numpy(), digits.numpy())
    return by_source("read", Reads(), words, [name for name in names for _ in range(10)])


def test_accuracy_is_the_share_of_the_words_of_a_source():
    found = accuracies({"asterisk": 3, "captcha": 1})
    assert found["read/asterisk"] == pytest.approx(70)
    assert found["read/captcha"] == pytest.approx(90)
    assert found["read/synthetic"] == pytest.approx(100)
    assert found["read/all recorded"] == pytest.approx(90)
    assert found["read/all unknown"] == pytest.approx(95)


def test_sources_are_put_together_only_if_all_are_there():
    found = accuracies({}, [name for name in NAMES if name != "tuxpaint-gb"])
    assert "read/all recorded" not in found
    assert found["read/all unknown"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("percent", "words", "interval"),
    # Wilson 1927 by hand: 10 of 10, 9 of 10, 27 of 30, 0 of 20.
    [(100, 10, (72.2, 100)), (90, 10, (59.6, 98.2)), (90, 30, (74.4, 96.5)), (0, 20, (0, 16.1))],
)
def test_intervals_are_wide_for_few_words(percent, words, interval):
    assert wilson_interval(percent, words) == pytest.approx(interval, abs=0.05)


def test_intervals_are_told_of_trained_models_and_of_sources_together():
    def row(title, control):
        seeds = [
            accuracies({"asterisk": 2}),
            accuracies({}),
        ]
        scores = {
            key.replace("read/", "heads on video/"): Score.of([one[key] for one in seeds])
            for key in seeds[0]
        }
        return SimpleNamespace(variant=SimpleNamespace(title=title, control=control), scores=scores)

    summary = SimpleNamespace(rows=[row("speech-embedding", False), row("shuffled", True)])
    table = intervals_table(summary, dict.fromkeys(NAMES, 10))
    texts = [[cell.text for cell in line] for line in table.rows]
    assert ["speech-embedding", "asterisk", "10", "90.0 ± 14.1", "60–98"] in texts
    assert {line[1]: line[2] for line in texts}["all recorded"] == "30"
    assert {line[0] for line in texts} == {"speech-embedding"}
