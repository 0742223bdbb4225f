"""Recorded jigsaws: orders, pieces, classifier, loss and its gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
from cmg.golden.modules import load_renamed
from cmg.golden.quantizer import modalities_in
from cmg.interop.names import Rules
from cmg.objectives.jigsaw import MOST_PIECES, Jigsaw, JigsawOptions, jigsaws, nth_order

CLASSIFIER: Rules = {"enc_net.": ""}


def verify_jigsaw(case: Case, comparison: Comparison) -> None:
    """The puzzles of recorded pieces and orders, and the classifier on them."""
    names = modalities_in(case.inputs, "")
    vectors = {m: case.array(f"in/{m}").clone().requires_grad_() for m in names}
    term = Jigsaw(vectors[names[0]].shape[-1], jigsaw_options(case)).double()
    parameters = fill_jigsaw(term, case, case.params)
    comparison.check("in/permutations", term.orders)
    whose = term.drawn(jigsaw_draw(case, "", len(names)), names)
    rows = jigsaws(vectors, whose, term.orders)
    comparison.check("out/inputs", rows.flatten(0, 1))
    comparison.check("out/logits", term.classifier(rows).flatten(0, 1))
    comparison.check("out/labels", torch.arange(len(rows)).repeat_interleave(rows.shape[1]))
    loss = term(vectors, whose)
    comparison.check("out/loss", loss)
    leaves: dict[str, Tensor] = {f"out/grad_{m}": x for m, x in vectors.items()}
    leaves |= {f"out/grad_param/{name}": p for name, p in parameters.items()}
    comparison.check_gradients(loss, leaves)


def jigsaw_options(case: Case) -> JigsawOptions:
    """The recorded puzzle, as coded."""
    return JigsawOptions(
        pieces=int(case.setting("jigsaw_num_splits")),
        orders=int(case.setting("jigsaw_samples")),
        hidden=int(case.setting("jigsaw_hidden")),
        clipped=False,
    )


def fill_jigsaw(term: Jigsaw, case: Case, weights: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """Take over the recorded orders and classifier; parameters by official name."""
    numbers = case.array("in/permutation_indices").tolist()
    term.orders.copy_(torch.tensor([nth_order(n, term.options.pieces) for n in numbers]))
    return load_renamed(term.classifier, weights, CLASSIFIER)


def jigsaw_draw(case: Case, prefix: str, modalities: int) -> Tensor:
    """The draw that puts pieces of the recorded modalities in their places."""
    chosen = case.array(f"in/{prefix}chunk_modality").double()
    draw = torch.zeros(MOST_PIECES, dtype=torch.float64)
    draw[: len(chosen)] = (chosen + 0.5) / modalities
    return draw
