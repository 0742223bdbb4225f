"""The clips of a store that come nearest to each code."""

import numpy as np
import pytest
import torch
from tests.paired import paired_store

from cmg.data.batches import Batches
from cmg.data.store import open_store
from cmg.errors import CheckpointError
from cmg.models.options import ModelOptions
from cmg.models.unified import UnifiedModel
from cmg.recipes.known_clips import NEAREST, known_clips, nearest_clips
from cmg.recipes.media_codes import code_steps
from cmg.types import Batch, Modality

MODALITIES = [
    Modality(name="sound", kind="vectors", shape=(5,)),
    Modality(name="words", kind="tokens", shape=(4,)),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Clips of one to four steps, some without one of the modalities."""
    folder = tmp_path_factory.mktemp("known") / "store"
    splits = {"train": 70, "test": 9}
    return paired_store(folder, MODALITIES, splits, 4, 3, lengths=(1, 4), missing=0.2)


@pytest.fixture(scope="module")
def model(store):
    options = ModelOptions.model_validate(
        {"width": 8, "temporal": {"kind": "mlp", "hidden": 8}, "codebook": {"size": 6}}
    )
    model = UnifiedModel(MODALITIES, options, seed=3).eval()
    batch = Batches(store.split("train"), 32, shuffle=False).at(0, 0)
    z = torch.cat([x.flatten(0, 1) for x in model.semantics(batch).values()])
    model.codebook.start_from({"audio": z[z.abs().sum(1) > 0]}, torch.Generator().manual_seed(0))
    return model


def slowly(model, store, split, code, modality):
    """Distance, position and step of the nearest clips, one clip at a time."""
    found = []
    for position, row in enumerate(store.rows):
        length = row.lengths.get(modality, 0)
        if row.split == split and length:
            x, _ = store.features(modality, np.array([position]))
            z = model.semantics(Batch({modality: x}))[modality][0]
            distances = (z - model.codebook.codes[code]).double().square().sum(1).sqrt()
            found.append((float(distances.min()), position, int(distances.argmin())))
    return sorted(found)[:NEAREST]


def test_the_nearest_clips_are_those_of_a_slow_search(model, store):
    found = nearest_clips(model, store.split("train"))
    assert list(found) == ["sound", "words"]
    for modality, table in found.items():
        for code in range(6):
            wanted = slowly(model, store, "train", code, modality)
            got = zip(
                table.distances[code].tolist(),
                table.clips[code].tolist(),
                table.steps[code].tolist(),
                strict=True,
            )
            for (distance, clip, step), (d, c, s) in zip(wanted, got, strict=True):
                assert d == pytest.approx(distance, abs=2e-3)  # as far as float32 goes
                assert (c, s) == (clip, step)


def test_a_clip_counts_once_and_fewer_clips_leave_places_empty(model, store):
    few = store.split("train").only(range(4))
    for modality, table in nearest_clips(model, few).items():
        have = int((few.lengths(modality) > 0).sum())
        assert (table.clips >= 0).sum(1).tolist() == [have] * 6
        assert table.distances[:, have:].isinf().all()
        for row in table.clips[:, :have].tolist():
            assert len(set(row)) == have


def test_the_index_is_made_once_and_kept_without_pickles(model, store, tmp_path, monkeypatch):
    known = known_clips(model, tmp_path, store, "train")
    (file,) = tmp_path.iterdir()
    assert file.suffix == ".safetensors"
    monkeypatch.setattr("cmg.recipes.known_clips.nearest_clips", None)  # must not be needed
    again = known_clips(model, tmp_path, open_store(store.path), "train")
    assert again.of(2) == known.of(2)
    monkeypatch.undo()
    assert known_clips(model, tmp_path, store, "test").of(2) != known.of(2)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_index_is_refused_by_name(model, store, tmp_path):
    known_clips(model, tmp_path, store, "train")
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=f"{file.name}.*delete it"):
        known_clips(model, tmp_path, store, "train")


def test_what_cannot_be_kept_is_said(model, store, tmp_path):
    (tmp_path / "file").write_text("")
    found = known_clips(model, tmp_path / "file", store, "train")
    assert "not kept" in found.remark
    assert found.of(0) == known_clips(model, tmp_path, store, "train").of(0)


def test_known_steps_tell_id_class_and_distance(model, store, tmp_path):
    found = known_clips(model, tmp_path, store, "train").of(0)
    first = found["sound"][0]
    row = next(row for row in store.rows if row.id == first.id)
    assert first.labels == {"class": f"class_{row.labels['class']}"}
    assert (first.start, first.end) == (None, None)  # the store says no duration
    assert [s.distance for s in found["sound"]] == sorted(s.distance for s in found["sound"])


def test_codes_of_a_clip_are_the_models_with_true_distances(model, store):
    clip = next(i for i, r in enumerate(store.rows) if r.lengths == {"sound": 4, "words": 4})
    split = store.split("train").only([clip])
    features = {m: split.features(m)[0][0] for m in ("sound", "words")}
    found = code_steps(model, features, "one")
    expected = model.encode({m: x[None] for m, x in features.items()})
    z = model.semantics(Batch({m: x[None] for m, x in features.items()}))
    for m, steps in found.items():
        assert steps.codes.tolist() == expected[m][0].tolist()
        exact = torch.cdist(z[m][0].double(), model.codebook.codes.double())
        two = exact.topk(2, largest=False)
        assert steps.distances == pytest.approx(two.values[:, 0].numpy(), abs=1e-6)
        assert steps.margins == pytest.approx(
            (two.values[:, 1] - two.values[:, 0]).numpy(), abs=1e-6
        )
        assert steps.seconds.tolist() == two.indices[:, 1].tolist()


def test_modalities_of_different_lengths_and_none_are_encoded_as_they_are(model):
    torch.manual_seed(0)
    features = {"words": torch.randn(2, 4), "sound": torch.randn(5, 5)}
    found = code_steps(model, features, "one")
    assert {m: len(s.codes) for m, s in found.items()} == {"sound": 5, "words": 2}
    assert list(code_steps(model, features | {"words": torch.zeros(0, 4)}, "one")) == ["sound"]
