"""Official checkpoints: names, sizes and round trips in memory."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cmg.codebook import CodebookOptions
from cmg.errors import CheckpointError
from cmg.interop.architecture import Architecture, infer_architecture
from cmg.interop.extras import fresh_extras
from cmg.interop.form import require_official_form
from cmg.interop.layout import state_tensors
from cmg.interop.names import NameMap
from cmg.interop.official import (
    OfficialCheckpoint,
    export_official,
    import_official,
    read_official,
    renamed_tensors,
)
from cmg.models.options import ModelOptions
from cmg.models.published import (
    AS_CODED_RESET,
    published_audio,
    published_model,
    published_options,
    published_text,
    published_video,
)
from cmg.models.unified import UnifiedModel
from cmg.objectives import CLUBOptions, CrossCPCOptions, ObjectiveOptions, WeightedObjectives

CASES = Path(__file__).parents[1] / "golden" / "cases"
TINY = CASES / "tiny_official_AVT.pt"
KEYS = json.loads((CASES / "official_checkpoint_keys.json").read_text())
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
    return WeightedObjectives(list(model.modalities.values()), model.options.width, options)


def small_official(cpc: CrossCPCOptions | None = None, layers: int = 3) -> dict[str, Tensor]:
    """An audio-text file of unusual sizes and depths."""
    options = published_options(width=12, codes=6)
    temporal = options.temporal.model_copy(update={"layers": layers, "hidden": 20})
    model = UnifiedModel(
        [published_audio(5, 7), published_text(9, 8, 3)],
        options.model_copy(update={"temporal": temporal}),
    )
    objectives = objectives_of(model, cpc, club_hidden=4)
    architecture = Architecture(list(model.modalities.values()), model.options, objectives.chosen)
    return export_official(model, objectives, fresh_extras(architecture, seed=0))


# ---- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", MODALITIES)
def test_every_official_tensor_has_its_place_at_its_size(variant):
    with torch.device("meta"):
        model = published_model(*MODALITIES[variant])
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


def test_audio_text_file_has_text_in_the_video_slot():
    names = NameMap(["audio", "text"])
    ours = names.ours("CPC_parameters/video_predictors.0.weight")
    assert ours == "objectives.cross_cpc.predictors.text.0.weight"


@pytest.mark.parametrize("modalities", [["video", "text"], ["audio"], ["audio", "touch"]])
def test_modalities_without_an_official_form(modalities):
    with pytest.raises(CheckpointError, match="audio-video-text"):
        NameMap(modalities)


CORRECTED = {"kind": "shared", "ema": {"initial_count": 0.0, "correction": True}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"projection": "gated"}, "model.projection is 'gated', there it is 'none'"),
        ({"teacher": 0.9}, "model.teacher is 0.9, there it is 0.0"),
        ({"temporal": {"shared": True}}, "model.temporal.shared is True, there it is False"),
        ({"codebook": CORRECTED}, "corrected averages has no official form"),
        ({"codebook": {"kind": "learned"}}, "a codebook of kind learned"),
    ],
)
def test_parts_that_the_release_has_not(changes, told):
    given = published_options().model_dump() | changes
    options = ModelOptions.model_validate(given)
    with pytest.raises(CheckpointError, match=re.escape(told)):
        require_official_form([published_audio(), published_video()], options)


# ---- import and export ------------------------------------------------------------------------


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


def test_idle_counts_per_modality_and_back():
    checkpoint = read_official(TINY)
    imported = import_official(checkpoint)
    name = "Encoder_parameters/Cross_quantizer.unactivated_count"
    assert imported.model.codebook.idle.tolist() == 3 * [checkpoint.tensors[name].tolist()]
    imported.model.codebook.idle[1, 0] = 0
    imported.model.codebook.idle[2, 0] = 77
    exported = export_official(imported.model, imported.objectives, imported.extras)
    assert exported[name][0] == 0


def test_idle_counts_of_an_unheard_modality_have_no_say():
    """A code that text alone picks is idle in the file, as it is to the reset."""
    idle = torch.tensor([[5, 9], [7, 8], [0, 0]])
    reset = AS_CODED_RESET.model_copy(update={"unheard": ("text",)})
    book = CodebookOptions(size=2, reset=reset)
    names = NameMap(["audio", "video", "text"])
    found = renamed_tensors({"model.codebook.idle": idle}, names, book)
    assert found["Encoder_parameters/Cross_quantizer.unactivated_count"].tolist() == [5.0, 8.0]


def test_export_does_not_share_memory():
    imported = import_official(read_official(TINY))
    exported = export_official(imported.model, imported.objectives, imported.extras)
    name = "Encoder_parameters/Cross_quantizer.embedding"
    exported[name].zero_()
    assert bool(imported.model.codebook.codes.any())
