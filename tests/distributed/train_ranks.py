"""Trains configurations as one rank of several; torchrun starts it.

`... train_ranks.py OUT JOBS.json`: each job is a list of overrides; what the rank ends with is
OUT/<job>-<rank>.safetensors, and its log OUT/<job>-<rank>.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from safetensors.torch import save_file

from cmg.config.load import load_config
from cmg.recipes.pretrain import prepare
from cmg.registry import use
from cmg.runs.checkpoint import training_tensors
from cmg.saved import flat
from cmg.training.ranks import Ranks


class Log:
    """Keeps what every step says."""

    def __init__(self) -> None:
        self.steps = []

    def step(self, position, clips, log):
        self.steps.append({"clips": clips, **log})


def trained(overrides, ranks=None, name=None):
    """Weights, codebook, objectives and both Adams after a run, and its log."""
    training = prepare(load_config(name, overrides), ranks=ranks)
    log = Log()
    training.observers.append(log)
    training.train()
    return flat(training.state.model) | training_tensors(training.state), log.steps


def load_plugin() -> None:
    """Objectives of the tests' own."""
    sys.path.append(str(Path(__file__).parents[1] / "outside"))
    use("outside_terms")


def main() -> None:
    load_plugin()
    out, jobs = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    ranks = Ranks.of_environment()
    assert ranks is not None
    for name, overrides in jobs.items():
        tensors, steps = trained(overrides, ranks)
        save_file(tensors, out / f"{name}-{ranks.rank}.safetensors")
        (out / f"{name}-{ranks.rank}.json").write_text(json.dumps(steps))
    ranks.leave()


if __name__ == "__main__":
    main()
