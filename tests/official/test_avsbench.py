"""AVSBench-S4, written by hand: its list, its frames and masks, its audio and text."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from cmg.errors import DataError
from cmg.official.collection import open_collection
from cmg.official.datasets.avsbench import avsbench_frames
from cmg.official.layout import find_layout
from cmg.official.lists.avsbench import CATEGORIES, S4Clip, read_s4

ROWS = [
    "aaa,3,dog_barking,train",
    "bbb,0.5,horse_clip-clop,val",
    "--c_1.x,0,helicopter,test",
]
S4 = "AVS/Single-source"


def put(path, size=8, mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (size, size)).save(path)


@pytest.fixture
def s4(tmp_path, write):
    """Three clips, and the audio of two of them."""
    root = tmp_path / "s4"
    write.text(root / S4 / "s4_meta_data.csv", "\n".join(["video,onset,category,split", *ROWS, ""]))
    for row in ROWS:
        name, _, category, split = row.split(",")
        for step in range(1, 6):
            place = f"{split}/{category}/{name}/{name}_{step}.png"
            put(root / S4 / "s4_data/visual_frames" / place)
            if step == 1 or split != "train":
                put(root / S4 / "s4_data/gt_masks" / place, mode="1")
    for name, place in (("aaa", "train/zip/dog_barking"), ("--c_1.x", "test/zip/helicopter")):
        audio = write.features(1, steps=7 if name == "aaa" else 3)["audio"]
        write.zip(root / f"AVSBench/feature/audio/{place}/{name}.zip", audio)
    return root


def clip_folder(root, kind="visual_frames", clip=0):
    name, _, category, split = ROWS[clip].split(",")
    return root / S4 / "s4_data" / kind / split / category / name


def test_columns_are_found_by_place_or_by_name(tmp_path):
    path = tmp_path / "s4.csv"
    path.write_text("\n".join(["anything,else,category,split", *ROWS]))
    wanted = [
        S4Clip("aaa", 3.0, "dog_barking", "train"),
        S4Clip("bbb", 0.5, "horse_clip-clop", "val"),
        S4Clip("--c_1.x", 0.0, "helicopter", "test"),
    ]
    assert read_s4(path) == wanted
    turned = [",".join(row.split(",")[::-1]) for row in ROWS]
    path.write_text("\r\n".join(["split,category,start,name", *turned, ""]))
    assert read_s4(path) == wanted
    assert len(set(CATEGORIES)) == 23


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("ddd,1,dog_bark,train", "unknown category 'dog_bark' (did you mean 'dog_barking'?)"),
        ("ddd,1,dog_barking,valid", "split 'valid' is none of train, val, test"),
        ("aaa,1,helicopter,test", "the id 'aaa' is in line 2 already"),
        ("../aaa,1,helicopter,test", "'../aaa' cannot be the name of a clip"),
        ("/etc/passwd,1,helicopter,test", "cannot be the name of a clip"),
        ("..,1,helicopter,test", "cannot be the name of a clip"),
        ("a\\b,1,helicopter,test", "cannot be the name of a clip"),
        (",1,helicopter,test", "'' cannot be the name of a clip"),
        ("ddd,soon,helicopter,test", "start 'soon' is no time in seconds"),
        ("ddd,-1,helicopter,test", "start '-1' is no time"),
        ("ddd,1,helicopter", "3 cells where the header has 4"),
    ],
)
def test_a_row_that_cannot_be_right_is_named_with_file_and_line(tmp_path, row, told):
    path = tmp_path / "s4.csv"
    path.write_text("\n".join(["name,start,category,split", *ROWS, row]))
    with pytest.raises(DataError) as error:
        read_s4(path)
    assert f"{path}, line 5" in str(error.value)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("name,start,category", "3 columns"),
        ("zzz,1,helicopter,test", "line 1 is a clip; put a header above it"),
        ("category,name,start,split", None),
        ("category,where,start,split", "are in another order; name them"),
    ],
)
def test_a_header_is_needed_and_may_be_in_any_order_if_it_names_all(tmp_path, header, told):
    path = tmp_path / "s4.csv"
    cells = dict(zip(("name", "start", "category", "split"), ROWS[0].split(","), strict=True))
    row = [cells.get(name, "aaa") for name in header.split(",")]
    path.write_text(f"{header}\n{','.join(row)}\n")
    if told is None:
        assert read_s4(path) == [S4Clip("aaa", 3.0, "dog_barking", "train")]
    else:
        with pytest.raises(DataError, match=told):
            read_s4(path)


def test_frames_and_masks_are_found_wherever_they_lie(s4):
    remarks = []
    clips = avsbench_frames(find_layout(s4), remarks)
    assert [(c.id, c.split, c.category) for c in clips] == [
        ("aaa", "train", "dog_barking"),
        ("bbb", "val", "horse_clip-clop"),
        ("--c_1.x", "test", "helicopter"),
    ]
    assert [len(c.frames) for c in clips] == [5, 5, 5]
    assert [len(c.masks) for c in clips] == [1, 5, 5]
    assert [path.name for path in clips[2].frames] == [f"--c_1.x_{i}.png" for i in range(1, 6)]
    assert clips[1].masks[4] == clip_folder(s4, "gt_masks", 1) / "bbb_5.png"
    assert remarks == []
    shutil.move(s4 / S4 / "s4_data/gt_masks", s4 / "elsewhere" / "gt_masks")
    assert avsbench_frames(find_layout(s4))[0].masks[0].is_file()


def test_folders_of_pictures_are_not_entered_and_the_other_part_is_not_taken_for_this(s4, write):
    write.text(clip_folder(s4) / "deep.csv", "x")
    write.text(s4 / S4 / "s4_data/audio_log_mel/train/dog_barking/aaa.pkl", "x")
    put(s4 / "AVS/Multi-sources/ms3_data/visual_frames/zzz/zzz_1.png")
    put(s4 / "AVS/Multi-sources/ms3_data/gt_masks/zzz/zzz_1.png")
    layout = find_layout(s4)
    assert "deep.csv" not in layout.files
    assert "aaa.pkl" not in layout.files
    assert len(avsbench_frames(layout)) == 3
    put(s4 / "copy/visual_frames/train/dog_barking/aaa/aaa_1.png")
    with pytest.raises(DataError, match=r"visual_frames of avsbench are in .* keep one of the two"):
        avsbench_frames(find_layout(s4))


def test_clips_without_any_frame_are_left_out_with_a_remark(s4):
    shutil.rmtree(clip_folder(s4))
    remarks = []
    assert [c.id for c in avsbench_frames(find_layout(s4), remarks)] == ["bbb", "--c_1.x"]
    assert remarks == [
        "avsbench: 1 of 3 clips have no frames and were left out, the first is 'aaa'"
    ]
    for clip in (1, 2):
        shutil.rmtree(clip_folder(s4, clip=clip))
    with pytest.raises(DataError, match=r"no clip of .*s4_meta_data.csv has frames there"):
        avsbench_frames(find_layout(s4))


def test_a_missing_or_a_further_picture_is_an_error_that_names_it(s4):
    def told():
        with pytest.raises(DataError) as error:
            avsbench_frames(find_layout(s4))
        return str(error.value)

    frame = clip_folder(s4) / "aaa_3.png"
    frame.rename(s4 / "kept.png")
    assert f"{frame} is missing: clip 'aaa' (train) has 4 of 5 frames; unpack it again" in told()
    put(frame)
    put(clip_folder(s4) / "aaa_6.png")
    assert "aaa_6.png: clip 'aaa' has 6 frames, where 5 are wanted" in told()
    (clip_folder(s4) / "aaa_6.png").unlink()
    mask = clip_folder(s4, "gt_masks", 1) / "bbb_2.png"
    mask.unlink()
    assert f"{mask} is missing: clip 'bbb' (val) has 4 of 5 masks" in told()
    put(mask, mode="1")
    shutil.rmtree(clip_folder(s4, "gt_masks"))
    assert "aaa_1.png is missing: clip 'aaa' (train) has 0 of 1 masks" in told()
    shutil.rmtree(s4 / S4 / "s4_data/gt_masks")
    assert "avsbench needs the folder gt_masks" in told()
    assert "github.com/OpenNLPLab/AVSBench" in told()


def test_audio_of_any_length_is_brought_to_five_steps(s4):
    collection = open_collection(s4, text="none")
    assert collection.names == ["avsbench"]
    source = collection.open("avsbench")
    assert [row.id for row in source.rows] == ["aaa", "--c_1.x"]
    assert source.labels["category"].classes == CATEGORIES
    audio, lengths = source.features("audio", np.array([0, 1]))
    assert lengths.tolist() == [5, 5]
    assert audio.shape == (2, 5, 4)
    assert (audio[1, 3:] == audio[1, 2]).all()  # Three rows: the last is repeated.
    assert (audio[0, :3] == audio[1, :3]).all()
    assert "1 of 3 clips have no features" in collection.remarks[-1]


def test_zips_may_lie_in_one_folder_but_not_twice(s4, write):
    flat = s4 / "AVSBench/feature/audio/zip"
    flat.mkdir(parents=True)
    for path in list((s4 / "AVSBench").rglob("*.zip")):
        path.rename(flat / path.name)
    assert len(open_collection(s4, text="none").open("avsbench").rows) == 2
    write.zip(s4 / "AVSBench/feature/audio/val/zip/helicopter/aaa.zip", np.ones((5, 4)))
    with pytest.raises(DataError, match=r"clip 'aaa' is in .* and in .*; keep one of the two"):
        open_collection(s4, text="none").open("avsbench")


def test_the_authors_download_which_lacks_the_list_is_read_without_avsbench(root, s4):
    shutil.move(s4 / "AVSBench", root / "AVSBench")
    shutil.rmtree(s4)
    collection = open_collection(root, text="none")
    assert "avsbench" not in collection.names
    assert "vggsound40k" in collection.names
    assert "no s4_meta_data.csv" in collection.remarks[0]
    with pytest.raises(DataError, match=r"avsbench needs s4_meta_data\.csv"):
        collection.open("avsbench")


def test_a_simulated_folder_has_audio_text_and_frames_of_the_same_clips(simulated):
    source = open_collection(simulated).open("avsbench")
    clips = avsbench_frames(find_layout(simulated))
    assert [row.id for row in source.rows] == [clip.id for clip in clips]
    assert [row.split for row in source.rows] == [clip.split for clip in clips]
    assert source.splits == {"train": 46, "val": 46, "test": 46}
    names = [CATEGORIES[row.labels["category"]] for row in source.rows]
    assert names == [clip.category for clip in clips]
    assert source.modalities["text"].kind == "tokens"
    text, lengths = source.features("text", np.arange(len(clips)))
    assert text.shape == (138, 10, 16)
    assert set(lengths.tolist()) == {10}
    by_category = {}
    for name, vectors in zip(names, text, strict=True):
        assert (by_category.setdefault(name, vectors) == vectors).all()
        assert vectors.abs().sum() > 0
    assert len({vectors.numpy().tobytes() for vectors in by_category.values()}) == 23


def test_categories_without_a_prompt_are_named(simulated, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(simulated / "AVSBench", root / "AVSBench")
    for name in ("cnt.pkl", "text-encoder"):
        (root / name).symlink_to(simulated / name)
    prompts = root / "AVSBench/data/AVSBenchCategories2Prompts.csv"
    prompts.write_text(prompts.read_text().replace("horse_clip-clop,", "horse clip-clop,"))
    with pytest.raises(DataError, match=r"no prompt, the first is 'horse_clip-clop' .did you mean"):
        open_collection(root).open("avsbench")
    prompts.unlink()
    collection = open_collection(root)
    assert set(collection.open("avsbench").modalities) == {"audio"}
    assert "avsbench without text: no AVSBenchCategories2Prompts.csv" in collection.remarks[0]


def test_it_is_imported_like_the_others(simulated, tmp_path, cmg):
    out = tmp_path / "store"
    told = cmg(
        "data", "import", simulated, "--out", out, "--only", "avsbench", "--workers", 1, "--json"
    )
    assert told.code == 0, told.err
    assert json.loads(told.out)["stores"]["avsbench"]["clips"] == 138
    store, source = (open_collection(where).open("avsbench") for where in (out, simulated))
    clips = np.arange(138)
    for modality in ("audio", "text"):
        assert (store.features(modality, clips)[0] == source.features(modality, clips)[0]).all()
    assert [row.id for row in store.rows] == [row.id for row in source.rows]
