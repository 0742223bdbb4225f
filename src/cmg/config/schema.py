"""The configuration of a run: one typed tree, the same for YAML files, overrides and Python."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from cmg.codebook.quantizer import quantizers
from cmg.data.options import DataOptions
from cmg.decoders.heads import ProbeOptions
from cmg.errors import ConfigError
from cmg.models.options import ModelOptions
from cmg.objectives.base import objectives
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


def refuse_unfit_parts(config: RunConfig, several: bool) -> None:
    """Refuse options that contradict each other.

    Args:
        config: Of a run.
        several: Whether several processes share a batch.

    Raises:
        ConfigError: they do.
    """
    options = config.training
    if options.parallel == "naive" and (options.micro_batch or options.codebook_only):
        raise ConfigError(
            "training.parallel=naive is a control of whole steps; leave out training.micro_batch "
            "and training.codebook_only"
        )
    if options.parallel == "naive" and not several:
        raise ConfigError("training.parallel=naive needs several processes; give --devices")
    kind = config.model.codebook.kind
    if several and quantizers[kind].part.one_process:
        raise ConfigError(
            f"model.codebook.kind={kind} learns in one process: ranks would not add up the "
            "gradient of its weights; leave out --devices"
        )
    if options.private_steps is not None:
        refuse_needing_all_steps(config, f"training.private_steps={options.private_steps}")
    whole = {
        "training.compile": options.compile,
        "model.map_detail=normalized": config.model.map_detail == "normalized",
        "model.second": config.model.second is not None,
    }
    for what, given in whole.items():
        if given and (several or options.micro_batch or options.recompute_maps):
            raise ConfigError(
                f"{what} is for one process and whole batches; leave out --devices, "
                "training.micro_batch and training.recompute_maps"
            )


def refuse_needing_all_steps(config: RunConfig, given: str) -> None:
    """Refuse what needs the private detail of all steps where `given` asks for that of some.

    Raises:
        ConfigError: naming it.
    """
    if config.model.map_detail == "normalized":
        raise ConfigError(
            "model.map_detail=normalized takes its averages over the maps of all steps, so that "
            f"those of some would have others: leave out {given}, or take map_detail=published"
        )
    for name in config.objectives.terms:
        part = objectives[name].part
        if part.needs & {"detail", "rebuilt"} and not part.of_some_steps:
            raise ConfigError(
                f"objectives.{name} needs the private detail of all steps: leave out {given}, or "
                f"the term"
            )
