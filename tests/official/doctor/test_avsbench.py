"""AVSBench-S4 with one defect each."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

CSV, FRAMES, MASKS = "s4_meta_data.csv", "visual_frames", "gt_masks"
PROMPTS, HEARD = "AVSBenchCategories2Prompts.csv", "avsbench/feature/audio"


def only(new, part, status, **options):
    """Examine, and return the only new finding."""
    found, diagnosis = new(**options)
    assert found == {(part, status)}
    assert diagnosis.sound == (status in {"warning", "note"})
    (one,) = [f for f in diagnosis.findings if (f.part, f.status) == (part, status)]
    assert one.remedy or diagnosis.sound
    return one


def some(folder, kind, split="val"):
    """Pictures of one of the two clips that are opened, in a folder that may be changed."""
    row = folder.files(CSV)[0].read_text().splitlines()[1 + {"train": 0, "val": 69}[split]]
    name, _, category, its = row.split(",")
    assert its == split
    return sorted((folder.pictures(kind) / split / category / name).iterdir())


def redrawn(path, change):
    """Put a changed picture in the place of one."""
    with Image.open(path) as picture:
        change(picture.copy()).save(path)


def heard(folder, split="val"):
    """Zips of a split, in a folder that may be changed."""
    (link,) = folder.root.rglob(f"feature/audio/{split}/zip")
    origin = link.resolve()
    link.unlink()
    shutil.copytree(origin, link)
    return sorted(link.rglob("*.zip"))


def test_a_sound_folder_says_what_was_counted(good):
    from cmg.official.doctor import check_root

    told = {f.part: f for f in check_root(good, deep=0).findings}
    assert told[CSV].found == "138 rows"
    assert told[CSV].expected == "138"
    assert told[HEARD].found == "138 zips"
    assert told[FRAMES].expected == "138 of the list, 5 frames each"
    assert told[MASKS].found == "138 clips"
    assert "s4_data/gt_masks" in told[MASKS].detail
    assert {told[part].status for part in (CSV, HEARD, FRAMES, MASKS, PROMPTS)} == {"complete"}


@pytest.mark.parametrize(
    ("old", "other", "told"),
    [
        ("dog_barking", "dog_barks", "unknown category 'dog_barks'"),
        (",val", ",valid", "split 'valid' is none of"),
        (",start,", ",category,", "every column needs a name of its own"),
    ],
)
def test_a_list_that_readers_refuse_is_wrong(folder, new, old, other, told):
    folder.edit(CSV, lambda lines: [line.replace(old, other) for line in lines])
    assert told in only(new, CSV, "wrong").detail


def test_a_list_of_half_the_rows_is_truncated(folder, new):
    folder.edit(CSV, lambda lines: lines[:70])
    found, diagnosis = new()
    assert (CSV, "truncated") in found
    (one,) = [f for f in diagnosis.findings if (f.part, f.status) == (CSV, "truncated")]
    assert (one.found, one.expected) == ("69 rows", "138")


def test_splits_of_other_sizes_are_warned_of(folder, new):
    # The clip keeps its files where the list says they are.
    name, start, category, _ = folder.files(CSV)[0].read_text().splitlines()[-1].split(",")
    for kind in (FRAMES, MASKS):
        root = folder.pictures(kind)
        (root / "val" / category).mkdir(parents=True, exist_ok=True)
        (root / "test" / category / name).rename(root / "val" / category / name)
    folder.edit(CSV, lambda lines: [*lines[:-1], f"{name},{start},{category},val"])
    one = only(new, CSV, "warning")
    assert one.detail.startswith("splits of other sizes: 47 of val (expected 46), 45 of test")


def test_prompts_of_other_labels_are_wrong(folder, new):
    folder.edit(PROMPTS, lambda lines: [x.replace("race_car,", "race car,") for x in lines])
    assert "'race_car' ('race car' in another spelling)" in only(new, PROMPTS, "wrong").detail


def test_clips_without_frames_are_counted_and_their_masks_not_asked_for(folder, new):
    frames = some(folder, FRAMES)
    shutil.rmtree(frames[0].parent)
    one = only(new, FRAMES, "truncated")
    assert one.found == "1 clips without frames"
    assert frames[0].parent.name in one.detail


def test_a_clip_of_four_frames_is_wrong(folder, new):
    frames = some(folder, FRAMES)
    frames[2].unlink()
    one = only(new, FRAMES, "wrong")
    assert f"{frames[0].parent.name} has 4" in one.detail


def test_a_clip_of_six_frames_is_wrong(folder, new):
    frames = some(folder, FRAMES)
    shutil.copy(frames[0], frames[0].with_name(frames[0].name.replace("_1.png", "_6.png")))
    assert f"{frames[0].parent.name} has 6" in only(new, FRAMES, "wrong").detail


@pytest.mark.parametrize(("split", "place"), [("train", 0), ("val", 3)])
def test_a_missing_mask_is_named(folder, new, split, place):
    mask = some(folder, MASKS, split)[place]
    mask.unlink()
    one = only(new, MASKS, "truncated")
    assert mask.name in one.detail
    assert one.found == "1 clips lack a mask"


def test_further_masks_of_a_training_clip_are_a_note(folder, new):
    (mask,) = some(folder, MASKS, "train")
    shutil.copy(mask, mask.with_name(mask.name.replace("_1.png", "_2.png")))
    assert mask.parent.name in only(new, MASKS, "note").detail


@pytest.mark.parametrize("kind", [FRAMES, MASKS])
def test_pictures_of_no_clip_are_a_note(folder, new, kind):
    (folder.pictures(kind) / "test/race_car/zzz").mkdir()
    assert "zzz" in only(new, kind, "note").detail


@pytest.mark.parametrize("kind", [FRAMES, MASKS])
def test_a_folder_of_another_set_is_wrong(folder, new, kind):
    root = folder.pictures(kind)
    shutil.rmtree(root)
    (root / "train").mkdir(parents=True)
    assert only(new, kind, "wrong").found == "0 clips"


@pytest.mark.parametrize("kind", [FRAMES, MASKS])
def test_a_folder_that_is_there_twice_is_duplicated(folder, new, kind):
    (folder.root / "copy" / kind).mkdir(parents=True)
    assert only(new, kind, "duplicated").found == "2 folders"


@pytest.mark.parametrize("kind", [FRAMES, MASKS])
def test_a_damaged_picture_is_wrong(folder, new, kind):
    picture = some(folder, kind)[1]
    picture.write_bytes(picture.read_bytes()[:60])
    detail = only(new, kind, "wrong").detail
    assert detail.startswith("cannot be read: ")
    assert detail.endswith(f": {picture.name}")


def test_a_mask_of_another_size_is_wrong(folder, new):
    mask = some(folder, MASKS)[1]
    redrawn(mask, lambda picture: picture.resize((31, 32)))
    one = only(new, MASKS, "wrong")
    assert one.detail == f"of another size than the frame: {mask.name}"
    assert one.found == "1 files of 2 clips opened"


def test_empty_masks_are_warned_of_with_their_number(folder, new):
    masks = some(folder, MASKS)
    for mask in masks[:4]:
        redrawn(mask, lambda picture: Image.new("1", picture.size))
    one = only(new, MASKS, "warning")
    assert one.found == "4 files of 2 clips opened"
    assert one.detail.endswith(f"{masks[0].name}, {masks[1].name}, {masks[2].name} and 1 more")


def test_masks_are_judged_as_they_are_read(folder, new):
    mask = some(folder, MASKS)[0]
    redrawn(mask, lambda picture: picture.convert("L").point(lambda value: value // 255))
    assert new()[0] == set()  # 0 and 1 are as plain as 0 and 255
    redrawn(mask, lambda picture: Image.fromarray(np.arange(1024, dtype=np.uint8).reshape(32, 32)))
    one = only(new, MASKS, "wrong")
    assert "does not say which pixels are the object: it has the values 0, 1, 2," in one.detail
    assert one.detail.endswith(mask.name)


def test_frames_of_another_size_are_warned_of(folder, new):
    frame = some(folder, FRAMES, "train")[4]  # It has no mask to differ from.
    redrawn(frame, lambda picture: picture.resize((64, 16)))
    assert "64 x 16 pixels, 32 x 32 expected" in only(new, FRAMES, "warning").detail


def test_a_sample_is_opened(folder, new):
    mask = some(folder, MASKS)[0]
    mask.write_bytes(b"")
    assert new(deep=1)[0] == new(deep=0)[0] == set()
    assert new(deep=None)[0] == {(MASKS, "wrong")}


def test_audio_is_compared_with_the_list_and_read(folder, new):
    zips = {path.stem: path for path in heard(folder)}
    read = some(folder, FRAMES)[0].parent.name
    unread = min(name for name in zips if name != read)
    folder.write(zips[read], b"no pickle")
    one = only(new, HEARD, "wrong")
    assert f"{read}.zip" in one.detail
    assert one.found == "1 of 2 zips read"
    zips[read].unlink()
    zips[unread].unlink()
    assert only(new, HEARD, "truncated").found == "2 clips without a zip"


def test_audio_that_is_there_twice_is_wrong(folder, new):
    zips = heard(folder)
    shutil.copy(zips[0], zips[0].parents[1])
    assert "keep one of the two" in only(new, HEARD, "wrong").detail


def test_what_the_authors_download_lacks_is_noted_with_its_source(folder, new):
    shutil.rmtree(folder.root / "AVSBench/Single-source")
    found, diagnosis = new()
    assert found == {(part, "note") for part in (CSV, FRAMES, MASKS)}
    assert diagnosis.sound
    told = [f.detail for f in diagnosis.findings if f.part == FRAMES]
    assert "github.com/OpenNLPLab/AVSBench" in told[0]
    shutil.rmtree(folder.root / "AVSBench")
    assert new()[0] == {("avsbench", "note")}
