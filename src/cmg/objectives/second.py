"""What trains the second layer of a model: terms of its own, under one weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from cmg.errors import ConfigError
from cmg.objectives.base import Division, Objective, Term, TermOptions, View, objectives
from cmg.objectives.club import CLUBGroup
from cmg.objectives.options import ObjectiveOptions
from cmg.registry import Entry
from cmg.types import Encoded, Kind, Modality, Quantized, Steps

MOMENTS = "moments"
"""The name that modalities share a CLUB net under."""


class LayerObjectives(ObjectiveOptions):
    """The terms of a layer: any but those about a second one, teachers, or a quantizer's loss."""

    @classmethod
    def offered(cls) -> Mapping[str, Entry[type[Objective]]]:
        """See :meth:`ObjectiveOptions.offered`."""
        without = {"teacher", "loss"}
        return {
            name: entry
            for name, entry in super().offered().items()
            if not entry.part.layer and not without & entry.part.needs
        }


class SecondLayerTermOptions(TermOptions):
    """Terms of the second layer; ``weight`` and ``start_epoch`` are of all of them.

    Attributes:
        terms: As ``objectives``, with what is there by default; each has its own weight as well.
        stacked_club: Whether modalities that are no tokens share one CLUB net, their clips stacked,
            so that the negative of a clip may be another modality's [as coded]; of clips only.
    """

    terms: LayerObjectives = Field(default_factory=LayerObjectives)
    stacked_club: bool = False


@objectives.register("second_layer", SecondLayerTermOptions)
class SecondLayerTerms(Objective):
    """The terms of the second layer, on what it has read, its codes, and what it rebuilds.

    Args:
        options: Which terms.
        modalities: What the layer divides.
        width: D.
    """

    layer = 1
    needs = frozenset({"detail", "rebuilt"})
    clip_group = "cpc_second"
    title = "second layer"
    about = "what the first layer has made is divided into content and detail once more"

    def __init__(
        self, options: SecondLayerTermOptions, modalities: Sequence[Modality], width: int
    ) -> None:
        super().__init__(options)
        kinds = {m.name: m.kind for m in modalities}
        self.moments = [m for m, kind in kinds.items() if kind is not Kind.TOKENS]
        self.parts = nn.ModuleDict()
        for name, own in options.terms.terms.items():
            given = modalities
            if name == "club" and options.stacked_club:
                given = stacked_modalities(modalities)
            self.parts[name] = objectives[name].part.build(own, given, width, width)

    @classmethod
    def build(
        cls,
        options: SecondLayerTermOptions,
        modalities: Sequence[Modality],
        width: int,
        vectors: int,
    ) -> SecondLayerTerms:
        """Of what the layer divides."""
        return cls(options, modalities, width)

    @classmethod
    def draw(cls, generator: torch.Generator, names: Sequence[str], steps: Steps) -> int:
        """A seed of the terms' own choices, which depend on the layer's steps."""
        return int(torch.randint(2**31, (), generator=generator))

    def choices(self, view: View, draw: int | Mapping[str, Any]) -> Mapping[str, Any]:
        """The terms' choices from a seed; those that are given as they are."""
        if not isinstance(draw, int):
            return draw
        generator = torch.Generator().manual_seed(draw)
        found = {}
        for name, term in self.own():
            seen = self.seen(name, view)
            found[name] = term.draw(generator, list(seen.encoded.semantic), seen.encoded.steps)
        return found

    def own(self) -> list[tuple[str, Objective]]:
        """The terms by name, typed."""
        return [(name, term) for name, term in self.parts.items() if isinstance(term, Objective)]

    def seen(self, name: str, view: View) -> View:
        """What a term reads: CLUB, where it is stacked, of stacked clips."""
        if name != "club" or not self.options.stacked_club:
            return view
        return stacked(view, self.moments)

    def inner_optimizer(self) -> torch.optim.Optimizer | None:
        """That of CLUB, the one term with an inner fit."""
        clubs = [term for term in self.parts.values() if isinstance(term, CLUBGroup)]
        return clubs[0].inner_optimizer() if clubs else None

    def fit(
        self, view: View, optimizer: torch.optim.Optimizer, division: Division | None
    ) -> dict[str, Tensor]:
        """CLUB's fit to the layer's content and detail."""
        club = self.parts["club"]
        assert isinstance(club, CLUBGroup)
        found = club.fit(self.seen("club", view), optimizer, division)
        return {f"second_layer/{key}": value for key, value in found.items()}

    def term(self, view: View, draw: int | Mapping[str, Any]) -> Term:
        """The value of every term, weighted; of those with weight 0 for the log."""
        found, choices = Term({}), self.choices(view, draw)
        for name, term in self.own():
            own = term.named(term.term(self.seen(name, view), choices.get(name)))
            weight = term.options.weight
            for key, value in own.values.items():
                if weight:
                    found.values[f"{self.name}/{key}"] = weight * value
                else:
                    found.measures[f"loss/{self.name}/{key}"] = value
            found.measures |= {f"{self.name}/{key}": x for key, x in own.measures.items()}
        if not found.values:
            raise ConfigError("objectives.second_layer.terms has no term with a weight above 0")
        return found

    def follow(self, view: View) -> None:
        """Every term's own; see :meth:`Objective.follow`."""
        for name, term in self.own():
            term.follow(self.seen(name, view))


def stacked_modalities(modalities: Sequence[Modality]) -> list[Modality]:
    """Moments as one modality, tokens as they are.

    Raises:
        ConfigError: moments of different widths.
    """
    moments = [m for m in modalities if m.kind is not Kind.TOKENS]
    if len({(m.shape, m.detail_width) for m in moments}) != 1:
        raise ConfigError(
            "objectives.second_layer.stacked_club needs modalities whose second layer is alike "
            "(model.second.reads=clips); set stacked_club=false"
        )
    rest = [m for m in modalities if m.kind is Kind.TOKENS]
    return [moments[0].model_copy(update={"name": MOMENTS}), *rest]


def stacked(view: View, moments: Sequence[str]) -> View:
    """Clips of one step, of `moments` one below the other, of others with none below them."""
    steps, vectors = view.encoded.steps, view.quantized.vectors
    content = view.encoded.semantic
    there = [m for m in moments if m in content]
    rest = [m for m in content if m not in moments]
    times = max(1, len(there))

    def below(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = {MOMENTS: torch.cat([given[m] for m in there])} if there else {}
        for m in rest:
            none = torch.zeros_like(given[m])
            found[m] = torch.cat([given[m], *[none] * (times - 1)])
        return found

    lengths = {m: steps.length_of(m) for m in content}
    joined = {MOMENTS: torch.cat([lengths[m] for m in there])} if there else {}
    for m in rest:
        none = torch.zeros_like(lengths[m])
        joined[m] = torch.cat([lengths[m], *[none] * (times - 1)])
    own = Steps(times * steps.batch_size, steps.length, joined, steps.device)
    private, z, q = below(view.encoded.private), below(content), below(vectors)
    detached = {m: x.detach() for m, x in z.items()}
    encoded = Encoded({}, z, {}, private, own)
    return View(encoded, Quantized({}, {}, q, detached, own), {}, view.quantizer)
