"""The configuration of a run: one typed tree, the same for YAML files, overrides and Python."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from cmg.decoders.heads import ProbeOptions
from cmg.models.unified import ModelOptions
from cmg.objectives.weighted import ObjectiveOptions
from cmg.options import MOST_SEED, Name, Options
from cmg.training.optimizer import OptimizerOptions
from cmg.training.state import Precision


class DataOptions(Options):
    """What a run trains on.

    Attributes:
        store: A store's folder, ``digits`` for the embedded set, or a collection: a folder in the
            official layout, or what ``cmg data import`` made of one.
        list: Of a collection, the VGGSound list to train on: ``24k`` is the training split of
            ``40k``.
        lists: Of a collection, a folder with more annotation files.
        modalities: Names to use; null for all of the store.
        train_split: Split to train on, without its labels.
        test_split: Held-out split to evaluate on.
        step_seconds: Seconds that the steps of all modalities are brought to; ``auto``: the
            longest of them where they differ; null: steps are taken by their index.
        fraction: Share of the training split to train on, the same clips for every seed and a
            smaller share within a larger one. Heads still see the labels of the whole split.
        batch_size: Clips per step; 80 in the paper.
        shuffled_pairs: Control: break the pairing, keep every modality's clips.
    """

    store: Name = "digits"
    list: Literal["24k", "40k", "81k", "90k", "179k"] | None = None
    lists: Name | None = None
    modalities: tuple[str, ...] | None = None  # `list` is a field here
    train_split: str = "train"
    test_split: str = "test"
    step_seconds: Annotated[float, Field(gt=0)] | Literal["auto"] | None = "auto"
    fraction: float = Field(1.0, gt=0.0, le=1.0)
    batch_size: int = Field(80, ge=2)
    shuffled_pairs: bool = False


class ModelSection(ModelOptions):
    """A model, and the widths its modalities take beside the shapes the store declares.

    Attributes:
        detail_width: Private width S per modality; 256 where none is given.
        token_hidden: Token LSTM width per direction, per modality; 128 where none is given.
    """

    detail_width: dict[str, PositiveInt] = Field(default_factory=dict)
    token_hidden: dict[str, PositiveInt] = Field(default_factory=dict)


class TrainingOptions(Options):
    """How long, how exact, and what is kept.

    Attributes:
        epochs: Passes over the training split.
        seed: Of weights, order of the clips, draws and dropout.
        precision: ``float32``, ``bf16`` (autocast of detail encoders and decoders) or ``float64``.
        device: ``cpu``, ``cuda``, ``cuda:1``; ``auto`` takes a GPU if there is one.
        threads: CPU threads; null leaves torch's choice. The same number gives the same bits.
        checkpoint_every_steps: Checkpoints between the one at the end of each epoch.
        keep_checkpoints: How many of the newest to keep. ``epochs`` keeps one per epoch, which is
            what ``cmg select`` chooses from, but weights only of all but the newest two, from
            which training can go on; null keeps every one whole.
        tensorboard: Write scalars for TensorBoard.
        micro_batch: Clips that are encoded at once; null for all. Terms still compare the whole
            batch, so results are the same to rounding, with less memory and more time.
        recompute_maps: Compute the private path of maps again for its gradients instead of keeping
            what is in between: less memory, more time, the same results.
        keep_memory: On a CPU under Linux, keep the memory that a step frees for the next one
            instead of giving it back: faster, with a higher peak, the same results. Commands do;
            from Python see :mod:`cmg.training.allocation`.
        compile: Pass encoders and decoders through ``torch.compile``; where it does not work,
            training says so and goes on without. For one process and whole batches.
        parallel: With several processes: ``exact`` trains as one process with the same batch does;
            ``naive`` averages gradients only, the control.
        codebook_only: Control: encoders stay as initialized, only the codebook moves.
    """

    epochs: int = Field(6, ge=1)
    seed: int = Field(0, ge=0, le=MOST_SEED)
    precision: Precision = "float32"
    device: str = "auto"
    threads: int | None = Field(None, ge=1, le=1024)
    checkpoint_every_steps: int | None = Field(None, ge=1)
    keep_checkpoints: Annotated[int, Field(ge=1)] | Literal["epochs"] | None = "epochs"
    tensorboard: bool = True
    micro_batch: int | None = Field(None, ge=1)
    recompute_maps: bool = False
    keep_memory: bool = True
    compile: bool = False
    parallel: Literal["exact", "naive"] = "exact"
    codebook_only: bool = False


class RunConfig(Options):
    """A whole run: data, model, objectives, optimizer, training and probing."""

    data: DataOptions = DataOptions()
    model: ModelSection = ModelSection()
    objectives: ObjectiveOptions = ObjectiveOptions()
    optimizer: OptimizerOptions = OptimizerOptions()
    training: TrainingOptions = TrainingOptions()
    probe: ProbeOptions = ProbeOptions()
