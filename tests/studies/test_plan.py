"""From a study to configurations: what is refused before anything is trained."""

import pytest

from cmg.config.load import load_config
from cmg.data.store import open_store
from cmg.errors import ConfigError, DataError, ModalityError
from cmg.recipes.pretrain import training_batches
from cmg.studies.definition import load_study, read_study
from cmg.studies.plan import plan_study

from .conftest import PAIR


def test_a_plan_counts_clips_and_knows_its_data(pair, store, tiny):
    plan = plan_study(pair, store, tiny, ["training.epochs=3"], seeds=2)
    assert list(plan.configs) == [("full", None), ("no-cmcm", None)]
    assert plan.clips == {("full", None): 3 * 24, ("no-cmcm", None): 3 * 24}
    assert set(plan.hashes.values()) == {open_store(store).content_hash}
    assert plan.configs["no-cmcm", None].objectives.cmcm is None
    assert plan.configs["full", None] == plan.base
    assert plan.base.training.tensorboard is False


@pytest.mark.parametrize(
    ("study", "assignments", "options", "error", "message"),
    [
        (PAIR, [], {"seeds": 0}, ConfigError, "--seeds 0"),
        (PAIR, [], {"only": ["no-cmcmc"]}, ConfigError, "did you mean 'no-cmcm'"),
        (PAIR, ["training.seed=3"], {}, ConfigError, "--seeds"),
        (PAIR, ["data=elsewhere"], {}, ConfigError, "--data"),
        (PAIR, ["objectives.cmcm=null"], {}, ConfigError, r"no-cmcm would be the same as full"),
        (PAIR, ["objectives.cmcm=null"], {}, ConfigError, "--only full$"),
        (PAIR, ["training.epoch=3"], {}, ConfigError, "did you mean"),
        (PAIR, ["modalities=audio,smell"], {}, ModalityError, "no modality 'smell'"),
        (PAIR, ["data.train_split=trian"], {}, DataError, "did you mean 'train'"),
        ("codebook-size", ["model.codebook.size=64"], {}, ConfigError, "what codebook-size varies"),
        ("pretraining-lists", ["list=24k"], {}, ConfigError, "what pretraining-lists varies"),
        ("pretraining-lists", [], {}, ConfigError, "single store"),
        ("ablation-avt", [], {}, ModalityError, "no modality 'text'.*modalities=audio,video"),
    ],
)
def test_what_cannot_be_run_is_refused(study, assignments, options, error, message, store, tiny):
    known = read_study(study, "pair", "test") if "\n" in study else load_study(study)
    with pytest.raises(error, match=message):
        plan_study(known, store, tiny, assignments, **options)


def test_an_idle_variant_is_no_obstacle_where_it_is_left_out(pair, store, tiny):
    plan = plan_study(pair, store, tiny, ["objectives.cmcm=null"], only=["full"])
    assert list(plan.configs) == [("full", None)]


def test_a_users_modalities_win_over_the_studys(store, tiny):
    plan = plan_study(load_study("ablation-avt"), store, tiny, ["modalities=video,audio"])
    assert plan.base.data.modalities == ("video", "audio")


def test_only_numbers_can_be_multiplied(store, tiny):
    text = PAIR.replace("changes: {objectives.cmcm: null}", "scales: {training.device: 2}")
    with pytest.raises(ConfigError, match="'auto' cannot be multiplied"):
        plan_study(read_study(text, "pair", "test"), store, tiny)


def test_a_share_is_the_same_whatever_the_seed(store):
    part = open_store(store).split("train").share(0.25)
    data = load_config(None, ["data.fraction=0.25"]).data
    modalities = list(open_store(store).modalities.values())
    seen = {
        seed: sorted(training_batches(open_store(store), data, seed, modalities).at(0, 0).ids)
        for seed in (0, 1)
    }
    assert seen[0] == seen[1] == sorted(part.ids)
