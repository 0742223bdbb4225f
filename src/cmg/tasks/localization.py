"""Plans of the benchmarks that find events in time: AVVP, and AVE to AVVP."""

from __future__ import annotations

from cmg.data.source import ClipSource
from cmg.errors import DataError
from cmg.tasks.plan import MODALITIES, Plan, held_out, side, video_id
from cmg.tasks.training import HeadOptions
from cmg.tasks.world import World

SELECTION_SHARE = 0.2
LISTS = {"val": "AVVP_val_pd.csv", "test": "AVVP_test_pd.csv"}
AVVP_LABELS = {"video": "visual", "audio": "audio"}
SHARED_LABELS = {"video": "shared_visual", "audio": "shared_audio"}


def avvp_plan(world: World, options: HeadOptions) -> Plan:
    """AVVP: 25 events and the background, per second, seen and heard apart."""
    source = world.source("avvp")
    if world.protocol == "published":
        both = {m: side(source, m, AVVP_LABELS[m]) for m in MODALITIES}
        notes: tuple[str, ...] = (
            "the same videos train and test",
            "the encoder's dropout is on while heads train",
            "precision and recall are means over batches of 64, background included, of the epoch "
            "with the highest precision on the target",
        )
        classes = both["video"].classes
        return Plan(
            "avvp", "published", classes, "step", both, {}, both, "precision", options, notes
        )
    refuse_unlisted(source.source, "val", "test")
    rows = [row for row in source.source.rows if row.split == "val"]
    chosen = held_out(map(video_id, rows), SELECTION_SHARE)
    train, select, test = {}, {}, {}
    for m in MODALITIES:
        listed = side(source, m, AVVP_LABELS[m], "val")
        train[m] = listed.subset(v not in chosen for v in listed.video_ids)
        select[m] = listed.subset(v in chosen for v in listed.video_ids)
        test[m] = side(source, m, AVVP_LABELS[m], "test")
    notes = (
        f"trained on the videos of {LISTS['val']}, a fifth of which is held out for selection, "
        f"tested on those of {LISTS['test']}",
        "the epoch is chosen by F1 on the held-out videos in the modality that was trained on",
    )
    classes = train["video"].classes
    return Plan("avvp", "clean", classes, "step", train, select, test, "f1", options, notes)


def ave_avvp_plan(world: World, options: HeadOptions) -> Plan:
    """AVE to AVVP: 12 shared events and the background, per second, across data sets."""
    ave, avvp = world.source("ave"), world.source("avvp")
    if world.protocol == "published":
        train = {m: side(ave, m, "shared") for m in MODALITIES}
        test = {m: side(avvp, m, SHARED_LABELS[m]) for m in MODALITIES}
        notes: tuple[str, ...] = (
            "the encoder's dropout is on while heads train",
            "F1 of precision and recall that are means over batches of 64, background included, "
            "of the epoch with the highest F1 on the target",
        )
        classes = train["video"].classes
        return Plan("ave-avvp", "published", classes, "step", train, {}, test, "f1", options, notes)
    refuse_unlisted(avvp.source, "test")
    known = {video_id(row) for row in ave.source.rows}
    train = {m: side(ave, m, "shared", "train") for m in MODALITIES}
    select = {m: side(ave, m, "shared", "val") for m in MODALITIES}
    listed = {m: side(avvp, m, SHARED_LABELS[m], "test") for m in MODALITIES}
    test = {m: s.subset(v not in known for v in s.video_ids) for m, s in listed.items()}
    left_out = {m: len(listed[m].clips) - len(test[m].clips) for m in MODALITIES}
    notes = (
        f"trained on AVE's training split, tested on the videos of {LISTS['test']} that are not "
        f"in AVE ({left_out['video']} and {left_out['audio']} clips with seen and heard events "
        "are left out)",
        "the epoch is chosen by F1 on AVE's val split in the modality that was trained on",
    )
    classes = train["video"].classes
    return Plan("ave-avvp", "clean", classes, "step", train, select, test, "f1", options, notes)


def refuse_unlisted(source: ClipSource, *splits: str) -> None:
    """Refuse AVVP without the lists that say which videos are for what.

    Raises:
        DataError: naming the list.
    """
    for split in splits:
        if not source.splits.get(split):
            raise DataError(
                f"{source.path} has no clip of split {split!r}: {LISTS[split]} is missing. The "
                "clean protocol splits AVVP by video with the lists of AVVP-ECCV20; give their "
                "folder with --lists (or choose --protocol published)"
            )
