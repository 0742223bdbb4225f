"""Building a fold of the embedded set **emoji**: drawings, names and keywords, paired by concept.

A clip is a concept. Its steps of a drawing are ten views of it, its steps of a language are its
name and its keywords. Which concepts are for testing is drawn anew for every fold, and whatever
is computed over concepts is computed over those for training.

Shape legend: N concepts, C channels, T views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cmg.data.clips import Clips
from cmg.data.embedded import EMBEDDED, EmbeddedSet
from cmg.data.emoji.archive import Emoji, EmojiWords, load_drawings, load_words
from cmg.data.emoji.families import families
from cmg.data.emoji.folds import FOLDS, parts
from cmg.data.manifest import MANIFEST, FeatureSpec, LabelSpec
from cmg.data.parts import GROUP, refuse_absent_classes, refuse_leak
from cmg.data.scaling import Components, Standardizer
from cmg.data.store import open_store
from cmg.data.writer import Clip, StoreWriter
from cmg.errors import ConfigError
from cmg.files import StrPath, as_path
from cmg.staging import Staging
from cmg.types import Kind

Array = NDArray[np.float32]
VERSION = 1
"""Raised whenever a fold becomes other data, so that caches are built anew."""
VIEWS = 10
NEAREST = 0.25
"""Of the way from one quadrant to the next that a view stays away from either."""
COMPONENTS = 128
FEWEST = 9
"""Concepts that a subgroup needs to be a class."""
NOTES = (
    "Emoji: drawings of three designers (Noto, Google, Apache-2.0; Fluent Flat, Microsoft, MIT; "
    "Twemoji, Twitter and contributors, CC BY 4.0), names and keywords of Unicode CLDR "
    "(Unicode-3.0), groups of emojibase (MIT). Paired by concept; validation and test concepts "
    "have no near twin in training. Drawings: EfficientNet-Lite0, principal components of the "
    "training concepts; English: MiniLM; other languages: multilingual-e5-small."
)


def build_emoji(path: StrPath, fold: int = 0, overwrite: bool = False) -> Clips:
    """Build a fold of the embedded set as a store.

    Splits: ``train``, ``val`` and ``test``. Labels per clip: ``subgroup``, of the concepts in
    subgroups of at least nine, and ``group``. Modalities: ``noto``, ``fluent``, ``twemoji``
    (vectors), ``text``, ``text_de`` and other languages (tokens). `meta` has the family of near
    twins as ``group``, the number of the concept, the emoji, and its phrases by modality.

    Args:
        path: Folder to be.
        fold: Which draw of concepts, 0 to 7.
        overwrite: Whether a store at `path` may be replaced.

    Raises:
        ConfigError: there is no such fold.
        DataError: `path` is occupied or cannot be written, or an archive is damaged.
    """
    if not 0 <= fold < FOLDS:
        raise ConfigError(f"emoji has {FOLDS} folds, 0 to {FOLDS - 1}; got {fold}")
    Staging(as_path(path, "the folder of a store"), overwrite, MANIFEST).discard()  # or refuse now
    return write_fold(path, fold, load_words(), load_drawings(), overwrite)


def write_fold(
    path: StrPath,
    fold: int,
    words: EmojiWords,
    drawings: dict[str, Array],
    overwrite: bool = False,
) -> Clips:
    """What :func:`build_emoji` does, of any concepts."""
    concepts = words.concepts
    subgroups = [c.subgroup for c in concepts]
    twins = families([c.label for c in concepts], subgroups)
    splits = parts(twins, subgroups, fold)
    known = [k for k, split in enumerate(splits) if split == "train"]
    shown = {who: views(x, known, n) for n, (who, x) in enumerate(drawings.items())}
    said = {m: tokens(words, m, known) for m in words.vectors}
    classes = label_classes(concepts)
    specs = {who: _spec(Kind.VECTORS, x[0]) for who, x in shown.items()}
    specs |= {m: _spec(Kind.TOKENS, x[0]) for m, x in said.items()}
    labels = {name: LabelSpec(classes=found) for name, found in classes.items()}
    with StoreWriter(
        path, specs, labels, media="emoji", notes=NOTES, overwrite=overwrite
    ) as writer:
        for k, concept in enumerate(concepts):
            writer.add(
                Clip(
                    id=concept.code,
                    split=splits[k],
                    features={m: x[k] for m, x in (shown | said).items()},
                    labels=_labels(concept, classes),
                    meta={
                        GROUP: twins[k],
                        "concept": k,
                        "emoji": concept.emoji,
                        "phrases": {m: list(p) for m, p in concept.phrases.items()},
                    },
                )
            )
    store = open_store(Path(path))
    refuse_leak(store, "train", "val", "test")
    refuse_absent_classes(store.rows, "subgroup", classes["subgroup"])
    return store


def views(quadrants: Array, known: Sequence[int], seed: int) -> NDArray[np.float16]:
    """Ten views of each drawing: [N, 10, components].

    A view is taken at a random place between the four quadrants, which it mixes by their
    distance (bilinear): much like the mean of 5 x 5 of the 7 x 7 positions of the map.

    Args:
        quadrants: [N, 4, C]: upper left and right, lower left and right.
        known: The concepts for training.
        seed: Of the places; they are the same in all folds.
    """
    rows = quadrants[known].reshape(-1, quadrants.shape[-1]).astype(np.float64)
    mean = rows.mean(0)
    rows -= mean
    projected = Components.of(mean, rows.T @ rows / len(rows), COMPONENTS)(quadrants)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed])))
    y, x = rng.uniform(NEAREST, 1 - NEAREST, (2, len(quadrants), VIEWS))
    shares = np.stack([(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x], axis=-1)
    return np.asarray(shares.astype(np.float32) @ projected, dtype=np.float16)


def tokens(words: EmojiWords, modality: str, known: Sequence[int]) -> list[NDArray[np.float16]]:
    """The vectors of every concept's name and keywords, [phrases, C] each.

    Each number has mean 0 and variance 1 over the phrases of the training concepts.
    """
    of = words.vectors[modality]
    said = [np.stack([of[p] for p in c.phrases[modality]]) for c in words.concepts]
    scale = Standardizer.of([said[k].astype(np.float64) for k in known])
    return [scale(x.astype(np.float64)).astype(np.float16) for x in said]


def label_classes(concepts: Sequence[Emoji]) -> dict[str, tuple[str, ...]]:
    """The classes of every label: the first one is what evaluation takes."""
    sizes = Counter(c.subgroup for c in concepts)
    return {
        "subgroup": tuple(name for name, size in sizes.items() if size >= FEWEST),
        "group": tuple(dict.fromkeys(c.group for c in concepts)),
    }


def _labels(concept: Emoji, classes: dict[str, tuple[str, ...]]) -> dict[str, int | None]:
    found = {"subgroup": concept.subgroup, "group": concept.group}
    return {
        name: classes[name].index(value) if value in classes[name] else None
        for name, value in found.items()
    }


def _spec(kind: Kind, features: NDArray[np.float16]) -> FeatureSpec:
    return FeatureSpec(kind=kind, shape=features.shape[1:], dtype="float16")


EMBEDDED["emoji"] = EmbeddedSet("emoji", VERSION, FOLDS, build_emoji, "one draw of concepts")
