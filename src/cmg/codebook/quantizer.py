"""Quantizers as parts: what makes codes of features, behind one interface, by ``kind``.

`lookup` is pure. What a quantizer holds changes in `update`, which the training step calls on one
line, and in `start_from`, which set-up may call once before it. Everything else in the package
reads codes through `vectors`, `table`, `distances` and indices, so that a kind is one class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Union

import torch
from torch import Tensor, nn

from cmg.codebook.measures import level_measures, step_measures
from cmg.codebook.reset import ResetDraw
from cmg.errors import ConfigError, ModalityError, did_you_mean
from cmg.options import Options
from cmg.precision import full_precision
from cmg.registry import Registry
from cmg.types import Quantized, Steps

Features = Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]]
"""Features [N, D] per modality; or batches of them, in the order in which they are drawn from."""


class QuantizerOptions(Options):
    """Options of any kind of quantizer: a kind's own are a subclass, registered with it.

    Attributes:
        kind: ``shared``, ``learned``, ``tied``, ``residual``, ``product``, ``none``; ``fsq``,
            ``lfq``, ``simvq`` or ``residual-vq`` of a library; or one of a plugin.
    """

    kind: str

    @classmethod
    def known_keys(cls) -> Mapping[str, Any]:
        """The keys of all kinds, or those of one."""
        if cls is not QuantizerOptions:
            return super().known_keys()
        known: dict[str, Any] = {}
        for own in (entry.options.known_keys() for entry in quantizers.values()):
            known |= {k: Union[known[k], x] if k in known else x for k, x in own.items()}  # noqa: UP007
        return known | {"kind": str}


class Quantizer(nn.Module):
    """What makes codes of features. A kind overrides what differs, see CONTRIBUTING.

    Args:
        modalities: Names.
        width: D of the features.
        options: Of its kind; None is what that has by default.
        generator: For what is drawn at the start; None is torch's global one.

    Attributes:
        kind: Name of the kind.
        levels: None: a step has one index, indices are [B, T]; L: it has one per level or group,
            [B, T, L]; 0: there are no codes.
        size: K, the codes of each level.
        width: Of the vectors that decoders and heads are given.
        has_loss: Whether it has a loss of its own, see :meth:`loss`.
        one_process: Whether processes that share a batch cannot train it.
    """

    kind: ClassVar[str]
    has_loss: ClassVar[bool] = False
    one_process: ClassVar[bool] = False
    levels: int | None = None
    size: int = 0

    def __init__(
        self,
        modalities: Sequence[str],
        width: int,
        options: Any = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.modalities = list(modalities)
        own = [entry.options for entry in quantizers.values() if entry.part is type(self)]
        self.options = options = own[0]() if options is None else options
        if own and not isinstance(options, own[0]):
            raise ConfigError(
                f"{type(self).__name__} takes {own[0].__name__}, got {type(options).__name__}"
            )
        self.feature_width = width
        self.width = self.vector_width(width, self.modalities, options)

    @classmethod
    def vector_width(cls, width: int, modalities: Sequence[str], options: Any) -> int:
        """Width of the vectors of a quantizer of features of `width`."""
        return width

    @classmethod
    def need_package(cls) -> None:
        """Refuse a kind whose package is not installed.

        Raises:
            ConfigError: it is not; the message has the remedy.
        """

    def extra_repr(self) -> str:
        """Kind, sizes and modalities."""
        levels = "" if self.levels is None else f"levels={self.levels}, "
        named = "+".join(self.modalities)
        return f"{self.kind}: {levels}size={self.size}, width={self.width}, modalities={named}"

    @property
    def starts_on_data(self) -> bool:
        """Whether :meth:`start_from` does anything."""
        return False

    # ---- what a kind has to say -----------------------------------------------------------------

    def nearest(self, semantic: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Indices of the nearest codes of features [..., D], int64 [...] or [..., L]."""
        raise NotImplementedError

    def table(self, modality: str) -> Tensor:
        """The codes that a modality's features are compared with, [K, D] or [L, K, d]."""
        self.need_codes("a table of them")
        raise NotImplementedError

    def distances(self, modality: str, z: Tensor) -> Tensor:
        """Euclidean distance to every code, with a finite gradient to z.

        Args:
            modality: Of the features.
            z: [..., D].

        Returns:
            [..., K] or [..., L, K]. With cosine lookup, of features and codes that are brought to a
            root mean square of 1, so that the square is 2 d (1 - cosine).
        """
        self.need_codes("a distance to them")
        raise NotImplementedError

    def codes_of(self, modality: str, indices: Tensor) -> Tensor:
        """The codes e [..., D] that features were near to; every index is a code's."""
        raise NotImplementedError

    def loss(self, semantic: Mapping[str, Tensor], steps: Steps) -> Tensor:
        """What it asks of features and of its own weights: ``objectives.quantizer_loss``.

        Args:
            semantic: z, [B, T, D] per modality.
            steps: Which steps exist.

        Returns:
            A scalar.

        Raises:
            ConfigError: it has none.
        """
        raise ConfigError(
            f"model.codebook.kind={self.kind} has no loss of its own; set "
            "objectives.quantizer_loss=null"
        )

    def update(self, quantized: Quantized, draw: ResetDraw | None = None) -> None:
        """Move the codes after a training step; the only thing that changes a trained quantizer.

        Args:
            quantized: Of the *whole* batch: gathered first over micro-batches and ranks, the result
                is the same on all of them.
            draw: The reset's random choices; None is :meth:`draw` of torch's global generator.
        """

    def draw(self, generator: torch.Generator | None = None) -> ResetDraw | None:
        """The random choices of an update, from a generator; None where there are none."""
        return None

    def start_from(self, features: Features, generator: torch.Generator) -> None:
        """Place the codes on data before the first training step.

        Args:
            features: Of the untrained encoders.
            generator: For the choice among them.

        Raises:
            ConfigError: more codes than features.
        """

    # ---- what follows from it -------------------------------------------------------------------

    def forward(self, semantic: Mapping[str, Tensor], steps: Steps | None = None) -> Quantized:
        """:meth:`lookup`."""
        return self.lookup(semantic, steps)

    def lookup(self, semantic: Mapping[str, Tensor], steps: Steps | None = None) -> Quantized:
        """The nearest code of every feature (paper Eq. 3), in float32 whatever the autocast.

        Changes no state.

        Args:
            semantic: z, [B, T, D] or [N, D] per modality.
            steps: Which steps exist, None for all; indices at other steps mean nothing.

        Returns:
            Indices, code vectors and straight-through vectors.

        Raises:
            ModalityError: an unknown modality, or features of another width.
        """
        steps = self.checked(semantic, steps)
        detached = {m: z.detach() for m, z in semantic.items()}
        indices = self.nearest(detached)
        codes = {m: self.codes_of(m, x) for m, x in indices.items()}
        vectors = self.through(semantic, indices, codes, steps)
        return Quantized(indices, codes, vectors, detached, steps)

    def through(
        self,
        semantic: Mapping[str, Tensor],
        indices: Mapping[str, Tensor],
        codes: Mapping[str, Tensor],
        steps: Steps,
    ) -> dict[str, Tensor]:
        """What heads are given of codes e, with gradient straight through to the features z."""
        straight = {m: z + (codes[m] - z).detach() for m, z in semantic.items()}
        return {m: self.seen(m, indices[m], x) for m, x in straight.items()}

    def seen(self, modality: str, indices: Tensor, codes: Tensor) -> Tensor:
        """What heads are given of codes [..., D] at indices: [..., width]."""
        return codes

    def vectors(self, modality: str, indices: Tensor) -> Tensor:
        """What heads are given of indices.

        Args:
            modality: Whose codes these are.
            indices: int64 [...], or [..., L]; -1 gives the zero vector (of its level).

        Returns:
            [..., width].

        Raises:
            ConfigError: indices of another number of levels.
        """
        self.check_indices(modality, indices)
        known = indices.clamp_min(0)
        found = self.seen(modality, known, self.codes_of(modality, known))
        return found * (indices >= 0)[..., None]

    @full_precision
    def posterior(self, modality: str, z: Tensor, temperature: float) -> Tensor:
        """Soft codes: softmax over codes of -distance^2 / (temperature * width of a code).

        Args:
            modality: Of the features.
            z: [..., D].
            temperature: Above 0.

        Returns:
            [..., K] or [..., L, K]; sums to 1 over K.
        """
        scale = temperature * self.table(modality).shape[-1]
        return (self.distances(modality, z).square() / -scale).softmax(-1)

    def measures(self, quantized: Quantized) -> dict[str, Tensor]:
        """What a training step logs, with the codes before their update: see `step_measures`."""
        if not quantized.indices:
            return {}
        quantized = quantized.with_time()
        if self.levels is None:
            return step_measures(quantized, self.size)
        return level_measures(quantized, self.size, self.levels)

    # ---- what is refused ------------------------------------------------------------------------

    def checked(self, semantic: Mapping[str, Tensor], steps: Steps | None) -> Steps:
        """The steps of features that fit; see :meth:`lookup`."""
        if not semantic:
            raise ModalityError(f"no features; give some of {', '.join(self.modalities)}")
        for m, z in semantic.items():
            self.check_modality(m)
            if z.dim() not in (2, 3) or z.shape[-1] != self.feature_width:
                raise ModalityError(
                    f"features of {m!r} have shape {list(z.shape)}; this quantizer takes "
                    f"[B, T, {self.feature_width}] or [N, {self.feature_width}]"
                )
        if steps is not None:
            return steps
        some = next(iter(semantic.values()))
        return Steps(some.shape[0], some.shape[1] if some.dim() == 3 else 1, None, some.device)

    def check_modality(self, modality: str) -> None:
        """Refuse a modality of another model.

        Raises:
            ModalityError: it is unknown.
        """
        if modality not in self.modalities:
            hint = did_you_mean(modality, self.modalities)
            raise ModalityError(f"unknown modality {modality!r}{hint}")

    def check_indices(self, modality: str, indices: Tensor) -> None:
        """Refuse indices that are of another quantizer.

        Raises:
            ConfigError: there are no codes, or they have another number of levels.
        """
        self.need_codes("decoding")
        self.check_modality(modality)
        if self.levels is not None and indices.shape[-1:] != (self.levels,):
            raise ConfigError(
                f"codes of {modality!r} have shape {list(indices.shape)}, and this model has "
                f"{self.levels} levels of codes; give [..., {self.levels}]"
            )

    def need_codes(self, what: str, remedy: str = "train one with codes") -> None:
        """Refuse what needs codes.

        Raises:
            ConfigError: this is a continuous quantizer.
        """
        if self.levels == 0:
            raise ConfigError(
                f"this model is continuous (model.codebook.kind={self.kind}): it has no codes, and "
                f"{what} needs them; {remedy}"
            )

    def need_one_level(self, what: str, remedy: str = "use a model of kind shared") -> None:
        """Refuse what needs one index per step.

        Raises:
            ConfigError: there are no codes, or levels of them.
        """
        self.need_codes(what)
        if self.levels is not None:
            raise ConfigError(
                f"this model has {self.levels} levels of codes (model.codebook.kind={self.kind}), "
                f"and {what} needs one code per step; {remedy}"
            )


quantizers: Registry[type[Quantizer]] = Registry("quantizer", Quantizer, QuantizerOptions)
"""Kinds of quantizers, by ``model.codebook.kind``."""
quantizer = quantizers.register
"""A class decorator: ``@quantizer(kind, OptionsClass)``."""
