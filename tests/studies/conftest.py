"""A tiny store, a tiny base, and job files with chosen scores."""

from __future__ import annotations

import json

import pytest

from cmg.config.load import load_config, to_yaml
from cmg.data.paired import paired_store
from cmg.studies.definition import read_study
from cmg.studies.ledger import Identity, JobKey, JobRecord, open_folder
from cmg.types import Modality

MODALITIES = [
    Modality(name="audio", kind="vectors", shape=(6,)),
    Modality(name="video", kind="vectors", shape=(8,)),
]
TINY = [
    "model.width=8",
    "model.temporal={kind: mlp, hidden: 8}",
    "model.codebook.size=8",
    "data.batch_size=8",
    "training.epochs=1",
    "training.threads=1",
    "training.tensorboard=false",
    "probe.epochs=1",
    "probe.lr=0.01",
]
PAIR = """
title: Two variants
about: One with CMCM, one without.
reference: full
controls: []
variants:
  - {name: full, title: full recipe}
  - {name: no-cmcm, title: without CMCM, changes: {objectives.cmcm: null}}
"""


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("studies") / "store"
    paired_store(path, MODALITIES, {"train": 24, "test": 12}, steps=4, classes=3)
    return str(path)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """YAML file of a base that trains in a blink."""
    file = tmp_path_factory.mktemp("base") / "tiny.yaml"
    file.write_text(to_yaml(load_config(None, TINY)))
    return str(file)


@pytest.fixture(scope="session")
def pair():
    return read_study(PAIR, "pair", "test")


@pytest.fixture
def planted(tmp_path):
    """Make the folder of a study with the given scores: {variant: {seed: scores}}."""

    def plant(study, found, base=None, trained_on="a" * 64):
        out = tmp_path / "planted"
        identity = Identity(study, base or load_config(None, TINY), "a test")
        open_folder(out, identity)
        for variant, seeds in found.items():
            for seed, scores in seeds.items():
                key = JobKey(variant, seed)
                config = identity.config(key)
                JobRecord(key, config, trained_on, trained_on, scores, 1.0, {}).save(out)
        return out

    return plant


@pytest.fixture
def read():
    return lambda out: json.loads((out / "study.json").read_text())
