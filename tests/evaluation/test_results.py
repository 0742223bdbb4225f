"""The record of an evaluation: JSON round trip, public keys, codebook statistics."""

import dataclasses
import json

import pytest
import torch

from cmg.codebook.measures import CodeUsage
from cmg.errors import DataError
from cmg.evaluation.results import CodebookStats, Results
from cmg.evaluation.scores import Score

RESULTS = Results(
    transfer={"audio->video": Score(71.25, 1.5, 3), "video->audio": Score(1 / 3, 0.0, 3)},
    localization={"audio->audio": Score(50.0, 0.25, 3)},
    controls={"chance": {"audio->video": Score(10.0, 0.0, 3)}, "shuffled_pairs": {}},
    codebook=CodebookStats(64, 40.5, 22.125, 0.75),
    extra_splits={"test_one_scan": {"audio->video": Score(60.0, 2.0, 3)}},
    weights={"cmcm": 1.0, "club": None},
    seconds=12.5,
)


def test_round_trip(tmp_path):
    file = tmp_path / "results.json"
    RESULTS.save(file)
    loaded = Results.load(file)
    assert loaded == RESULTS
    assert loaded.transfer["audio->video"].n == 3
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()


def test_public_keys_are_what_json_promises():
    public = RESULTS.public()
    assert list(public) == ["transfer", "localization", "controls", "codebook", "seconds"]
    assert json.loads(json.dumps(public)) == public
    assert public["transfer"]["audio->video"] == {"mean": 71.25, "std": 1.5, "n": 3}
    assert public["controls"]["chance"]["audio->video"]["mean"] == 10.0
    assert public["codebook"] == {
        "size": 64,
        "used": 40.5,
        "perplexity": 22.125,
        "shared_share": 0.75,
    }
    assert public["seconds"] == 12.5


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"transfer": {"a->b": {"mean": 1}}}',
        '{"transfer": 3}',
        "\u00ff",
        None,
        dataclasses.asdict(RESULTS.codebook) | {"extra": 1},
        {"size": 64, "perplexity": 22.125, "shared_share": 0.75},
    ],
)
def test_damaged_file(tmp_path, text):
    file = tmp_path / "results.json"
    if isinstance(text, dict):  # of a codebook of another version
        RESULTS.save(file)
        told = json.loads(file.read_text())
        text = json.dumps(told | {"codebook": text})
    if text is not None:
        file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"cannot read results .*results\.json"):
        Results.load(file)


def usage(*rows):
    return CodeUsage(torch.tensor(rows, dtype=torch.float64), tuple("ab"))


def test_stats_by_hand():
    """Use over all steps: 3 of 4 codes, one of them shared; perplexity over event steps alone."""
    everywhere = usage([500, 500, 0, 0], [0, 500, 500, 0])
    events = usage([2, 1, 0, 0], [0, 1, 0, 0])
    found = CodebookStats.of(everywhere, events)
    assert (found.size, found.used) == (4, 3.0)
    assert found.perplexity == pytest.approx(2.0)
    assert found.shared_share == pytest.approx(1 / 3)


def test_mean_over_seeds():
    found = CodebookStats.mean(
        [CodebookStats(64, 40.0, 10.0, 0.5), CodebookStats(64, 41.0, 20.0, 1.0)]
    )
    assert found == CodebookStats(64, 40.5, 15.0, 0.75)
