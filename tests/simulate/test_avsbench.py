"""The simulated AVSBench-S4: its layout, and what its pictures show and do not tell."""

import csv
import pickle
import zipfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cmg.official.lists.avsbench import CATEGORIES
from cmg.simulate import Latents, simulate
from cmg.simulate.own_lists import avsbench_clips
from cmg.simulate.pictures import RADII, ScenePainter, paths, rgb
from cmg.simulate.scripts import avsbench_script
from cmg.simulate.vocabulary import concepts_of

S4 = "AVSBench/Single-source"


@pytest.fixture(scope="module")
def clips(tiny):
    with (tiny.root / S4 / "s4_meta_data.csv").open() as stream:
        return list(csv.DictReader(stream))


def of(clip, kind, root):
    folder = root / S4 / "s4_data" / kind / clip["split"] / clip["category"] / clip["name"]
    return folder, sorted(path.name for path in folder.iterdir())


def separate(pictures, script):
    """The frames, and a mask of every object, that of the meant one first."""
    frames, _ = pictures.clip(script)
    masks = [pictures.clip(replace(script, heard=(one,)))[1] for one in script.seen]
    return frames, np.stack(masks)


def scripts(count, seed=0):
    names = [CATEGORIES[i % len(CATEGORIES)] for i in range(count)]
    return [avsbench_script(name, f"clip{i}", seed) for i, name in enumerate(names)]


def test_the_list_has_the_official_size_and_categories():
    rows = avsbench_clips()
    assert Counter(row[3] for row in rows) == {"train": 3_452, "val": 740, "test": 740}
    assert {row[2] for row in rows} == set(CATEGORIES)
    assert len({row[0] for row in rows}) == len(rows)
    assert {row[1] for row in rows} == set("012345")
    spread = Counter((row[2], row[3]) for row in rows)
    assert {n for (_, split), n in spread.items() if split == "train"} == {150, 151}
    assert {n for (_, split), n in spread.items() if split != "train"} == {32, 33}


def test_every_clip_has_five_frames_and_a_mask_of_one_bit_for_each_or_the_first(tiny, clips):
    counts = tiny.summary.facts["counts"]["avsbench"]
    # A thousandth of every class would be none; two clips a split are kept.
    assert counts == {"train": 46, "val": 46, "test": 46}
    assert list(clips[0]) == ["name", "start", "category", "split"]
    for clip in clips:
        five = [f"{clip['name']}_{step}.png" for step in range(1, 6)]
        masks = five[:1] if clip["split"] == "train" else five
        assert of(clip, "visual_frames", tiny.root)[1] == five
        folder, names = of(clip, "gt_masks", tiny.root)
        assert names == masks
        with Image.open(folder / names[0]) as mask:
            assert (mask.mode, mask.size) == ("1", (32, 32))
            assert 0.02 < np.asarray(mask).mean() < 0.2


def test_files_hold_what_the_world_renders(tiny, clips):
    clip = clips[-1]
    script = avsbench_script(clip["category"], clip["name"], 0)
    world = Latents(0, audio_width=24, video_width=16, map_size=2)
    path = f"AVSBench/feature/audio/{clip['split']}/zip/{clip['category']}/{clip['name']}.zip"
    with zipfile.ZipFile(tiny.root / path) as archive:
        audio = pickle.loads(archive.read(f"{clip['name']}.pkl"))
    assert audio.shape == (5, 24)
    assert (audio == world.audio(script)).all()
    frames, masks = ScenePainter(world, 32).clip(script)
    for kind, arrays in (("visual_frames", frames), ("gt_masks", masks)):
        folder, names = of(clip, kind, tiny.root)
        for name, array in zip(names, arrays, strict=True):
            assert (np.asarray(Image.open(folder / name)) == array).all()


def test_one_concept_is_heard_and_two_of_other_categories_are_seen_with_it():
    for script in scripts(46):
        meant, *others = script.seen
        assert script.heard == (meant,)
        assert (meant.onset, meant.offset) == (0, script.audio_steps) == (0, 5)
        assert len({meant.concept, *(one.concept for one in others)}) == 3
        category = CATEGORIES[int(script.id[4:]) % len(CATEGORIES)]
        assert meant.concept == concepts_of("avsbench", category)[0]


def test_the_picture_is_the_same_whichever_object_is_meant_and_masks_part_it():
    pictures = ScenePainter(Latents(0, video_width=8), 48)
    for script in scripts(6):
        frames, masks = separate(pictures, script)
        for one in script.seen[1:]:
            assert (pictures.clip(replace(script, heard=(one,)))[0] == frames).all()
        assert masks.sum(axis=0).max() == 1  # A pixel shows one object at most.
        assert masks.any(axis=(2, 3)).all()  # Every object is seen in every step.
        plain = pictures.clip(replace(script, seen=script.seen[:1]))[0]
        assert not (plain == frames).all()


def test_neither_size_nor_place_nor_depth_tells_which_object_is_meant():
    pictures = ScenePainter(Latents(0, video_width=8), 32)
    biggest, central = [], []
    grid = np.stack(np.mgrid[:32, :32]) - 15.5
    for script in scripts(240):
        masks = separate(pictures, script)[1][:, 0]
        biggest.append(masks.sum((1, 2)).argmax())
        middle = np.stack([(grid * m).sum((1, 2)) / m.sum() for m in masks])
        central.append(np.linalg.norm(middle, axis=1).argmin())
    for chosen in (biggest, central):
        share = np.bincount(chosen, minlength=3) / 240
        assert share == pytest.approx([1 / 3] * 3, abs=0.09)  # three standard errors


def test_every_concept_is_as_often_a_distractor():
    shown = Counter(one.concept for s in scripts(2300) for one in s.seen[1:])
    assert len(shown) == 23
    assert min(shown.values()) > 150  # 200 expected
    assert max(shown.values()) < 250


@pytest.mark.parametrize("seed", [0, 1])
def test_concepts_are_told_apart_by_color_and_texture(seed):
    pictures = ScenePainter(Latents(seed, video_width=8), 112)
    features = []
    for script in scripts(23 * 8, seed):
        frames, masks = pictures.clip(script)
        frame, mask = frames[0].astype(float), masks[0]
        pixels, gray = frame[mask], frame.mean(axis=2)
        colors = [pixels[part(pixels)].mean(0) for part in (_bright, _dark)]
        steps = [np.abs(np.diff(gray, axis=i))[_inner(mask, i)].mean() for i in (0, 1)]
        # Lighting differs among clips, so colors are taken relative to their mean.
        features.append([*(60 * np.concatenate(colors) / pixels.mean()), *steps])
    known, new = np.array(features).reshape(2, 4, 23, -1)
    away = np.linalg.norm(new[:, :, None] - known.mean(axis=0), axis=-1)
    assert (away.argmin(-1) == np.arange(23)).mean() > 0.95


def _bright(pixels):
    return pixels.mean(1) >= np.median(pixels.mean(1))


def _dark(pixels):
    return pixels.mean(1) <= np.median(pixels.mean(1))


def _inner(mask, axis):
    return mask[1:] & mask[:-1] if axis == 0 else mask[:, 1:] & mask[:, :-1]


def test_objects_have_the_stated_size_move_smoothly_and_hardly_cover_one_another():
    rng = np.random.default_rng(0)
    for _ in range(100):
        radii = rng.permutation(RADII)
        places = paths(rng, radii, 5)
        assert (places >= radii[:, None, None]).all()
        assert (places <= 1 - radii[:, None, None]).all()
        steps = np.linalg.norm(np.diff(places, axis=1), axis=-1)
        assert steps.max() < 0.08
        for i, j in ((0, 1), (0, 2), (1, 2)):
            apart = np.linalg.norm(places[i] - places[j], axis=-1).min()
            assert apart > 0.75 * (radii[i] + radii[j])
    pictures = ScenePainter(Latents(0, video_width=8), 64)
    for script in scripts(23):
        areas = np.sort(separate(pictures, script)[1][:, 0].mean((1, 2)))
        assert areas[-1] < np.pi * (RADII[2] * 1.05) ** 2
        assert areas[0] > 0.6 * np.pi * RADII[0] ** 2


def test_another_size_shows_the_same():
    world = Latents(3, video_width=8)
    for script in scripts(5, 3):
        frames, masks = ScenePainter(world, 64).clip(script)
        large, more = ScenePainter(world, 128).clip(script)
        small = more.reshape(5, 64, 2, 64, 2).mean((2, 4)) >= 0.5
        assert (small & masks).sum() / (small | masks).sum() > 0.95
        mean = large.reshape(5, 64, 2, 64, 2, 3).mean((2, 4))
        assert np.abs(mean - frames).mean() < 6


def test_colors_are_those_of_hue_saturation_and_value():
    assert rgb(0.0, 1.0, 1.0) == pytest.approx([1, 0, 0])
    assert rgb(1 / 3, 1.0, 0.5) == pytest.approx([0, 0.5, 0])
    assert rgb(-1 / 3, 0.5, 1.0) == pytest.approx([0.5, 0.5, 1], abs=1e-6)


def test_the_share_of_avsbench_is_chosen_apart(lists, small_options, tmp_path):
    half = simulate(tmp_path / "half", small_options(lists=lists, avs_fraction=1.0))
    assert half.facts["counts"]["avsbench"] == {"train": 6, "val": 6, "test": 6}
    assert half.facts["frame_size"] == 32
    none = simulate(tmp_path / "none", small_options(lists=lists, avs_fraction=0))
    assert none.facts["counts"]["avsbench"] == {"train": 0, "val": 0, "test": 0}
    assert not (tmp_path / "none/AVSBench").exists()
    for other in ("cnt.pkl", "text-encoder/vocab.txt"):
        assert (tmp_path / "none" / other).read_bytes() == (tmp_path / "half" / other).read_bytes()
