"""The folder of a study: what it is, and a file per finished job.

The layout::

    OUT/
        study.json                   what is compared, then the results
        jobs/<variant>/seed-<n>.json  one finished job: configuration, data, scores
        runs/<variant>/seed-<n>/      its run folder, if runs are kept
        table.md  plot.svg  report.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cmg.config.load import override_config
from cmg.config.plugins import recorded, recorded_plugins
from cmg.config.schema import RunConfig
from cmg.errors import ConfigError, DataError
from cmg.files import read_json, replace_file
from cmg.registry import PluginError, refuse_missing
from cmg.studies.definition import Study
from cmg.studies.plan import SEED, StudyPlan, changed_keys, variant_config
from cmg.studies.scorers import Scores

STUDY, JOBS, RUNS = "study.json", "jobs", "runs"
FORMAT, JOB_FORMAT = "cmg-study", "cmg-study-job"
VERSION = 1


@dataclass(frozen=True)
class JobKey:
    """A variant with a seed."""

    variant: str
    seed: int

    @property
    def file(self) -> str:
        """Below the study's folder."""
        return f"{JOBS}/{self.variant}/seed-{self.seed}.json"

    @property
    def run(self) -> str:
        """Below the study's folder."""
        return f"{RUNS}/{self.variant}/seed-{self.seed}"


@dataclass(frozen=True)
class Identity:
    """What all jobs of a folder must share.

    Attributes:
        study: What is compared.
        base: Configuration that the variants change.
        scorer: What is measured.
        unlike: Why the paper's figures do not stand beside its own; empty where they do.
    """

    study: Study
    base: RunConfig
    scorer: str
    unlike: str = field(default="", compare=False)

    def config_of(self, variant: str) -> RunConfig:
        """The configuration of a variant, seed 0."""
        return variant_config(self.base, next(v for v in self.study.rows() if v.name == variant))

    def config(self, key: JobKey) -> RunConfig:
        """The configuration of one job."""
        return override_config(self.config_of(key.variant), changes={SEED: key.seed})


@dataclass(frozen=True)
class JobRecord:
    """One job; what is found, once it is finished.

    Attributes:
        key: Variant and seed.
        config: What was trained.
        trained_on: Content hash.
        scored_on: Content hash.
        scores: What was found.
        seconds: Wall time of training and scoring.
        machine: Versions and machine.
    """

    key: JobKey
    config: RunConfig
    trained_on: str
    scored_on: str
    scores: Scores = field(default_factory=dict)
    seconds: float = 0.0
    machine: Mapping[str, Any] = field(default_factory=dict)

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
            "trained_on": self.trained_on,
            "scored_on": self.scored_on,
            "scores": self.scores,
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
        if (told["variant"], told["seed"]) != (key.variant, key.seed):
            raise ValueError(f"it is of variant {told['variant']}, seed {told['seed']}")
        return JobRecord(
            key,
            recorded(told["config"], path),
            str(told["trained_on"]),
            str(told["scored_on"]),
            {str(k): float(v) for k, v in told["scores"].items()},
            float(told["seconds"]),
            dict(told["machine"]),
        )
    except PluginError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is damaged or no job of a study ({error!r}); delete it to run it again"
        ) from error


def finished_jobs(out: Path) -> list[JobKey]:
    """Every job that has a file, ordered by variant and seed."""
    keys = []
    for path in (out / JOBS).glob("*/seed-*.json"):
        seed = path.stem.removeprefix("seed-")
        if seed.isdecimal():
            keys.append(JobKey(path.parent.name, int(seed)))
    return sorted(keys, key=lambda k: (k.variant, k.seed))


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
        return Identity(study, base, str(told["scorer"]), unlike)
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
        "plugins": sorted(plugins_of(identity)),
    }


def open_folder(out: Path, identity: Identity) -> None:
    """Make a study's folder, or check that the one that is there is of the same study.

    Raises:
        ConfigError: another study, another configuration, or a folder of something else.
        DataError: it is damaged or cannot be written.
    """
    if (out / STUDY).is_file():
        before = read_identity(out)
        if finished_jobs(out):
            refuse_other(out, before, identity)
        if (before, before.unlike) == (identity, identity.unlike):
            return
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f"{out} exists, is not empty and holds no study (no {STUDY}); choose another --out"
        )
    replace_file(out / STUDY, json.dumps(identity_as_dict(identity), indent=1).encode())


def refuse_other(out: Path, before: Identity, now: Identity) -> None:
    """Refuse to go on with jobs that were run as something else.

    Raises:
        ConfigError: names what differs.
    """
    remedy = "run it with the same arguments, or choose another --out"
    if as_before(before.study) != as_before(now.study):
        other = before.study.name
        same = "an earlier form of the study" if other == now.study.name else f"the study {other}"
        raise ConfigError(f"{out} holds jobs of {same}; {remedy}")
    if before.scorer != now.scorer:
        raise ConfigError(
            f"{out} holds jobs that were scored by {before.scorer}, now it would be {now.scorer}; "
            f"{remedy}"
        )
    refuse_other_config(f"{out} holds jobs", before.base, now.base, remedy)


def as_before(study: Study) -> Study:
    """A study without the control that the default ones had not before there was InfoNCE."""
    kept = tuple(control for control in study.controls if not control.infonce)
    return study.model_copy(update={"controls": kept})


def refuse_other_config(what: str, before: RunConfig, now: RunConfig, remedy: str) -> None:
    """Refuse a configuration that differs in more than where the data are and what is kept.

    Raises:
        ConfigError: names the keys with both values.
    """
    found = changed_keys(before, now)
    changes_nothing = {"data.store", "data.lists", "training.keep_checkpoints"}
    found = {key: pair for key, pair in found.items() if key not in changes_nothing}
    if found:
        shown = ", ".join(f"{key} = {a!r} (now {b!r})" for key, (a, b) in list(found.items())[:4])
        more = f" and {len(found) - 4} more" if len(found) > 4 else ""
        raise ConfigError(f"{what} with {shown}{more}; {remedy}")


def unfinished(
    out: Path, identity: Identity, plan: StudyPlan, scored_on: Mapping[str, str]
) -> list[JobKey]:
    """The jobs of a plan that have no file yet, seed by seed.

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
    trained = {plan.configs[name].data.list: found for name, found in plan.hashes.items()}
    scored = {plan.configs[name].data.list: found for name, found in scored_on.items()}
    known = {v.name for v in identity.study.rows()}
    done = [key for key in finished_jobs(out) if key.variant in known]
    for key in done:
        path = out / key.file
        record = read_job(out, key)
        if record is None:
            continue
        remedy = f"delete {path} to run it again, or choose another --out"
        refuse_other_config(f"{path} was run", record.config, identity.config(key), remedy)
        refuse_other_data(path, "trained", record.trained_on, trained.get(record.config.data.list))
        refuse_other_data(path, "scored", record.scored_on, scored.get(record.config.data.list))
    wanted = [JobKey(name, seed) for seed in range(plan.seeds) for name in plan.configs]
    return [key for key in wanted if key not in done]


def refuse_other_data(path: Path, verb: str, before: str, now: str | None) -> None:
    """Refuse data of another content hash than a finished job saw.

    Raises:
        ConfigError: they differ.
    """
    if now is not None and before != now:
        raise ConfigError(
            f"{path} was {verb} on data with content hash {before[:12]}, but --data has "
            f"{now[:12]}; give it the same data, or choose another --out"
        )
