"""Frames and masks as arrays."""

import numpy as np
import pytest
import torch
from PIL import Image

from cmg.data.frames import FramedClip, clips_of, read_frames, read_masks
from cmg.errors import DataError


@pytest.fixture
def clip(tmp_path):
    """Two frames of 4 x 4 pixels, and a mask of the first one."""
    rng = np.random.default_rng(0)
    for name in ("1.png", "2.png"):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    mask = np.zeros((4, 4), bool)
    mask[:2, 1:] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    frames = (tmp_path / "1.png", tmp_path / "2.png")
    return FramedClip("me", "train", "dog", frames, (tmp_path / "mask.png",))


def test_frames_at_their_own_size_are_what_is_stored(clip):
    frames = read_frames(clip, 4)
    assert frames.shape == (2, 3, 4, 4)
    assert frames.dtype == torch.uint8
    with Image.open(clip.frames[1]) as picture:
        assert (frames[1].permute(1, 2, 0).numpy() == np.asarray(picture)).all()
    assert read_frames(clip, 8).shape == (2, 3, 8, 8)


def test_masks_are_scaled_without_new_values(clip):
    mask = read_masks(clip, 4)
    assert mask.dtype == torch.bool
    assert mask[0].tolist() == [[False, True, True, True]] * 2 + [[False] * 4] * 2
    large = read_masks(clip, 8)[0]
    assert (large == mask[0].repeat_interleave(2, 0).repeat_interleave(2, 1)).all()


def test_an_empty_mask_is_read_as_empty(clip, tmp_path):
    Image.new("1", (4, 4)).save(tmp_path / "mask.png")
    assert not read_masks(clip, 4).any()


def test_a_mask_of_another_size_is_refused(clip, tmp_path):
    Image.new("1", (4, 5)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"mask.png: clip 'me' has a mask of 4 x 5 .* of 4 x 4"):
        read_masks(clip, 4)


def test_the_mask_of_a_turned_frame_is_of_the_frame_as_it_is_shown(clip, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    frame = Image.new("RGB", (6, 4))
    frame.putpixel((0, 0), (255, 0, 0))  # shown, it is in the upper right corner
    mask = frame.getchannel("R")
    frame.save(tmp_path / "1.png", exif=exif)
    mask.rotate(-90, expand=True).save(tmp_path / "mask.png")
    upright = read_masks(clip, 24)[0]
    assert (upright.nonzero() >= torch.tensor([0, 18])).all()
    assert upright.sum() == 6 * 4
    assert read_frames(clip, 24)[0, 0, 0, -1] == 255
    mask.save(tmp_path / "mask.png", exif=exif)
    assert (read_masks(clip, 24)[0] == upright).all()
    mask.save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"mask of 6 x 4 .* frame of 4 x 6, both turned upright"):
        read_masks(clip, 24)


def test_clips_of_a_split_that_is_not_there_are_an_error(clip):
    assert clips_of([clip], "train") == [clip]
    with pytest.raises(DataError, match=r"no clip of split 'test' .*; splits: train"):
        clips_of([clip], "test")
