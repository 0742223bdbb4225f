"""Official checkpoints to run folders and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cmg.errors import CheckpointError, ConfigError
from cmg.files import StrPath
from cmg.interop.export import official_content, save_official
from cmg.interop.folder import PAPER, Release, restored_content, write_converted
from cmg.interop.form import kind_of
from cmg.interop.names import EPOCH, SECTIONS, TOTAL_STEP
from cmg.interop.official import OfficialCheckpoint, read_official
from cmg.interop.releases import SUCCESSORS, TOLD
from cmg.models.saving import DESCRIPTION, MODEL
from cmg.runs.checkpoint import TRAINING, Checkpoint, list_checkpoints, read_checkpoint
from cmg.saved import load_tensors


def convert_to_run(
    file: StrPath,
    out: StrPath,
    dtype: str | None = None,
    map_size: int = 7,
    release: str | None = None,
) -> dict[str, Any]:
    """Write an official checkpoint as a run folder, which every command takes for ``--model``.

    Args:
        file: Of the authors: AVT, AV or AT; a whole file, or one for inference. Or one of a
            successor, which is recognized by its tensors.
        out: Folder to write; may exist if empty.
        dtype: Of the model, ``float64`` or ``float32``; None keeps the file's.
        map_size: Height and width of video maps, which no tensor tells; 7 in the release.
        release: Whose file it is, where no tensor tells: ``micu``, whose files are those of
            Uni-Code; None goes by the tensors.

    Returns:
        What was found: kind, epoch, sizes, number of tensors and parameters, and which parts of
        the model the file did not hold.

    Raises:
        CheckpointError: a file that is no official checkpoint or contradicts itself; nothing is
            written.
        ConfigError: `out` is not empty, or an option does not fit.
        DataError: `out` cannot be written.
    """
    file = Path(file)
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} exists and is not an empty folder; choose another --out")
    if list_checkpoints(file) or (file / DESCRIPTION).is_file():
        raise CheckpointError(
            f"{file} is a run, and --out makes runs of the authors' files; to make such a file of "
            f"it, run `cmg convert {file} --to-official {out.with_suffix('.pt')}`"
        )
    whose, checkpoint = read_release(file, release)
    described, imported = write_converted(checkpoint, file, out, dtype, map_size, whose)
    architecture, origin = imported.architecture, described.origin
    absent = sorted({".".join(name.split(".")[:2]) for name in imported.absent})
    return {
        "run": str(out),
        "kind": origin["kind"],
        EPOCH: origin[EPOCH],
        TOTAL_STEP: origin[TOTAL_STEP],
        "dtype": origin["dtype"],
        "codes": imported.model.size,
        "width": architecture.model.width,
        "modalities": {m.name: list(m.shape) for m in architecture.modalities},
        "tensors": len(checkpoint.tensors),
        "parameters": sum(p.numel() for p in imported.model.parameters()),
        "optimizers": list(origin["optimizers"]),
        "absent": absent,
    }


def read_release(file: Path, told: str | None) -> tuple[Release, OfficialCheckpoint]:
    """Whose file it is, and what it holds.

    Raises:
        ConfigError: no such release is told apart by the user.
        CheckpointError: a file of no release, or of another one than was said.
    """
    if told is not None and told not in TOLD:
        raise ConfigError(
            f"--release {told!r}: only {', '.join(TOLD)} has to be said; files of other releases "
            "are told by their tensors, so leave it out"
        )
    for release in SUCCESSORS:
        if (content := release.read(file)) is not None:
            if told is not None:
                raise CheckpointError(
                    f"{file} is a {release.name.strip()} file by its tensors, and not {told}; "
                    "leave out --release"
                )
            return release, content
    release = PAPER if told is None else TOLD[told]
    return release, read_official(file)


def convert_to_official(run: StrPath, file: StrPath) -> dict[str, Any]:
    """Write a checkpoint as a file that the authors' scripts load.

    Args:
        run: A run folder (its newest checkpoint) or a checkpoint folder.
        file: To write; must not exist.

    Returns:
        Kind, epoch, number of tensors, and which modules were made anew.

    Raises:
        CheckpointError: no checkpoint, damaged files, or a model that has no official form.
        ConfigError: `file` exists.
        DataError: it cannot be written.
    """
    run = Path(run)
    file = Path(file)
    if file.exists():
        raise ConfigError(f"{file} exists; choose another name")
    checkpoint = read_checkpoint(run, None)
    fresh: list[str] = []
    if checkpoint.origin:
        content = restored_content(checkpoint, load_tensors(checkpoint.path / MODEL))
    else:
        content, fresh = content_of_run(checkpoint)
    save_official(file, content)
    return {
        "file": str(file),
        "kind": kind_of([m.name for m in checkpoint.modalities]),
        EPOCH: content[EPOCH],
        TOTAL_STEP: content.get(TOTAL_STEP),
        "tensors": sum(len(content[section]) for section in SECTIONS if section in content),
        "fresh": fresh,
        "rounded": checkpoint.origin.get("dtype") == "float32",
    }


def content_of_run(checkpoint: Checkpoint) -> tuple[dict[str, Any], list[str]]:
    """What an official file of one of our runs holds, and which modules of it are made anew.

    Of a checkpoint with weights only these are the objectives' nets too, and no optimizer has a
    state.
    """
    model = load_tensors(checkpoint.path / MODEL)
    beside = load_tensors(checkpoint.path / TRAINING) if TRAINING in checkpoint.files else {}
    config, position = checkpoint.config, checkpoint.position
    made = official_content(checkpoint.modalities, config, position, model, beside)
    return made.content, made.fresh
