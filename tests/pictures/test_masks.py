"""Which pixels of a mask are the object: the same for every way to write it."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cmg.errors import DataError
from cmg.pictures.masks import read_mask
from cmg.pictures.reader import read_picture
from cmg.simulate.clip_files import write_frame, write_mask

from .files import png, row, tiff

OBJECT = np.zeros((16, 16), bool)
OBJECT[2:9, 4:15] = True
WHITE = (255, 255, 255)


def gray(dark, light, dtype=np.uint8):
    return Image.fromarray(np.where(OBJECT, dtype(light), dtype(dark)))


def colored(light, dark=(0, 0, 0)):
    return Image.fromarray(np.where(OBJECT[..., None], light, dark).astype(np.uint8))


def palette(colors, indices=OBJECT):
    picture = Image.fromarray(np.asarray(indices, np.uint8), "L").copy()
    picture.putpalette(colors)
    return picture


def alpha(picture, values):
    picture.putalpha(Image.fromarray(np.asarray(values, np.uint8)))
    return picture


def labels(*values):
    """Objects of several values, side by side."""
    array = np.zeros((16, 16), np.uint8)
    for place, value in enumerate(values):
        array[4:12, 4 * place : 4 * place + 4] = value
    return Image.fromarray(array)


def soft():
    """The object with one row of edges, half of which are nearer to white."""
    array = np.where(OBJECT, np.uint8(255), np.uint8(0))
    array[1, 4:10], array[2, 4:10] = 60, 180
    return Image.fromarray(array)


PLAIN = {
    "1 bit": Image.fromarray(OBJECT),
    "0 and 255": gray(0, 255),
    "0 and 1": gray(0, 1),
    "0 and 128": gray(0, 128),
    "0 and 127": gray(0, 127),
    "video's 16 and 235": gray(16, 235),
    "soft edges": soft(),
    "16 bits, 0 and 1": gray(0, 1, np.uint16),
    "16 bits, 0 and 65535": gray(0, 65535, np.uint16),
    "16 bits, 4112 and 60395": gray(4112, 60395, np.uint16),
    "32 bits, 0 and 1": gray(0, 1, np.int32),
    "floating point, 0 and 1": gray(0, 1, np.float32),
    "red on black": colored((255, 0, 0)),
    "nearly black on black": colored((0, 0, 1)),
    "gray and white of three channels": colored((200, 200, 200)),
    "dark palette color": palette([0, 0, 0, 128, 0, 0]),
    "palette from white": palette([255, 255, 255, 0, 0, 0], ~OBJECT),
    "opaque": alpha(gray(0, 255), np.full((16, 16), 255)),
    "opaque color": alpha(colored((9, 0, 0)), np.full((16, 16), 255)),
}
UNPLAIN = {
    "labels": (labels(1, 2), "the values 0, 1, 2;"),
    "labels and a white border": (labels(15, 255), "the values 0, 15, 255;"),
    "a middle that is no edge": (labels(128, 255), "the values 0, 128, 255;"),
    "a picture": (Image.linear_gradient("L"), "the values 0, 1, 2, 3, 4, 5, ...;"),
    "many labels": (labels(1, 2, 3, 4), "the values 0, 1, 2, 3, 4;"),
    "two bright grays": (gray(200, 255), "the values 200, 255;"),
    "two dark grays": (gray(1, 100), "the values 1, 100;"),
    "a dark gray alone": (gray(16, 16), "the values 16;"),
    "two colors on black": (
        palette([0, 0, 0, 128, 0, 0, 0, 128, 0], labels(1, 2)),
        "#000000, #008000, #800000;",
    ),
    "colors without black": (colored((255, 0, 0), WHITE), "#ff0000, #ffffff;"),
    "a palette that lost its colors": (palette([0] * 6), "its palette has one color, 0,"),
    "an object that is cut out": (alpha(colored(WHITE), OBJECT * 255), "transparent in places"),
    "half transparent": (alpha(gray(0, 255), np.full((16, 16), 128)), "transparent in places"),
    "32 bits, labels": (gray(1, 70000, np.int32), "the values 1, 70000;"),
    "floating point, soft": (gray(0.25, 0.5, np.float32), "the values 0.25, 0.5;"),
    "not a number": (gray(0, np.nan, np.float32), "the values 0, nan;"),
}  # fmt: skip


def put(folder, picture):
    path = folder / ("m.tif" if picture.mode in ("I", "F") else "m.png")
    picture.save(path)
    return path


@pytest.mark.parametrize("kind", PLAIN)
def test_the_object_is_the_same_however_it_is_drawn(kind, tmp_path):
    assert (read_mask(put(tmp_path, PLAIN[kind])) == OBJECT).all()


@pytest.mark.parametrize("kind", UNPLAIN)
def test_what_is_not_plain_is_refused_with_its_values(kind, tmp_path):
    picture, told = UNPLAIN[kind]
    with pytest.raises(
        DataError, match=rf"m\.\w+ does not say which .* object: .*{told}.*white on"
    ):
        read_mask(put(tmp_path, picture))


@pytest.mark.parametrize(
    ("value", "dtype", "share"),
    [(0, np.uint8, 0), (1, np.uint8, 1), (128, np.uint8, 1), (255, np.uint8, 1), (0, np.uint16, 0),
     (65535, np.uint16, 1), (7, np.int32, 1), (0, np.float32, 0)],
)  # fmt: skip
def test_one_value_is_nothing_or_everything(value, dtype, share, tmp_path):
    found = read_mask(put(tmp_path, gray(value, value, dtype)))
    assert found.shape == OBJECT.shape
    assert found.mean() == share


def test_small_depths_and_files_that_count_from_white(tmp_path):
    path = tmp_path / "m.png"
    for content, wanted in (
        (png(2, 0, 4, [b"\x11"]), [False, True] * 2),  # 0 and 1 of 3
        (png(16, 0, 2, [row([0, 1], ">u2")], row([1], ">u2")), None),
        (tiff(row([65535, 65534], "<u2"), 2, 16, 0), [False, True]),
        (tiff(b"\x00\x10\x00", 2, 12), [True, False]),
    ):
        path.write_bytes(content)
        if wanted is None:
            with pytest.raises(DataError, match="transparent in places"):
                read_mask(path)
        else:
            assert read_mask(path).tolist() == [wanted]


def test_jpeg_and_scaled_masks_are_read_from_half_of_white_on(tmp_path):
    large = gray(0, 255).resize((160, 160), Image.Resampling.NEAREST)
    edged = large.rotate(30, Image.Resampling.BICUBIC)
    for name, picture, options in (
        ("m.jpg", large, {"quality": 60}),
        ("m.png", edged, {}),
        ("m.png", edged.resize((112, 112), Image.Resampling.BILINEAR), {}),
    ):
        picture.save(tmp_path / name, **options)
        with Image.open(tmp_path / name) as stored:
            assert len(np.unique(stored)) > 10
            assert (read_mask(tmp_path / name) == (np.asarray(stored) >= 128)).all()


def test_what_the_simulator_writes_keeps_its_values(tmp_path):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (9, 7, 3), np.uint8)
    write_frame(tmp_path / "f.png", frame)
    assert (read_picture(tmp_path / "f.png") == frame).all()
    for share in (0.0, 0.5, 1.0):
        mask = rng.random((9, 7)) < share
        write_mask(tmp_path / "m.png", mask)
        assert (read_mask(tmp_path / "m.png") == mask).all()
        # Of one or of eight bits, as AVSBench's may be, they are read as they always were.
        with Image.open(tmp_path / "m.png") as stored:
            gray_ = stored.convert("L")
        stream = io.BytesIO()
        gray_.save(stream, "PNG")
        (tmp_path / "m.png").write_bytes(stream.getvalue())
        assert (read_mask(tmp_path / "m.png") == (np.asarray(gray_) >= 128)).all()


def on_a_large_ground(ring, inner, second=0):
    """A small disk with a ring around it, less than a twentieth of the mask, and another object."""
    y, x = np.mgrid[:96, :96] - 48
    array = np.zeros((96, 96), np.uint8)
    array[x**2 + y**2 < 100], array[x**2 + y**2 < 64] = ring, inner
    array[:8, :8] = second
    return Image.fromarray(array)


@pytest.mark.parametrize(
    ("ring", "inner", "second"),
    [(255, 1, 0), (255, 15, 0), (85, 85, 255), (100, 100, 255), (128, 128, 255), (15, 16, 255)],
)
def test_labels_that_cover_little_are_no_edges(ring, inner, second, tmp_path):
    with pytest.raises(DataError, match="does not say which"):
        read_mask(put(tmp_path, on_a_large_ground(ring, inner, second)))


@pytest.mark.parametrize("quality", [30, 75, 95])
@pytest.mark.parametrize("light", [128, 255])
def test_a_jpeg_of_a_mask_is_read_if_it_is_white(light, quality, tmp_path):
    drawn = on_a_large_ground(light, light)
    drawn.save(tmp_path / "m.jpg", quality=quality)
    if light == 128:
        with pytest.raises(DataError, match="does not say which"):
            read_mask(tmp_path / "m.jpg")
    else:
        assert (read_mask(tmp_path / "m.jpg") == (np.asarray(drawn) > 0)).mean() > 0.999


@pytest.mark.parametrize("sigma", [0.5, 1, 2, 4])
def test_wide_soft_edges_are_read(sigma, tmp_path):
    drawn = on_a_large_ground(255, 255)
    found = read_mask(put(tmp_path, drawn.filter(ImageFilter.GaussianBlur(sigma))))
    assert (found == (np.asarray(drawn) > 0)).mean() > 0.99
