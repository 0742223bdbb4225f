"""The data sets of a small official folder, against what was written into it."""

from __future__ import annotations

import multiprocessing
import pickle
import re

import numpy as np
import pytest
import torch

from cmg.data.labels import clip_classes
from cmg.errors import DataError, ModalityError
from cmg.official.collection import OfficialCollection, open_collection
from cmg.official.datasets.ave import read_ave
from cmg.official.datasets.avvp import read_avvp
from cmg.official.datasets.vggsound import read_vggsound40k, read_vggsound_list
from cmg.official.layout import find_layout


@pytest.fixture
def opened(root):
    return lambda name, **options: OfficialCollection(root, text="none", **options).open(name)


@pytest.fixture
def read(root):
    return OfficialCollection(root, text="none").read


def by_id(source) -> dict:
    return {row.id: row for row in source.rows}


def test_the_40k_set_has_the_rows_labels_and_splits_of_its_lists(opened):
    source = opened("vggsound40k")
    assert source.splits == {"train": 2, "val": 1, "test": 1}
    assert [row.id for row in source.split("train+test+val").rows] == [
        "Jda4WQN5uR0",
        "L1k7uKjomPc",
        "k5agnFosRKQ",
        "vvvvvvvvvvv",
    ]
    assert source.labels["category"].classes == (
        "playing flute",
        "playing violin, fiddle",
        "rope skipping",
    )
    assert source.split("train+test+val").label("category").tolist() == [2, 2, 0, 1]
    assert source.labels["ucf_vgg"].classes == ("rope skipping", "playing frisbee", "playing flute")
    assert source.split("train+test+val").label("ucf_vgg").tolist() == [0, -1, 2, -1]
    assert by_id(source)["k5agnFosRKQ"].meta == {"video_id": "k5agnFosRKQ", "ucf_split": "test"}
    assert by_id(source)["L1k7uKjomPc"].meta == {"video_id": "L1k7uKjomPc"}
    assert "segment" not in source.labels


def test_audio_is_padded_and_cut_and_clips_without_a_zip_are_counted(opened, read, write):
    source = opened("vggsound40k")
    audio, lengths = source.features("audio", np.arange(4))
    assert lengths.tolist() == [10] * 4
    assert audio.dtype == torch.float32
    short, long = write.features(1, 7)["audio"], write.features(2, 12)["audio"]
    np.testing.assert_array_equal(audio[1], short[[0, 1, 2, 3, 4, 5, 6, 6, 6, 6]])
    np.testing.assert_array_equal(audio[2], long[:10])
    video, lengths = source.features("video", np.array([3, 0]))
    assert lengths.tolist() == [0, 10]
    assert video[0].abs().sum() == 0
    np.testing.assert_array_equal(video[1], write.features(0)["video"])
    found = read("vggsound40k")
    assert found.absent == ["nofeature__"]
    assert found.remarks == [*source.about.remarks]
    assert found.remarks == [
        "vggsound40k: 1 of 5 clips have no features and were left out, the first is 'nofeature__'",
        "vggsound40k: 1 of 4 clips have no video, the first is 'k5agnFosRKQ'",
    ]


def test_labels_per_second_are_read_when_asked_for(opened, root, write):
    source = opened("vggsound40k", segments=True)
    assert source.labels["segment"].classes[-1] == "background"
    rows = by_id(source)
    assert rows["vvvvvvvvvvv"].labels["segment"] == [1, 1, 3, 3, 3, 3, 3, 3, 3, 1]
    assert rows["Jda4WQN5uR0"].labels["segment"] is None
    folder = root / "data/data/vggsound40k/label/zip"
    for shape in ((10,), (1, 10), (10, 1)):
        write.zip(folder / "vvvvvvvvvvv.zip", np.ones(shape))
        found = by_id(opened("vggsound40k", segments=True))["vvvvvvvvvvv"]
        assert found.labels["segment"] == [1] * 10
    for wrong in (np.ones(9), np.full(10, 2.0)):
        write.zip(folder / "vvvvvvvvvvv.zip", wrong)
        with pytest.raises(DataError, match=r"vvvvvvvvvvv\.zip: .* labels per second are 10"):
            opened("vggsound40k", segments=True)


def test_an_unknown_category_is_refused_by_file_and_clip(root, write):
    path = root / "lists"
    write.text(path / "vggsound2ucf.csv", "category,video_id,split\nrope skiping,abc,train\n")
    near = r"line 2: unknown category 'rope skiping' .did you mean 'rope skipping'"
    with pytest.raises(DataError, match=rf"vggsound2ucf\.csv, {near}"):
        read_vggsound40k(find_layout(root, path))
    (path / "vggsound2ucf.csv").unlink()
    write.text(path / "vggsound-avel40k.csv", "category,video_id,split\nrope skiping,abc,train\n")
    with pytest.raises(DataError, match=rf"vggsound-avel40k\.csv, {near}"):
        read_vggsound40k(find_layout(root, path))
    write.text(path / "ucf51checked.csv", "category,video_id\nYoyo,v_YoYo_g01_c01\n")
    with pytest.raises(DataError, match=r"ucf51checked\.csv, line 2: .*'Yoyo' .'YoYo' in another"):
        OfficialCollection(root, lists=path).open("ucf101all")


def test_every_category_needs_a_prompt(root):
    vectors = {"playing flute": np.zeros((10, 8), np.float32)}
    with pytest.raises(
        DataError, match="2 categories have no prompt, the first is 'playing violin"
    ):
        read_vggsound40k(find_layout(root), vectors)


def test_the_text_of_a_clip_is_the_prompt_of_its_category(root):
    names = ("playing flute", "playing violin, fiddle", "rope skipping")
    vectors = {n: np.full((10, 8), i, np.float32) for i, n in enumerate(names)}
    source = read_vggsound40k(find_layout(root), vectors).opened()
    text, lengths = source.features("text", np.arange(4))
    assert text[:, 0, 0].tolist() == [2.0, 1.0, 2.0, 0.0]
    assert text.shape == (4, 10, 8)
    assert lengths.tolist() == [10] * 4
    assert source.step_seconds == {"audio": 1.0, "video": 1.0, "text": None}


def test_a_longer_list_has_features_and_no_labels(root, write):
    folder = root / "data/vggsound81k"
    write.text(
        folder / "video_name_vggsound81k_checked.csv", "id\na_000001.mp4\nb.mp4\na_000001.mp4\n"
    )
    for name in ("a_000001", "b"):
        for modality, values in write.features(5).items():
            write.zip(folder / f"feature/{modality}/zip/{name}.zip", values)
    found = read_vggsound_list(find_layout(root), "vggsound81k")
    assert [(row.id, row.split) for row in found.rows] == [("a_000001", "train"), ("b", "train")]
    assert found.labels == {}
    assert found.remarks == [
        "vggsound81k: 1 rows repeat the id of an earlier row and were left out"
    ]


def test_ave_rows_are_those_of_the_annotations_split_by_the_orders(opened, read):
    source = opened("ave")
    assert [(row.id, row.split) for row in source.rows] == [
        ("ave-00000", "train"),
        ("ave-00001", "val"),
        ("ave-00002", "train"),
        ("ave-00003", "train"),
        ("ave-00004", "test"),
    ]
    assert source.rows[1].meta["video_id"] == source.rows[3].meta["video_id"] == "MH3m4AwEcRY"
    assert read("ave").absent == ["ave-00005"]
    assert source.labels["category"].classes == ("Church bell", "Bark", "Violin, fiddle")
    assert source.split("train").label("category").tolist() == [0, 0, 1]
    events = source.split("train+val+test").label("event")
    assert events.shape == (5, 10, 4)
    expected = torch.zeros(5, 10, 4)
    expected[0, :, 0] = 1
    expected[1, :, 3] = 1  # the empty event of row 2
    expected[2, 2:4, 1] = 1
    expected[3, 6:8, 0] = 1
    expected[4, 9, 2] = 1
    expected[..., 3] = (expected[..., :3].sum(-1) == 0).float()
    assert torch.equal(events, expected)
    assert clip_classes(source.split("train").label("event")).tolist() == [0, 0, 1]
    shared = source.split("train").label("shared")
    assert (shared[:2] == -1).all()
    assert shared[2, 2].tolist() == [1.0, 0.0, 0.0]
    assert shared[2, 4].tolist() == [0.0, 0.0, 1.0]


def test_ave_features_stay_in_the_dtype_of_their_file(opened):
    source = opened("ave")
    rng = np.random.default_rng(50)
    audio, video = rng.random((6, 10, 4)), rng.random((6, 10, 2, 2, 4))
    found, _ = source.features("audio", np.array([4, 0]))
    np.testing.assert_array_equal(found, audio[[4, 0]])
    assert found.dtype == torch.float64
    np.testing.assert_array_equal(source.features("video", np.array([2]))[0], video[[2]])


def test_ave_says_where_label_files_disagree(root, write):
    labels = np.zeros((6, 10, 4))
    write.h5(root / "data/AVE-ECCV18-master/data/labels.h5", labels)
    found = read_ave(find_layout(root)).remarks
    assert found[0].startswith("ave: labels.h5 differs from the annotations in 6 rows")


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("audio_feature.h5", np.zeros((5, 10, 4)), r"shape \(5, 10, 4\); expected \(6, 10"),
        ("visual_feature.h5", np.zeros((6, 8, 2, 2, 4)), r"shape \(6, 8, 2, 2, 4\)"),
        ("visual_feature.h5", np.zeros((6, 10, 4)), r"shape \(6, 10, 4\)"),
    ],
)
def test_ave_features_that_do_not_fit_the_annotations_are_refused(
    root, write, name, values, reason
):
    write.h5(root / "data/AVE-ECCV18-master/data" / name, values)
    with pytest.raises(DataError, match=rf"{name}: avadataset has {reason}"):
        read_ave(find_layout(root))


def test_ave_orders_of_another_split_are_refused(root, write):
    write.h5(root / "data/AVE-ECCV18-master/data/test_order.h5", np.array([1, 4]), "order")
    with pytest.raises(DataError, match=r"row 1 is in split .*order_match"):
        read_ave(find_layout(root))


def test_avvp_clips_have_the_labels_of_each_sense(opened, read):
    source = opened("avvp")
    rows = by_id(source)
    assert {name: row.split for name, row in rows.items()} == {
        "4YdbENYcIyE_23_33": "test",
        "KSRjje7GH44_60_70": "val",
        "IgN7v8nWmx8_30_40": "unlisted",
        "P7x4FV4lg_570_580": "unlisted",
        "BjCEufrlXm4_20_30": "train",
    }
    assert read("avvp").absent == ["7nSYwyaP4QE_50_60"]
    assert source.labels["audio"].classes == (
        "Speech",
        "Baby_cry_infant_cry",
        "Blender",
        "Violin_fiddle",
        "background",
    )
    two = rows["IgN7v8nWmx8_30_40"].labels
    assert two["audio"] == [[0, 3], [3], [3], [3], [3], [0], [0, 3], [0, 3], [0], [3]]
    assert two["visual"] is None
    assert rows["KSRjje7GH44_60_70"].labels["audio"] == [[0]] * 8 + [[2]] * 2
    assert rows["KSRjje7GH44_60_70"].labels["visual"] == [[2]] * 2 + [[4]] * 8  # 9-0 is empty
    assert rows["P7x4FV4lg_570_580"].labels["audio"] == [[4]] * 10
    assert rows["P7x4FV4lg_570_580"].meta["video_id"] == "P7x4FV4lg_5"
    assert rows["BjCEufrlXm4_20_30"].labels["weak"] == [[0, 2]] * 10
    assert rows["KSRjje7GH44_60_70"].labels["weak"] is None
    assert rows["4YdbENYcIyE_23_33"].labels["shared_audio"] == [[2]] * 2 + [[1]] * 2 + [[2]] * 6
    assert rows["IgN7v8nWmx8_30_40"].labels["shared_visual"] is None
    audio, _ = source.features("audio", np.array([0]))
    assert (audio.dtype, audio.shape) == (torch.float64, (1, 10, 4))
    assert torch.equal(audio[0, 8], audio[0, 9])


def test_avvp_events_of_an_unknown_category_are_refused(root, write):
    lists = root / "lists"
    head = "filename\tonset\toffset\tevent_labels\n"
    name = "AVVP_eval_audio_checked_combined.csv"
    write.text(lists / name, head + "4YdbENYcIyE_23_33\t0\t4\tBaby cry\n")
    with pytest.raises(DataError, match=r"line 2: unknown category 'Baby cry' .did you mean 'Baby"):
        read_avvp(find_layout(root, lists))
    (lists / name).unlink()
    write.text(lists / "AVVP_train.csv", "filename\tevent_labels\nBjCEufrlXm4_20_30\tSpech\n")
    with pytest.raises(DataError, match=r"AVVP_train.csv, line 2: .*'Spech' .did you mean"):
        read_avvp(find_layout(root, lists))


def test_ucf_clips_carry_the_names_of_vggsound_line_by_line(opened):
    source = opened("ucf101")
    assert source.splits == {"all": 2}
    assert source.labels["ucf_vgg"].classes == opened("vggsound40k").labels["ucf_vgg"].classes
    assert source.split("all").label("ucf_vgg").tolist() == [2, 0]
    video, lengths = source.features("video", np.arange(2))
    maps = np.random.default_rng(200).random((7, 2, 2, 4))
    np.testing.assert_array_equal(video[0], maps[[0, 1, 2, 3, 4, 5, 6, 6, 6, 6]])
    assert lengths.tolist() == [10, 10]
    with pytest.raises(ModalityError, match="unknown modality 'audio'"):
        source.features("audio", np.arange(2))
    everything = opened("ucf101all")
    assert list(everything.modalities) == ["audio", "video"]
    assert everything.split("all").label("category").tolist() == [2, 0]


CORRUPT = {
    "no zip": (b"not a zip", "no whole zip"),
    "another width": (np.zeros((10, 5), np.float32), r"shape \(10, 5\), where the other clips"),
    "one axis": (np.zeros(10, np.float32), r"shape \(10,\)"),
    "no step": (np.zeros((0, 4), np.float32), "shorter than one second"),
    "not finite": (np.full((10, 4), np.nan), "NaN or infinite"),
    "beyond float32": (np.full((10, 4), 1e39), "1e\\+39, beyond the float32 that models read"),
    "one number": (np.array(3.0), r"shape \(\)|shorter than one second"),
    "an object": ({"a": 1}, "holds a dict"),
}


@pytest.mark.parametrize("kind", CORRUPT)
def test_a_corrupt_clip_is_told_by_name_or_left_out_as_asked(opened, read, root, write, kind):
    content, reason = CORRUPT[kind]
    path = root / "data/data/vggsound40k/feature/audio/zip/L1k7uKjomPc.zip"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write.zip(path, content)
    source = opened("vggsound40k")
    said = rf"vggsound40k, clip 'L1k7uKjomPc', audio: .*{reason}"
    with pytest.raises(DataError, match=said):
        source.features("audio", np.arange(4))
    assert len(source.features("audio", np.array([0, 1, 3]))[0]) == 3
    found = read("vggsound40k").without_corrupt()
    assert [row.id for row in found.rows] == ["Jda4WQN5uR0", "vvvvvvvvvvv", "k5agnFosRKQ"]
    (told,) = (remark for remark in found.remarks if remark.startswith("left out: "))
    assert re.search(said, told)
    collection = OfficialCollection(root, text="none", on_error="skip")
    assert collection.open("vggsound40k").ids == [row.id for row in found.rows]
    assert told in collection.remarks


@pytest.mark.parametrize(
    ("clip", "name", "shape", "said"),
    [
        (2, "L1k7uKjomPc", (9, 2, 2, 4), "has 9 rows where exactly 10"),
        (0, "Jda4WQN5uR0", (10, 4, 2, 2), r"shape \(10, 4, 2, 2\)"),  # channels first
    ],
)
def test_video_of_another_shape_is_corrupt(opened, root, write, clip, name, shape, said):
    path = root / f"data/data/vggsound40k/feature/video/zip/{name}.zip"
    write.zip(path, np.zeros(shape, np.float32))
    source = opened("vggsound40k")
    assert source.modalities["video"].shape == (2, 2, 4)
    with pytest.raises(DataError, match=rf"clip '{name}', video: .*{said}"):
        source.features("video", np.array([clip]))


def test_a_set_of_which_nothing_can_be_read_is_refused(root):
    for path in (root / "data/UCF101/feature/video/zip").iterdir():
        path.write_bytes(b"PK")
    with pytest.raises(
        DataError, match=r"UCF101/feature/video/zip: .* 2 clips .*none that was tri"
    ):
        open_collection(root).open("ucf101")


def test_mixed_number_types_are_brought_to_that_of_the_most(opened, root, write):
    path = root / "data/AVVP/feature/audio/zip/KSRjje7GH44.zip"
    values = write.features(7)["audio"]
    write.zip(path, values)
    source = opened("avvp")
    audio, _ = source.features("audio", np.array([1]))
    assert audio.dtype == torch.float64
    np.testing.assert_array_equal(audio[0], values.astype(np.float64))


@pytest.mark.parametrize("name", ["vggsound40k", "ave", "avvp", "ucf101", "ucf101all"])
def test_a_source_can_be_sent_to_another_process(opened, name):
    source = opened(name)
    first = next(iter(source.modalities))
    before = source.features(first, np.arange(2))[0]  # opens files
    sent = pickle.loads(pickle.dumps(source))
    assert torch.equal(sent.features(first, np.arange(2))[0], before)
    assert sent.content_hash == source.content_hash


def test_h5_files_are_opened_anew_after_a_fork(read):
    """A handle that crossed a fork reads garbage or hangs."""
    source = read("ave")
    before = source.opened().features("audio", np.arange(2))[0]
    loader = source.loaders["audio"]
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(
        target=lambda: queue.put((loader.load(source.rows[0]).tolist(), loader.array._process))
    )
    child.start()
    values, process = queue.get()
    child.join()
    assert values == before[0].tolist()
    assert process == child.pid != loader.array._process


def test_the_hash_changes_with_lists_features_and_labels(opened, root, write):
    before = {name: opened(name).content_hash for name in ("vggsound40k", "avvp", "ave")}
    assert before == {name: opened(name).content_hash for name in before}
    path = root / "data/data/vggsound40k/feature/audio/zip/L1k7uKjomPc.zip"
    write.zip(path, np.zeros((10, 4), np.float32))
    write.text(root / "data/AVVP/data/AVVP_val_pd.csv", "filename\tevent_labels\nx\tSpeech\n")
    write.h5(root / "data/AVE_AVVP/ave_avvp_order.h5", np.array([3, 2]), "order")
    for name, was in before.items():
        assert opened(name).content_hash != was
