"""From a folder of files to clips."""

import json
import os
from collections import Counter

import pytest
from pydantic import ValidationError

from cmg.errors import DataError
from cmg.extract.media_files import named_clips
from cmg.extract.reading import text_of
from cmg.extract.scan import ScanOptions, find_clips, scan
from cmg.extract.scan_options import share_of


@pytest.fixture
def folder(tmp_path):
    """Make files of these names; a text is the content."""

    def make(*names, **texts):
        root = tmp_path / "clips"
        root.mkdir(exist_ok=True)
        for name in (*names, *(f"{stem}.txt" for stem in texts)):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
        for stem, text in texts.items():
            (root / f"{stem}.txt").write_text(text, encoding="utf-8")
        return root

    return make


def files_of(clips, root):
    return {c.id: {m: str(p.relative_to(root)) for m, p in c.files.items()} for c in clips}


def test_files_of_one_name_are_one_clip(folder):
    root = folder("b.mp4", "a/x.mkv", "a/x.wav", "pic.PNG", "pic.ogg", "only.flac", "still.jpg")
    assert files_of(scan(root), root) == {
        "a/x": {"video": "a/x.mkv", "audio": "a/x.wav"},
        "b": {"video": "b.mp4", "audio": "b.mp4"},
        "only": {"audio": "only.flac"},
        "pic": {"video": "pic.PNG", "audio": "pic.ogg"},
        "still": {"video": "still.jpg"},
    }
    assert [clip.id for clip in scan(root)] == ["a/x", "b", "only", "pic", "still"]
    assert scan(root)[0].meta == {"files": {"video": "a/x.mkv", "audio": "a/x.wav"}}


def test_a_text_of_the_same_name_is_the_caption(folder):
    root = folder("a.mp4", "b.mp4", a="\ufeffA dog\n barks  loudly.\n", b=" \n")
    first, second = scan(root)
    assert first.texts == {"text": "A dog barks loudly."}
    assert second.texts == {}


def test_names_are_texts_where_asked_and_where_there_is_no_caption(folder):
    root = folder("dog_bark-03.wav", "b.x.wav", "007.wav", **{"b.x": "written"})
    texts = {c.id: dict(c.texts) for c in scan(root, ScanOptions(text_from_names=True))}
    assert texts == {"dog_bark-03": {"text": "dog bark"}, "b.x": {"text": "written"}, "007": {}}


def test_other_files_are_counted_not_fatal(folder):
    root = folder(
        "a.mp4", "a.jpg", "notes.pdf", "more.pdf", "README", ".hidden.mp4", ".git/x.mp4", "o.txt"
    )
    found = find_clips(root)
    assert [clip.id for clip in found.clips] == ["a"]
    assert found.others == Counter({
        ".pdf": 2,
        "no suffix": 1,
        "hidden file": 1,
        ".txt without media of that name": 1,
        "picture beside a video of that name": 1,
    })  # fmt: skip


def test_two_files_that_claim_one_place_are_named(folder):
    root = folder("a.mp4", "a.mkv")
    with pytest.raises(DataError, match=r"a\.mkv and .*a\.mp4 have one name.*the video of .*'a'"):
        scan(root)


def test_an_empty_folder_and_one_without_media_are_refused(folder, tmp_path):
    root = folder("a.pdf", "b.pdf")
    with pytest.raises(DataError, match=r"holds no video.*\(it holds 2 \.pdf\)"):
        scan(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="it holds nothing"):
        scan(tmp_path / "empty")
    with pytest.raises(DataError, match="neither a folder nor"):
        scan(tmp_path / "none")


def test_folders_named_train_val_and_test_are_the_splits(folder):
    root = folder("train/dog/a.wav", "train/cat/b.wav", "test/dog/c.wav", "x/val/dog/d.wav")
    clips = {c.id: c for c in scan(root, ScanOptions(folder_label="category"))}
    assert {id_: c.split for id_, c in clips.items()} == {
        "train/dog/a": "train",
        "train/cat/b": "train",
        "test/dog/c": "test",
        "x/val/dog/d": "val",
    }
    assert clips["train/cat/b"].labels == {"category": "cat"}
    assert clips["test/dog/c"].labels == {"category": "dog"}


def test_a_file_outside_of_the_splits_is_named(folder):
    root = folder("train/a.wav", "b.wav")
    with pytest.raises(DataError, match="'b' is in no folder of a split"):
        scan(root)
    assert len(scan(root, ScanOptions(split="shares"))) == 2


def test_a_file_in_two_splits_is_named(folder):
    with pytest.raises(DataError, match="'train/test/a' is in folders of train and test"):
        scan(folder("train/test/a.wav"))


def test_labels_are_the_first_folder_and_unknown_outside_of_folders(folder):
    root = folder("dog/day1/a.wav", "cat/b.wav", "c.wav")
    labels = {c.id: c.labels for c in scan(root, ScanOptions(folder_label="animal"))}
    assert labels == {
        "dog/day1/a": {"animal": "dog"},
        "cat/b": {"animal": "cat"},
        "c": {"animal": None},
    }
    assert scan(root)[0].labels == {}


def test_shares_are_by_a_hash_that_other_clips_do_not_change(folder):
    root = folder(*(f"{n}.wav" for n in range(400)))
    splits = {c.id: c.split for c in scan(root)}
    counts = Counter(splits.values())
    assert set(counts) == {"train", "test"}
    assert 0.74 < counts["train"] / 400 < 0.86
    folder("more.wav")
    assert {c.id: c.split for c in scan(root) if c.id != "more"} == splits
    assert share_of("a", {"train": 0.8, "test": 0.2}) == "train"  # SHA-256 ca978112...: 0.791
    assert share_of("a", {"train": 0.79, "test": 0.21}) == "test"
    three = ScanOptions(shares={"train": 0.5, "val": 0.25, "test": 0.25})
    assert {c.split for c in scan(root, three)} == {"train", "val", "test"}


@pytest.mark.parametrize("shares", [{"train": 0.5}, {"train": 1.5, "test": -0.5}, {"a b": 1.0}])
def test_shares_must_be_a_whole(shares):
    with pytest.raises(ValidationError):
        ScanOptions(shares=shares)


def test_a_folder_of_pictures_is_a_clip_where_asked(folder):
    root = folder(
        "walk/1.png", "walk/2.png", "walk/list.txt", "mixed/1.png", "mixed/a.mp4", "p.png"
    )
    options = ScanOptions(picture_folders=True, picture_fps=5)
    clips = {c.id: c for c in scan(root, options)}
    assert files_of(clips.values(), root) == {
        "walk": {"video": "walk"},
        "mixed/1": {"video": "mixed/1.png"},
        "mixed/a": {"video": "mixed/a.mp4", "audio": "mixed/a.mp4"},
        "p": {"video": "p.png"},
    }
    assert clips["walk"].meta["picture_fps"] == 5
    assert "picture_fps" not in clips["p"].meta
    assert [c.id for c in scan(root)] == ["mixed/1", "mixed/a", "p", "walk/1", "walk/2"]


def test_a_sound_and_a_caption_of_its_name_go_with_a_folder_of_pictures(folder):
    root = folder("walk/1.png", "walk.wav", walk="A walk.")
    (clip,) = scan(root, ScanOptions(picture_folders=True))
    assert {m: p.name for m, p in clip.files.items()} == {"video": "walk", "audio": "walk.wav"}
    assert clip.texts == {"text": "A walk."}


def test_links_are_read_wherever_they_lead_but_folders_are_not_entered(folder, tmp_path):
    root = folder("a.wav")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.wav").write_bytes(b"x")
    (root / "b.wav").symlink_to(outside / "b.wav")
    (root / "gone.wav").symlink_to(outside / "gone.wav")
    (root / "loop").symlink_to(root)
    found = find_clips(root)
    assert [c.id for c in found.clips] == ["a", "b", "gone"]  # decoding names what is gone
    assert found.others == {"linked folder": 1}


def test_names_that_are_not_utf8_have_ids_that_are(folder):
    root = folder("a.wav")
    os.rename(os.fsencode(root / "a.wav"), os.fsencode(root) + b"/caf\xe9.wav")
    (clip,) = scan(root, ScanOptions(text_from_names=True))
    assert clip.id == r"caf\xe9"
    assert clip.files["audio"].read_bytes() == b"x"
    json.dumps([clip.id, clip.meta, dict(clip.texts)], ensure_ascii=False).encode()


def latin(path):
    path.write_bytes(b"caf\xe9")


def gone(path):
    path.unlink()
    path.symlink_to("nothing")


def huge(path):
    with path.open("wb") as stream:
        stream.truncate(10**12)  # nothing is written


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (latin, r"a\.txt, line 1 is not UTF-8 \(byte 3: 0xe9\); save it as UTF-8"),
        (gone, r"a\.txt cannot be read: No such file"),
        (huge, r"a\.txt has 1000000\.0 MB, a text at most 1"),
    ],
)
def test_a_caption_that_cannot_be_read_is_the_fault_of_its_clip_alone(folder, spoil, why):
    root = folder("a.wav", "b.wav", a="a dog", b="a cat")
    spoil(root / "a.txt")
    for options in (None, ScanOptions(text_from_names=True)):
        bad, good = scan(root, options)
        assert (bad.id, dict(bad.texts), good.texts, good.unread) == (
            "a",
            {},
            {"text": "a cat"},
            "",
        )
        with pytest.raises(DataError, match=why):
            text_of(bad, "text")
    listed = named_clips([root / "a.wav", root / "b.wav"])
    assert [clip.unread for clip in listed] == [bad.unread, ""]
    assert named_clips([root / "a.wav"], text="mine")[0].unread == ""


def test_captions_with_a_mark_windows_line_ends_or_nothing_in_them(folder):
    root = folder("a.wav", "b.wav", "c.wav", "c.txt", "d.wav")
    (root / "a.txt").write_bytes(b"\xef\xbb\xbfa dog\r\nbarks\r\n")
    (root / "b.txt").write_bytes(b"\xef\xbb\xbf")
    (root / "c.txt").write_bytes(b"")
    (root / "d.txt").mkdir()
    for clips in (scan(root), named_clips(sorted(root.glob("*.wav")))):
        assert [dict(clip.texts) for clip in clips] == [{"text": "a dog barks"}, {}, {}, {}]
        assert not any(clip.unread for clip in clips)


def test_a_pipe_that_is_linked_to_is_not_waited_for(folder, tmp_path):
    root = folder("a.wav")
    os.mkfifo(tmp_path / "pipe")
    for name in ("a.txt", "b.wav"):
        (root / name).symlink_to(tmp_path / "pipe")
    found = find_clips(root)
    assert [clip.id for clip in found.clips] == ["a"]
    assert found.others == {"neither file nor folder": 2}
    assert named_clips([root / "a.wav"])[0].unread == ""


def test_a_caption_of_ten_thousand_words_is_kept(folder):
    root = folder("a.wav", a="word " * 10_000)
    assert len(scan(root)[0].texts["text"].split()) == 10_000
