"""Baselines beside a run on the benchmarks: computed from its own clips, or its InfoNCE model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from cmg.baselines.benchmarks import BenchmarkRows, RawSteps, computed_figures
from cmg.baselines.record import FOLDER, INFONCE, Baselines
from cmg.clips import configured_clips, training_part
from cmg.errors import CheckpointError, ConfigError
from cmg.evaluation.frozen import FrozenData, Protocol
from cmg.evaluation.training import HeadOptions
from cmg.models.unified import UnifiedModel
from cmg.recipes.baselines import refuse_changed, refuse_control
from cmg.runs.checkpoint import Checkpoint, list_checkpoints, load_model
from cmg.tasks.benchmark import Plan
from cmg.tasks.outcome import Outcome
from cmg.tasks.run import HeadRunner


class BenchmarkBaselines:
    """The baselines of a run on the benchmarks.

    Args:
        run: Its folder.
        checkpoint: Its checkpoint.
        protocols: That the run is evaluated by.
        seeds: Heads per direction.

    Raises:
        CheckpointError: the model is no run, so there are no clips that it was trained on.
        ConfigError: no clean protocol, or the run is a control.
        DataError: the run's clips cannot be opened, or are not those that it was trained on.
    """

    def __init__(
        self, run: Path, checkpoint: Checkpoint, protocols: Sequence[Protocol], seeds: int
    ) -> None:
        if "clean" not in protocols:
            raise ConfigError(
                "baselines choose their penalties by clips that are held out, and the published "
                "protocol has none; say --protocol clean or both, or leave --baselines out"
            )
        if checkpoint.origin:
            raise CheckpointError(
                f"{run} was converted from another release, so the clips that it was trained on "
                "are not known; ridge and CCA learn their maps from those: leave --baselines out"
            )
        refuse_control(run, checkpoint.config)
        self.run, self.data, self.seeds = run, checkpoint.config.data, range(seeds)
        store = configured_clips(self.data)
        refuse_changed(run, checkpoint, store)
        self.store, self.found = store, dict[str, Baselines]()

    @cached_property
    def known(self) -> RawSteps:
        """Raw features of the clips that the run was trained on."""
        names = list(self.data.modalities or self.store.modalities)
        return RawSteps.of(training_part(self.store, self.data), names)

    @cached_property
    def infonce(self) -> UnifiedModel | None:
        """The run's InfoNCE model, if it is trained."""
        folder = self.run / FOLDER / INFONCE
        return load_model(folder) if list_checkpoints(folder) else None

    def join(self, outcome: Outcome, plan: Plan, options: HeadOptions) -> None:
        """Evaluate all of them on a benchmark, as controls of an outcome.

        Args:
            outcome: Of the run, clean.
            plan: What it was evaluated by.
            options: Of its heads.
        """
        if not plan.select or len(plan.train) < 2:
            outcome.remarks.append(
                "no baselines, for they go between modalities and choose by held-out clips, and "
                f"here {'is one modality' if plan.select else 'are no such clips'}"
            )
            return
        data = plan.data
        told = f"the benchmark's held-out clips; maps fitted to {self.known.where}"
        found = Baselines(self.store.content_hash, plan.first.label, told)
        if self.infonce is not None:
            model = self.infonce.to(data.model.device)
            other = FrozenData(
                data.collection, model, data.protocol, data.modalities, progress=data.progress
            )
            figures = HeadRunner(plan.benchmark.plan(other), options, self.seeds).figures()
            outcome.controls[INFONCE] = figures
        rows = BenchmarkRows(plan, options, self.seeds, self.known)
        for name, figures, row in computed_figures(rows):
            outcome.controls[name], found.rows[name] = figures, row
        self.found[plan.benchmark.name] = found
