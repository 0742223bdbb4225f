"""The parts of the official folder: what each is for, and where to get it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cmg.official.datasets.avvp import SPLIT_LISTS
from cmg.official.layout import PICTURES

AUTHORS = "the authors' data folder (links in the README of github.com/haihuangcode/CMG)"
ATTACHED = (
    f"{AUTHORS}; the first uploads lacked it, it is also attached to their issue #1 "
    "(or name a folder that holds it with --lists)"
)
AVE_GIT = "data/ of github.com/YapengTian/AVE-ECCV18"
AVVP_GIT = "data/ of github.com/YapengTian/AVVP-ECCV20"
OPENNLPLAB = "Single-source of github.com/OpenNLPLab/AVSBench (not in the authors' download)"
OPEN_SET = "ICCV25-OSCMG/data of github.com/haihuangcode/CMG"

PRETRAIN, TEXT = "pre-training", "pre-training with text"
AVE, AVVP, SHARED, UCF = "ave", "avvp", "ave-avvp", "ucf-vgg"

GENERAL = "folder"
OVERLAPS = "overlaps"
ENCODER = "text-encoder"
COUNTS = "cnt.pkl"

KNOWN = {"AVE": (14, 21), "UCF51": (17, 34), "UCF-VGGSound": (8, 12)}
"""Known classes of the open-set cuts."""


@dataclass(frozen=True)
class Part:
    """A file, or a folder of zips.

    Attributes:
        name: Of the file; of a folder of zips ``vggsound40k/feature/audio``.
        group: Heading it stands under.
        needed: What cannot be run without it; empty for an optional part.
        use: What an optional part is for; empty for one that nothing reads.
        source: Where to get it.
        limits: Whether its absence, although optional, is worth a warning.
        family: Name that optional parts share which come together, and are absent together.
    """

    name: str
    group: str
    needed: tuple[str, ...] = ()
    use: str = ""
    source: str = AUTHORS
    limits: bool = False
    family: str = ""


def feature_part(data_set: str, feature: str) -> str:
    """Name of a folder of zips."""
    return f"{data_set}/feature/{feature}"


def _vggsound() -> Iterator[Part]:
    group = "VGGSound"
    yield Part("vggsound-avel40k.csv", group, (PRETRAIN, UCF))
    yield Part("VggsoundAVEL40kCategories.txt", group, (PRETRAIN,))
    yield Part("vggsoundCategories2Prompts.csv", group, (TEXT,), source=ATTACHED)
    yield Part(feature_part("vggsound40k", "audio"), group, (PRETRAIN, UCF))
    yield Part(feature_part("vggsound40k", "video"), group, (PRETRAIN, UCF))
    yield Part(feature_part("vggsound40k", "label"), group, use="labels per second")
    yield Part("video_name_vggsound40k_checked.csv", group)
    for name in ("vggsound81k", "vggsound90k", "vggsound179k"):
        use = f"pre-training with list={name.removeprefix('vggsound')}"
        yield Part(f"video_name_{name}_checked.csv", group, use=use, family=name)
        for modality in ("audio", "video"):
            yield Part(feature_part(name, modality), group, use=use, family=name)


def _ave() -> Iterator[Part]:
    group = "AVE"
    yield Part("Annotations.txt", group, (AVE, SHARED), source=AVE_GIT)
    for split in ("train", "val", "test"):
        yield Part(f"{split}_order.h5", group, (AVE, SHARED), source=AVE_GIT)
    yield Part("audio_feature.h5", group, (AVE, SHARED))
    yield Part("visual_feature.h5", group, (AVE, SHARED))
    for name in ("labels.h5", "right_labels.h5", "mil_labels.h5", "labels_closs.h5"):
        yield Part(name, group, source=AVE_GIT)
    for split in ("train", "val", "test"):
        yield Part(f"{split}_order_match.h5", group, source=AVE_GIT)


def _avvp() -> Iterator[Part]:
    group = "AVVP"
    yield Part("AVVP_Categories.txt", group, (AVVP,))
    for sense in ("audio", "visual"):
        yield Part(f"AVVP_eval_{sense}_checked_combined.csv", group, (AVVP,))
    for modality in ("audio", "video"):
        yield Part(feature_part("avvp", modality), group, (AVVP, SHARED))
    clean = f"the clean protocol of {AVVP} and {SHARED}, which parts validation from test clips"
    for split, name in SPLIT_LISTS.items():
        use = clean if split != "train" else "weakly labeled training clips"
        yield Part(name, group, use=use, source=AVVP_GIT, limits=split != "train")
    for sense in ("audio", "visual"):
        yield Part(f"AVVP_eval_{sense}.csv", group, source=AVVP_GIT)


def _shared() -> Iterator[Part]:
    group = "AVE -> AVVP"
    yield Part("AVE_AVVP_Categories.txt", group, (SHARED,))
    yield Part("ave_avvp_order.h5", group, (SHARED,))
    yield Part("ave_avvp_labels.h5", group, (SHARED,))
    for sense in ("audio", "visual"):
        yield Part(f"AVE_AVVP_eval_{sense}_checked_combined.csv", group, (SHARED,))


def _ucf() -> Iterator[Part]:
    group = "UCF101 <-> VGGSound"
    yield Part("UCF101sameVGGSound.txt", group, (UCF,), source=ATTACHED)
    yield Part("VGGSoundsameUCF101.txt", group, (UCF,), source=ATTACHED)
    yield Part("ucf2vggsound.csv", group, (UCF,), source=ATTACHED)
    yield Part("vggsound2ucf.csv", group, (UCF,), source=ATTACHED)
    yield Part(feature_part("ucf101", "video"), group, (UCF,))


def _open_set() -> Iterator[Part]:
    group = "Open-set cuts"
    cuts = {
        "AVE": ["train_order_{}class.h5", "trainSet_{}.txt"],
        "UCF51": ["UCF51Categories_{}.txt", "ucf51checked_{}.csv"],
        "UCF-VGGSound": ["ucf2vggsound_{}.csv", "vggsound2ucf_{}.csv"],
    }
    for task, patterns in cuts.items():
        names = [pattern.format(known) for known in KNOWN[task] for pattern in patterns]
        if task == "UCF51":
            names = ["UCF51Categories.txt", "ucf51checked.csv", *names]
            names += [feature_part("ucf101all", modality) for modality in ("audio", "video")]
        for name in names:
            source = AUTHORS if "/" in name else OPEN_SET
            use = f"the open-set task of {task}"
            yield Part(name, group, use=use, source=source, family=f"open-set cuts of {task}")


def _others() -> Iterator[Part]:
    group, use = "AVSBench", "audio-visual segmentation"
    prompts = "AVSBenchCategories2Prompts.csv"
    yield Part(prompts, group, use=use, source=ATTACHED, family="avsbench")
    yield Part(feature_part("avsbench", "audio"), group, use=use, family="avsbench")
    for name in ("s4_meta_data.csv", *PICTURES):
        yield Part(name, group, use=use, source=OPENNLPLAB, family="avsbench")
    words = f"{TEXT} with the published word filter"
    root = "the root of github.com/haihuangcode/CMG"
    yield Part(COUNTS, "Text", use=words, source=root, limits=True)
    yield Part(ENCODER, "Text", use=TEXT, limits=True)


PARTS: dict[str, Part] = {
    part.name: part
    for group in (_vggsound, _ave, _avvp, _shared, _ucf, _open_set, _others)
    for part in group()
}
"""Every part, in the order of the report."""

FOLDERS = {
    (data_set, feature): feature_part(data_set, feature)
    for data_set in (
        "vggsound40k vggsound81k vggsound90k vggsound179k avvp ucf101 ucf101all avsbench".split()
    )
    for feature in ("audio", "video", "label")
    if feature_part(data_set, feature) in PARTS
}
"""The parts that are folders of zips, by their key in a layout."""


def family_parts(family: str) -> list[Part]:
    """The parts of a family, in order."""
    return [part for part in PARTS.values() if part.family == family]


def group_of(part: str) -> str:
    """Heading that a part, a family, or a remark about several parts stands under."""
    members = family_parts(part)
    if members:
        return members[0].group
    return PARTS[part].group if part in PARTS else "In general"


def position(part: str) -> int:
    """Place of a part or family in the report; remarks about several come last."""
    names = list(PARTS)
    members = family_parts(part)
    if members:
        return names.index(members[0].name)
    return names.index(part) if part in PARTS else len(names)
