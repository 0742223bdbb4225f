"""What training carries from step to step: model, objectives and their optimizers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cmg.masking import ALL_STEPS, Drawn
from cmg.models.options import ModelOptions
from cmg.models.second import Layer, first_modalities, second_modalities
from cmg.models.unified import UnifiedModel
from cmg.objectives.options import ObjectiveOptions
from cmg.objectives.weighted import WeightedObjectives
from cmg.training.optimizer import OptimizerOptions, build_optimizer
from cmg.training.options import Precision
from cmg.types import Batch, Encoded, Modality, Quantized

Named = list[tuple[str, nn.Parameter]]


class TrainingState:
    """Model, objectives, the main Adam, and the optimizers of inner fits.

    Args:
        modalities: Declarations.
        model: Options of the model.
        objectives: Terms and weights.
        optimizer: Adam, clipping, schedule.
        precision: ``float32``; ``bf16`` runs detail encoders and decoders under autocast and keeps
            weights, content, codebook and objectives in float32; ``float64`` for parity.
        seed: Of the initial weights.
        device: Where training runs.
        recompute_maps: See :class:`cmg.training.options.TrainingOptions`.

    Attributes:
        inner: Optimizers of the objectives that fit weights of their own, by name.
        learns: False for the control whose encoders stay as they are: only codes move.
        passes: How often a step encodes its batch; codes move after each.

    Raises:
        ConfigError: a term needs codes that the model has not.
    """

    def __init__(
        self,
        modalities: Sequence[Modality],
        model: ModelOptions,
        objectives: ObjectiveOptions,
        optimizer: OptimizerOptions,
        precision: Precision = "float32",
        seed: int = 0,
        device: torch.device | str = "cpu",
        recompute_maps: bool = False,
    ) -> None:
        self.learns, self.passes = True, 1
        self.precision = precision
        self.device = torch.device(device)
        dtype = torch.float64 if precision == "float64" else torch.float32
        self.model = UnifiedModel(modalities, model, seed).to(self.device, dtype)
        self.model.recompute_maps = recompute_maps
        book = self.model.codebook
        divided = first_modalities(modalities, model.second)
        second = second_modalities(modalities, model.second, model.width)
        vectors = model.width if second else book.width
        reads = None if model.second is None else model.second.reads
        self.objectives = WeightedObjectives(
            divided, model.width, objectives, seed + 1, vectors, second
        )
        self.objectives.check(book, self.model.teacher is not None, reads)
        self.objectives.to(self.device, dtype)
        made = {name: term.inner_optimizer() for name, term in self.objectives.terms()}
        self.inner = {name: own for name, own in made.items() if own is not None}
        self._inner = {p for own in self.inner.values() for p in parameters_of(own)}
        self.options = optimizer
        trained = [p for _, p in self.named_parameters()]
        self.optimizer = build_optimizer(trained, optimizer)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """What the main Adam trains, by the parts the published recipe clips on their own."""
        modules = self.model.parts()
        for name, term in self.objectives.terms():
            modules.setdefault(term.clip_group or name, []).append(term)
        own = {
            name: [p for module in group for p in module.parameters() if p not in self._inner]
            for name, group in modules.items()
        }
        return {name: group for name, group in own.items() if group}

    def named_parameters(self) -> Named:
        """Parameters of the main Adam; inner fits have their own."""
        named = [(f"model.{n}", p) for n, p in self.model.named_parameters()]
        named += [(f"objectives.{n}", p) for n, p in self.objectives.named_parameters()]
        return [(n, p) for n, p in named if p.requires_grad and p not in self._inner]

    def optimizers(self) -> list[tuple[str, torch.optim.Optimizer, Named]]:
        """(name in files, optimizer, its named parameters) of the main one and of inner fits."""
        every: list[tuple[str, torch.optim.Optimizer, Named]] = [
            ("optimizer", self.optimizer, self.named_parameters())
        ]
        for name, optimizer in self.inner.items():
            fitted = set(parameters_of(optimizer))
            named = self.objectives[name].named_parameters()
            every.append(
                (f"{name}_optimizer", optimizer, [(n, p) for n, p in named if p in fitted])
            )
        return every

    def shared(self) -> list[Tensor]:
        """What no gradient of the main loss moves: codes, queues and the weights of inner fits."""
        return [
            *self.model.codebook.buffers(),
            *self.objectives.buffers(),
            *(p for o in self.inner.values() for p in parameters_of(o)),
        ]

    def autocast(self) -> AbstractContextManager[Any]:
        """bf16 autocast for the private path: detail encoders and decoders; or nothing."""
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def represent(self, batch: Batch, drawn: Drawn = ALL_STEPS) -> Encoded:
        """Content z and, where a term reads it, private detail of some clips at `drawn` steps."""
        if not self.learns:
            return Encoded({}, self.model.semantics(batch), {}, {}, batch.steps)
        with self.autocast():
            need = self.objectives.need
            return self.model.represent(batch, need("detail"), need("teacher"), drawn)

    def reconstruct(
        self, encoded: Encoded, quantized: Quantized, layer: int = 0
    ) -> Mapping[str, Tensor]:
        """What codes and detail of a layer rebuild, where a term reads it."""
        if not (self.learns and self.objectives.need("rebuilt")):
            return {}
        with self.autocast():
            of = self.model.second if layer and self.model.second is not None else self.model
            return of.reconstruct(encoded, quantized)

    def layers(self, encoded: Encoded, quantized: Quantized) -> Sequence[Layer]:
        """What terms of each layer read; empty of a model with one."""
        if self.model.second is None or not encoded.layers:
            return ()
        return self.model.second.layers(encoded, quantized, self.model.codebook)

    def rebuild(self, encoded: Encoded, modality: str, content: Tensor, layer: int = 0) -> Tensor:
        """See :meth:`UnifiedModel.rebuild`; for terms that give decoders other content."""
        of = self.model.second if layer and self.model.second is not None else self.model
        with self.autocast():
            return of.rebuild(encoded, modality, content)

    def clip_gradients(self) -> dict[str, Tensor]:
        """Clip as the options say; gradient norms before clipping, for the log."""
        free = {p for _, t in self.objectives.terms() if not t.clipped for p in t.parameters()}
        groups = {
            name: [p for p in group if p.grad is not None and p not in free]
            for name, group in self.parts().items()
        }
        if self.options.clip != "per_part":
            groups = {"all": [p for group in groups.values() for p in group]}
        limit = float("inf") if self.options.clip == "none" else self.options.clip_norm
        return {
            f"gradient_norm/{name}": nn.utils.clip_grad_norm_(group, limit)
            for name, group in groups.items()
            if group  # a part may have no gradient: decoders without reconstruction
        }


def parameters_of(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    """What an optimizer trains."""
    return [p for group in optimizer.param_groups for p in group["params"]]
