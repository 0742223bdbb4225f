"""The lists, dialect by dialect; the rows are of the real files."""

import numpy as np
import pytest

from cmg.data.labels import Event
from cmg.errors import ConfigError, DataError
from cmg.official.h5 import H5Array
from cmg.official.layout import find_layout
from cmg.official.lists.ave import (
    categories_of,
    read_annotations,
    read_order,
    read_shared_labels,
    rows_labeled_otherwise,
    true_classes,
    true_labels,
)
from cmg.official.lists.avvp import feature_key, read_events, read_weak
from cmg.official.lists.clips import read_avel, read_checked, read_shared_names, read_ucf
from cmg.official.open_set import ave_cut, ucf51_cut, ucf_vggsound_cut
from cmg.tables import read_lines


@pytest.fixture
def file(tmp_path, write):
    """Write a text file."""

    def do(text, name="list"):
        write.text(tmp_path / name, text)
        return tmp_path / name

    return do


def test_columns_of_the_40k_list_are_read_by_name(file):
    path = file(
        "\ufeffsplit,extra,video_id,category\r\n"
        "train,1,Jda4WQN5uR0,rope skipping\r\n\r\n"
        'test,2,k5agnFosRKQ,"playing violin, fiddle"'
    )
    first, second = read_avel(path)
    assert (first.category, first.video_id, first.split) == (
        "rope skipping",
        "Jda4WQN5uR0",
        "train",
    )
    assert (second.category, second.split) == ("playing violin, fiddle", "test")


def test_text_that_is_not_utf_8_and_missing_files_are_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"category,video_id,split\n\xff,b,train\n")
    with pytest.raises(DataError, match="line 2 is not UTF-8"):
        read_avel(tmp_path / "x")
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        read_avel(tmp_path / "nowhere")
    with pytest.raises(DataError, match="line 2 is not UTF-8"):
        read_lines(tmp_path / "x")


def test_names_of_the_longer_lists_lose_their_ending(file):
    path = file("id,other\n--U7joUcTCo_000000.mp4,1\nglLQrEijrKg_000300.mp4,2\n")
    assert read_checked(path) == ["--U7joUcTCo_000000", "glLQrEijrKg_000300"]
    with pytest.raises(DataError, match=r"line 2: 'abc' does not end in \.mp4"):
        read_checked(file("id\nabc\n"))
    with pytest.raises(DataError, match="no column 'id'"):
        read_checked(file("abc.mp4\n"))


def test_category_files_keep_commas_and_need_no_last_newline(file):
    assert read_lines(file(" playing violin, fiddle \r\n\r\nskiing")) == [
        "playing violin, fiddle",
        "skiing",
    ]
    with pytest.raises(DataError, match="lists 'a' twice"):
        read_lines(file("a\nb\na\n"))
    with pytest.raises(DataError, match="lists nothing"):
        read_lines(file("\n\n"))


ROWS = "Church bell&RUhOCu3LNXM&good&0&10\nFrying (food)&MH3m4AwEcRY&good&6&8\n"
HEADER = "Category&VideoID&Quality&StartTime&EndTime\n"


def test_annotations_count_alike_with_and_without_a_header(file):
    """A header taken for a row, or a row for a header, would shift every order file."""
    bare, headed = read_annotations(file(ROWS)), read_annotations(file(HEADER + ROWS, "b"))
    assert bare == headed
    assert [row.video_id for row in bare] == ["RUhOCu3LNXM", "MH3m4AwEcRY"]
    assert bare[1].event == Event(6, 8, "Frying (food)")
    assert categories_of(bare) == ["Church bell", "Frying (food)"]


def test_an_order_lists_rows_once_and_only_those_there_are(tmp_path, write):
    path = tmp_path / "order.h5"
    write.h5(path, np.array([[2], [0]]), "order")
    assert read_order(path, 3).tolist() == [2, 0]
    for values, reason in [
        (np.array([3]), "from 0 to 2"),
        (np.array([-1]), "from 0 to 2"),
        (np.array([0.5]), "whole numbers"),
        (np.array([1, 1]), "a row twice"),
    ]:
        write.h5(path, values, "order")
        with pytest.raises(DataError, match=rf"order\.h5.*{reason}"):
            read_order(path, 3)


def test_h5_files_that_are_others_are_refused_by_what_they_hold(tmp_path, write):
    path = tmp_path / "x.h5"
    write.h5(path, np.zeros(3), "order")
    with pytest.raises(DataError, match=r"x\.h5 has no data set 'avadataset'; it holds order"):
        H5Array(path, "avadataset").all()
    write.h5(path, np.array([b"a"], dtype="S1"))
    with pytest.raises(DataError, match=r"'avadataset' holds \|S1, not numbers"):
        H5Array(path, "avadataset").all()
    path.write_bytes(b"not an h5 file")
    with pytest.raises(DataError, match=r"x\.h5 is no readable HDF5 file"):
        H5Array(path, "avadataset").all()
    with pytest.raises(DataError, match=r"nowhere\.h5 is no readable HDF5 file"):
        H5Array(tmp_path / "nowhere.h5", "avadataset").all()


def test_label_files_are_compared_with_the_annotations_row_by_row(root, tmp_path, write):
    """Of the official labels.h5 rows are known that carry two classes."""
    rows = read_annotations(find_layout(root).need("Annotations.txt", purpose="test"))
    labels = np.zeros((6, 10, 4))
    for number, (column, start, end) in enumerate(
        [(0, 0, 10), (0, 6, 8), (0, 0, 0), (1, 2, 4), (2, 9, 10), (1, 0, 1)]
    ):
        labels[number, :, 3] = 1
        labels[number, start:end] = np.eye(4)[column]
    write.h5(tmp_path / "labels.h5", labels)
    assert rows_labeled_otherwise(tmp_path / "labels.h5", true_labels(rows, 10)) == []
    labels[1, 6, 2] = 1  # a second class
    labels[4, 9] = [0, 0, 0, 1]  # an event that is not there
    write.h5(tmp_path / "labels.h5", labels)
    assert rows_labeled_otherwise(tmp_path / "labels.h5", true_labels(rows, 10)) == [1, 4]
    clips = np.eye(4)[[0, 0, 0, 1, 2, 2]]
    write.h5(tmp_path / "mil.h5", clips)
    assert rows_labeled_otherwise(tmp_path / "mil.h5", true_classes(rows)) == [5]
    write.h5(tmp_path / "short.h5", labels[:5, :, :3])
    for truth in (true_labels(rows, 10), true_classes(rows)):
        with pytest.raises(DataError, match=r"short\.h5: avadataset has shape .*expected \(6, "):
            rows_labeled_otherwise(tmp_path / "short.h5", truth)


def test_combined_rows_and_rows_of_single_events_say_the_same(file):
    combined = read_events(
        file("filename\tonset\toffset\tevent_labels\nIgN7v8nWmx8_30_40\t0,5,0\t1,9,5\tA,A,B_(c)\n")
    ).events
    dense = read_events(
        file(
            "filename\tonset\toffset\tevent_labels\nIgN7v8nWmx8_30_40\t0\t1\tA\n"
            "IgN7v8nWmx8_30_40\t5\t9\tA\nIgN7v8nWmx8_30_40\t0\t5\tB_(c)\n"
        )
    ).events
    assert combined == dense
    assert combined == {
        "IgN7v8nWmx8_30_40": [Event(0, 1, "A"), Event(5, 9, "A"), Event(0, 5, "B_(c)")]
    }


AVEL, EVENTS = "category,video_id,split\n", "filename\tonset\toffset\tevent_labels\n"


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (
            read_avel,
            AVEL.replace(",", "\t") + "a\tb\ttrain\n",
            "line 1: no column 'category'.*commas",
        ),
        (
            read_avel,
            "rope skipping,Jda4WQN5uR0,train\n",
            r"line 1: no column 'category' in \['rope skip",
        ),
        (read_avel, "category,video_id\na,b\n", "no column 'split'"),
        (read_avel, AVEL + "a, fiddle,b,train\n", "line 2: 4 cells.*in double quotes"),
        (read_avel, AVEL + "a,b,valid\n", "line 2: split 'valid' is none of train, val"),
        (read_avel, "", "no column 'category' in "),
        (
            read_annotations,
            ROWS + "Bark,a,good,0,1\n",
            "line 3: 1 fields; expected Category&VideoID",
        ),
        (
            read_annotations,
            ROWS.replace("&6&", "&x&"),
            "line 2: start and end must be whole seconds",
        ),
        (read_annotations, HEADER, "lists nothing"),
        (read_annotations, ROWS + HEADER, "line 3: start and end"),
        (read_events, EVENTS.replace("\t", ",") + "a,0,1,B\n", "no column 'filename'.*tabs"),
        (read_events, EVENTS + "a\t0,1\t2\tB\n", "line 2: 2 onsets, 1 offsets"),
        (read_events, EVENTS + "a\tx\t2\tB\n", "line 2: onsets and offsets must"),
        (read_events, EVENTS + "a\t0.5\t2\tB\n", "line 2: .*whole seconds"),
        (read_events, "filename\tevent_labels\na\tB\n", "no column 'onset'"),
    ],
)
def test_a_list_in_another_dialect_is_refused(file, read, text, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(file(text))
    assert "list" in str(caught.value)


def test_weak_lists_name_categories_per_clip(file):
    path = file(
        "filename\tevent_labels\nBjCEufrlXm4_20_30\tSpeech,Dog\n7nSYwyaP4QE_50_60\tSinging\n"
    )
    assert read_weak(path) == {
        "BjCEufrlXm4_20_30": ["Speech", "Dog"],
        "7nSYwyaP4QE_50_60": ["Singing"],
    }


def test_the_key_of_features_is_the_first_eleven_characters():
    """Also where an id is shorter, so that the key takes in part of the time."""
    assert feature_key("4YdbENYcIyE_23_33") == "4YdbENYcIyE"
    assert feature_key("P7x4FV4lg_570_580") == "P7x4FV4lg_5"
    assert feature_key("19jWnmYnlD8_30_40") == feature_key("19jWnmYnlD8_30_400")


def test_ucf_lists_may_have_either_line_end_and_names_are_aligned_by_line(file):
    for end in ("\n", "\r\n"):
        rows = read_ucf(file(f"category,video_id{end}JumpRope,v_JumpRope_g02_c03{end}"))
        assert [(r.category, r.video_id) for r in rows] == [("JumpRope", "v_JumpRope_g02_c03")]
    names = read_shared_names(file("rope skipping\nskiing", "a"), file("JumpRope\nSkiing\n", "b"))
    assert list(zip(names.vggsound, names.ucf, strict=True)) == [
        ("rope skipping", "JumpRope"),
        ("skiing", "Skiing"),
    ]
    with pytest.raises(DataError, match=r"a has 1 lines and .*b 2"):
        read_shared_names(file("skiing", "a"), file("JumpRope\nSkiing", "b"))


def test_shared_labels_count_only_the_rows_of_their_order(root):
    layout = find_layout(root)
    files = [
        layout.need(name, purpose="test")
        for name in ("AVE_AVVP_Categories.txt", "ave_avvp_labels.h5", "ave_avvp_order.h5")
    ]
    names, labels = read_shared_labels(*files, rows=6, steps=10)
    assert names == ["Dog", "Baby_cry_infant_cry"]
    assert labels == {3: [[2], [2], [0], [0], [2], [2], [2], [2], [2], [2]]}
    with pytest.raises(DataError, match=r"shape \(6, 10, 3\); expected \(5, 10, 3\)"):
        read_shared_labels(*files, rows=5, steps=10)


def test_an_open_set_cut_is_the_training_rows_of_the_first_classes(root, write):
    layout = find_layout(root)
    cut = ave_cut(layout, 1)
    assert (cut.classes[: cut.known], cut.clips) == (("Church bell",), ("ave-00000", "ave-00002"))
    assert cut.origin.name == "train_order.h5"
    assert ave_cut(layout, 2).clips == ("ave-00000", "ave-00002", "ave-00003")
    write.h5(root / "OSCMG/train_order_1class.h5", np.array([2, 0]), "order")
    cut = ave_cut(find_layout(root), 1)
    assert (cut.clips, cut.origin.name) == (("ave-00002", "ave-00000"), "train_order_1class.h5")
    lines = (root / "data/AVE-ECCV18-master/data/Annotations.txt").read_text().splitlines()
    write.text(root / "OSCMG/trainSet_1.txt", f"{lines[2]}\n{lines[0]}\n")
    assert ave_cut(find_layout(root), 1) == cut
    write.text(root / "OSCMG/trainSet_1.txt", f"{lines[0]}\n{lines[2]}\n")
    with pytest.raises(DataError, match=r"trainSet_1\.txt: its lines are not the rows"):
        ave_cut(find_layout(root), 1)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [([0], "1 missing; 'ave-00002' is missing"), ([0, 2, 3], "'ave-00003' is a clip of another")],
)
def test_an_open_set_cut_that_does_not_fit_its_list_is_refused(root, write, rows, reason):
    write.h5(root / "OSCMG/train_order_1class.h5", np.array(rows), "order")
    with pytest.raises(DataError, match=rf"train_order_1class\.h5: .*{reason}"):
        ave_cut(find_layout(root), 1)


def test_the_number_of_known_classes_is_the_callers_not_the_lists(root, write):
    """Of the first 2 shared names the second has no clip; K is 2 all the same."""
    for side, clip in [("vggsound40k", "Jda4WQN5uR0"), ("ucf101", "v_JumpRope_g02_c03")]:
        cut = ucf_vggsound_cut(find_layout(root), 2, side)
        assert (cut.known, cut.clips) == (2, (clip,))
    assert cut.classes[:2] == ("JumpRope", "FrisbeeCatch")
    write.text(root / "OSCMG/ucf2vggsound_2.csv", "category,video_id\nJumpRope,other\n")
    with pytest.raises(DataError, match=r"ucf2vggsound_2\.csv: .*1 too many, 1 missing"):
        ucf_vggsound_cut(find_layout(root), 2, "ucf101")
    with pytest.raises(ConfigError, match="unknown side 'ucf'"):
        ucf_vggsound_cut(find_layout(root), 2, "ucf")


@pytest.mark.parametrize("known", [0, 3, 4, -1])
def test_some_classes_must_be_known_and_some_unknown(root, known):
    layout = find_layout(root)
    for cut in (ave_cut, ucf51_cut):
        with pytest.raises(ConfigError, match="known classes of 3: give 1 to 2"):
            cut(layout, known)


def test_the_cut_of_the_51_classes_agrees_with_its_names(root, write):
    assert ucf51_cut(find_layout(root), 2).clips == ("v_JumpRope_g02_c03",)
    write.text(root / "OSCMG/UCF51Categories_2.txt", "JumpRope\nPlayingFlute\n")
    with pytest.raises(DataError, match=r"UCF51Categories_2\.txt: not the first 2 lines"):
        ucf51_cut(find_layout(root), 2)
