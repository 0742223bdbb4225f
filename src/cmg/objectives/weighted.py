"""The sum of the objectives that training minimizes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn

from cmg.codebook.quantizer import Quantizer, quantizers
from cmg.errors import ConfigError
from cmg.objectives.base import Division, Need, Objective, Scope, Term, View, objectives
from cmg.objectives.options import ObjectiveOptions
from cmg.process import seeded
from cmg.registry import PluginError
from cmg.types import Batch, Losses, Modality

SCOPES: tuple[Scope, ...] = get_args(Scope)
NEEDS: tuple[Need, ...] = get_args(Need)
BROKEN = (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError)
"""What a term that is not written well raises; want of memory, say, is not its fault."""


class WeightedObjectives(nn.ModuleDict):
    """Objectives by name; some of them have weights of their own.

    Args:
        modalities: Of the model.
        width: D.
        options: Which terms, and theirs.
        seed: Of the initial weights.
        vectors: Width of the quantized vectors; None is D.
        second: What a second layer of the model divides; empty without one.
    """

    def __init__(
        self,
        modalities: Sequence[Modality],
        width: int,
        options: ObjectiveOptions,
        seed: int = 0,
        vectors: int | None = None,
        second: Sequence[Modality] = (),
    ) -> None:
        super().__init__()
        self.chosen = options
        with seeded(seed):
            for name, own in options.terms.items():
                if hasattr(self, name):
                    raise PluginError(f"objective {name!r}: torch.nn has taken the name")
                part = objectives[name].part
                if part.layer and not second:
                    raise ConfigError(
                        f"objectives.{name} is about a second layer, which the model has not; set "
                        f"model.second, or objectives.{name}=null"
                    )
                given = second if part.layer else modalities
                term = part.build(own, given, width, vectors or width)
                check_declared(name, term)
                term.name, self[name] = name, term

    def terms(self) -> Iterator[tuple[str, Objective]]:
        """The objectives by name, typed."""
        for name, term in self.items():
            assert isinstance(term, Objective)
            yield name, term

    def need(self, what: str) -> bool:
        """Whether a term reads ``detail``, what is ``rebuilt``, or another of its needs."""
        return any(what in term.needs for _, term in self.terms())

    def check(self, quantizer: Quantizer, teacher: bool = False, second: str | None = None) -> None:
        """Refuse terms that need codes, a loss, or a teacher, of a model that has none.

        Raises:
            ConfigError: naming them; or a second layer that no term trains.
        """
        if second is not None:
            self._check_layers(second)
        taught = [name for name, term in self.terms() if "teacher" in term.needs]
        if taught and not teacher:
            raise ConfigError(
                f"objectives.{taught[0]} needs teachers, and model.teacher=0 has none; set "
                f"model.teacher=0.995, or {' '.join(f'objectives.{x}=null' for x in taught)}"
            )
        idle = [name for name, term in self.terms() if "codes" in term.needs]
        if quantizer.levels == 0 and idle:
            remedies = [
                f"objectives.{name}" + (".of=[features]" if hasattr(own, "of") else "=null")
                for name, own in self.chosen.terms.items()
                if name in idle
            ]
            raise ConfigError(
                f"objectives.{idle[0]} needs codes, but model.codebook.kind={quantizer.kind} has "
                f"none; set {' '.join(remedies)}"
            )
        for name, term in self.terms():
            if "loss" in term.needs and not quantizer.has_loss:
                kinds = [kind for kind, entry in quantizers.items() if entry.part.has_loss]
                raise ConfigError(
                    f"objectives.{name} needs a quantizer with a loss of its own, and "
                    f"model.codebook.kind={quantizer.kind} has none; set objectives.{name}=null, "
                    f"or a kind that has one ({', '.join(kinds)})"
                )

    def _check_layers(self, second: str) -> None:
        of_first = {name: term for name, term in self.terms() if not term.layer}
        if len(of_first) == len(self):
            raise ConfigError(
                "model.second is trained by objectives.second_layer, which is left out; give it, "
                "or set model.second=null"
            )
        idle = [name for name, term in of_first.items() if "codes" in term.needs]
        if second == "clips" and idle:
            raise ConfigError(
                f"objectives.{idle[0]} needs codes, and with model.second.reads=clips the second "
                f"layer alone has some; set objectives.{idle[0]}=null, or name it in "
                "objectives.second_layer.terms"
            )

    def prepare(self, batch: Batch, draws: Mapping[str, Any], rows: Tensor) -> Batch:
        """The clips to be encoded; see :meth:`Objective.prepare`."""
        for name, term in self.terms():
            batch = term.prepare(batch, draws.get(name), rows)
        return batch

    def fit(
        self,
        view: View,
        optimizers: Mapping[str, torch.optim.Optimizer],
        division: Division | None,
        epoch: float = 0.0,
    ) -> dict[str, Tensor]:
        """The inner fits on a batch, of terms that have started; scalars for the log."""
        found: dict[str, Tensor] = {}
        for name, term in self.terms():
            if name in optimizers and epoch >= term.options.start_epoch:
                found |= term.fit(view.of_layer(term.layer), optimizers[name], division)
        return found

    def follow(self, view: View) -> None:
        """Every objective's own, after a step; see :meth:`Objective.follow`."""
        for _, term in self.terms():
            term.follow(view.of_layer(term.layer))

    def forward(
        self,
        draws: Mapping[str, Any],
        epoch: float,
        view: View,
        scopes: Collection[Scope] = SCOPES,
    ) -> Losses:
        """Every term of a step.

        Args:
            draws: The step's random choices, by term.
            epoch: Epochs done, for weights that start later or rise.
            view: Features and codes as they are before the update.
            scopes: Terms of these scopes only.

        Returns:
            Terms, weights and measures.

        Raises:
            ConfigError: a term with a weight gives a value without a gradient.
        """
        losses = Losses({}, {})
        for name, term in self.terms():
            if term.scope not in scopes:
                continue
            weight, own = term.options.weight_at(epoch), view.of_layer(term.layer)
            try:
                found = term.named(term.term(own, draws.get(name)))
            except BROKEN as error:
                told = f"{type(error).__name__}: {error}"
                raise ConfigError(f"objective {name} cannot be computed: {told}") from error
            if term.scope == "clip":
                check_clip_term(found, name, own.encoded.semantic)
            for key, value in found.values.items():
                check_value(name, key, value, weight)
                losses.terms[key], losses.weights[key] = value, weight
            losses.measures |= found.measures
        return losses


def check_declared(name: str, term: Objective) -> None:
    """Refuse a scope or need that nothing would compute.

    Raises:
        PluginError: naming those that there are.
    """
    if term.scope not in SCOPES or not term.needs.issubset(NEEDS):
        raise PluginError(
            f"objective {name}: its scope is {' or '.join(SCOPES)}, got {term.scope!r}, and its "
            f"needs are some of {', '.join(NEEDS)}, got {', '.join(sorted(term.needs)) or 'none'}"
        )


def check_clip_term(found: Term, name: str, modalities: Iterable[str]) -> None:
    """Refuse what ranks and micro-batches could not put together again.

    Raises:
        ConfigError: values other than the term's own or its modalities', or measures.
    """
    known = {name, *(f"{name}/{m}" for m in modalities)}
    odd = sorted((found.values.keys() - known) | found.measures.keys())
    if odd:
        raise ConfigError(
            f"objective {name}: a term of scope clip gives a scalar or one per modality and "
            f"nothing beside, got {', '.join(odd)}; leave that out, or make its scope batch"
        )


def check_value(name: str, key: str, value: object, weight: float) -> None:
    """Refuse what cannot be added to the sum.

    Raises:
        ConfigError: it is no scalar, or has no gradient though it has a weight.
    """
    if not isinstance(value, Tensor) or value.dim():
        shape = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ConfigError(f"objective {name}: {key} must be a tensor without axes, got {shape}")
    if weight and torch.is_grad_enabled() and not value.requires_grad:
        raise ConfigError(
            f"objective {name}: {key} has no gradient, so it can train nothing; compute it from "
            f"features that are not detached, or set objectives.{name}.weight=0"
        )
