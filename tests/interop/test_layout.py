"""Key lists and sizes: the release's full-size file, and files that are none."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cmg.errors import CheckpointError
from cmg.interop.architecture import infer_architecture
from cmg.interop.layout import (
    build,
    check_shapes,
    check_tensor_names,
    official_layout,
    state_tensors,
)
from cmg.interop.names import NameMap
from cmg.interop.official import OfficialCheckpoint, import_official, read_official
from cmg.models.published import (
    published_audio,
    published_options,
    published_text,
    published_video,
)

LISTED = Path(__file__).with_name("official_keys.tsv")
ENCODER, DECODER = "Encoder_parameters", "Decoder_parameters"


def listed() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the released checkpoint, 266 rows; every one of them is float64."""
    with LISTED.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert {row["dtype"] for row in rows} == {"float64"}
    return {
        f"{row['section']}/{row['name']}": tuple(int(n) for n in row["shape"].split("x"))
        for row in rows
    }


def on_meta(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {n: torch.empty(s, dtype=torch.float64, device="meta") for n, s in shapes.items()}


# ---- the released file ------------------------------------------------------------------------


def test_every_key_of_the_released_checkpoint_is_accounted_for_both_ways():
    shapes = listed()
    assert len(shapes) == 266
    tensors = on_meta(shapes)
    check_tensor_names(tensors)
    check_shapes(tensors)
    architecture = infer_architecture(tensors)
    assert architecture.modalities == [published_audio(), published_video(), published_text()]
    assert architecture.model == published_options()
    names = NameMap(["audio", "video", "text"])
    with torch.device("meta"):
        ours = state_tensors(*build(architecture))
    used = {ours_name: name for name in shapes if (ours_name := names.ours(name)) is not None}
    assert used.keys() == ours.keys()
    for own, official in used.items():
        shape = tuple(ours[own].shape)
        assert (shape[1:] if own == "model.codebook.idle" else shape) == shapes[official]
    extras = [name for name in shapes if names.ours(name) is None]
    assert len(extras) == 3 * 12 + 3 * 4
    assert all(".encoder_layer." in n or "_semantic_decoder." in n for n in extras)


def test_layout_of_the_paper_s_model_is_the_released_list_in_its_order():
    architecture = infer_architecture(on_meta(listed()))
    layout, rows = official_layout(architecture), listed()
    for section in {name.partition("/")[0] for name in rows}:
        own = [(n, s) for n, s in layout.items() if n.startswith(f"{section}/")]
        assert own == [(n, s) for n, s in rows.items() if n.startswith(f"{section}/")]
    assert len(layout) == len(rows)


# ---- other key sets ---------------------------------------------------------------------------


def refusal(content, saved, name="file.pt") -> str:
    path = saved(content, name)
    with pytest.raises(CheckpointError) as caught:
        read_official(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_first_unknown_and_missing_tensors_are_named(content, saved):
    encoder = content[ENCODER]
    encoder["Smell_encoder.weight"] = encoder.pop("Audio_encoder.audio_linear.weight")
    encoder["Touch_encoder.weight"] = torch.zeros(3)
    said = refusal(content, saved)
    assert f"first unknown '{ENCODER}/Smell_encoder.weight' (and 1 more)" in said
    assert f"missing '{ENCODER}/Audio_encoder.audio_linear.weight'" in said
    assert "FCID" not in said


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (["Decoder_parameters"], "missing 'Decoder_parameters'"),
        (["epoch"], "missing 'epoch'"),
        (["Encoder_parameters"], "missing 'Encoder_parameters'"),
        (["CPC_parameters", "Video_mi_net_parameters"], "missing 'CPC_parameters', 'Video_mi"),
    ],
)
def test_file_without_one_of_its_parts_is_refused(content, saved, gone, said):
    for name in gone:
        del content[name]
    assert said in refusal(content, saved)


def test_inference_file_of_text_needs_the_text_lstm_and_no_entry_more(content, saved):
    said = refusal({name: content[name] for name in (ENCODER, "epoch")}, saved)
    assert "missing 'Text_ar_lstm_parameters/weight_ih_l0'" in said
    assert "first unknown 'Discriminator'" in refusal(content | {"Discriminator": {}}, saved)


@pytest.mark.parametrize("modality", ["video", "text"])
def test_unequal_depths_are_refused(content, saved, modality):
    content[ENCODER][f"{modality}_self_att.encoder.layers.2.norm1.bias"] = torch.zeros(8)
    assert "layers.2" in refusal(content, saved)


def test_a_good_file_may_have_any_name(content, saved):
    assert read_official(saved(content, "FCID.pt")).epoch == 3


# ---- contradictions ---------------------------------------------------------------------------

CONTRADICTIONS = [
    # section, tensor, its false shape, the tensor it contradicts
    (ENCODER, "Cross_quantizer.embedding", (13, 12), "audio_self_att.affine_matrix.weight"),
    (ENCODER, "text_self_att.affine_matrix.weight", (12, 8), "Cross_quantizer.embedding"),
    (ENCODER, "Cross_quantizer.ema_count", (14,), "Cross_quantizer.embedding"),
    (ENCODER, "Cross_quantizer.unactivated_count", (3, 13), "Cross_quantizer.embedding"),
    (ENCODER, "Text_encoder.text_linear.weight", (7, 9), "weight_hh_l0"),
    (ENCODER, "Audio_encoder.audio_linear.bias", (3,), "Audio_encoder.audio_linear.weight"),
    (ENCODER, "video_semantic_encoder.se_layer.0.weight", (2, 8), "conv_stack.0.weight"),
    (ENCODER, "video_self_att.encoder.layers.1.linear1.bias", (9,), "layers.0.linear1.weight"),
    ("Text_ar_lstm_parameters", "weight_ih_l1", (16, 9), "weight_hh_l0"),
    ("CPC_parameters", "audio_predictors.0.weight", (8, 9), "video_ar_lstm.weight_hh_l0"),
    ("CPC_parameters", "text_predictors.0.bias", (9,), "Cross_quantizer.embedding"),
    ("Video_mi_net_parameters", "p_mu.6.weight", (9, 4), "conv_stack.0.weight"),
    ("Text_mi_net_parameters", "p_logvar.2.weight", (4, 5), "Audio_mi_net_parameters/p_mu.0"),
    (DECODER, "Text_decoder.text_linear.weight", (6, 8), "Text_encoder.text_linear.weight"),
    (DECODER, "Video_decoder.inverse_conv_block.0.weight", (21, 6, 3, 3), "conv_stack.2.weight"),
    (DECODER, "text_semantic_decoder.event_classifier.bias", (7,), "event_classifier.weight"),
]


@pytest.mark.parametrize(("section", "name", "shape", "other"), CONTRADICTIONS)
def test_contradiction_names_both_tensors_and_their_shapes(
    content, saved, section, name, shape, other
):
    true = list(content[section][name].shape)
    content[section][name] = torch.zeros(shape, dtype=torch.float64)
    said = refusal(content, saved)
    assert "contradict each other" in said
    assert name in said
    assert str(list(shape)) in said
    assert other in said, said
    if "affine_matrix" not in name and name != "Cross_quantizer.embedding":
        assert str(true) in said


def test_kernel_of_another_size_is_told_from_the_release_s(content, saved):
    content[ENCODER]["Video_encoder.conv_stack.2.weight"] = torch.zeros(12, 6, 5, 5)
    said = refusal(content, saved)
    assert "official files have [12, 6, 3, 3] there" in said


def test_width_that_the_heads_do_not_divide(content, saved):
    encoder = content[ENCODER]
    for m in ("audio", "video", "text"):
        old = encoder[f"{m}_self_att.affine_matrix.weight"]
        encoder[f"{m}_self_att.affine_matrix.weight"] = torch.zeros(10, old.shape[1])
    encoder["Cross_quantizer.embedding"] = torch.zeros(13, 10)
    assert "4 attention heads" in refusal(content, saved)


@pytest.mark.parametrize("shape", [(0, 8), (13, 8, 1), (13,)])
def test_codes_without_data_or_with_other_axes(content, saved, shape):
    content[ENCODER]["Cross_quantizer.embedding"] = torch.zeros(shape)
    said = refusal(content, saved)
    assert "Cross_quantizer.embedding" in said
    assert str(list(shape)) in said


def test_moments_of_another_shape_than_their_parameter(content, saved):
    content["optimizer"]["state"][0]["exp_avg"] = torch.zeros(3)
    said = refusal(content, saved)
    assert "Text_ar_lstm_parameters/weight_ih_l0" in said
    assert "[3]" in said
    assert "[16, 10]" in said


@pytest.mark.parametrize(
    "state",
    [
        [],
        {"state": {}},
        {"state": {0: {"step": 1}}, "param_groups": []},
        {"state": {}, "param_groups": [{"lr": torch.zeros(1)}]},
    ],
)
def test_something_else_in_the_place_of_an_optimizer_state(content, saved, state):
    content["optimizer_text_mi_net"] = state
    assert "no state of an Adam" in refusal(content, saved)


def test_state_of_a_parameter_that_does_not_exist(content, saved):
    content["optimizer"]["state"][214] = content["optimizer"]["state"][0]
    assert "parameter 214" in refusal(content, saved)


@pytest.mark.parametrize("epoch", [-1, 2.5, "five", True, None])
def test_epoch_that_is_none(content, saved, epoch):
    content["epoch"] = epoch
    assert "'epoch'" in refusal(content, saved)


def test_import_checks_shapes_where_no_file_was_read(content):
    tensors = {f"{ENCODER}/{n}": t for n, t in content[ENCODER].items()}
    lstm = content["Text_ar_lstm_parameters"]
    tensors |= {f"Text_ar_lstm_parameters/{n}": t for n, t in lstm.items()}
    assert import_official(OfficialCheckpoint(tensors)).model.size == 13
    tensors[f"{ENCODER}/Cross_quantizer.ema_count"] = torch.zeros(2)
    with pytest.raises(CheckpointError, match="contradict"):
        import_official(OfficialCheckpoint(tensors))
