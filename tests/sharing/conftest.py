"""Runs and what was exported of them, each made once."""

import numpy as np
import pytest
from tests.tiny import QUICK

import cmg as toolkit
from cmg.recipes.evaluate import evaluate_run


@pytest.fixture(scope="session")
def run(shared, cmg):
    """A tiny run on digits, evaluated."""

    def make(folder):
        said = cmg("pretrain", "digits", "--out", folder, *QUICK)
        assert said.code == 0, said.err
        evaluate_run(folder)

    return shared("run_to_share", make)[0]


@pytest.fixture(scope="session")
def exported(shared, cmg, run):
    """It as a folder."""

    def make(folder):
        said = cmg("export", run, folder)
        assert said.code == 0, said.err

    return shared("exported_run", make)[0]


@pytest.fixture(scope="session")
def private(shared, cmg):
    """Clips of one's own and others, a run on two modalities of the first, and its export."""

    def make(folder):
        chance, store = np.random.default_rng(0), folder / "private place"
        for path in (store, folder / "others"):
            toolkit.write_store(
                path,
                {m: chance.normal(size=(24, 2, 6)) for m in ("audio", "text", "pen")},
                split=["train"] * 15 + ["test"] * 9,
                labels={"kind": ["<script>alert(1)</script>", "b|`*", "c"] * 8},
                notes=f"From {folder}/takes, license unknown",
            )
        data = (f"data.store={store}", "data.modalities=[audio,text]")
        said = cmg("pretrain", *data, "--out", folder / "run", *QUICK)
        assert said.code == 0, said.err
        evaluate_run(folder / "run")
        said = cmg("export", folder / "run", folder / "export", "--notes", "My own takes")
        assert said.code == 0, said.err

    return shared("private_run", make)[0]
