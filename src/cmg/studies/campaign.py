"""Studies that choose before they compare: what fits the data, what it costs, what is tried."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmg.clips import is_one_store
from cmg.config.schema import RunConfig
from cmg.errors import CmgError, ConfigError, DataError
from cmg.studies.choice import best_of, settled, tries_of
from cmg.studies.definition import COMPUTED, Study
from cmg.studies.ledger import CHOICE, STUDY, finished_jobs, read_identity, unfinished_jobs
from cmg.studies.plan import (
    StudyPlan,
    at_fold,
    base_config,
    chosen_rows,
    named_by,
    opened,
    plan_study,
    variant_config,
)
from cmg.studies.trial import seconds_per_clip

HOUR = 3600.0
VALIDATION = "val"
"""The split that choices are made on."""


@dataclass(frozen=True)
class Asked:
    """What a command asks for; see :func:`cmg.studies.plan.plan_study`."""

    data: str
    base: str | None = None
    assignments: Sequence[str] = ()
    seeds: int = 3
    only: Sequence[str] | None = None
    folds: int | None = None
    only_folds: Sequence[int] | None = None
    choose: bool = False
    uneven: bool = False

    def plan(self, study: Study) -> StudyPlan:
        """The plan of a study.

        Raises:
            CmgError: see :func:`cmg.studies.plan.plan_study`.
        """
        return plan_study(study, **vars(self))

    def of_choice(self, tries: Study, groups: Collection[str]) -> Asked:
        """What is asked for of its choice: one seed, on the first fold."""
        names = [v.name for v in tries.variants if v.group in groups]
        folds = None if self.folds is None else 1
        return replace(self, seeds=1, only=names, folds=folds, only_folds=None, choose=True)


def fitted(study: Study, asked: Asked, out: Path) -> tuple[Study, dict[str, float]]:
    """A lenient study without the variants that do not fit the data; what the others cost.

    A few steps of every variant are taken, which is what finds out; of those that `out` has, or
    has jobs of, that is remembered. A mistake of the study itself is no lack of the data.

    Returns:
        The study, and seconds of a processor per clip of training by variant.

    Raises:
        ConfigError: no such variant, or a configuration that is none.
        CmgError: the reference does not fit, the data cannot be opened, or have no validation
            clips that the study chooses on.
    """
    wanted = {row.name for row in chosen_rows(study, asked.only)}
    every = tuple(range(asked.folds)) if asked.folds is not None else study.folds
    names = (asked.base, asked.assignments)
    base = base_config(study, named_by(asked.data, every), *names)
    if not asked.choose and tries_of(study) is not None:
        refuse_without_validation(study, at_fold(base, next(iter(every), None)))
    if not study.lenient:
        return study, {}
    unfit, done = remembered(out)
    configs = {row.name: variant_config(base, row, study.keeps) for row in study.rows()}
    if study.computed and not is_one_store(base.data.store):
        unfit[COMPUTED] = f"controls are computed on a store, and {base.data.store} is a collection"
    costs = {}
    for name in (n for n in configs if n in wanted and n not in unfit and n not in done):
        try:
            costs[name] = seconds_per_clip(at_fold(configs[name], next(iter(every), None)))
        except CmgError as error:
            if name == study.reference:
                raise
            unfit[name] = str(error).partition("\n")[0]
    return without(study, unfit), costs


def refuse_without_validation(study: Study, base: RunConfig) -> None:
    """Refuse to choose on a store without validation clips.

    Raises:
        DataError: says how to do without.
    """
    if not is_one_store(base.data.store):
        return
    source = opened(study, base)
    if VALIDATION not in source.splits:
        raise DataError(
            f"{base.data.store} has no split {VALIDATION!r} to choose on (it has "
            f"{', '.join(source.splits)}); divide the clips so that it has, or take every method "
            "as its own file says: --untuned"
        )


def remembered(out: Path) -> tuple[dict[str, str], set[str]]:
    """What did not fit, with the reasons, and what has finished jobs, of a study or its choice."""
    unfit, done = dict[str, str](), set[str]()
    for folder in (out / CHOICE, out):
        if (folder / STUDY).is_file():
            study = read_identity(folder).study
            unfit |= study.unfit
            groups = {v.name: v.group or v.name for v in study.rows()}
            done |= {groups.get(key.variant, key.variant) for key in finished_jobs(folder)}
    return unfit, done


def without(study: Study, unfit: Mapping[str, str]) -> Study:
    """A study without some variants, which it names with the reason."""
    kept = tuple(v for v in study.variants if v.name not in unfit)
    controls = tuple(v for v in study.controls if v.name not in unfit)
    left = {"variants": kept, "controls": controls, "unfit": dict(unfit)}
    return study.model_copy(update={**left, "computed": study.computed and COMPUTED not in unfit})


def hours_of(plan: StudyPlan, costs: Mapping[str, float]) -> float:
    """Hours of a processor that the training of a plan takes, heads aside.

    Args:
        plan: Of the study.
        costs: Seconds per clip by variant; of a try those of its variant are taken.
    """
    seconds = 0.0
    for (name, _), clips in plan.clips.items():
        variant = next(v for v in plan.study.rows() if v.name == name)
        cost = costs.get(name, costs.get(variant.group, 0.0))
        seconds += cost * clips * (variant.seeds or plan.seeds)
    return seconds / HOUR


def chosen(
    study: Study, asked: Asked, out: Path, run: Callable[[StudyPlan, Path], object]
) -> Study | None:
    """A study whose choices are made; those that are not yet are run first.

    Args:
        study: With choices, or without.
        asked: For the study.
        out: Its folder.
        run: Runs a plan in a folder, or a part of it.

    Returns:
        None where the choice is not finished.

    Raises:
        CmgError: of a job, or data or configurations that do not fit.
    """
    tries = None if asked.choose else tries_of(study)
    if tries is None:
        return study
    if not asked.uneven:
        refuse_untried(study, tries)
    rows = chosen_rows(study, asked.only)
    groups = {study.reference, *(row.name for row in rows)} & tries.tries().keys()
    plan = asked.of_choice(tries, groups).plan(tries)
    run(plan, out / CHOICE)
    identity = read_identity(out / CHOICE)
    wanted = {name for name, _ in plan.configs}
    if any(key.variant in wanted for key in unfinished_jobs(out / CHOICE, identity)):
        return None
    return settled(study, best_of(out / CHOICE, only=groups), study.unfit)


def refuse_untried(study: Study, tries: Study) -> None:
    """Refuse a study in which some variants have choices, and others that are compared have none.

    Raises:
        ConfigError: names one without.
    """
    untried = [v.name for v in study.variants if not v.control and v.name not in tries.tries()]
    if untried:
        raise ConfigError(
            f"{study.name}: the best of several tries is better by chance alone, but {untried[0]} "
            "has none; give the study itself choices, or take --uneven"
        )


def part_of(text: str) -> tuple[int, int]:
    """``2/3`` as numbers.

    Raises:
        ConfigError: another form, or no such part.
    """
    one, _, of = text.partition("/")
    if not (one.isdecimal() and of.isdecimal() and 1 <= int(one[:9]) <= int(of[:9])):
        raise ConfigError(f"--part {text} must read I/N, for example 2/3 for the second of three")
    return int(one), int(of)
