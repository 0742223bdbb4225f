"""Stores of clips whose modalities share a class and a noise, and have factors of their own."""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np

from cmg.data.manifest import FeatureSpec, LabelSpec
from cmg.data.store import open_store
from cmg.data.writer import Clip, StoreWriter
from cmg.types import Kind

SHARED, PRIVATE = 16, 8
"""Widths of what all modalities of a step share, and of what is a modality's own."""


class Drawn(NamedTuple):
    """Features [N, T, *shape] and lengths [N] by modality, and the class of every step [N, T]."""

    features: dict
    lengths: dict
    labels: np.ndarray


def paired_clips(
    modalities,
    clips,
    steps=10,
    classes=8,
    seed=0,
    *,
    draw=0,
    shared_noise=0.2,
    private_strength=0.5,
    lengths=None,
    missing=0.0,
    per="clip",
):
    """Clips of a world that `seed` makes; training and test clips are two draws of it."""
    rng = generator(seed, 0, draw)
    count = clips if per == "clip" else clips * steps
    balanced = rng.permutation(np.arange(count) % classes)
    labels = np.repeat(balanced.reshape(clips, -1), 1 if per == "step" else steps, axis=1)
    shared = generator(seed, 1).standard_normal((classes, SHARED))[labels]
    shared = shared + shared_noise * rng.standard_normal(shared.shape)
    low, high = lengths or (steps, steps)
    reach = rng.integers(low, high + 1, (len(modalities), clips))
    lacks = rng.random(reach.shape) < missing
    lacks[rng.integers(0, len(modalities), clips), np.arange(clips)] = False
    reach = np.where(lacks, 0, reach)
    features = {}
    for modality, own_reach in zip(modalities, reach, strict=True):
        own = generator(seed, 2, draw, key(modality)).standard_normal((clips, steps, PRIVATE))
        values = mixed(modality, seed, shared, private_strength * own)
        values[np.arange(steps) >= own_reach[:, None]] = 0
        features[modality.name] = values.astype(np.float32)
    return Drawn(features, {m.name: n for m, n in zip(modalities, reach, strict=True)}, labels)


def mixed(modality, seed, shared, own):
    """Fixed maps of both parts; over a map's positions the shared one differs by a factor only."""
    rng = generator(seed, 3, key(modality))
    grid = modality.shape[:-1] if modality.kind is Kind.MAPS else ()
    content = shared @ (rng.standard_normal((SHARED, modality.channels)) / np.sqrt(SHARED))
    size = int(np.prod(grid)) * modality.channels
    flat = own @ (rng.standard_normal((PRIVATE, size)) / np.sqrt(PRIVATE))
    detail = flat.reshape(*own.shape[:2], *modality.shape)
    if not grid:
        return content + detail
    return content[:, :, None, None, :] * rng.uniform(0.5, 1.5, grid)[..., None] + detail


def key(modality):
    return zlib.crc32(modality.name.encode())


def generator(*key):
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def paired_store(
    path, modalities, splits, steps=10, classes=8, seed=0, *, per="clip", overwrite=False, **how
):
    """A store of :func:`paired_clips` with the label ``class``, a draw per split."""
    specs = {m.name: FeatureSpec(kind=m.kind, shape=m.shape) for m in modalities}
    label = LabelSpec(classes=tuple(f"class_{k}" for k in range(classes)), per=per)
    notes = f"Synthetic paired features, seed {seed}."
    with StoreWriter(path, specs, {"class": label}, notes=notes, overwrite=overwrite) as writer:
        for draw, (split, count) in enumerate(splits.items()):
            drawn = paired_clips(modalities, count, steps, classes, seed, draw=draw, per=per, **how)
            for i in range(count):
                reach = {m: int(n[i]) for m, n in drawn.lengths.items()}
                labels = drawn.labels[i, : max(reach.values())].tolist()
                features = {m: x[i, : reach[m]] for m, x in drawn.features.items()}
                told = {"class": labels[0] if per == "clip" else labels}
                writer.add(Clip(f"{split}-{i:05d}", split, features, told))
    return open_store(path)
