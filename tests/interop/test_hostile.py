"""Files that want something else: nothing in them runs, nothing is written."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from cmg.errors import CheckpointError
from cmg.interop.official import read_official
from cmg.recipes.convert import convert_to_run


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


class StateSetter:
    """Sets attributes of a harmless object when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (Path, ("x",), {"trace": Call(Path.touch, Path(self.trace))})


BAITS = {
    "os.system": lambda trace: Call(os.system, f"touch {trace}"),
    "subprocess": lambda trace: Call(subprocess.check_call, ["touch", trace]),
    "eval": lambda trace: Call(builtins.eval, f"open({trace!r}, 'w')"),
    "exec": lambda trace: Call(builtins.exec, f"open({trace!r}, 'w')"),
    "open": lambda trace: Call(builtins.open, trace, "w"),
    "getattr": lambda trace: Call(getattr, Path(trace), "touch"),
    "Path.touch": lambda trace: Call(Path.touch, Path(trace)),
    "nested loads": lambda trace: Call(pickle.loads, pickle.dumps(Call(open, trace, "w"))),
    "numpy objects": lambda trace: np.array([Call(open, trace, "w")], dtype=object),
    "torch.load": lambda trace: Call(torch.load, trace),
    "state": StateSetter,
    "import": lambda trace: Call(__import__, "antigravity"),
}


def packed(content, path):
    torch.save(content, path)


def plain(content, path):
    path.write_bytes(pickle.dumps(content, protocol=2))


def legacy(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


def refused(path, tmp_path) -> str:
    out = tmp_path / "out"
    with pytest.raises(CheckpointError) as caught:
        convert_to_run(path, out)
    assert not out.exists()
    assert not list(tmp_path.glob(".*partial*"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("write", "place"),
    [(packed, "weights"), (plain, "weights"), (legacy, "weights"), (packed, "epoch")],
)
@pytest.mark.parametrize("bait", BAITS)
def test_code_in_a_file_is_not_executed(tmp_path, bait, write, place):
    path, trace = tmp_path / "hostile.pt", tmp_path / "executed"
    hostile = BAITS[bait](str(trace))
    small = {"Encoder_parameters": {"x": hostile}} if place == "weights" else {"epoch": hostile}
    write(small, path)
    trace.unlink(missing_ok=True)  # making some baits springs them
    said = refused(path, tmp_path)
    assert not trace.exists()
    assert "nothing in it was executed" in said
    assert "weights_only" not in said  # no advice to trust it
    assert "rusted" not in said


def test_the_baits_work_where_pickle_is_trusted(tmp_path):
    trace = tmp_path / "executed"
    for name in ("os.system", "subprocess", "eval", "exec", "open", "Path.touch", "nested loads"):
        pickle.loads(pickle.dumps(BAITS[name](str(trace))))
        assert trace.exists(), name
        trace.unlink()


def test_code_beside_a_whole_model_is_not_executed(tmp_path, content, saved):
    trace = tmp_path / "executed"
    content["optimizer"]["hook"] = Call(Path.touch, trace)
    said = refused(saved(content), tmp_path)
    assert not trace.exists()
    assert "it asks for getattr" in said  # what a bound method is pickled as


@pytest.mark.parametrize("size", [0, 10, 4000, 2_000_000])
def test_truncated_file(tmp_path, tiny, size):
    path = tmp_path / "short.pt"
    path.write_bytes(tiny.read_bytes()[:size])
    assert "short.pt" in refused(path, tmp_path)


def test_damaged_middle_of_the_archive(tmp_path, tiny):
    path = tmp_path / "damaged.pt"
    data = bytearray(tiny.read_bytes())
    start = data.find(b"Encoder_parameters")
    data[start : start + 200] = bytes(200)
    path.write_bytes(data)
    assert "damaged.pt" in refused(path, tmp_path)


def test_compressed_members_are_refused_before_they_are_read(tmp_path, tiny):
    """A zip bomb: 200 MB of zeros in a few kilobytes."""
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(tiny) as whole, zipfile.ZipFile(path, "w") as bomb:
        for member in whole.infolist():
            data = whole.read(member)
            packing = zipfile.ZIP_DEFLATED if member.filename.endswith("/data/0") else None
            bomb.writestr(member, bytes(200_000_000) if packing else data, packing)
    assert path.stat().st_size < 8_000_000
    said = refused(path, tmp_path)
    assert "compressed" in said


def test_tensor_that_claims_more_than_the_file_holds(tmp_path, content, saved):
    huge = torch.zeros(1, dtype=torch.float64).expand(400_000, 400_000)
    content["Encoder_parameters"]["Cross_quantizer.ema_weight"] = huge
    assert "claims more values" in refused(saved(content), tmp_path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(13, dtype=torch.int64),
        torch.zeros(13).to_sparse(),
        torch.zeros(13, device="meta"),
        torch.zeros(13, dtype=torch.complex64),
        "thirteen",
        None,
    ],
)
def test_something_else_in_the_place_of_a_tensor(tmp_path, content, saved, tensor):
    content["Encoder_parameters"]["Cross_quantizer.ema_count"] = tensor
    assert "Cross_quantizer.ema_count" in refused(saved(content), tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"model": {"weight": torch.zeros(2)}},
        [torch.zeros(2)],
        torch.zeros(2),
        {1: {"a": torch.zeros(2)}},
        {},
        {"Encoder_parameters": torch.zeros(2)},
        {"Encoder_parameters": {"Cross_quantizer.embedding": "four hundred codes"}},
        {"Encoder_parameters": {"a": torch.zeros(2, dtype=torch.int64)}},
        {"Encoder_parameters": {}, "Text_ar_lstm_parameters": {}, "epoch": 1},
    ],
)
def test_foreign_file(tmp_path, saved, content):
    assert "file.pt" in refused(saved(content), tmp_path)


def test_weights_of_parameters_that_ask_for_gradients_are_plain_ones_here(content, saved):
    encoder = content["Encoder_parameters"]
    name = "Audio_encoder.audio_linear.weight"
    encoder[name] = torch.nn.Parameter(encoder[name])
    read = read_official(saved(content)).tensors[f"Encoder_parameters/{name}"]
    assert not read.requires_grad


def test_absent_file_and_folder(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        read_official(tmp_path / "none.pt")
    with pytest.raises(CheckpointError, match="folder"):
        read_official(tmp_path)


def test_zip_of_something_else(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "no tensors here")
    (tmp_path / "other.pt").write_bytes(buffer.getvalue())
    assert "other.pt" in refused(tmp_path / "other.pt", tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("Encoder_parameters", "Cross_quantizer.embedding"),
        ("Encoder_parameters", "Cross_quantizer.ema_count"),
        ("Encoder_parameters", "audio_self_att.affine_matrix.weight"),
        ("Text_ar_lstm_parameters", None),
        ("Audio_mi_net_parameters", None),
        ("Decoder_parameters", None),  # the last ones are extras, which are carried along
        ("optimizer", "exp_avg_sq"),
    ],
)
def test_values_that_are_no_numbers_are_refused_by_name(
    tmp_path, content, saved, section, name, value
):
    if section == "optimizer":
        tensor = content[section]["state"][3][name]
        name = f"optimizers/optimizer/3/{name}"
    else:
        tensor = content[section][name or list(content[section])[-1]]
        name = f"{section}/{name or list(content[section])[-1]}"
    tensor.view(-1)[0] = value
    said = refused(saved(content, "bad.pt"), tmp_path)
    assert f"1 of the {tensor.numel()} values of {name!r} are NaN or infinite" in said
    assert "bad.pt" in said
