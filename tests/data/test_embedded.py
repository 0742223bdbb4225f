"""Sets by name and fold: what opens them, and the cache they are built into."""

import threading

import numpy as np
import pytest

from cmg.clips import is_one_store, whole_path
from cmg.config.load import load_config
from cmg.data import open_store, verify_store, write_store
from cmg.data.embedded import EMBEDDED, EmbeddedSet
from cmg.errors import ConfigError, DataError
from cmg.studies.definition import load_study
from cmg.studies.plan import base_name


def tiny(path, fold, overwrite):
    """Two clips whose features are the fold's number."""
    features = {"a": np.full((2, 3, 4), fold, "f4")}
    return write_store(path, features, overwrite=overwrite)


@pytest.fixture
def folded(monkeypatch, tmp_path):
    """A set of 3 folds, and an empty cache."""
    monkeypatch.setenv("CMG_CACHE", str(tmp_path / "deep/cache"))
    monkeypatch.setitem(EMBEDDED, "tiny", EmbeddedSet("tiny", 1, 3, tiny))
    return tmp_path / "deep/cache"


def test_a_fold_is_opened_by_its_address_and_the_name_is_fold_0(folded):
    stores = [open_store(where) for where in ("tiny", "tiny:0", "tiny:1", "tiny:2")]
    assert [s[0]["features"]["a"].unique().tolist() for s in stores] == [[0], [0], [1], [2]]
    assert len({s.path for s in stores}) == 3
    assert {s.path.parent for s in stores} == {folded}


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("tiny:3", "tiny:3: there is no such fold; tiny has 3 folds, tiny:0 to tiny:2"),
        ("tiny:-1", "'-1' is no number of a fold; tiny has 3 folds"),
        ("tiny:", "'' is no number of a fold"),
        ("tiny:1:2", "'1:2' is no number of a fold"),
        ("digits:1", "digits is not divided into folds: name it 'digits'"),
    ],
)
def test_an_unknown_fold_is_refused_with_how_many_there_are(folded, where, told):
    with pytest.raises(ConfigError, match=told):
        open_store(where)
    assert not folded.exists()


def test_the_cache_is_used_repaired_and_renewed(folded, monkeypatch):
    store = open_store("tiny:2")
    manifest = store.path / "manifest.json"
    written = manifest.stat().st_mtime_ns
    assert open_store("tiny:2").content_hash == store.content_hash
    assert manifest.stat().st_mtime_ns == written
    shard = store.path / store.manifest.shards[0].file
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    repaired = open_store("tiny:2")
    assert verify_store(repaired.path) == []
    assert repaired.content_hash == store.content_hash
    assert not list(folded.glob(".*"))
    monkeypatch.setitem(EMBEDDED, "tiny", EmbeddedSet("tiny", 2, 3, tiny))
    assert open_store("tiny:2").path != store.path, "of another version"


def test_builders_at_the_same_time_share_one_store(folded, monkeypatch):
    both = threading.Barrier(2)

    def late(path, fold, overwrite):
        both.wait(10)  # neither has found a store
        return tiny(path, fold, overwrite)

    raced = EmbeddedSet("tiny", 1, 3, late)
    found = []
    threads = [threading.Thread(target=lambda: found.append(raced.cached(1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [folded / "tiny-1-1"] * 2
    assert verify_store(found[0]) == []
    assert len(list(folded.iterdir())) == 1


def test_a_cache_that_cannot_be_written_names_the_remedy(folded, monkeypatch):
    folded.parent.mkdir()
    folded.touch()
    with pytest.raises(DataError, match="CMG_CACHE names another"):
        open_store("tiny")


@pytest.mark.parametrize("where", ["digits", "tiny", "tiny:1"])
def test_an_address_is_one_store_and_its_preset_starts_studies(folded, where):
    assert is_one_store(where)
    assert whole_path(where) == where
    name = where.partition(":")[0]
    assert base_name(load_study("evidence"), where, None, []) == [name]
    assert base_name(load_study("ablation-av"), where, None, []) == [name, "method=light"]


@pytest.mark.parametrize(
    ("name", "more", "pair", "classes", "clips"),
    [
        ("watch", [], ("gyroscope", "accelerometer"), ("exercise", 7), 105),
        # 284 of the test clips have a subgroup that is large enough.
        pytest.param(
            *(
                "emoji",
                ["data.modalities=[fluent,text]"],
                ("text", "fluent"),
                ("subgroup", 63),
                284,
            ),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_fold_trains_and_probes_by_its_address(cmg, tmp_path, name, more, pair, classes, clips):
    quick = ["training.epochs=1", "data.fraction=0.2", "model.width=16", "probe.epochs=1"]
    quick += ["training.tensorboard=false"]
    said = cmg("pretrain", name, f"data={name}:3", *quick, *more, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    probe = ("--train-on", pair[0], "--test-on", pair[1], "--seeds", 1, "probe.l2=0.1", "--json")
    told = cmg("probe", "--model", tmp_path / "run", *probe).json
    assert (told["label"], told["chance"]) == (classes[0], pytest.approx(100 / classes[1]))
    right = told["transfer"]["mean"] * clips / 100
    assert right == pytest.approx(round(right)), "a share of the test clips"


@pytest.mark.parametrize("name", EMBEDDED)
def test_every_embedded_set_has_a_preset_of_its_name(name):
    assert load_config(name).data.store == name
