"""A small folder in the official layout, written by hand."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

VGGSOUND = "data/data/vggsound40k"
EXTRACTOR = "data/feature_extractor/feature_extractor"
AVE = "data/AVE-ECCV18-master/data"
AVVP = "data/AVVP"
AVE_AVVP = "data/AVE_AVVP"

AVEL = """category,video_id,split
rope skipping,Jda4WQN5uR0,train
"playing violin, fiddle",vvvvvvvvvvv,val
rope skipping,L1k7uKjomPc,train
playing flute,k5agnFosRKQ,test
playing flute,nofeature__,train
"""
CATEGORIES = "playing flute\nplaying violin, fiddle\nrope skipping"  # no newline at the end
UCF_NAMES = "rope skipping\nplaying frisbee\nplaying flute", "JumpRope\nFrisbeeCatch\nPlayingFlute"
ANNOTATIONS = """Church bell&RUhOCu3LNXM&good&0&10
Church bell&MH3m4AwEcRY&good&6&8
Church bell&VWi2ENBuTbw&good&0&0
Bark&MH3m4AwEcRY&good&2&4
Violin, fiddle&2An2JMGMbbs&good&9&10
Bark&lllllllllll&good&0&1
"""
HEADED = "Category&VideoID&Quality&StartTime&EndTime\n" + ANNOTATIONS
AUDIO_EVENTS = """filename\tonset\toffset\tevent_labels
4YdbENYcIyE_23_33\t0\t4\tBaby_cry_infant_cry
KSRjje7GH44_60_70\t8,0\t10,8\tBlender,Speech
IgN7v8nWmx8_30_40\t0,5,0,6,9\t1,9,5,8,10\tSpeech,Speech,Violin_fiddle,Violin_fiddle,Violin_fiddle
P7x4FV4lg_570_580\t9\t9\tSpeech
"""
VISUAL_EVENTS = """filename\tonset\toffset\tevent_labels
4YdbENYcIyE_23_33\t0\t10\tBaby_cry_infant_cry
KSRjje7GH44_60_70\t9,0\t0,2\tBlender,Blender
"""
SHARED_EVENTS = (
    "filename\tonset\toffset\tevent_labels\n4YdbENYcIyE_23_33\t2\t4\tBaby_cry_infant_cry\n"
)


def write_zip(path: Path, value: object, member: str = "clip.pkl") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, pickle.dumps(value))


def write_h5(path: Path, values: object, key: str = "avadataset") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[key] = values


def features(seed: int, steps: int = 10, dtype: str = "float32") -> dict[str, np.ndarray]:
    """Audio [steps, 4] and maps [10, 2, 2, 4] that tell clips apart."""
    rng = np.random.default_rng(seed)
    return {
        "audio": rng.random((steps, 4)).astype(dtype),
        "video": rng.random((10, 2, 2, 4)).astype(dtype),
    }


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def _vggsound(root: Path) -> None:
    write_text(root / VGGSOUND / "data/vggsound-avel40k.csv", AVEL)
    write_text(root / EXTRACTOR / "vggsound-avel40k.csv", AVEL.replace("\n", "\r\n"))
    write_text(root / EXTRACTOR / "VggsoundAVEL40kCategories.txt", CATEGORIES)
    write_text(root / EXTRACTOR / "VGGSoundsameUCF101.txt", UCF_NAMES[0])
    write_text(root / EXTRACTOR / "UCF101sameVGGSound.txt", UCF_NAMES[1] + "\n")
    rows = "category,video_id,split\r\nrope skipping,Jda4WQN5uR0,train\r\n"
    write_text(root / EXTRACTOR / "vggsound2ucf.csv", rows + "playing flute,k5agnFosRKQ,test\r\n")
    rows = "category,video_id\nPlayingFlute,v_PlayingFlute_g01_c01\n"
    write_text(root / EXTRACTOR / "ucf2vggsound.csv", rows + "JumpRope,v_JumpRope_g02_c03\n")
    for seed, (name, steps) in enumerate(
        [("Jda4WQN5uR0", 10), ("vvvvvvvvvvv", 7), ("L1k7uKjomPc", 12), ("k5agnFosRKQ", 10)]
    ):
        clip = features(seed, steps)
        for modality, values in clip.items():
            if (name, modality) != ("k5agnFosRKQ", "video"):
                write_zip(root / VGGSOUND / f"feature/{modality}/zip/{name}.zip", values)
    active = np.array([[1, 1, 0, 0, 0, 0, 0, 0, 0, 1]])
    write_zip(root / VGGSOUND / "label/zip/vvvvvvvvvvv.zip", active)


def _ave(root: Path) -> None:
    write_text(root / AVE / "Annotations.txt", ANNOTATIONS)
    rng = np.random.default_rng(50)
    write_h5(root / AVE / "audio_feature.h5", rng.random((6, 10, 4)))
    write_h5(root / AVE / "visual_feature.h5", rng.random((6, 10, 2, 2, 4)))
    for split, order in {"train": [0, 2, 3], "val": [1], "test": [4]}.items():
        write_h5(root / AVE / f"{split}_order.h5", np.array(order), "order")
    write_text(root / AVE_AVVP / "AVE_AVVP_Categories.txt", "Dog\nBaby_cry_infant_cry\n")
    labels = np.zeros((6, 10, 3), np.float32)
    labels[..., 2] = 1
    labels[3, 2:4] = [1, 0, 0]
    write_h5(root / AVE_AVVP / "ave_avvp_labels.h5", labels)
    write_h5(root / AVE_AVVP / "ave_avvp_order.h5", np.array([3]), "order")


def _avvp(root: Path) -> None:
    names = "Speech\nBaby_cry_infant_cry\nBlender\nViolin_fiddle\n"
    write_text(root / AVVP / "data/AVVP_Categories.txt", names)
    write_text(root / AVVP / "data/AVVP_eval_audio_checked_combined.csv", AUDIO_EVENTS)
    write_text(root / AVVP / "data/AVVP_eval_visual_checked_combined.csv", VISUAL_EVENTS)
    head = "filename\tevent_labels\n"
    write_text(root / AVVP / "data/AVVP_val_pd.csv", head + "KSRjje7GH44_60_70\tBlender,Speech\n")
    write_text(root / AVVP / "data/AVVP_test_pd.csv", head + "4YdbENYcIyE_23_33\tBlender\n")
    train = head + "BjCEufrlXm4_20_30\tSpeech,Blender\n7nSYwyaP4QE_50_60\tSpeech\n"
    write_text(root / AVVP / "data/AVVP_train.csv", train)
    for sense in ("audio", "visual"):
        name = f"AVE_AVVP_eval_{sense}_checked_combined.csv"
        write_text(root / AVE_AVVP / name, SHARED_EVENTS)
    keys = ["4YdbENYcIyE", "KSRjje7GH44", "IgN7v8nWmx8", "P7x4FV4lg_5", "BjCEufrlXm4"]
    for seed, key in enumerate(keys):
        for modality, values in features(100 + seed, 9, "float64").items():
            write_zip(root / AVVP / f"feature/{modality}/zip/{key}.zip", values)


def _ucf(root: Path) -> None:
    for seed, (name, steps) in enumerate(
        [("v_PlayingFlute_g01_c01", 7), ("v_JumpRope_g02_c03", 11)]
    ):
        maps = np.random.default_rng(200 + seed).random((steps, 2, 2, 4))
        write_zip(root / f"data/UCF101/feature/video/zip/{name}.zip", maps)
        for modality, values in {"audio": maps[:, 0, 0], "video": maps}.items():
            write_zip(root / f"data/UCF101ALL/feature/{modality}/zip/{name}.zip", values)
    rows = "category,video_id\r\nPlayingFlute,v_PlayingFlute_g01_c01\r\n"
    write_text(root / "OSCMG/ucf51checked.csv", rows + "JumpRope,v_JumpRope_g02_c03\r\n")
    write_text(root / "OSCMG/UCF51Categories.txt", "JumpRope\nYoYo\nPlayingFlute\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Everything, unpacked into nested folders."""
    for write in (_vggsound, _ave, _avvp, _ucf):
        write(tmp_path)
    return tmp_path


@pytest.fixture
def write() -> SimpleNamespace:
    """Writers of single files."""
    return SimpleNamespace(zip=write_zip, h5=write_h5, text=write_text, features=features)
