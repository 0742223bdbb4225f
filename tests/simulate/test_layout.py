"""Files of the official layout, read back with nothing but csv, h5py, zipfile and pickle.

That files agree with one another is what the doctor says of this folder.
"""

import csv
import json
import os
import pickle
import re
import warnings
import zipfile

import h5py
import numpy as np
import pytest

YOUTUBE = re.compile(r"[A-Za-z0-9_-]{11}")
AVE = "AVE-ECCV18-master/data"
S4_ZIPS = {(split, "zip") for split in ("train", "val", "test")}


def commas(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def tabs(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    header, *rows = (line.split("\t") for line in lines)
    assert all(len(row) == len(header) for row in rows)
    return [dict(zip(header, row, strict=True)) for row in rows]


def load(path):
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if ".pkl" in name]
        assert len(members) == 1
        assert archive.infolist()[0].compress_type == zipfile.ZIP_DEFLATED
        content = archive.read(members[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old name of numpy's module
        return pickle.loads(content)


def stems(folder):
    return {path.name.removesuffix(".zip") for path in (folder / "zip").iterdir()}


def h5(path, key):
    with h5py.File(path) as file:
        assert list(file) == [key]
        return file[key][()]


@pytest.fixture(scope="module")
def root(tiny):
    return tiny.root


def test_the_folders_are_the_official_ones(root):
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_dir() and any(child.is_file() for child in path.iterdir())
        if "s4_data" not in path.parts and path.parts[-3:-1] not in S4_ZIPS
    }
    assert found == {
        "vggsound40k/data",
        "vggsound40k/feature/audio/zip",
        "vggsound40k/feature/video/zip",
        "vggsound40k/label/zip",
        "vggsound81k/data",
        "vggsound81k/feature/audio/zip",
        "vggsound81k/feature/video/zip",
        "feature_extractor/feature_extractor",
        AVE,
        "AVVP/data",
        "AVVP/feature/audio/zip",
        "AVVP/feature/video/zip",
        "AVE_AVVP",
        "UCF101/data",
        "UCF101/feature/video/zip",
        "UCF101ALL/data",
        "UCF101ALL/feature/audio/zip",
        "UCF101ALL/feature/video/zip",
        "OSCMG/data/AVE_OSCMG",
        "OSCMG/data/UCF_OSCMG",
        "OSCMG/data/UCF_VGG_OSCMG",
        "text-encoder",
        "AVSBench/data",
        "AVSBench/Single-source",
    }
    assert (root / "cnt.pkl").is_file()


def test_the_simulation_says_what_it_is(tiny):
    told = json.loads((tiny.root / "simulation.json").read_text())
    assert told == tiny.summary.facts
    assert (told["format"], told["version"], told["fraction"]) == ("cmg-simulation", 1, 0.001)
    assert told["widths"] == {"audio": 24, "video": 16, "text": 32}
    assert (told["map"], told["seed"], told["lists"]) == (2, 0, "own")
    clips = commas(tiny.root / "vggsound40k/data/vggsound-avel40k.csv")
    assert sum(told["counts"]["vggsound40k"].values()) == len(clips)


def test_every_vggsound_clip_has_features_and_segment_labels(root):
    clips = commas(root / "vggsound40k/data/vggsound-avel40k.csv")
    ids = {clip["video_id"] for clip in clips}
    assert len(ids) == len(clips)
    assert all(YOUTUBE.fullmatch(video_id) for video_id in ids)
    for video_id in sorted(ids)[:30]:
        audio = load(root / f"vggsound40k/feature/audio/zip/{video_id}.zip")
        video = load(root / f"vggsound40k/feature/video/zip/{video_id}.zip")
        label = load(root / f"vggsound40k/label/zip/{video_id}.zip")
        assert audio.shape[1:] == (24,)
        assert 8 <= len(audio) <= 10
        assert video.shape == (10, 2, 2, 16)
        assert audio.dtype == video.dtype == np.float32
        assert label.shape == (10,)
        assert set(label.tolist()) <= {0.0, 1.0}


def test_some_audio_clips_are_shorter_than_ten_seconds_and_ucf_clips_longer_too(root):
    def lengths(folder):
        return {len(load(path)) for path in sorted((root / folder / "zip").iterdir())}

    assert lengths("vggsound40k/feature/audio") == {8, 9, 10}
    assert lengths("vggsound40k/feature/video") == lengths("AVVP/feature/video") == {10}
    ucf = lengths("UCF101ALL/feature/video")
    assert min(ucf) < 10 < max(ucf)
    for path in sorted((root / "UCF101ALL/feature/video/zip").iterdir())[:20]:
        audio = root / "UCF101ALL/feature/audio/zip" / path.name
        assert len(load(path)) == len(load(audio))


def test_zips_are_written_as_the_official_files_were(root):
    path = next((root / "vggsound40k/feature/audio/zip").iterdir())
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.infolist()
        content = archive.read(member)
    assert member.filename == path.name.replace(".zip", ".pkl")
    assert member.date_time == (1980, 1, 1, 0, 0, 0)
    assert content[:2] == b"\x80\x03"
    assert b"cnumpy.core.multiarray\n_reconstruct\n" in content


def test_the_vggsound_lists_are_in_their_dialects(root):
    data, extractor = root / "vggsound40k/data", root / "feature_extractor/feature_extractor"
    text = (data / "vggsound-avel40k.csv").read_bytes()
    assert text.startswith(b"category,video_id,split\n")
    assert text.endswith(b"\n")
    assert b"\r" not in text
    for name in ("vggsound-avel40k.csv", "vggsoundCategories2Prompts.csv"):
        assert (data / name).read_bytes() == (extractor / name).read_bytes()
    categories = (extractor / "VggsoundAVEL40kCategories.txt").read_text().splitlines()
    assert len(categories) == len(set(categories)) == 141
    prompts = commas(data / "vggsoundCategories2Prompts.csv")
    assert [row["label"] for row in prompts] == categories
    for row in prompts:
        words = re.findall(r"[a-z0-9-]+", row["label"])
        assert set(words) <= set(row["prompt"].split())
        assert 8 <= len(row["prompt"].split()) <= 16
    named = commas(data / "video_name_vggsound40k_checked.csv")
    clips = commas(data / "vggsound-avel40k.csv")
    assert [row["id"] for row in named] == [f"{clip['video_id']}.mp4" for clip in clips]


def test_the_81k_list_goes_beyond_the_40k_list_and_has_its_own_features(root):
    ids = [
        row["id"] for row in commas(root / "vggsound81k/data/video_name_vggsound81k_checked.csv")
    ]
    assert all(name.endswith(".mp4") for name in ids)
    stems_40k = stems(root / "vggsound40k/feature/video")
    listed = {name[:-4] for name in ids}
    assert stems_40k < listed
    for modality in ("audio", "video"):
        assert stems(root / f"vggsound81k/feature/{modality}") == listed
        shared = f"feature/{modality}/zip/{min(stems_40k)}.zip"
        assert os.path.samefile(root / "vggsound40k" / shared, root / "vggsound81k" / shared)


def test_ave_files_have_their_shapes_and_types(root):
    folder = root / AVE
    lines = (folder / "Annotations.txt").read_text().splitlines()
    rows = [line.split("&") for line in lines]
    count = len(rows)
    assert all(len(row) == 5 and row[2] == "good" for row in rows)
    names = list(dict.fromkeys(row[0] for row in rows))
    assert len(names) == 28
    assert names[:3] == ["Church bell", "Male speech, man speaking", "Bark"]

    labels, level = (
        h5(folder / "labels.h5", "avadataset"),
        h5(folder / "mil_labels.h5", "avadataset"),
    )
    assert labels.shape == (count, 10, 29)
    assert level.shape == (count, 29)
    assert level.dtype == np.float32
    audio = h5(folder / "audio_feature.h5", "avadataset")
    video = h5(folder / "visual_feature.h5", "avadataset")
    assert audio.shape == (count, 10, 24)
    assert video.shape == (count, 10, 2, 2, 16)
    for array in (audio, video):
        assert array.dtype == np.float64
        assert (array == array.astype(np.float32)).all()
        assert (array.reshape(count, -1).max(axis=1) > 0).all()


def test_ave_to_avvp_files_agree_with_ave_and_avvp(root):
    shared = (root / "AVE_AVVP/AVE_AVVP_Categories.txt").read_text().split()
    assert len(shared) == 12
    labels = h5(root / "AVE_AVVP/ave_avvp_labels.h5", "avadataset")
    assert labels.shape[1:] == (10, 13)
    assert labels.dtype == np.float32


def test_avvp_lists_agree_with_each_other(root):
    data = root / "AVVP/data"
    categories = (data / "AVVP_Categories.txt").read_text().split()
    assert len(categories) == 25
    splits = {s: tabs(data / f"AVVP_{s}.csv") for s in ("train", "val_pd", "test_pd")}
    full = tabs(data / "AVVP_dataset_full.csv")
    assert full == [*splits["train"], *splits["val_pd"], *splits["test_pd"]]
    assert list(full[0]) == ["filename", "event_labels"]
    names = [row["filename"] for row in full]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w-]{11}_\d+_\d+", name) for name in names)


def test_ucf_lists_features_and_cuts_agree(root):
    folder, open_set = root / "feature_extractor/feature_extractor", root / "OSCMG/data"
    ucf, clips = commas(folder / "ucf2vggsound.csv"), commas(folder / "vggsound2ucf.csv")
    sides = {}
    for name in ("UCF101sameVGGSound", "VGGSoundsameUCF101"):
        text = (folder / f"{name}.txt").read_text()
        assert not text.endswith("\n")
        sides[name] = text.split("\n")
        assert len(sides[name]) == 16
    pairs = dict(zip(sides["UCF101sameVGGSound"], sides["VGGSoundsameUCF101"], strict=True))
    assert (pairs["PlayingViolin"], pairs["Typing"]) == ("playing violin", "typing on typewriter")
    assert {row["category"] for row in ucf} == set(pairs) - {"Bowling"}
    assert {row["category"] for row in clips} == set(pairs.values()) - {"playing frisbee"}
    in_40k = commas(folder / "vggsound-avel40k.csv")
    assert [row for row in in_40k if row in clips] == clips
    assert all(re.fullmatch(r"v_[A-Za-z]+_g\d\d_c\d\d", row["video_id"]) for row in ucf)
    for name in ("ucf2vggsound.csv", "vggsound2ucf.csv"):
        assert (root / "UCF101/data" / name).read_bytes() == (folder / name).read_bytes()

    names = (open_set / "UCF_OSCMG/UCF51Categories.txt").read_text().split()
    every = open_set / "UCF_OSCMG/ucf51checked.csv"
    assert len(names) == 51
    assert every.read_bytes().startswith(b"category,video_id\r\n")
    assert every.read_bytes() == (root / "UCF101ALL/data/ucf51checked.csv").read_bytes()


def test_the_count_file_maps_some_words_of_the_vocabulary(root):
    counts = pickle.loads((root / "cnt.pkl").read_bytes())
    assert all(type(key) is int and type(value) is int for key, value in counts.items())
    assert list(counts.values()) == list(range(len(counts)))
    vocabulary = (root / "text-encoder/vocab.txt").read_text().splitlines()
    words = {vocabulary[key] for key in counts if key}
    assert not any(word.startswith(("##", "[")) for word in words)
    prompts = commas(root / "vggsound40k/data/vggsoundCategories2Prompts.csv")
    survivors = [[w for w in row["prompt"].split() if w in words] for row in prompts]
    assert min(map(len, survivors)) >= 1
    labels = {word for row in prompts for word in row["label"].split()}
    assert 0.1 < len(labels & words) / len(labels) < 0.9


def test_the_text_encoder_loads_in_transformers_and_splits_long_words(root):
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(root / "text-encoder")
    model = transformers.AutoModel.from_pretrained(root / "text-encoder")
    assert type(model).__name__ == "BertModel"
    tokens = tokenizer.tokenize("Playing acoustic guitar and a helicopter")
    assert tokens == ["playing", "acoustic", "guitar", "and", "a", "helic", "##opter"]
    read = tokenizer(["playing violin"], return_tensors="pt")
    assert model(**read).last_hidden_state.shape == (1, 4, 32)
    sentences = [
        row["prompt"] for row in commas(root / "vggsound40k/data/vggsoundCategories2Prompts.csv")
    ]
    unknown = tokenizer.unk_token_id
    assert all(unknown not in ids for ids in tokenizer(sentences)["input_ids"])
