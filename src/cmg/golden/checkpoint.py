"""A recorded official checkpoint: what the imported model computes from it."""

from __future__ import annotations

import torch
from torch import Tensor

from cmg.codebook.measures import clip_agreement
from cmg.decoders.heads import ClipHead
from cmg.errors import DataError
from cmg.golden.cases import Case, beside
from cmg.golden.compare import Comparison
from cmg.golden.modules import load_renamed
from cmg.interop.names import DECODER, HEAD
from cmg.interop.official import ImportedModel, import_official, read_official
from cmg.objectives.cmcm import cmcm_loss
from cmg.objectives.commitment import commitment_loss
from cmg.objectives.reconstruction import reconstruction_loss
from cmg.types import Batch, Encoded, Quantized


def verify_checkpoint(case: Case, comparison: Comparison) -> None:
    """Read the file, and compare features, codes, losses and class logits."""
    checkpoint = read_official(beside(case.record, "checkpoint"))
    maps = case.arrays.get("in/video")
    imported = import_official(checkpoint, map_size=7 if maps is None else maps.shape[2])
    model = imported.model
    with torch.no_grad():
        encoded = model.represent(Batch(input_features(case, list(model.modalities))))
        quantized = model.quantize(encoded)
        compare_features(comparison, imported, encoded, quantized)
        compare_values(comparison, imported, encoded, quantized)


def input_features(case: Case, modalities: list[str], prefix: str = "") -> dict[str, Tensor]:
    """Recorded features per modality; word embeddings may be called ``text_words``.

    Raises:
        DataError: a modality of the model was not recorded.
    """
    features = {}
    for m in modalities:
        keys = [k for k in (f"in/{prefix}{m}_words", f"in/{prefix}{m}") if k in case.arrays]
        if not keys:
            raise DataError(f"{case.path} has no features in/{prefix}{m}")
        features[m] = case.array(keys[0])
    return features


def compare_features(
    comparison: Comparison, imported: ImportedModel, encoded: Encoded, quantized: Quantized
) -> None:
    """What the encoders and the codebook say, per modality."""
    model = imported.model
    for m in model.modalities:
        alone = model.codebook.lookup({m: encoded.semantic[m]}, encoded.steps)
        recorded = {
            "feature": encoded.inputs[m],
            "semantic": encoded.semantic[m],
            "encoder": encoded.detail[m],
            "club": encoded.private[m],
            "vq": quantized.vectors[m],
            "lookup": alone.vectors[m],
        }
        for name, value in recorded.items():
            comparison.check(f"out/{m}_{name}", value)
        if comparison.expects(f"out/{m}_class"):
            comparison.check(f"out/{m}_class", class_logits(imported, m, quantized.vectors[m]))


def class_logits(imported: ImportedModel, modality: str, content: Tensor) -> Tensor:
    """Logits of an official head, which our models carry along without using it."""
    prefix = f"{DECODER}/{modality}_semantic_decoder."
    weights = {k.removeprefix(prefix): x for k, x in imported.extras.items() if prefix in k}
    if "event_classifier.weight" not in weights:
        raise DataError(f"the checkpoint holds no head {prefix}*")
    classes, width = weights["event_classifier.weight"].shape
    head = ClipHead(width, classes).to(content.dtype)
    load_renamed(head, weights, HEAD)
    logits: Tensor = head(content)
    return logits


def compare_values(
    comparison: Comparison, imported: ImportedModel, encoded: Encoded, quantized: Quantized
) -> None:
    """Losses, and how far the modalities agree."""
    model, steps, semantic = imported.model, encoded.steps, encoded.semantic
    rebuilt = model.reconstruct(encoded, quantized)
    losses = {
        "recon": reconstruction_loss(encoded.inputs, rebuilt, steps),
        "commit": commitment_loss(semantic, quantized.codes, steps),
    }
    for name, per_modality in losses.items():
        for m, loss in per_modality.items():
            comparison.check(f"out/{m}_{name}_loss", loss)
    cmcm = cmcm_loss(semantic, model.codebook.get_buffer("codes"), steps)
    if cmcm is not None:
        comparison.check("out/cmcm_loss", cmcm)
    comparison.check("out/equal_num", clip_agreement(quantized.indices, steps))
