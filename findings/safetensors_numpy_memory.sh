#!/bin/sh
# safetensors.numpy.save writes the memory behind an array, not its values, and says nothing.
#
# Best guess, from memory: an array that is not contiguous is either copied first, or refused as
# safetensors.torch.save refuses such a tensor ("You are trying to save a non contiguous tensor"). Either way what
# is loaded equals what was saved, as it does for the big-endian arrays that it swaps.
#
# Seen: arrays in Fortran order, transposed, or sliced with a step come back with the right shape and dtype and
# other values, without a word. NumPy keeps the order of what it stacks, so np.stack of such arrays is written
# wrongly too. The torch door refuses the same layouts.
#
# Why it matters: features are transposed (channels first or last), cut with a step, and read from .npy files in
# Fortran order (MATLAB, R) as a matter of course; a file of them trains and evaluates like any other.
#
# What cmg does: cmg.tensors.plain brings arrays to C order and native byte order before they are written.
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'safetensors==0.8.0' 'numpy==2.4.6'
cat > "$home/see.py" <<'PYTHON'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, save

print("safetensors", safetensors.__version__, "numpy", np.__version__)
base = np.arange(1.0, 13.0, dtype=np.float32).reshape(3, 4)
layouts = {
    "C order": base,
    "Fortran order": np.asfortranarray(base),
    "transposed": base.T,
    "every second": base[:, ::2],
    "stack of Fortran order": np.stack([np.asfortranarray(base)] * 2),
    "big-endian": base.astype(">f4"),
}
same = {}
for name, given in layouts.items():
    read = load(save({"x": given}))["x"]
    same[name] = bool(np.array_equal(read, given))
    print(f"{name:>22}: shape {read.shape}, {read.dtype}, values {'kept' if same[name] else 'other'}")
sys.exit(same != {name: name in ("C order", "big-endian") for name in layouts})
PYTHON
"$home/venv/bin/python" "$home/see.py"
