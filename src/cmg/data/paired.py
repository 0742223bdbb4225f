"""Paired features with known shared and private factors, for tests and benchmarks.

Every step of a clip has a shared latent: the prototype of its class plus noise that is the same
in all modalities. A fixed random map takes it to each modality, and private factors that only
this modality has are added. So it is known what one modality can say about another, and what not.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmg.data.clips import Clips
from cmg.data.manifest import FeatureSpec, LabelSpec
from cmg.data.store import open_store
from cmg.data.writer import Clip, StoreWriter
from cmg.errors import DataError
from cmg.files import StrPath
from cmg.types import Kind, Modality

LABEL = "class"

Per = Literal["clip", "step"]


@dataclass(frozen=True)
class PairedClips:
    """Paired features and the factors they are made of.

    Attributes:
        features: float32 [N, T, *shape] per modality, zero where a step does not exist.
        lengths: int64 [N] per modality, 0 where a clip lacks it.
        labels: int64 [N, T], the class of every step; constant over a clip if drawn per clip.
        shared: float32 [N, T, P], the latent that all modalities share.
        private: float32 [N, T, Q] per modality, the factors that only it has.
    """

    features: dict[str, NDArray[np.float32]]
    lengths: dict[str, NDArray[np.int64]]
    labels: NDArray[np.int64]
    shared: NDArray[np.float32]
    private: dict[str, NDArray[np.float32]]


def paired_clips(
    modalities: Sequence[Modality],
    clips: int,
    steps: int = 10,
    classes: int = 8,
    seed: int = 0,
    *,
    draw: int = 0,
    shared_noise: float = 0.2,
    private_strength: float = 0.5,
    shared_width: int = 16,
    private_width: int = 8,
    lengths: tuple[int, int] | None = None,
    missing: float = 0.0,
    per: Per = "clip",
) -> PairedClips:
    """Draw paired clips.

    Args:
        modalities: Any number, of any kind and shape.
        clips: N.
        steps: T, at least 1.
        classes: Number of classes; every class occurs if N (times T for `per` step) allows it.
        seed: Of the prototypes and maps, which are the same for all draws, and of the samples.
        draw: Number of the sample: training and test clips are two draws of one seed.
        shared_noise: Deviation of the shared latent around its class's prototype, which has unit
            variance.
        private_strength: Deviation of the private part relative to the shared part.
        shared_width: P.
        private_width: Q.
        lengths: Lowest and highest length of a clip, drawn for every modality apart; None says T.
        missing: Probability that a clip lacks a modality; no clip ever lacks all.
        per: Whether a clip has one class or each of its steps has its own.

    Raises:
        DataError: a size, range or probability out of its domain.
    """
    _check_domain(modalities, clips, steps, classes, lengths, missing)
    rng = _generator(seed, 0, draw)
    labels = _labels(rng, clips, steps, classes, per)
    shared = _generator(seed, 1).standard_normal((classes, shared_width))[labels]
    shared = shared + shared_noise * rng.standard_normal(shared.shape)
    have = _lengths(rng, len(modalities), clips, steps, lengths, missing)
    features, private = {}, {}
    for modality, reach in zip(modalities, have, strict=True):
        rng = _generator(seed, 2, draw, _key(modality))
        own = rng.standard_normal((clips, steps, private_width))
        values = _mapped(modality, seed, shared, private_strength * own)
        values[np.arange(steps)[None, :] >= reach[:, None]] = 0
        features[modality.name] = values.astype(np.float32)
        private[modality.name] = own.astype(np.float32)
    return PairedClips(
        features=features,
        lengths={m.name: reach for m, reach in zip(modalities, have, strict=True)},
        labels=labels,
        shared=shared.astype(np.float32),
        private=private,
    )


def paired_store(
    path: StrPath,
    modalities: Sequence[Modality],
    splits: Mapping[str, int],
    steps: int = 10,
    classes: int = 8,
    seed: int = 0,
    *,
    shared_noise: float = 0.2,
    private_strength: float = 0.5,
    lengths: tuple[int, int] | None = None,
    missing: float = 0.0,
    per: Per = "clip",
    overwrite: bool = False,
) -> Clips:
    """Write paired clips as a store with the label ``class``; each split is a draw of one seed.

    Args:
        path: Folder to be.
        modalities: See :func:`paired_clips`, as for all that is not described here.
        splits: Number of clips per split.
        steps: T.
        classes: Number of classes.
        seed: Of everything.
        shared_noise: Deviation of the shared latent.
        private_strength: Deviation of the private part.
        lengths: Lowest and highest length.
        missing: Probability that a clip lacks a modality.
        per: Whether the label is per clip or per step.
        overwrite: Whether a store at `path` may be replaced.

    Raises:
        DataError: a value out of its domain, or `path` is occupied or cannot be written.
    """
    specs = {m.name: FeatureSpec(kind=m.kind, shape=m.shape) for m in modalities}
    names = tuple(f"class_{k}" for k in range(classes))
    notes = f"Synthetic paired features, seed {seed}."
    known = {LABEL: LabelSpec(classes=names or ("none",), per=per)}
    with StoreWriter(path, specs, known, notes=notes, overwrite=overwrite) as writer:
        for draw, (split, count) in enumerate(splits.items()):
            drawn = paired_clips(
                modalities,
                count,
                steps,
                classes,
                seed,
                draw=draw,
                shared_noise=shared_noise,
                private_strength=private_strength,
                lengths=lengths,
                missing=missing,
                per=per,
            )
            for i in range(count):
                writer.add(_clip(drawn, split, i, per))
    return open_store(Path(path))


def _clip(drawn: PairedClips, split: str, i: int, per: Per) -> Clip:
    reach = {m: int(n[i]) for m, n in drawn.lengths.items()}
    labels = drawn.labels[i, : max(reach.values())]
    return Clip(
        id=f"{split}-{i:05d}",
        split=split,
        features={m: x[i, : reach[m]] for m, x in drawn.features.items()},
        labels={LABEL: int(labels[0]) if per == "clip" else labels.tolist()},
    )


def _check_domain(
    modalities: Sequence[Modality],
    clips: int,
    steps: int,
    classes: int,
    lengths: tuple[int, int] | None,
    missing: float,
) -> None:
    if not modalities or min(clips, steps, classes) < 1:
        raise DataError(
            f"paired clips need a modality, and clips {clips}, steps {steps} and classes "
            f"{classes} of at least 1"
        )
    if len({m.name for m in modalities}) < len(modalities):
        raise DataError("paired clips need modalities with distinct names")
    if lengths is not None and not 1 <= lengths[0] <= lengths[1] <= steps:
        raise DataError(f"lengths {lengths} must be a range within 1..{steps} (the steps)")
    if not 0 <= missing < 1:
        raise DataError(f"missing {missing} must be a probability below 1")


def _labels(
    rng: np.random.Generator, clips: int, steps: int, classes: int, per: Per
) -> NDArray[np.int64]:
    count = clips if per == "clip" else clips * steps
    balanced = rng.permutation(np.arange(count) % classes)
    if per == "step":
        return balanced.reshape(clips, steps)
    return np.repeat(balanced[:, None], steps, axis=1)


def _lengths(
    rng: np.random.Generator,
    modalities: int,
    clips: int,
    steps: int,
    lengths: tuple[int, int] | None,
    missing: float,
) -> NDArray[np.int64]:
    low, high = lengths or (steps, steps)
    reach = rng.integers(low, high + 1, (modalities, clips))
    lacks = rng.random((modalities, clips)) < missing
    keep = rng.integers(0, modalities, clips)
    lacks[keep, np.arange(clips)] = False
    return np.where(lacks, 0, reach)


def _mapped(
    modality: Modality,
    seed: int,
    shared: NDArray[np.float64],
    private: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Features [N, T, *shape], about unit variance from the shared part.

    On a map, the shared part has the same channels at every position, weighted by a fixed
    positive profile, and the private part differs from position to position: an average over
    space keeps what is shared.
    """
    rng = _generator(seed, 3, _key(modality))
    grid = modality.shape[:-1] if modality.kind is Kind.MAPS else ()
    width, own = shared.shape[-1], private.shape[-1]
    channels = modality.channels
    content: NDArray[np.float64] = shared @ (
        rng.standard_normal((width, channels)) / np.sqrt(width)
    )
    flat = private @ (rng.standard_normal((own, int(np.prod(grid)) * channels)) / np.sqrt(own))
    detail: NDArray[np.float64] = flat.reshape(*private.shape[:2], *modality.shape)
    if not grid:
        return content + detail
    profile = rng.uniform(0.5, 1.5, grid)[..., None]
    return content[:, :, None, None, :] * profile + detail


def _key(modality: Modality) -> int:
    return zlib.crc32(modality.name.encode())


def _generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
