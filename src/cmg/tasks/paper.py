"""The paper's figures (NeurIPS 2023, Tables 1 and 3), which were made by the published protocol.

The row "labeled modality" of Table 3 is taken for the direction within the modality that a column
starts from: 64.8, in the column from video to audio of AVE, for "video->video".
"""

from __future__ import annotations

from collections.abc import Sequence

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
