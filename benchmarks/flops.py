"""Operations of a pre-training step: nominal, from the shapes, and executed, as torch counts them.

Nominal operations are those of the published mathematics, whatever a form really executes: two per
multiplication of a matrix product or a convolution, zeros that padding adds included; gradients
cost as much again for the weights and, where something before them is trained, for the input.
Elementwise work is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.cases import Case
from benchmarks.maps import layer_flops
from cmg.config.schema import RunConfig
from cmg.decoders import MapDecoder
from cmg.decoders.reconstruction import build_decoder
from cmg.encoders.detail import MapDetail, map_detail_width
from cmg.models.options import ModelOptions
from cmg.types import Kind, Modality

MAP_DETAIL, MAP_DECODER = "map detail encoder", "map decoder"
VECTORS = "other detail and decoders"
SEMANTIC, TOKENS = "semantic encoders", "token LSTM"
CLUB_FIT, OBJECTIVES = "CLUB's fit", "objectives"
CODEBOOK, OPTIMIZER, REST = "codebook", "optimizer and clipping", "rest"
COMPONENTS = (
    MAP_DETAIL,
    MAP_DECODER,
    VECTORS,
    SEMANTIC,
    TOKENS,
    CLUB_FIT,
    OBJECTIVES,
    CODEBOOK,
    OPTIMIZER,
    REST,
)
MAPS = (MAP_DETAIL, MAP_DECODER)
"""The convolutional part."""


def nominal_flops(case: Case) -> dict[str, float]:
    """Operations of one step per component."""
    config = case.config
    rows = case.batch * case.length
    found = dict.fromkeys(COMPONENTS, 0.0)
    objectives = config.objectives
    rebuilds = objectives.reconstruction is not None
    for m in case.modalities:
        width = 2 * m.token_hidden if m.kind is Kind.TOKENS else m.channels
        if m.kind is Kind.TOKENS:
            found[TOKENS] += rows * lstm(m.channels, m.token_hidden, 2, both=True, trained=False)
        found[SEMANTIC] += rows * semantic(m, width, config, case.length)
        detail, decoder = private_flops(m, width, config.model)
        if rebuilds or objectives.club is not None:
            found[MAP_DETAIL if m.kind is Kind.MAPS else VECTORS] += rows * detail
        if rebuilds:
            found[MAP_DECODER if m.kind is Kind.MAPS else VECTORS] += rows * decoder
    found[CLUB_FIT], bound = club(case)
    found[OBJECTIVES] = bound + cross_cpc(case) + cmcm(case)
    size = config.model.codebook.size
    found[CODEBOOK] = 2.0 * len(case.modalities) * rows * size * config.model.width
    return found


def linear(widths: Sequence[int], trained: bool = True) -> float:
    """Forward and backward of one row through linear layers in a chain.

    Args:
        widths: Of the input and of every layer.
        trained: Whether the input needs a gradient.
    """
    pairs = list(pairwise(widths))
    return 6.0 * sum(a * b for a, b in pairs) - (
        0.0 if trained else 2.0 * pairs[0][0] * pairs[0][1]
    )


def lstm(width: int, hidden: int, layers: int, *, both: bool, trained: bool = True) -> float:
    """Forward and backward of one row through an LSTM.

    Args:
        width: Of the input.
        hidden: Per direction.
        layers: Above each other.
        both: Bidirectional.
        trained: Whether the input needs a gradient.
    """
    directions = 2 if both else 1
    total = 0.0
    for layer in range(layers):
        own = directions * hidden if layer else width
        total += 6.0 * directions * 4 * hidden * (own + hidden)
    return total - (0.0 if trained else 2.0 * directions * 4 * hidden * width)


def semantic(m: Modality, width: int, config: RunConfig, length: int) -> float:
    """One row of a modality through pooling and temporal encoder."""
    options, d = config.model.temporal, config.model.width
    total = 0.0
    if m.kind is Kind.MAPS:
        narrow, half = max(1, m.channels // 8), max(1, m.channels // 2)
        positions = m.shape[0] * m.shape[1]
        total += linear([m.channels, narrow, m.channels], trained=False)
        # Query, keys and scores of spatial attention are computed as coded, also where all of its
        # weights are 1 (``sum``): 0.5 % of a published step that ours leaves out.
        total += (1 + positions) * linear([m.channels, half]) + positions * linear([half, 1])
    trained = m.kind is not Kind.VECTORS
    if options.kind == "mlp":
        return total + linear([width, options.hidden, d], trained)
    per_layer = linear([d, options.hidden, d]) + 6.0 * 4 * d * d + 6.0 * 2 * length * d
    return total + linear([width, d], trained) + options.layers * per_layer


def private_flops(m: Modality, width: int, model: ModelOptions) -> tuple[float, float]:
    """One row through the detail encoder and through the decoder."""
    content, path = model.width, model.map_detail
    if m.kind is Kind.MAPS:
        height, wide, channels = m.shape
        own = map_detail_width(m.detail_width, path)
        size = height - 4 if height >= 5 else height
        with torch.device("meta"):
            encoder = MapDetail((height, wide, channels), own)
            decoder = build_decoder(m, content, width, path, map_tail=model.map_tail)
        assert isinstance(decoder, MapDecoder)
        both, first = layer_flops(encoder.convolutions, height)
        detail = 3.0 * both - first + linear([own, max(1, own // 2), channels])
        back = 3.0 * layer_flops(decoder.convolutions, size)[0]
        return detail, back + linear([content, content])
    detail = linear([width, m.detail_width], trained=m.kind is Kind.TOKENS)
    back = linear([content, m.detail_width]) + linear([2 * m.detail_width, width])
    return detail, back


def club(case: Case) -> tuple[float, float]:
    """CLUB's inner fit and its bound; both train the nets."""
    options = case.config.objectives.club
    if options is None:
        return 0.0, 0.0
    rows, h = case.batch * case.length, options.hidden
    fit = bound = 0.0
    for m in case.modalities:
        widths = [case.config.model.width, h, h, h, m.private_width]
        fit += 2 * rows * options.inner_steps * linear(widths, trained=False)
        bound += 2 * rows * linear(widths)
    return fit, bound


def cross_cpc(case: Case) -> float:
    """Contexts up to the mean starting step, predictors, and scores of all ordered pairs."""
    options, d = case.config.objectives.cross_cpc, case.config.model.width
    if options is None:
        return 0.0
    hidden, ahead, many = options.hidden or d, options.prediction_steps, len(case.modalities)
    choices = max(1, case.length - ahead - options.min_start)
    steps = options.min_start + (choices - 1) / 2 + 1
    contexts = many * case.batch * steps * lstm(d, hidden, options.layers, both=False)
    predicted = many * case.batch * ahead * linear([hidden, d])
    return contexts + predicted + 6.0 * ahead * many**2 * case.batch**2 * d


def cmcm(case: Case) -> float:
    """Distances to the codes, which are not trained by it, and scores of all pairs of clips."""
    if case.config.objectives.cmcm is None:
        return 0.0
    size, names = case.config.model.codebook.size, [m.name for m in case.modalities]
    distances = 4.0 * len(names) * case.batch * case.length * size * case.config.model.width
    return distances + 12.0 * len(list(combinations(names, 2))) * case.batch**2 * size


def executed_flops(step: Callable[[], object]) -> float:
    """Operations of the matrix products and convolutions that a step really calls.

    Counted by torch; the inside of LSTM kernels is not (below 0.5 % at published size).
    """
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())
