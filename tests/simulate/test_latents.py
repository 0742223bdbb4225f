"""The world: statistics of its features, one concept in every data set, and what a seed changes."""

import zlib

import numpy as np
import pytest

from cmg.errors import DataError
from cmg.simulate import Latents, Occurrence, Script
from cmg.simulate.scripts import (
    ave_script,
    avvp_script,
    segment_labels,
    ucf_script,
    vggsound_script,
)
from cmg.simulate.vocabulary import concepts, concepts_of, read_table

EVERYWHERE = {
    # VGGSound, AVE, AVVP
    "dog barking": ("Bark", "Dog"),
    "playing violin": ("Violin, fiddle", "Violin_fiddle"),
    "race car": ("Race car, auto racing", "Car"),
    "helicopter": ("Helicopter", "Helicopter"),
    "playing accordion": ("Accordion", "Accordion"),
    "chainsawing trees": ("Chainsaw", "Chainsaw"),
    "playing acoustic guitar": ("Acoustic guitar", "Acoustic_guitar"),
    "playing banjo": ("Banjo", "Banjo"),
    "driving motorcycle": ("Motorcycle", "Motorcycle"),
    "cat purring": ("Cat", "Cat"),
}


def plain(concept, number, dataset="made"):
    always = (Occurrence(concept, 0, 10),)
    return Script(dataset, f"{concept}-{number}", f"{number}", always, always)


@pytest.fixture(scope="module")
def world():
    return Latents(0, audio_width=128, video_width=64, map_size=4)


@pytest.fixture(scope="module")
def official_clips():
    """Features at the official widths of pre-training clips of all classes."""
    world = Latents(0)
    names = [row["category"] for row in read_table("vggsound")]
    scripts = [vggsound_script(name, f"clip {i}", 0) for i in range(2) for name in names]
    audio = [world.audio(script) for script in scripts]
    return audio, [world.video(script) for script in scripts[:48]]


def test_audio_has_the_statistics_of_the_real_features(official_clips):
    rows = np.concatenate(official_clips[0])
    assert rows.dtype == np.float32
    assert rows.shape[1:] == (128,)
    assert rows.min() == 0
    assert 0.60 < (rows == 0).mean() < 0.70
    assert 3.5 < rows.max() < 5.0
    # The real channels (AVE's published background clips): 10 % have under a quarter of zeros,
    # 10 % have over nine tenths.
    shares = (rows == 0).mean(axis=0)
    assert np.quantile(shares, 0.1) < 0.35
    assert np.quantile(shares, 0.9) > 0.85


def test_video_has_the_statistics_of_the_real_features_and_compresses_like_them(official_clips):
    maps = np.stack(official_clips[1])
    assert maps.dtype == np.float32
    assert maps.shape[1:] == (10, 7, 7, 512)
    assert maps.min() == 0
    assert 0.65 < (maps == 0).mean() < 0.75
    low_bits = maps[maps > 0].view(np.uint32) & 0xFFF
    assert len(np.unique(low_bits)) == 4096, "mantissas are not used in full"
    content = maps[:8].tobytes()
    assert 2.1 < len(content) / len(zlib.compress(content)) < 2.8


def test_rendering_depends_on_the_script_alone(world):
    script = vggsound_script("dog barking", "abc", 0)
    again = Latents(0, audio_width=128, video_width=64, map_size=4)
    world.audio(plain("cat", 3))
    assert (world.audio(script) == again.audio(script)).all()
    assert (world.video(script) == again.video(script)).all()
    other = vggsound_script("dog barking", "abd", 0)
    assert (world.audio(script) != world.audio(other)).any()


def test_two_seeds_are_two_worlds(world):
    other = Latents(1, audio_width=128, video_width=64, map_size=4)
    first, second = (np.stack([w.latents[c.name] for c in concepts()]) for w in (world, other))
    angles = (
        (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    )
    assert np.abs(angles).mean() < 0.25
    script = plain("dog", 0)
    correlation = np.corrcoef(world.audio(script).mean(0), other.audio(script).mean(0))[0, 1]
    assert abs(correlation) < 0.5


def test_a_short_clip_is_the_beginning_of_the_same_clip_for_its_concept(world):
    script = vggsound_script("dog barking", "abc", 0)
    semantics = [world.semantics(script, Occurrence("dog", 0, 10), steps) for steps in (4, 10)]
    assert (semantics[0] == semantics[1][:4]).all()


def test_related_concepts_are_nearer_than_unrelated_ones(world):
    def cosine(a, b):
        x, y = world.latents[a], world.latents[b]
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    every = concepts()
    within = [
        cosine(a.name, b.name) for a in every for b in every if a is not b and a.group == b.group
    ]
    across = [
        cosine(a.name, b.name)
        for a in every
        for b in every
        if a.group != b.group and not set(a.traits) & set(b.traits)
    ]
    assert np.mean(within) > 0.25
    assert abs(np.mean(across)) < 0.1


def test_one_concept_looks_and_sounds_alike_in_every_data_set(world):
    def features(scripts):
        audio = np.stack([world.audio(s).mean(0) for s in scripts])
        video = np.stack([world.video(s).mean((0, 1, 2)) for s in scripts])
        return {"audio": audio, "video": video}

    centers, clips = [], {"ave": [], "avvp": []}
    for name, (ave, avvp) in EVERYWHERE.items():
        assert concepts_of("vggsound", name) == concepts_of("ave", ave) == concepts_of("avvp", avvp)
        # Labels in VGGSound are sometimes wrong, so the centers take scripts as they are.
        pretraining = [vggsound_script(name, f"{name}{i}", 0) for i in range(24)]
        centers.append(features(pretraining))
        clips["ave"].append(features([ave_script(i, ave, f"{ave}{i}", 0, 10, 0) for i in range(8)]))
        always = [(0, 10, avvp)]
        clips["avvp"].append(
            features([avvp_script(f"{i}{avvp}-----------", always, always, 0) for i in range(8)])
        )
    for modality in ("audio", "video"):
        middle = np.stack([c[modality].mean(0) for c in centers])
        for dataset, classes in clips.items():
            hits = [
                np.linalg.norm(clip - middle, axis=1).argmin() == number
                for number, several in enumerate(classes)
                for clip in several[modality]
            ]
            assert np.mean(hits) > 0.45, (dataset, modality)  # chance is 0.1


def test_the_object_is_somewhere_on_the_map_and_the_background_elsewhere(world):
    always = Script("made", "x", "scene", (), (Occurrence("dog", 0, 10),))
    empty = Script("made", "x", "scene", (), ())
    changed = np.abs(world.video(always) - world.video(empty)).sum(-1)[0]
    assert changed.max() > 3 * changed.min()


def test_nothing_of_a_concept_is_rendered_outside_its_steps(world):
    half = Script("made", "x", "s", (Occurrence("dog", 5, 10),), ())
    none = Script("made", "x", "s", (), ())
    whole = Script("made", "x", "s", (Occurrence("dog", 0, 10),), ())
    first = world.audio(half)[:5]
    # Only the overall level, which depends on how much is active, may differ before the onset.
    assert (world.audio(none)[:5] > 0).sum() > 0
    ratio = np.corrcoef(first.ravel(), world.audio(none)[:5].ravel())[0, 1]
    assert ratio > 0.95
    assert np.corrcoef(first.ravel(), world.audio(whole)[:5].ravel())[0, 1] < ratio


def test_segment_labels_are_the_steps_in_which_the_category_is_heard_and_seen():
    heard, seen = (Occurrence("dog", 2, 9), Occurrence("cat", 0, 10)), (Occurrence("dog", 0, 6),)
    script = Script("vggsound", "a", "a", heard, seen)
    assert segment_labels(script, "dog barking") == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert segment_labels(script, "cat purring") == [0] * 10


def test_sound_and_picture_overlap_only_partly_and_a_few_clips_are_noisy():
    scripts = [vggsound_script("dog barking", f"id{i}", 0) for i in range(600)]
    dog = {"heard": 0, "seen": 0, "same": 0, "neither": 0}
    for script in scripts:
        heard = {o for o in script.heard if o.concept == "dog"}
        seen = {o for o in script.seen if o.concept == "dog"}
        dog["heard"] += bool(heard) and not seen
        dog["seen"] += bool(seen) and not heard
        dog["same"] += bool(heard) and heard == seen
        dog["neither"] += not heard and not seen
    share = {name: count / len(scripts) for name, count in dog.items()}
    assert 0.03 < share["neither"] + share["heard"] + share["seen"] < 0.3
    assert min(share["heard"], share["seen"]) > 0.02
    assert 0.4 < share["same"] < 0.8


def test_ave_events_are_heard_and_seen_exactly_where_the_annotation_says():
    for row in range(60):
        script = ave_script(row, "Bark", f"id{row}", 3, 7, 0)
        heard = {t for o in script.heard for t in range(o.onset, o.offset)}
        seen = {t for o in script.seen for t in range(o.onset, o.offset)}
        assert heard & seen == {3, 4, 5, 6}
    empty = ave_script(0, "Church bell", "id", 0, 0, 0)
    assert (
        min(
            len({t for o in side for t in range(o.onset, o.offset)})
            for side in (empty.heard, empty.seen)
        )
        == 0
    )


def test_ucf_actions_are_on_screen_throughout():
    scripts = [ucf_script("PlayingViolin", f"v_PlayingViolin_g01_c{i:02d}", 0) for i in range(80)]
    assert all(script.seen == (Occurrence("violin", 0, script.video_steps),) for script in scripts)
    assert 0.6 < np.mean([bool(script.heard) for script in scripts]) < 0.95


def test_every_official_category_is_a_concept_and_avsbench_is_prepared():
    for dataset, table in (
        ("vggsound", "vggsound"),
        ("ave", "ave"),
        ("avvp", "avvp"),
        ("ucf", "ucf"),
    ):
        for row in read_table(table):
            assert concepts_of(dataset, row["category"])
    named = {c.names["avsbench"] for c in concepts() if "avsbench" in c.names}
    assert len(named) == 23
    assert concepts_of("avsbench", "dog_barking") == concepts_of("avvp", "Dog")
    assert set(concepts_of("avvp", "Speech")) == {"male speech", "female speech"}
    absent = {c.name for c in concepts() if "ave" in c.names and "vggsound" not in c.names}
    assert absent == {"frying", "truck", "shofar", "clock", "goat", "baby cry", "rodents"}


def test_an_unknown_category_or_concept_is_refused_with_the_nearest_name(world):
    with pytest.raises(DataError, match=r"no ave category 'Barks'.*did you mean 'Bark'"):
        concepts_of("ave", "Barks")
    with pytest.raises(DataError, match=r"unknown concept 'dogg'.*did you mean 'dog'"):
        world.audio(plain("dogg", 0))
