"""The command line, in this process (fast) or as a user types it (a new process)."""

from functools import partial

import numpy as np
import pytest
from tests.tiny import TINY

SMALL = [*TINY, "training.epochs=2"]


@pytest.fixture(scope="session")
def small():
    """Overrides that make a run take a second."""
    return SMALL


def write_arrays(folder, modalities, clips=24, steps=6, missing=None):
    """A user's own features: npy files of four modalities, and the csv that names them."""
    rng = np.random.default_rng(0)
    names = list(modalities)
    lines = [",".join(["id", "split", "label", *names])]
    for clip in range(clips):
        kind = clip % 2
        cells = []
        for name, shape in modalities.items():
            if missing is not None and name == missing and clip % 3 == 0:
                cells.append("")
                continue
            x = rng.normal(2.0 * kind, 0.3, (steps, *shape)).astype(np.float32)
            np.save(folder / f"{name}{clip}.npy", x)
            cells.append(f"{name}{clip}.npy")
        split = "test" if clip >= clips * 2 // 3 else "train"
        lines.append(",".join([f"clip{clip}", split, ["cat", "dog"][kind], *cells]))
    (folder / "clips.csv").write_text("\n".join(lines) + "\n")
    return folder / "clips.csv"


@pytest.fixture
def arrays(tmp_path):
    """Such files in the folder of a test."""
    return partial(write_arrays, tmp_path)


NAMES = ("-0abcdEfgh", "clip-żółć-", "--pretrain")
"""How clips' ids begin that are options to a parser, or that not every terminal can show."""


@pytest.fixture(scope="session")
def oddly_named(tmp_path_factory):
    """A store `st` of audio and video whose clips have odd ids, and a run `run` of two epochs."""
    from cmg.config.load import load_config
    from cmg.data.inmemory import write_store
    from cmg.recipes.pretrain import pretrain

    root, rng = tmp_path_factory.mktemp("odd"), np.random.default_rng(0)
    write_store(
        root / "st",
        {"audio": rng.normal(size=(18, 4, 5)), "video": rng.normal(size=(18, 4, 6))},
        split=["train"] * 12 + ["test"] * 6,
        labels={"kind": [("cat", "dog")[i % 2] for i in range(18)]},
        ids=[f"{NAMES[i % 3]}{i}" for i in range(18)],
    )
    config = load_config("own-data", [f"data.store={root / 'st'}", *SMALL])
    pretrain(config, root / "run")
    return root
