#!/bin/sh
# Under CPU autocast in one half precision, torch.cat and torch.stack of tensors of the other half raise an internal error.
#
# Best guess, written down before running: autocast to bfloat16 leaves torch.cat alone, so that two float16 tensors are
# joined as float16 (or promoted to float32), as they are added as float16; at worst they become bfloat16, as in a product.
#
# Seen: RuntimeError 'Unexpected floating ScalarType in at::autocast::prioritize', of float16 under bfloat16 and of
# bfloat16 under float16, and also where the other tensor is float32. Under the same autocast the same tensors are added
# in their own type, and multiplied as matrices in the autocast's. Without autocast they are joined.
#
# Why it matters: features are often stored as float16, and bfloat16 is what autocast on a CPU takes by default; a model that
# adds and multiplies them works, until somebody joins two modalities.
#
# What cmg does: features are converted to the codebook's type before they are joined (tests/test_precision.py).
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'torch==2.13.0' 'numpy<3'
cat > "$home/see.py" <<'PYTHON'
import sys

import torch

print("torch", torch.__version__)
halves = {torch.bfloat16: torch.float16, torch.float16: torch.bfloat16}
joins = {"cat": torch.cat, "stack": torch.stack}
seen = []


def told(what):
    """The type of a result, or what was raised."""
    try:
        return str(what().dtype)
    except RuntimeError as error:
        return str(error).partition("\n")[0]


for autocast, other in halves.items():
    x = torch.ones(2, 2, dtype=other)
    with torch.autocast("cpu", autocast):
        found = {name: told(lambda: join([x, x])) for name, join in joins.items()}
        found |= {"cat with float32": told(lambda: torch.cat([x, x.float()]))}
        usual = {"add": told(lambda: x + x), "matmul": told(lambda: x @ x)}
    print(f"{other} under autocast to {autocast}: {found | usual}")
    refused = all("autocast::prioritize" in text for text in found.values())
    seen.append(refused and usual == {"add": str(other), "matmul": str(autocast)})
    seen.append(torch.cat([x, x]).dtype == other)
sys.exit(0 if all(seen) else 1)
PYTHON
cd "$home" && "$home/venv/bin/python" see.py
