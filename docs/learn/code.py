# %% [markdown]
# # What is a code
#
# A *code* is a whole number that a model gives to a moment of a sound, of a picture, or to a word.
# The model is trained on pairs alone: this sound was there when that was seen. Here it is trained
# for a minute on the embedded set [digits](../digits.md), and then asked which numbers it gives.

# %%
import numpy as np
import torch
from IPython.display import Image

import cmg
from cmg.data.digits import load_scans, png_bytes

config = cmg.load_config("digits", ["training.epochs=4", "training.tensorboard=false"])
_ = cmg.pretrain(config, "runs/digits")
model, store = cmg.load("runs/digits"), cmg.open_clips("digits")

# %% [markdown]
# One clip that was never trained on. It has ten steps of sound and video, and a sentence.

# %%
test = store.split("test")
clip = test.rows[0]
batch = cmg.Batches(test, 100, shuffle=False).at(0, 0)
codes = model.encode(batch)
print(clip.meta["sentence"])
for modality in ("audio", "video", "text"):
    print(f"{modality:6}", codes[modality][0, : clip.lengths[modality]].tolist())

# %% [markdown]
# The scans that it shows, step by step; where nothing is shown, the page is blank:

# %%
scans, blank = load_scans().images, np.zeros((8, 8), np.uint8)
Image(png_bytes(np.hstack([scans[i] if i >= 0 else blank for i in clip.meta["scans"]])))

# %% [markdown]
# Where the digit is shown and said, all three modalities tend to have the same few numbers; elsewhere (blank
# pages, a quiet room, other words) they have others. That is all that "shared vocabulary" means.
#
# Over a hundred clips: which digit is in the clip, for the eight codes that the steps of video have most often?

# %%
digit = test.label("digit")[:100]
video, audio = codes["video"], codes["audio"]
print("code   video steps by digit 0..9                    audio steps by digit 0..9")
for code in torch.bincount(video.flatten().clamp_min(0)).argsort(descending=True)[:8].tolist():
    rows = []
    for found in (video, audio):
        hits = (found == code).sum(1)
        rows.append(
            " ".join(f"{int(hits[torch.as_tensor(digit == d)].sum()):3}" for d in range(10))
        )
    print(f"{code:4}   {rows[0]}     {rows[1]}")

# %% [markdown]
# Some codes are spread over all digits: they are background, and each modality has its own. Others belong to one
# digit, or to two that the model has not parted yet, in both modalities. Nobody told the model about digits. A
# head that is trained with the labels of sounds therefore works on scans:

# %%
found = cmg.transfer_table(model, store)
print(f"trained on audio, read on video: {found['audio->video'].mean:.1f} %, by chance 10 %")
found.plot()

# %% [markdown]
# How much of such a number to believe is told in [Trust a number](trust.md).
