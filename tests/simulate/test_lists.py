"""Our own lists at the official sizes, and cutting lists to a fraction."""

from collections import Counter

import pytest

from cmg.official.catalogue import OFFICIAL_COUNTS
from cmg.simulate.dialects import annotation_files
from cmg.simulate.lists import combined, exploded, only, scaled
from cmg.simulate.own_lists import own_lists, prompt


@pytest.fixture(scope="module")
def whole():
    return own_lists()


def key(name):
    return name[:11]


def test_the_full_lists_have_the_official_counts(whole):
    found = {
        "vggsound40k": Counter(split for _, _, split in whole.vggsound),
        "vggsound2ucf": Counter(split for _, _, split in whole.vggsound2ucf),
        "ave": {split: len(rows) for split, rows in whole.ave_order.items()},
        "avvp": {split: len(rows) for split, rows in whole.avvp.items()}
        | {sense: len(whole.avvp_combined[sense]) - 1 for sense in ("audio", "visual")},
        "ucf101": {"all": len(whole.ucf)},
        "ucf101all": {"all": len(whole.ucf51)},
    }
    assert found == {name: OFFICIAL_COUNTS[name] for name in found}
    assert len({name for name, _, _ in whole.vggsound}) == len(whole.vggsound_categories) == 141
    assert len(whole.more) == len(set(whole.more)) == 81_000
    assert len(whole.ave) == sum(OFFICIAL_COUNTS["ave"].values())
    events = Counter(row.end - row.start for row in whole.ave)
    assert (events[0], events[2], events[10]) == (1, 214, 2_750)


def test_ids_overlap_between_lists_as_officially(whole):
    ids = [row.video_id for row in whole.ave]
    pretraining = {video_id for _, video_id, _ in whole.vggsound}
    by_split = {s: {ids[row] for row in rows} for s, rows in whole.ave_order.items()}
    assert len(set(ids)) == 4_097
    assert len(by_split["train"] & by_split["test"]) == 8
    assert len(by_split["train"] & by_split["val"]) == 10
    assert not by_split["val"] & by_split["test"]
    assert len(set(ids) & pretraining) == pytest.approx(342, abs=5)
    evaluated = {key(name) for s in ("val", "test") for name, _ in whole.avvp[s]}
    assert len(evaluated & set(ids)) == 56
    assert len(evaluated & pretraining) == 72
    assert len({row[1] for row in whole.ucf} & {row[1] for row in whole.ucf51}) == 878
    assert {row[1] for row in whole.vggsound2ucf} <= pretraining


def test_an_id_that_two_lists_share_has_the_same_concept_in_both(whole):
    category = {video_id: name for name, video_id, _ in whole.vggsound}
    pairs = Counter(
        (row.category, category[row.video_id]) for row in whole.ave if row.video_id in category
    )
    matching = pairs["Bark", "dog barking"] + pairs["Banjo", "playing banjo"]
    assert matching > 20
    assert sum(n for (ave, vgg), n in pairs.items() if ave == "Bark" and vgg != "dog barking") < 3


@pytest.mark.parametrize("fraction", [0.0005, 0.01, 0.05, 0.3])
def test_every_class_keeps_two_clips_a_split_and_big_classes_their_share(whole, fraction):
    cut = whole.cut(fraction)
    clips = Counter((name, split) for name, _, split in cut.vggsound)
    full = Counter((name, split) for name, _, split in whole.vggsound)
    assert clips == {one: scaled(count, fraction) for one, count in full.items()}
    assert min(clips.values()) >= 2
    rows = Counter(
        (cut.ave[row].category, split) for split, order in cut.ave_order.items() for row in order
    )
    assert len(rows) == 28 * 3
    assert min(rows.values()) >= 2
    for split in ("val", "test"):
        names = {name for name, _ in cut.avvp[split]}
        for table in cut.avvp_combined.values():
            seen = Counter(n for r in table if r[0] in names for n in set(r[3].split(",")))
            assert len(seen) == 25
            assert min(seen.values()) >= 2
    weak = Counter(name for _, labels in cut.avvp["train"] for name in labels.split(","))
    assert min(weak[name] for name in cut.avvp_categories) >= 2
    for actions, classes in ((cut.ucf, 15), (cut.ucf51, 51)):
        found = Counter(name for name, _ in actions)
        assert len(found) == classes
        assert min(found.values()) >= 2
    shared = Counter((name, split) for name, _, split in cut.vggsound2ucf)
    assert len(shared) == 15 * 3
    assert min(shared.values()) >= 2


def test_a_smaller_cut_is_part_of_a_larger_one_and_keeps_its_order(whole):
    small, large = whole.cut(0.02), whole.cut(0.1)
    assert set(small.vggsound) < set(large.vggsound) < set(whole.vggsound)
    positions = [whole.vggsound.index(row) for row in small.vggsound[::40]]
    assert positions == sorted(positions)
    assert {row.video_id for row in small.ave} < {row.video_id for row in large.ave}


def test_cutting_renumbers_the_order_files(whole):
    cut = whole.cut(0.03)
    rows = sorted(row for order in cut.ave_order.values() for row in order)
    assert rows == list(range(len(cut.ave)))
    for split, order in cut.ave_order.items():
        full = [whole.ave[row] for row in whole.ave_order[split]]
        kept = [full.index(cut.ave[row]) for row in order]
        assert kept == sorted(kept)


def test_lists_that_share_an_id_keep_or_drop_it_together(whole):
    cut = whole.cut(0.2)
    pretraining = {video_id for _, video_id, _ in cut.vggsound}
    both = {row.video_id for row in whole.ave} & {video_id for _, video_id, _ in whole.vggsound}
    ave = {row.video_id for row in cut.ave}
    together = sum((video_id in ave) == (video_id in pretraining) for video_id in both)
    assert together / len(both) > 0.9
    assert {row[1] for row in cut.vggsound2ucf} <= pretraining
    assert pretraining <= set(cut.more)


def test_a_fraction_of_one_is_the_whole(whole):
    assert whole.cut(1.0) == whole


def test_events_group_by_clip_and_come_apart_again():
    dense = [
        ("a_0_10", "0", "4", "Dog"),
        ("b_0_10", "1", "2", "Cat"),
        ("a_0_10", "5", "6", "Speech"),
    ]
    grouped = combined(dense)
    assert grouped == [
        ("a_0_10", "0,5", "4,6", "Dog,Speech"),
        ("b_0_10", "1", "2", "Cat"),
    ]
    assert sorted(exploded(grouped)) == sorted(dense)
    assert only(grouped, ["Speech"]) == [("a_0_10", "5", "6", "Speech")]


@pytest.mark.parametrize(
    ("count", "fraction", "kept"),
    [(300, 0.02, 6), (300, 0.001, 2), (9, 0.02, 2), (1, 0.02, 1), (0, 0.5, 0), (5, 0.5, 3)],
)
def test_classes_are_rounded_to_the_nearest_number_of_clips(count, fraction, kept):
    assert scaled(count, fraction) == kept


def test_prompts_hold_the_words_of_their_label():
    assert {"police", "car", "siren"} <= set(prompt("police car (siren)").split())
    assert prompt("playing violin") == prompt("playing violin")


def test_commas_in_names_are_quoted(whole):
    from dataclasses import replace

    odd = replace(whole.cut(0.001), prompts=[("pigeon, dove", "a, b")])
    content = annotation_files(odd)["vggsound40k/data/vggsoundCategories2Prompts.csv"]
    assert content == b'label,prompt\n"pigeon, dove","a, b"\n'
