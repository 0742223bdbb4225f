"""Files of successors as run folders: of recorded weights, at published sizes, and damaged ones."""

import json
from pathlib import Path

import pytest
import torch

from cmg.config.load import load_config
from cmg.errors import CheckpointError, ConfigError
from cmg.golden.cases import read_case, read_records
from cmg.interop.codaar import CODAAR, UNUSED, infer_codaar
from cmg.interop.fcid import FCID
from cmg.interop.layout import build
from cmg.interop.srcid import SRCID
from cmg.recipes.convert import convert_to_official, convert_to_run
from cmg.runs.checkpoint import load_model, read_checkpoint
from cmg.types import Batch

ZOO = Path(__file__).parents[1] / "golden" / "zoo"
CASES = {r.name: r for r in read_records(ZOO)}
NAMES = {"AV": ("video", "audio"), "AVT": ("video", "audio", "text")}


def recorded(case):
    """The state dicts of the recorded initial weights."""
    sections: dict[str, dict] = {}
    for full, tensor in read_case(CASES[case]).params.items():
        section, _, name = full.partition("/")
        sections.setdefault(section, {})[name] = tensor
    return sections


def content_of(kind):
    """A CoDAAR file of recorded weights."""
    rest = {"epoch": 4, "total_step": 12, "optimizer": {"state": {}}}
    return recorded(f"codaar_step_{kind}") | rest


SAVED = {
    "SRCID": ("srcid_step_warmstart_and_full", ("Encoder_parameters", "Text_ar_lstm_parameters")),
    "FCID": ("fcid_step_small", ("Encoder_parameters",)),
    "MICU": ("micu_step_small", ("Encoder_parameters", "Text_ar_lstm_parameters")),
}
"""Recorded weights of other releases, and the state dicts that their files hold."""


def saved_by(release):
    """A file as the scripts of a release write it."""
    case, parts = SAVED[release]
    sections = recorded(case)
    return {part: sections[part] for part in parts} | {"epoch": 4, "total_step": 2000}


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
        extras, absent = CODAAR.load(tensors, *build(architecture))
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


# ---- SRCID, FCID and MICU ----------------------------------------------------------------------


def step_of(release):
    """The recorded first batch of a release."""
    case = read_case(CASES[SAVED[release][0]])
    return case, Batch({m: case.array(f"in/step0/{m}") for m in ("video", "audio", "text")})


@pytest.mark.parametrize("release", SAVED)
def test_a_file_of_a_release_gives_what_its_heads_saw(cmg, written, tmp_path, release):
    named = ["--release", "micu"] if release == "MICU" else []
    file = written(saved_by(release))
    said = cmg("convert", file, "--out", tmp_path / "run", *named, "--json")
    assert said.code == 0, said.err
    assert said.json["kind"] == f"{release} AVT"
    assert said.json["dtype"] == "float64"
    model = load_model(tmp_path / "run")
    case, batch = step_of(release)
    looked_up = model.codebook.lookup(model.semantics(batch)).vectors
    checked = 0
    for m, vectors in looked_up.items():
        for key in (f"{m}_cat", f"{m}_split", f"{m}_vq"):
            if (name := f"out/eval_before/{key}") in case.arrays:
                torch.testing.assert_close(vectors, case.array(name), rtol=0, atol=1e-12)
                checked += 1
    assert checked == {"SRCID": 3, "FCID": 2, "MICU": 3}[release]
    if release == "FCID":  # every word has its clip's code
        clip = case.array("out/eval_before/text_clip")
        torch.testing.assert_close(looked_up["text"][:, 0], clip, rtol=0, atol=1e-12)
    if release == "MICU":  # code 0 is zeroed where it is used, and kept in the file
        book = model.codebook
        assert book.codes[0].abs().sum() > 0
        assert book.table("audio")[0].abs().sum() == 0
    told = read_checkpoint(tmp_path / "run").config
    assert told.model.second == model.options.second
    if release == "MICU":  # its form is Uni-Code's
        convert_to_official(tmp_path / "run", tmp_path / "back.pt")
        back = torch.load(tmp_path / "back.pt", weights_only=True)["Encoder_parameters"]
        for name, tensor in saved_by("MICU")["Encoder_parameters"].items():
            assert torch.equal(back[name], tensor), name
        return
    with pytest.raises(CheckpointError, match="no official form"):
        convert_to_official(tmp_path / "run", tmp_path / "back.pt")


@pytest.mark.parametrize("files", [SRCID, FCID], ids=lambda files: files.name)
def test_the_method_has_the_sizes_of_the_published_files(files):
    """Every tensor of a file of published size has its place, and the method file its options."""
    told = json.loads((ZOO / "zoo_checkpoint_keys.json").read_text())[files.name]
    tensors = {
        f"{section}/{name}": torch.empty(shape, device="meta")
        for section, part in told.items()
        for name, shape, _ in part.get("entries", ())
    }
    architecture = files.infer(tensors, 7, 0.1)
    with torch.device("meta"):
        extras, absent = files.load(tensors, *build(architecture))
    assert all(".encoder_layer." in name for name in extras)
    needed = {n for n in absent if n.startswith("model.") and "decoder" not in n}
    assert all(n.startswith(files.unused) for n in needed)
    names = ",".join(m.name for m in architecture.modalities)
    given = [f"method={files.method}", f"data.modalities=[{names}]"]
    config = load_config("own-data", given)
    own, coded = config.model.model_dump(), architecture.model.model_dump()
    assert {key: own[key] for key in coded} == coded


@pytest.mark.parametrize(
    ("release", "change", "said"),
    [
        ("SRCID", changed(f"{BOOK}embedding", lambda x: x[:1]), "1 layers of codes; SRCID"),
        ("SRCID", changed(f"{BOOK}ema_count", None), "no tensor '.*ema_count', which SRCID"),
        (
            "SRCID",
            changed(f"{ENCODER}audio_self_att_2.affine_matrix.weight", lambda x: x[:, :-1]),
            r"affine_matrix.*' has shape \[8, 6\]; this model has \[8, 7\]",
        ),
        ("SRCID", changed(f"{ENCODER}Text_encoder_2.input_linear.bias", None), "no tensor"),
        (
            "FCID",
            changed(f"{ENCODER}t2vat.linear.weight", lambda x: x[:-1]),
            r"t2vat.* has shape \[7, 8\]; this model has \[8, 8\]",
        ),
        (
            "FCID",
            changed(f"{ENCODER}Cross_quantizer_coarse.embedding", None),
            "no tensor 'Encoder_parameters/Cross_quantizer_coarse.embedding'",
        ),
        (
            "FCID",
            changed(f"{ENCODER}v_self_att.encoder.layers.0.linear1.weight", None),
            "no tensor 'Encoder_parameters/v_self_att.encoder.layers.0.linear1.weight'",
        ),
        ("FCID", changed(f"{ENCODER}F2C.weight", lambda _: torch.zeros(2)), "'.*F2C.weight' is no"),
        ("FCID", lambda content: content.update(Text_ar_lstm_parameters={}), "is none of"),
    ],
)
def test_contradictions_of_other_releases_are_named(written, tmp_path, release, change, said):
    content = saved_by(release)
    change(content)
    with pytest.raises(CheckpointError, match=said):
        convert_to_run(written(content), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_whose_file_it_is_may_not_be_said_wrongly(written, tmp_path):
    with pytest.raises(CheckpointError, match="is a FCID file by its tensors, and not micu"):
        convert_to_run(written(saved_by("FCID")), tmp_path / "run", release="micu")
    with pytest.raises(ConfigError, match="only micu has to be said"):
        convert_to_run(written(saved_by("FCID")), tmp_path / "run", release="fcid")
