"""The recorded official file, files cut from it, and tiny runs of every official kind."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from tests.paired import paired_store

from cmg.config.load import load_config
from cmg.types import Kind, Modality

TINY = Path(__file__).parents[1] / "golden" / "cases" / "tiny_official_AVT.pt"
NAMES = {
    "AVT": ["audio", "video", "text"],
    "AV": ["audio", "video"],
    "AT": ["audio", "text"],
}


@pytest.fixture(scope="session")
def tiny():
    """Path of the recorded file."""
    return TINY


@pytest.fixture
def content():
    """What the recorded file holds, fresh for every test."""
    return torch.load(TINY, weights_only=True)


def rewritten(section, keep):
    return OrderedDict((name, tensor) for name, tensor in section.items() if keep(name))


@pytest.fixture
def cut(content):
    """The recorded file cut down to an AV or AT file, by what METHOD section 7 says of those."""

    def make(kind):
        gone = {"AV": "text", "AT": "video"}[kind]
        for section in ("Encoder_parameters", "Decoder_parameters"):
            content[section] = rewritten(content[section], lambda n: gone not in n.lower())
        cpc = rewritten(content["CPC_parameters"], lambda n: gone not in n)
        if kind == "AT":  # text sits in the slot `video`, which comes first
            cpc = {n.replace("text_", "video_"): t for n, t in cpc.items()}
            slots = ("video_ar", "audio_ar", "video_p", "audio_p")
            cpc = {n: cpc[n] for slot in slots for n in cpc if n.startswith(slot)}
        content["CPC_parameters"] = OrderedDict(cpc)
        if kind == "AV":  # here the audio comes first, as in the authors' class
            for part in ("Encoder_parameters", "Decoder_parameters"):
                first = [n for n in content[part] if n.startswith("Audio_")]
                rest = [n for n in content[part] if not n.startswith("Audio_")]
                content[part] = OrderedDict((n, content[part][n]) for n in first + rest)
        for name in [n for n in content if n.startswith("optimizer")]:
            del content[name]
        return content

    return make


@pytest.fixture
def saved(tmp_path):
    """Write a content with torch.save."""

    def write(content, name="file.pt"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


MODALITIES = [
    Modality(name="audio", kind=Kind.VECTORS, shape=(6,)),
    Modality(name="video", kind=Kind.MAPS, shape=(5, 5, 8)),
    Modality(name="text", kind=Kind.TOKENS, shape=(7,)),
]


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """12 + 6 clips of 6 steps, of all three modalities."""
    path = tmp_path_factory.mktemp("data") / "store"
    paired_store(path, MODALITIES, {"train": 12, "test": 6}, steps=6, classes=3)
    return path


RUNS = {"AVT": "audio-video-text", "AV": "audio-video", "AT": "audio-text"}
OVERRIDES = [
    "data.batch_size=6",
    "model.width=8",
    "model.temporal.hidden=16",
    "model.codebook.size=9",
    "objectives.club={hidden: 4}",
    "training.epochs=2",
    "training.threads=1",
    "training.tensorboard=false",
]


@pytest.fixture
def as_coded(store):
    """A named run of the release, on the tiny store and at tiny widths."""

    def make(kind, *overrides):
        names = NAMES[kind]
        widths = ", ".join(f"{m}: 6" for m in names)
        hidden = "{text: 4}" if "text" in names else "{}"
        return load_config(
            RUNS[kind],
            [
                f"data.store={store}",
                *OVERRIDES,
                f"model.detail_width={{{widths}}}",
                f"model.token_hidden={hidden}",
                *overrides,
            ],
        )

    return make
