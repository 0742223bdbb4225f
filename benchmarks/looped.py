"""A pre-training step as a plain script writes it: float64, loops over clips, codes and nets.

The baseline of the ratios in README.md. Encoders, decoders, context LSTMs and CLUB's nets are the
same modules as ours with the library's convolutions, because nobody would loop there; the codebook,
Cross-CPC, CLUB, CMCM, gradient clipping and the log are written out again in loops, and Adam is
torch's loop over parameters. On complete batches it gives the numbers of
:func:`cmg.training.step.pretraining_step`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.looped_codebook import LoopedCodebook, usage
from cmg.convolutions.forms import Library
from cmg.objectives.club import CLUB, CLUBGroup
from cmg.objectives.commitment import CommitmentOptions
from cmg.objectives.cross_cpc import CrossCPC
from cmg.objectives.draws import Draws
from cmg.training.state import TrainingState
from cmg.types import Batch, Encoded, Quantized

Values = dict[str, Tensor]


class LoopedTraining:
    """What the looped step carries: the modules of a training state, and loops around them.

    Args:
        state: A fresh state in float64 (or float32, to tell what the dtype gives); its modules are
            trained, its codebook and optimizers left alone.
    """

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        self.book = LoopedCodebook(state.model.codebook)
        lr = state.options.lr
        self.optimizer = plain_adam([p for _, p in state.named_parameters()], lr)
        self.club_optimizers = {}
        if "club" in state.objectives:
            group = state.objectives["club"]
            assert isinstance(group, CLUBGroup)
            self.club_optimizers = {
                m: plain_adam(net.parameters(), group.options.lr) for m, net in group.nets.items()
            }

    def step(self, batch: Batch, draws: Draws) -> dict[str, float]:
        """Train on one complete batch; the log is that of our step."""
        model, objectives = self.state.model, self.state.objectives
        with library_convolutions():
            encoded = model.represent(batch, objectives.need("detail"))
        indices = self.book.lookup(encoded.semantic)
        quantized = self.quantized(encoded, indices)
        with library_convolutions():
            rebuilt = model.reconstruct(encoded, quantized)
        measures = self.fit_club(encoded, quantized)
        terms = self.terms(encoded, quantized, rebuilt, draws, measures)
        weights = objectives.chosen.weights()
        total = sum((weights[name.split("/")[0]] or 0.0) * x for name, x in terms.items())
        assert isinstance(total, Tensor)
        self.optimizer.zero_grad()
        torch.autograd.backward(total)
        log = {f"loss/{name}": value.item() for name, value in terms.items()}
        log |= {name: value.item() for name, value in measures.items()}
        log |= {"loss/total": total.item()} | self.clip_gradients()
        log |= usage(indices, model.size)
        self.optimizer.step()
        self.book.update(quantized.semantic, indices, draws.reset)
        return log

    def quantized(self, encoded: Encoded, indices: dict[str, list[list[int]]]) -> Quantized:
        """Codes and straight-through vectors, token by token."""
        codes, vectors = {}, {}
        for m, z in encoded.semantic.items():
            rows = [torch.stack([self.book.codes[k] for k in row]) for row in indices[m]]
            codes[m] = torch.stack(rows)
            vectors[m] = z + (codes[m] - z).detach()
        as_tensors = {m: torch.tensor(rows) for m, rows in indices.items()}
        detached = {m: z.detach() for m, z in encoded.semantic.items()}
        return Quantized(as_tensors, codes, vectors, detached, encoded.steps)

    def fit_club(self, encoded: Encoded, quantized: Quantized) -> Values:
        """CLUB's inner fit, one net and its Adam after the other."""
        options, losses = self.state.objectives.chosen.club, {}
        for m, optimizer in self.club_optimizers.items():
            assert options is not None
            net, x, y = self.net(m), quantized.vectors[m].detach(), encoded.private[m].detach()
            for _ in range(options.inner_steps):
                optimizer.zero_grad()
                mean, log_variance = net.mean(x), net.log_variance(x)
                likelihood = (-((mean - y) ** 2) / log_variance.exp() - log_variance) / 2
                loss = -likelihood.sum(-1).mean()
                torch.autograd.backward(loss)
                optimizer.step()
                losses[f"club_nll/{m}"] = loss
        return losses

    def net(self, modality: str) -> CLUB:
        """CLUB's net of a modality."""
        group = self.state.objectives["club"]
        assert isinstance(group, CLUBGroup)
        net = group.nets[modality]
        assert isinstance(net, CLUB)
        return net

    def terms(
        self,
        encoded: Encoded,
        quantized: Quantized,
        rebuilt: Values,
        draws: Draws,
        measures: Values,
    ) -> Values:
        """The terms of the loss; accuracies go to `measures`."""
        options, semantic, terms = self.state.objectives.chosen, encoded.semantic, {}
        if options.reconstruction is not None:
            for m, x in encoded.inputs.items():
                target = x.detach() if options.reconstruction.detach_token_target else x
                terms[f"reconstruction/{m}"] = ((rebuilt[m] - target) ** 2).mean()
        if options.commitment is not None:
            for m in semantic:
                value = looped_commitment(m, semantic, quantized.codes, options.commitment)
                terms[f"commitment/{m}"] = value
        if "cross_cpc" in self.state.objectives:
            cpc = self.state.objectives["cross_cpc"]
            assert isinstance(cpc, CrossCPC)
            terms["cross_cpc"] = looped_cpc(cpc, semantic, draws.terms["cross_cpc"], measures)
        for m in self.club_optimizers:
            x, y = quantized.vectors[m], encoded.private[m]
            terms[f"club/{m}"] = looped_club(self.net(m), x, y, draws.terms["club"][m])
        if options.cmcm is not None:
            terms["cmcm"] = looped_cmcm(semantic, self.book.codes, options.cmcm.floor)
        return terms

    def clip_gradients(self) -> dict[str, float]:
        """Norms before clipping; clips parameter by parameter."""
        options, norms = self.state.options, {}
        groups = {
            name: [p for p in group if p.grad is not None]
            for name, group in self.state.parts().items()
        }
        if options.clip != "per_part":
            groups = {"all": [p for group in groups.values() for p in group]}
        for name, group in groups.items():
            square = 0.0
            for p in group:
                assert p.grad is not None
                square += (p.grad**2).sum().item()
            norms[f"gradient_norm/{name}"] = norm = square**0.5
            if options.clip != "none":
                for p in group:
                    assert p.grad is not None
                    p.grad *= min(1.0, options.clip_norm / (norm + 1e-6))
        return norms


@contextmanager
def library_convolutions() -> Iterator[None]:
    """All convolutions by the library, whatever form would be faster."""
    with patch("cmg.encoders.detail.form_for", lambda *_: Library()):
        yield


def plain_adam(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Adam:
    """Torch's Adam in its plain form: a loop over parameters."""
    return torch.optim.Adam(list(parameters), lr=lr, foreach=False, fused=False)


def looped_commitment(
    m: str, semantic: Mapping[str, Tensor], codes: Values, options: CommitmentOptions
) -> Tensor:
    """Pull of one modality's features towards its own and its partners' codes."""
    scale = options.beta * (1.0 if options.form == "as_coded" else 0.5)
    loss = 2 * scale * ((semantic[m] - codes[m]) ** 2).mean()
    for n in semantic:
        if n != m:
            loss = loss + scale / (len(semantic) - 1) * ((semantic[m] - codes[n]) ** 2).mean()
    return loss


def looped_cpc(
    cpc: CrossCPC, semantic: Mapping[str, Tensor], draw: float, measures: Values
) -> Tensor:
    """Cross-CPC pair by pair, clip by clip."""
    options = cpc.options
    clips, length, _ = next(iter(semantic.values())).shape
    choices = length - options.prediction_steps - options.min_start
    t = options.min_start + min(int(draw * choices), choices - 1)
    zero = next(iter(semantic.values())).new_zeros(())
    total = zero
    for k in range(options.prediction_steps):
        for a, z in semantic.items():
            for b, partner in semantic.items():
                context = cpc.context[b](partner[:, : t + 1])[0][:, -1]
                predicted = cpc.predictors[b][k](context)  # type: ignore[index]
                loss = zero
                softmax = []
                for i in range(clips):
                    row = z[i, t + k + 1] @ predicted.T
                    loss = loss - row.log_softmax(0)[i]
                    softmax.append(row.detach().softmax(0))
                weight = options.self_weight if a == b else 1.0
                total = total + weight * loss / clips
                hits = [int(torch.stack(softmax)[:, j].argmax()) == j for j in range(clips)]
                measures[f"cpc_accuracy/{a}_from_{b}"] = torch.tensor(sum(hits) / clips)
    return total / options.prediction_steps


def looped_club(net: CLUB, x: Tensor, y: Tensor, permutation: Tensor) -> Tensor:
    """CLUB's bound clip by clip."""
    mean, log_variance = net.mean(x), net.log_variance(x)
    total = x.new_zeros(())
    for b in range(len(x)):
        variance = log_variance[b].mean(0).exp()
        positive = -((mean[b] - y[b]) ** 2).mean(0) / variance
        negative = -((mean[b] - y[int(permutation[b])]) ** 2).mean(0) / variance
        total = total + (positive - negative).sum()
    return total / len(x) / 2


def looped_cmcm(semantic: Mapping[str, Tensor], codes: Tensor, floor: float) -> Tensor:
    """CMCM: code distributions clip by clip, scores pair of clips by pair of clips."""
    shares = {}
    for m, z in semantic.items():
        rows = []
        for clip in z:
            square = (clip**2).sum(1, keepdim=True) + (codes**2).sum(1) - 2 * clip @ codes.T
            rows.append((-square.sqrt()).softmax(1).mean(0))
        shares[m] = rows
    total = codes.new_zeros(())
    for a, b in combinations(shares, 2):
        log_a = [(p + 1e-10).log() for p in shares[a]]
        log_b = [(p + 1e-10).log() for p in shares[b]]
        clips = range(len(log_a))
        score = torch.stack(
            [
                torch.stack([shares[a][i] @ log_b[j] + shares[b][i] @ log_a[j] for j in clips])
                for i in clips
            ]
        )
        least, loss = score.min(), codes.new_zeros(())
        for i in clips:
            loss = loss + ((score[i] - least).exp().sum() + floor).log() - (score[i, i] - least)
        total = total + loss / len(clips)
    return total / 2
