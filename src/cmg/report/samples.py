"""Which codes and clips a report shows, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cmg.codebook.measures import CodeUsage, levels_of
from cmg.evaluation.probe import step_labels
from cmg.report.gather import CodedSplit, evenly
from cmg.types import Kind

CODES, EXAMPLES, CLIPS, LONGEST = 12, 4, 6, 60


@dataclass(frozen=True)
class Place:
    """One step of one modality of a shown clip.

    Attributes:
        modality: Name of the modality.
        clip: Position in the shown split.
        step: Number of the step, from 0.
    """

    modality: str
    clip: int
    step: int


@dataclass(frozen=True)
class CodeCard:
    """What is known of one code.

    Attributes:
        code: Its index; codes of levels are counted on from one level to the next.
        name: How it is called: its index, or level.index.
        frequency: Share of all tokens, 0..1.
        shares: Share of each modality, modalities weighted equally, 0..1.
        counts: Tokens per modality.
        classes: (class name, share of the labeled tokens), the most frequent first.
        basis: What the classes are of: ``steps`` or ``clips``; empty without labels.
        examples: Some of its steps per modality, evenly spaced over the clips.
    """

    code: int
    name: str
    frequency: float
    shares: dict[str, float]
    counts: dict[str, int]
    classes: list[tuple[str, float]]
    basis: str
    examples: dict[str, list[Place]]


@dataclass(frozen=True)
class Timeline:
    """The codes of one clip.

    Attributes:
        clip: Position in the shown split.
        id: Of the clip.
        label: "digit: seven" where the clip has a label.
        codes: Codes per modality, -1 where a step does not exist; cut to `LONGEST` steps.
        events: Class name of every step of the modalities with a time axis, "" where unlabeled.
        whole: Steps of the longest modality before cutting.
    """

    clip: int
    id: str
    label: str
    codes: dict[str, list[int]]
    events: list[str]
    whole: int


def code_name(usage: CodeUsage, code: int) -> str:
    """How a code is called: its index, or level.index where there are levels."""
    level, own = divmod(code, usage.size)
    return str(code) if usage.levels == 1 else f"{level + 1}.{own}"


def by_frequency(usage: CodeUsage) -> list[int]:
    """All codes, the most frequent first."""
    pooled = usage.counts.sum(0).tolist()
    return sorted(range(len(pooled)), key=lambda k: (-pooled[k], k))


def code_groups(usage: CodeUsage) -> dict[tuple[str, ...], list[int]]:
    """Every code once, by the modalities that give at least 5 %; none where it is hardly used.

    The groups that most modalities share are first, and of each the most frequent codes.
    """
    names, used = usage.modalities, usage.used().tolist()
    gives = (usage.shares >= 0.05).T.tolist()
    found: dict[tuple[str, ...], list[int]] = {}
    for code in by_frequency(usage):
        key = tuple(m for m, there in zip(names, gives[code], strict=True) if there and used[code])
        found.setdefault(key, []).append(code)
    order = sorted(found, key=lambda key: (-len(key), [names.index(m) for m in key]))
    return {key: found[key] for key in order}


def most_used(data: CodedSplit, wanted: int = CODES) -> list[CodeCard]:
    """Cards of the most used codes, the most frequent first."""
    pooled = data.usage.counts.sum(0)
    codes = by_frequency(data.usage)[:wanted]
    return [code_card(data, code) for code in codes if pooled[code] > 0]


def code_card(data: CodedSplit, code: int) -> CodeCard:
    """What is known of one code."""
    counts, shares = data.usage.counts, data.usage.shares
    classes, basis = code_classes(data, code)
    return CodeCard(
        code=code,
        name=code_name(data.usage, code),
        frequency=float(counts[:, code].sum() / counts.sum().clamp_min(1)),
        shares={m: float(shares[i, code]) for i, m in enumerate(data.usage.modalities)},
        counts={m: int(counts[i, code]) for i, m in enumerate(data.usage.modalities)},
        classes=classes,
        basis=basis,
        examples={m: examples(data, m, code) for m in data.modalities},
    )


def examples(data: CodedSplit, modality: str, code: int, wanted: int = EXAMPLES) -> list[Place]:
    """Steps that took a code, of different clips, evenly spaced over the clips."""
    hits = steps_of(data, modality, code)
    clips = hits.any(1).nonzero().flatten().tolist()
    chosen = [clips[i] for i in evenly(len(clips), wanted)]
    return [Place(modality, clip, int(hits[clip].int().argmax())) for clip in chosen]


def steps_of(data: CodedSplit, modality: str, code: int) -> Tensor:
    """Steps that took a code, bool [N, T]."""
    level, own = divmod(code, data.usage.size)
    return list(levels_of(data.encoded[modality].indices))[level] == own


def timed(data: CodedSplit) -> list[str]:
    """Modalities that a label per step speaks of: all but tokens (words are no seconds)."""
    kinds = data.model.modalities
    return [m for m in data.modalities if kinds[m].kind is not Kind.TOKENS]


def classes_of(data: CodedSplit, label: str) -> tuple[str, ...]:
    """The classes of a label of the store; none of one that it has not."""
    spec = data.store.labels.get(label)
    return () if spec is None else spec.classes


def code_classes(data: CodedSplit, code: int) -> tuple[list[tuple[str, float]], str]:
    """Classes of the tokens that took a code: of their steps, or else of their clips."""
    step, clip = data.store.about.first_label("step"), data.store.about.first_label("clip")
    if step is not None:
        found = histogram(data, step, timed(data), code)
        if found:
            return found, "steps"
    if clip is not None:
        return histogram(data, clip, data.modalities, code), "clips"
    return [], ""


def histogram(
    data: CodedSplit, label: str, modalities: list[str], code: int
) -> list[tuple[str, float]]:
    """(class, share) of the labeled tokens of a code, the most frequent first."""
    names = data.store.labels[label].classes
    total = torch.zeros(len(names))
    labels = data.label(label)
    for m in modalities:
        one = data.encoded[m]
        classes: Tensor = step_labels(labels, one)
        if classes.dim() == 1:
            classes = classes[:, None].expand_as(one.mask)
        hits = steps_of(data, m, code) & (classes >= 0)
        total += torch.bincount(classes[hits], minlength=len(names))
    share = (total / total.sum().clamp_min(1)).tolist()
    order = sorted(range(len(names)), key=lambda k: (-share[k], k))
    return [(names[k], share[k]) for k in order if share[k] > 0]


def timelines(data: CodedSplit, wanted: int = CLIPS) -> list[Timeline]:
    """Some clips, evenly spaced over the split; clips with all modalities if there are any.

    None of a model without codes, or with several per step: a cell has room for one.
    """
    if data.usage.levels != 1 or not data.usage.size:
        return []
    present = torch.stack([one.present for one in data.encoded.values()])
    whole = present.all(0).nonzero().flatten().tolist()
    clips = whole or list(range(len(data.split)))
    return [timeline(data, clips[i]) for i in evenly(len(clips), wanted)]


def step_classes(classes: Sequence[str], label: int | list[int]) -> str:
    """The classes of one step; empty where it is unlabeled or of none."""
    several = label if isinstance(label, list) else [label]
    return ", ".join(classes[c] for c in several if c >= 0)


def timeline(data: CodedSplit, clip: int) -> Timeline:
    """The codes of one clip."""
    row = data.split.rows[clip]
    reach = {m: row.lengths.get(m, 0) for m in data.modalities}
    per_clip, per_step = data.store.about.first_label("clip"), data.store.about.first_label("step")
    label, events = "", []
    if per_clip is not None and isinstance(value := row.labels.get(per_clip), int) and value >= 0:
        label = f"{per_clip}: {data.store.labels[per_clip].classes[value]}"
    if per_step is not None and isinstance(told := row.labels.get(per_step), list):
        classes = data.store.labels[per_step].classes
        longest = max((reach[m] for m in timed(data)), default=0)
        events = [step_classes(classes, v) for v in told[: min(longest, LONGEST)]]
    indices = {m: next(iter(levels_of(data.encoded[m].indices))) for m in reach}  # the only level
    codes = {m: x[clip, : min(reach[m], LONGEST)].tolist() for m, x in indices.items()}
    return Timeline(clip, row.id, label, codes, events, max(reach.values()))
