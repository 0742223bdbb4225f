"""Objectives from outside the package, as a user would write them: a plugin of the tests."""

from __future__ import annotations

from itertools import combinations

import torch
from pydantic import Field
from torch.nn import Linear
from torch.nn.functional import cross_entropy, mse_loss, normalize

from cmg.masking import mean_over_steps, mean_over_time
from cmg.objectives import Objective, TermOptions, objectives


class ClipNCEOptions(TermOptions):
    """InfoNCE between the clips of two modalities."""

    temperature: float = Field(0.1, gt=0.0)


@objectives.register("clip_nce", ClipNCEOptions)
class ClipNCE(Objective):
    """A term that compares clips."""

    title = "clip InfoNCE"
    about = "of all clips the paired one is nearest"

    def term(self, view, draw):
        steps, found = view.encoded.steps, []
        clips = {m: mean_over_time(z, steps.mask(m)) for m, z in view.encoded.semantic.items()}
        for a, b in combinations(clips, 2):
            if not steps.any(a, b):
                continue
            both = steps.clips(a, b)
            rows = slice(None) if both is None else both
            x, y = normalize(clips[a][rows], dim=1), normalize(clips[b][rows], dim=1)
            scores = x @ y.T / self.options.temperature
            paired = torch.arange(len(scores), device=scores.device)
            found += [cross_entropy(scores, paired), cross_entropy(scores.T, paired)]
        return torch.stack(found).sum() if found else None


class MaskedOptions(TermOptions):
    """Hides steps of the input."""

    share: float = Field(0.3, ge=0.0, lt=1.0)


@objectives.register("masked", MaskedOptions)
class Masked(Objective):
    """A mean over steps with weights of its own, on clips some of whose values are hidden."""

    scope = "clip"

    def __init__(self, options, width):
        super().__init__(options)
        self.predict = Linear(width, width)

    @classmethod
    def build(cls, options, modalities, width, vectors):
        return cls(options, width)

    @classmethod
    def draw(cls, generator, names, steps):
        return torch.rand(steps.batch_size, steps.length, generator=generator)

    def prepare(self, batch, draw, rows):
        keep = (draw[rows] >= self.options.share).to(next(iter(batch.features.values())))
        shown = {
            m: x * keep.view(*keep.shape, *[1] * (x.dim() - 2)) for m, x in batch.features.items()
        }
        return type(batch)(shown, batch.lengths, batch.ids)

    def term(self, view, draw):
        steps, found = view.encoded.steps, {}
        for m, z in view.encoded.semantic.items():
            if steps.any(m):
                error = mse_loss(self.predict(z), z.detach(), reduction="none")
                found[m] = mean_over_steps(error, steps.mask(m))
        return found


@objectives.register("critic", TermOptions)
class Critic(Objective):
    """An adversary with an optimizer of its own: features should not tell their modality."""

    def __init__(self, options, width, modalities):
        super().__init__(options)
        self.guess = Linear(width, modalities)

    @classmethod
    def build(cls, options, modalities, width, vectors):
        return cls(options, width, len(modalities))

    def inner_optimizer(self):
        return torch.optim.Adam(self.parameters(), lr=1e-2)

    def loss(self, semantic):
        rows = [mean_over_time(z, None) for z in semantic.values()]
        which = torch.arange(len(rows), device=rows[0].device).repeat_interleave(len(rows[0]))
        return cross_entropy(self.guess(torch.cat(rows)), which)

    def fit(self, view, optimizer, division):
        optimizer.zero_grad()
        loss = self.loss({m: z.detach() for m, z in view.encoded.semantic.items()})
        loss.backward()
        optimizer.step()
        return {"critic_fit": loss.detach()}

    def term(self, view, draw):
        return -self.loss(view.encoded.semantic)
