"""Pre-training from a configuration: data, state, data-driven start, loop."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from cmg.clips import training_clips, training_part
from cmg.codebook.measures import CodeUsage, collapse
from cmg.config.load import collapse_remedies, load_config
from cmg.config.schema import ModelSection, RunConfig, refuse_unfit_parts
from cmg.data.batches import Batches
from cmg.data.clips import Clips
from cmg.data.options import DataOptions
from cmg.data.pairs import check_pairs
from cmg.errors import ConfigError, ModalityError, did_you_mean
from cmg.files import StrPath, as_path, bytes_below, need_space
from cmg.interop.export import OfficialCheckpoints, keeps_official
from cmg.locks import until_failure
from cmg.masking import existing_steps
from cmg.models.unified import UnifiedModel
from cmg.notebooks import Showing, shown_line
from cmg.process import thread_count, torch_defaults
from cmg.runs.checkpoint import FOLDER as CHECKPOINTS
from cmg.runs.checkpoint import Position
from cmg.runs.folder import RUN, create_run, read_config, read_facts, settled
from cmg.runs.loop import Pretraining, StepLine, StepObserver
from cmg.runs.resuming import refuse_converted, resume_from
from cmg.training.compiling import compile_parts
from cmg.training.ranks import Ranks, choose_device
from cmg.training.seeding import step_generator
from cmg.training.state import TrainingState
from cmg.types import Modality

SPACE = (
    "free space, choose another --out, or keep fewer checkpoints: training.keep_checkpoints=2. "
    "Nothing was written"
)
"""The remedy where a run's checkpoints do not fit."""


@torch_defaults()
def pretrain(
    config: RunConfig | StrPath,
    run: StrPath | None = None,
    resume: bool = False,
    observers: list[StepObserver] | None = None,
    progress: Showing = None,
) -> Pretraining:
    """Train a unified model on unlabeled pairs; a warning says where the codebook collapsed.

    Args:
        config: The whole configuration, or a named run or YAML file that has it.
        run: Run folder; None keeps nothing on disk.
        resume: Continue the run in `run` from its newest checkpoint; `config` must be the run's,
            but for `training.epochs`, which may be more than the run has trained, and for
            `training.keep_checkpoints`, where the run's own holds.
        observers: Told of every step.
        progress: Whether a line tells how far it is; None does in notebooks alone.

    Returns:
        The finished run.

    Raises:
        CmgError: whatever is wrong with configuration, data, checkpoint or training, by its type.
    """
    training = trained(config, run, resume, observers, progress)
    for remark in collapsed(training):
        warnings.warn(remark, stacklevel=3)  # of the caller, beyond the decorator
    return training


def trained(
    config: RunConfig | StrPath,
    run: StrPath | None = None,
    resume: bool = False,
    observers: list[StepObserver] | None = None,
    progress: Showing = False,
) -> Pretraining:
    """:func:`pretrain` for those who evaluate the model themselves, which says more."""
    training = prepare(config, run, resume)
    training.observers.extend(observers or [])
    with shown_line("pretrain", progress) as tell:
        if tell is not None:
            training.observers.append(StepLine(tell, training.steps_in_all))
        training.train()
    return training


def collapsed(training: Pretraining) -> list[str]:
    """What to say of the codebook at the end of a run, of the clips of :func:`first_features`."""
    usage = first_usage(training.state.model, training.batches)
    return collapse(usage, collapse_remedies(training.config))


def prepare(
    config: RunConfig | StrPath,
    run: StrPath | None = None,
    resume: bool = False,
    official_checkpoints: bool = False,
    ranks: Ranks | None = None,
) -> Pretraining:
    """Everything up to the first step; see :func:`pretrain`.

    With `official_checkpoints`, every epoch is also written as a file of the authors' release; a
    resumed run that did so before goes on doing so.

    With `ranks`, every rank calls this: they meet, and go on only if all of them can. After a
    restart by the launcher, the launch's own run is resumed.
    """
    run = None if run is None else as_path(run, "a run folder")
    config = config if isinstance(config, RunConfig) else load_config(config)
    refuse_unfit_parts(config, ranks is not None)
    device = choose_device(config.training.device, ranks)
    with thread_count(config.training.threads):
        if ranks is None:
            return prepare_alone(config, run, resume, official_checkpoints, device, None)
        if ranks.restart and run is not None:
            resume = resume or launched_by(run, ranks.launch)
        ranks.join(device)
        return ranks.together(
            lambda: prepare_alone(config, run, resume, official_checkpoints, device, ranks)
        )


def prepare_alone(
    config: RunConfig,
    run: Path | None,
    resume: bool,
    official_checkpoints: bool,
    device: torch.device,
    ranks: Ranks | None,
) -> Pretraining:
    """:func:`prepare` of one rank."""
    if resume:
        refuse_converted(run)
    options = config.training
    store = training_clips(config.data)
    config = settled(config)
    modalities = chosen_modalities(store, config)
    batches = training_batches(store, config.data, options.seed, modalities, ranks)
    refuse_more_steps(batches, options.private_steps)
    writes = ranks is None or ranks.first
    if not resume:
        for remark in check_pairs(batches.split, batches.modalities):
            if writes:
                warnings.warn(remark, stacklevel=2)
    state = TrainingState(
        modalities,
        config.model,
        config.objectives,
        config.optimizer,
        options.precision,
        options.seed,
        device,
        options.recompute_maps,
    )
    state.learns, state.passes = not options.codebook_only, options.passes
    refused = compile_parts(state.model) if options.compile else None
    if refused is not None:
        remark = (
            f"training.compile: goes on without, as torch.compile does not work here: {refused}"
        )
        warnings.warn(remark, stacklevel=2)
    training = Pretraining(
        config,
        state,
        batches,
        run if writes else None,
        store.content_hash,
        Position(0, 0),
        observers=[],
        ranks=ranks,
    )
    if run is not None and writes and (official_checkpoints or (resume and keeps_official(run))):
        training.keepers.append(OfficialCheckpoints(run, modalities, config))
    if run is None:
        start_codebook(training)
        return training
    if resume:
        read_config(run)  # no lock where there is no run
    else:
        start_codebook(training)
    if writes:
        need_space(run, training.expected_bytes - bytes_below(run / CHECKPOINTS), SPACE)
    with until_failure(run if writes else None) as training.lock:
        if resume and not resume_from(training, run):
            start_codebook(training)
        elif writes and not resume:
            create_run(run, config, run_facts(store, config, modalities) | launch_facts(ranks))
    return training


def launch_facts(ranks: Ranks | None) -> dict[str, Any]:
    """What ``run.json`` records of the processes."""
    return {} if ranks is None else {"ranks": ranks.size, "launch": ranks.launch}


def launched_by(run: Path, launch: str) -> bool:
    """Whether the run at `run` was started by this very launch."""
    return (run / RUN).is_file() and read_facts(run).get("launch") == launch


def chosen_modalities(store: Clips, config: RunConfig) -> list[Modality]:
    """The store's modalities that the run uses, with the widths the model section gives them.

    A width of a modality that the store lacks has no effect, as where a named run meets data of
    one's own; a warning says so.

    Raises:
        ModalityError: the store lacks a configured modality, or a width's name is misspelled.
    """
    names = config.data.modalities or list(store.modalities)
    model: ModelSection = config.model
    for name in names:
        if name not in store.modalities:
            raise ModalityError(f"data.modalities: {absent_modality(name, store)}")
    for key in ("detail_width", "token_hidden"):
        for name in getattr(model, key).keys() - store.modalities.keys():
            told = absent_modality(name, store)
            if difflib.get_close_matches(name, store.modalities):
                raise ModalityError(f"model.{key}: {told}")
            warnings.warn(f"model.{key}.{name} has no effect: {told}", stacklevel=2)
    return [
        store.modalities[name].model_copy(
            update={
                "detail_width": model.detail_width.get(name, 256),
                "token_hidden": model.token_hidden.get(name, 128),
            }
        )
        for name in names
    ]


def absent_modality(name: str, store: Clips) -> str:
    """What is said of a configured modality that a store lacks."""
    told = f"store {store.path} has no modality {name!r}{did_you_mean(name, store.modalities)}"
    misspelt = difflib.get_close_matches(name, store.modalities) or not store.notes
    return told if misspelt else f"{told}; what the store says of itself: {store.notes}"


def training_batches(
    store: Clips,
    data: DataOptions,
    seed: int,
    modalities: list[Modality],
    ranks: Ranks | None = None,
) -> Batches:
    """The training split's batches; shuffled pairs where the control asks for them."""
    return Batches(
        training_part(store, data),
        data.batch_size,
        [m.name for m in modalities],
        seed=seed,
        shuffled_pairs=data.shuffled_pairs,
        rank=0 if ranks is None else ranks.rank,
        world=1 if ranks is None else ranks.size,
    )


def refuse_more_steps(batches: Batches, private_steps: int | None) -> None:
    """Refuse more steps for the private path than any clip has, which would silently be all.

    Raises:
        ConfigError: naming the longest clip's.
    """
    if private_steps is None:
        return
    split, names = batches.split, batches.modalities
    longest = max(int(split.lengths_of(m, x).max()) for x in split.parts() for m in names)
    if private_steps > longest:
        raise ConfigError(
            f"training.private_steps={private_steps} is more than the {longest} steps of the "
            f"longest clip of split {split.name!r} of {split.path}; give fewer, or "
            "null for all steps"
        )


@torch.no_grad()
def start_codebook(training: Pretraining) -> None:
    """Place the codes on the untrained encoders' :func:`first_features`, if so configured."""
    model = training.state.model
    if not model.codebook.starts_on_data:
        return
    generator = step_generator(training.config.training.seed, "codebook start")
    model.codebook.start_from(list(first_features(model, training.batches)), generator)


@torch.no_grad()
def first_features(model: UnifiedModel, batches: Batches) -> Iterator[dict[str, torch.Tensor]]:
    """Features [n, D] by modality of the steps that exist, batch by batch.

    As many batches are read as hold 20 tokens per code, at most one epoch.
    """
    batches, tokens = batches.of_all_ranks(), 0
    for index in range(len(batches)):
        batch = batches.at(0, index).to(model.device, model.dtype)
        found = {}
        for m, z in model.semantics(batch).items():
            found[m] = existing_steps(z, batch.steps.mask(m))
        yield found
        tokens += sum(len(z) for z in found.values())
        if tokens >= 20 * model.size:
            return


@torch.no_grad()
def first_usage(model: UnifiedModel, batches: Batches) -> CodeUsage:
    """How the clips of :func:`first_features` use the codebook, without dropout."""
    trains = model.training
    model.eval()
    found: dict[str, list[torch.Tensor]] = {m: [] for m in batches.modalities}
    for features in first_features(model, batches):
        for m, z in features.items() if model.size else ():
            if len(z):
                indices = model.codebook.lookup({m: z}).indices[m]
                found[m].append(indices.cpu())
    model.train(trains)
    joined = {m: torch.cat(parts)[:, None] for m, parts in found.items() if parts}
    return CodeUsage.of(joined, model.size, dict.fromkeys(joined))


def run_facts(store: Clips, config: RunConfig, modalities: list[Modality]) -> dict[str, Any]:
    """What ``run.json`` records of a run's data."""
    return {
        "seed": config.training.seed,
        "store": config.data.store,
        "data_hash": store.content_hash,
        "modalities": [m.model_dump(mode="json") for m in modalities],
        "extractors": {m.name: store.extractors.get(m.name) for m in modalities},
        "step_seconds": {m.name: store.native_seconds.get(m.name) for m in modalities},
        "grid": store.about.grid,
    }
