"""CLUB: an upper bound of what the private detail says about the content (paper Eq. 4).

A Gaussian q(y | x) is fitted to content x (quantized) and detail y with an optimizer of its own
before every step; the bound is then minimized by the encoders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cmg.errors import ConfigError
from cmg.masking import (
    ALL_STEPS,
    Drawn,
    DrawnSteps,
    at_steps,
    mean_over_steps,
    mean_over_time,
    step_weights,
)
from cmg.objectives.base import Division, Objective, TermOptions, View, objectives
from cmg.precision import full_precision
from cmg.types import Modality, Steps, sequences


class CLUBOptions(TermOptions):
    """The nets and their inner fit.

    Attributes:
        hidden: Width of the nets' hidden layers; 128 in the release.
        inner_steps: Fit steps before every training step; 5 as coded.
        lr: Of the fit's Adam; 1e-3 as coded.
        content: Which content detail is to tell nothing about: ``codes``, as quantized, or the
            ``features`` z themselves [as coded in FCID].
        averages: Over what squared errors and log-variances are averaged before the bound is
            taken: over ``time``, then clips [as coded]; or, of clips of one step, over
            ``features``, and the bounds of clips are added up [as coded in FCID].
    """

    hidden: int = Field(128, ge=1)
    inner_steps: int = Field(5, ge=0)
    lr: float = Field(1e-3, gt=0.0)
    content: Literal["codes", "features"] = "codes"
    averages: Literal["time", "features"] = "time"


def gaussian_net(in_width: int, hidden: int, out_width: int, *tail: nn.Module) -> nn.Sequential:
    """Four linear layers with ReLU between them, then `tail`."""
    return nn.Sequential(
        nn.Linear(in_width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, out_width),
        *tail,
    )


class Misfit(torch.autograd.Function):
    """(mean - y)^2 / variance + log-variance, summed over features: [B, T, S] -> [B, T].

    The inner fit takes its gradient ten times a step and more, so it is written out: in autograd's
    pieces it was most of the step's time outside matrix products.
    """

    @staticmethod
    def forward(ctx: Any, mean: Tensor, log_variance: Tensor, y: Tensor) -> Tensor:
        """The misfit; in place where a tensor is the function's own."""
        residual = mean - y
        slope = log_variance.exp()  # the variance, until the next line overwrites it
        torch.div(residual, slope, out=slope)
        square = residual.mul_(slope)
        ctx.save_for_backward(slope, square)
        return square.sum(-1) + log_variance.sum(-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Gradients 2 (mean - y) / variance, 1 - (mean - y)^2 / variance, and for y."""
        slope, square = ctx.saved_tensors
        gradient = gradients[0][..., None]
        of_mean = slope * (2.0 * gradient)
        of_log_variance = torch.addcmul(gradient, square, gradient, value=-1.0)
        return of_mean, of_log_variance, -of_mean if ctx.needs_input_grad[2] else None


class CLUB(nn.Module):
    """q(y | x) of one modality, with mean and log-variance nets.

    Args:
        content_width: D of x.
        detail_width: Width of y.
        hidden: Of the nets.
    """

    def __init__(self, content_width: int, detail_width: int, hidden: int) -> None:
        super().__init__()
        self.mean = gaussian_net(content_width, hidden, detail_width)
        self.log_variance = gaussian_net(content_width, hidden, detail_width, nn.Tanh())

    @full_precision
    def negative_log_likelihood(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """-log q(y | x) up to a constant, mean over steps: what the inner fit minimizes.

        Args:
            x: [B, T, D].
            y: [B, T, S].
            mask: Steps that exist, or weights; None if all do.

        Returns:
            A scalar.
        """
        log_variance = self.log_variance(x)
        misfit: Tensor = Misfit.apply(self.mean(x), log_variance, y)  # type: ignore[no-untyped-call]
        return 0.5 * mean_over_steps(misfit, mask)

    @full_precision
    def estimate(
        self,
        x: Tensor,
        y: Tensor,
        permutation: Tensor,
        mask: Tensor | None = None,
        averages: Literal["time", "features"] = "time",
        drawn: DrawnSteps | None = None,
    ) -> Tensor:
        """The bound: how much better y fits x than another clip's y does.

        As coded, squared errors and log-variances are averaged over time before the division. So
        errors may be of some steps without a bias, where log-variances, which need no detail, are
        of all.

        Args:
            x: Quantized content, [B, T, D].
            y: Private detail, [B, T, S], or of the drawn steps.
            permutation: Of the batch, int64 [B]: whose y is the negative.
            mask: Steps that exist; a negative counts where both clips have the step.
            averages: See :class:`CLUBOptions`.
            drawn: The steps that y is of; None for all.

        Returns:
            A scalar.

        Raises:
            ConfigError: averages over features of clips of several steps.
        """
        mean = self.mean(at_steps(x, drawn))
        if averages == "features":
            return self._of_single_steps(x, mean, y, permutation)
        variance = mean_over_time(self.log_variance(x), mask).exp()
        near = F.mse_loss(mean, y, reduction="none")
        positive = mean_over_time(near, step_weights(mask, drawn)) / variance
        both = None if mask is None else mask & mask[permutation]
        count = None
        if drawn is not None:  # content at the steps that were drawn for the other clip
            others = drawn.of_clips(permutation)
            mean = self.mean(others.at(x))
            if both is None:
                both = others.weights
            else:
                both, count = others.weights * others.at(both), both.sum(1)
        apart = F.mse_loss(mean, y[permutation], reduction="none")
        negative = mean_over_time(apart, both, count) / variance
        return 0.5 * (negative - positive).sum(-1).mean()

    def _of_single_steps(self, x: Tensor, mean: Tensor, y: Tensor, permutation: Tensor) -> Tensor:
        """The bound of inputs without an axis of time, whose axes the release takes for others."""
        if x.shape[1] != 1:
            raise ConfigError(
                f"averages=features is of clips of one step, and these have {x.shape[1]}; set "
                "averages=time"
            )
        variance = self.log_variance(x).mean(-1).exp()
        apart = F.mse_loss(mean, y[permutation], reduction="none").mean(-1)
        near = F.mse_loss(mean, y, reduction="none").mean(-1)
        bounds: Tensor = 0.5 * (apart - near) / variance
        return bounds.sum()


@objectives.register("club", CLUBOptions)
class CLUBGroup(Objective):
    """One CLUB per modality.

    Args:
        content_width: D.
        detail_widths: Width of what CLUB sees of each modality's detail.
        options: Width of the nets, and the fit.
    """

    needs = frozenset({"detail"})
    by_default = shares_draws = of_some_steps = True
    title = "CLUB"
    about = "code and private detail share little information (an upper bound is minimized)"
    remedy = "objectives.club.weight=0.1"

    def __init__(
        self,
        content_width: int,
        detail_widths: Mapping[str, int],
        options: CLUBOptions | None = None,
    ) -> None:
        options = options or CLUBOptions()
        super().__init__(options)
        self.nets = nn.ModuleDict(
            {m: CLUB(content_width, s, options.hidden) for m, s in detail_widths.items()}
        )

    @classmethod
    def build(
        cls, options: CLUBOptions, modalities: Sequence[Modality], width: int, vectors: int
    ) -> CLUBGroup:
        """Of a model's modalities."""
        return cls(vectors, {m.name: m.private_width for m in modalities}, options)

    @classmethod
    def draw(
        cls, generator: torch.Generator, names: Sequence[str], steps: Steps
    ) -> dict[str, Tensor]:
        """The negatives: a permutation of the clips that have the modality, for each."""
        return {
            m: torch.randperm(int((steps.length_of(m) > 0).sum()), generator=generator)
            for m in names
        }

    def inner_optimizer(self) -> torch.optim.Optimizer:
        """Adam over all nets; see :meth:`fit_nets`."""
        return torch.optim.Adam(self.parameters(), lr=self.options.lr, fused=True)

    def fit(
        self, view: View, optimizer: torch.optim.Optimizer, division: Division | None
    ) -> dict[str, Tensor]:
        """Fit the nets; their negative log-likelihoods, for the log."""
        nll = self.fit_nets(
            self.content(view),
            view.encoded.private,
            view.encoded.steps,
            optimizer,
            self.options.inner_steps,
            division,
            view.encoded.drawn,
        )
        return {f"club_nll/{m}": value for m, value in nll.items()}

    def term(self, view: View, draw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The bound per modality."""
        encoded, content = view.encoded, self.content(view)
        return self.forward(content, encoded.private, encoded.steps, draw, encoded.drawn)

    def content(self, view: View) -> dict[str, Tensor]:
        """What detail is to tell nothing about, of the modalities that have some."""
        features = self.options.content == "features"
        given = view.encoded.semantic if features else view.quantized.vectors
        return {m: x for m, x in given.items() if m in view.encoded.private}

    @full_precision
    def fit_nets(
        self,
        content: Mapping[str, Tensor],
        private: Mapping[str, Tensor],
        steps: Steps,
        optimizer: torch.optim.Optimizer,
        iterations: int,
        division: Division | None = None,
        drawn: Drawn = ALL_STEPS,
    ) -> dict[str, Tensor]:
        """Fit q(y | x) to this batch; gradients stop at content and detail.

        One Adam over all nets equals one per net, because Adam works element by element and nets
        of modalities the batch lacks get no gradient.

        Args:
            content: Quantized vectors, [B, T, D] per modality.
            private: What CLUB sees of the detail, [B, T, S], or of the drawn steps.
            steps: Which steps exist.
            optimizer: Of all nets.
            iterations: Steps of it.
            division: Which clips this process fits to, where others fit to the rest.
            drawn: The steps that detail is of.

        Returns:
            Negative log-likelihood per modality before the last iteration.
        """
        names = [m for m in content if steps.any(m)]
        pairs = {
            m: (at_steps(content[m].detach(), drawn.get(m)), private[m].detach()) for m in names
        }
        shares: Mapping[str, float] = dict.fromkeys(names, 1.0)
        if division is not None:
            rows, steps, shares = division.rows, division.steps, division.shares
            pairs = {m: (x[rows], y[rows]) for m, (x, y) in pairs.items()}
            drawn = {m: some.of_clips(rows) for m, some in drawn.items()}
        weights = {m: step_weights(steps.mask(m), drawn.get(m)) for m in names}
        losses: dict[str, Tensor] = {}
        for _ in range(iterations):
            optimizer.zero_grad(set_to_none=True)
            losses = {
                m: shares[m] * self._net(m).negative_log_likelihood(x, y, weights[m])
                for m, (x, y) in pairs.items()
                if shares[m]  # none of this process's clips may have it; each has some modality
            }
            torch.autograd.backward(torch.stack(list(losses.values())).sum())
            if division is not None:
                losses = self._added_up(names, losses, division)
            optimizer.step()
        return {m: loss.detach() for m, loss in losses.items()}

    def _added_up(
        self, names: Sequence[str], losses: Mapping[str, Tensor], division: Division
    ) -> dict[str, Tensor]:
        """Losses of all processes; their gradients are put where this one's were."""
        fitted = [p for m in names for p in self._net(m).parameters()]
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in fitted]
        none = fitted[0].new_zeros(())
        values = torch.stack([losses[m].detach() if m in losses else none for m in names])
        *grads, values = division.add_up([*own, values])
        for p, grad in zip(fitted, grads, strict=True):
            p.grad = grad
        return dict(zip(names, values, strict=True))

    def forward(
        self,
        content: Mapping[str, Tensor],
        private: Mapping[str, Tensor],
        steps: Steps | None = None,
        permutations: Mapping[str, Tensor] | None = None,
        drawn: Drawn = ALL_STEPS,
    ) -> dict[str, Tensor]:
        """The bound per modality that some clip has.

        Args:
            content: Straight-through quantized vectors, [B, T, D] per modality, or [N, D].
            private: What CLUB sees of the detail, [B, T, S], or [N, S].
            steps: Which steps exist; None for all.
            permutations: Of the clips that have the modality, int64 per modality; None draws them
                from torch's global generator.
            drawn: The steps that detail is of; of modalities without any, all.
        """
        content, private = sequences(content), sequences(private)
        steps = steps or Steps.of(content)
        if permutations is None:
            permutations = self.draw(torch.default_generator, list(content), steps)
        losses = {}
        for m in content:
            if not steps.any(m):
                continue
            x, y, mask, clips = content[m], private[m], steps.mask(m), steps.clips(m)
            some = drawn.get(m)
            if clips is not None and mask is not None:
                x, y, mask = x[clips], y[clips], mask[clips]
                some = some and some.of_clips(clips)
            permutation = permutations[m].to(x.device, non_blocking=True)
            how = self.options.averages
            losses[m] = self._net(m).estimate(x, y, permutation, mask, how, some)
        return losses

    def _net(self, modality: str) -> CLUB:
        net = self.nets[modality]
        assert isinstance(net, CLUB)
        return net
