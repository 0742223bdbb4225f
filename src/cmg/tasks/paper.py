"""The paper's figures (NeurIPS 2023, Tables 1 and 3), which were made by the published protocol.

They stand beside figures on the paper's data only: all its clips, with features like its own.

The row "labeled modality" of Table 3 is taken for the direction within the modality that a column
starts from: 64.8, in the column from video to audio of AVE, for "video->video".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cmg.config.schema import RunConfig
from cmg.official.doctor.expected import OFFICIAL, OFFICIAL_COUNTS
from cmg.official.layout import SIMULATION

if TYPE_CHECKING:
    from cmg.tasks.world import Opened

PaperTable = dict[str, dict[str, float]]
"""Figure per direction "video->audio" and metric."""

HEADLINES = {"ave": "accuracy", "avvp": "precision", "ave-avvp": "f1", "ucf-vgg": "accuracy"}
"""What the paper reports: it calls the accuracy of AVE "precision" and the precision of AVVP
"accuracy"."""

_VA, _AV, _VV, _AA = "video->audio", "audio->video", "video->video", "audio->audio"
_TRIMODAL = {
    "ave": {_VA: 54.1, _AV: 55.0, _VV: 64.8, _AA: 65.8},
    "avvp": {_VA: 63.4, _AV: 71.0, _VV: 71.0, _AA: 72.9},
    "ave-avvp": {_VA: 53.0, _AV: 52.4},
    "ucf-vgg": {_VA: 67.1, _AV: 60.6, _VV: 80.0, _AA: 85.4},
}
_BIMODAL = {
    "24k": {"ave": {_VA: 44.0, _AV: 49.7}, "avvp": {_VA: 61.9, _AV: 65.7}},
    "40k": {"ave": {_VA: 47.7, _AV: 52.3}, "avvp": {_VA: 64.0, _AV: 65.6}},
    "81k": {"ave": {_VA: 41.2, _AV: 45.6}, "avvp": {_VA: 60.5, _AV: 61.7}},
}


def paper_table(benchmark: str, modalities: Sequence[str], pretraining: str | None) -> PaperTable:
    """The paper's figures of one benchmark for a model like ours.

    Args:
        benchmark: Its name.
        modalities: What the model was trained on.
        pretraining: The list it was trained on, None if that is not known. Audio, video and text
            were trained on 40k only, so there it may be unknown.

    Returns:
        Empty where the paper has no such model.
    """
    found: dict[str, float] = {}
    if set(modalities) == {"audio", "video", "text"} and pretraining in (None, "40k"):
        found = _TRIMODAL[benchmark]
    elif set(modalities) == {"audio", "video"} and pretraining is not None:
        found = _BIMODAL.get(pretraining, {}).get(benchmark, {})
    return {direction: {HEADLINES[benchmark]: value} for direction, value in found.items()}


class Clips(NamedTuple):
    """Clips of a data set that have a label and a modality: `number` in the paper's data."""

    data_set: str
    modality: str
    label: str
    number: int


def _all(data_set: str, label: str, *modalities: str) -> tuple[Clips, ...]:
    number = sum(OFFICIAL_COUNTS[data_set].values())
    return tuple(Clips(data_set, m, label, number) for m in modalities)


CLIPS: Mapping[str, tuple[Clips, ...]] = {
    "ave": _all("ave", "event", "audio", "video"),
    "avvp": (Clips("avvp", "audio", "audio", 1_844), Clips("avvp", "video", "visual", 1_661)),
    "ave-avvp": (
        Clips("ave", "audio", "shared", 1_831),
        Clips("avvp", "audio", "shared_audio", 1_085),
        Clips("avvp", "video", "shared_visual", 1_032),
    ),
    "ucf-vgg": (
        *_all("ucf101", "ucf_vgg", "video"),
        Clips("vggsound40k", "audio", "ucf_vgg", sum(OFFICIAL_COUNTS["vggsound2ucf"].values())),
    ),
}
"""What each benchmark is scored on, counted in the official lists (docs/official-data.md)."""
SHARE = 0.99
"""A clip here and there may be missing; the list of the first upload held half of them."""


def unlike_paper(benchmark: str, collection: Opened) -> str:
    """Why the data of a benchmark are not the paper's; empty if they are.

    Args:
        benchmark: Its name.
        collection: With its data sets.
    """
    if (Path(collection.path) / SIMULATION).is_file():
        return "the data are simulated"
    side, width = OFFICIAL.map_size, OFFICIAL.widths
    shapes = {"audio": [width["audio"]], "video": [side, side, width["video"]]}
    for name, modality, label, number in CLIPS[benchmark]:
        source = collection.open(name)
        found = sum(
            1
            for row in source.rows
            if row.lengths.get(modality, 0) and row.labels.get(label) is not None
        )
        if not SHARE * number <= found <= number:
            return f"{name} has {found:,} clips with {modality} here, the paper's has {number:,}"
        shape = list(source.modalities[modality].shape)
        if shape != shapes[modality]:
            return (
                f"{name} has {modality} features of shape {shape} here, the paper's have "
                f"{shapes[modality]}"
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
