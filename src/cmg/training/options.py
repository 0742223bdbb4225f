"""Options of a training run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cmg.options import MOST_SEED, Name, Options

Precision = Literal["float32", "bf16", "float64"]


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
        tensorboard: Write curves, settings and codes for TensorBoard: ``tensorboard --logdir RUN``.
        wandb: Project of Weights & Biases to send the same to; null sends nothing. Needs the
            package wandb; WANDB_MODE=offline keeps it on this machine.
        micro_batch: Clips that are encoded at once; null for all. Terms still compare the whole
            batch, so results are the same to rounding, with less memory and more time.
        private_steps: Existing steps of each clip and modality that are drawn in every step of
            training for the private path: detail encoders, decoders and CLUB run on these alone,
            and their terms have those of all steps for their mean over draws; content and every
            other term are of all steps. null: all (docs/lean.md).
        recompute_maps: Compute the private path of maps again for its gradients instead of keeping
            what is in between: less memory, more time, the same results.
        keep_memory: On a CPU under Linux, keep the memory that a step frees for the next one
            instead of giving it back: faster, with a higher peak, the same results. Commands do;
            from Python see :mod:`cmg.allocation`.
        compile: Pass encoders and decoders through ``torch.compile``; where it does not work,
            training says so and goes on without. For one process and whole batches.
        parallel: With several processes: ``exact`` trains as one process with the same batch does;
            ``naive`` averages gradients only, the control.
        passes: How often a step encodes its batch, each time with other dropout. Codes move, and
            inner fits are done, in every pass but the last, which alone is trained on; terms may
            read the others, too [as coded in successors of the method].
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
    wandb: Name | None = None
    micro_batch: int | None = Field(None, ge=1)
    private_steps: int | None = Field(None, ge=1)
    recompute_maps: bool = False
    keep_memory: bool = True
    compile: bool = False
    parallel: Literal["exact", "naive"] = "exact"
    passes: int = Field(1, ge=1, le=100)
    codebook_only: bool = False
