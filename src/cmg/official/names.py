"""The names of the authors' files, each told once."""

from __future__ import annotations

SPLITS = ("train", "val", "test")
SENSES = ("audio", "visual")
"""AVVP's modalities, as its files call them."""

VGGSOUND = "vggsound-avel40k.csv"
VGGSOUND_CATEGORIES = "VggsoundAVEL40kCategories.txt"
VGGSOUND_PROMPTS = "vggsoundCategories2Prompts.csv"
VGGSOUND_CHECKED = "video_name_vggsound40k_checked.csv"
LONGER = {
    f"vggsound{size}": f"video_name_vggsound{size}_checked.csv" for size in ("81k", "90k", "179k")
}
"""The longer lists of VGGSound, by data set."""

ANNOTATIONS = "Annotations.txt"
ORDERS = {split: f"{split}_order.h5" for split in SPLITS}
AVE_TRAIN = "trainSet.txt"
"""There are only cuts of it."""
AVE_FEATURES = {"audio": "audio_feature.h5", "video": "visual_feature.h5"}

AVVP_CATEGORIES = "AVVP_Categories.txt"
AVVP_EVENTS = {sense: f"AVVP_eval_{sense}_checked_combined.csv" for sense in SENSES}
"""A clip a row."""
AVVP_DENSE = {sense: f"AVVP_eval_{sense}.csv" for sense in SENSES}
"""An event a row."""
AVVP_WEAK = {"val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv", "train": "AVVP_train.csv"}

SHARED_CATEGORIES = "AVE_AVVP_Categories.txt"
SHARED_EVENTS = {sense: f"AVE_{name}" for sense, name in AVVP_EVENTS.items()}
SHARED_ORDER = "ave_avvp_order.h5"
SHARED_LABELS = "ave_avvp_labels.h5"

UCF_NAMES = "UCF101sameVGGSound.txt"
VGGSOUND_NAMES = "VGGSoundsameUCF101.txt"
UCF = "ucf2vggsound.csv"
VGGSOUND_UCF = "vggsound2ucf.csv"
UCF51 = "ucf51checked.csv"
UCF51_CATEGORIES = "UCF51Categories.txt"

S4 = "s4_meta_data.csv"
S4_PROMPTS = "AVSBenchCategories2Prompts.csv"
FRAMES, MASKS = PICTURES = ("visual_frames", "gt_masks")
"""Folders of AVSBench's frames and masks."""

COUNTS = "cnt.pkl"
KNOWN = {"AVE": (14, 21), "UCF51": (17, 34), "UCF-VGGSound": (8, 12)}
"""Known classes of the open-set cuts."""


def cut(name: str, known: int) -> str:
    """Name of a list's open-set cut."""
    stem, _, suffix = name.partition(".")
    return f"{stem}_{known}{'class' if suffix == 'h5' else ''}.{suffix}"
