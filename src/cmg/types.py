"""The nouns that travel through the package, as typed records.

Shape legend, used in every docstring:

    B  clips in a batch          T  steps of a clip (padded to the longest)
    D  semantic width            K  codes
    M  modalities                H, W, C  height, width, channels of a spatial map (channels last)
    S  detail width
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import torch
from pydantic import AfterValidator, model_validator
from torch import Tensor

from cmg.errors import ConfigError, DataError, ModalityError, did_you_mean
from cmg.masking import Drawn
from cmg.options import Options
from cmg.tensors import tensor_of


class Kind(StrEnum):
    """What one step of a modality is."""

    VECTORS = "vectors"
    """A vector per step, shape (C,): audio embeddings, EEG windows, sensor readings."""
    MAPS = "maps"
    """A spatial map per step, shape (H, W, C), channels last: video frames, depth."""
    TOKENS = "tokens"
    """A token vector per step, shape (C,), read in context by a bidirectional LSTM: text."""


def plain_name(name: str) -> str:
    """`name`, which is part of the names of files and keys.

    Raises:
        ValueError: it is no plain word.
    """
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"modality name {name!r} must be a plain word (a-z, A-Z, 0-9, _)")
    return name


ModalityName = Annotated[str, AfterValidator(plain_name)]


class Modality(Options):
    """One modality, declared as data.

    Attributes:
        name: How batches, stores, configs and reports call it.
        kind: What one step is, see :class:`Kind`.
        shape: Feature shape of one step: (C,), or (H, W, C) for maps.
        detail_width: Width S of the modality-specific (private) feature. The paper has 256 for
            audio and text and 2048 for video.
        token_hidden: LSTM width per direction; tokens only. The paper has 128.
    """

    name: ModalityName
    kind: Kind
    shape: tuple[int, ...]
    detail_width: int = 256
    token_hidden: int = 128

    @model_validator(mode="after")
    def _fitting_shape(self) -> Modality:
        rank = 3 if self.kind is Kind.MAPS else 1
        if len(self.shape) != rank or min(self.shape, default=0) < 1:
            wanted = "(H, W, C)" if rank == 3 else "(C,)"
            raise ValueError(
                f"modality {self.name!r} of kind {self.kind.value!r} needs a step shape {wanted} "
                f"of positive sizes, got {tuple(self.shape)}"
            )
        if self.detail_width < 1 or self.token_hidden < 1:
            raise ValueError(f"modality {self.name!r}: widths must be at least 1")
        return self

    @property
    def channels(self) -> int:
        """Feature channels C of one step (of one position, for maps)."""
        return self.shape[-1]

    @property
    def private_width(self) -> int:
        """Channels of the private detail as objectives see it: of maps those of its pooled form."""
        return self.channels if self.kind is Kind.MAPS else self.detail_width


class Steps:
    """Which steps of which clip exist, per modality.

    Steps of a clip are a prefix: clip b has modality m at steps ``0 .. lengths[m][b] - 1``, and
    length 0 says that the clip lacks m. Lengths stay on the CPU so that asking for a subset of the
    clips never makes the host wait for a device.

    Args:
        batch_size: B.
        length: T, the padded length.
        lengths: int64 CPU tensors [B] per modality; None says that every step exists.
        device: Where masks and indices are wanted.
    """

    def __init__(
        self,
        batch_size: int,
        length: int,
        lengths: Mapping[str, Tensor] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.batch_size = batch_size
        self.length = length
        self.device = torch.device(device)
        if lengths is not None and all(bool((n == length).all()) for n in lengths.values()):
            lengths = None
        self.lengths = None if lengths is None else dict(lengths)
        self._masks: dict[tuple[str, ...], Tensor] = {}

    @classmethod
    def of(cls, features: Mapping[str, Tensor]) -> Steps:
        """All steps of features [B, T, ...], or of single ones [N, D]."""
        first = next(iter(features.values()))
        length = first.shape[1] if first.dim() > 2 else 1
        return cls(first.shape[0], length, device=first.device)

    @property
    def complete(self) -> bool:
        """Whether every clip has every modality at every step."""
        return self.lengths is None

    def length_of(self, *modalities: str) -> Tensor:
        """CPU int64 [B]: the number of leading steps at which all of `modalities` exist."""
        if self.lengths is None:
            return torch.full((self.batch_size,), self.length)
        return torch.stack([self.lengths[m] for m in modalities]).amin(dim=0)

    def mask(self, *modalities: str) -> Tensor | None:
        """Bool [B, T]: where all of `modalities` exist; None where that is everywhere."""
        if self.lengths is None:
            return None
        key = tuple(sorted(set(modalities)))
        if key not in self._masks:
            reach = self.length_of(*key)
            mask = torch.arange(self.length)[None, :] < reach[:, None]
            self._masks[key] = mask.to(self.device, non_blocking=True)
        return self._masks[key]

    def clips(self, *modalities: str) -> Tensor | None:
        """Indices of the clips that have all of `modalities`; None where all clips have them."""
        if self.lengths is None:
            return None
        have = self.length_of(*modalities) > 0
        if bool(have.all()):
            return None
        return have.nonzero().flatten().to(self.device, non_blocking=True)

    def any(self, *modalities: str) -> bool:
        """Whether at least one clip has all of `modalities`."""
        return self.lengths is None or bool((self.length_of(*modalities) > 0).any())


def sequences(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Features [B, T, D] per modality; single ones [N, D] are clips of one step."""
    return {m: x[:, None] if x.dim() == 2 else x for m, x in features.items()}


@dataclass
class Batch:
    """A batch of clips, aligned step by step across modalities.

    Attributes:
        features: [B, T, *shape] per modality; T is the same for all of them, padding is zero.
        lengths: int64 CPU [B] per modality, 0 where a clip lacks it; None if nothing is padded.
        ids: Clip ids, for messages.
    """

    features: dict[str, Tensor]
    lengths: dict[str, Tensor] | None = None
    ids: Sequence[str] = field(default_factory=list)

    def __repr__(self) -> str:
        """Sizes, and no numbers."""
        sizes = ", ".join(f"{m} {tuple(x.shape)}" for m, x in self.features.items())
        return f"<batch of {self.size} clips: {sizes}{', padded' * bool(self.lengths)}>"

    def __post_init__(self) -> None:
        """Take arrays and lists for tensors."""
        for values in (self.features, self.lengths or {}):
            for m, x in values.items():
                values[m] = tensor_of(x, f"modality {m!r}")

    @property
    def size(self) -> int:
        """B."""
        return next(iter(self.features.values())).shape[0]

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities in this batch."""
        return list(self.features)

    @property
    def steps(self) -> Steps:
        """Which steps exist."""
        first = next(iter(self.features.values()))
        return Steps(first.shape[0], first.shape[1], self.lengths, first.device)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Batch:
        """This batch with its features on `device` in `dtype`."""
        moved = {m: x.to(device, dtype, non_blocking=True) for m, x in self.features.items()}
        return Batch(moved, self.lengths, self.ids)

    def only(self, *modalities: str) -> Batch:
        """This batch with only the named modalities.

        Raises:
            ModalityError: a name is not in the batch.
        """
        for m in modalities:
            if m not in self.features:
                raise ModalityError(f"unknown modality {m!r}{did_you_mean(m, self.features)}")
        lengths = None if self.lengths is None else {m: self.lengths[m] for m in modalities}
        return Batch({m: self.features[m] for m in modalities}, lengths, self.ids)

    def zero_padded(self) -> Batch:
        """This batch with zeros, whatever stood there, at steps that do not exist."""
        steps = self.steps
        if steps.complete:
            return self
        clean = {}
        for m, x in self.features.items():
            mask = steps.mask(m)
            assert mask is not None
            clean[m] = x.masked_fill(~mask.view(*mask.shape, *[1] * (x.dim() - 2)), 0.0)
        return Batch(clean, self.lengths, self.ids)

    def check(self, declared: Mapping[str, Modality]) -> None:
        """Compare this batch with the modalities a model declares.

        Raises:
            ModalityError: an unknown modality, a wrong shape, or a dtype that is not floating.
            DataError: no modality, T = 0, modalities of different B or T, or lengths that do not
                fit.
        """
        if not self.features:
            raise DataError("the batch has no modality; give at least one")
        extent = next(iter(self.features.values())).shape[:2]
        for m, x in self.features.items():
            if m not in declared:
                raise ModalityError(f"unknown modality {m!r}{did_you_mean(m, declared)}")
            wanted = declared[m].shape
            if tuple(x.shape[2:]) != wanted or x.dim() < 3:
                raise ModalityError(
                    f"modality {m!r} has shape {tuple(x.shape)}; expected "
                    f"[B, T, {', '.join(map(str, wanted))}]"
                )
            if not x.is_floating_point():
                raise ModalityError(f"modality {m!r} has dtype {x.dtype}; convert it to float32")
            if x.shape[:2] != extent:
                raise DataError(
                    f"modality {m!r} has [B, T] = {list(x.shape[:2])} where another has "
                    f"{list(extent)}; pad with zeros and give lengths"
                )
        if 0 in extent:
            raise DataError(f"[B, T] = {list(extent)}: a batch needs a clip and a step (T >= 1)")
        without = [m for m in self.features if self.lengths is not None and m not in self.lengths]
        if without:
            raise DataError(f"no lengths of modality {without[0]!r}; give those of all or of none")
        self._check_lengths(extent)

    def _check_lengths(self, extent: torch.Size) -> None:
        """Compare the lengths with [B, T]; see :meth:`check`."""
        for m in (self.lengths or {}).keys() - self.features.keys():
            raise ModalityError(
                f"lengths of unknown modality {m!r}{did_you_mean(m, self.features)}"
            )
        for m, n in (self.lengths or {}).items():
            if n.dtype != torch.int64:
                raise DataError(f"lengths of modality {m!r} have dtype {n.dtype}; give int64")
            if n.shape != extent[:1] or int(n.min()) < 0 or int(n.max()) > extent[1]:
                raise DataError(
                    f"lengths of modality {m!r} must be {extent[0]} numbers from 0 to {extent[1]}"
                )


@dataclass
class Encoded:
    """What the encoders say of a batch; one entry per modality in each dict.

    Attributes:
        inputs: What the decoder reconstructs, [B, T, ...]: the feature itself, or for tokens the
            output of the token LSTM.
        semantic: Modality-agnostic content z, [B, T, D].
        detail: Modality-specific detail s, [B, T, S], or [B, T, h, w, S] for maps; at P steps for
            T where some are drawn.
        private: What CLUB sees of the detail, [B, T, C]: s itself, or for maps its pooled form.
        steps: Which steps exist.
        taught: z of the teachers, [B, T, D], no gradient; where a term needs them.
        layers: The records of both layers of a model with a second one; this one is then what its
            codebook is given.
        drawn: The steps that have detail, by modality, where ``training.private_steps`` draws some.
    """

    inputs: dict[str, Tensor]
    semantic: dict[str, Tensor]
    detail: dict[str, Tensor]
    private: dict[str, Tensor]
    steps: Steps
    taught: dict[str, Tensor] = field(default_factory=dict)
    layers: Sequence[Encoded] = ()
    drawn: Drawn = field(default_factory=dict)


@dataclass
class Quantized:
    """The nearest codes of a batch's semantic features.

    Features that were given as [N, D] have no axis T in any of these.

    Attributes:
        indices: int64 [B, T] per modality; [B, T, L] where a step has several; empty where there
            are no codes.
        codes: The code vectors e, [B, T, D], no gradient; likewise empty.
        vectors: Straight-through vectors z + sg(e - z), [B, T, D], or wider where heads are given
            more than the code; z itself where there are no codes.
        semantic: The features z that were looked up, [B, T, D], detached.
        steps: Which steps exist.
    """

    indices: dict[str, Tensor]
    codes: dict[str, Tensor]
    vectors: dict[str, Tensor]
    semantic: dict[str, Tensor]
    steps: Steps

    def with_time(self) -> Quantized:
        """This with features [N, D] as N clips of one step."""
        if all(z.dim() == 3 for z in self.semantic.values()):
            return self
        parts = (self.indices, self.codes, self.vectors, self.semantic)
        timed = [{m: x[:, None] for m, x in part.items()} for part in parts]
        return Quantized(timed[0], timed[1], timed[2], timed[3], self.steps)


@dataclass
class Losses:
    """The terms of one step: every term is computed and logged, `total` is the weighted sum.

    Attributes:
        terms: Scalar per term, e.g. ``cross_cpc`` or ``club/audio``.
        weights: Weight per term; 0 says computed and logged only.
        measures: Scalars that are no loss (accuracies, code usage), for the log.
    """

    terms: dict[str, Tensor]
    weights: dict[str, float]
    measures: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The weighted sum that is minimized.

        Raises:
            ConfigError: no term has a weight above 0.
        """
        parts = [self.weights[k] * v for k, v in self.terms.items() if self.weights[k]]
        if not parts:
            raise ConfigError(
                "no objective with a weight above 0 applies to this batch; "
                f"weights: {self.weights or 'none'}; one must be above 0 from the first step on, "
                "so not all terms can start later or rise (start_epoch, ramp_epochs)"
            )
        return torch.stack(parts).sum()

    def read(self) -> dict[str, float]:
        """Terms (as ``loss/<term>``) and measures as numbers, in one transfer to the host."""
        named = {f"loss/{k}": v for k, v in self.terms.items()} | self.measures
        if self.terms:
            named["loss/total"] = self.total
        values = torch.stack([v.detach().to(torch.float64) for v in named.values()]).tolist()
        return dict(zip(named, values, strict=True))
