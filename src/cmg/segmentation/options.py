"""What can be chosen about segmentation."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cmg.errors import ConfigError
from cmg.options import MOST_SEED, Options
from cmg.segmentation.attention import Mode
from cmg.segmentation.backbones import MULTIPLE

MaskPooling = Literal["avg", "max"]


class SegmenterOptions(Options):
    """The segmentation model; the defaults are those of the paper.

    Attributes:
        backbone: ``pvt_v2_b0`` .. ``pvt_v2_b5``, ``resnet18``, ``resnet34``, ``resnet50``.
        channels: Of the maps after the multi-dilation heads.
        attention: Mode of the attention between query and pixels.
        stages: Stages with attention, 0 (stride 4) to 3 (stride 32).
        by_query: Whether the query takes part; without it there is nothing that says what is
            meant, and what is learned is which objects are salient.
        self_attention: Whether the pixels attend to themselves too; the two are averaged.
    """

    backbone: str = "pvt_v2_b5"
    channels: int = Field(256, ge=2)
    attention: Mode = "dot"
    stages: tuple[int, ...] = (0, 1, 2, 3)
    by_query: bool = True
    self_attention: bool = False

    @model_validator(mode="after")
    def _check(self) -> SegmenterOptions:
        if not set(self.stages) <= {0, 1, 2, 3} or len(set(self.stages)) != len(self.stages):
            raise ValueError(f"stages {self.stages}: some of 0, 1, 2, 3, each once")
        return self


class SegmentationTraining(Options):
    """How it is trained; the defaults are those of the release, but for the epochs.

    Attributes:
        epochs: The release trains for 1 by default, AVSBench for 15.
        batch_size: Clips per step.
        lr: Of Adam; no schedule.
        side: Of the pictures in pixels, a multiple of 16.
        matching: Weight of the masked-feature matching loss; 0 leaves it out (0.5 where used).
        matching_stages: Stages it compares.
        matching_pooling: See :func:`cmg.segmentation.training.matching_loss`.
        freeze_backbone: Whether the backbone keeps its weights and statistics.
        cache_features: Whether the maps of a frozen backbone are kept on disk, in the run.
        precision: Of the forward pass.
        query_jitter: Share of a training query's codes that are replaced by a neighbor of theirs in
            the codebook. A sentence often is one code throughout, and what learned from it alone
            takes the codes of a sound for something else. The release has nothing like it.
        test_batch_size: Clips per batch of the published metrics.
        seed: Of weights and order.
    """

    epochs: int = Field(15, ge=1)
    batch_size: int = Field(4, ge=1)
    lr: float = Field(1e-4, gt=0.0)
    side: int = Field(224, ge=MULTIPLE)
    matching: float = Field(0.0, ge=0.0)
    matching_stages: tuple[int, ...] = (0, 1, 2, 3)
    matching_pooling: MaskPooling = "avg"
    freeze_backbone: bool = False
    cache_features: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    query_jitter: float = Field(0.0, ge=0.0, le=1.0)
    test_batch_size: int = Field(4, ge=1)
    seed: int = Field(0, ge=-(2**63), le=MOST_SEED)

    @model_validator(mode="after")
    def _check(self) -> SegmentationTraining:
        if self.side % MULTIPLE:
            raise ValueError(f"side {self.side} must be a multiple of {MULTIPLE}")
        if self.cache_features and not self.freeze_backbone:
            raise ValueError(
                "cache_features needs freeze_backbone: a trained backbone's maps change"
            )
        return self


def check_matching(model: SegmenterOptions, training: SegmentationTraining) -> None:
    """Refuse to compare what the model does not make.

    Raises:
        ConfigError: the matching loss without a query, or at a stage without attention.
    """
    if training.matching == 0:
        return
    if not model.by_query:
        raise ConfigError("matching compares the query with the mask, and by_query is off")
    if lacking := sorted(set(training.matching_stages) - set(model.stages)):
        raise ConfigError(f"matching_stages {lacking}: no attention there (stages {model.stages})")
