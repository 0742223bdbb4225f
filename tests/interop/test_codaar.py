"""Files of CoDAAR as run folders: of recorded weights, at published sizes, and damaged ones."""

import json
from pathlib import Path

import pytest
import torch

from cmg.errors import CheckpointError
from cmg.golden.cases import read_case, read_records
from cmg.interop.codaar import UNUSED, infer_codaar, load_codaar
from cmg.interop.layout import build
from cmg.recipes.convert import convert_to_official, convert_to_run
from cmg.runs.checkpoint import load_model, read_checkpoint
from cmg.types import Batch

ZOO = Path(__file__).parents[1] / "golden" / "zoo"
CASES = {r.name: r for r in read_records(ZOO)}
NAMES = {"AV": ("video", "audio"), "AVT": ("video", "audio", "text")}


def content_of(kind):
    """A file of the recorded initial weights."""
    sections: dict[str, dict] = {}
    for full, tensor in read_case(CASES[f"codaar_step_{kind}"]).params.items():
        section, _, name = full.partition("/")
        sections.setdefault(section, {})[name] = tensor
    return sections | {"epoch": 4, "total_step": 12, "optimizer": {"state": {}}}


@pytest.fixture
def written(tmp_path):
    def write(content, name="file.pt"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


@pytest.mark.parametrize("kind", NAMES)
def test_a_converted_file_gives_the_recorded_rows(written, tmp_path, kind):
    told = convert_to_run(written(content_of(kind)), tmp_path / "run")
    assert (told["kind"], told["epoch"], told["dtype"]) == (f"CoDAAR {kind}", 4, "float64")
    assert told["absent"] == ["model.detail"]  # what CLUB would see of maps
    model = load_model(tmp_path / "run")
    assert tuple(model.modalities) == NAMES[kind]
    case = read_case(CASES[f"codaar_step_{kind}"])
    batch = Batch({m: case.array(f"in/step0/{m}") for m in NAMES[kind]})
    with torch.no_grad():
        rows = model.quantize(model.represent(batch)).vectors
    for m, row in rows.items():
        torch.testing.assert_close(row, case.array(f"out/eval_before/{m}_row"), rtol=0, atol=1e-12)
    config = read_checkpoint(tmp_path / "run").config
    assert config.data.modalities == NAMES[kind]
    assert config.model.codebook.alignment == "sequential"
    assert config.objectives.club is None
    with pytest.raises(CheckpointError, match=r"a codebook of kind tied.* has no official form"):
        convert_to_official(tmp_path / "run", tmp_path / "back.pt")


def test_a_file_for_inference_is_one(written, tmp_path):
    content = content_of("AV")
    kept = {name: content[name] for name in ("Encoder_parameters", "epoch")}
    told = convert_to_run(written(kept), tmp_path / "run", dtype="float32")
    assert told["absent"] == ["model.decoder", "model.detail"]
    assert load_model(tmp_path / "run").dtype == torch.float32


@pytest.mark.parametrize("kind", NAMES)
def test_names_and_shapes_at_published_sizes(kind):
    keys = json.loads((ZOO / "zoo_checkpoint_keys.json").read_text())[f"CoDAAR_{kind}"]
    tensors = {
        f"{section}/{name}": torch.empty(shape, device="meta")
        for section, told in keys.items()
        for name, shape, _ in told.get("entries", ())
    }
    architecture = infer_codaar(tensors)
    assert architecture.model.codebook.size == 800
    assert architecture.model.width == 256
    assert [m.detail_width for m in architecture.modalities] == [2048, 256, 256][: len(NAMES[kind])]
    with torch.device("meta"):
        extras, absent = load_codaar(tensors, *build(architecture))
    assert all(name.startswith(UNUSED) for name in absent)
    assert all("semantic_decoder" in name or ".encoder_layer." in name for name in extras)


def changed(name, value):
    def change(content):
        section, _, key = name.partition("/")
        old = content[section].pop(key, None)
        if value is not None:
            content[section][key] = value(old)

    return change


ENCODER, BOOK = "Encoder_parameters/", "Encoder_parameters/Cross_quantizer."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed(f"{BOOK}ema_count_a", None), "no tensor 'Encoder.*ema_count_a'"),
        (changed(f"{BOOK}embedding", lambda x: x[:, :-2]), "rows of width 14; 2 modalities.*16"),
        (changed(f"{BOOK}ema_weight", lambda x: x[:-1]), "'Encoder.*' has shape .* this model has"),
        (
            changed(f"{ENCODER}Audio_encoder.audio_linear.bias", None),
            "no tensor 'Encoder.*audio_linear.bias'",
        ),
        (
            changed("Decoder_parameters/Audio_decoder.audio_rec.bias", lambda x: x[:-1]),
            r"audio_rec.bias' has shape \[5\]; this model has \[6\]",
        ),
        (
            changed(f"{ENCODER}Text_encoder.text_linear.bias", lambda _: torch.zeros(2)),
            "'Encoder.*Text_encoder.*' is no tensor",
        ),
        (
            changed(f"{ENCODER}video_self_att.affine_matrix.bias", lambda x: x.long()),
            "no floating-point tensor",
        ),
        (
            changed(
                f"{ENCODER}video_semantic_encoder.spatial_conv_stack.1.num_batches_tracked",
                lambda x: x.double(),
            ),
            "no whole-number tensor",
        ),
        (changed(f"{BOOK}embedding", lambda x: x.fill_(torch.nan)), "NaN"),
        (lambda content: content.update(Jigsaw_parameters={}), "'Jigsaw_parameters' is none of"),
        (lambda content: content.pop("epoch"), "'epoch' and 'total_step' must be"),
        (lambda content: content.update(Decoder_parameters=3), "is no state dict"),
    ],
)
def test_what_contradicts_itself_is_named_and_nothing_is_written(written, tmp_path, change, said):
    content = content_of("AV")
    change(content)
    with pytest.raises(CheckpointError, match=said):
        convert_to_run(written(content), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_of_another_release_is_not_taken_for_one(written, tmp_path):
    content = content_of("AV")
    for name in [n for n in content["Encoder_parameters"] if "spatial_conv_stack" in n]:
        del content["Encoder_parameters"][name]
    with pytest.raises(CheckpointError, match="official"):
        convert_to_run(written(content), tmp_path / "run")
