"""The objectives of pre-training, composed by weight."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from cmg.codebook.codebook import SharedCodebook
from cmg.objectives.club import CLUBGroup, CLUBOptions
from cmg.objectives.cmcm import CMCMOptions, cmcm_loss
from cmg.objectives.commitment import CommitmentOptions, commitment_loss
from cmg.objectives.cross_cpc import CrossCPC, CrossCPCOptions
from cmg.objectives.draws import Draws
from cmg.objectives.reconstruction import ReconstructionOptions, reconstruction_loss
from cmg.options import Options
from cmg.process import seeded
from cmg.types import Encoded, Losses, Quantized


class ObjectiveOptions(Options):
    """The terms; ``null`` leaves one out, weight 0 computes and logs it."""

    reconstruction: ReconstructionOptions | None = ReconstructionOptions()
    commitment: CommitmentOptions | None = CommitmentOptions()
    cross_cpc: CrossCPCOptions | None = CrossCPCOptions()
    club: CLUBOptions | None = CLUBOptions()
    cmcm: CMCMOptions | None = CMCMOptions()

    def weights(self) -> dict[str, float | None]:
        """Weight of each term, None where it is left out."""
        return {
            name: None if (term := getattr(self, name)) is None else term.weight
            for name in type(self).model_fields
        }


class WeightedObjectives(nn.Module):
    """Every term of the paper; some of them own parameters.

    Args:
        private_widths: Width of what CLUB sees, per modality.
        width: D.
        options: Terms and weights.
        seed: Of the initial weights.
    """

    def __init__(
        self,
        private_widths: Mapping[str, int],
        width: int,
        options: ObjectiveOptions,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.options = options
        with seeded(seed):
            cpc, club = options.cross_cpc, options.club
            self.cross_cpc = CrossCPC(list(private_widths), width, cpc) if cpc else None
            self.club = CLUBGroup(width, private_widths, club.hidden) if club else None

    @property
    def need_detail(self) -> bool:
        """Whether a term reads the private detail."""
        return self.options.reconstruction is not None or self.options.club is not None

    @property
    def need_rebuilt(self) -> bool:
        """Whether a term reads what the decoders rebuild."""
        return self.options.reconstruction is not None

    def forward(
        self,
        encoded: Encoded,
        quantized: Quantized,
        rebuilt: Mapping[str, Tensor],
        codebook: SharedCodebook,
        draws: Draws,
    ) -> Losses:
        """Every term of a step, with the codes as they are before the update.

        Args:
            encoded: The encoders' features.
            quantized: Their codes.
            rebuilt: The decoders' outputs.
            codebook: For CMCM; not changed.
            draws: The step's random choices.

        Returns:
            Terms, weights and the predictive term's accuracies.
        """
        losses = Losses({}, {})
        options, steps, semantic = self.options, encoded.steps, encoded.semantic
        if options.reconstruction is not None:
            detach = options.reconstruction.detach_token_target
            per_modality = reconstruction_loss(encoded.inputs, rebuilt, steps, detach)
            add(losses, "reconstruction", options.reconstruction.weight, per_modality)
        if options.commitment is not None:
            per_modality = commitment_loss(semantic, quantized.codes, steps, options.commitment)
            add(losses, "commitment", options.commitment.weight, per_modality)
        if options.cross_cpc is not None and self.cross_cpc is not None:
            result = self.cross_cpc(semantic, steps, draws.cpc)
            weight = options.cross_cpc.weight
            add(losses, "cross_cpc", weight, result.cross_cpc)
            add(losses, "same_step_nce", weight, result.same_step_nce)
            losses.measures |= {f"cpc_accuracy/{k}": v for k, v in result.accuracy.items()}
        if options.club is not None and self.club is not None:
            vectors, private = quantized.vectors, encoded.private
            per_modality = self.club(vectors, private, steps, draws.permutations)
            add(losses, "club", options.club.weight, per_modality)
        if options.cmcm is not None:
            value = cmcm_loss(semantic, codebook.codes, steps, options.cmcm.floor)
            add(losses, "cmcm", options.cmcm.weight, value)
        return losses


def add(
    losses: Losses, name: str, weight: float, value: Tensor | Mapping[str, Tensor] | None
) -> None:
    """Enter a term, or one per modality; None (nothing to compute it on) enters nothing."""
    if value is None:
        return
    named = {name: value} if isinstance(value, Tensor) else value
    for key, term in named.items():
        full = name if isinstance(value, Tensor) else f"{name}/{key}"
        losses.terms[full], losses.weights[full] = term, weight
