"""Features with one defect each."""

from __future__ import annotations

import os
import pickle
import shutil

import h5py
import numpy as np
import pytest

HEARD, SEEN = "avvp/feature/audio", "avvp/feature/video"
BIG = "vggsound40k/feature/audio"


def only(new, part, status, **options):
    """Examine, and return the only new finding."""
    found, diagnosis = new(**options)
    assert found == {(part, status)}
    assert diagnosis.sound == (status in {"warning", "note"})
    (one,) = [f for f in diagnosis.findings if (f.part, f.status) == (part, status)]
    return one


def test_the_sound_folder_is_sound_and_only_overlaps_are_warned_of(usual):
    assert {status for _, status in usual} == {"warning", "note"}
    assert {part for part, status in usual if status == "warning"} == {"overlaps"}


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        (HEARD, lambda x: np.round(x * 50).clip(0, 255), "quantised"),
        (HEARD, lambda x: x - 1, "negative values: PCA-processed"),
        (HEARD, lambda x: x * 100 + 0.5, "values over 30"),
        (HEARD, lambda x: np.where(x > 0, np.nan, x), "NaN"),
        (HEARD, lambda x: x[:0], "no row"),
        (HEARD, lambda x: x[:, :5], "shape (n, 5), expected (n, 8)"),
        (HEARD, lambda x: np.array(3.0), "shape (n), expected (n, 8)"),
        (HEARD, lambda x: x.astype(np.float64) + 1e39, "beyond float32"),
        (SEEN, lambda x: x - 1, "negative values: before the ReLU"),
        (SEEN, lambda x: x[:9], "other than 10 steps"),
        (SEEN, lambda x: x.transpose(0, 3, 1, 2), "channels come first"),
        (SEEN, lambda x: x.mean((1, 2)), "shape (n, 8), expected (n, 5, 5, 8)"),
        (SEEN, lambda x: np.concatenate([x, x]), "other than 10 steps"),
        ("ucf101/feature/video", lambda x: np.where(x > 0, np.inf, x), "NaN or infinite"),
    ],
)
def test_features_that_cannot_be_right_are_wrong(folder, new, part, change, told):
    folder.rezip(part, change)
    one = only(new, part, "wrong")
    assert told in one.detail
    assert one.found == "2 of 2 clips read"
    assert one.remedy


@pytest.mark.parametrize(
    ("part", "change"),
    [
        (HEARD, lambda x: x[:8]),  # The last second is repeated.
        (HEARD, lambda x: np.concatenate([x, x]).astype(np.float64)),
        ("ucf101/feature/video", lambda x: x[:7]),
        (SEEN, lambda x: x.astype(np.float64)),
    ],
)
def test_lengths_and_precisions_that_the_readers_take_are_fine(folder, new, part, change):
    folder.rezip(part, change)
    assert not new()[0]


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        (SEEN, lambda x: x + 1, "0 % zeros"),
        (SEEN, lambda x: x.astype(np.float16), ""),
    ],
)
def test_features_that_look_odd_are_a_warning(folder, new, part, change, told):
    folder.rezip(part, change)
    assert told in only(new, part, "warning").found


def test_a_defect_outside_the_sample_is_found_when_all_clips_are_read(folder, new):
    last = folder.zips(HEARD)[-1]
    folder.write(last, pickle.dumps(-np.ones((10, 8), np.float32)))
    assert not new(deep=0)[0]
    one = only(new, HEARD, "wrong", deep=106)
    assert last.name in one.detail
    assert one.found == "1 of 106 clips read"


def test_a_clip_without_a_zip_is_named(folder, new):
    gone = folder.zips(HEARD)[3]
    gone.unlink()
    one = only(new, HEARD, "truncated")
    assert one.found == "1 clips without a zip"
    assert one.detail == gone.stem
    assert one.expected == "106 clips of the list"


def test_zips_of_no_clip_are_a_note(folder, new):
    shutil.copyfile(folder.zips(HEARD)[0], folder.zips(HEARD)[0].with_name("zzzzzzzzzzz.zip"))
    one = only(new, HEARD, "note")
    assert one.found == "1 more"
    assert "zzzzzzzzzzz" in one.detail


def test_zips_of_weakly_labeled_clips_and_of_broken_names_are_known(folder, new):
    (weak,) = folder.files("AVVP_train.csv")
    first = folder.zips(HEARD)[0]
    for stem in (weak.read_text().splitlines()[1][:11], "P7x4FV4lg_5"):
        shutil.copyfile(first, first.with_name(f"{stem}.zip"))
    folder.edit("AVVP_eval_audio.csv", lambda lines: [*lines, "P7x4FV4lg_570_580\t0\t4\tSpeech"])
    assert {status for _, status in new()[0]} <= {"note"}
    assert (HEARD, "note") not in new()[0]


def test_zips_under_other_names_match_no_list(folder, new):
    for path in folder.zips("ucf101/feature/video"):
        path.rename(path.with_name(path.name.replace("v_", "")))
    assert "no zip is named by the list" in only(new, "ucf101/feature/video", "wrong").detail


def test_zips_in_a_folder_of_the_folder_are_not_found(folder, new):
    first, *others = folder.zips(HEARD)
    inner = first.parent / "audio"
    inner.mkdir()
    for path in (first, *others):
        path.rename(inner / path.name)
    found, diagnosis = new()
    assert found >= {(HEARD, "wrong")}
    assert not diagnosis.sound
    (one,) = [f for f in diagnosis.findings if (f.part, f.status) == (HEARD, "wrong")]
    assert one.detail.endswith("but folders: audio")


def test_a_missing_folder_of_features_is_missing(folder, new):
    folder.link(BIG).unlink()
    one = only(new, BIG, "missing")
    assert one.detail == "needed for pre-training, ucf-vgg"


def test_a_missing_optional_set_is_one_note(folder, new):
    shutil.rmtree(folder.root / "vggsound81k")
    assert only(new, "vggsound81k", "note").found == "not there"


def test_a_missing_optional_folder_is_a_note(folder, new):
    folder.link("vggsound40k/feature/label").unlink()
    assert (
        only(new, "vggsound40k/feature/label", "note").detail == "optional, for labels per second"
    )


def test_features_in_two_places_are_duplicated(folder, new):
    origin, other = folder.zips(HEARD)[0].parent, folder.root / "old/avvp/feature/audio/zip"
    shutil.copytree(origin, other, copy_function=os.link)
    one = only(new, HEARD, "duplicated")
    assert "the same 106 names in both" in one.detail
    next(other.iterdir()).unlink()
    assert (
        "1 names only in the first, 0 only in the second" in only(new, HEARD, "duplicated").detail
    )


def test_archives_unpacked_one_level_too_deep_are_found_and_noted(folder, new):
    inner = folder.root / "data" / "data"
    inner.mkdir(parents=True)
    for path in [p for p in folder.root.iterdir() if p.name not in {"data", "text-encoder"}]:
        path.rename(inner / path.name)
    assert only(new, "folder", "note").found == "data/data"


def test_an_empty_file_is_truncated(folder, new):
    path = folder.zips(SEEN)[50]
    path.unlink()
    path.touch()
    one = only(new, SEEN, "truncated")
    assert one.found == "1 empty files"
    assert path.name in one.detail


def damaged(folder, part, damage):
    """Damage every clip of a folder in one way."""
    for path in folder.zips(part):
        damage(folder, path)


def cut(folder, path):
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])


def without_pickle(folder, path):
    folder.write(path, b"words", name="readme.txt")


def hostile(folder, path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {folder.root}/owned",)

    folder.write(path, pickle.dumps(Hostile()))


@pytest.mark.parametrize(
    ("damage", "told"),
    [(cut, "no whole zip"), (without_pickle, "no member with .pkl"), (hostile, "refused pickle")],
)
def test_damaged_zips_are_named_and_nothing_in_them_is_run(folder, new, damage, told):
    damaged(folder, "ucf101/feature/video", damage)
    one = only(new, "ucf101/feature/video", "wrong")
    assert told in one.detail
    assert one.found == "2 of 2 zips read"
    assert not (folder.root / "owned").exists()


def test_members_added_by_macos_are_a_warning(folder, new):
    for path in folder.zips("ucf101/feature/video"):
        content = pickle.dumps(np.zeros((10, 5, 5, 8), np.float32))
        folder.write(path, content, **{"__MACOSX/._clip.pkl": b"mac"})
    assert "__MACOSX" in only(new, "ucf101/feature/video", "warning").detail


def test_segment_labels_are_ten_zeros_and_ones(folder, new):
    part = "vggsound40k/feature/label"
    folder.rezip(part, lambda x: x.reshape(10, 1), in_list=True)
    assert not new()[0]
    folder.rezip(part, lambda x: x + 1, in_list=True)
    assert "0 or 1" in only(new, part, "wrong").detail


def test_the_h5_files_are_checked_for_shape_key_and_values(folder, new):
    folder.h5("visual_feature.h5", lambda x: x.transpose(0, 1, 4, 2, 3))
    one = only(new, "visual_feature.h5", "wrong")
    assert one.found == "[168, 10, 8, 5, 5]"
    assert "transpose" in one.detail
    folder.h5("visual_feature.h5", lambda x: x.transpose(0, 1, 3, 4, 2), new_key="features")
    assert "no data set 'avadataset'" in only(new, "visual_feature.h5", "wrong").detail


def test_negative_audio_in_an_h5_file_is_wrong(folder, new):
    folder.h5("audio_feature.h5", lambda x: -x)
    assert "PCA" in only(new, "audio_feature.h5", "wrong").detail


@pytest.mark.parametrize("value", [np.float64(3), np.zeros(0)])
def test_an_h5_file_of_one_number_or_none_is_no_traceback(folder, new, value):
    folder.h5("audio_feature.h5", lambda x: value)
    found, diagnosis = new()
    assert {part for part, _ in found} == {"audio_feature.h5"}
    assert not diagnosis.sound


def test_a_row_too_few_in_an_h5_file_is_wrong(folder, new):
    folder.h5("audio_feature.h5", lambda x: x[1:])
    one = only(new, "audio_feature.h5", "wrong")
    assert one.found == "[167, 10, 8]"
    assert "[168, 10, 8]" in one.detail


def test_a_download_that_broke_off_is_truncated(folder, new):
    (path,) = folder.files("visual_feature.h5")
    cut(folder, path)
    only(new, "visual_feature.h5", "truncated")


def test_single_precision_in_an_h5_file_is_fine(folder, new):
    (path,) = folder.files("audio_feature.h5")
    with h5py.File(path) as file:
        values = file["avadataset"][()].astype(np.float32)
    with h5py.File(path, "w") as file:
        file["avadataset"] = values
    assert not new()[0]
