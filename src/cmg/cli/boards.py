"""Where a training is followed: TensorBoard and Weights & Biases are told the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cmg.errors import ConfigError
from cmg.optional import optional

if TYPE_CHECKING:
    from cmg.codebook.measures import CodeUsage
    from cmg.config.schema import RunConfig
    from cmg.data.clips import Clips
    from cmg.models.unified import UnifiedModel
    from cmg.runs.checkpoint import Position

FOLDER = "tensorboard"
"""Of the events, in a run folder."""
LABELED = 256
"""Clips that the classes of codes are counted on."""
CELL, PER_LINE = 8, 64
"""Pixels of a code in a picture, and codes in a line of it."""


class Board(Protocol):
    """What is told of a training."""

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """Show a picture [H, W]."""

    def vectors(self, name: str, rows: Any, facts: list[list[str]], step: int) -> None:
        """Show vectors [N, D]; `facts` are a header and a row of each."""

    def close(self) -> None:
        """Write what is left."""


class TensorBoard:
    """Every term and measure as a scalar, pictures, and vectors in the projector.

    Args:
        folder: Of the events.
        steps_done: By earlier processes.
        settings: Hyperparameters by dotted key, for the tab of these.
    """

    def __init__(
        self, folder: Path, steps_done: int, settings: Mapping[str, Any] | None = None
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter
        from torch.utils.tensorboard.summary import hparams

        # purge_step hides what a killed process logged after its last checkpoint.
        self.writer = SummaryWriter(str(folder), purge_step=steps_done + 1)
        if settings:
            told = {
                key: x if isinstance(x, bool | int | float) else str(x)
                for key, x in settings.items()
            }
            writer = self.writer._get_file_writer()  # type: ignore[no-untyped-call]  # nor has it
            for part in hparams(told, {"loss/total": 0.0}):  # type: ignore[no-untyped-call]  # it has no types
                writer.add_summary(part)

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""
        for name, value in log.items():
            self.writer.add_scalar(name, value, position.step)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """Show a picture [H, W]."""
        self.writer.add_image(name, pixels, step, dataformats="HW")

    def vectors(self, name: str, rows: Any, facts: list[list[str]], step: int) -> None:
        """Show vectors in the projector."""
        self.writer.add_embedding(rows, facts[1:], None, step, name, facts[0])

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()


class WandB:
    """A run of Weights & Biases; a resumed run goes on in the one it had.

    Args:
        project: Its name there.
        run: Run folder, which its files are kept in.
        settings: Hyperparameters by dotted key.
        key: Of the run: the same gives the same run there.

    Raises:
        ConfigError: the package is not installed, or refuses.
    """

    def __init__(self, project: str, run: Path, settings: Mapping[str, Any], key: str) -> None:
        self.wandb = wandb_package()
        number = hashlib.sha256(key.encode()).hexdigest()[:16]
        try:
            self.run = self.wandb.init(
                project=project,
                name=run.name,
                dir=str(run),
                config=dict(settings),
                id=number,
                resume="allow",
            )
        except Exception as error:  # of a service, whatever it is
            raise ConfigError(
                f"training.wandb={project}: {error}; log in with `wandb login`, set "
                "WANDB_MODE=offline, or leave it out"
            ) from error

    def step(self, position: Position, clips: int, log: dict[str, float]) -> None:
        """A step is done."""
        self.run.log(log, step=position.step)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """Show a picture [H, W]."""
        self.run.log({name: self.wandb.Image(pixels)}, step=step)

    def vectors(self, name: str, rows: Any, facts: list[list[str]], step: int) -> None:
        """Show vectors as a table."""
        columns = [*facts[0], *(f"d{i}" for i in range(rows.shape[1]))]
        told = [[*fact, *row] for fact, row in zip(facts[1:], rows.tolist(), strict=True)]
        self.run.log({name: self.wandb.Table(columns=columns, data=told)}, step=step)

    def close(self) -> None:
        """Write what is left."""
        self.run.finish()


def wandb_package() -> Any:
    """The package of Weights & Biases.

    Raises:
        ConfigError: it is not installed.
    """
    return optional("wandb", "training.wandb needs wandb: pip install 'cmg-torch[wandb]'")


@contextmanager
def boards(run: Path, config: RunConfig, steps_done: int) -> Iterator[list[Board]]:
    """Those that a configuration asks for, for a run whose folder is there."""
    from cmg.config.compare import leaves
    from cmg.runs.folder import read_facts

    settings, options = leaves(config.model_dump(mode="json")), config.training
    with ExitStack() as stack:
        found: list[Board] = []
        if options.tensorboard:
            found.append(TensorBoard(run / FOLDER, steps_done, settings))
            stack.callback(found[-1].close)
        if options.wandb is not None:
            facts = read_facts(run)
            key = f"{facts.get('started')} {run.name} {facts['data_hash']} {options.seed}"
            found.append(WandB(options.wandb, run, settings, key))
            stack.callback(found[-1].close)
        yield found


@contextmanager
def tensorboard(run: Path, wanted: bool, steps_done: int, name: str) -> Iterator[list[TensorBoard]]:
    """A TensorBoard where it is wanted, in a folder of a name."""
    if not wanted:
        yield []
        return
    board = TensorBoard(run / FOLDER / name, steps_done)
    try:
        yield [board]
    finally:
        board.close()


def show_codebook(
    boards: list[Board], model: UnifiedModel, usage: CodeUsage, clips: Clips, step: int
) -> None:
    """How often modalities choose each code, as pictures, and the codes among their vectors.

    Of clips with labels, each code has the class that takes it most often.
    """
    if usage.counts.numel() == 0 or not boards:  # the first is a model without codes
        return
    classes = code_labels(model, clips)
    counts = usage.counts.reshape(len(usage.modalities), -1).cpu().numpy()
    for board in boards:
        for name, own in zip(usage.modalities, counts, strict=True):
            board.picture(f"codebook/{name}", use_picture(own), step)
        tables = {m: model.codebook.table(m).detach().float().cpu() for m in usage.modalities}
        same = all(x.equal(tables[usage.modalities[0]]) for x in tables.values())
        for m, rows in list(tables.items())[: 1 if same else None]:
            if rows.dim() == 2:  # not several tables, each of codes of its own
                own_facts = [
                    [str(code), *(f"{x:.0f}" for x in chosen), *classes[code : code + 1]]
                    for code, chosen in enumerate(counts.T)
                ]
                facts = [["code", *usage.modalities, *(["class"] if classes else [])], *own_facts]
                board.vectors("codes" if same else f"codes/{m}", rows, facts, step)


def code_labels(model: UnifiedModel, clips: Clips) -> list[str]:
    """The class that takes each code most often, and its share; none without labels."""
    from cmg.evaluation.encoding import code_usage
    from cmg.process import mode
    from cmg.report.gather import CodedSplit, encode, evenly
    from cmg.report.samples import code_classes

    if not clips.labels:
        return []
    with mode(model, training=False):
        split, encoded = encode(model, clips.only(evenly(len(clips), LABELED)))
    data = CodedSplit(model, split, encoded, code_usage(encoded, model.size))
    first = (code_classes(data, code)[0][:1] for code in range(data.usage.counts.shape[-1]))
    return [f"{found[0][0]} ({100 * found[0][1]:.0f} %)" if found else "-" for found in first]


def show_transfer(run: Path) -> int:
    """Write a run's transfer scores to its TensorBoard, at its last step; how many there are."""
    from cmg.evaluation.results import Results
    from cmg.runs.checkpoint import Position, list_checkpoints, step_of

    results = run / "results.json"
    if not ((run / FOLDER).is_dir() and results.is_file() and list_checkpoints(run)):
        return 0
    scores = {
        f"transfer/{way}": score.mean for way, score in Results.load(results).transfer.items()
    }
    step = step_of(list_checkpoints(run)[-1])
    board = TensorBoard(run / FOLDER, step)
    board.step(Position(step, 0), 0, scores)
    board.close()
    return len(scores)


def use_picture(counts: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Codes from left to right, line by line: the brighter, the more often chosen (logarithm)."""
    shades = np.log1p(counts) / max(1e-9, float(np.log1p(counts).max()))
    cells = np.zeros(-(-len(shades) // PER_LINE) * PER_LINE)
    cells[: len(shades)] = shades
    grid = (255 * cells.reshape(-1, PER_LINE)).astype(np.uint8)
    return grid.repeat(CELL, 0).repeat(CELL, 1)
