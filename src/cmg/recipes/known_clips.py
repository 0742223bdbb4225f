"""Which clips of a store come nearest to each code: what a code stands for.

Shape legend: B clips, T steps, K codes, D semantic width, N the number of clips that are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cmg.data.batches import Batches
from cmg.data.clips import Clips
from cmg.errors import CheckpointError, DataError
from cmg.files import replace_file
from cmg.models.unified import UnifiedModel, refuse_non_finite

NEAREST = 5
"""N: clips per code and modality."""

ENCODED_AT_A_TIME = 64


@dataclass(frozen=True)
class NearestClips:
    """The clips nearest to each code in one modality; a clip counts with its nearest step.

    Attributes:
        distances: Euclidean, ascending, float32 [K, N]; infinite where there are fewer clips.
        clips: Positions in the rows of the store, int64 [K, N]; -1 where there are fewer.
        steps: int64 [K, N]; likewise.
    """

    distances: Tensor
    clips: Tensor
    steps: Tensor


@dataclass(frozen=True)
class KnownStep:
    """A step of a known clip.

    Attributes:
        id: Of the clip.
        step: Number of the step, from 0.
        start: When it begins, in seconds; None for words.
        end: When it ends.
        distance: Of its semantic feature to the code.
        labels: Class name by label, of the labels per clip that it has.
    """

    id: str
    step: int
    start: float | None
    end: float | None
    distance: float
    labels: Mapping[str, str]


@dataclass(frozen=True)
class KnownClips:
    """The nearest clips of a store, by modality.

    Attributes:
        store: Where they are from.
        split: Which split of it.
        nearest: By modality.
        remark: Why they could not be kept; empty where they were.
    """

    store: Clips
    split: str
    nearest: Mapping[str, NearestClips]
    remark: str = ""

    def of(self, code: int) -> dict[str, list[KnownStep]]:
        """The clips nearest to a code, the nearest first, by modality."""
        found = {}
        for m, table in self.nearest.items():
            columns = (table.clips[code], table.steps[code], table.distances[code])
            rows = zip(*(column.tolist() for column in columns), strict=True)
            found[m] = [self._step(m, *row) for row in rows if row[0] >= 0]
        return found

    def _step(self, modality: str, clip: int, step: int, distance: float) -> KnownStep:
        row, seconds = self.store.rows[clip], self.store.step_seconds[modality]
        labels = {
            name: self.store.labels[name].classes[value]
            for name, value in row.labels.items()
            if isinstance(value, int) and value >= 0
        }
        start = None if seconds is None else step * seconds
        end = None if seconds is None else (step + 1) * seconds
        return KnownStep(row.id, step, start, end, distance, labels)


def known_clips(model: UnifiedModel, checkpoint: Path, store: Clips, split: str) -> KnownClips:
    """The nearest clips of a store's split; kept beside the checkpoint, so found only once.

    Args:
        model: Of the checkpoint; left untouched.
        checkpoint: Its folder.
        store: Known clips.
        split: Of the store; several joined as in ``train+test``.

    Raises:
        ConfigError: a model without codes, or with several per step.
        DataError: an unknown split, fewer than two clips, or a clip that cannot be read.
        ModalityError: a modality of another shape than the model's.
        CheckpointError: the index is damaged.
    """
    model.codebook.need_one_level("the list of clips near to a code")
    path = checkpoint / f"known-{_key(model, store, split)}.safetensors"
    if path.is_file():
        return KnownClips(store, split, _read(path, model, len(store)))
    nearest = nearest_clips(model, store.split(split))
    tensors = {
        f"{m}.{name}": tensor.contiguous()
        for m, table in nearest.items()
        for name, tensor in vars(table).items()
    }
    try:
        replace_file(path, save(tensors))
    except DataError as error:  # of somebody else's run, it may be
        remark = f"the nearest known clips are not kept, and looked for again next time: {error}"
        return KnownClips(store, split, nearest, remark)
    return KnownClips(store, split, nearest)


def _key(model: UnifiedModel, store: Clips, split: str) -> str:
    """What an index depends on besides the checkpoint."""
    steps = {m: store.step_seconds[m] for m in model.modalities if m in store.modalities}
    told = json.dumps([store.content_hash, split, NEAREST, steps])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _read(path: Path, model: UnifiedModel, rows: int) -> dict[str, NearestClips]:
    wanted = (model.size, NEAREST)
    try:
        with safe_open(path, "pt") as file:
            names = {key.partition(".")[0] for key in file.keys()}  # noqa: SIM118
            found = {
                m: NearestClips(
                    *(file.get_tensor(f"{m}.{n}") for n in ("distances", "clips", "steps"))
                )
                for m in model.modalities
                if m in names
            }
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); delete it") from error
    for table in found.values():
        shapes = {tuple(tensor.shape) for tensor in vars(table).values()}
        if shapes != {wanted} or not -1 <= int(table.clips.min()) <= int(table.clips.max()) < rows:
            raise CheckpointError(f"{path} does not fit the model and its store; delete it")
    return found


@torch.no_grad()
def nearest_clips(model: UnifiedModel, split: Clips) -> dict[str, NearestClips]:
    """For every code the clips whose semantic features come nearest, by modality.

    Args:
        model: Left untouched.
        split: Known clips; only N of them are held for each code.

    Raises:
        DataError: fewer than two clips, or a clip that cannot be read.
        ModalityError: a modality of another shape than the model's.
    """
    names = [m for m in model.modalities if m in split.modalities]
    if not names:
        raise DataError(f"{split.path} has no modality of the model")
    batches = Batches(split, ENCODED_AT_A_TIME, names, shuffle=False)
    shape = (model.size, NEAREST)
    none = NearestClips(torch.full(shape, torch.inf), torch.full(shape, -1), torch.full(shape, -1))
    found = dict.fromkeys(names, none)
    for index in range(len(batches)):
        batch = batches.at(0, index).to(model.device, model.dtype)
        refuse_non_finite(batch)
        rows = torch.from_numpy(split.positions[batches.indices(0, index)])
        for m, z in model.semantics(batch).items():
            distances = model.codebook.distances(m, z)
            mask = batch.steps.mask(m)
            if mask is not None:
                distances = distances.masked_fill(~mask[..., None], torch.inf)
            found[m] = _merged(found[m], distances.float().cpu(), rows)
    return found


def _merged(best: NearestClips, distances: Tensor, rows: Tensor) -> NearestClips:
    """The nearest of those known and of a batch.

    Args:
        best: So far.
        distances: [B, T, K], infinite at steps that do not exist.
        rows: Of the batch's clips, int64 [B].
    """
    near, steps = (x.T for x in distances.min(1))  # [K, B]
    clips = rows.expand_as(near).masked_fill(near.isinf(), -1)
    steps = steps.masked_fill(near.isinf(), -1)
    near = torch.cat([best.distances, near], 1)
    order = near.argsort(dim=1, stable=True)[:, :NEAREST]  # the earlier clip first on a tie
    return NearestClips(
        near.gather(1, order),
        torch.cat([best.clips, clips], 1).gather(1, order),
        torch.cat([best.steps, steps], 1).gather(1, order),
    )
