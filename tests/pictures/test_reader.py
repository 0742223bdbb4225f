"""One reader of pictures: what is opened, and what its pixels mean."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from cmg.data.frames import FramedClip, read_frames
from cmg.errors import DataError
from cmg.extract.clip import MediaClip
from cmg.extract.decode import FramePlan, decode
from cmg.pictures.masks import read_mask
from cmg.pictures.reader import FORMATS, picture_paths, picture_size, read_picture
from cmg.recipes.segment_clip import frames_of

from .files import png, row, tiff

UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}
"""What EXIF's orientations ask for."""


def saved(mode, pixels, suffix=".png", palette=None, **options):
    """A file that Pillow writes, of one row."""
    picture = Image.new(mode, (len(pixels), 1))
    picture.putdata(pixels)
    if palette:
        picture.putpalette(palette)
    stream = io.BytesIO()
    picture.save(stream, Image.registered_extensions()[suffix], **options)
    return stream.getvalue()


WHITE, RED = (255, 255, 255), (255, 0, 0)
MEANT = {
    "1 bit": (saved("1", [0, 255]), [0, 255]),
    "gray": (saved("L", [0, 7]), [0, 7]),
    "gray, a transparent value": (saved("L", [0, 7], transparency=7), [0, 255]),
    "gray of 2 bits, a transparent value": (
        png(2, 0, 4, [b"\x1b"], row([1], ">u2")), [0, 255, 170, 255],
    ),
    "gray of 4 bits, a transparent value": (png(4, 0, 2, [b"\x3a"], row([3], ">u2")), [255, 170]),
    "gray and alpha": (saved("LA", [(9, 0), (9, 255), (0, 51)]), [255, 9, 204]),
    "gray of 16 bits": (png(16, 0, 3, [row([0, 257 * 100, 65535], ">u2")]), [0, 100, 255]),
    "gray of 16 bits, a transparent value": (
        png(16, 0, 3, [row([0, 300, 301], ">u2")], row([300], ">u2")), [0, 255, 1],
    ),
    "TIFF of 16 bits": (tiff(row([0, 257 * 100], "<u2"), 2, 16), [0, 100]),
    "TIFF of 16 bits, big-endian": (tiff(row([0, 257 * 100], ">u2"), 2, 16, order=">"), [0, 100]),
    "TIFF of 16 bits from white": (tiff(row([0, 257 * 100], "<u2"), 2, 16, 0), [255, 155]),
    "TIFF of 8 bits from white": (tiff(row([0, 100], "u1"), 2, 8, 0), [255, 155]),
    "TIFF of 12 bits": (tiff(b"\xff\xf8\x00", 2, 12), [255, 127]),
    "palette": (saved("P", [0, 1], palette=[0, 0, 0, 128, 0, 0]), [0, (128, 0, 0)]),
    "palette, a transparent color": (
        saved("P", [0, 1], palette=[0, 0, 0, 128, 0, 0], transparency=0), [255, (128, 0, 0)],
    ),
    "palette with alpha": (
        saved("P", [0, 1], palette=[0, 0, 0, 255, 0, 0], transparency=b"\x00\x33"),
        [255, (255, 204, 204)],
    ),
    "RGB of 16 bits": (png(16, 2, 2, [row([65535, 0, 0, 256, 512, 770], ">u2")]), [RED, (1, 2, 3)]),
    "RGB, a transparent color": (
        saved("RGB", [RED, (1, 2, 3)], transparency=RED), [255, (1, 2, 3)],
    ),
    "RGBA": (saved("RGBA", [(0, 0, 0, 0), (255, 0, 0, 51)]), [255, (255, 204, 204)]),
    "RGBA, WebP": (
        saved("RGBA", [(9, 9, 9, 0), (1, 2, 3, 255)], ".webp", lossless=True), [255, (1, 2, 3)],
    ),
    "CMYK": (
        saved("CMYK", [(0, 0, 0, 0), (0, 255, 255, 0), (0, 0, 0, 155)], ".tif"), [255, RED, 100],
    ),
    "CMYK, JPEG": (saved("CMYK", [(0, 255, 255, 0)] * 2, ".jpg", quality=100), [RED, RED]),
    "BMP": (saved("RGB", [RED, (1, 2, 3)], ".bmp"), [RED, (1, 2, 3)]),
}  # fmt: skip
REFUSED = {
    "32 bits": (saved("I", [0, 70000], ".tif"), "what is white in its integers"),
    "16 bits with sign": (tiff(row([-1, 9], "<i2"), 2, 16, 1, 2), "what is white in its integers"),
    "floating point": (saved("F", [0.0, 0.5], ".tif"), "in its floating point"),
    "RGB of 16 bits with a transparent color": (
        png(16, 2, 1, [row([0, 0, 0], ">u2")], row([0, 0, 1], ">u2")),
        "its transparent color has 16 bits",
    ),
}


def users(path, size):
    """The pictures that training, extraction and `cmg segment` read of a file, [H, W, 3] each."""
    clip = FramedClip("me", "train", "", (path,), ())
    yield lambda: read_frames(clip, size)[0].permute(1, 2, 0).numpy()
    yield lambda: decode(path, None, FramePlan(1, (size, size)), None).frames[0]
    media = MediaClip("me", "train", {"video": path})
    yield lambda: frames_of(media, size)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("kind", MEANT)
def test_every_mode_has_one_meaning_for_every_user(kind, tmp_path):
    content, wanted = MEANT[kind]
    path = tmp_path / "a.png"  # the content decides, not the suffix
    path.write_bytes(content)
    colors = [(v, v, v) if isinstance(v, int) else v for v in wanted]
    assert read_picture(path).tolist() == [[list(color) for color in colors]]
    scaled = read_picture(path, (5, 5))
    for read in users(path, 5):
        assert (read() == scaled).all()


@pytest.mark.parametrize("kind", REFUSED)
def test_values_without_a_known_white_are_refused_by_every_user(kind, tmp_path):
    content, told = REFUSED[kind]
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    for read in users(path, 5):
        with pytest.raises(DataError, match=rf"a\.tif cannot be read: .*{told}.*; save it with "):
            read()


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_and_masks_are_upright(orientation, tmp_path):
    rng = np.random.default_rng(orientation)
    pixels, mask = rng.integers(0, 256, (3, 5, 3), np.uint8), rng.random((3, 5)) < 0.5
    deep = rng.integers(0, 256, (3, 5)).astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = orientation
    for suffix, more in ((".png", {}), (".tif", {}), (".webp", {"lossless": True})):
        path = tmp_path / f"a{suffix}"
        for array in (pixels, deep) if suffix != ".webp" else (pixels,):
            Image.fromarray(array).save(path, exif=exif, **more)
            wanted = pixels if array is pixels else np.dstack([deep // 257] * 3)
            assert (read_picture(path) == UPRIGHT[orientation](wanted)).all()
            assert picture_size(path) == UPRIGHT[orientation](wanted).shape[1::-1]
    Image.fromarray(mask).save(tmp_path / "m.png", exif=exif)
    assert (read_mask(tmp_path / "m.png") == UPRIGHT[orientation](mask)).all()


def test_a_photograph_is_its_first_picture_and_animations_and_pages_are_refused(tmp_path):
    first, second = (Image.new("RGB", (8, 8), (v, v, v)) for v in (200, 10))
    for name, form in (("a.png", "PNG"), ("a.webp", "WEBP"), ("a.tif", "TIFF")):
        first.save(tmp_path / name, form, save_all=True, append_images=[second, first])
        with pytest.raises(DataError, match=rf"{name} cannot be read: it holds 3 pictures; save"):
            read_picture(tmp_path / name)
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    assert (read_picture(tmp_path / "a.jpg") == 200).all()


PLAIN_EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 4 4
%%EndComments
0 setgray 0 0 4 4 rectfill
%%EOF
"""
EPS = {
    "EPS": PLAIN_EPS,
    "EPS with a binary head": struct.pack(
        "<IIIIIIIH", 0xC6D3D0C5, 30, len(PLAIN_EPS), 0, 0, 0, 0, 0xFFFF
    )
    + PLAIN_EPS,
    "EPS with a preview": PLAIN_EPS.replace(
        b"0 setgray", b"%%BeginPreview: 4 4 1 1\n% F0\n%%EndPreview\n0 setgray"
    ),
}
"""What Pillow would give to Ghostscript."""


@pytest.mark.parametrize("kind", EPS)
def test_a_format_that_would_start_a_program_is_refused_and_starts_none(
    tmp_path, monkeypatch, kind
):
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    (tmp_path / "a.png").write_bytes(EPS[kind])
    for read in (*users(tmp_path / "a.png", 4), lambda: read_mask(tmp_path / "a.png")):
        with pytest.raises(DataError, match=r"a\.png cannot be read: it is none of BMP, JPEG, PNG"):
            read()
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("form", ["GIF", "PPM", "TGA", "ICO", "PDF", None])
def test_what_is_none_of_the_named_formats_is_refused(tmp_path, form):
    path = tmp_path / "a.png"
    if form is None:
        path.write_bytes(b"")
    else:
        Image.new("RGB", (16, 16)).save(path, form)
    with pytest.raises(DataError, match=r"a\.png cannot be read: it is none of BMP, JPEG, PNG, TI"):
        read_picture(path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_truncated_picture_is_refused_by_name(tmp_path, form):
    path = tmp_path / "cut.png"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, form)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"cut\.png cannot be read: "):
        read_picture(path)


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(8, 0, 1 << 14, [], height=1 << 14))
    for limit in (Image.MAX_IMAGE_PIXELS, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=r"bomb\.png cannot be read: .*178,?956,?970"):
            read_picture(path)


def test_pictures_of_a_folder_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("f10.PNG", "f2.tiff", "f1.jpeg", ".f0.png", "notes.txt", "f3.gif"):
        (tmp_path / name).touch()
    assert [p.name for p in picture_paths(tmp_path)] == ["f1.jpeg", "f2.tiff", "f10.PNG"]
    assert picture_paths(tmp_path / "nowhere") == []
