"""The recorded cases hold, and a case that does not hold is noticed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cmg.errors import DataError
from cmg.golden import CaseResult, Status, all_verified, verify_golden
from cmg.golden.cases import read_records
from cmg.golden.verify import verify_case

CASES = Path(__file__).parent / "cases"
RECORDS = read_records(CASES)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_case(record):
    result = verify_case(record)
    assert result.status is Status.OK, result
    assert result.error <= result.tolerance


def test_every_case_of_the_recording_is_here():
    assert len(RECORDS) == 71
    files = {record.entry["file"] for record in RECORDS}
    assert files == {path.name for path in CASES.glob("*.npz")}


def the_only(folder: Path) -> CaseResult:
    (result,) = verify_golden(folder)
    return result


CHANGES = {
    "audio_encoder": "out/y",
    "video_encoder": "out/grad_param/conv_stack.2.bias",
    "quant_AVT_train3_warm": "out/step2/state_after/ema_weight",
    "quant_AT_reset_train": "out/next/state_after/unactivated_count",
    "cmcm_AV_2": "out/grad/cmcm_loss/audio",
    "cpc_AVT_3_t3": "out/grad_text",
    "club_inner5": "out/param_after/p_logvar.6.bias",
    "exploglogloss_avvp_1": "out/grad_alpha",
    "tpavi_concatenate_audio": "out/train/grad_audio",
    "avs_mask_loss_0": "out/total_grad_vmap_1",
    "e2e_AV_small": "out/step1/fp_l2",
    "e2e_AVT_small": "out/step2/grad_norm_before_clip/Video_mi_net",
}


@pytest.mark.parametrize(("name", "key"), CHANGES.items(), ids=CHANGES)
def test_changed_value_fails(recorded, write_case, name, key):
    entry, arrays = recorded(name)
    changed = arrays[key].copy()
    largest = np.unravel_index(np.abs(changed).argmax(), changed.shape)
    changed[largest] *= 1 + 1e-6
    if changed.dtype.kind == "i" or "count" in key:
        changed[largest] += 1
    result = the_only(write_case(entry, arrays | {key: changed}))
    assert result.status is Status.FAILED
    assert result.detail == key
    assert result.error > result.tolerance


def test_changed_fingerprint_of_a_carried_tensor_fails(recorded, write_case):
    entry, arrays = recorded("e2e_AV_small")
    name = "Decoder_parameters/video_semantic_decoder.event_classifier.weight"
    sums = arrays["out/step2/fp_sum"].copy()
    sums[entry["fingerprint_names"].index(name)] += 1e-6
    result = the_only(write_case(entry, arrays | {"out/step2/fp_sum": sums}))
    assert (result.status, result.detail) == (Status.FAILED, "out/step2/fp_sum")


@pytest.mark.parametrize("key", ["in/reset_codes", "in/active_codes", "in/source_codes"])
def test_changed_record_of_a_reset_fails(recorded, write_case, key):
    entry, arrays = recorded("quant_AV_reset_train")
    result = the_only(write_case(entry, arrays | {key: arrays[key][::-1] + 1}))
    assert (result.status, result.detail) == (Status.FAILED, key)


def test_non_finite_values_must_match(recorded, write_case):
    entry, arrays = recorded("precision_recall_avvp")
    result = the_only(write_case(entry, arrays | {"out/2/recall": np.array(0.0)}))
    assert (result.status, result.error) == (Status.FAILED, math.inf)
    result = the_only(write_case(entry, arrays | {"out/0/recall": np.array(np.nan)}))
    assert (result.status, result.error) == (Status.FAILED, math.inf)


@pytest.mark.parametrize(
    ("fields", "changed", "said"),
    [
        ({"arrays": {}}, {"out/y": np.zeros((1, 1))}, "out/y"),
        ({}, {"out/news": np.zeros(2)}, "not covered array out/news"),
        ({"arrays": {}}, {"out/": None}, ""),  # no output at all
        ({}, {"out/y": None, "out/z": np.zeros(1)}, "out/y"),  # one that is listed
        ({"file": "../arrays.npz"}, {}, "file name"),
    ],
)
def test_a_recording_that_is_not_whole_fails(recorded, write_case, fields, changed, said):
    entry, arrays = recorded("audio_encoder")
    gone = tuple(key for key, x in changed.items() if x is None)
    kept = {key: x for key, x in arrays.items() if not (gone and key.startswith(gone))}
    there = {key: x for key, x in changed.items() if x is not None}
    result = the_only(write_case(entry | fields, kept | there))
    assert result.status is Status.FAILED
    assert said in result.detail


def test_unknown_class_is_not_covered(some_cases):
    folder = some_cases("audio_encoder", "text_encoder")
    content = json.loads((folder / "cases.json").read_text())
    content["cases"][0]["cls"] = "Smell_Encoder"
    (folder / "cases.json").write_text(json.dumps(content))
    results = verify_golden(folder)
    assert [r.status for r in results] == [Status.NOT_COVERED, Status.OK]
    assert "Smell_Encoder" in results[0].detail
    assert not all_verified(results)


def test_names_mean_nothing(tmp_path, some_cases):
    folder = some_cases("cpc_AV_3_t3", "club_inner5", "e2e_AV_small", "cmcm_AT_1")
    content = json.loads((folder / "cases.json").read_text())
    for place, entry in enumerate(content["cases"]):
        (folder / entry["file"]).rename(folder / f"{place}.npz")
        entry["name"] = entry["file"] = f"{place}.npz"
    (folder / "cases.json").write_text(json.dumps(content))
    assert [r.status for r in verify_golden(folder)] == [Status.OK] * 4


def test_shorter_recordings_are_recognized(recorded, write_case):
    entry, arrays = recorded("e2e_AV_small")
    arrays = {key: x for key, x in arrays.items() if "step2/" not in key}
    entry = entry | {"arrays": {}, "cls": "full AV pretraining step x2"}
    assert the_only(write_case(entry, arrays)).status is Status.OK


def test_truncated_file_fails_by_name_and_the_others_still_run(some_cases):
    folder = some_cases("audio_encoder", "text_encoder", "audio_decoder")
    broken = folder / "audio_encoder.npz"
    broken.write_bytes(broken.read_bytes()[:900])
    (folder / "text_encoder.npz").unlink()
    results = {r.name: r for r in verify_golden(folder)}
    assert results["audio_decoder"].status is Status.OK
    for name in ("audio_encoder", "text_encoder"):
        assert results[name].status is Status.FAILED
        assert f"{name}.npz" in results[name].detail


def test_file_with_objects_is_not_unpickled(recorded, write_case, tmp_path):
    class Touch:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    entry, arrays = recorded("audio_encoder")
    result = the_only(write_case(entry, arrays | {"out/y": np.array([Touch()], dtype=object)}))
    assert result.status is Status.FAILED
    assert "arrays.npz" in result.detail
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [None, "{", "[]", '{"cases": []}', '{"cases": [{"name": 1}]}'])
def test_unreadable_list_of_cases(tmp_path, content):
    if content is not None:
        (tmp_path / "cases.json").write_text(content)
    with pytest.raises(DataError, match=r"cases\.json"):
        verify_golden(tmp_path)
