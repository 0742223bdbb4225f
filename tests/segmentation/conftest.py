"""Small clips with frames, masks and queries, and a small frozen model that reads the queries."""

from zlib import crc32

import numpy as np
import pytest
import torch
from PIL import Image

from cmg.data.frames import FramedClip
from cmg.data.inmemory import write_store
from cmg.models.unified import UnifiedModel
from cmg.segmentation.clips import MaskedClips
from cmg.segmentation.model import Segmenter
from cmg.segmentation.options import SegmentationTraining, SegmenterOptions
from cmg.segmentation.queries import CodeQueries
from cmg.types import Kind, Modality

SIDE, FRAMES = 32, 3
SMALL = SegmenterOptions(backbone="pvt_v2_b0", channels=4, stages=(1, 3))
QUICK = SegmentationTraining(epochs=2, batch_size=2, side=SIDE, test_batch_size=2, lr=1e-3)


def draw_clip(folder, name, split, kind, masks):
    """A bright square on the left or the right, the mask of which the kind decides."""
    rng = np.random.default_rng(crc32(f"{name}, {kind}".encode()))
    frames, drawn = [], []
    for t in range(FRAMES):
        picture = rng.integers(0, 40, (SIDE, SIDE, 3), dtype=np.uint8)
        picture[8:24, 2 + t : 14 + t, 0] = 220
        picture[8:24, 18 - t : 30 - t, 2] = 220
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[8:24, (2 + t if kind == "red" else 18 - t) :][:, :12] = 255
        frames.append(folder / "frames" / name / f"{t}.png")
        frames[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(frames[-1])
        if t < masks:
            drawn.append(folder / "masks" / name / f"{t}.png")
            drawn[-1].parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).convert("1").save(drawn[-1])
    return FramedClip(name, split, kind, tuple(frames), tuple(drawn))


@pytest.fixture(scope="session")
def framed(tmp_path_factory):
    """Ten clips of two categories."""
    folder = tmp_path_factory.mktemp("framed")
    splits = ["train"] * 5 + ["val"] * 2 + ["test"] * 3
    return [
        draw_clip(folder, f"c{i}", split, ("red", "blue")[i % 2], 1 if split == "train" else FRAMES)
        for i, split in enumerate(splits)
    ]


@pytest.fixture(scope="session")
def query_store(framed, tmp_path_factory):
    """Sounds of three steps and sentences of two to four words, of the clip's category."""
    rng = np.random.default_rng(0)
    kinds = [2.0 * (clip.category == "red") - 1.0 for clip in framed]
    sound = [k + rng.normal(0, 0.1, (FRAMES, 6)).astype(np.float32) for k in kinds]
    words = [k + rng.normal(0, 0.1, (2 + i % 3, 5)).astype(np.float32) for i, k in enumerate(kinds)]
    return write_store(
        tmp_path_factory.mktemp("queries") / "store",
        {"audio": [x.astype(np.float32) for x in sound], "text": words},
        split=[clip.split for clip in framed],
        ids=[clip.id for clip in framed],
        kinds={"text": Kind.TOKENS},
    )


@pytest.fixture(scope="session")
def frozen():
    """An untrained model of both modalities."""
    from cmg.models.unified import ModelOptions

    options = ModelOptions.model_validate(
        {
            "width": 8,
            "temporal": {"heads": 2, "hidden": 16},
            "codebook": {"size": 16},
        }
    )
    return small_model(options)


def small_model(options):
    modalities = [
        Modality(name="audio", kind=Kind.VECTORS, shape=(6,)),
        Modality(name="text", kind=Kind.TOKENS, shape=(5,), token_hidden=4),
    ]
    return UnifiedModel(modalities, options, seed=0).eval()


@pytest.fixture(scope="session")
def asked(frozen, query_store):
    """Queries of a modality."""
    return lambda modality: CodeQueries(frozen, query_store, modality, steps=6)


@pytest.fixture(scope="session")
def sets(framed):
    """Training, validation and test clips."""
    by = {s: [c for c in framed if c.split == s] for s in ("train", "val", "test")}
    masks = {"train": 1, "val": FRAMES, "test": FRAMES}
    return {s: MaskedClips(by[s], SIDE, FRAMES, masks[s]) for s in by}


@pytest.fixture(scope="session")
def new_segmenter(frozen):
    def make(options=SMALL, seed=0):
        return Segmenter(options, frozen.codebook.width, 6, FRAMES, seed=seed)

    return make


@pytest.fixture(scope="session")
def quick():
    return QUICK


@pytest.fixture(scope="session")
def small_options():
    return SMALL


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
