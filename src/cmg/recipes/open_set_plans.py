"""Open sets of the authors' data (`cmg evaluate open-set --plan`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from cmg.decoders.heads import ReadBy
from cmg.errors import ConfigError
from cmg.evaluation.frozen import FrozenData, Opened, Progress, Protocol, quiet
from cmg.evaluation.open_set import Measured
from cmg.files import StrPath
from cmg.official.collection import Collection
from cmg.official.layout import SIMULATION
from cmg.recipes.evaluate_tasks import pretraining_ids, pretraining_list
from cmg.recipes.open_set import OpenSetResults, told_results, without_threshold
from cmg.recipes.retrieval import read_alike
from cmg.runs.checkpoint import load_model
from cmg.runs.selection import marked_checkpoint
from cmg.tasks.open_set import OpenSetHeads, OpenSetPlan, find_open_set
from cmg.tasks.run import leak_report
from cmg.tasks.sides import VideoIds


def evaluate_plan(
    runs: Sequence[StrPath],
    collection: Collection,
    plan: str,
    protocol: Protocol = "clean",
    seeds: int = 3,
    by: ReadBy = "codes",
    device: torch.device | str = "cpu",
    progress: Progress = quiet,
) -> OpenSetResults:
    """Train heads on the known classes of a plan, read them on clips of all.

    Args:
        runs: Run folders (their selected checkpoints, else the newest) or checkpoints, of models
            that were trained alike.
        collection: The data sets.
        plan: Such as ``ave-14``.
        protocol: ``published`` or ``clean``.
        seeds: Heads per modality and model.
        by: What heads read.
        device: Where to compute.
        progress: Told about clips that are encoded and epochs of heads.

    Raises:
        ConfigError: no such plan, fewer than one seed, too many known classes, runs that are not
            alike, or a checkpoint too late for the published protocol.
        CheckpointError: no checkpoint, or a mark of one that is gone.
        ModalityError: a model lacks a modality, or was trained on other features.
        DataError: the collection lacks a data set, a list or clips of a part, or lists disagree.
    """
    one = find_open_set(plan)
    if seeds < 1:
        raise ConfigError(f"seeds = {seeds}; give at least one")
    checkpoints = read_alike([marked_checkpoint(run) or run for run in runs])
    options = [one.head_options(protocol, c.position.epoch, c.path) for c in checkpoints]
    opened = Opened(collection)
    rows: list[Measured] = []
    remarks: list[str] = []
    about: dict[str, Any] = {}
    for checkpoint, given in zip(checkpoints, options, strict=True):
        model = load_model(checkpoint.path, device)
        found = one.plan(FrozenData(opened, model, protocol, by=by, progress=progress))
        heads = OpenSetHeads(found, given, range(seeds))
        rows += heads.measured()
        pretraining = pretraining_list(checkpoint)
        lists = pretraining_ids(opened, pretraining)
        marks = one.marks(found, lists, pretraining)
        remarks += [*found.remarks(), *dict.fromkeys(marks.values())]
        about = told_plan(found, lists)
    if protocol == "clean":
        remarks += without_threshold(rows)
    missing = [said for said in collection.remarks if said.startswith(one.sets)]
    about |= {
        "checkpoints": [str(c.path) for c in checkpoints],
        "data": str(collection.path),
        "plan": plan,
        "seeds": list(range(seeds)),
        "features": by,
        "simulated": (Path(collection.path) / SIMULATION).is_file(),
    }
    return told_results(rows, about, [*missing, *remarks])


def told_plan(plan: OpenSetPlan, lists: dict[str, VideoIds]) -> dict[str, Any]:
    """What a plan is, as JSON: the same for every model but for the lists of pre-training."""
    return {
        "protocol": plan.protocol,
        "known": list(plan.classes),
        "unknown": list(plan.unknown),
        "clips": plan.counts(),
        "leaks": leak_report(plan, lists),
        "notes": list(plan.notes),
    }
