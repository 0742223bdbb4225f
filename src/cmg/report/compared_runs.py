"""Runs side by side: what is read of each, which are seeds of one, and their differences."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from cmg.config.compare import changed_keys
from cmg.config.schema import RunConfig
from cmg.errors import CheckpointError, ConfigError, DataError
from cmg.evaluation.results import CodebookStats, Results
from cmg.evaluation.scores import Score, ScoreMap
from cmg.files import StrPath
from cmg.hub import is_hub, local
from cmg.models.saving import DESCRIPTION
from cmg.models.unified import UnifiedModel
from cmg.places import lies_there, public_text
from cmg.recipes.evaluate import RESULTS
from cmg.report.gather import RunLog, control_remarks, find_results, run_log, trained_on
from cmg.report.tables import crossing
from cmg.runs.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from cmg.runs.cost import Cost, read_cost
from cmg.runs.folder import CONFIG, RUN, places_of

MEAN = "mean across"
"""In the place of a direction: the mean over those between different modalities."""
SEED = "training.seed"
PLACES = ("data.store", "data.lists")
FEWEST = 3
"""Pairs that an interval is given of: of two its t-factor is 12.7, which says nothing."""


@dataclass(frozen=True)
class Compared:
    """One run.

    Attributes:
        log: Folder, facts and metrics.
        checkpoint: Its newest.
        results: Its evaluation; None where there can be none.
        cost: Of its training; None where it was not recorded.
        parameters: Of the model.
    """

    log: RunLog
    checkpoint: Checkpoint
    results: Results | None
    cost: Cost | None
    parameters: int

    @property
    def config(self) -> RunConfig:
        """Of the run."""
        return self.checkpoint.config

    @property
    def seed(self) -> int:
        """Of its training."""
        return self.config.training.seed


@dataclass(frozen=True)
class ComparedRow:
    """Runs that differ in nothing but ``training.seed``.

    Attributes:
        name: Of the row.
        runs: In the order of their seeds.
    """

    name: str
    runs: tuple[Compared, ...]

    @property
    def config(self) -> RunConfig:
        """Of its first run."""
        return self.runs[0].config

    @property
    def seeds(self) -> list[int]:
        """Of its runs."""
        return [run.seed for run in self.runs]

    @property
    def evaluated(self) -> list[Results]:
        """The evaluations that there are."""
        return [run.results for run in self.runs if run.results is not None]

    @property
    def codebook(self) -> CodebookStats | None:
        """Mean over the runs."""
        found = [results.codebook for results in self.evaluated]
        return CodebookStats.mean(found) if found else None

    def scores(self) -> ScoreMap:
        """Mean and spread by direction, and of their mean: over seeds, or heads of a single run."""
        units = self.units()
        shared = [d for d in next(iter(units.values()), {}) if all(d in u for u in units.values())]
        if len(self.runs) == 1 and self.evaluated and len(units) == 1:
            kept = self.evaluated[0].transfer  # of old results, which have no single scores
            return {d: kept.get(d, Score.of([units[next(iter(units))][d]])) for d in shared}
        return {d: Score.of([unit[d] for unit in units.values()]) for d in shared}

    def units(self) -> dict[int, dict[str, float]]:
        """What can be paired: by training seed, heads averaged; by head's seed of a single run."""
        if len(self.runs) > 1:
            found = {r.seed: r.results.transfer for r in self.runs if r.results is not None}
            return {
                seed: with_mean({d: s.mean for d, s in table.items()})
                for seed, table in found.items()
            }
        table = self.evaluated[0].transfer if self.evaluated else {}
        counts = {len(s.values) for s in table.values()}
        first = self.runs[0].seed
        if len(counts) != 1 or counts == {0}:
            return {first: with_mean({d: s.mean for d, s in table.items()})} if table else {}
        return {
            first + i: with_mean({d: s.values[i] for d, s in table.items()})
            for i in range(counts.pop())
        }


@dataclass(frozen=True)
class SideBySide:
    """Runs side by side.

    Attributes:
        rows: The first is what the others are compared with.
        remarks: What a reader has to know beside the numbers.
    """

    rows: tuple[ComparedRow, ...]
    remarks: tuple[str, ...]

    def changes(self) -> dict[str, list[Any]]:
        """The keys in which rows differ, each with the value of every row; None is left out."""
        first, *others = self.rows
        keys = {key: None for one in others for key in changed_keys(first.config, one.config)}
        found = {key: [value_at(row.config, key) for row in self.rows] for key in keys}
        several = any(len(row.runs) > 1 for row in self.rows)
        if several or SEED in found:
            found[SEED] = [list(row.seeds) if several else row.seeds[0] for row in self.rows]
            if len({str(value) for value in found[SEED]}) == 1:
                del found[SEED]
        return found

    def differences(self) -> dict[str, ScoreMap]:
        """By row but the first: its scores less those of the first, pair by pair."""
        first, *others = self.rows
        return {row.name: paired(row.units(), first.units()) for row in others}


def paired(
    own: Mapping[int, Mapping[str, float]], reference: Mapping[int, Mapping[str, float]]
) -> ScoreMap:
    """Differences by direction, over the seeds that both have.

    Where they share none, the difference of the means: a single value, which has no interval.
    """
    shared = [seed for seed in reference if seed in own]
    if not shared and own and reference:
        own, reference = ({0: averaged(list(units.values()))} for units in (own, reference))
        shared = [0]
    directions = [d for d in reference[shared[0]] if d in own[shared[0]]] if shared else []
    # Of both, the mean is over the directions that both have.
    pairs = [
        with_mean({d: own[s][d] - reference[s][d] for d in directions if d != MEAN}) for s in shared
    ]
    return {d: Score.of([pair[d] for pair in pairs]) for d in directions if d in pairs[0]}


def with_mean(scores: dict[str, float]) -> dict[str, float]:
    """Scores with the mean over the directions between modalities in front."""
    across = crossing(scores)
    return ({MEAN: fmean(across.values())} if across else {}) | scores


def averaged(units: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every direction that all have."""
    return {d: fmean(u[d] for u in units) for d in units[0] if all(d in u for u in units)}


def value_at(config: RunConfig, key: str) -> Any:
    """The value at a dotted key; None where a group above it is left out.

    Of a place its last part: reports are shown to others.
    """
    value: Any = config.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return Path(value).name or value if value and key in PLACES else value


def compared(folders: Sequence[StrPath]) -> SideBySide:
    """Runs side by side; each that has not been evaluated is, if its store has labels.

    Args:
        folders: Runs and exports; what the others are compared with first.

    Raises:
        ConfigError: fewer than two, or one twice.
        CheckpointError: a folder is no run, or has no checkpoint that can be read.
        DataError: results or costs are damaged.
    """
    paths = [local(folder) for folder in folders]
    refuse_unfit(paths)
    checkpoints = [read_checkpoint(path) for path in paths]  # before anything takes time
    remarks: list[str] = []
    names = [
        os.fspath(given) if is_hub(given) else name
        for given, name in zip(folders, short_names(paths), strict=True)
    ]
    runs = [
        read_run(path, checkpoint, name, remarks)
        for path, checkpoint, name in zip(paths, checkpoints, names, strict=True)
    ]
    rows = rows_of(dict(zip(names, runs, strict=True)))
    hashes = {row.name: row.runs[0].checkpoint.data_hash for row in rows}
    if len(set(hashes.values())) > 1:
        told = ", ".join(f"{name} {found[:12]}" for name, found in hashes.items())
        remarks.append(
            f"The runs were trained on different data (content hash: {told}), so differences in "
            "transfer are of the data as well."
        )
    return SideBySide(rows, tuple(dict.fromkeys(remarks)))


def refuse_unfit(paths: Sequence[Path]) -> None:
    """Refuse what cannot be compared.

    Raises:
        ConfigError: fewer than two, or one twice.
        CheckpointError: one is no run with a checkpoint.
    """
    for path in paths:
        alone = (path / DESCRIPTION).is_file()
        if alone and not (path / RUN).is_file():
            raise CheckpointError(
                f"{path} is a checkpoint; give the folder of its run, {path.parent.parent}"
            )
        if not alone and not (path / CONFIG).is_file():
            state = "is no cmg run" if path.exists() else "does not exist"
            remedy = "give run folders of `cmg pretrain --out` (`cmg runs` lists them)"
            raise CheckpointError(f"{path} {state}; {lies_there(path) or remedy}")
        find_checkpoint(path)
    seen: dict[Path, Path] = {}
    for path in paths:
        whole = path.resolve()
        if whole in seen:
            raise ConfigError(f"{path} is given twice; compare different runs")
        seen[whole] = path
    if len(paths) < 2:
        raise ConfigError(
            f"comparing takes two runs or more, and {paths[0] if paths else 'none'} is alone; "
            "`cmg report RUN` tells of one (`cmg runs` lists those that there are)"
        )


def short_names(paths: Sequence[Path]) -> list[str]:
    """The folders' own names, with as much of what is above them as tells them apart."""
    parts = [path.resolve().parts for path in paths]
    length = next(
        n
        for n in range(1, max(map(len, parts)) + 1)
        if len({one[-n:] for one in parts}) == len(parts)
    )
    return ["/".join(one[-length:]) for one in parts]


def read_run(path: Path, checkpoint: Checkpoint, name: str, remarks: list[str]) -> Compared:
    """One run, evaluated where that can be done."""
    results, said = None, list[str]()
    try:
        if (path / RESULTS).is_file():
            results = Results.load(path / RESULTS)
        else:
            store = trained_on(checkpoint, path)
            said += [told for told in control_remarks(checkpoint, store) if "control" in told]
            results = find_results(path, False, checkpoint, store, said)
    except DataError as error:
        if (path / RESULTS).is_file():
            raise
        said.append(f"It is not evaluated: {error}.")
    if results is not None:
        said += results.remarks
        if any(s.n > 1 and not s.values for s in results.transfer.values()):
            said.append(
                f"{RESULTS} is of an earlier cmg, without the score of each head; remove it and "
                "compare again for pairs of heads."
            )
    epochs = checkpoint.config.training.epochs
    if checkpoint.position.epoch < epochs and (path / CONFIG).is_file() and not checkpoint.origin:
        said.append(
            f"It stands at epoch {checkpoint.position.epoch} of {epochs}; `cmg pretrain --resume` "
            "goes on."
        )
    known = (str(path), str(path.resolve()), *places_of(checkpoint.config).values())
    remarks += [f"{name}: {public_text(told, *known)}" for told in said]
    model = UnifiedModel(checkpoint.modalities, checkpoint.config.model)
    return Compared(
        run_log(path),
        checkpoint,
        results,
        read_cost(path),
        sum(p.numel() for p in model.parameters()),
    )


def rows_of(runs: Mapping[str, Compared]) -> tuple[ComparedRow, ...]:
    """Runs in the order given; those that differ in their seed alone are one row."""
    found: list[dict[str, Compared]] = []
    for name, run in runs.items():
        fitting = (
            row for row in found if of_one_kind(next(iter(row.values())), run) and is_new(row, run)
        )
        row = next(fitting, None)
        if row is None:
            found.append({name: run})
        else:
            row[name] = run
    return tuple(
        ComparedRow(
            next(iter(row)) if len(row) == 1 else f"{next(iter(row))} (×{len(row)} seeds)",
            tuple(sorted(row.values(), key=lambda run: run.seed)),
        )
        for row in found
    )


def is_new(row: Mapping[str, Compared], run: Compared) -> bool:
    """Whether no run of a row has the seed of another."""
    return all(other.seed != run.seed for other in row.values())


def of_one_kind(one: Compared, other: Compared) -> bool:
    """Whether two runs differ in nothing but their seed: of the same data, as far trained."""
    apart = set(changed_keys(one.config, other.config)) - {SEED, *PLACES}
    same_data = one.checkpoint.data_hash == other.checkpoint.data_hash
    return not apart and same_data and one.checkpoint.position == other.checkpoint.position
