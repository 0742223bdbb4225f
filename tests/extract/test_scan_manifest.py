"""Clips listed in a csv or jsonl file."""

import json
import re

import pytest

from cmg.errors import ConfigError, DataError
from cmg.extract.manifest import parse_time
from cmg.extract.scan import ScanOptions, scan


@pytest.fixture
def listed(tmp_path):
    """The clips of a manifest; a list is written as jsonl."""
    media = tmp_path / "media"
    (media / "pictures").mkdir(parents=True)
    for name in ("a.mp4", "b.wav", "c.png", "pictures/1.png", "odd.dat"):
        (media / name).write_bytes(b"x")

    def read(content, encoding="utf-8", **options):
        path = tmp_path / ("clips.jsonl" if isinstance(content, list) else "clips.csv")
        if isinstance(content, list):
            content = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in content)
        path.write_bytes(content.encode(encoding))
        return scan(media, ScanOptions(manifest=path, **options))

    return read


def test_a_row_is_a_clip(listed, tmp_path):
    (clip,) = listed(
        "id,split,video,audio,caption,start,end,label,label:mood,who\n"
        'one,val,a.mp4,b.wav,"A dog, barking",1.5,0:12,dog,glad,me\n'
    )
    assert (clip.id, clip.split, clip.start, clip.end) == ("one", "val", 1.5, 12.0)
    media = tmp_path / "media"
    assert clip.files == {"video": media / "a.mp4", "audio": media / "b.wav"}
    assert clip.texts == {"text": "A dog, barking"}
    assert clip.labels == {"label": "dog", "mood": "glad"}
    assert clip.meta == {"who": "me", "files": {"video": "a.mp4", "audio": "b.wav"}}


def test_json_rows_are_the_same_clips(listed):
    rows = [
        {"id": "one", "video": "a.mp4", "text": "A dog", "start": 1, "end": "1:00:00", "label": 3},
        "",
        {"id": 7, "audio": "b.wav", "label": None, "box": [1, 2]},
    ]
    one, two = listed(rows)
    assert (one.start, one.end, one.labels) == (1.0, 3600.0, {"label": "3"})
    assert (two.id, two.labels, two.meta["box"]) == ("7", {"label": None}, [1, 2])


def test_a_file_column_goes_by_the_suffix(listed):
    clips = listed("file\na.mp4\nb.wav\nc.png\npictures\n", picture_fps=4)
    assert [sorted(c.files) for c in clips] == [["audio", "video"], ["audio"], ["video"], ["video"]]
    assert [c.id for c in clips] == ["a", "b", "c", "pictures"]
    assert clips[3].meta["picture_fps"] == 4
    assert "picture_fps" not in clips[2].meta


def test_a_rate_of_pictures_in_the_row_comes_first(listed):
    (clip,) = listed("video,picture_fps\npictures,2.5\n", picture_fps=4)
    assert clip.meta["picture_fps"] == 2.5


def test_parts_of_a_file_have_ids_by_their_times_and_one_split(listed):
    clips = listed("file,start,end\n" + "".join(f"a.mp4,{n},{n + 1}\n" for n in range(40)))
    assert [c.id for c in clips][:2] == ["a@0-1", "a@1-2"]
    assert len({c.split for c in clips}) == 1
    (clip,) = listed("file,start\na.mp4,30\n")
    assert clip.id == "a@30-"


def test_rows_of_text_alone_are_clips(listed):
    clips = listed("text,split\nA dog,train\nA cat,test\n")
    assert [(c.id, c.split, dict(c.files)) for c in clips] == [
        ("row-1", "train", {}),
        ("row-2", "test", {}),
    ]


def test_columns_are_labels_where_asked(listed):
    clips = listed("file,kind,note\na.mp4,dog,x\nb.wav,,y\n", labels=("kind",))
    assert [c.labels for c in clips] == [{"kind": "dog"}, {"kind": None}]
    assert clips[0].meta["note"] == "x"
    assert "kind" not in clips[0].meta


def test_a_manifest_in_the_folder_and_one_instead_of_a_folder(tmp_path):
    (tmp_path / "b.wav").write_bytes(b"x")
    (tmp_path / "list.csv").write_bytes("\ufefffile\r\n\r\nb.wav\r\n".encode())
    for clips in (scan(tmp_path, ScanOptions(manifest="list.csv")), scan(tmp_path / "list.csv")):
        assert [c.files for c in clips] == [{"audio": tmp_path / "b.wav"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "lists nothing"),
        ("vidoe,x\na.mp4,1\n", r"no column names a file.*did you mean 'video'"),
        ("file,x\na.mp4\n", r"clips\.csv, line 2: 1 cells where the header has 2"),
        ("file,x\n,1\n", "line 2: the row names no file and has no text"),
        ("file\na.mp4\nmissing.wav\n", r"line 3: the audio file .*missing\.wav does not exist"),
        ("audio\npictures\n", r"line 2: the audio file .*pictures is a folder"),
        ("file\nodd.dat\n", r"line 2: odd\.dat is no video, sound or picture by its suffix"),
        ("file,video\na.mp4,a.mp4\n", "line 2: 'file' stands for video and audio"),
        ("text,caption\na,b\n", "line 2: 'text' and 'caption' are the same"),
        ("id,file\nx,a.mp4\ny,b.wav\nx,c.png\n", "line 4: the id 'x' is in line 2 already"),
        ("file,start\na.mp4,soon\n", "line 2: start 'soon' is neither seconds"),
        ("file,start\na.mp4,-1\n", "line 2: start '-1' is neither"),
        ("file,end\na.mp4,nan\n", "line 2: end 'nan' is neither"),
        ("file,start,end\na.mp4,5,5\n", "line 2: the end 5 s is not after the start 5 s"),
        ("file,split\na.mp4,my split\n", "line 2: 'my split' cannot name a split"),
        ("video,picture_fps\npictures,0\n", "line 2: picture_fps '0' is no positive number"),
        ("file,label,label:label\na.mp4,x,y\n", "line 2: two values of the label 'label'"),
        ("file,start\na.mp4,1_0\n", "line 2: start '1_0' is neither seconds"),
        ([{"file": ["a.mp4"]}], "line 1: 'file' must be text"),
        ([{"file": "a.mp4", "label": True}], "line 1: 'label' must be text"),
        ([{"file": "x" * 5000 + ".wav"}], "does not exist"),
        ([{"file": "a\0.wav"}], "does not exist"),
    ],
)
def test_bad_rows_are_named(listed, content, message):
    with pytest.raises(DataError, match=message):
        listed(content)


def test_a_manifest_that_is_not_utf8_or_not_there_is_named(listed, tmp_path):
    with pytest.raises(DataError, match=r"clips\.csv, line 2 is not UTF-8 \(byte 8: 0xe9\)"):
        listed("text\ncaf\u00e9\n", encoding="latin-1")
    with pytest.raises(DataError, match=r"none\.csv cannot be read: No such file"):
        scan(tmp_path, ScanOptions(manifest=tmp_path / "none.csv"))
    with pytest.raises(DataError, match=r"a manifest is a \.csv or \.jsonl file"):
        scan(tmp_path, ScanOptions(manifest=tmp_path / "list.xlsx"))


def test_a_label_that_no_row_has_is_named(listed):
    with pytest.raises(DataError, match=r"no column 'knd' \(did you mean 'kind'\?\)"):
        listed("file,kind\na.mp4,dog\n", labels=("knd",))


def test_options_for_folders_are_refused(listed):
    with pytest.raises(ConfigError, match="a manifest names labels, texts and folders itself"):
        listed("file\na.mp4\n", text_from_names=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("12.5", 12.5), ("90", 90), ("3:20", 200), ("1e-05", 1e-5), ("1:02:03.5", 3723.5)],
)
def test_times_are_seconds_or_clock_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", [":", "1:60", "1:2:3:4", "inf", "-0:30", "1:-2", "a"])
def test_other_times_are_refused(text):
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_time(text)
