"""The best of each group, from planted scores."""

import pytest

from cmg.config.load import load_config
from cmg.errors import ConfigError
from cmg.studies.choice import best_of, write_choice
from cmg.studies.definition import read_study

from .conftest import CHOICE, TINY

AB, BA = "classification/a->b", "classification/b->a"
VAL = load_config(None, [*TINY, "data.test_split=val", "data.store=stores/fold-{fold}"])


def cells(*values):
    return {(fold, 0): {AB: value, BA: value + 2} for fold, value in enumerate(values)}


@pytest.fixture
def chosen(planted):
    """The folder of a finished choice; `continuous` is best of all, and no try."""

    def make(base=VAL, **more):
        found = {
            "plain": cells(10, 20),
            "wide": cells(12, 16),
            "codes": cells(11, 21),
            "codes/posterior": cells(13, 21),
            "codes/continuous": cells(90, 90),
        }
        study = read_study(CHOICE, "choice", "test")
        return planted(study, found | more, base=base, folds=range(2), seeds=1)

    return make


def test_the_best_of_each_group_by_hand(chosen):
    """Means across are 11 and 21, 13 and 17, 12 and 22, 14 and 22: 16, 15, 17, 18.

    Posterior: deviation 8 / sqrt(2), half-width 12.7062 x 8 / 2 = 50.825.
    """
    infonce, recipe = best_of(chosen())
    assert (infonce.group, infonce.row, infonce.tries) == ("infonce", "plain", 2)
    assert infonce.overrides == {}
    assert (recipe.group, recipe.row, recipe.tries) == ("recipe", "codes/posterior", 2)
    assert recipe.score.mean == 18
    assert recipe.score.interval == pytest.approx((18 - 50.8248, 18 + 50.8248), abs=1e-3)
    assert recipe.assignments == [
        "training.epochs=3",
        "optimizer.lr=0.5",
        "probe.features=posterior",
    ]


def test_the_whole_configuration_is_written_to_be_read_on_the_test_split(chosen):
    out = chosen()
    config = load_config(write_choice(out, best_of(out)[1]))
    assert (config.data.store, config.data.test_split) == ("stores/fold-0", "test")
    assert (config.optimizer.lr, config.training.epochs) == (0.5, 3)
    assert config.probe.features == "posterior"


def test_the_command_says_it_all(cmg, chosen):
    out = chosen()
    said = cmg("study", "best", out)
    lines = said.out.splitlines()
    assert lines[0].startswith("infonce: plain (plain), the best of 2 tries: 16.0 ± 7.1, 95 % int")
    assert "  probe.features=posterior" in lines
    assert f"  {out / 'best-recipe.yaml'}" in lines
    told = cmg("study", "best", out, "--json").json["best"]
    assert told["recipe"]["row"] == "codes/posterior"
    assert told["recipe"]["overrides"]["probe.features"] == "posterior"


def test_what_is_no_choice_is_refused(chosen):
    out = chosen()
    with pytest.raises(ConfigError, match="no mean across of 'retrieval'; it has classification"):
        best_of(out, "retrieval")
    (out / "jobs/wide/fold-1/seed-0.json").unlink()
    with pytest.raises(ConfigError, match=r"is not finished: 1 jobs are left, wide/fold-1/seed-0"):
        best_of(out)


def test_a_study_that_saw_the_test_split_chooses_nothing(chosen):
    with pytest.raises(ConfigError, match="scored on the test split"):
        best_of(chosen(base=load_config(None, TINY)))
