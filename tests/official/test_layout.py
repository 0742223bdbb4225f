"""Parts are found wherever they were unpacked."""

import os
import shutil

import pytest

from cmg.errors import DataError
from cmg.official.layout import find_layout


def test_parts_are_found_below_nested_folders(root):
    layout = find_layout(root)
    audio = root / "data/data/vggsound40k/feature/audio/zip"
    assert layout.folder("vggsound40k", "audio") == audio
    assert layout.folder("vggsound40k", "label") == root / "data/data/vggsound40k/label/zip"
    assert layout.folder("avvp", "video") == root / "data/AVVP/feature/video/zip"
    assert layout.folder("ucf101", "audio") is None
    assert layout.folder("ucf101all", "audio") == root / "data/UCF101ALL/feature/audio/zip"
    assert layout.file("Annotations.txt") == root / "data/AVE-ECCV18-master/data/Annotations.txt"
    assert layout.file("nowhere.csv", "ucf51checked.csv") == root / "OSCMG/ucf51checked.csv"
    assert layout.file("nowhere.csv") is None


@pytest.mark.parametrize("inside", ["data", "data/data", "data/data/vggsound40k"])
def test_the_root_may_be_any_level(root, inside):
    found = find_layout(root / inside).folder("vggsound40k", "audio")
    assert found == root / "data/data/vggsound40k/feature/audio/zip"


def test_folders_of_zips_are_never_listed(root, monkeypatch):
    listed = []
    walk = os.walk

    def told(top, **options):
        for place, folders, files in walk(top, **options):
            listed.append(os.path.basename(place))
            yield place, folders, files

    monkeypatch.setattr(os, "walk", told)
    find_layout(root)
    assert "zip" not in listed
    assert "audio" in listed


def test_copies_with_the_same_content_are_one_file(root, write):
    """Line ends, and the header that one copy of AVE's annotations has, make no difference."""
    layout = find_layout(root)
    assert len(layout.files["vggsound-avel40k.csv"]) == 2
    assert layout.file("vggsound-avel40k.csv") is not None
    text = (root / "data/AVE-ECCV18-master/data/Annotations.txt").read_text()
    header = "Category&VideoID&Quality&StartTime&EndTime\r\n"
    write.text(root / "AVE/Annotations.txt", header + text.replace("\n", "\r\n"))
    shutil.copy(root / "data/AVE_AVVP/ave_avvp_order.h5", root / "AVE/ave_avvp_order.h5")
    assert find_layout(root).file("Annotations.txt") is not None
    assert find_layout(root).file("ave_avvp_order.h5") is not None


def test_copies_that_differ_are_refused_by_both_names(root, write):
    write.text(root / "old/vggsound-avel40k.csv", "category,video_id,split\n")
    with pytest.raises(
        DataError, match=r"vggsound-avel40k\.csv and .*vggsound-avel40k\.csv differ"
    ):
        find_layout(root).file("vggsound-avel40k.csv")
    write.h5(root / "old/train_order.h5", [0], "order")
    with pytest.raises(DataError, match=r"train_order\.h5 and .*train_order\.h5 differ"):
        find_layout(root).file("train_order.h5")


def test_two_folders_of_the_same_features_are_refused_by_both_names(root):
    (root / "again/AVVP/feature/audio/zip").mkdir(parents=True)
    with pytest.raises(DataError, match=r"features of avvp audio are in .* and in .*keep one"):
        find_layout(root).folder("avvp", "audio")


def test_lists_of_a_further_folder_come_first(root, tmp_path_factory, write):
    lists = tmp_path_factory.mktemp("lists")
    write.text(lists / "deep/vggsound-avel40k.csv", "category,video_id,split\n")
    layout = find_layout(root, lists)
    assert layout.file("vggsound-avel40k.csv") == lists / "deep/vggsound-avel40k.csv"
    assert layout.file("ucf2vggsound.csv") is not None


def test_links_are_followed_and_circles_end(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "data").symlink_to(root / "data")
    (root / "data/circle").symlink_to(root)
    layout = find_layout(elsewhere)
    assert layout.folder("avvp", "audio") == elsewhere / "data/AVVP/feature/audio/zip"


def test_what_is_missing_is_said_with_where_it_was_looked_for(root):
    layout = find_layout(root)
    with pytest.raises(DataError, match=rf"ave needs labels\.h5, which is nowhere below {root}"):
        layout.need("labels.h5", purpose="ave")
    with pytest.raises(DataError, match="there is no folder"):
        find_layout(root / "nowhere")
    with pytest.raises(DataError, match="there is no folder"):
        find_layout(root, root / "nowhere")
