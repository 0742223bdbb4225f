"""With which extractors the features of a run were made, and the same ones loaded again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cmg.clips import configured_clips
from cmg.data.alignment import on_grid
from cmg.data.clips import Clips
from cmg.errors import CmgError, ConfigError, did_you_mean
from cmg.extract.clip import MediaClip
from cmg.extract.extractor import LoadOptions
from cmg.extract.reading import Features, Reader, clip_features
from cmg.extract.registry import card_for, card_of, load_extractor
from cmg.files import StrPath
from cmg.runs.checkpoint import Checkpoint, run_of
from cmg.runs.folder import RUN, read_facts

EXTRACTORS, STEPS = "extractors", "step_seconds"
"""Keys of ``run.json``."""


@dataclass(frozen=True)
class Recorded:
    """What is known of the extractor of a modality.

    Attributes:
        name: As in the registry.
        identity: The first digits of its identity; empty where they are not known.
        step_seconds: Duration of a step; None is the extractor's own.
    """

    name: str
    identity: str = ""
    step_seconds: float | None = None


@dataclass(frozen=True)
class Readers:
    """The extractors that a run's codes are made with.

    Attributes:
        by_modality: In the model's order; only of modalities whose extractor is known.
        remarks: What is different from the run, or left out.
        grid: Duration that the run brought steps to; None where it took them as they are.
    """

    by_modality: Mapping[str, Reader]
    remarks: tuple[str, ...]
    grid: float | None = None

    def read(self, clip: MediaClip) -> tuple[dict[str, Features], dict[str, float | None]]:
        """Features [T, *shape] of a clip as the run had them, and the duration of their steps.

        Raises:
            DataError: the clip cannot be read.
        """
        found = clip_features(clip, self.by_modality)
        durations = {m: self.by_modality[m].extractor.step_seconds for m in found}
        if self.grid is not None:
            for m, seconds in durations.items():
                if seconds is not None and len(found[m]):
                    found[m] = on_grid(found[m], seconds, self.grid)
                    durations[m] = self.grid
        return found, durations


def training_store(checkpoint: Checkpoint) -> Clips | None:
    """What a run was trained on; None where it is not there any more, or has changed."""
    if checkpoint.origin:
        return None
    try:
        store = configured_clips(checkpoint.config.data)
    except CmgError:
        return None
    return store if store.content_hash == checkpoint.data_hash else None


def recorded_extractors(checkpoint: Checkpoint, store: Clips | None = None) -> dict[str, Recorded]:
    """What a run says of the extractors of its modalities; empty where it says nothing.

    Args:
        checkpoint: Of the run.
        store: Its training store, which knows the duration of a step.

    Raises:
        CheckpointError: ``run.json`` is damaged.
    """
    run = run_of(checkpoint.path)
    facts = read_facts(run) if (run / RUN).is_file() else {}
    steps = dict(facts.get(STEPS, {})) or ({} if store is None else store.native_seconds)
    return {m: parsed(told, steps.get(m)) for m, told in facts.get(EXTRACTORS, {}).items() if told}


def parsed(told: str, step_seconds: float | None = None) -> Recorded:
    """From what a store says of an extractor, ``NAME sha256:DIGITS``."""
    digits = re.search(r"sha256:([0-9a-f]+)", told)
    return Recorded(told.split(maxsplit=1)[0], digits[1] if digits else "", step_seconds)


def other_extractors(checkpoint: Checkpoint, store: Clips) -> list[str]:
    """A remark per modality whose features in a store are of another extractor than the run's.

    Raises:
        CheckpointError: ``run.json`` is damaged.
    """
    known = recorded_extractors(checkpoint)
    remarks = []
    for m, told in store.extractors.items():
        own = parsed(told)
        if m in known and (own.name, own.identity) != (known[m].name, known[m].identity):
            remarks.append(
                f"{m}: the run was trained on features of {known[m].name} "
                f"({known[m].identity or 'unknown weights'}), those of {store.path} are of "
                f"{own.name} ({own.identity or 'unknown weights'}): codes may mean something else"
            )
    return remarks


def load_readers(
    checkpoint: Checkpoint,
    store: Clips | None,
    given: Mapping[str, str] | None,
    weights: Mapping[str, StrPath] | None,
    device: str = "cpu",
    only: str | None = None,
) -> Readers:
    """Load the extractors of a run.

    Args:
        checkpoint: Of the run.
        store: What it was trained on, see :func:`training_store`.
        given: Extractors by modality, which come before those that the run knows.
        weights: Files or folders of weights by modality.
        device: Of the networks.
        only: The one modality that is read; None is all.

    Raises:
        ConfigError: an unknown modality or extractor, one that cannot be loaded, one that is not
            the run's though the run knows it, or the run knows none.
    """
    given, weights = given or {}, weights or {}
    recorded = recorded_extractors(checkpoint, store)
    names = [m.name for m in checkpoint.modalities]
    for m in (*given, *weights):
        if m not in names:
            raise ConfigError(f"the run has no modality {m!r}{did_you_mean(m, names)}")
    for m, extractor in given.items():
        card_for(m, extractor)
    readers, remarks = {}, []
    names = names if only is None else [only]
    for m in names:
        known = recorded.get(m)
        name = given.get(m) or (known.name if known else None)
        if name is None:
            remarks.append(f"{m}: the run does not say which extractor made it; left out")
            continue
        step = known.step_seconds if known else None
        file = Path(weights[m]) if m in weights else None
        options = LoadOptions(weights=file, step_seconds=step, device=device)
        reader = Reader(card_of(name).takes, load_extractor(name, options))
        difference = _difference(known, reader)
        if difference and m not in given:
            raise ConfigError(
                f"{m}: {difference}; name the run's weights with --weights {m}=PATH, or take these "
                f"all the same with --extractor {m}={name}"
            )
        remarks += [f"{m}: {difference}, so codes may mean something else"] if difference else []
        readers[m] = reader
    if not readers:
        raise ConfigError(
            f"{checkpoint.path} does not say which extractors made its features; name them, "
            f"e.g. --extractor {names[0]}=NAME (`cmg extractors` shows the names)"
        )
    return Readers(readers, tuple(remarks), grid_of_run(checkpoint))


def grid_of_run(checkpoint: Checkpoint) -> float | None:
    """The duration that a run brought the steps of all modalities to; None where it did not.

    Raises:
        CheckpointError: ``run.json`` is damaged.
    """
    run = run_of(checkpoint.path)
    facts = read_facts(run) if (run / RUN).is_file() else {}
    found: float | None = facts.get("grid")
    return found


def _difference(known: Recorded | None, reader: Reader) -> str:
    """How a loaded extractor differs from the recorded one; empty where it does not."""
    if known is None:
        return ""
    own = reader.extractor
    if own.name == known.name and own.identity.startswith(known.identity):
        return ""
    return (
        f"the run's features are of {known.name} ({known.identity[:12] or 'unknown weights'}), "
        f"these are of {reader.told}"
    )
