"""Features with one edit each."""

import os
import pickle
import shutil

import numpy as np
import pytest
from tests.official.doctor.conftest import Hostile, h5

SOUNDS, MAPS = "audio_feature.h5", "visual_feature.h5"
HEARD, SEEN = "avvp/feature/audio", "avvp/feature/video"
BIG, SECONDS = "vggsound40k/feature/audio", "vggsound40k/feature/label"
ACTIONS = "ucf101/feature/video"


def zips(part, change, **options):
    """Change the arrays of all clips, or of two that are read."""
    return lambda folder: folder.rezip(part, change, **options)


def same(values):
    return values


def hostile(folder, path):
    folder.write(path, pickle.dumps(Hostile(folder)))


def damaged(damage, part=ACTIONS):
    """Damage every clip of a folder in one way."""

    def edit(folder):
        for path in folder.zips(part):
            damage(folder, path)

    return edit


def cut(folder, path):
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])


def with_macos(folder, path):
    content = pickle.dumps(np.zeros((10, 5, 5, 8), np.float32))
    folder.write(path, content, **{"__MACOSX/._clip.pkl": b"mac"})


def without_pickle(folder, path):
    folder.write(path, b"words", name="readme.txt")


def half_a_download(folder):
    (path,) = folder.files("visual_feature.h5")
    cut(folder, path)


def renamed(folder):
    for path in folder.zips(ACTIONS):
        path.rename(path.with_name(path.name.replace("v_", "")))


def deeper(folder):
    first, *others = folder.zips(HEARD)
    (first.parent / "audio").mkdir()
    for path in (first, *others):
        path.rename(first.parent / "audio" / path.name)


def more_zips(folder):
    shutil.copyfile(folder.zips(HEARD)[0], folder.zips(HEARD)[0].with_name("zzzzzzzzzzz.zip"))


def twice(folder):
    origin = folder.zips(HEARD)[0].parent
    shutil.copytree(origin, folder.root / "old/avvp/feature/audio/zip", copy_function=os.link)


def twice_and_one_less(folder):
    twice(folder)
    next((folder.root / "old/avvp/feature/audio/zip").iterdir()).unlink()


def without_81k(folder):
    shutil.rmtree(folder.root / "vggsound81k")


def data_in_data(folder):
    inner = folder.root / "data" / "data"
    inner.mkdir(parents=True)
    for path in [p for p in folder.root.iterdir() if p.name not in {"data", "text-encoder"}]:
        path.rename(inner / path.name)


def an_empty_file(folder):
    path = folder.zips(SEEN)[50]
    path.unlink()
    path.touch()


def fewer(part, place):
    return lambda folder: folder.zips(part)[place].unlink()


EDITS = [
    (deeper, HEARD, "wrong", "but folders: audio"),
    (zips(HEARD, lambda x: np.round(x * 50).clip(0, 255)), HEARD, "wrong", "2 of 2.*quantised"),
    (zips(HEARD, lambda x: x - 1), HEARD, "wrong", "negative values: PCA-processed"),
    (zips(HEARD, lambda x: x * 100 + 0.5), HEARD, "wrong", "values over 30"),
    (zips(HEARD, lambda x: np.where(x > 0, np.nan, x)), HEARD, "wrong", "NaN"),
    (zips(HEARD, lambda x: x[:0]), HEARD, "wrong", "no row"),
    (zips(HEARD, lambda x: x[:, :5]), HEARD, "wrong", r"shape \(n, 5\), expected \(n, 8\)"),
    (zips(HEARD, lambda x: np.array(3.0)), HEARD, "wrong", r"shape \(n\), expected \(n, 8\)"),
    (zips(HEARD, lambda x: x.astype(np.float64) + 1e39), HEARD, "wrong", "beyond float32"),
    (zips(HEARD, lambda x: x[:8]), None, "", ""),  # The last second is repeated.
    (zips(HEARD, lambda x: np.concatenate([x, x]).astype(np.float64)), None, "", ""),
    (zips(SEEN, lambda x: x - 1), SEEN, "wrong", "negative values: before the ReLU"),
    (zips(SEEN, lambda x: x[:9]), SEEN, "wrong", "other than 10 steps"),
    (zips(SEEN, lambda x: np.concatenate([x, x])), SEEN, "wrong", "other than 10 steps"),
    (zips(SEEN, lambda x: x.transpose(0, 3, 1, 2)), SEEN, "wrong", "channels come first"),
    (zips(SEEN, lambda x: x.mean((1, 2))), SEEN, "wrong", r"\(n, 8\), expected \(n, 5, 5, 8\)"),
    (zips(SEEN, lambda x: x.astype(np.float64)), None, "", ""),
    (zips(SEEN, lambda x: x + 1), SEEN, "warning", "0 % zeros"),
    (zips(SEEN, lambda x: x.astype(np.float16)), SEEN, "warning", "numbers are float16"),
    (zips(ACTIONS, lambda x: np.where(x > 0, np.inf, x)), ACTIONS, "wrong", "NaN or infinite"),
    (zips(ACTIONS, lambda x: x[:7]), None, "", ""),
    (zips(SECONDS, lambda x: x.reshape(10, 1), in_list=True), None, "", ""),
    (zips(SECONDS, lambda x: x + 1, in_list=True), SECONDS, "wrong", "0 or 1"),
    (fewer(HEARD, 3), HEARD, "truncated", "1 clips without a zip.*106 clips of the list"),
    (more_zips, HEARD, "note", "1 more.*zzzzzzzzzzz"),
    (renamed, ACTIONS, "wrong", "no zip is named by the list"),
    (lambda folder: folder.link(BIG).unlink(), BIG, "missing", "needed for pre-training, ucf-vgg"),
    (lambda folder: folder.link(SECONDS).unlink(), SECONDS, "note", "optional, for labels per sec"),
    (without_81k, "vggsound81k", "note", "not there"),
    (twice, HEARD, "duplicated", "the same 106 names in both"),
    (twice_and_one_less, HEARD, "duplicated", "1 names only in the first, 0 only in the second"),
    (data_in_data, "folder", "note", "data/data"),
    (an_empty_file, SEEN, "truncated", "1 empty files"),
    (damaged(cut), ACTIONS, "wrong", "2 of 2 zips read.*no whole zip"),
    (damaged(without_pickle), ACTIONS, "wrong", "no member with .pkl"),
    (damaged(hostile), ACTIONS, "wrong", "refused pickle"),
    (damaged(with_macos), ACTIONS, "warning", "__MACOSX"),
    (h5(MAPS, lambda x: x.transpose(0, 1, 4, 2, 3)), MAPS, "wrong", "168, 10, 8, 5, 5.*transpose"),
    (h5(MAPS, same, new_key="features"), MAPS, "wrong", "no data set 'avadataset'"),
    (half_a_download, MAPS, "truncated", "truncated"),
    (h5(SOUNDS, lambda x: -x), SOUNDS, "wrong", "PCA"),
    (h5(SOUNDS, lambda x: np.float64(3)), SOUNDS, "wrong", "one number"),
    (h5(SOUNDS, lambda x: np.zeros(0)), SOUNDS, "truncated", ""),
    (h5(SOUNDS, lambda x: x[1:]), SOUNDS, "wrong", "167, 10, 8.*168, 10, 8"),
    (h5(SOUNDS, lambda x: x.astype(np.float32)), None, "", ""),
]


@pytest.mark.parametrize(("edit", "part", "status", "told"), EDITS)
def test_an_edit_is_found_and_nothing_else(check, edit, part, status, told):
    check(edit, part, status, told)


def test_the_sound_folder_is_sound_and_only_overlaps_are_warned_of(usual):
    assert {status for _, status in usual} == {"warning", "note"}
    assert {part for part, status in usual if status == "warning"} == {"overlaps"}


def test_a_defect_outside_the_sample_is_found_when_all_clips_are_read(folder, new):
    last = folder.zips(HEARD)[-1]
    folder.write(last, pickle.dumps(-np.ones((10, 8), np.float32)))
    assert not new(deep=0)[0]
    found, diagnosis = new(deep=106)
    assert found == {(HEARD, "wrong")}
    (one,) = diagnosis.faults
    assert last.name in one.detail
    assert one.found == "1 of 106 clips read"


def test_zips_of_weakly_labeled_clips_and_of_broken_names_are_known(folder, new):
    (weak,) = folder.files("AVVP_train.csv")
    first = folder.zips(HEARD)[0]
    for stem in (weak.read_text().splitlines()[1][:11], "P7x4FV4lg_5"):
        shutil.copyfile(first, first.with_name(f"{stem}.zip"))
    folder.edit("AVVP_eval_audio.csv", lambda lines: [*lines, "P7x4FV4lg_570_580\t0\t4\tSpeech"])
    assert {status for _, status in new()[0]} <= {"note"}
    assert (HEARD, "note") not in new()[0]
