"""What a quantizer asks for itself: the loss of a kind that has one."""

from __future__ import annotations

from torch import Tensor

from cmg.objectives.base import Objective, TermOptions, View, objectives


@objectives.register("quantizer_loss", TermOptions)
class QuantizerLoss(Objective):
    """:meth:`cmg.codebook.quantizer.Quantizer.loss` as a term; its parts are weighed there."""

    needs = frozenset({"codes", "loss"})
    title = "loss of the quantizer"
    about = "what the kind of quantizer itself asks for, of features and of its own weights"

    def term(self, view: View, draw: None) -> Tensor:
        """The loss on the whole batch."""
        return view.quantizer.loss(view.encoded.semantic, view.encoded.steps)
