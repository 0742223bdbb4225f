"""One small simulated folder for all tests, and a fixture of lists in the real dialects."""

from __future__ import annotations

from dataclasses import dataclass

import h5py
import pytest

from cmg.simulate import SimulateOptions, simulate

MAPS = {"map_size": 2, "frame_size": 32}
SMALL = {"video": 16, "audio": 24, "text": 32}


@pytest.fixture(scope="session")
def small_options():
    def make(**changes):
        return SimulateOptions(
            **({"fraction": 0.001, "widths": SMALL, "workers": 1} | MAPS | changes)
        )

    return make


@dataclass(frozen=True)
class Simulated:
    root: object
    summary: object


@pytest.fixture(scope="session")
def tiny(shared, small_options):
    """The whole layout at the smallest size."""
    return Simulated(*shared("tiny", lambda out: simulate(out, small_options())))


VGGSOUND = [("playing violin", "violin"), ("dog barking", "dog"), ("race car", "car")]


@pytest.fixture
def lists(tmp_path):
    """A folder tree with every needed file, few rows each, dialects as in the real ones."""
    folder = tmp_path / "lists"
    for part in ("Vggsound", "AVE", "AVVP", "AVE_AVVP", "UCF101", "OSCMG/UCF_OSCMG", "AVS"):
        (folder / part).mkdir(parents=True)

    def put(name, text):
        (folder / name).write_bytes(text.encode())

    clips = [
        f"{category},{stem}_{split}_{i:03d}"[:99] + f",{split}"
        for category, stem in VGGSOUND
        for split in ("train", "val", "test")
        for i in range(6)
    ]
    put("Vggsound/vggsound-avel40k.csv", "\n".join(["category,video_id,split", *clips, ""]))
    put("Vggsound/VggsoundAVEL40kCategories.txt", "".join(f"{c}\n" for c, _ in VGGSOUND))
    put(
        "Vggsound/vggsoundCategories2Prompts.csv",
        'label,prompt\nplaying violin,"Sweet, high notes"\ndog barking,A dog\nrace car,Roars\n',
    )
    ave = [("Bark", f"bark_{i:06d}") for i in range(12)] + [
        ("Violin, fiddle", f"fidd_{i:06d}") for i in range(12)
    ]
    put(
        "AVE/Annotations.txt", "".join(f"{c}&{v}&good&{i % 3}&10\n" for i, (c, v) in enumerate(ave))
    )
    orders = {"train": [4, 2, 0, 3, 1, 5, 13, 12, 15, 14, 17, 16], "val": [8, 6, 7, 20, 18, 19]}
    orders["test"] = [11, 9, 10, 21, 22, 23]
    for split, rows in orders.items():
        with h5py.File(folder / f"AVE/{split}_order.h5", "w") as file:
            file["order"] = rows
    put("AVVP/AVVP_Categories.txt", "Dog\nSpeech\nViolin_fiddle\n")
    weak, audio, visual = {}, [], []
    for split in ("train", "val_pd", "test_pd"):
        rows = [(f"{split[:4]:-<4}_{i:06d}_30_40", i) for i in range(8)]
        weak[split] = "".join(
            f"{n}\t{'Dog,Speech' if i % 2 else 'Violin_fiddle'}\n" for n, i in rows
        )
        put(f"AVVP/AVVP_{split}.csv", "filename\tevent_labels\n" + weak[split])
        for name, i in rows if split != "train" else ():
            audio.append(
                f"{name}\t0,4\t4,10\tDog,Speech" if i % 2 else f"{name}\t0\t10\tViolin_fiddle"
            )
            visual.append(f"{name}\t2\t9\tDog" if i % 2 else f"{name}\t1\t1\tViolin_fiddle")
    header = "filename\tonset\toffset\tevent_labels"
    put("AVVP/AVVP_eval_audio_checked_combined.csv", "\n".join([header, *audio, ""]))
    put("AVVP/AVVP_eval_visual_checked_combined.csv", "\n".join([header, *visual, ""]))
    put("AVE_AVVP/AVE_AVVP_Categories.txt", "Dog\nViolin_fiddle\n")
    for modality, rows in (("audio", audio), ("visual", visual)):
        kept = [r.replace("0,4\t4,10\tDog,Speech", "0\t4\tDog") for r in rows]
        name = f"AVE_AVVP/AVE_AVVP_eval_{modality}_checked_combined.csv"
        put(name, "\n".join([header, *kept, ""]))
    put("UCF101/UCF101sameVGGSound.txt", "PlayingViolin\nBowling\tbowling")
    put("UCF101/VGGSoundsameUCF101.txt", "playing violin\nbowling impact")
    actions = [f"PlayingViolin,v_PlayingViolin_g{i:02d}_c01" for i in range(1, 7)]
    put("UCF101/ucf2vggsound.csv", "\n".join(["category,video_id", *actions, ""]))
    violins = [clip for clip in clips if clip.startswith("playing violin")]
    put("UCF101/vggsound2ucf.csv", "\n".join(["category,video_id,split", *violins, ""]))
    put("OSCMG/UCF_OSCMG/UCF51Categories.txt", "UnevenBars\nPlayingViolin\n")
    shown = [
        f"{category[:4]}_{split}_{i},{i},{category},{split}"
        for category in ("dog_barking", "playing_violin")
        for split in ("train", "val", "test")
        for i in range(3)
    ]
    put("AVS/s4_meta_data.csv", "\n".join(["video_id,seconds,category,split", *shown, ""]))
    every = [*actions, *(f"UnevenBars,v_UnevenBars_g{i:02d}_c01" for i in range(1, 7))]
    put("OSCMG/UCF_OSCMG/ucf51checked.csv", "\r\n".join(["category,video_id", *every, ""]))
    return folder
