"""--lists: small lists in the dialects of the real files."""

import csv

import h5py
import pytest

from cmg.errors import DataError
from cmg.simulate import simulate


def stems(folder):
    return {path.stem for path in folder.glob("*.zip")}


def test_at_full_size_the_files_are_the_real_ones_byte_for_byte(lists, tmp_path, small_options):
    # The 81k list is not there, so 40,000 made-up names would be rendered at full size: give one.
    text = "id\nplay_0000001.mp4\nviolin_train_000.mp4\n"
    (lists / "video_name_vggsound81k_checked.csv").write_text(text)
    out = tmp_path / "out"
    summary = simulate(out, small_options(fraction=1.0, lists=lists))
    assert summary.facts["lists"] == "real"
    originals = {path.name: path for path in lists.rglob("*") if path.is_file()}
    written = [path for path in out.rglob("*") if path.name in originals]
    assert len({path.name for path in written}) == len(originals)
    for path in written:
        assert path.read_bytes() == originals[path.name].read_bytes(), path
    assert stems(out / "vggsound81k/feature/audio/zip") == {"play_0000001", "violin_train_000"}
    assert len(stems(out / "vggsound40k/feature/video/zip")) == 54
    assert len(stems(out / "AVVP/feature/video/zip")) == 16
    assert len(stems(out / "UCF101ALL/feature/audio/zip")) == 12
    with h5py.File(out / "AVE-ECCV18-master/data/labels.h5") as file:
        assert file["avadataset"].shape == (24, 10, 3)


def test_a_fraction_is_a_consistent_part_of_the_real_lists(lists, tmp_path, small_options):
    (lists / "video_name_vggsound81k_checked.csv").write_text("id\nviolin_train_000.mp4\n")
    out = tmp_path / "out"
    simulate(out, small_options(fraction=0.5, lists=lists))
    with (out / "vggsound40k/data/vggsound-avel40k.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 27
    annotations = (out / "AVE-ECCV18-master/data/Annotations.txt").read_text().splitlines()
    original = (lists / "AVE/Annotations.txt").read_text().splitlines()
    assert len(annotations) == 2 * (3 + 2 + 2)  # of 6, 3 and 3 a class
    assert set(annotations) < set(original)
    assert [line for line in original if line in annotations] == annotations
    weak = (out / "AVVP/data/AVVP_val_pd.csv").read_text().splitlines()
    assert len(weak) == 1 + 4
    ucf = (out / "UCF101/data/UCF101sameVGGSound.txt").read_bytes()
    assert ucf == (lists / "UCF101/UCF101sameVGGSound.txt").read_bytes()


def test_weak_training_clips_get_features_when_asked_for(lists, tmp_path, small_options):
    out = tmp_path / "out"
    options = small_options(fraction=0.001, lists=lists, weak_train=True)
    assert simulate(out, options).facts["weak_train"]
    names = [
        row.split("\t")[0][:11]
        for row in (out / "AVVP/data/AVVP_train.csv").read_text().split("\n")[1:-1]
    ]
    assert names
    assert set(names) <= stems(out / "AVVP/feature/audio/zip")


def test_missing_lists_are_named_and_nothing_is_written(lists, tmp_path, small_options):
    (lists / "AVE/val_order.h5").unlink()
    (lists / "UCF101/ucf2vggsound.csv").unlink()
    with pytest.raises(DataError, match=r"lacks val_order.h5, ucf2vggsound.csv"):
        simulate(tmp_path / "out", small_options(lists=lists))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lists"]


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "Vggsound/vggsound-avel40k.csv",
            "dog barking",
            "dog parking",
            "did you mean 'dog barking'",
        ),
        ("AVE/Annotations.txt", "Bark&", "Borg&", "Annotations.txt: .*no ave category 'Borg'"),
        ("AVE/Annotations.txt", "&good&", "&", "lines 1, 2, 3, .* and 14 more: 4 fields"),
        ("AVVP/AVVP_val_pd.csv", "\t", ",", "no column 'filename'"),
        ("AVVP/AVVP_val_pd.csv", "Speech", "Speach", "did you mean 'Speech'"),
        (
            "AVVP/AVVP_eval_audio_checked_combined.csv",
            "0,4\t",
            "0\t",
            "line 3: 1 onsets, 2 offsets",
        ),
        ("UCF101/vggsound2ucf.csv", "split", "part", "no column 'split'"),
        ("Vggsound/vggsound-avel40k.csv", ",val", ",eval", "split 'eval' is none of"),
    ],
)
def test_lists_in_another_dialect_are_refused(
    lists, tmp_path, small_options, name, old, new, message
):
    path = lists / name
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(DataError, match=message):
        simulate(tmp_path / "out", small_options(lists=lists))
    assert not (tmp_path / "out").exists()


def test_an_order_of_other_annotations_is_refused(lists, tmp_path, small_options):
    (lists / "AVE/val_order.h5").unlink()
    with h5py.File(lists / "AVE/val_order.h5", "w") as file:
        file["order"] = [24]
    with pytest.raises(DataError, match="do not belong together"):
        simulate(tmp_path / "out", small_options(lists=lists))
