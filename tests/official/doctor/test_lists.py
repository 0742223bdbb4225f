"""Lists with one edit each: the doctor says that, and nothing else."""

import pickle

import numpy as np
import pytest
from tests.official.doctor.conftest import Hostile, gone, h5, lines, swap

from cmg.official.catalogue import PARTS

CSV, PROMPTS = "vggsound-avel40k.csv", "vggsoundCategories2Prompts.csv"
CATEGORIES, ANNOTATIONS = "VggsoundAVEL40kCategories.txt", "Annotations.txt"
LONGER, CHECKED = (f"video_name_vggsound{size}_checked.csv" for size in ("81k", "40k"))
EVENTS, DENSE = "AVVP_eval_audio_checked_combined.csv", "AVVP_eval_audio.csv"
VAL, COMMON, SHARED_LABELS = "AVVP_val_pd.csv", "AVE_AVVP_Categories.txt", "ave_avvp_labels.h5"
SHARED = "AVE_AVVP_eval_visual_checked_combined.csv"
UCF_NAMES, VGGSOUND_NAMES = "UCF101sameVGGSound.txt", "VGGSoundsameUCF101.txt"
PAIRED, CUT = "vggsound2ucf.csv", "ucf51checked_17.csv"
AVE_CUTS = ("train_order_14class.h5", "trainSet_14.txt", "train_order_21class.h5")
HEADER = "Category&VideoID&Quality&StartTime&EndTime"


def cell(name, line, column, value):
    """Put a value in a cell of a table with tabs."""

    def change(told):
        cells = told[line].split("\t")
        cells[column] = value
        return [*told[:line], "\t".join(cells), *told[line + 1 :]]

    return lines(name, change)


def order(split, change, new_key=None):
    return h5(f"{split}_order.h5", change, "order", new_key)


def same(values):
    return values


def contradiction(folder):
    folder.edit(CSV, lambda x: [*x[:-1], f"skiing,{x[1].split(',')[-2]},test"])


def val_row_in_test(folder):
    row = folder.files(VAL)[0].read_text().splitlines()[1]
    folder.edit("AVVP_test_pd.csv", lambda x: [*x[:-1], row])


def swapped(folder):
    folder.edit(VGGSOUND_NAMES, lambda x: [x[1], x[0], *x[2:]])


def as_files(told):
    rows = [line.rsplit(",", 1) for line in told[1:]]
    return [told[0], *(f"{before}.mp4,{split}" for before, split in rows)]


def as_matching(order):
    return np.sort(np.random.default_rng(0).permutation(168)[: len(order)])[::-1]


def second_class(labels):
    labels[7, 3, 5] = 1 - labels[7, 3, 5]
    return labels


def another_version(folder):
    second = sorted(folder.files(CSV))[1]
    second.write_text(second.read_text() + "skiing,aaaaaaaaaaa,test\n")


def other_line_ends(folder):
    second = sorted(folder.files(CSV))[1]
    second.write_bytes(second.read_bytes().replace(b"\n", b"\r\n"))


def rows_in_two_splits(folder):
    (test,), (val,) = folder.files("test_order.h5"), folder.files("val_order.h5")
    val.write_bytes(test.read_bytes())


def hostile_words(folder):
    folder.files("cnt.pkl")[0].write_bytes(pickle.dumps(Hostile(folder)))


def without_cuts(folder):
    for name in AVE_CUTS:
        folder.remove(name)


def without_all_cuts(folder):
    without_cuts(folder)
    folder.remove("trainSet_21.txt")


EDITS = [
    (lines(CSV, lambda x: x[: len(x) // 2]), CSV, "truncated", "422: 142 train, 140 val, 140 test"),
    (lines(CSV, lambda x: x[: len(x) // 2]), CSV, "truncated", "20,000.*issue #13"),
    (another_version, CSV, "duplicated", "feature_extractor/feature_extractor.*bytes.*vggsound40k"),
    (other_line_ends, None, "", ""),
    (lines(CSV, as_files), CSV, "wrong", r"\.mp4.*81k list"),
    (swap(CSV, "playing trumpet", "P_Trumpet"), CSV, "wrong", "lines 8, 9, .*'P_Trumpet' .did you"),
    (swap(CSV, "skiing", "Skiing"), CSV, "wrong", "6 broken rows.*.'skiing' in another spelling"),
    (contradiction, CSV, "wrong", "1 contradictions"),
    (lines(CSV, lambda x: [*x, x[-1]]), CSV, "warning", "another version of the list.*clips twice"),
    (swap(CSV, ",", "\t"), CSV, "wrong", "separated by commas"),
    (lines(CATEGORIES, lambda x: x[:-1]), CATEGORIES, "wrong", "140 names.*141 expected"),
    (gone(PROMPTS), PROMPTS, "missing", "needed for pre-training with text.*issue #1"),
    (swap(PROMPTS, "skiing,", "Skiing,"), PROMPTS, "wrong", "1 cat.*'skiing' .'Skiing' in another"),
    (lines(CHECKED, lambda x: x[:500]), CHECKED, "warning", "0 names.*347 of its clips"),
    (swap(LONGER, ".mp4", "", 3), LONGER, "wrong", "line 4"),
    (lines(ANNOTATIONS, lambda x: [HEADER, *x]), None, "", "copy of the archive, with a header"),
    (lines(ANNOTATIONS, lambda x: x[1:]), ANNOTATIONS, "truncated", "167 rows.*168.*shifts"),
    (order("val", as_matching), "val_order.h5", "wrong", "not sorted by.*val_order_match.h5"),
    (rows_in_two_splits, "test_order.h5", "wrong", "56 rows.*val_order.h5 has too"),
    (order("test", same, "avadataset"), "test_order.h5", "wrong", "no data set 'order'"),
    (h5("labels.h5", lambda x: np.roll(x, 1, axis=0)), "labels.h5", "wrong", "rows differ"),
    (h5("labels.h5", second_class), "labels.h5", "note", "1 rows differ"),
    (h5("mil_labels.h5", lambda x: x[::-1]), "mil_labels.h5", "wrong", "rows differ"),
    (swap(EVENTS, "Violin_f", "Violin f"), EVENTS, "wrong", ".'Violin_fiddle' in another spelling"),
    (cell(EVENTS, 5, 0, "Baby_cry_infant_cry"), EVENTS, "wrong", "CPSP's copy"),
    (cell(EVENTS, 5, 1, ",".join("0" * 99)), EVENTS, "wrong", "1 broken rows.*line 6: 99 onsets"),
    (cell(EVENTS, 5, 1, "0.5"), EVENTS, "wrong", "whole seconds"),
    (
        cell(VAL, 1, 1, "Speech,Violin (fiddle)"),
        VAL,
        "wrong",
        "'Violin_fiddle' in another spelling",
    ),
    (val_row_in_test, "AVVP_test_pd.csv", "wrong", f"clips that {VAL} has too"),
    (gone(VAL), VAL, "warning", "clean protocol.*AVVP-ECCV20"),
    (cell(DENSE, 1, 3, "Banjo"), DENSE, "warning", "1 clips differ"),
    (lines(COMMON, lambda x: x[::-1]), SHARED_LABELS, "wrong", "'Frying .food.' as 'Banjo'"),
    (
        h5(SHARED_LABELS, lambda x: x[..., :-1]),
        SHARED_LABELS,
        "wrong",
        r"\(168, 10, 12\); expected",
    ),
    (cell(SHARED, 1, 3, "Speech"), SHARED, "wrong", "1 broken rows.*unknown category 'Speech'"),
    (swapped, VGGSOUND_NAMES, "wrong", "line 1: 'PlayingGuitar' beside 'playing cello'"),
    (lines(UCF_NAMES, lambda x: x[:-1]), UCF_NAMES, "wrong", "15 names.*16 expected"),
    (swap(PAIRED, ",train", ",test", 1), PAIRED, "wrong", "another split"),
    (
        lines(CUT, lambda x: x[:-1]),
        CUT,
        "wrong",
        "first 17 classes in ucf51.*0 too many, 1 missing",
    ),
    (without_all_cuts, "open-set cuts of AVE", "note", "the open-set task of AVE"),
    (gone("cnt.pkl"), "cnt.pkl", "warning", "word filter"),
    (hostile_words, "cnt.pkl", "wrong", "nothing in the file was run"),
    (gone("vocab.txt"), "text-encoder", "wrong", "lacks a tokenizer"),
    (lines(PAIRED, lambda x: x[:46]), {(PAIRED, "truncated"), (PAIRED, "warning")}, "", ""),
    (without_cuts, {(name, "note") for name in AVE_CUTS}, "", ""),
]


@pytest.mark.parametrize(("edit", "part", "status", "told"), EDITS)
def test_an_edit_is_found_and_nothing_else(check, edit, part, status, told):
    check(edit, part, status, told)


def test_further_lists_come_before_those_of_the_folder(folder, new, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (source,) = folder.files("AVVP_Categories.txt")
    (lists / source.name).write_bytes(source.read_bytes())
    source.write_text("Dog\n")
    assert not new(lists=lists)[0]
    assert new()[0] == {("AVVP_Categories.txt", "wrong")}


def test_a_damaged_record_of_the_simulation_is_wrong(folder, new):
    folder.files("simulation.json")[0].write_text('{"format": "cmg-simulation", "version": 1}')
    found, diagnosis = new()
    assert ("simulation.json", "wrong") in found
    assert diagnosis.simulated is None


def test_lists_of_nothing_but_broken_rows_are_told_and_stop_no_other_check(folder, new):
    tables = [part for part in PARTS.values() if part.dialect and part.dialect != "names"]
    broken = [part for part in tables if any(folder.root.rglob(part.name))]
    assert len(broken) == 18
    for part in broken:
        header = 0 if part.name == ANNOTATIONS else 1
        spoil = lines(part.name, lambda x, n=header: [*x[:n], *(f"{r},\t&,\t&" for r in x[n:])])
        spoil(folder)
    found, diagnosis = new(deep=0)
    told = {f.part for f in diagnosis.findings if f.found.endswith("broken rows")}
    assert told == {part.name for part in broken}
    assert {(name, "wrong") for name in told} <= found
