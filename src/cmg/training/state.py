"""What training carries from step to step: model, objectives and their optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cmg.models.unified import ModelOptions, UnifiedModel
from cmg.objectives.club import Division
from cmg.objectives.weighted import ObjectiveOptions, WeightedObjectives
from cmg.training.optimizer import OptimizerOptions, adam
from cmg.training.options import Precision
from cmg.types import Encoded, Kind, Modality, Quantized


class TrainingState:
    """Model, objectives, and the two Adams.

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
        self.precision = precision
        self.device = torch.device(device)
        dtype = torch.float64 if precision == "float64" else torch.float32
        self.model = UnifiedModel(modalities, model, seed).to(self.device, dtype)
        self.model.recompute_maps = recompute_maps
        seen = {m.name: private_width(m) for m in modalities}
        self.objectives = WeightedObjectives(seen, model.width, objectives, seed + 1)
        self.objectives.to(self.device, dtype)
        self.options = optimizer
        self.optimizer = adam([p for _, p in self.named_parameters()], optimizer.lr)
        club = objectives.club
        self.club_optimizer = (
            adam(list(self.objectives.club.parameters()), club.lr)
            if club is not None and self.objectives.club is not None
            else None
        )

    def parts(self) -> dict[str, list[nn.Module]]:
        """What the main Adam trains, by the parts the published recipe clips on their own."""
        parts = self.model.parts()
        if self.objectives.cross_cpc is not None:
            parts["cpc"] = [self.objectives.cross_cpc]
        return parts

    def named_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters of the main Adam (CLUB's nets have their own)."""
        named = [(f"model.{n}", p) for n, p in self.model.named_parameters()]
        objective = self.objectives.named_parameters()
        named += [(f"objectives.{n}", p) for n, p in objective if not n.startswith("club.")]
        return named

    def autocast(self) -> AbstractContextManager[Any]:
        """bf16 autocast for the private path: detail encoders and decoders; or nothing."""
        if self.precision != "bf16":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def fit_club(
        self, encoded: Encoded, quantized: Quantized, division: Division | None = None
    ) -> dict[str, Tensor]:
        """CLUB's inner fit on this batch; its negative log-likelihoods, for the log.

        Args:
            encoded: Of the whole batch.
            quantized: Likewise.
            division: Among the processes that fit together.
        """
        club, options = self.objectives.club, self.objectives.options.club
        if club is None or options is None or self.club_optimizer is None:
            return {}
        nll = club.fit(
            quantized.vectors,
            encoded.private,
            encoded.steps,
            self.club_optimizer,
            options.inner_steps,
            division,
        )
        return {f"club_nll/{m}": value for m, value in nll.items()}

    def clip_gradients(self) -> dict[str, Tensor]:
        """Clip as the options say; gradient norms before clipping, for the log."""
        groups = {
            name: [p for module in modules for p in module.parameters() if p.grad is not None]
            for name, modules in self.parts().items()
        }
        if self.options.clip != "per_part":
            groups = {"all": [p for group in groups.values() for p in group]}
        limit = float("inf") if self.options.clip == "none" else self.options.clip_norm
        return {
            f"gradient_norm/{name}": nn.utils.clip_grad_norm_(group, limit)
            for name, group in groups.items()
            if group  # a part may have no gradient: decoders without reconstruction
        }


def private_width(modality: Modality) -> int:
    """Width of what CLUB sees of a modality's detail."""
    return modality.channels if modality.kind is Kind.MAPS else modality.detail_width
