"""What an objective is: one term of the sum that training minimizes, as a part with a name.

A term of one's own is a class and, in a module that is loaded as a plugin, a line::

    @cmg.objective("alignment", TermOptions)
    class Alignment(Objective):
        def term(self, view: View, draw: None) -> Tensor:
            a, b = view.encoded.semantic.values()
            return (a.mean(1) - b.mean(1)).square().mean()

`objectives.alignment.weight=0.5` then works wherever a configuration is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from cmg.codebook.quantizer import Quantizer
from cmg.options import Options
from cmg.registry import Registry
from cmg.types import Batch, Encoded, Modality, Quantized, Steps

Need = Literal["detail", "rebuilt", "codes", "teacher", "loss"]
Scope = Literal["batch", "clip"]


class TermOptions(Options):
    """What every term has; its own options are a subclass.

    Attributes:
        weight: In the sum; 0 is computed and logged only.
        start_epoch: Before this epoch, 0-based, the weight is 0.
        ramp_epochs: Epochs over which the weight then rises in a line from 0.
    """

    weight: float = Field(1.0, ge=0.0)
    start_epoch: int = Field(0, ge=0)
    ramp_epochs: float = Field(0.0, ge=0.0)

    def weight_at(self, epoch: float) -> float:
        """The weight at a point of the run.

        Args:
            epoch: Epochs done, with the share of the present one.
        """
        since = epoch - self.start_epoch
        if since < 0:
            return 0.0
        return self.weight * min(1.0, since / self.ramp_epochs) if self.ramp_epochs else self.weight


@dataclass
class View:
    """All that an objective may read of a step.

    Attributes:
        encoded: The encoders' features.
        quantized: Their codes, as they were before the step's update.
        rebuilt: What decoders make of codes and detail, [B, T, ...] per modality; only where a
            term needs it.
        quantizer: Whose codes these are; not to be changed.
        earlier: Of the passes before this one, where ``training.passes`` asks for several.
        rows: Places of these clips in the step's batch, int64 CPU [b], of a part of it.
        rebuild: What the decoder of a modality makes of other content [B, T, D] and its own detail,
            at the steps that have some; for terms of scope ``clip`` that need ``detail``.
        layers: The views of both layers of a model with a second one; this one is then of what its
            codebook is given.
    """

    encoded: Encoded
    quantized: Quantized
    rebuilt: Mapping[str, Tensor]
    quantizer: Quantizer
    earlier: Sequence[View] = ()
    rows: Tensor | None = None
    rebuild: Callable[[str, Tensor], Tensor] | None = None
    layers: Sequence[View] = ()
    _soft: dict[float, dict[str, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def posterior(self, softness: float) -> dict[str, Tensor]:
        """Distributions over codes, [B, T, K], of levels one beside the other.

        They are made once for all terms that read them, for they cost as much as a term.

        Args:
            softness: Their temperature, see :meth:`cmg.codebook.quantizer.Quantizer.posterior`.
        """
        if softness not in self._soft:
            own, book = self.encoded.semantic, self.quantizer
            self._soft[softness] = {
                m: book.posterior(m, z, softness).flatten(2) for m, z in own.items()
            }
        return self._soft[softness]

    def of_layer(self, layer: int) -> View:
        """What terms of a layer read, counted from 0."""
        return self.layers[layer] if self.layers else self

    @property
    def first(self) -> View:
        """Of the step's first pass, on the whole batch; this one where there is one pass."""
        return (*self.earlier, self)[0]


@dataclass
class Term:
    """The values of an objective in one step.

    Attributes:
        values: Scalars that are weighted and minimized, by the name they are logged under.
        measures: Scalars for the log alone.
    """

    values: dict[str, Tensor]
    measures: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Division:
    """The inner fit of one process among several that share a batch.

    It minimizes a mean over steps, so that losses and gradients of the processes, weighted by their
    shares, add up to those of the whole batch.

    Attributes:
        rows: Places of this process's clips in the batch, int64.
        steps: Which steps of these exist.
        shares: Of the batch's steps of each modality, how many are theirs, 0 to 1.
        add_up: Sums tensors over the processes.
    """

    rows: Tensor
    steps: Steps
    shares: Mapping[str, float]
    add_up: Callable[[Sequence[Tensor]], list[Tensor]]


class Objective(nn.Module):
    """One term of the sum.

    Subclasses define :meth:`term`, and what else they need. `forward` is for training loops of
    one's own and is not called by cmg.

    Args:
        options: Weight, and the term's own; None is what it has by default.

    Attributes:
        name: Its key in configurations.
        scope: ``batch`` for a term that compares clips: it is computed on the features of the whole
            batch. ``clip`` for a mean over clips, or over the steps of a modality, that is computed
            on some clips at a time, so that ranks and micro-batches can divide it; such a term
            gives a scalar or one per modality.
        needs: What must be computed for it: the private ``detail``, what is ``rebuilt`` from
            detail and codes, ``codes``, which a model without codebook has not, the features of
            a ``teacher``, which a model has if it is asked for (``model.teacher``), or the
            quantizer's own ``loss``, which few kinds have.
        of_some_steps: Whether a term that needs ``detail`` is content with that of the steps in
            `Encoded.drawn`, by their weights; with another ``training.private_steps`` is refused.
        by_default: Whether it is in the sum where a configuration does not name it.
        layer: Which layer of a model with a second one it is about: 0, or 1.
        shares_draws: Whether its random choices are the first of the step's own generator, whether
            or not it is in the sum. So it was for the paper's terms; others have a generator each.
        clipped: Whether ``optimizer.clip`` clips its weights' gradients at all.
        clip_group: Under which name ``optimizer.clip=per_part`` clips its weights.
        title: How reports call it.
        about: What it asks for, in half a sentence.
        remedy: An override that helps where a codebook collapses under it.
    """

    scope: ClassVar[Scope] = "batch"
    needs: ClassVar[frozenset[Need]] = frozenset()
    of_some_steps: ClassVar[bool] = False
    by_default: ClassVar[bool] = False
    layer: ClassVar[int] = 0
    shares_draws: ClassVar[bool] = False
    clip_group: ClassVar[str] = ""
    clipped: bool = True
    title: ClassVar[str] = ""
    about: ClassVar[str] = ""
    remedy: ClassVar[str] = ""

    def __init__(self, options: Any = None) -> None:
        super().__init__()
        own = [entry for entry in objectives.values() if entry.part is type(self)]
        self.name = own[0].name if own else "objective"
        default: type[Any] = own[0].options if own else TermOptions
        self.options: Any = default() if options is None else options

    @classmethod
    def build(
        cls, options: Any, modalities: Sequence[Modality], width: int, vectors: int
    ) -> Objective:
        """The objective of a model.

        Args:
            options: Of the class that it was registered with.
            modalities: Of the model.
            width: D of the features.
            vectors: Width of the quantized vectors; of some quantizers it is another.
        """
        return cls(options)

    @classmethod
    def draw(cls, generator: torch.Generator, names: Sequence[str], steps: Steps) -> Any:
        """What chance decides in a step, drawn on the host so that it can be replayed.

        Args:
            generator: On the CPU, seeded for this step.
            names: Modalities of the batch.
            steps: Which steps of the whole batch exist.
        """
        return None

    def prepare(self, batch: Batch, draw: Any, rows: Tensor) -> Batch:
        """The clips to be encoded: masked, for example. Clips stay in their places.

        Args:
            batch: Some clips of the step's batch.
            draw: Of :meth:`draw`.
            rows: Which ones, int64 CPU [b].
        """
        return batch

    def inner_optimizer(self) -> torch.optim.Optimizer | None:
        """Of weights that the main optimizer leaves alone and :meth:`fit` trains."""
        return None

    def fit(
        self, view: View, optimizer: torch.optim.Optimizer, division: Division | None
    ) -> dict[str, Tensor]:
        """Train the objective's own weights on a batch before the term is computed.

        Args:
            view: Of the whole batch; to be detached.
            optimizer: Of :meth:`inner_optimizer`.
            division: Which clips this process fits to, where others fit to the rest.

        Returns:
            Scalars for the log.
        """
        return {}

    def term(self, view: View, draw: Any) -> Term | Mapping[str, Tensor] | Tensor | None:
        """The value on a batch: a scalar, one per modality, or a :class:`Term`.

        Args:
            view: Features, codes and what is rebuilt.
            draw: Of :meth:`draw`.

        Returns:
            None where there is nothing to compute it on.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method term(view, draw)")

    def follow(self, view: View) -> None:
        """Change what the objective holds, a queue for example, after a step has been taken.

        Args:
            view: Of the whole batch, the same on all ranks.
        """

    def named(self, value: Term | Mapping[str, Tensor] | Tensor | None) -> Term:
        """What :meth:`term` gave, by the names of the log."""
        if isinstance(value, Term):
            return value
        if isinstance(value, Tensor):
            return Term({self.name: value})
        return Term({f"{self.name}/{key}": x for key, x in (value or {}).items()})

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.options!r}"


objectives: Registry[type[Objective]] = Registry("objective", Objective, TermOptions)
"""Objectives by name."""
objective = objectives.register
"""A class decorator: ``@objective(name, OptionsClass)``."""
