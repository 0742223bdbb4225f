"""AVSBench-S4 with one edit each."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image
from tests.official.doctor.conftest import lines, swap

S4, S4_PROMPTS = "s4_meta_data.csv", "AVSBenchCategories2Prompts.csv"
FRAMES, MASKS, S4_AUDIO = "visual_frames", "gt_masks", "avsbench/feature/audio"


def moved_to_val(folder):
    """The last clip of the list, which keeps its files where the list says they are."""
    name, start, category, _ = folder.files(S4)[0].read_text().splitlines()[-1].split(",")
    for kind in (FRAMES, MASKS):
        root = folder.pictures(kind)
        (root / "val" / category).mkdir(parents=True, exist_ok=True)
        (root / "test" / category / name).rename(root / "val" / category / name)
    folder.edit(S4, lambda told: [*told[:-1], f"{name},{start},{category},val"])


def picture(kind, place, change, split="val"):
    """Change a picture of a clip that is opened."""
    return lambda folder: change(folder.shown(kind, split)[place])


def copied(old, new):
    return lambda path: shutil.copy(path, path.with_name(path.name.replace(old, new)))


def redrawn(change):
    """Put a changed picture in the place of one."""

    def redraw(path):
        with Image.open(path) as shown:
            change(shown.copy()).save(path)

    return redraw


def half(path):
    path.write_bytes(path.read_bytes()[:60])


def wide(shown):
    return shown.resize((64, 16))


def narrow(shown):
    return shown.resize((31, 32))


def plain(shown):
    return shown.convert("L").point(lambda value: value // 255)


def grey(shown):
    return Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32))


def of_no_clip(kind):
    return lambda folder: (folder.pictures(kind) / "test/race_car/zzz").mkdir()


def of_another_set(kind):
    def edit(folder):
        root = folder.pictures(kind)
        shutil.rmtree(root)
        (root / "train").mkdir(parents=True)

    return edit


def beside(kind):
    return lambda folder: (folder.root / "copy" / kind).mkdir(parents=True)


def empty_masks(folder):
    for path in folder.shown(MASKS)[:4]:
        redrawn(lambda shown: Image.new("1", shown.size))(path)


def audio_twice(folder):
    first = folder.heard()[0]
    shutil.copy(first, first.parents[1])


def unread_audio(folder):
    read = folder.shown(FRAMES)[0].parent.name
    (path,) = [path for path in folder.heard() if path.stem == read]
    folder.write(path, b"no pickle")


def less_audio(folder):
    for path in folder.heard()[:2]:
        path.unlink()


def without_pictures(folder):
    shutil.rmtree(folder.root / "AVSBench/Single-source")


EDITS = [
    (
        swap(S4, "dog_barking", "dog_barks"),
        S4,
        "wrong",
        "lines 14, 15.*unknown category 'dog_barks'",
    ),
    (swap(S4, ",val", ",valid"), S4, "wrong", "split 'valid' is none of"),
    (swap(S4, ",start,", ",category,"), S4, "wrong", "every column needs a name of its own"),
    (moved_to_val, S4, "warning", r"splits of other sizes: 47 of val \(expected 46\), 45 of test"),
    (
        swap(S4_PROMPTS, "race_car,", "race car,"),
        S4_PROMPTS,
        "wrong",
        "'race_car' .'race car' in an",
    ),
    (
        lambda folder: shutil.rmtree(folder.shown(FRAMES)[0].parent),
        FRAMES,
        "truncated",
        "1 clips wi",
    ),
    (picture(FRAMES, 2, os.remove), FRAMES, "wrong", "has 4"),
    (picture(FRAMES, 0, copied("_1.png", "_6.png")), FRAMES, "wrong", "has 6"),
    (picture(FRAMES, 4, redrawn(wide), "train"), FRAMES, "warning", "64 x 16 pixels, 32 x 32 exp"),
    (picture(MASKS, 0, os.remove, "train"), MASKS, "truncated", "1 clips lack a mask.*_1.png"),
    (picture(MASKS, 3, os.remove), MASKS, "truncated", "1 clips lack a mask.*_4.png"),
    (picture(MASKS, 0, copied("_1.png", "_2.png"), "train"), MASKS, "note", "more masks than off"),
    (picture(MASKS, 1, redrawn(narrow)), MASKS, "wrong", "1 files of 2.*of another size.*_2.png"),
    (picture(MASKS, 0, redrawn(plain)), None, "", ""),  # 0 and 1 are as plain as 0 and 255.
    (
        picture(MASKS, 0, redrawn(grey)),
        MASKS,
        "wrong",
        "which pixels are the object: it has .* 0, 1",
    ),
    (empty_masks, MASKS, "warning", "4 files of 2 clips opened.*_1.png, .*_3.png and 1 more"),
    (audio_twice, S4_AUDIO, "wrong", "keep one of the two"),
    (unread_audio, S4_AUDIO, "wrong", "1 of 2 zips read"),
    (less_audio, S4_AUDIO, "truncated", "2 clips without a zip"),
    *[(of_no_clip(kind), kind, "note", "zzz") for kind in (FRAMES, MASKS)],
    *[(of_another_set(kind), kind, "wrong", "0 clips") for kind in (FRAMES, MASKS)],
    *[(beside(kind), kind, "duplicated", "2 folders") for kind in (FRAMES, MASKS)],
    *[
        (picture(kind, 1, half), kind, "wrong", "cannot be read: .*_2.png")
        for kind in (FRAMES, MASKS)
    ],
    (lambda folder: shutil.rmtree(folder.root / "AVSBench"), "avsbench", "note", "not there"),
    (
        lines(S4, lambda x: x[:70]),
        {(S4, "truncated"), (FRAMES, "note"), (MASKS, "note")},
        "",
        "",
    ),
    (without_pictures, {(part, "note") for part in (S4, FRAMES, MASKS)}, "", ""),
]


@pytest.mark.parametrize(("edit", "part", "status", "told"), EDITS)
def test_an_edit_is_found_and_nothing_else(check, edit, part, status, told):
    check(edit, part, status, told)


def test_a_sound_folder_says_what_was_counted(good):
    from cmg.official.doctor import check_root

    told = {f.part: f for f in check_root(good, deep=0).findings}
    assert told[S4].found == "138 rows"
    assert told[S4].expected == "138"
    assert told[S4_AUDIO].found == "138 zips"
    assert told[FRAMES].expected == "138 of the list, 5 frames each"
    assert told[MASKS].found == "138 clips"
    assert "s4_data/gt_masks" in told[MASKS].detail
    assert {told[part].status for part in (S4, S4_AUDIO, FRAMES, MASKS, S4_PROMPTS)} == {"complete"}


def test_a_sample_is_opened(folder, new):
    mask = folder.shown(MASKS)[0]
    mask.write_bytes(b"")
    assert new(deep=1)[0] == new(deep=0)[0] == set()
    assert new(deep=None)[0] == {(MASKS, "wrong")}
