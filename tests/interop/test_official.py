"""Official checkpoints: names, sizes, round trips, and files that are none."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cmg.errors import CheckpointError
from cmg.interop import (
    NameMap,
    by_section,
    export_official,
    import_official,
    infer_architecture,
    read_official,
)
from cmg.interop.official import OfficialCheckpoint, state_tensors
from cmg.models.published import (
    audio_text,
    audio_video,
    audio_video_text,
    published_audio,
    published_options,
    published_text,
    published_video,
)
from cmg.models.unified import UnifiedModel
from cmg.objectives import CLUBOptions, CrossCPCOptions, ObjectiveOptions, WeightedObjectives
from cmg.training.state import private_width

CASES = Path(__file__).parents[1] / "golden" / "cases"
TINY = CASES / "tiny_official_AVT.pt"
KEYS = json.loads((CASES / "official_checkpoint_keys.json").read_text())
BUILDERS = {"AVT": audio_video_text, "AV": audio_video, "AT": audio_text}
MODALITIES = {
    "AVT": ["audio", "video", "text"],
    "AV": ["audio", "video"],
    "AT": ["audio", "text"],
}


def listed_shapes(variant: str) -> dict[str, tuple[int, ...]]:
    return {
        f"{section}/{name}": tuple(shape)
        for section, listing in KEYS[variant].items()
        if listing.get("kind") == "state_dict"
        for name, shape, _ in listing["entries"]
    }


def objectives_of(
    model: UnifiedModel, cpc: CrossCPCOptions | None = None, club_hidden: int = 128
) -> WeightedObjectives:
    options = ObjectiveOptions(
        cross_cpc=cpc or CrossCPCOptions(), club=CLUBOptions(hidden=club_hidden)
    )
    widths = {name: private_width(m) for name, m in model.modalities.items()}
    return WeightedObjectives(widths, model.options.width, options)


def small_official(cpc: CrossCPCOptions | None = None, layers: int = 3) -> dict[str, Tensor]:
    """An audio-text file of unusual sizes and depths, without extras."""
    options = published_options(width=12, codes=6)
    temporal = options.temporal.model_copy(update={"layers": layers, "hidden": 20})
    model = UnifiedModel(
        [published_audio(5, 7), published_text(9, 8, 3)],
        options.model_copy(update={"temporal": temporal}),
    )
    return export_official(model, objectives_of(model, cpc, club_hidden=4), {})


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", BUILDERS)
def test_every_official_tensor_has_its_place_at_its_size(variant):
    with torch.device("meta"):
        model = BUILDERS[variant]()
        ours = state_tensors(model, objectives_of(model))
    names = NameMap(list(model.modalities))
    filled, extras = {}, []
    for official, shape in listed_shapes(variant).items():
        name = names.ours(official)
        if name is None:
            extras.append(official)
        elif name == "model.codebook.idle":
            filled[name] = (len(model.modalities), *shape)
        else:
            filled[name] = shape
            assert names.official(name) == official
    assert filled == {name: tuple(tensor.shape) for name, tensor in ours.items()}
    for official in extras:
        absent = [m for m in ("Video", "Text") if m.lower() not in model.modalities]
        assert (
            ".encoder_layer." in official
            or "_semantic_decoder." in official
            or official.startswith(tuple(f"{m}_" for m in absent))
        )


@pytest.mark.parametrize("variant", MODALITIES)
def test_order_of_an_official_file(variant):
    names = NameMap(MODALITIES[variant])
    listed = list(listed_shapes(variant))
    assert sorted(listed, key=names.rank) == listed


def test_audio_text_file_has_text_in_the_video_slot():
    names = NameMap(["audio", "text"])
    ours = names.ours("CPC_parameters/video_predictors.0.weight")
    assert ours == "objectives.cross_cpc.predictors.text.0.weight"


@pytest.mark.parametrize("modalities", [["video", "text"], ["audio"], ["audio", "touch"]])
def test_modalities_without_an_official_form(modalities):
    with pytest.raises(CheckpointError, match="audio-video-text"):
        NameMap(modalities)


# ---- import and export ------------------------------------------------------------------------


def test_round_trip_is_bit_identical_and_in_order():
    checkpoint = read_official(TINY)
    imported = import_official(checkpoint)
    exported = export_official(imported.model, imported.objectives, imported.extras)
    assert imported.absent == []
    assert list(exported) == list(checkpoint.tensors)
    for name, tensor in checkpoint.tensors.items():
        assert exported[name].dtype == tensor.dtype
        assert torch.equal(exported[name], tensor), name
    assert checkpoint.epoch == 3
    assert by_section(exported).keys() == checkpoint.sections.keys()


def test_sizes_are_read_from_the_tensors():
    tensors = small_official(CrossCPCOptions(layers=1, prediction_steps=3, hidden=10))
    architecture = infer_architecture(tensors)
    assert architecture.modalities == [published_audio(5, 7), published_text(9, 8, 3)]
    temporal = architecture.model.temporal
    assert (architecture.model.width, architecture.model.codebook.size) == (12, 6)
    assert (temporal.layers, temporal.hidden) == (3, 20)
    cpc, club = architecture.objectives.cross_cpc, architecture.objectives.club
    assert cpc is not None
    assert club is not None
    assert (cpc.layers, cpc.prediction_steps, cpc.hidden) == (1, 3, 10)
    assert club.hidden == 4


def test_round_trip_of_other_sizes():
    tensors = small_official(CrossCPCOptions(layers=1, prediction_steps=3, hidden=10))
    imported = import_official(OfficialCheckpoint(tensors))
    again = export_official(imported.model, imported.objectives, imported.extras)
    assert list(again) == list(tensors)
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_file_for_inference_only():
    checkpoint = read_official(TINY)
    kept = ("Encoder_parameters/", "Text_ar_lstm_parameters/")
    tensors = {name: x for name, x in checkpoint.tensors.items() if name.startswith(kept)}
    imported = import_official(OfficialCheckpoint(tensors))
    assert {name.split(".")[1] for name in imported.absent} == {"decoder"}
    assert imported.objectives.cross_cpc is None
    assert imported.objectives.club is None
    codes = imported.model.encode({"audio": torch.zeros(1, 2, 6)})
    assert codes["audio"].shape == (1, 2)


def test_import_in_float32():
    imported = import_official(read_official(TINY), torch.float32)
    assert imported.model.dtype is torch.float32
    assert imported.model.codebook.idle.dtype is torch.int64
    assert not imported.model.training


def test_idle_counts_per_modality_and_back():
    checkpoint = read_official(TINY)
    imported = import_official(checkpoint)
    name = "Encoder_parameters/Cross_quantizer.unactivated_count"
    assert imported.model.codebook.idle.tolist() == 3 * [checkpoint.tensors[name].tolist()]
    imported.model.codebook.idle[1, 0] = 0
    imported.model.codebook.idle[2, 0] = 77
    exported = export_official(imported.model, imported.objectives, imported.extras)
    assert exported[name][0] == 0


def test_export_does_not_share_memory():
    imported = import_official(read_official(TINY))
    exported = export_official(imported.model, imported.objectives, imported.extras)
    name = "Encoder_parameters/Cross_quantizer.embedding"
    exported[name].zero_()
    assert bool(imported.model.codebook.codes.any())


def test_published_video_sizes_survive():
    names = ("Encoder_parameters/", "Text_ar_lstm_parameters/")
    shapes = {k: s for k, s in listed_shapes("AVT").items() if k.startswith(names)}
    tensors = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    architecture = infer_architecture(tensors)
    assert architecture.modalities == [published_audio(), published_video(), published_text()]
    assert architecture.model == published_options()


# ---- files that are none ----------------------------------------------------------------------


def tiny_with(**changes: Tensor | None) -> OfficialCheckpoint:
    """The tiny file with tensors of its first section replaced, added or removed."""
    tensors = dict(read_official(TINY).tensors)
    for name, tensor in changes.items():
        full = f"Encoder_parameters/{name}"
        if tensor is None:
            del tensors[full]
        else:
            tensors[full] = tensor
    return OfficialCheckpoint(tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Audio_encoder.audio_linear.bias": torch.zeros(3)}, r"audio_linear\.bias.*\[3\].*\[9\]"),
        ({"Smell_encoder.weight": torch.zeros(3)}, "Smell_encoder"),
        ({"Cross_quantizer.embedding": None}, r"no tensor .*embedding"),
        ({"Cross_quantizer.embedding": torch.zeros(0, 8)}, r"embedding.*\[0, 8\]"),
        ({"Cross_quantizer.ema_count": torch.zeros(13, 1)}, "ema_count"),
        ({"video_self_att.encoder.layers.2.norm1.bias": torch.zeros(8)}, "layers.2"),
    ],
)
def test_tensors_that_make_no_official_model(changes, message):
    with pytest.raises(CheckpointError, match=message):
        import_official(tiny_with(**changes))


def test_absent_file(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_official(tmp_path / "none.pt")


@pytest.mark.parametrize("size", [0, 10, 4000, 2_000_000])
def test_truncated_file(tmp_path, size):
    path = tmp_path / "short.pt"
    path.write_bytes(TINY.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"short\.pt"):
        read_official(path)


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"weight": torch.zeros(2)}},
        [torch.zeros(2)],
        {"Encoder_parameters": torch.zeros(2)},
        {"Encoder_parameters": {"Cross_quantizer.embedding": "four hundred codes"}},
        {"Encoder_parameters": {"a": torch.zeros(2, dtype=torch.int64)}},
    ],
)
def test_foreign_file(tmp_path, content):
    torch.save(content, tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match=r"foreign\.pt"):
        read_official(tmp_path / "foreign.pt")


def test_encoder_of_something_else():
    with pytest.raises(CheckpointError, match="no official Uni-Code encoder"):
        import_official(OfficialCheckpoint({"Encoder_parameters/conv.weight": torch.zeros(2)}))


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def save_plain(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("write", [torch.save, save_plain])
def test_code_in_a_file_is_not_executed(tmp_path, write):
    path, trace = tmp_path / "hostile.pt", tmp_path / "executed"
    content = {"Encoder_parameters": {"x": Touch(trace)}}
    write(content, path)
    with pytest.raises(CheckpointError, match="nothing in it was executed"):
        read_official(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(content))  # the bait works where pickle is trusted
    assert trace.exists()
