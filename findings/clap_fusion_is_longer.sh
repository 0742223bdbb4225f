#!/bin/sh
# CLAP with fusion: the front end of transformers says of a short clip that it is long, by chance.
#
# Best guess before running: `ClapFeatureExtractor` gives `is_longer` True for clips longer
#   than the 10 s window and False for others, so that the embedding of a 2 s clip depends on the
#   clip alone; with truncation="fusion" (laion/clap-htsat-fused, the default checkpoint) as without.
# Seen: where no clip of a batch is longer, one of them, drawn by np.random without a seed, is marked
#   as longer, and the network fuses it. A clip alone is always marked. So the embedding of a short
#   clip is not the same twice and depends on how many clips are beside it; that of a small random
#   network moves by more than its own length.
# Why it matters: audio features of AudioSet, ESC-50 or any other clips of 10 s and less are made in
#   batches; with the fused checkpoint a clip's feature changes from run to run and from batch to
#   batch, so that neither a codebook trained on it nor a retrieval can be repeated.
# What cmg does: `clap:MODEL` hears pieces no longer than the window and never fuses: it passes
#   is_longer False itself (src/cmg/extract/clap.py).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'transformers==5.23.0' 'torch==2.13.0' 'numpy==2.4.6'
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import torch
import transformers
from transformers import ClapAudioConfig, ClapAudioModel, ClapFeatureExtractor

print("transformers", transformers.__version__)
torch.manual_seed(0)
config = ClapAudioConfig(
    spec_size=64, num_mel_bins=16, patch_size=4, patch_stride=[4, 4], patch_embeds_hidden_size=8,
    depths=[1, 1], num_attention_heads=[2, 2], window_size=4, hidden_size=16, enable_fusion=True,
)
model = ClapAudioModel(config).eval()
front = ClapFeatureExtractor(
    feature_size=16, sampling_rate=8000, hop_length=40, max_length_s=1, fft_window_size=256,
    frequency_max=4000, truncation="fusion",
)
rng = np.random.default_rng(0)
clips = [rng.standard_normal(6000).astype("f4") for _ in range(4)]  # 0.75 s, the window is 1 s


def heard(batch):
    given = front(batch, sampling_rate=8000, return_tensors="pt")
    with torch.inference_mode():
        return given["is_longer"][:, 0].tolist(), model(**given).pooler_output


first = []
for call in range(8):
    marked, vectors = heard(clips)
    first.append(vectors[0])
    print("four clips of 0.75 s, window 1 s: is_longer", marked, "first clip", vectors[0, :3].tolist())
    assert sum(marked) == 1, "a clip is no longer marked by chance"
alone, vector = heard(clips[:1])
print("the first clip alone: is_longer", alone)
assert alone == [True], "a short clip alone is no longer marked"
apart = max(float((a - b).norm() / b.norm()) for a in first for b in first)
print(f"the first clip's embedding over eight calls: apart by {100 * apart:.0f} % of its length")
given = front(clips, sampling_rate=8000, return_tensors="pt")
given["is_longer"][:] = False
with torch.inference_mode():
    once, again = (model(**given).pooler_output for _ in range(2))
print("with is_longer False for all: the same twice:", torch.equal(once, again))
assert torch.equal(once, again)
given["is_longer"][0] = True
with torch.inference_mode():
    fused = model(**given).pooler_output
moved = float((fused[0] - once[0]).norm() / once[0].norm())
print(f"the mark alone moves the first clip's embedding by {100 * moved:.0f} % of its length")
assert moved > 0.01, "the mark no longer changes the embedding"
PYTHON
