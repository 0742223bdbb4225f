"""Clips of one's own: a csv, a folder of frames and a folder of masks."""

import shutil

import pytest
from PIL import Image

from cmg.data.frame_folder import read_frame_folder
from cmg.errors import DataError


def put(path, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (4, 4)).save(path)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "clips.csv").write_text("id,split,category\nme,train,dog\nyou,test,\n")
    for step in (1, 2, 10):
        put(tmp_path / f"frames/me/{step}.jpg")
        put(tmp_path / f"frames/you/f{step}.png")
        put(tmp_path / f"masks/you/f{step}.png", "1")
    put(tmp_path / "masks/me/1.png", "1")
    return tmp_path


def test_clips_are_read_in_the_order_of_the_csv_and_of_numbers(root):
    me, you = read_frame_folder(root)
    assert (me.id, me.split, me.category) == ("me", "train", "dog")
    assert (you.id, you.split, you.category) == ("you", "test", "")
    assert [path.name for path in me.frames] == ["1.jpg", "2.jpg", "10.jpg"]
    assert [path.name for path in me.masks] == ["1.png"]
    assert [path.name for path in you.masks] == ["f1.png", "f2.png", "f10.png"]


def test_any_picture_that_extraction_reads_is_a_frame_or_a_mask(root):
    put(root / "frames/me/11.webp")
    put(root / "frames/me/12.TIF")
    (root / "masks/me/1.png").rename(root / "masks/me/1.bmp")
    (me, _) = read_frame_folder(root)
    assert [path.name for path in me.frames][-2:] == ["11.webp", "12.TIF"]
    assert [path.name for path in me.masks] == ["1.bmp"]


def test_the_category_may_be_left_out(root):
    (root / "clips.csv").write_text("split,id\ntest,you\n")
    (you,) = read_frame_folder(root)
    assert (you.id, you.category) == ("you", "")


def test_masks_may_be_absent_where_none_is_needed(root):
    shutil.rmtree(root / "masks")
    assert [clip.masks for clip in read_frame_folder(root, need_masks=False)] == [(), ()]
    with pytest.raises(DataError, match=r"clip 'me' has no mask; put one .*masks/me/1.png"):
        read_frame_folder(root)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,split,catgory\nme,train,dog\n", "line 1: unknown column 'catgory' .did you mean"),
        ("id,category\nme,dog\n", "line 1: no column 'split'"),
        ("", "line 1: no column 'id'"),
        ("id,split\nme,train\nme,test\n", "line 3: the id 'me' is in line 2 already"),
        ("id,split\n../me,train\n", "line 2: id '../me' cannot be the name of a folder"),
        ("id,split\nme,\n", "line 2: id and split must not be empty"),
        ("id,split\nother,train\n", "clip 'other' has no frames"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused(root, text, told):
    (root / "clips.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        read_frame_folder(root)


def test_missing_parts_are_named(root):
    with pytest.raises(DataError, match="there is no folder"):
        read_frame_folder(root / "nowhere")
    put(root / "masks/me/3.png")
    with pytest.raises(DataError, match=r"masks/me/3.png is the mask of no frame"):
        read_frame_folder(root)
    (root / "masks/me/3.png").unlink()
    (root / "masks/you/f2.png").unlink()
    with pytest.raises(DataError, match=r"masks/you/f2.png is missing: masks are of the first"):
        read_frame_folder(root)
    put(root / "masks/you/f2.png")
    put(root / "frames/me/2.png")
    with pytest.raises(DataError, match="two pictures named 2"):
        read_frame_folder(root)
    (root / "clips.csv").unlink()
    with pytest.raises(DataError, match=r"there is no .*clips.csv; write it with a header"):
        read_frame_folder(root)
