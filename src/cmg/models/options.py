"""What a model is made of: everything about it but its modalities."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cmg.codebook.codebook import CodebookOptions
from cmg.codebook.kinds import AnyQuantizerOptions
from cmg.convolutions.forms import TOOM_COOK_FROM
from cmg.encoders.detail import MapPath, MapTail
from cmg.encoders.spatial import SpatialPooling
from cmg.encoders.temporal import TemporalOptions
from cmg.models.second import SecondLayerOptions
from cmg.options import Options


class ModelOptions(Options):
    """Everything about a model but its modalities.

    Attributes:
        width: D; 256 in the paper.
        temporal: How steps become semantic features.
        projection: What stands behind it in each modality: nothing, or a ``gated`` head whose
            output is the semantic feature: what is contrasted, and what heads read.
        spatial_pool: How map positions are pooled, see :class:`cmg.encoders.SpatialPool`.
        map_detail: Form of the private path of maps, which only reconstruction and CLUB use:
            ``published``, or ``lean``, an eighth as wide, at 4.5 % of the operations
            (docs/lean.md); or ``normalized``, two convolutions with batch norm over gated maps [as
            coded in a successor], decoded as published.
        map_tail: Of a ``lean`` path, how many channels of the maps lie between the decoder's last
            two layers: ``full``, all of them; or ``narrow``, an eighth (or half of the detail's, if
            that is more), which is faster and whose transfer has not been measured.
        toom_cook_from: Channels of its layers from which that path takes Toom-Cook's form on a
            CPU in float32; forms differ in speed and rounding (docs/speed.md). With a narrow tail
            the maps' channels are what counts, from 320 on.
        token_encoder: What reads tokens in context before the temporal encoder: ``lstm``, two
            layers in both directions (published), or ``none``.
        narrow_content: Whether decoders bring code vectors that are wider than D, as whole rows
            are, to D by a linear map of its own first [as coded].
        mask_tokens: Read only the tokens that exist. As coded, zero padding is read like words.
        codebook: The quantizer, by its ``kind``; see docs/quantizers.md.
        teacher: Momentum of a second copy of the encoders of content, which follows them and which
            terms learn from; 0 has none. Nothing else reads it.
        second: A second layer of content and detail, see
            :class:`cmg.models.second.SecondLayerOptions`; null has none.
    """

    width: int = Field(256, ge=1)
    temporal: TemporalOptions = TemporalOptions()
    projection: Literal["none", "gated"] = "none"
    spatial_pool: SpatialPooling = "sum"
    map_detail: MapPath = "lean"
    map_tail: MapTail = "full"
    toom_cook_from: int = Field(TOOM_COOK_FROM, ge=1)
    token_encoder: Literal["lstm", "none"] = "lstm"
    mask_tokens: bool = True
    narrow_content: bool = False
    codebook: AnyQuantizerOptions = CodebookOptions()
    teacher: float = Field(0.0, ge=0.0, lt=1.0)
    second: SecondLayerOptions | None = None

    @model_validator(mode="after")
    def _of_two_layers(self) -> ModelOptions:
        if self.second is None:
            return self
        if self.teacher:
            raise ValueError("teacher is for models of one layer; set teacher=0, or second=null")
        if self.second.reads == "private":
            groups = getattr(self.codebook, "groups", 1)
            if groups != 2 or getattr(self.codebook, "shared", True):
                raise ValueError(
                    "second.reads=private has codes of both layers, side by side; set "
                    "codebook.kind=product codebook.groups=2 codebook.shared=false"
                )
        return self
