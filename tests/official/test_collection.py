"""Collections: an official folder, or what was imported from one, by one call."""

import json

import numpy as np
import pytest

from cmg.data import Clip, FeatureSpec, StoreWriter
from cmg.errors import DataError
from cmg.official.collection import open_collection


@pytest.fixture
def imported(tmp_path):
    """A collection of one store."""
    folder = tmp_path / "collection"
    spec = {"audio": FeatureSpec(kind="vectors", shape=(4,), step_seconds=1.0)}
    folder.mkdir()
    with StoreWriter(folder / "sounds", spec) as writer:
        writer.add(Clip("a", "train", {"audio": np.ones((10, 4), np.float32)}))
    told = {"format": "cmg-collection", "version": 1, "stores": {"ave": "sounds"}, "notes": ""}
    (folder / "collection.json").write_text(json.dumps(told))
    return folder


def test_an_official_folder_is_opened_by_its_sets(root):
    collection = open_collection(root)
    assert collection.names == ["vggsound40k", "ave", "avvp", "ucf101", "ucf101all"]
    assert len(collection.open("ave").rows) == 5
    with pytest.raises(DataError, match=r"no data set 'aves' \(did you mean 'ave'\?\)"):
        collection.open("aves")
    with pytest.raises(
        DataError, match=r"video_name_vggsound81k_checked\.csv, which is nowhere be"
    ):
        collection.open("vggsound81k")


def test_a_set_without_features_is_refused_by_where_they_were_looked_for(root, tmp_path):
    (root / "data/UCF101/feature").rename(tmp_path / "else")
    with pytest.raises(
        DataError, match=rf"ucf101: no features; nowhere below {root} is a folder uc"
    ):
        open_collection(root).open("ucf101")


def test_text_is_left_out_with_a_remark_of_what_is_missing(root, write, monkeypatch, tmp_path):
    monkeypatch.delenv("CMG_TEXT_ENCODER", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "no-cache"))

    def remark(**options):
        collection = open_collection(root, **options)
        assert "text" not in collection.open("vggsound40k").modalities
        return collection.remarks[0]

    assert "no vggsoundCategories2Prompts.csv below" in remark()
    write.text(root / "vggsoundCategories2Prompts.csv", "label,prompt\nrope skipping,a rope\n")
    assert "no cnt.pkl below" in remark()
    assert "no text encoder; looked at" in remark(text_filter="none")
    assert "have no features" in remark(text="none")
    with pytest.raises(DataError, match=r"the published filter of words needs cnt\.pkl"):
        open_collection(root, text="somewhere").open("vggsound40k")


def test_a_part_of_text_that_is_there_but_broken_is_an_error(root, write):
    """Leaving text out without a word would train another model."""
    write.text(root / "vggsoundCategories2Prompts.csv", "label,prompt\nrope skipping,a rope\n")
    (root / "cnt.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    (root / "text-encoder").mkdir()
    with pytest.raises(DataError, match=r"cnt\.pkl: refused pickle: .*os\.system"):
        open_collection(root).open("vggsound40k")
    with pytest.raises(Exception, match="text-encoder lacks"):
        open_collection(root, text_filter="none").open("vggsound40k")


def test_an_imported_collection_opens_its_stores(imported):
    collection = open_collection(imported)
    assert collection.names == ["ave"]
    assert collection.remarks == []
    assert [row.id for row in collection.open("ave").rows] == ["a"]
    with pytest.raises(DataError, match=r"holds no 'avvp'; valid: ave|holds no 'avvp'.*import"):
        collection.open("avvp")


def test_a_collection_is_read_from_an_address(imported, tmp_path, monkeypatch):
    monkeypatch.setenv("CMG_CACHE", str(tmp_path / "cache"))
    collection = open_collection(f"file://{imported}")
    assert collection.names == ["ave"]
    found, _ = collection.open("ave").features("audio", np.array([0]))
    assert found.sum() == 40
    with pytest.raises(DataError, match=r"file://.*nowhere/collection\.json does not exist"):
        open_collection(f"file://{tmp_path}/nowhere")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "damaged"),
        ("[]", "damaged"),
        ('{"format": "cmg-collection", "version": 1}', "damaged"),
        ('{"format": "cmg-collection", "version": 2, "stores": {}}', "another format"),
        ('{"format": "cmg-collection", "version": 1, "stores": {"a": "../b"}}', "lies outside"),
        ('{"format": "cmg-collection", "version": 1, "stores": {"a": "/b"}}', "lies outside"),
    ],
)
def test_a_damaged_collection_is_refused(imported, text, reason):
    (imported / "collection.json").write_text(text)
    with pytest.raises(DataError, match=rf"collection\.json.*{reason}"):
        open_collection(imported)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no features of the official data .*cmg data check"):
        open_collection(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        open_collection(tmp_path / "nowhere")
