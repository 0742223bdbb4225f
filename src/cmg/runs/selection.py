"""Which checkpoint of a run was selected: the mark that ``cmg select`` leaves in the run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmg.errors import CheckpointError
from cmg.files import StrPath, read_json, replace_file
from cmg.models.saving import DESCRIPTION
from cmg.runs.checkpoint import FOLDER

SELECTED = "selected.json"


def mark_checkpoint(run: Path, checkpoint: Path, told: Mapping[str, Any]) -> Path:
    """Mark a checkpoint of a run as the selected one.

    Args:
        run: The run folder.
        checkpoint: One of its checkpoints.
        told: How it was chosen, JSON.

    Returns:
        The file.

    Raises:
        DataError: it cannot be written; an earlier mark is untouched.
    """
    content = {"checkpoint": checkpoint.name, **told}
    replace_file(run / SELECTED, (json.dumps(content, indent=1) + "\n").encode())
    return run / SELECTED


def marked_checkpoint(run: StrPath) -> Path | None:
    """The selected checkpoint of a run; None without a mark.

    Raises:
        CheckpointError: the mark is damaged, or names a checkpoint that is gone.
    """
    path = Path(run) / SELECTED
    if not path.is_file():
        return None
    remedy = f"run `cmg select {run}` again, or delete {path}"
    try:
        name = read_json(path)["checkpoint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged ({error!r}); {remedy}") from error
    found = Path(run) / FOLDER / Path(str(name)).name
    if not (found / DESCRIPTION).is_file():
        raise CheckpointError(f"{path} names checkpoint {name!r}, which is gone; {remedy}")
    return found
