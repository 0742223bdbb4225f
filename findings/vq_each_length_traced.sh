#!/bin/sh
# vector-quantize-pytorch looks codes up by einx, which writes Python for every shape: each new number of tokens costs
# 40 to 90 ms of processor time, a hundred times the lookup and a thousand times an index into the table.
#
# Best guess, written down before running: a lookup of codes by indices is an index into a table, some microseconds,
# whatever the number of tokens; the first call may be slower.
#
# Seen: `SimVQ.forward`, `SimVQ.indices_to_codes` and `ResidualVQ.get_codes_from_indices` take 40 to 90 ms at every
# number of tokens that they have not seen, and 0.5 to 1.6 ms when it comes again. `table[indices]` takes 0.02 ms at
# any. FSQ, LFQ and `ResidualVQ.forward` do not use it.
#
# Why it matters: clips are of different lengths, so nearly every batch of theirs has a number of tokens of its own, and
# a step of a small model takes several times as long as it should. Pictures of one size never show it.
#
# What cmg does: these lookups are written out (src/cmg/codebook/library_kinds.py), and compared with the library's.
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'torch==2.13.0' 'numpy<3' 'vector-quantize-pytorch==1.32.0' 'einx==0.4.3' \
    'einops==0.8.2'
cat > "$home/see.py" <<'PYTHON'
import sys
import time
from importlib.metadata import version

import torch
from vector_quantize_pytorch import ResidualVQ, SimVQ

torch.set_num_threads(1)
sim, residual, table = SimVQ(16, 32), ResidualVQ(dim=16, num_quantizers=2, codebook_size=32), torch.randn(32, 16)
calls = {
    "SimVQ.forward": lambda n: sim(torch.randn(1, n, 16)),
    "SimVQ.indices_to_codes": lambda n: sim.indices_to_codes(torch.zeros(1, n, dtype=torch.int64)),
    "ResidualVQ.get_codes_from_indices": lambda n: residual.get_codes_from_indices(
        torch.zeros(1, n, 2, dtype=torch.int64)
    ),
    "table[indices]": lambda n: table[torch.zeros(1, n, dtype=torch.int64)],
}
print("vector-quantize-pytorch", version("vector-quantize-pytorch"), "einx", version("einx"), "torch", torch.__version__)
slow = {}
with torch.no_grad():
    for name, call in calls.items():
        call(99)  # what is done once is not counted
        first, again = [], []
        for n in range(100, 105):
            for kept in (first, again):
                began = time.process_time()
                call(n)
                kept.append(time.process_time() - began)
        new, old = sorted(first)[2], sorted(again)[2]
        slow[name] = new > 20 * old and new > 0.01
        print(f"{name}: {1e3 * new:.2f} ms at a new number of tokens, {1e3 * old:.2f} ms when it comes again")
plain = slow.pop("table[indices]")
sys.exit(0 if all(slow.values()) and not plain else 1)
PYTHON
cd "$home" && "$home/venv/bin/python" see.py
