"""From a study to the configurations it trains, checked before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cmg.baselines.infonce import infonce_config
from cmg.clips import configured_clips, is_one_store, training_split
from cmg.codebook.quantizer import quantizers
from cmg.config.load import (
    apart_from_method,
    load_config,
    merged,
    override_config,
    read_method,
    set_value,
    validate,
)
from cmg.config.schema import RunConfig
from cmg.config.shorthands import PUBLISHED_RUNS, written_out
from cmg.data.clips import Clips
from cmg.data.embedded import EMBEDDED, is_embedded
from cmg.errors import ConfigError, DataError, ModalityError, did_you_mean
from cmg.evaluation.probe import unseen_classes
from cmg.recipes.pretrain import chosen_modalities, training_batches
from cmg.studies.definition import Study, Variant

SEED, SCORED = "training.seed", "data.test_split"
FOLD = "{fold}"
"""In the name of a store: the number of a fold."""

Place = tuple[str, int | None]
"""A variant on a fold; None where the data have none."""


@dataclass(frozen=True)
class StudyPlan:
    """What a study trains.

    Attributes:
        study: What it is.
        base: Configuration before any variant's changes, seed 0; its store names no fold yet.
        configs: Configuration of every chosen variant on every chosen fold, seed 0.
        seeds: Pre-trainings per variant and fold, seeds 0 .. seeds - 1.
        hashes: Content hash of what each of them trains on.
        clips: Clips that one job of each trains on.
        folds: All of the study, whichever are chosen here; none where seeds are resampled.
    """

    study: Study
    base: RunConfig
    configs: dict[Place, RunConfig]
    seeds: int
    hashes: dict[Place, str]
    clips: dict[Place, int]
    folds: tuple[int, ...] = ()


def plan_study(
    study: Study,
    data: str,
    base: str | None = None,
    assignments: Sequence[str] = (),
    seeds: int = 3,
    only: Sequence[str] | None = None,
    folds: int | None = None,
    only_folds: Sequence[int] | None = None,
    choose: bool = False,
    uneven: bool = False,
) -> StudyPlan:
    """The configurations of a study, every one of them valid and fit for the data.

    Args:
        study: What to compare.
        data: Store, or collection; with folds a name with ``{fold}`` in it, or an embedded set.
        base: Named run or YAML file that the study varies, or ``published``: the published run of
            the study's modalities. None takes that of an embedded set, else ``own-data``, with the
            study's method if it has one.
        assignments: ``key=value`` for all variants, with the short forms of ``cmg pretrain``.
        seeds: Pre-trainings per variant, and per fold.
        only: Names of variants; None takes all.
        folds: How many the data have; None takes those of the study.
        only_folds: Those to run here; None takes all.
        choose: Score on the validation split, and never open the test split.
        uneven: Whether one group may have more tries than another.

    Raises:
        ConfigError: no such variant or fold, a value that does not fit, an assignment that the
            study itself makes, a variant that changes nothing under this base, one whose package
            is not installed, or groups that have not as many tries each.
        ModalityError: a modality the data lack.
        DataError: data that cannot be opened or have too few clips.
    """
    if seeds < 1:
        raise ConfigError(f"--seeds {seeds} must be at least 1")
    if not uneven:
        refuse_uneven(study)
    chosen = chosen_rows(study, only)
    every = study.folds if folds is None else tuple(range(folds))
    here = chosen_folds(every, only_folds)
    split = "val" if choose else study.split
    started = base_config(study, named_by(data, every), base, assignments, split)
    reads = {
        v.name: [variant_config(started, row, study.keeps) for row in v.rows()] for v in chosen
    }
    variants = {name: configs[0] for name, configs in reads.items()}
    refuse_idle(study, started, chosen, variants)
    for config in variants.values():
        quantizers[config.model.codebook.kind].part.need_package()
    refuse_other_split(split, {"base": started} | variants)
    configs = {(n, fold): at_fold(c, fold) for fold in here for n, c in variants.items()}
    hashes, clips = {}, {}
    sources: dict[tuple[str | None, ...], Clips] = {}
    for where, config in configs.items():
        names = (config.data.store, config.data.list, config.data.lists)
        if names not in sources:
            sources[names] = opened(study, config)
            if every:
                refuse_unseen(sources[names], config)
        hashes[where] = sources[names].content_hash
        clips[where] = clips_of(sources[names], config)
    return StudyPlan(study, started, configs, seeds, hashes, clips, every)


def named_by(data: str, folds: tuple[int, ...]) -> str:
    """The name of the data, with the place of a fold's number in it where there are folds.

    Raises:
        ConfigError: a place without folds, folds of a folder whose name has no place for them, or
            more folds than an embedded set has.
    """
    if not folds and FOLD in data:
        raise ConfigError(f"{data} has a place for folds; say how many with --folds")
    if not folds or FOLD in data:
        return data
    if os.path.exists(data) or os.path.basename(data) != data:
        raise ConfigError(
            f"{data} is a single folder; with folds, give an embedded set, or folders by a name "
            f"with {FOLD} in it, e.g. {os.path.join(data, f'fold-{FOLD}')}"
        )
    known = EMBEDDED.get(data)
    if known is not None and len(folds) > known.folds:
        raise ConfigError(f"--folds {len(folds)}: {known.addresses}")
    return f"{data}:{FOLD}"


def at_fold(config: RunConfig, fold: int | None) -> RunConfig:
    """A configuration on one fold of its data."""
    if fold is None:
        return config
    own = config.data.model_copy(update={"store": config.data.store.replace(FOLD, str(fold))})
    return config.model_copy(update={"data": own})


def chosen_folds(every: tuple[int, ...], only: Sequence[int] | None) -> tuple[int | None, ...]:
    """The folds to run; None for data without folds.

    Raises:
        ConfigError: no such fold.
    """
    wrong = sorted(set(only or ()) - set(every))
    if wrong and not every:
        raise ConfigError("--only-folds is for a study with folds; say how many with --folds")
    if wrong:
        known = ", ".join(map(str, every))
        raise ConfigError(f"--only-folds {wrong[0]}: there is no such fold; the study has {known}")
    return tuple(f for f in every if only is None or f in only) or (None,)


def refuse_uneven(study: Study) -> None:
    """Refuse a choice in which one group has more tries than another.

    Raises:
        ConfigError: says how many each has.
    """
    tries = study.tries()
    if len({len(names) for names in tries.values()}) > 1:
        told = ", ".join(f"{group} has {len(names)}" for group, names in tries.items())
        raise ConfigError(
            f"{study.name}: the best of more tries is better by chance alone, but {told}; give "
            "each group as many, or take --uneven"
        )


def refuse_unseen(source: Clips, config: RunConfig) -> None:
    """Refuse a fold with a class that heads are asked for and have no clip to learn from.

    Raises:
        DataError: names the store, and what it lacks.
    """
    for name in (n for n, spec in source.labels.items() if spec.per == "clip"):
        train, scored = training_split(config.data), config.data.test_split
        known, asked = source.split(train).label(name), source.split(scored).label(name)
        said = unseen_classes(known, asked, source.labels[name].classes)
        if said is not None:
            raise DataError(
                f"{config.data.store}, label {name!r}: {said}; divide the clips so that {train} "
                f"has every class of {scored}"
            )


def refuse_other_split(split: str, configs: Mapping[str, RunConfig]) -> None:
    """Refuse, where something is chosen, a variant that is scored on something else.

    Raises:
        ConfigError: names it.
    """
    for name, config in configs.items():
        if split == "val" and config.data.test_split != split:
            raise ConfigError(
                f"{name} has {SCORED}={config.data.test_split}, but a choice is scored on {split} "
                "alone; leave it out"
            )


def chosen_rows(study: Study, only: Sequence[str] | None) -> list[Variant]:
    """The variants and controls of a study that are asked for, in the study's order.

    Raises:
        ConfigError: no such variant.
    """
    rows = study.rows()
    known = [v.name for v in rows]
    for name in only or ():
        if name in study.unfit:
            raise ConfigError(f"{name} does not fit the data: {study.unfit[name]}")
        if name not in known:
            raise ConfigError(f"{study.name} has no variant {name!r}{did_you_mean(name, known)}")
    return [v for v in rows if only is None or v.name in only]


def base_config(
    study: Study, data: str, base: str | None, assignments: Sequence[str], split: str = "test"
) -> RunConfig:
    """The configuration that a study varies; see :func:`plan_study`.

    Seed 0, one thread and no TensorBoard, so that a job's numbers depend on nothing but its
    configuration and data.
    """
    for assignment in assignments:
        refuse_own_key(study, assignment.partition("=")[0])
    name, overrides = written_out([*base_name(study, data, base, assignments), *assignments])
    named = {o.partition("=")[0] for o in overrides}
    own = {key: value for key, value in study.base.items() if key not in named}
    own |= {SCORED: split} if split == "val" else {}
    config = load_config(name, overrides, {"data.store": data} | own)
    late = {k: v for k, v in study.where_off.items() if value_of(config, k) is None}
    late |= {} if config.training.threads else {"training.threads": 1}
    return override_config(config, changes=late | {SEED: 0, "training.tensorboard": False})


def base_name(study: Study, data: str, base: str | None, assignments: Sequence[str]) -> list[str]:
    """The arguments of ``cmg pretrain`` that name a study's base."""
    if base is None:
        own = data.partition(":")[0] if is_embedded(data) else "own-data"
        asked = any(a.startswith("method=") for a in assignments)
        return [own] if asked or study.method is None else [own, f"method={study.method}"]
    if base != "published":
        return [base]
    wanted = study.base.get("data.modalities")
    if wanted is None or any(a.startswith("modalities=") for a in assignments):
        return ["recipe=published"]
    initials = "".join(str(name)[0] for name in wanted)
    return ["recipe=published", *([f"modalities={initials}"] if initials in PUBLISHED_RUNS else [])]


def refuse_own_key(study: Study, key: str) -> None:
    """Refuse an assignment that no job of the study would see.

    Raises:
        ConfigError: the seed, or a key that every variant sets.
    """
    if key in {"data", "data.store"}:
        raise ConfigError(f"give the data with --data rather than {key}=")
    if key == SEED:
        raise ConfigError(f"{SEED} counts up from 0 in a study; say how many with --seeds")
    full = {"list": "data.list", "modalities": "data.modalities"}.get(key, key)
    varied = [v for v in study.variants if full in v.changes]
    if len(varied) == len(study.variants):
        raise ConfigError(f"{full} is what {study.name} varies; leave {key}= out")


def value_of(config: RunConfig, key: str) -> Any:
    """The value of a dotted key."""
    node: Any = config.model_dump(mode="json")
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def variant_config(base: RunConfig, variant: Variant, keeps: Sequence[str] = ()) -> RunConfig:
    """A base with a variant's changes.

    Args:
        base: Of the study.
        variant: What is changed.
        keeps: Keys that a variant with a method of its own takes from the base all the same.

    Raises:
        ConfigError: an unknown key, or a value that does not fit.
    """
    tree = base.model_dump(mode="json")
    if variant.method is not None:
        tree = merged(apart_from_method(tree), read_method(variant.method)[1])
        for key in keeps:
            set_value(tree, key, value_of(base, key))
    for key, factor in variant.scales.items():
        value = value_of(base, key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ConfigError(f"variant {variant.name}: {key} = {value!r} cannot be multiplied")
        scaled = value * factor
        set_value(tree, key, scaled)
    for key, value in variant.changes.items():
        set_value(tree, key, value)
    found = validate(tree, f"variant {variant.name}")
    without_codes = variant.method is not None and found.model.codebook.kind == "none"
    if without_codes and found.probe.features == "posterior":
        found = override_config(found, changes={"probe.features": "codes"})  # the features, then
    return infonce_config(found) if variant.infonce else found


def refuse_idle(
    study: Study, base: RunConfig, chosen: Sequence[Variant], configs: Mapping[str, RunConfig]
) -> None:
    """Refuse variants that are the reference under another name.

    Raises:
        ConfigError: names them, and the variants that are left.
    """
    reference = variant_config(base, study.variant(study.reference).rows()[0], study.keeps)
    idle = [v.name for v in chosen if v.name != study.reference and configs[v.name] == reference]
    if not idle:
        return
    left = ",".join(v.name for v in chosen if v.name not in idle)
    keys = {key for v in chosen if v.name in idle for key in (*v.changes, *v.scales)}
    keys |= {"InfoNCE without codes" for v in chosen if v.name in idle and v.infonce}
    keys |= {f"method {v.method}" for v in chosen if v.name in idle and v.method}
    raise ConfigError(
        f"{study.name}: {', '.join(idle)} would be the same as {study.reference}: the base "
        f"already has {', '.join(sorted(keys))} so. Change the base, or take --only {left}"
    )


def opened(study: Study, config: RunConfig) -> Clips:
    """What a configuration trains on.

    Raises:
        CmgError: see :func:`plan_study`.
    """
    if study.needs == "collection" and is_one_store(config.data.store):
        raise ConfigError(
            f"{study.name} trains on lists of a collection, but {config.data.store} is a single "
            "store; give a folder in the official layout, or a collection imported from one"
        )
    return configured_clips(config.data)


def clips_of(source: Clips, config: RunConfig) -> int:
    """Number of clips that a job trains on; refuses what does not fit the data.

    Raises:
        CmgError: see :func:`plan_study`.
    """
    try:
        modalities = chosen_modalities(source, config)
    except ModalityError as error:
        names = ",".join(source.modalities)
        raise ModalityError(f"{error}. Say which to use, e.g. modalities={names}") from error
    batches = training_batches(source, config.data, 0, modalities)
    return batches.count * config.training.epochs
