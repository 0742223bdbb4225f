"""`cmg data check` as typed: exit codes, the table, and JSON."""

import csv
import json
import os

import pytest

from cmg.official.doctor import group_of
from cmg.official.lists.categories import beside_nearest, misaligned, normalized

STATUSES = {"missing", "truncated", "duplicated", "wrong", "warning", "note", "complete"}


def test_a_sound_folder_exits_with_0_and_is_told_in_a_line_a_set(cmg, good):
    told = cmg("data", "check", good, "--deep", 1)
    assert told.code == 0
    lines = told.out.splitlines()
    assert lines[0].startswith(f"{good} is sound: 5 warning, ")
    assert "  VGGSound: 2 note, 10 complete" in lines
    assert "  AVSBench: 5 complete" in lines
    assert "vggsound-avel40k.csv" not in told.out
    assert sum("│ warning │" in line for line in lines) == 5
    assert len(lines) < 30


def test_every_part_is_shown_when_asked_for(cmg, good):
    told = cmg("data", "check", good, "--deep", 1, "--all")
    assert told.code == 0
    assert told.out.startswith(f"{good} is sound: 5 warning, ")
    for part in ("vggsound-avel40k.csv", "ucf101/feature/video", "text-encoder", "overlaps"):
        assert part in told.out


def test_a_broken_folder_exits_with_1_and_says_what_to_do_first(cmg, folder):
    folder.remove("train_order.h5")
    told = cmg("data", "check", folder.root, "--deep", 1)
    assert told.code == 1
    assert told.out.startswith(f"{folder.root} is not sound: 1 missing")
    assert "-> get it from data/ of" in told.out
    assert told.out.index("train_order.h5") < told.out.index("VGGSound: 2 note")


def test_json_has_every_finding(cmg, folder):
    folder.remove("train_order.h5")
    told = cmg("data", "check", folder.root, "--json", "--deep", 1)
    assert told.code == 1
    found = json.loads(told.out)
    assert set(found) == {"root", "simulated", "sound", "counts", "findings"}
    assert (found["root"], found["simulated"]) == (str(folder.root), 1e-4)
    assert found["sound"] is False
    assert set(found["counts"]) == STATUSES
    assert found["counts"]["missing"] == 1
    assert sum(found["counts"].values()) == len(found["findings"])
    for one in found["findings"]:
        assert set(one) == {"part", "status", "expected", "found", "detail", "remedy"}
        assert one["status"] in STATUSES
    (missing,) = [one for one in found["findings"] if one["status"] == "missing"]
    assert missing["part"] == "train_order.h5"
    assert "AVE-ECCV18" in missing["remedy"]


def test_a_folder_gets_the_page_and_every_set_as_a_table(cmg, folder, tmp_path):
    folder.remove("train_order.h5")
    told = cmg("data", "check", folder.root, "--deep", 1, "--out", tmp_path / "out")
    assert told.code == 1
    assert told.out.endswith(f"Report: {tmp_path / 'out' / 'report.html'}\n")
    found = json.loads((tmp_path / "out/diagnosis.json").read_text())
    assert found["counts"]["missing"] == 1
    with (tmp_path / "out/report/ave.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows if row["part"] == "train_order.h5"] == ["missing"]
    parts = [one["part"] for one in found["findings"] if group_of(one["part"]) == "AVE"]
    assert [row["part"] for row in rows] == parts
    page = (tmp_path / "out/report.html").read_text()
    assert '<td class="fault">missing</td>' in page
    (tmp_path / "run").mkdir()
    (tmp_path / "run/report.html").write_text("mine")
    refused = cmg("data", "check", folder.root, "--deep", 1, "--out", tmp_path / "run")
    assert refused.code == 2
    assert (tmp_path / "run/report.html").read_text() == "mine"


def test_every_fault_and_every_missing_part_has_a_remedy(cmg, tmp_path):
    found = json.loads(cmg("data", "check", tmp_path, "--json").out)
    assert found["counts"]["missing"] == 26
    assert found["counts"]["complete"] == 0
    assert all(one["remedy"] for one in found["findings"] if one["status"] == "missing")


@pytest.mark.parametrize("kind", ["absent", "file", "imported"])
def test_what_is_no_data_folder_exits_with_2(cmg, tmp_path, kind):
    root = tmp_path / "root"
    if kind == "file":
        root.write_text("no folder")
    if kind == "imported":
        root.mkdir()
        (root / "collection.json").write_text("{}")
    told = cmg("data", "check", root)
    assert told.code == 2
    assert str(root) in told.err
    assert not told.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_without_permission_exits_with_2(cmg, tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    assert cmg("data", "check", tmp_path / "closed").code == 2


@pytest.mark.parametrize("deep", ["some", "-1", "1.5"])
def test_a_number_of_clips_that_is_none_is_refused(cmg, good, deep):
    told = cmg("data", "check", good, f"--deep={deep}")
    assert told.code == 2
    assert "--deep" in told.err


def test_all_clips_can_be_read(cmg, good):
    assert cmg("data", "check", good, "--deep", "all").code == 0


def test_names_are_compared_by_the_letter_and_explained_by_their_spelling():
    assert normalized("Frying (food)") == normalized("Frying_(food)") == "frying_food"
    assert beside_nearest("dog", ["Dog"]) == "'dog' ('Dog' in another spelling)"
    assert beside_nearest("Violin", ["Violin_fiddle"]) == "'Violin' (did you mean 'Violin_fiddle'?)"
    assert beside_nearest("Bark", ["Dog"]) == "'Bark'"


def test_lines_beside_each_other_share_letters():
    names = ["PlayingSitar", "JumpRope", "Bowling\tbowling"], ["playing sitar", "rope skipping"]
    assert misaligned(names[0], [*names[1], "bowling impact"]) == []
    assert misaligned(names[0], ["bowling impact", *names[1]]) == [0, 1, 2]
