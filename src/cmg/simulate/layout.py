"""Where everything is in the official folder."""

from __future__ import annotations

VGGSOUND = "vggsound40k"
BEYOND = "vggsound81k"
AVE = "AVE-ECCV18-master/data"
AVVP = "AVVP"
AVE_AVVP = "AVE_AVVP"
UCF = "UCF101"
UCF_ALL = "UCF101ALL"
AVSBENCH = "AVSBench"
S4 = "AVSBench/Single-source"
OPEN_SET = "OSCMG/data"
"""Cuts for open-set evaluation: ``AVE_OSCMG``, ``UCF_OSCMG`` and ``UCF_VGG_OSCMG``."""


def feature(dataset: str, modality: str, stem: str) -> str:
    """Path of a clip's zip."""
    return f"{dataset}/feature/{modality}/zip/{stem}.zip"


def segment_label(stem: str) -> str:
    """Path of the zip with the segment labels of a VGGSound clip."""
    return f"{VGGSOUND}/label/zip/{stem}.zip"


def s4_audio(split: str, category: str, name: str) -> str:
    """Path of the zip with the audio of an AVSBench clip."""
    return f"{AVSBENCH}/feature/audio/{split}/zip/{category}/{name}.zip"


def s4_picture(kind: str, split: str, category: str, name: str, step: int) -> str:
    """Path of a picture of an AVSBench clip.

    Args:
        kind: ``visual_frames`` or ``gt_masks``.
        split: Of the clip.
        category: Likewise.
        name: Likewise.
        step: From 1 to 5.
    """
    return f"{S4}/s4_data/{kind}/{split}/{category}/{name}/{name}_{step}.png"
