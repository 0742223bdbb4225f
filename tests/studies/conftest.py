"""Tiny stores, a tiny base, job files with chosen scores, and jobs that train nothing."""

import json
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from tests.paired import paired_store
from tests.tiny import QUICK

from cmg.config.load import load_config, to_yaml
from cmg.studies.definition import read_study
from cmg.studies.ledger import Identity, JobKey, JobRecord, open_folder
from cmg.studies.scorers import StoreScorer
from cmg.types import Modality

MODALITIES = [
    Modality(name="audio", kind="vectors", shape=(6,)),
    Modality(name="video", kind="vectors", shape=(8,)),
]
TINY = [*QUICK, "probe.lr=0.01"]
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


CHOICE = """
title: A choice
about: Two tries for each of two groups.
reference: plain
controls: []
split: val
variants:
  - {name: plain, title: plain, group: infonce}
  - {name: wide, title: wide, group: infonce, changes: {model.width: 12}}
  - {name: codes, title: recipe, group: recipe, reads: [codes, posterior, continuous],
     changes: {optimizer.lr: 0.5}, scales: {training.epochs: 3}}
"""


@pytest.fixture(scope="session")
def folds(tmp_path_factory):
    """The name of three stores, each divided into train, val and test."""
    path = tmp_path_factory.mktemp("folds")
    for fold in range(3):
        sizes = {"train": 16, "val": 8, "test": 8}
        where = path / f"fold-{fold}"
        paired_store(where, MODALITIES, sizes, steps=2, classes=2, seed=fold)
    return str(path / "fold-{fold}")


@dataclass(frozen=True)
class FakeScorer(StoreScorer):
    """Makes up a number of the fold, the read and the seed."""

    def score(self, model, config, reads, seed):
        fold = float(config.data.store[-1]) if config.data.store[-1].isdecimal() else 0.0
        features = ("codes", "posterior", "continuous")
        return [
            {"classification/a->b": 10 * fold + seed + 100 * features.index(read.features)}
            for read in reads
        ]


@pytest.fixture
def untrained(monkeypatch):
    """Nothing is trained; a list of what would have been."""
    seen = []

    @contextmanager
    def trained_model(job, send, resume=False):
        seen.append((job.name, job.config.data.store[-1]))
        yield None

    monkeypatch.setattr("cmg.studies.run.trained_model", trained_model)
    monkeypatch.setattr("cmg.studies.scorers.StoreScorer", FakeScorer)  # of the command
    return seen


@pytest.fixture
def planted(tmp_path):
    """Make the folder of a study with the given scores.

    They are given as {variant: {seed: scores}}, or {variant: {(fold, seed): scores}} with folds;
    the first one's is that of further reads, {variant/read: ...}.
    """

    def plant(study, found, base=None, trained_on="a" * 64, folds=(), out="planted", seeds=0):
        out = tmp_path / out
        base = base or load_config(None, TINY)
        identity = Identity(study, base, "a test", "", seeds, tuple(folds))
        open_folder(out, identity)
        for variant, cells in found.items():
            if "/" in variant:
                continue
            for cell, scores in cells.items():
                fold, seed = cell if folds else (None, cell)
                key = JobKey(variant, seed, fold)
                prefix = f"{variant}/"
                reads = {
                    name.removeprefix(prefix): more[cell]
                    for name, more in found.items()
                    if name.startswith(prefix)
                }
                job = (key, identity.config(key), trained_on, trained_on)
                JobRecord(*job, scores, 1.0, {}, reads).save(out)
        return out

    return plant


@pytest.fixture
def read():
    return lambda out: json.loads((out / "study.json").read_text())
