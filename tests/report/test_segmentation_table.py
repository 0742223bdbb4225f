"""The paper's masks are compared with those of its own clips only."""

from types import SimpleNamespace

import pytest

from cmg.evaluation.scores import Score
from cmg.recipes.segmentation_scores import METRICS, QUERY
from cmg.report.segmentation import scores_table

S4 = {"train": 3_452, "val": 740, "test": 740}


@pytest.mark.parametrize(
    ("simulated", "clips", "why"),
    [
        (False, S4, ""),
        (True, S4, "the data are simulated"),
        (False, S4 | {"train": 138}, "138 clips of split train, AVSBench-S4 has 3,452"),
        (False, {"test": 12}, "12 clips of split test, AVSBench-S4 has 740"),
    ],
)
def test_the_papers_column_is_for_all_clips_of_s4(simulated, clips, why):
    figures = {"audio->text": {QUERY: dict.fromkeys(METRICS, Score(50.0, 0.0, 1))}}
    about = {"protocol": "published", "simulated": simulated, "clips": clips}
    about["empty_test_masks"] = {"masks": 0, "clips": 0}
    table = scores_table(SimpleNamespace(about=about, figures=figures))
    assert (table.columns[-1] == "paper, mIoU / F") == (not why)
    assert [len(row) for row in table.rows] == [len(table.columns)]
    assert (f"Without the paper's figures: {why}." in table.note) == bool(why)
    assert ("78.0 / 87.1" in [cell.text for cell in table.rows[0]]) == (not why)
