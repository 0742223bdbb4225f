"""What it takes for the paper's figures (NeurIPS 2023, Tables 1 and 3) to stand beside ours.

They were made by the published protocol, and stand beside figures on the paper's data only: all its
clips, with features like its own.

The row "labeled modality" of Table 3 is taken for the direction within the modality that a column
starts from: 64.8, in the column from video to audio of AVE, for "video->video".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cmg.config.schema import RunConfig
from cmg.official.catalogue import OFFICIAL_COUNTS
from cmg.official.doctor.expected import OFFICIAL
from cmg.official.layout import SIMULATION

if TYPE_CHECKING:
    from cmg.evaluation.frozen import Opened

PaperTable = dict[str, dict[str, float]]
"""Figure per direction "video->audio" and metric."""
PaperFigures = Mapping[str, Mapping[str, float]]
"""The paper's figure of a benchmark's headline per pre-training list and direction."""
VA, AV, VV, AA = "video->audio", "audio->video", "video->video", "audio->audio"
SHARE = 0.99
"""A clip here and there may be missing; the list of the first upload held half of them."""


class Scored(NamedTuple):
    """Clips of a data set that have a label and a modality: so many in the paper's data.

    Counted in the official lists (docs/official-data.md).
    """

    data_set: str
    modality: str
    label: str
    clips: int


def all_of(data_set: str, label: str, *modalities: str) -> tuple[Scored, ...]:
    """All clips of a data set."""
    count = sum(OFFICIAL_COUNTS[data_set].values())
    return tuple(Scored(data_set, m, label, count) for m in modalities)


def unlike_paper(scored: Sequence[Scored], collection: Opened) -> str:
    """Why the data of a benchmark are not the paper's; empty if they are.

    Args:
        scored: What the paper's data have.
        collection: With its data sets.
    """
    if (Path(collection.path) / SIMULATION).is_file():
        return "the data are simulated"
    shapes: dict[str, tuple[int, ...]] = {m: (OFFICIAL.widths[m],) for m in ("audio", "video")}
    shapes["video"] = (OFFICIAL.map_size, OFFICIAL.map_size, OFFICIAL.widths["video"])
    for name, modality, label, count in scored:
        source = collection.open(name)
        found = sum(
            1
            for row in source.rows
            if row.lengths.get(modality, 0) and row.labels.get(label) is not None
        )
        if not SHARE * count <= found <= count:
            return f"{name} has {found:,} clips with {modality} here, the paper's has {count:,}"
        shape = source.modalities[modality].shape
        if tuple(shape) != shapes[modality]:
            return (
                f"{name} has {modality} features of shape {list(shape)} here, the paper's have "
                f"{list(shapes[modality])}"
            )
    return ""


def unlike_training(config: RunConfig) -> str:
    """Why a model was not trained as the paper's were; empty if nothing says so."""
    if (Path(config.data.store) / SIMULATION).is_file():
        return "the model was trained on simulated data"
    if config.data.fraction < 1:
        return f"the model was trained on data.fraction={config.data.fraction} of its list"
    controls = {
        "data.shuffled_pairs": config.data.shuffled_pairs,
        "training.codebook_only": config.training.codebook_only,
    }
    named = [key for key, on in controls.items() if on]
    return f"the model is a control ({named[0]})" if named else ""
