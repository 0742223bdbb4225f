"""Stamps as a store: what is read, how it is split, and what its views are."""

from __future__ import annotations

import numpy as np
import pytest

from cmg.errors import DataError
from projects.tuxpaint.nouns import is_letter, noun_of, part_of, split_stamps
from projects.tuxpaint.pictures import stamp_picture
from projects.tuxpaint.stamps import find_stamps, stamps_folder
from projects.tuxpaint.store import (
    Written,
    chosen_stamps,
    read_stamps,
    sentence_of,
    trimmed,
    write_stamps,
)
from projects.tuxpaint.tests.drawn import READERS, draw_stamps
from projects.tuxpaint.views import Scale, components_of, in_parts, picture_views, sentence_views


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    draw_stamps(folder)
    return folder


@pytest.mark.parametrize(
    ("caption", "noun"),
    [
        ("A “Fuji” apple.", "apple"),
        ("The baby of a gnu.", "gnu"),
        ("A cup of coffee.", "cup"),
        ("A tower with a red flag.", "tower"),
        ("A camera.  Say Cheese!", "camera"),
        ("A Canadian 1 cent piece ($.01) called a “penny.”", "piece"),
        ("1234", None),
    ],
)
def test_the_noun_is_the_last_word_of_the_first_phrase(caption, noun):
    assert noun_of(caption) == noun


def test_letters_and_spelling_hands_are_told_from_things():
    assert is_letter("The letter Q.")
    assert is_letter("The sign for the letter I in American Sign Language.")
    assert not is_letter("A letter box.")


def test_a_package_is_found_by_any_of_its_folders(package):
    stamps = package / "usr" / "share" / "tuxpaint" / "stamps"
    for source in (package, package / "usr" / "share", stamps.parent, stamps):
        assert stamps_folder(source) == stamps.resolve()
    found = find_stamps(package)
    assert len(found) == 17
    assert found[2].id == "things/flower0"
    assert sorted(found[2].spoken) == ["es", "fr"]
    assert [s.id for s in find_stamps(package, ["es"])] == [s.id for s in found]
    with pytest.raises(DataError, match="described in de"):
        find_stamps(package, ["de"])


def test_without_the_package_the_message_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match="apt-get install tuxpaint-stamps-default"):
        find_stamps(tmp_path)


def test_pictures_are_cropped_and_centered_on_white(package, tmp_path):
    for name in ("truck0.png", "truck1.svg"):
        found = stamp_picture(stamps_folder(package) / "things" / name, (64, 64))
        assert found.shape == (64, 64, 3)
        assert found[32, 32].tolist() == [200, 30, 30]
        assert found[0, 0].tolist() == found[63, 63].tolist() == [255, 255, 255]
        rows = np.flatnonzero((found[:, 32] < 250).any(1))
        assert abs((rows[0] + rows[-1]) / 2 - 31.5) <= 1
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"bad\.png cannot be read"):
        stamp_picture(tmp_path / "bad.png", (8, 8))


def test_splits_are_by_stamp_and_every_noun_is_in_each(package):
    stamps = [s for s in find_stamps(package) if not is_letter(s.caption)]
    found = split_stamps(stamps, ("truck", "hat", "flower"))
    for noun in ("truck", "hat", "flower"):
        counts = [
            sum(s == split for i, s in found.items() if noun in i)
            for split in ("train", "val", "test")
        ]
        assert counts == [3, 1, 1]
    assert found["others/other1"] == "train"
    assert found == split_stamps(stamps, ("truck", "hat", "flower"))
    assert any(found != split_stamps(stamps, ("truck", "hat", "flower"), s) for s in (1, 2, 3))
    assert len(part_of(stamps, 7)) == 7
    assert {s.id[:12] for s in part_of(stamps, 5)} == {"things/flowe"}


def test_silence_at_the_ends_is_cut_off():
    wave = np.zeros(40000, np.float32)
    wave[20000:24000] = 0.5
    found = trimmed(wave)
    assert 4000 + 2 * 4800 <= len(found) <= 4000 + 2 * 4800 + 2 * 320
    assert not found[:4000].any()
    assert len(trimmed(np.zeros(100, np.float32))) == 6500


def test_parts_of_a_recording_are_means_in_order():
    windows = np.arange(20, dtype=np.float32)[:, None]
    assert in_parts(windows, 0, 20)[:, 0].tolist() == [0.5 + 2 * k for k in range(10)]
    short = in_parts(windows[:3], 0, 3)[:, 0]
    assert len(short) == 10
    assert (np.diff(short) >= 0).all()
    assert in_parts(windows[:1], 0, 1)[:, 0].tolist() == [0.0] * 10


def test_views_of_a_constant_are_that_constant():
    rng = np.random.default_rng(0)
    assert (picture_views(np.full((7, 7, 2), 3, np.float32), rng) == 3).all()
    assert (sentence_views(np.full((4, 5), 2, np.float32), rng) == 2).all()
    assert sentence_views(np.full((1, 5), 2, np.float32), rng).shape == (10, 5)


def test_components_are_those_of_an_eigendecomposition():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(500, 6)) * [5, 3, 2, 1, 0.5, 0.1] + 4).astype(np.float32)
    found = components_of(rows, 0, count=3)
    projected = found(rows)
    np.testing.assert_allclose(projected.mean(0), 0, atol=1e-4)
    covariance = np.cov(projected, rowvar=False)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-3)
    wanted = np.linalg.svd(rows - rows.mean(0), compute_uv=False)[:3] / np.sqrt(499)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), wanted / wanted.mean(), rtol=1e-3)
    scaled = Scale.of(rows).apply(rows)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-3)


def test_a_store_has_a_clip_per_stamp_and_language(package, tmp_path):
    found = read_stamps(chosen_stamps(package), READERS)
    assert (len(found.stamps), found.skipped) == (16, [])
    store = write_stamps(found, tmp_path / "store")
    assert store.splits == {"train": 20, "val": 6, "test": 6}
    assert store.labels["noun"].classes == ("flower", "hat", "truck")
    row = next(r for r in store.rows if r.id == "things/truck0.fr")
    assert row.labels["noun"] == 2
    assert row.meta["stamp"] == "things/truck0"
    assert next(r for r in store.rows if r.id.startswith("others")).labels["noun"] is None
    shapes = {m: one.shape for m, one in store.modalities.items()}
    assert shapes == {"audio": (160,), "video": (3,), "text": (26,)}
    for split in ("train", "test"):
        features, lengths = store.split(split).features("audio")
        assert lengths.tolist() == [10] * len(lengths)
        assert float(features.std()) > 0
    assert write_stamps(found, tmp_path / "again").content_hash == store.content_hash
    assert write_stamps(found, tmp_path / "seed", seed=1).content_hash != store.content_hash
    assert (
        write_stamps(found, tmp_path / "told", Written.PROMPTS).content_hash != store.content_hash
    )


def test_damaged_files_are_named_and_left_out(tmp_path):
    stamps = draw_stamps(tmp_path)
    (stamps / "things" / "hat0.png").write_bytes(b"no picture")
    (stamps / "things" / "hat1_desc_es.ogg").write_bytes(b"no sound")
    (stamps / "things" / "truck0.txt").write_bytes(b"A caf\xe9 truck.\n")
    found = read_stamps(chosen_stamps(tmp_path), READERS)
    assert len(found.skipped) == 3
    assert "hat0.png" in found.skipped[0]
    assert "hat1_desc_es.ogg" in found.skipped[1]
    assert "truck0.txt, line 1 is not UTF-8 (byte 5: 0xe9)" in found.skipped[2]
    assert len(found.stamps) == 14
    assert sum(write_stamps(found, tmp_path / "store").splits.values()) == 27


def test_too_few_stamps_are_refused_before_anything_is_read(tmp_path):
    draw_stamps(tmp_path, each=2)
    with pytest.raises(DataError, match="0 nouns with 3 stamps"):
        chosen_stamps(tmp_path)


def test_prompts_name_the_noun_and_captions_are_as_written(package):
    stamp = next(s for s in find_stamps(package) if s.id == "things/truck0")
    assert sentence_of(stamp, Written.CAPTIONS) == "A little truck of number 0."
    assert "truck" in sentence_of(stamp, Written.PROMPTS)
    assert sentence_of(stamp, Written.PROMPTS) != sentence_of(stamp, Written.CAPTIONS)
