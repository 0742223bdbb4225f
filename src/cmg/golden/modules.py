"""Recorded encoders, decoders and heads: outputs, and gradients of projected outputs.

All of them are the same kind of case: weights, inputs, outputs, and for gradients a fixed
projection `weight` per output, summed over outputs for parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cmg.decoders.heads import ClipHead, StepHead
from cmg.decoders.reconstruction import MapDecoder, VectorDecoder
from cmg.encoders.detail import MapDetail, VectorDetail
from cmg.encoders.spatial import SpatialPool
from cmg.encoders.temporal import TemporalOptions, TransformerBlock
from cmg.evaluation.stack import HeadStack
from cmg.golden.cases import Case
from cmg.golden.compare import Comparison
from cmg.interop.names import (
    HEAD,
    SPATIAL_POOL,
    TEMPORAL,
    Rules,
    count_indices,
    decoder_rules,
    detail_rules,
    renamed,
)

Outputs = dict[str, Tensor]


@dataclass(frozen=True)
class ModuleRecipe:
    """How an official module is rebuilt and called here.

    Attributes:
        rules: Official parameter names -> ours.
        build: Makes our module at the case's sizes.
        call: Runs it on the case's inputs; outputs by recorded name.
    """

    rules: Rules
    build: Callable[[Case], nn.Module]
    call: Callable[[nn.Module, Mapping[str, Tensor]], Outputs]

    def __call__(self, case: Case, comparison: Comparison) -> None:
        """Compare outputs and gradients."""
        module = self.build(case).to(torch.float64)
        parameters = load_renamed(module, case.params, self.rules)
        inputs = {k: x.clone().requires_grad_() for k, x in case.inputs.items()}
        outputs = self.call(module, inputs)
        for name, value in outputs.items():
            comparison.check(f"out/{name}", value)
        projected = projections(inputs, outputs)
        for suffix, scalar in projected.items():
            leaves = {f"out/grad_{k}_from_{suffix}": x for k, x in inputs.items()}
            comparison.check_gradients(scalar, leaves)
        if projected:
            leaves = {f"out/grad_{k}": x for k, x in inputs.items()}
            leaves |= {f"out/grad_param/{k}": p for k, p in parameters.items()}
            comparison.check_gradients(torch.stack(list(projected.values())).sum(), leaves)


def load_renamed(
    module: nn.Module, tensors: Mapping[str, Tensor], rules: Rules
) -> dict[str, nn.Parameter]:
    """Load official weights into a module of ours.

    Returns:
        Our parameters by official name.

    Raises:
        CheckpointError: a tensor that the rules do not know.
        RuntimeError: a weight is missing or has another shape.
    """
    ours = {official: renamed(official, rules) for official in tensors}
    state = {name: tensors[official] for official, name in ours.items() if name is not None}
    module.load_state_dict(state)
    parameters = dict(module.named_parameters())
    return {official: parameters[name] for official, name in ours.items() if name in parameters}


def projections(inputs: Mapping[str, Tensor], outputs: Outputs) -> Outputs:
    """Sum of output times its `weight`, per suffix of the weight's name.

    ``weight_club`` belongs to the output whose name starts with ``club``, a plain ``weight`` to
    the only output.
    """
    scalars = {}
    for key, weight in inputs.items():
        if key == "weight" or key.startswith("weight_"):
            suffix = key.removeprefix("weight").removeprefix("_")
            output = next(x for name, x in outputs.items() if name.startswith(suffix))
            scalars[suffix] = (output * weight.detach()).sum()
    return scalars


def build_pool(case: Case) -> nn.Module:
    """Channel gate and the sum over positions that official checkpoints were trained with."""
    return SpatialPool(case.size("se_layer.2.weight"), "sum")


def build_temporal(case: Case) -> nn.Module:
    """Depth and feed-forward width come from the weights; 4 heads are fixed in the release."""
    options = TemporalOptions(
        layers=count_indices(case.params, "encoder.layers."),
        hidden=case.size("encoder.layers.0.linear1.weight"),
        dropout=0.0,
    )
    width, in_width = case.size("affine_matrix.weight"), case.size("affine_matrix.weight", 1)
    return TransformerBlock(in_width, width, options)


def build_map_detail(case: Case) -> nn.Module:
    """The specific video encoder."""
    height, wide, channels = case.array("in/video").shape[2:]
    return MapDetail((height, wide, channels), case.size("conv_stack.2.weight"))


def build_map_decoder(case: Case) -> nn.Module:
    """The video decoder; two unpadded 3x3 convolutions took 4 positions off each axis."""
    detail = case.array("in/encoder_result")
    shape = (detail.shape[2] + 4, detail.shape[3] + 4, case.size("inverse_conv_block.4.weight", 1))
    return MapDecoder(case.size("video_linear.weight", 1), detail.shape[-1], shape)


def vector_detail(modality: str) -> ModuleRecipe:
    """Recipe of a specific audio or text encoder."""
    weight = f"{modality}_linear.weight"
    return ModuleRecipe(
        detail_rules(modality),
        lambda case: VectorDetail(case.size(weight, 1), case.size(weight)),
        lambda module, inputs: {"y": module(inputs["x"])[0]},
    )


def vector_decoder(modality: str) -> ModuleRecipe:
    """Recipe of an audio or text decoder."""
    content, output = f"{modality}_linear.weight", f"{modality}_rec.weight"
    return ModuleRecipe(
        decoder_rules(modality),
        lambda case: VectorDecoder(case.size(content, 1), case.size(content), case.size(output)),
        lambda module, inputs: {"recon": module(inputs["vq"], inputs["encoder_result"])},
    )


def head(kind: type[ClipHead] | type[StepHead]) -> ModuleRecipe:
    """Recipe of a task head."""
    classifier = "event_classifier.weight"
    return ModuleRecipe(
        HEAD,
        lambda case: kind(case.size(classifier, 1), case.size(classifier)),
        lambda module, inputs: {"logits": read_as_codes(module, inputs["x"])},
    )


def read_as_codes(module: nn.Module, x: Tensor) -> Tensor:
    """Logits the way the benchmarks compute them: every step is a code of its own."""
    assert isinstance(module, (ClipHead, StepHead))
    table = x.flatten(0, -2)
    codes = torch.arange(len(table)).view(1, -1, x.shape[-2])
    logits = HeadStack.of([module]).of_codes(table, codes)[0]
    return logits if x.dim() > 2 else logits[0]


MODULES: dict[str, ModuleRecipe] = {
    "Video_Semantic_Encoder": ModuleRecipe(
        SPATIAL_POOL, build_pool, lambda module, inputs: {"feature": module(inputs["video"])}
    ),
    "InternalTemporalRelationModule": ModuleRecipe(
        TEMPORAL,
        build_temporal,
        # The official module has time first.
        lambda module, inputs: {"y": module(inputs["x"].transpose(0, 1), None).transpose(0, 1)},
    ),
    "Video_Encoder": ModuleRecipe(
        detail_rules("video"),
        build_map_detail,
        lambda module, inputs: dict(
            zip(("result", "club_feature"), module(inputs["video"]), strict=True)
        ),
    ),
    "Video_Decoder": ModuleRecipe(
        decoder_rules("video"),
        build_map_decoder,
        lambda module, inputs: {"recon": module(inputs["vq"], inputs["encoder_result"])},
    ),
    "Audio_Encoder": vector_detail("audio"),
    "Text_Encoder": vector_detail("text"),
    "Audio_Decoder": vector_decoder("audio"),
    "Text_Decoder": vector_decoder("text"),
    "Semantic_Decoder": head(ClipHead),
    "Semantic_Decoder_AVVP": head(StepHead),
}
"""Recipes by official class."""
