"""Anonymous memory of an evaluation on AVE at its true size, beyond the model.

    python -m benchmarks.evaluation_memory --json benchmarks/results/evaluation_memory.json

Features come from a source that makes each batch when it is asked (see encode_once), so what is
counted is what the evaluation keeps: codes, continuous features, inputs of the temporal encoder,
heads, predictions. Heads are trained for one epoch; more epochs keep nothing more. RssAnon of this
process is sampled every 10 ms; the model and the tiles of random features are there before.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
from pathlib import Path
from typing import Any

from benchmarks.anonymous import anonymous_bytes, peak_of
from benchmarks.encode_once import TRAIN, Only, random_ave, random_model
from cmg.data.clips import Clips
from cmg.evaluation.frozen import FrozenData, Opened, Protocol
from cmg.evaluation.training import HeadOptions
from cmg.models.unified import UnifiedModel
from cmg.runs.folder import versions
from cmg.tasks.ave import AVE
from cmg.tasks.run import run_plan

PROTOCOLS: tuple[Protocol, ...] = ("clean", "published")


def beyond_the_model(source: Clips, model: UnifiedModel, protocol: Protocol, seeds: int) -> int:
    """Most anonymous memory of one protocol beyond what is there before, in bytes."""
    # What a float64 copy of the model takes is the model's.
    data = FrozenData(Opened(Only(source)), model, protocol)
    before = anonymous_bytes()
    options = HeadOptions(epochs=1)
    return peak_of(lambda: run_plan(AVE().plan(data), options, range(seeds))) - before


def measure(clips: int, seeds: int) -> dict[str, Any]:
    """Peak per protocol, in MiB."""
    source = random_ave(clips)
    model = random_model(source)
    found: dict[str, Any] = {"clips": len(source), "seeds": seeds}
    for protocol in PROTOCOLS:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what was freed counts for nothing
        found[protocol] = beyond_the_model(source, model, protocol, seeds) / 2**20
    return found | {"machine": versions()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=TRAIN, help="training clips")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.clips, given.seeds)
    for protocol in PROTOCOLS:
        print(f"{protocol}: {found[protocol]:.0f} MiB beyond the model, {found['clips']} clips")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
