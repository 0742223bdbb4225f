"""Transfer across modalities on synthetic pairs whose shared factor is known."""

import json

import pytest
import torch
from pydantic import TypeAdapter

from cmg.data import Clips
from cmg.decoders.heads import ProbeOptions
from cmg.errors import DataError
from cmg.evaluation.encoding import EncodedModality
from cmg.evaluation.probe import Evaluation, step_labels
from cmg.evaluation.scores import Score, mean_of, merged, plain

DIRECTIONS = ["audio->audio", "audio->video", "video->audio", "video->video"]
PROBE = ProbeOptions(epochs=15, batch_size=40, lr=0.01)


@pytest.fixture(scope="module")
def evaluation(trained, paired):
    return Evaluation(trained, paired, "train", "test")


def test_shared_factor_transfers(evaluation):
    """Four classes: chance is 25 %."""
    table = evaluation.transfer("class", PROBE)["test"]
    assert list(table) == DIRECTIONS
    for direction, values in table.items():
        assert values.n == 1
        assert values.mean > 70.0, direction


def test_continuous_features_of_two_encoders(evaluation):
    plain = PROBE.model_copy(update={"features": "continuous"})
    table = evaluation.transfer("class", plain)["test"]
    assert table["audio->audio"].mean > 80.0
    assert table["audio->audio"] != evaluation.transfer("class", PROBE)["test"]["audio->audio"]


def test_heads_on_the_posterior_over_codes(evaluation):
    """softmax(-d^2 / (t D)): a cold one is the code itself."""
    split, t = evaluation.test, 0.5
    soft = PROBE.model_copy(update={"features": "posterior", "temperature": t})
    data = evaluation.labeled(split, "audio", "class", soft)
    codes = evaluation.model.codebook.codes
    z = evaluation.encoded["test"]["audio"].semantic
    wanted = (-(z[:, :, None] - codes).square().sum(3) / (t * codes.shape[1])).softmax(2)
    torch.testing.assert_close(data.features, wanted, rtol=1e-4, atol=1e-6)
    cold = soft.model_copy(update={"temperature": 1e-6})
    cold = evaluation.labeled(split, "audio", "class", cold).features
    assert torch.equal(cold.argmax(2), evaluation.encoded["test"]["audio"].indices)
    table = evaluation.transfer("class", soft, 0, ["audio"])["test"]
    assert all(score.mean > 70.0 for score in table.values())


def test_one_shared_modality_has_its_own_direction_alone(untrained, declared, paired):
    model = untrained(declared["audio"], declared["eeg"])
    table = Evaluation(model, paired, "train", "test").transfer("class", PROBE)["test"]
    assert list(table) == ["audio->audio"]


def test_shuffled_labels_are_chance(trained, paired, monkeypatch):
    """The same features and heads, with labels that belong to other clips."""
    evaluation = Evaluation(trained, paired, "train", "test")
    truth = type(evaluation.train).label

    def shuffled(split, name):
        labels = truth(split, name)
        return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]

    monkeypatch.setattr(type(evaluation.train), "label", shuffled)
    for values in evaluation.transfer("class", PROBE)["test"].values():
        assert 10.0 < values.mean < 40.0  # 25 +- 4 by chance alone


def test_heads_of_several_seeds(evaluation):
    three = PROBE.model_copy(update={"seeds": 3})
    table = evaluation.transfer("class", three, 5, ["audio"], ["video"])["test"]
    assert list(table) == ["audio->video"]
    alone = [
        evaluation.transfer("class", PROBE, seed, ["audio"], ["video"])["test"]["audio->video"].mean
        for seed in (5, 6, 7)
    ]
    assert list(table["audio->video"].values) == alone


def test_reading_on_more_splits(evaluation):
    tables = evaluation.transfer("class", PROBE, 0, ["audio"], ["audio"], ["train", "test"])
    assert list(tables) == ["train", "test"]
    assert tables["test"] == evaluation.transfer("class", PROBE, 0, ["audio"], ["audio"])["test"]
    assert tables["train"] != tables["test"]


def test_dropout_in_the_encoder_as_coded(evaluation):
    """Heads train on noisy features, are read on clean ones, and depend on the seed alone."""
    noisy = PROBE.model_copy(update={"dropout_in_encoder": True})
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    found = evaluation.transfer("class", noisy, 0, ["audio"], ["video"])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert found == evaluation.transfer("class", noisy, 0, ["audio"], ["video"])
    assert found["test"]["audio->video"].mean > 65.0


def test_labels_stay_with_their_clips(untrained, declared, ragged_store):
    """Clips that lack the model's modalities must not shift the labels of the others."""
    model = untrained(declared["audio"], declared["video"])
    evaluation = Evaluation(model, ragged_store, "train", "test")
    split = ragged_store.split("test")
    data = evaluation.labeled(split, "audio", "class", PROBE)
    assert data.classes == 3
    assert len(data.features) == len(data.labels) == 30
    for b, row in enumerate(split.rows):
        n = row.lengths.get("audio", 0)
        assert int(data.mask[b].sum()) == n
        told = row.labels["class"]
        steps = min(len(told), data.labels.shape[1])
        assert data.labels[b, :steps].tolist() == told[:steps]
        if n:
            features = split.features("audio", [b])[0][:, :n].float()
            codes = model.encode({"audio": features})["audio"]
            assert torch.equal(data.features[b, :n], model.decode({"audio": codes})["audio"][0])
    table = evaluation.transfer("class", PROBE.model_copy(update={"epochs": 1}))["test"]
    assert list(table) == DIRECTIONS


def test_store_without_labels(trained, paired, monkeypatch):
    monkeypatch.setattr(Clips, "labels", {})
    with pytest.raises(DataError, match="has no labels; probing needs a label per clip or step"):
        Evaluation(trained, paired, "train", "test")


@pytest.mark.parametrize(
    ("modality", "label", "message"),
    [
        ("audio", "clas", r"has no label 'clas' \(did you mean 'class'\?\)"),
        ("vidoe", "class", r"no modality 'vidoe' .*\(did you mean 'video'\?\)"),
    ],
)
def test_unknown_names(evaluation, modality, label, message):
    with pytest.raises(DataError, match=message):
        evaluation.labeled(evaluation.train, modality, label, PROBE)


def test_unknown_split(trained, paired):
    with pytest.raises(DataError, match=r"unknown split 'tests' \(did you mean 'test'\?\)"):
        Evaluation(trained, paired, "train", "tests")


@pytest.mark.parametrize(
    ("parts", "shared"),
    [
        (("train", "test", "train+test"), r"'train\+test' and 'test'"),
        (("train", "test", "train"), "'train' and 'train'"),  # a penalty chosen on what it saw
    ],
)
def test_a_choice_on_clips_of_another_part_is_refused(trained, paired, parts, shared):
    with pytest.raises(DataError, match=f"leak: splits {shared} share clip"):
        Evaluation(trained, paired, *parts)


def test_default_labels(evaluation):
    assert evaluation.default_label("clip") == "class"
    assert evaluation.default_label("step") is None


@pytest.mark.parametrize(("steps", "expected"), [(2, [[0, 1]]), (3, [[0, 1, 2]])])
def test_labels_longer_than_the_modality_are_cut(steps, expected):
    one = EncodedModality(torch.zeros(1, steps, dtype=torch.int64), None, None)
    assert step_labels(torch.tensor([[0, 1, 2]]), one).tolist() == expected


def test_labels_shorter_than_the_modality_are_unknown_behind_their_end():
    one = EncodedModality(torch.zeros(1, 4, dtype=torch.int64), None, None)
    assert step_labels(torch.tensor([[0, 2]]), one).tolist() == [[0, 2, -1, -1]]
    assert step_labels(torch.tensor([7, 8]), one).tolist() == [7, 8]  # of clips: as they are


def test_scores_by_hand():
    assert Score.of([40.0]) == Score(40.0, 0.0, 1, None, (40.0,))
    found = Score.of([40.0, 50.0, 60.0], paper=54.1)
    assert (found.mean, found.std, found.n) == (50.0, 10.0, 3)  # the sample's, not the population's
    table = merged([{"a->b": Score.of([1.0]), "b->a": Score.of([5.0])}, {"a->b": Score.of([3.0])}])
    assert table == {"a->b": Score.of([1.0, 3.0]), "b->a": Score.of([5.0])}
    assert mean_of(list(table.values())) == Score(3.5, 2.0**0.5 / 2, 2)
    assert Score.fixed(10.0, 2) == Score.of([10.0, 10.0])


def test_a_score_is_one_form_of_json_and_earlier_ones_are_read():
    found = Score.of([40.0, 50.0], 54.1)
    assert plain({"a": {"b": found}}) == {"a": {"b": {"mean": 45.0, "std": 50.0**0.5, "n": 2}}}
    told = json.loads(json.dumps(plain(found, "paper", "values")))
    assert list(told) == ["mean", "std", "n", "paper", "values"]
    read = TypeAdapter(Score).validate_python
    assert read(told) == found
    assert read({"mean": 1, "std": 0.5, "n": 2}) == Score(1.0, 0.5, 2)
    assert read({"mean": 1, "std": 0.5, "n": 2, "paper": 3.0}).paper == 3.0
