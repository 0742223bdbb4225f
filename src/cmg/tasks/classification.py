"""Plans of the benchmarks that classify clips: AVE, and UCF101 with VGGSound."""

from __future__ import annotations

import re

from cmg.data.manifest import ClipRow
from cmg.errors import DataError
from cmg.tasks.plan import MODALITIES, Plan, Protocol, Side, held_out, side
from cmg.tasks.training import HeadOptions
from cmg.tasks.world import World

SELECTION_SHARE = 0.15
VGG_SPLIT = "ucf_split"
UCF_TEST_GROUPS = range(1, 8)
"""Groups that are tested in split 1 of UCF101; the groups of all splits are disjoint."""


def ave_plan(world: World, options: HeadOptions, test: str = "test") -> Plan:
    """AVE: events of a clip, 28 classes.

    Args:
        world: With the data set ``ave``.
        options: Of head training.
        test: Split that the clean protocol tests on; ``val`` to choose between checkpoints.
    """
    source = world.source("ave")
    if world.protocol == "published":
        both = {m: side(source, m, "event", "train") for m in MODALITIES}
        notes: tuple[str, ...] = (
            "trained and evaluated on the training split",
            "the encoder's dropout is on while heads train",
            "figures are those of the last epoch",
        )
        classes = both["video"].classes[:-1]
        return Plan(
            "ave",
            "published",
            classes,
            "clip",
            both,
            {},
            both,
            "accuracy",
            options,
            notes,
            last_epoch=True,
        )
    train, select, tested = (
        {m: side(source, m, "category", name) for m in MODALITIES}
        for name in ("train", "val", test)
    )
    notes = (
        f"trained on the training split, tested on {test}",
        "the epoch is chosen by val accuracy of the modality that was trained on",
    )
    classes = train["video"].classes
    return Plan("ave", "clean", classes, "clip", train, select, tested, "accuracy", options, notes)


def ucf_vgg_plan(world: World, options: HeadOptions) -> Plan:
    """UCF101 (video) and VGGSound (audio): actions of a clip, 16 classes."""
    video, audio = world.source("ucf101"), world.source("vggsound40k")
    label = "ucf_vgg"
    if world.protocol == "published":
        both = {
            "video": side(video, "video", label),
            "audio": side(audio, "audio", label, "train+test+val"),
        }
        notes: tuple[str, ...] = (
            "all clips of both sets train and test",
            "the encoder's dropout is on while heads train",
            "figures are of the epoch that is best on the test clips",
        )
        return _ucf_vgg_plan("published", both, {}, both, options, notes)
    training_groups = [g for g in map(ucf_group, video.source.rows) if not is_test_group(g)]
    chosen = held_out(training_groups, SELECTION_SHARE)
    train = {
        "video": side(video, "video", label, where=lambda r: _part(r, chosen) == "train"),
        "audio": side(audio, "audio", label, where=lambda r: r.meta.get(VGG_SPLIT) == "train"),
    }
    select = {
        "video": side(video, "video", label, where=lambda r: _part(r, chosen) == "val"),
        "audio": side(audio, "audio", label, where=lambda r: r.meta.get(VGG_SPLIT) == "val"),
    }
    test = {
        "video": side(video, "video", label, where=lambda r: _part(r, chosen) == "test"),
        "audio": side(audio, "audio", label, where=lambda r: r.meta.get(VGG_SPLIT) == "test"),
    }
    notes = (
        "VGGSound: clips marked train, val and test train, select and test",
        f"UCF101: groups 01 to 07 test, {', '.join(sorted(chosen))} select, the others train",
        "the epoch is chosen by accuracy on held-out clips of the modality that was trained on",
    )
    return _ucf_vgg_plan("clean", train, select, test, options, notes)


def _ucf_vgg_plan(
    protocol: Protocol,
    train: dict[str, Side],
    select: dict[str, Side],
    test: dict[str, Side],
    options: HeadOptions,
    notes: tuple[str, ...],
) -> Plan:
    classes = train["video"].classes
    return Plan(
        "ucf-vgg", protocol, classes, "clip", train, select, test, "accuracy", options, notes
    )


def ucf_group(row: ClipRow) -> str:
    """The group of a UCF101 clip, "01" to "25": clips of one group are of one video.

    Raises:
        DataError: another kind of name.
    """
    found = re.search(r"_g(\d{2})_c\d{2}", row.id)
    if found is None:
        raise DataError(
            f"UCF101 clip {row.id!r} has no group in its name; expected v_<Class>_g01_c01, because "
            "the clean protocol splits by group"
        )
    return found[1]


def is_test_group(group: str) -> bool:
    """Whether a group is tested in split 1."""
    return int(group) in UCF_TEST_GROUPS


def _part(row: ClipRow, chosen: set[str]) -> str:
    group = ucf_group(row)
    if is_test_group(group):
        return "test"
    return "val" if group in chosen else "train"
