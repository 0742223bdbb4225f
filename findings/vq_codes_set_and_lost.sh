#!/bin/sh
# Codes that are given to a VectorQuantize are gone after one training step; and with kmeans_init a forward in eval mode
# changes codes that nobody has trained.
#
# Best guess, written down before running: `quantizer.codebook = codes` has a setter so that codes can be placed, and a
# training step then moves those that are picked a little (decay 0.8), and no others. A module in eval mode, or with
# freeze_codebook=True, changes nothing.
#
# Seen: the setter writes the codes and not the running sum they are the quotient of. One step in training, on tokens
# far from all but one of the codes, brings every other code back to where it was drawn at first, a thousandth of what
# was given. With kmeans_init=True the first forward runs k-means in eval mode, too, and with freeze_codebook=True.
#
# Why it matters: a start of one's own, or codes from elsewhere, are lost without a word; a model that is evaluated
# before it was trained, a sanity check say, has by then taken its codes from whatever it was shown.
#
# What cmg does: codes start in `start_from`, by the library's k-means and once; built without kmeans_init, the module
# looks codes up and changes nothing (tests/codebook/test_library.py).
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'torch==2.13.0' 'numpy<3' 'vector-quantize-pytorch==1.32.0' 'einx==0.4.3' \
    'einops==0.8.2'
cat > "$home/see.py" <<'PYTHON'
import sys
from importlib.metadata import version

import torch
from vector_quantize_pytorch import ResidualVQ, VectorQuantize

torch.manual_seed(0)
print("vector-quantize-pytorch", version("vector-quantize-pytorch"), "torch", torch.__version__)
quantizer = VectorQuantize(dim=16, codebook_size=8).train()
drawn, given = quantizer.codebook.clone(), 100.0 + torch.randn(8, 16)
quantizer.codebook = given
_, picked, _ = quantizer(given[:1].expand(50, 16)[None])
others = [code for code in range(8) if code not in picked.unique().tolist()]
print(f"given: of length {given.norm(dim=1).mean():.0f}; picked: {picked.unique().tolist()}")
lengths = quantizer.codebook[others].norm(dim=1)
print(f"after a step, codes that were not picked: of length {lengths.min():.2f} to {lengths.max():.2f}")
lost = bool((lengths < 4).all()) and len(others) == 7
back = torch.nn.functional.cosine_similarity(quantizer.codebook[others], drawn[others]).min()
print(f"cosine with what was drawn at first, at least {back:.3f}")
changed = {}
for name, how in {"eval": {}, "eval, freeze_codebook": {"freeze_codebook": True}}.items():
    residual = ResidualVQ(dim=16, num_quantizers=2, codebook_size=8, kmeans_init=True).eval()
    before = residual.codebooks.clone()
    with torch.no_grad():
        residual(torch.randn(1, 50, 16), **how)
    changed[name] = not torch.equal(before, residual.codebooks)
    print(f"{name}: a forward {'changes' if changed[name] else 'keeps'} the codes")
sys.exit(0 if lost and back > 0.99 and all(changed.values()) else 1)
PYTHON
cd "$home" && "$home/venv/bin/python" see.py
