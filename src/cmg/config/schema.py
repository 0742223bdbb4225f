"""The configuration of a run: one typed tree, the same for YAML files, overrides and Python."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from cmg.data.options import DataOptions
from cmg.decoders.heads import ProbeOptions
from cmg.models.unified import ModelOptions
from cmg.objectives.options import ObjectiveOptions
from cmg.options import Options
from cmg.training.optimizer import OptimizerOptions
from cmg.training.options import TrainingOptions


class ModelSection(ModelOptions):
    """A model, and the widths its modalities take beside the shapes the store declares.

    Attributes:
        detail_width: Private width S per modality; 256 where none is given.
        token_hidden: Token LSTM width per direction, per modality; 128 where none is given.
    """

    detail_width: dict[str, PositiveInt] = Field(default_factory=dict)
    token_hidden: dict[str, PositiveInt] = Field(default_factory=dict)


class RunConfig(Options):
    """A whole run: data, model, objectives, optimizer, training and probing.

    Attributes:
        plugins: Modules that its parts come from, as far as they are none of this package; filled
            in where a configuration is resolved. Whoever reads it loads them first; none is
            imported because it is named here.
    """

    data: DataOptions = DataOptions()
    model: ModelSection = ModelSection()
    objectives: ObjectiveOptions = ObjectiveOptions()
    optimizer: OptimizerOptions = OptimizerOptions()
    training: TrainingOptions = TrainingOptions()
    probe: ProbeOptions = ProbeOptions()
    plugins: tuple[str, ...] = ()
