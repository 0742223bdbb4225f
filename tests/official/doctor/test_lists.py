"""Lists with one defect each: the doctor says that, and nothing else."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest

CSV = "vggsound-avel40k.csv"
CATEGORIES = "VggsoundAVEL40kCategories.txt"
PROMPTS = "vggsoundCategories2Prompts.csv"
HEARD = "AVVP_eval_audio_checked_combined.csv"


def finding(diagnosis, part, status):
    (found,) = [f for f in diagnosis.findings if (f.part, f.status) == (part, status)]
    return found


def replaced(old, new, line=None):
    """A change of lines: `old` by `new`, in every line or in one."""

    def change(lines):
        some = range(len(lines)) if line is None else [line]
        assert any(old in lines[i] for i in some)
        return [text.replace(old, new) if i in some else text for i, text in enumerate(lines)]

    return change


def with_cell(line, column, value, delimiter="\t"):
    def change(lines):
        cells = lines[line].split(delimiter)
        cells[column] = value
        return [*lines[:line], delimiter.join(cells), *lines[line + 1 :]]

    return change


def fault(new, part, status="wrong"):
    """Examine, and return the only new finding, which makes the folder unsound."""
    found, diagnosis = new()
    assert found == {(part, status)}
    assert not diagnosis.sound
    one = finding(diagnosis, part, status)
    assert one.remedy
    return one


def remark(new, part, status="warning"):
    """The same of a finding that leaves the folder sound."""
    found, diagnosis = new()
    assert found == {(part, status)}
    assert diagnosis.sound
    return finding(diagnosis, part, status)


def test_a_40k_csv_of_half_the_rows_is_truncated_and_explained(folder, new):
    folder.edit(CSV, lambda lines: lines[: len(lines) // 2])
    one = fault(new, CSV, "truncated")
    assert one.found == "422: 142 train, 140 val, 140 test"
    assert one.expected == "846: 282 train, 282 val, 282 test"
    assert "20,000" in one.detail
    assert "issue #13" in one.detail


def test_a_csv_in_two_versions_is_duplicated(folder, new):
    first, second = sorted(folder.files(CSV))
    second.write_text(second.read_text() + "skiing,aaaaaaaaaaa,test\n")
    one = fault(new, CSV, "duplicated")
    assert "feature_extractor/feature_extractor" in one.detail
    assert "vggsound40k/data" in one.detail
    assert f"{first.stat().st_size:,} bytes" in one.detail


def test_a_csv_with_other_line_ends_is_the_same_csv_as_for_the_readers(folder, new):
    second = sorted(folder.files(CSV))[1]
    second.write_bytes(second.read_bytes().replace(b"\n", b"\r\n"))
    assert new()[0] == set()


def test_file_names_in_the_place_of_ids_are_odd_keys(folder, new):
    def as_files(lines):
        rows = [line.rsplit(",", 1) for line in lines[1:]]
        return [lines[0], *(f"{before}.mp4,{split}" for before, split in rows)]

    folder.edit(CSV, as_files)
    one = fault(new, CSV)
    assert "81k list" in one.detail
    assert ".mp4" in one.detail


def test_an_unknown_category_is_named_with_its_nearest_spelling(folder, new):
    folder.edit(CSV, replaced("playing trumpet", "Playing_Trumpet"))
    one = fault(new, CSV)
    assert "'Playing_Trumpet' ('playing trumpet' in another spelling)" in one.detail


def test_an_id_of_two_categories_contradicts_itself(folder, new):
    folder.edit(CSV, lambda lines: [*lines[:-1], f"skiing,{lines[1].split(',')[-2]},test"])
    one = fault(new, CSV)
    assert one.found == "1 contradictions"


def test_a_row_twice_is_only_a_warning(folder, new):
    folder.edit(CSV, lambda lines: [*lines, lines[-1]])
    found, diagnosis = new()
    assert found == {(CSV, "warning")}
    assert diagnosis.sound
    told = [f.detail for f in diagnosis.findings if (f.part, f.status) == (CSV, "warning")]
    assert any("clips twice" in detail for detail in told)
    assert any("another version of the list" in detail for detail in told)


def test_tabs_in_a_comma_list_are_another_dialect(folder, new):
    folder.edit(CSV, lambda lines: [line.replace(",", "\t") for line in lines])
    assert "separated by commas" in fault(new, CSV).detail


def test_a_category_file_short_of_a_line_is_wrong(folder, new):
    folder.edit(CATEGORIES, lambda lines: lines[:-1])
    one = fault(new, CATEGORIES)
    assert one.found == "140 names"
    assert "141 expected" in one.detail


def test_prompts_that_the_first_uploads_lacked_are_missing_and_where_they_are_is_said(folder, new):
    folder.remove(PROMPTS)
    one = fault(new, PROMPTS, "missing")
    assert one.detail == "needed for pre-training with text"
    assert "issue #1" in one.remedy


def test_a_category_without_a_prompt_is_wrong(folder, new):
    folder.edit(PROMPTS, replaced("skiing,", "Skiing,"))
    one = fault(new, PROMPTS)
    assert one.found == "1 categories without"
    assert "'skiing' ('Skiing' in another spelling)" in one.detail


def test_the_list_no_program_reads_only_warns(folder, new):
    folder.edit("video_name_vggsound40k_checked.csv", lambda lines: lines[:500])
    one = remark(new, "video_name_vggsound40k_checked.csv")
    assert "0 names" in one.detail
    assert "347 of its clips" in one.detail


def test_ids_without_mp4_are_no_81k_list(folder, new):
    folder.edit("video_name_vggsound81k_checked.csv", replaced(".mp4", "", 3))
    assert "line 4" in fault(new, "video_name_vggsound81k_checked.csv").detail


def test_annotations_with_a_header_are_as_good(folder, new):
    header = "Category&VideoID&Quality&StartTime&EndTime"
    folder.edit("Annotations.txt", lambda lines: [header, *lines])
    found, diagnosis = new()
    assert not found
    assert diagnosis.sound
    assert "with a header" in finding(diagnosis, "Annotations.txt", "complete").found


def test_annotations_short_of_a_row_shift_everything(folder, new):
    folder.edit("Annotations.txt", lambda lines: lines[1:])
    found, diagnosis = new()
    assert ("Annotations.txt", "truncated") in found
    assert not diagnosis.sound
    one = finding(diagnosis, "Annotations.txt", "truncated")
    assert (one.found, one.expected) == ("167 rows", "168")
    assert "shifts" in one.detail


def test_the_order_of_the_matching_task_is_recognized(folder, new):
    def as_matching(order):
        return np.sort(np.random.default_rng(0).permutation(168)[: len(order)])[::-1]

    folder.h5("val_order.h5", as_matching, key="order")
    one = fault(new, "val_order.h5")
    assert "not sorted by class" in one.detail
    assert "val_order_match.h5" in one.detail


def test_rows_in_two_splits_are_wrong(folder, new):
    folder.h5("val_order.h5", lambda order: order, key="order")
    test, val = folder.files("test_order.h5")[0], folder.files("val_order.h5")[0]
    val.write_bytes(test.read_bytes())
    one = fault(new, "test_order.h5")
    assert one.found == "56 rows"
    assert "val_order.h5 has too" in one.detail


def test_an_order_under_another_key_is_another_file(folder, new):
    folder.h5("test_order.h5", lambda order: order, key="order", new_key="avadataset")
    assert "no data set 'order'" in fault(new, "test_order.h5").detail


def test_labels_shifted_by_a_row_are_wrong_and_two_rows_are_a_note(folder, new):
    folder.h5("labels.h5", lambda labels: np.roll(labels, 1, axis=0))
    assert "rows differ" in fault(new, "labels.h5").found
    folder.h5("labels.h5", lambda labels: np.roll(labels, -1, axis=0))

    def second_class(labels):
        labels[7, 3, 5] = 1 - labels[7, 3, 5]
        return labels

    folder.h5("labels.h5", second_class)
    assert remark(new, "labels.h5", "note").found == "1 rows differ"


def test_video_level_labels_of_other_rows_are_wrong(folder, new):
    folder.h5("mil_labels.h5", lambda labels: labels[::-1])
    fault(new, "mil_labels.h5")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (replaced("Violin_fiddle", "Violin fiddle"), "('Violin_fiddle' in another spelling)"),
        (with_cell(5, 0, "Baby_cry_infant_cry"), "CPSP's copy"),
        (with_cell(5, 1, ",".join("0" * 99)), "99 onsets"),
        (with_cell(5, 1, "0.5"), "whole seconds"),
    ],
)
def test_a_broken_row_of_a_combined_list_is_wrong(folder, new, change, told):
    folder.edit(HEARD, change)
    found, diagnosis = new()
    assert {part for part, status in found if status == "wrong"} == {HEARD}
    assert {part for part, _ in found} <= {HEARD, "AVE_AVVP_eval_audio_checked_combined.csv"}
    assert any(told in f.detail for f in diagnosis.findings if f.part == HEARD)


def test_a_weak_list_of_unknown_categories_is_wrong(folder, new):
    folder.edit("AVVP_val_pd.csv", with_cell(1, 1, "Speech,Violin (fiddle)"))
    one = fault(new, "AVVP_val_pd.csv")
    assert "'Violin (fiddle)' ('Violin_fiddle' in another spelling)" in one.detail


def test_clips_of_validation_and_test_at_once_are_wrong(folder, new):
    (val,) = folder.files("AVVP_val_pd.csv")
    row = val.read_text().splitlines()[1]
    folder.edit("AVVP_test_pd.csv", lambda lines: [*lines[:-1], row])
    found, _ = new()
    assert ("AVVP_test_pd.csv", "wrong") in found


def test_without_the_split_lists_there_is_no_clean_protocol_but_the_folder_is_sound(folder, new):
    folder.remove("AVVP_val_pd.csv")
    one = remark(new, "AVVP_val_pd.csv")
    assert "clean protocol" in one.detail
    assert "AVVP-ECCV20" in one.remedy


def test_a_dense_list_that_says_otherwise_warns(folder, new):
    folder.edit("AVVP_eval_audio.csv", with_cell(1, 3, "Banjo"))
    assert remark(new, "AVVP_eval_audio.csv").found == "1 clips differ"


def test_shared_categories_in_another_order_do_not_fit_the_labels(folder, new):
    folder.edit("AVE_AVVP_Categories.txt", lambda lines: lines[::-1])
    assert "'Frying (food)' as 'Banjo'" in fault(new, "ave_avvp_labels.h5").detail


def test_shared_labels_without_background_have_another_shape(folder, new):
    folder.h5("ave_avvp_labels.h5", lambda labels: labels[..., :-1])
    one = fault(new, "ave_avvp_labels.h5")
    assert one.found == "[168, 10, 12]"
    assert "[168, 10, 13]" in one.detail


def test_an_event_beyond_the_shared_categories_stops_the_original(folder, new):
    folder.edit("AVE_AVVP_eval_visual_checked_combined.csv", with_cell(1, 3, "Speech"))
    found, diagnosis = new()
    assert ("AVE_AVVP_eval_visual_checked_combined.csv", "wrong") in found
    assert not diagnosis.sound


def test_lists_of_names_that_are_not_aligned_are_wrong(folder, new):
    folder.edit("VGGSoundsameUCF101.txt", lambda lines: [lines[1], lines[0], *lines[2:]])
    found, diagnosis = new()
    assert ("VGGSoundsameUCF101.txt", "wrong") in found
    one = finding(diagnosis, "VGGSoundsameUCF101.txt", "wrong")
    assert "line 1: 'PlayingGuitar' beside 'playing cello'" in one.detail


def test_fifteen_aligned_names_are_one_too_few(folder, new):
    folder.edit("UCF101sameVGGSound.txt", lambda lines: lines[:-1])
    found, diagnosis = new()
    assert ("UCF101sameVGGSound.txt", "wrong") in found
    assert not diagnosis.sound


def test_a_clip_of_another_split_than_in_the_40k_list_would_leak(folder, new):
    folder.edit("vggsound2ucf.csv", replaced(",train", ",test", 1))
    assert "another split" in fault(new, "vggsound2ucf.csv").detail


def test_a_ucf_csv_of_half_the_rows_is_truncated(folder, new):
    folder.edit("vggsound2ucf.csv", lambda lines: lines[:46])
    found, diagnosis = new()
    assert ("vggsound2ucf.csv", "truncated") in found
    assert not diagnosis.sound


def test_a_cut_holds_the_clips_of_its_classes_and_no_other(folder, new):
    folder.edit("ucf51checked_17.csv", lambda lines: lines[:-1])
    one = fault(new, "ucf51checked_17.csv")
    assert "not the training clips of the first 17 classes in ucf51checked.csv" in one.detail
    assert "(0 too many, 1 missing;" in one.detail


def test_absent_optional_parts_are_notes_a_family_at_a_time(folder, new):
    for name in ("train_order_14class.h5", "trainSet_14.txt", "train_order_21class.h5"):
        folder.remove(name)
    found, diagnosis = new()
    assert diagnosis.sound
    assert {status for _, status in found} == {"note"}
    assert len(found) == 3
    folder.remove("trainSet_21.txt")
    assert new()[0] == {("open-set cuts of AVE", "note")}


def test_a_missing_word_filter_warns(folder, new):
    folder.remove("cnt.pkl")
    assert "word filter" in remark(new, "cnt.pkl").detail


def test_a_hostile_word_filter_is_refused_and_not_run(folder, new, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/owned",)

    folder.files("cnt.pkl")[0].write_bytes(pickle.dumps(Hostile()))
    assert "nothing in the file was run" in fault(new, "cnt.pkl").detail
    assert not (tmp_path / "owned").exists()


def test_half_a_text_encoder_is_wrong(folder, new):
    folder.remove("vocab.txt")
    assert "lacks a tokenizer" in fault(new, "text-encoder").detail


def test_further_lists_come_before_those_of_the_folder(folder, new, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (source,) = folder.files("AVVP_Categories.txt")
    (lists / source.name).write_bytes(source.read_bytes())
    source.write_text("Dog\n")
    assert not new(lists=lists)[0]
    fault(new, "AVVP_Categories.txt")


def test_a_damaged_record_of_the_simulation_is_wrong(folder, new):
    folder.files("simulation.json")[0].write_text('{"format": "cmg-simulation", "version": 1}')
    found, diagnosis = new()
    assert ("simulation.json", "wrong") in found
    assert diagnosis.simulated is None
