"""Recorded cases of CoDAAR: its row-tied codebook, video path, metric, head and training steps."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cmg.codebook.measures import clip_agreement, code_counts, perplexity
from cmg.codebook.tied import TiedCodebook, segment_contrast
from cmg.data.labels import clip_classes
from cmg.decoders.heads import NarrowingStepHead
from cmg.encoders.detail import MapDetail
from cmg.encoders.spatial import SpatialPool
from cmg.evaluation.metrics import batch_precision, top1_accuracy
from cmg.golden.cases import Case
from cmg.golden.compare import END_TO_END, SINGLE, VALUES, Comparison
from cmg.golden.modules import ModuleRecipe, load_renamed, projections
from cmg.golden.quantizer import forward_passes, index_margin, recorded_reset
from cmg.golden.steps import (
    batch_of,
    compare_fingerprints,
    compare_log,
    recorded_draws,
    recorded_steps,
)
from cmg.golden.successors import recorded_state
from cmg.interop.codaar import (
    AS_CODED_COMMITMENT,
    HEAD,
    MAP_DETAIL,
    ROW,
    as_coded_codebook,
    codebook_to_ours,
    codebook_to_theirs,
)
from cmg.interop.codaar import (
    CODAAR as FILES,
)
from cmg.interop.names import SPATIAL_POOL, below, renamed
from cmg.objectives.cmcm import cmcm_loss
from cmg.objectives.commitment import commitment_loss
from cmg.training.state import TrainingState
from cmg.training.step import pretraining_step
from cmg.types import Quantized, Steps


def verify_tied_codebook(case: Case, comparison: Comparison) -> None:
    """Replay recorded passes, of all modalities at once or of one at a time, on one codebook."""
    training = str(case.record.entry.get("mode")).startswith("train")
    modalities = [m for m in ROW if f"param/ema_count_{m[0]}" in case.arrays]
    codebook = recorded_codebook(case, modalities)
    for prefix in forward_passes(case):
        inputs = {m: case.array(f"in/{prefix}{m}").clone().requires_grad_() for m in modalities}
        steps = Steps.of(inputs)
        for semantic in [inputs] if training else [{m: z} for m, z in inputs.items()]:
            quantized = codebook.lookup(semantic, steps)
            compare_lookup(comparison, f"out/{prefix}", codebook, quantized)
        if training:
            comparison.check(f"out/{prefix}min_index_margin", index_margin(codebook, inputs))
            compare_losses(comparison, f"out/{prefix}", codebook, inputs, quantized)
            compare_straight_through(comparison, prefix, inputs, quantized)
            codebook.update(quantized, recorded_reset(comparison, codebook, prefix))
            compare_segments(comparison, f"out/{prefix}segment_loss", codebook)
            compare_buffers(comparison, f"out/{prefix}state_after/", codebook)


def recorded_codebook(case: Case, modalities: list[str]) -> TiedCodebook:
    """A codebook in the recorded state, moving as coded."""
    size, width = case.size("embedding"), case.size("embedding", 1) // len(modalities)
    codebook = TiedCodebook(modalities, width, as_coded_codebook(size)).to(torch.float64)
    for name, tensor in codebook_to_ours(case.params, modalities).items():
        codebook.get_buffer(name).copy_(tensor)
    return codebook


def compare_lookup(
    comparison: Comparison, prefix: str, codebook: TiedCodebook, quantized: Quantized
) -> None:
    """Indices, the segments and rows that they stand for, and how they are used."""
    for m, indices in quantized.indices.items():
        comparison.check(f"{prefix}{m}_indices", indices)
        comparison.check(f"{prefix}{m}_seg", quantized.codes[m])
        comparison.check(f"{prefix}{m}_row", quantized.vectors[m])
        counts = code_counts(indices, codebook.size, None)
        comparison.check(f"{prefix}{m}_perplexity", perplexity(counts))
    comparison.check(f"{prefix}equal_num", clip_agreement(quantized.indices, quantized.steps))


def compare_losses(
    comparison: Comparison,
    prefix: str,
    codebook: TiedCodebook,
    semantic: dict[str, Tensor],
    quantized: Quantized,
) -> None:
    """Commitment and CMCM with the codes before the update, and their gradients."""
    committed = commitment_loss(semantic, quantized.codes, quantized.steps, AS_CODED_COMMITMENT)
    losses = {f"{m}_commit_loss": loss for m, loss in committed.items()}
    cmcm = cmcm_loss(semantic, codebook.distances, quantized.steps)
    if cmcm is not None:
        losses["cmcm_loss"] = cmcm
    for name, loss in losses.items():
        comparison.check(f"{prefix}{name}", loss)
        leaves = {f"{prefix}grad/{name}/{m}": z for m, z in semantic.items()}
        comparison.check_gradients(loss, leaves)


def compare_straight_through(
    comparison: Comparison, prefix: str, semantic: dict[str, Tensor], quantized: Quantized
) -> None:
    """Gradient of projected rows, past all segments, and of projected segments, past their own."""
    if not comparison.expects(f"in/{prefix}proj_{ROW[0]}"):
        return
    array = comparison.case.array
    segments = {m: z + (quantized.codes[m] - z).detach() for m, z in semantic.items()}
    projected = [(quantized.vectors[m] * array(f"in/{prefix}proj_{m}")).sum() for m in semantic]
    projected += [(x * array(f"in/{prefix}projseg_{m}")).sum() for m, x in segments.items()]
    leaves = {f"out/{prefix}grad/proj/{m}": z for m, z in semantic.items()}
    comparison.check_gradients(torch.stack(projected).sum(), leaves)


def compare_segments(comparison: Comparison, key: str, codebook: TiedCodebook) -> None:
    """The logged contrast of segments, with the codes after an update."""
    comparison.check(key, segment_contrast(codebook.codes))


def compare_buffers(comparison: Comparison, prefix: str, codebook: TiedCodebook) -> None:
    """Codes, counts, sums and idle counters in their official form."""
    ours = dict(codebook.named_buffers())
    for name, tensor in codebook_to_theirs(ours, codebook.modalities).items():
        comparison.check(prefix + name, tensor)


def verify_video_path(case: Case, comparison: Comparison) -> None:
    """Pooled maps and the specific path beside them: in eval mode, then once in train mode."""
    video = case.array("in/video").clone().requires_grad_()
    height, wide, channels = video.shape[2:]
    pool = SpatialPool(channels, "sum")
    detail = MapDetail(
        (height, wide, channels), case.size("spatial_conv_stack.3.weight"), normalized=True
    )
    parts = nn.ModuleDict({"pool": pool, "convolutions": detail.convolutions}).to(torch.float64)
    rules = {**below(SPATIAL_POOL, "", "pool."), **MAP_DETAIL}
    parameters = load_renamed(parts, case.params, rules)
    detail.to(torch.float64)
    for prefix, training in (("eval_", False), ("", True)):
        parts.train(training)
        outputs = {"feature": pool(video), "spatial": detail(pool.gated(video))[0]}
        for name, value in outputs.items():
            comparison.check(f"out/{prefix}{name}", value)
    projected = torch.stack(list(projections(case.inputs, outputs).values())).sum()
    leaves: dict[str, Tensor] = {f"out/grad_param/{name}": p for name, p in parameters.items()}
    comparison.check_gradients(projected, {"out/grad_video": video} | leaves)
    after = dict(parts.named_buffers())
    for official in case.params:
        if (ours := renamed(official, rules)) in after:
            comparison.check(f"out/buffers_after/{official}", after[ours])


def verify_batch_precision(case: Case, comparison: Comparison) -> None:
    """Precision and accuracy of one batch."""
    scores, classes = case.array("in/scores"), clip_classes(case.array("in/labels"))
    comparison.check("out/precision", 100.0 * batch_precision(scores, classes, len(scores)))
    comparison.check("out/accuracy", 100.0 * top1_accuracy(scores, classes))


verify_step_head = ModuleRecipe(
    HEAD,
    lambda case: NarrowingStepHead(
        case.size("linear.weight", 1), case.size("event_classifier.weight")
    ),
    lambda module, inputs: {"logits": module(inputs["x"])},
)


def verify_tied_steps(case: Case, comparison: Comparison) -> None:
    """Train as many steps as were recorded, and compare everything after each."""
    steps = recorded_steps(case)
    state, extras = recorded_state(case, FILES)
    model, objectives = state.model, state.objectives
    book = model.codebook
    assert isinstance(book, TiedCodebook)
    exported = FILES.export(model, objectives, extras)
    compare_fingerprints(comparison, "_initial", "", exported)
    compare_rows(comparison, state, steps[0])
    for prefix in steps:
        batch = batch_of(case, state, prefix)
        log = pretraining_step(state, batch, recorded_draws(case, comparison, state, prefix))
        compare_log(comparison, prefix, state, log, batch.size)
        compare_segments(comparison, f"out/{prefix}loss/segment_loss", book)
        compare_buffers(comparison, f"out/{prefix}quantizer/", book)
        compare_fingerprints(comparison, "", prefix, FILES.export(model, objectives, extras))


@torch.no_grad()
def compare_rows(comparison: Comparison, state: TrainingState, prefix: str) -> None:
    """What heads are given in eval mode at the initial weights."""
    model = state.model.eval()
    batch = batch_of(comparison.case, state, prefix)
    for m, row in model.quantize(model.represent(batch)).vectors.items():
        comparison.check(f"out/eval_before/{m}_row", row)
    model.train()


CODAAR: dict[str, tuple[Callable[[Case, Comparison], None], float]] = {
    r"Cross_VQEmbeddingEMA_(AV|AVT)_hierarchical( \((lookup|reset)\))?": (
        verify_tied_codebook,
        VALUES,
    ),
    r"Video_Semantic_Encoder \(CoDAAR\)": (verify_video_path, VALUES),
    r"CoDAAR batch precision": (verify_batch_precision, SINGLE),
    r"Semantic_Decoder_AVVP_1": (verify_step_head, VALUES),
    r"CoDAAR (AV|AVT) pretraining step": (verify_tied_steps, END_TO_END),
}
"""Patterns of the recorded `cls`: how it is verified, and the tolerance of its arrays."""
