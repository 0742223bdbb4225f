"""Retrieval with a frozen model: evaluate a split, or search a gallery by one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from cmg.baselines.record import FOLDER, INFONCE
from cmg.clips import configured_clips, open_other
from cmg.data.clips import Clips
from cmg.errors import CheckpointError, ConfigError, DataError, did_you_mean
from cmg.evaluation.encoding import (
    EncodedModality,
    FrozenEncoder,
    encode_split,
    read_by,
)
from cmg.files import StrPath, file_sha256
from cmg.inference.readers import other_extractors
from cmg.models.saving import MODEL
from cmg.models.unified import UnifiedModel
from cmg.recipes.baselines import refuse_changed, refuse_control
from cmg.retrieval.baselines import COMPUTED, RawGalleries, computed_directions
from cmg.retrieval.evaluate import Directions, evaluate_directions, picked
from cmg.retrieval.index import StoredGallery
from cmg.retrieval.representation import ALL_BY, By, Represented, represent
from cmg.runs.checkpoint import Checkpoint, list_checkpoints, load_model, read_checkpoint


@dataclass(frozen=True)
class RetrievalResults:
    """What was found.

    Attributes:
        scores: By representation, for every model the scores by direction.
        undefined: By representation and direction, why there is no score.
        about: Model, data, split, label.
        baselines: By name, where they were asked for; of InfoNCE the scores of every run.
    """

    scores: dict[By, list[Directions]]
    undefined: dict[By, dict[str, str]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    baselines: dict[str, list[Directions]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """All of it as plain JSON."""
        return {"about": self.about} | asdict(self)


def clips_to_search(checkpoint: Checkpoint, data: StrPath | None) -> Clips:
    """A store, or what a run was trained on.

    Raises:
        DataError: it cannot be opened.
    """
    config = checkpoint.config.data
    return configured_clips(config) if data is None else open_other(config, data)


def read_alike(runs: Sequence[StrPath]) -> list[Checkpoint]:
    """The checkpoints of runs whose figures are told as mean and spread.

    Raises:
        ConfigError: none, one run twice, or runs of other modalities, codebook size or steps.
        CheckpointError: no checkpoint.
    """
    if not runs:
        raise ConfigError("name at least one run")
    found = [read_checkpoint(run) for run in runs]
    first = found[0]
    for place, other in enumerate(found):
        if other.path.resolve() in {c.path.resolve() for c in found[:place]}:
            raise ConfigError(f"{other.path} is named twice, which would feign a small spread")
        for what, one, two in zip(
            ("modalities", "codes", "data.step_seconds"), _kind(first), _kind(other), strict=True
        ):
            if one != two:
                raise ConfigError(
                    f"{first.path} and {other.path} differ in {what} ({one} and {two}); a mean is "
                    "of runs that were trained alike, so evaluate them apart"
                )
    return found


def _kind(checkpoint: Checkpoint) -> tuple[object, ...]:
    config = checkpoint.config
    names = sorted(m.name for m in checkpoint.modalities)
    book = config.model.codebook
    codes = [(key, getattr(book, key, None)) for key in ("kind", "size", "levels", "groups")]
    told = ", ".join(f"{key} {value}" for key, value in codes if value is not None)
    return names, told, config.data.step_seconds


def evaluate_retrieval(
    runs: Sequence[StrPath],
    data: StrPath | None = None,
    split: str | None = None,
    by: Sequence[By] = ALL_BY,
    label: str | None = None,
    device: torch.device | str = "cpu",
    baselines: bool = False,
) -> RetrievalResults:
    """Find the clips of a split by every other modality of them.

    Args:
        runs: Run folders or checkpoints, of models that were trained alike on the same data.
        data: Store; None is what the first was trained on.
        split: Of it; None is the run's test split.
        by: What clips are compared by.
        label: Per clip, for mAP; None takes the store's first label per clip, if it has one.
        device: Where to encode.
        baselines: Whether ridge and CCA, fitted to the clips that the first run was trained on, and
            the runs' InfoNCE models, where they have them, search the same galleries.

    Raises:
        ConfigError: an unknown representation or none, runs that are not alike, or baselines on
            another store than the runs'.
        DataError: an unknown split or label, fewer than two clips with two modalities, or
            embeddings that are not finite.
        CheckpointError: no checkpoint.
    """
    checkpoints = read_alike(runs)
    if not by:
        raise ConfigError(f"name what clips are compared by: {', '.join(ALL_BY)}")
    store = clips_to_search(checkpoints[0], data)
    chosen = store.split(split or checkpoints[0].config.data.test_split)
    known = class_label(store, label)
    results = RetrievalResults({one: [] for one in by})
    for checkpoint in checkpoints:
        model = load_model(checkpoint.path, device)
        own = retrieval_of(model, chosen, by, known)
        for one in by:
            results.scores[one] += own.scores[one]
        results.undefined.update(own.undefined)
        results.about.update(own.about)
    if baselines:
        results.baselines.update(
            searched_baselines(runs, checkpoints[0], chosen, data, known, device)
        )
    remarks = results.about["remarks"]
    remarks += [remark for c in checkpoints for remark in other_extractors(c, store)]
    results.about.update(
        {
            "checkpoints": [str(c.path) for c in checkpoints],
            "data": str(store.path),
            "remarks": list(dict.fromkeys(remarks)),
        }
    )
    return results


def searched_baselines(
    runs: Sequence[StrPath],
    checkpoint: Checkpoint,
    split: Clips,
    data: StrPath | None,
    label: str | None,
    device: torch.device | str,
) -> dict[str, list[Directions]]:
    """Scores of the baselines on a split of the store that runs were trained on.

    Raises:
        ConfigError: another store, or a run that is a control.
        DataError: its clips changed, or too few have two modalities.
    """
    if data is not None or checkpoint.origin:
        raise ConfigError(
            "baselines of retrieval learn from the clips that a run was trained on and search "
            "another part of the same store; leave --data or --baselines out"
        )
    store = split.whole
    refuse_control(Path(runs[0]), checkpoint.config)
    refuse_changed(Path(runs[0]), checkpoint, store)
    found: dict[str, list[Directions]] = {}
    trained = [Path(run) / FOLDER / INFONCE for run in runs]
    if all(list_checkpoints(folder) for folder in trained):
        models = (load_model(folder, device) for folder in trained)
        each = [retrieval_of(model, split, ["continuous"], label).scores for model in models]
        found[INFONCE] = [scores["continuous"][0] for scores in each]
    names = [m.name for m in checkpoint.modalities if m.name in store.modalities]
    config = checkpoint.config.data.model_copy(update={"test_split": split.name})
    clips = RawGalleries.of(store, config, names, label)
    return found | {name: [computed_directions(clips, name)] for name in COMPUTED}


def retrieval_of(
    model: UnifiedModel,
    split: Clips,
    by: Sequence[By] = ALL_BY,
    label: str | None = None,
    galleries: str | None = None,
) -> RetrievalResults:
    """Scores of a model on a split.

    Args:
        model: Left untouched.
        split: The clips.
        by: What clips are compared by.
        label: Per clip, for mAP; None leaves it out.
        galleries: Key in the `meta` of rows, e.g. ``language``: clips that share its value are a
            gallery, and scores are the mean over galleries. None is one gallery of all.

    Raises:
        ConfigError: an unknown representation.
        DataError: an unknown label, a row without the key, fewer than two clips with two
            modalities, or embeddings that are not finite.
    """
    for name in by:
        if name not in ALL_BY:
            raise ConfigError(f"unknown representation {name!r}{did_you_mean(name, ALL_BY)}")
    encoded = encode_split(model, split)
    if len(encoded) < 2:
        raise DataError(
            f"{split.path}: split {split.name!r} has only {', '.join(encoded) or 'nothing'} "
            "of the model's modalities; retrieval goes from one to another"
        )
    classes = None if label is None else split.label(label)
    groups = None if galleries is None else galleries_of(split, galleries)
    results = RetrievalResults({}, {}, {"split": split.name, "label": label, "clips": len(split)})
    results.about["remarks"] = [] if classes is None else lone_classes(split, label, classes)
    for one in by:
        scores, undefined = evaluate_directions(
            encoded, one, model.size, split.ids, classes, groups
        )
        results.scores[one] = [scores]
        if undefined:
            results.undefined[one] = undefined
    return results


def galleries_of(split: Clips, key: str) -> list[torch.Tensor]:
    """Places of the clips that share a value of their `meta`, int64, in the order of first sight.

    Raises:
        DataError: a clip's `meta` lacks the key.
    """
    found: dict[str, list[int]] = {}
    for place, row in enumerate(split.rows):
        if key not in row.meta:
            raise DataError(
                f"{split.path}: clip {row.id!r} has no {key!r} in its meta "
                f"({', '.join(row.meta) or 'nothing'}); galleries are made of what every clip has"
            )
        found.setdefault(str(row.meta[key]), []).append(place)
    return [torch.tensor(members) for members in found.values()]


def lone_classes(split: Clips, label: str | None, classes: torch.Tensor) -> list[str]:
    """What to say of clips that have no other of their class to be found; int64 [N], -1 unknown."""
    known = classes[classes >= 0]
    alone = int((torch.bincount(known) == 1).sum()) if len(known) else 0
    if not alone:
        return []
    return [
        f"{split.path}, split {split.name!r}: {alone} of {len(known)} clips are the only one "
        f"of their class of label {label!r}, so that mAP counts their own counterpart alone"
    ]


def class_label(store: Clips, label: str | None) -> str | None:
    """A label per clip: the given one, or the store's first.

    Raises:
        DataError: an unknown label, or one per step.
    """
    if label is None:
        return store.about.first_label("clip")
    if label not in store.labels:
        raise DataError(f"{store.path}: unknown label {label!r}{did_you_mean(label, store.labels)}")
    if store.labels[label].per != "clip":
        raise DataError(f"{store.path}: label {label!r} is per step; retrieval needs one per clip")
    return label


def gallery_of(
    model: UnifiedModel,
    checkpoint: Checkpoint,
    store: Clips,
    split: str,
    modality: str,
    by: By = "mean",
) -> StoredGallery:
    """The clips of a split that have a modality, ready to be searched.

    Raises:
        DataError: the gallery lacks the modality, an unknown split, or embeddings not finite.
    """
    chosen = store.split(split)
    encoded = encode_split(model, chosen).get(modality)
    if encoded is None or not bool(encoded.present.any()):
        known = [m for m in model.modalities if m in store.modalities]
        raise DataError(
            f"{store.path}: no clip of split {split!r} has {modality!r}; the model and the "
            f"gallery share {', '.join(known) or 'nothing'}"
        )
    rows = encoded.present.nonzero()[:, 0]
    ids = [chosen.ids[i] for i in rows.tolist()]
    found = represent(picked(encoded, rows), by, model.size, ids)
    digest = file_sha256(checkpoint.path / MODEL)
    return StoredGallery(found, modality, split, str(store.path), digest)


def query_of(model: UnifiedModel, store: Clips, clip: str, modality: str, by: By) -> Represented:
    """A clip of a store as a query.

    Raises:
        DataError: there is no such clip, or it lacks the modality.
    """
    place = store.places.get(clip)
    if place is None:
        raise DataError(
            f"{store.path} has no clip {clip!r}, and there is no such file; name a clip of the "
            "store or a file of media, or say --text if these are words"
        )
    if not store.rows[place].lengths.get(modality, 0):
        raise DataError(f"{store.path}: clip {clip!r} has no {modality!r}")
    features, lengths = store.features(modality, [place])
    return represented_query(model, features, lengths, modality, by, clip)


def represented_query(
    model: UnifiedModel,
    features: torch.Tensor,
    lengths: torch.Tensor,
    modality: str,
    by: By,
    clip: str,
) -> Represented:
    """Features of one clip as a query.

    Args:
        model: Encodes them.
        features: [1, T, *shape].
        lengths: int64 [1].
        modality: Of them.
        by: What clips are compared by.
        clip: Its id.

    Raises:
        ModalityError: the model lacks the modality, or features of another shape.
        DataError: NaN or infinite features.
    """
    encoder = FrozenEncoder(model, modality)
    inputs = encoder.inputs(features, lengths, [clip])
    semantic = encoder.semantic(inputs, lengths)
    indices = encoder.codes(semantic, lengths)
    kept, z = indices.cpu(), semantic.float().cpu()
    encoded = EncodedModality(kept, z, read_by(model, modality, kept, z, "codes"))
    return represent(encoded, by, model.size, [clip])


def check_gallery(stored: StoredGallery, checkpoint: Checkpoint, modality: str, path: Path) -> None:
    """Refuse an index that the query cannot be compared with.

    Raises:
        CheckpointError: it was made by another model.
        DataError: it is of another modality.
    """
    if stored.model_sha256 != file_sha256(checkpoint.path / MODEL):
        raise CheckpointError(
            f"{path} was made by another model than {checkpoint.path}; make it again by "
            "--save-index"
        )
    if stored.modality != modality:
        raise DataError(f"{path} is a gallery of {stored.modality!r}, not of {modality!r}")
