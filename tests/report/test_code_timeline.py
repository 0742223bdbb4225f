"""The picture of a clip's codes, its page and its tables."""

import csv
import io
import json
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from cmg.errors import DataError
from cmg.extract.thumbnails import Thumbnail
from cmg.recipes.media_codes import (
    CodedClip,
    EncodedMedia,
    StepCodes,
    Track,
    sharing,
)
from cmg.report.code_pages import JSON, codes_csv, encoded_files, places, written
from cmg.report.code_timeline import (
    LEFT,
    LINE,
    NARROWEST,
    timeline_svg,
    windows,
)
from cmg.report.colors import code_color
from cmg.report.html import standalone
from cmg.report.svg import envelope
from cmg.report.write import write_folder

from .conftest import EVIL, Page

SVG = "{http://www.w3.org/2000/svg}"
JPEG = b"\xff\xd8\xff\xd9"


def steps(*codes):
    """Step t has distance t / 10, the code after its own as second, and margin 0.25."""
    found = np.array(codes)
    count = len(found)
    return StepCodes(found, np.arange(count) / 10, found + 1, np.full(count, 0.25))


def every(seconds, count):
    return np.stack([np.arange(count) * seconds, (np.arange(count) + 1) * seconds], 1)


def clip(name="clip", video=(3, 5, 5, 7), audio=(3, 7, 2), text=(7, 9), words=("a", "dog")):
    """Four seconds: pictures of a second, sounds of 1.25 s, words."""
    tracks = {}
    if video:
        tracks["video"] = Track("frames", "eyes", steps(*video), every(1.0, len(video)))
    if audio:
        tracks["audio"] = Track("sound", "ears", steps(*audio), every(1.25, len(audio)))
    if text:
        tracks["text"] = Track("text", "letters", steps(*text), None, tuple(words))
    thumbnails = tuple(Thumbnail(float(t), t + 1.0, JPEG) for t in range(len(video)))
    wave = np.sin(np.arange(4000) / 10).astype(np.float32) if audio else None
    said = " ".join(words)
    return CodedClip(name, {"video": "a.mp4"}, said, 4.0, tracks, thumbnails, wave, 1000)


def encoded(*clips, **more):
    return EncodedMedia("run", 16, {"video": "eyes", "audio": "ears"}, clips, **more)


def write_encoded(media, out, overwrite=False):
    return written(write_folder(out, JSON, lambda: media, encoded_files, overwrite), out)


def file_of(clip):
    return standalone(timeline_svg(clip))


def parsed(text):
    return ElementTree.fromstring(text)


def cells(picture):
    """(code, color, left, right, shared) of the cells of codes, in their order."""
    found = []
    for group in picture.iter(f"{SVG}g"):
        rect, title = group.find(f"{SVG}rect"), group.find(f"{SVG}title")
        code = int(re.search(r"code (\d+)", title.text)[1])
        left = float(rect.get("x"))
        color = rect.get("style").removeprefix("fill:")
        shared = rect.get("class") == "shared"
        found.append((code, color, left, left + float(rect.get("width")), shared))
    return found


def test_every_step_is_a_cell_of_its_codes_color_over_its_time():
    picture = parsed(file_of(clip()))
    found = cells(picture)
    assert [cell[0] for cell in found] == [3, 5, 5, 7, 3, 7, 2, 7, 9]
    assert all(color == code_color(code) for code, color, *_ in found)
    scale = windows(clip())[0].scale
    for step, (_, _, left, right, shared) in enumerate(found[:4]):
        inset = 2 if shared else 1
        assert left == pytest.approx(LEFT + step * scale + inset, abs=0.06)
        assert right == pytest.approx(LEFT + (step + 1) * scale - inset, abs=0.11)


def test_steps_share_a_code_where_they_overlap_and_words_anywhere():
    # Audio steps: 0-1.25 s (3), 1.25-2.5 s (7), 2.5-3.75 s (2). Video: 3, 5, 5, 7 a second each.
    assert sharing(clip()) == {
        "video": [["audio"], [], [], ["text"]],  # code 7 of the sound ends before 3 s
        "audio": [["video"], ["text"], []],
        "text": [["video", "audio"], []],
    }
    touching = clip(video=(1, 2), audio=(9, 1), text=())
    assert sharing(touching) == {"video": [[], []], "audio": [[], []]}


def test_outlined_cells_are_the_shared_ones():
    found = cells(parsed(file_of(clip())))
    shared = [bool(others) for steps in sharing(clip()).values() for others in steps]
    assert [cell[4] for cell in found] == shared
    assert "Outlined" in timeline_svg(clip())
    assert "Outlined" not in timeline_svg(clip(audio=(), text=()))


def test_frames_waveform_and_words_stand_above_the_codes():
    picture = parsed(file_of(clip()))
    images = list(picture.iter(f"{SVG}image"))
    assert len(images) == 4
    assert all(image.get("href").startswith("data:image/jpeg;base64,") for image in images)
    assert len([p for p in picture.iter(f"{SVG}path") if p.get("class") == "sound"]) == 1
    said = [t.text for t in picture.iter(f"{SVG}text")]
    assert {"a", "dog", "video", "audio", "text"} <= set(said)
    tops = {t.text: float(t.get("y")) for t in picture.iter(f"{SVG}text")}
    assert float(images[0].get("y")) < tops["video"] < tops["audio"] < tops["dog"] < tops["text"]


@pytest.mark.parametrize("seconds", [0.04, 1.0, 30.0])
def test_a_long_clip_is_broken_into_lines_of_whole_steps(seconds):
    count = 200
    long = CodedClip(
        "long",
        {},
        "",
        count * seconds,
        {"video": Track("frames", "eyes", steps(*range(count)), every(seconds, count))},
    )
    found = windows(long)
    assert len(found) > 1
    assert found[0].start == 0
    assert found[-1].end == pytest.approx(count * seconds)
    for a, b in pairwise(found):
        assert a.end == pytest.approx(b.start)
        assert a.end / seconds == pytest.approx(round(a.end / seconds))
    assert all(w.right <= LEFT + max(LINE, seconds * w.scale) + 1e-6 for w in found)
    assert found[0].scale * seconds >= NARROWEST - 1e-6
    assert [cell[0] for cell in cells(parsed(file_of(long)))] == list(range(count))


def test_a_step_across_two_lines_is_in_both():
    both = replace(clip(video=tuple(range(100)), audio=tuple(range(80)), text=()), seconds=100.0)
    found = cells(parsed(file_of(both)))
    span = windows(both)[0].end
    assert span % 1.25 == 0  # whole steps of the longest
    assert len(found) == 180 + sum(w.start % 1.0 > 0 for w in windows(both))


def test_words_fill_as_many_lines_as_they_need_and_none_is_lost():
    words = tuple(f"word{i}" for i in range(120))
    picture = parsed(file_of(clip(text=tuple(range(120)), words=words)))
    assert [c[0] for c in cells(picture)[-120:]] == list(range(120))
    assert max(c[3] for c in cells(picture)) <= float(picture.get("viewBox").split()[2])
    said = [t.text for t in picture.iter(f"{SVG}text")]
    assert set(words) <= set(said)


def test_one_modality_is_enough():
    for only in ({"audio": (), "text": ()}, {"video": (), "text": ()}, {"video": (), "audio": ()}):
        one = clip(**only)
        found = cells(parsed(file_of(one)))
        assert [c[0] for c in found] == next(iter(one.tracks.values())).steps.codes.tolist()


def test_a_sound_shorter_than_its_clip_ends_where_it_ends():
    short = replace(clip(), wave=np.ones(1500, np.float32))
    (path,) = parsed(file_of(short)).iter(f"{SVG}path")
    last = float(path.get("d").rsplit("M", 1)[1].split()[0])
    assert last == pytest.approx(windows(short)[0].x(1.5), abs=2)


def test_the_envelope_is_the_largest_magnitude_of_equal_parts():
    wave = np.array([0.1, -0.9, 0.2, 0.3, -0.4, 0.0], np.float32)
    assert envelope(wave, 3).tolist() == pytest.approx([0.9, 0.3, 0.4])
    assert envelope(wave, 99).tolist() == pytest.approx(np.abs(wave).tolist())


def test_the_csv_has_a_row_per_step():
    rows = list(csv.DictReader(io.StringIO(codes_csv(encoded(clip())))))
    assert list(rows[0]) == [
        *("clip", "modality", "step", "start", "end", "word"),
        *("code", "distance", "second", "margin", "shared"),
    ]
    assert len(rows) == 9
    assert rows[5] == {
        "clip": "clip",
        "modality": "audio",
        "step": "1",
        "start": "1.25",
        "end": "2.5",
        "word": "",
        "code": "7",
        "distance": "0.1",
        "second": "8",
        "margin": "0.25",
        "shared": "text",
    }
    assert (rows[7]["start"], rows[7]["word"], rows[7]["shared"]) == ("", "a", "video audio")


def test_the_folder_holds_tables_page_and_picture(tmp_path):
    files = write_encoded(encoded(clip(), failed={"bad": "bad.mp4 is empty"}), tmp_path / "out")
    names = ["codes.csv", "codes.json", "timeline.html", "timeline.svg"]
    assert [p.name for p in files] == names
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    told = json.loads(files[1].read_text())
    assert told["clips"][0]["modalities"]["text"][1]["code"] == 9
    assert told["clips"][0]["timeline"] == "timeline.svg"
    assert told["failed"] == {"bad": "bad.mp4 is empty"}
    page = Page(files[2].read_text())
    assert "4 of the 16" not in page.text
    assert "5 of the 16 codes of run occur" in page.text  # 2, 3, 5, 7, 9
    assert len(page.tables["Steps of clip"]) == 10
    loads = [v for _, a in page.tags for k, v in a.items() if k in ("src", "href") and v]
    assert all(v.startswith(("data:", "#")) for v in loads)


def test_several_clips_have_a_numbered_picture_each(tmp_path):
    files = write_encoded(encoded(clip("a/b"), clip("../c")), tmp_path / "out")
    assert [p.relative_to(tmp_path / "out").as_posix() for p in files[3:]] == [
        "timelines/00001.svg",
        "timelines/00002.svg",
    ]
    assert places(encoded(clip("x"), clip("y")), 9) == ["x: text “dog”", "y: text “dog”"]
    assert places(encoded(clip()), 5, most=1) == ["video, 1.00–2.00 s", "and 1 more"]


def test_names_and_words_cannot_break_page_or_picture(tmp_path):
    evil = clip(EVIL, words=(EVIL, "]]>"))
    files = write_encoded(encoded(evil), tmp_path / "out")
    page = Page(files[2].read_text())
    assert not [tag for tag, _ in page.tags if tag == "script"]
    texts = [t.text for t in parsed(files[3].read_text()).iter(f"{SVG}text")]
    assert "]]>" in texts


def test_characters_that_xml_has_not_are_replaced():
    odd = clip("\x01\udc80", words=("\x00a", "\ud800"))
    texts = [t.text for t in parsed(file_of(odd)).iter(f"{SVG}text")]
    assert {"\N{REPLACEMENT CHARACTER}a", "\N{REPLACEMENT CHARACTER}"} <= set(texts)


def test_what_is_in_the_way_is_replaced_only_if_asked_and_only_if_ours(tmp_path):
    out = tmp_path / "out"
    write_encoded(encoded(clip()), out)
    with pytest.raises(DataError, match="not empty"):
        write_encoded(encoded(clip()), out)
    write_encoded(encoded(clip("new")), out, overwrite=True)
    assert json.loads((out / "codes.json").read_text())["clips"][0]["id"] == "new"
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match=r"no codes\.json"):
        write_encoded(encoded(clip()), mine, overwrite=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "out"]
