"""The folder of a study: what it is, and a file per finished job.

The layout::

    OUT/
        study.json                   what is compared, then the results
        jobs/<variant>/seed-<n>.json  one finished job: configuration, data, scores
        runs/<variant>/seed-<n>/      its run folder, if runs are kept
        table.md  plot.svg  report.html
        choice/                      the study that its variants were chosen by, if they were

Of data with folds, jobs and runs lie in a folder per fold, ``<variant>/fold-<n>/seed-<n>``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cmg.config.plugins import recorded, recorded_plugins
from cmg.config.schema import RunConfig
from cmg.errors import ConfigError, DataError
from cmg.files import read_json, replace_file
from cmg.registry import PluginError, refuse_missing
from cmg.studies.agreement import data_of, refuse_other_config, refuse_other_data
from cmg.studies.definition import COMPUTED, Study
from cmg.studies.plan import Place, StudyPlan, at_fold, variant_config
from cmg.studies.scorers import Scores

STUDY, JOBS, RUNS, CHOICE = "study.json", "jobs", "runs", "choice"
JOB_NAME = re.compile(r"([^/]+)(?:/fold-([0-9]+))?/seed-([0-9]+)\.json")
FORMAT, JOB_FORMAT = "cmg-study", "cmg-study-job"
VERSION = 1


@dataclass(frozen=True)
class JobKey:
    """A variant with a seed, on a fold where the data have some."""

    variant: str
    seed: int
    fold: int | None = None

    @property
    def name(self) -> str:
        """Variant, fold and seed, as the names of its files."""
        fold = "" if self.fold is None else f"/fold-{self.fold}"
        return f"{self.variant}{fold}/seed-{self.seed}"

    @property
    def file(self) -> str:
        """Below the study's folder."""
        return f"{JOBS}/{self.name}.json"

    @property
    def run(self) -> str:
        """Below the study's folder."""
        return f"{RUNS}/{self.name}"

    @property
    def place(self) -> Place:
        """Without the seed."""
        return self.variant, self.fold


@dataclass(frozen=True)
class Identity:
    """What all jobs of a folder must share, and how far they are to go.

    Attributes:
        study: What is compared.
        base: Configuration that the variants change.
        scorer: What is measured.
        unlike: Why the paper's figures do not stand beside its own; empty where they do.
        seeds: Asked for so far.
        folds: Likewise.
    """

    study: Study
    base: RunConfig
    scorer: str
    unlike: str = ""
    seeds: int = 0
    folds: tuple[int, ...] = ()
    _configs: dict[str, RunConfig] = field(default_factory=dict, init=False, compare=False)

    def config_of(self, row: str) -> RunConfig:
        """The configuration of a row, seed 0: of a variant, or of one of its further reads."""
        if row not in self._configs:
            self._configs[row] = variant_config(self.base, self.study.row(row), self.study.keeps)
        return self._configs[row]

    def config(self, key: JobKey) -> RunConfig:
        """The configuration of one job."""
        row = self.study.reference if key.variant == COMPUTED else key.variant
        own = at_fold(self.config_of(row), key.fold)
        training = own.training.model_copy(update={"seed": key.seed})
        return own.model_copy(update={"training": training})

    @property
    def jobs(self) -> list[JobKey]:
        """All that the study asks for, seed by seed, with all variants of a fold together."""
        names = [v.name for v in self.study.rows()]
        return planned(self.study, names, self.folds or (None,), self.seeds)

    def with_more(self, other: Identity) -> Identity:
        """The same study with all seeds and folds that either one asks for."""
        folds = tuple(sorted({*self.folds, *other.folds}))
        study, seeds = self.study.joined(other.study), max(self.seeds, other.seeds)
        return replace(self, study=study, seeds=seeds, folds=folds)


def planned(
    study: Study, variants: Sequence[str], folds: Sequence[int | None], seeds: int
) -> list[JobKey]:
    """Jobs in their order: what is computed first, then seed by seed, fold by fold."""
    first = [JobKey(COMPUTED, 0, fold) for fold in folds if study.computed]
    last = {name: study.row(name).seeds or seeds for name in variants}
    every = (JobKey(v, s, fold) for s in range(seeds) for fold in folds for v in variants)
    return first + [key for key in every if key.seed < last[key.variant]]


@dataclass(frozen=True)
class JobRecord:
    """One job; what is found, once it is finished.

    Attributes:
        key: Variant, seed and fold.
        config: What was trained.
        trained_on: Content hash.
        scored_on: Content hash.
        scores: What was found.
        seconds: Wall time of training and scoring.
        machine: Versions and machine.
        reads: What was found with the further reads, by their name; or the computed controls.
    """

    key: JobKey
    config: RunConfig
    trained_on: str
    scored_on: str
    scores: Scores = field(default_factory=dict)
    seconds: float = 0.0
    machine: Mapping[str, Any] = field(default_factory=dict)
    reads: dict[str, Scores] = field(default_factory=dict)

    def save(self, out: Path) -> None:
        """Write the job's file, whole or not at all.

        Raises:
            DataError: it cannot be written.
        """
        told = {
            "format": JOB_FORMAT,
            "version": VERSION,
            "variant": self.key.variant,
            "seed": self.key.seed,
            **({} if self.key.fold is None else {"fold": self.key.fold}),
            "trained_on": self.trained_on,
            "scored_on": self.scored_on,
            "scores": self.scores,
            **({"reads": self.reads} if self.reads else {}),
            "seconds": round(self.seconds, 3),
            "machine": dict(self.machine),
            "config": self.config.model_dump(mode="json"),
        }
        replace_file(out / self.key.file, json.dumps(told, indent=1).encode())


def read_job(out: Path, key: JobKey) -> JobRecord | None:
    """A finished job, or None where there is none.

    Raises:
        DataError: the file is damaged or another job's.
    """
    path = out / key.file
    if not path.is_file():
        return None
    try:
        told = read_json(path)
        if told["format"] != JOB_FORMAT or told["version"] != VERSION:
            raise ValueError(f"format {told['format']!r} version {told['version']!r}")
        own = JobKey(told["variant"], told["seed"], told.get("fold"))
        if own != key:
            fold = "" if own.fold is None else f", fold {own.fold}"
            raise ValueError(f"it is of variant {own.variant}, seed {own.seed}{fold}")
        return JobRecord(
            key,
            recorded(told["config"], path),
            str(told["trained_on"]),
            str(told["scored_on"]),
            numbers(told["scores"]),
            float(told["seconds"]),
            dict(told["machine"]),
            {str(read): numbers(found) for read, found in told.get("reads", {}).items()},
        )
    except PluginError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged or no job of a study ({error!r}); delete it to run it again"
        ) from error


def numbers(told: Mapping[str, Any]) -> Scores:
    """Scores of JSON."""
    return {str(key): float(value) for key, value in told.items()}


def finished_jobs(out: Path) -> list[JobKey]:
    """Every job that has a file, ordered by variant, fold and seed."""
    keys = []
    for path in (out / JOBS).rglob("seed-*.json"):
        named = JOB_NAME.fullmatch(path.relative_to(out / JOBS).as_posix())
        if named is not None:
            variant, fold, seed = named.groups()
            keys.append(JobKey(variant, int(seed), None if fold is None else int(fold)))
    return sorted(keys, key=lambda k: (k.variant, -1 if k.fold is None else k.fold, k.seed))


def unfinished_jobs(out: Path, identity: Identity) -> list[JobKey]:
    """The jobs that a study asks for and that have no file yet."""
    done = set(finished_jobs(out))
    return [key for key in identity.jobs if key not in done]


def read_identity(out: Path) -> Identity:
    """What the study in a folder is.

    Raises:
        DataError: no study there, or a damaged one.
    """
    path = out / STUDY
    try:
        told = read_json(path)
        if told["format"] != FORMAT or told["version"] != VERSION:
            raise ValueError(f"format {told['format']!r} version {told['version']!r}")
        refuse_missing(recorded_plugins(told), str(path))
        study, base = Study.model_validate(told["study"]), recorded(told["base"], path)
        unlike = str(told.get("without_paper", "run the study again to compare the data with its"))
        folds = tuple(int(fold) for fold in told.get("folds", ()))
        seeds = told.get("seeds", 1 + max((key.seed for key in finished_jobs(out)), default=0))
        return Identity(study, base, str(told["scorer"]), unlike, int(seeds), folds)
    except FileNotFoundError as error:
        raise DataError(f"{out} holds no study (no {STUDY}); `cmg study run` makes one") from error
    except PluginError:
        raise
    except (OSError, ValidationError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def plugins_of(identity: Identity) -> set[str]:
    """The plugins of a study's base and of all variants that fit it."""
    found = set(identity.base.plugins)
    for variant in identity.study.rows():
        with suppress(ConfigError):
            found |= set(identity.config_of(variant.name).plugins)
    return found


def identity_as_dict(identity: Identity) -> dict[str, Any]:
    """The part of ``study.json`` that is there from the start."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "study": identity.study.model_dump(mode="json"),
        "base": identity.base.model_dump(mode="json"),
        "scorer": identity.scorer,
        "without_paper": identity.unlike,
        "seeds": identity.seeds,
        "folds": list(identity.folds),
        "plugins": sorted(plugins_of(identity)),
    }


def open_folder(out: Path, identity: Identity) -> Identity:
    """Make a study's folder, or check that the one that is there is of the same study.

    Returns:
        The study with all that either asks for, and with what was chosen here or before.

    Raises:
        ConfigError: another study, another configuration, or a folder of something else.
        DataError: it is damaged or cannot be written.
    """
    if (out / STUDY).is_file():
        before = read_identity(out)
        if finished_jobs(out):
            refuse_other(out, before, identity)
            identity = identity.with_more(before)
        if before == identity:
            return identity
    elif out.exists() and (not out.is_dir() or any(p.name != CHOICE for p in out.iterdir())):
        raise ConfigError(
            f"{out} exists, is not empty and holds no study (no {STUDY}); choose another --out"
        )
    replace_file(out / STUDY, json.dumps(identity_as_dict(identity), indent=1).encode())
    return identity


def refuse_other(
    out: Path,
    before: Identity,
    now: Identity,
    remedy: str = "run it with the same arguments, or choose another --out",
    told: str = "now",
) -> None:
    """Refuse to go on with jobs that were run as something else.

    Args:
        out: Folder of the jobs.
        before: What they are.
        now: What they should be.
        remedy: What to do.
        told: Before the values that they should have.

    Raises:
        ConfigError: names what differs.
    """
    if before.study.beside(now.study) != now.study.beside(before.study):
        other = before.study.name
        same = "an earlier form of the study" if other == now.study.name else f"the study {other}"
        raise ConfigError(f"{out} holds jobs of {same}; {remedy}")
    if before.scorer != now.scorer:
        raise ConfigError(
            f"{out} holds jobs that were scored by {before.scorer}, {told} it would be "
            f"{now.scorer}; {remedy}"
        )
    if bool(before.folds) != bool(now.folds):
        has, wants = ("no folds", "some") if now.folds else ("folds", "none")
        raise ConfigError(f"{out} holds jobs of data with {has}, {told} it has {wants}; {remedy}")
    refuse_other_config(f"{out} holds jobs", before.base, now.base, remedy, told)


def unfinished(
    out: Path, identity: Identity, plan: StudyPlan, scored_on: Mapping[Place, str]
) -> list[JobKey]:
    """The jobs of a plan that have no file yet, seed by seed and fold by fold.

    Args:
        out: Folder of the study.
        identity: Of the study.
        plan: What is wanted.
        scored_on: Content hash of the data each variant of the plan is scored on.

    Raises:
        ConfigError: a finished job, wanted or not, was run with another configuration or on other
            data.
        DataError: a damaged job file.
    """
    places = {at: (data_of(config), at[1]) for at, config in plan.configs.items()}
    trained = {places[at]: found for at, found in plan.hashes.items()}
    scored = {places[at]: found for at, found in scored_on.items()}
    known = {COMPUTED, *(v.name for v in identity.study.rows())}
    done = [key for key in finished_jobs(out) if key.variant in known]
    for key in done:
        path = out / key.file
        record = read_job(out, key)
        if record is None:
            continue
        remedy = f"delete {path} to run it again, or choose another --out"
        config = identity.config(key)  # which says where the data are now
        refuse_other_config(f"{path} was run", record.config, config, remedy)
        where = (data_of(config), key.fold)
        for verb, before, now in (
            ("trained", record.trained_on, trained.get(where)),
            ("scored", record.scored_on, scored.get(where)),
        ):
            refuse_other_data(f"{path} was {verb} on data", before, now)
    variants, folds = (list(dict.fromkeys(part)) for part in zip(*plan.configs, strict=True))
    wanted = planned(identity.study, variants, folds, plan.seeds)
    return [key for key in wanted if key not in done]
