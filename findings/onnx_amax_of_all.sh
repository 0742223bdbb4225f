#!/bin/sh
# The ONNX exporter takes x.max() of a whole tensor and refuses x.amax() of it, although it takes amax over all dimensions by number.
#
# Best guess, written down before running: torch's documentation calls amax() without dimensions the maximum of all elements, as max() is;
# both are core operations and become one ReduceMax.
#
# Seen: with torch 2.13.0 and onnxscript 0.7.2, max() and amax((0, 1)) are exported, amax() and amin() are not: ConversionError at
# step 3 of 3, 'Error when translating node %amax'. torch.export itself takes all four.
#
# Why it matters: which of two equal spellings somebody wrote decides whether a model can be shipped, and the message names a node of the
# exported graph, not the line.
#
# What cmg does: distances to codes take max(), and cmg export --onnx runs every file that it has written (tests/sharing/test_onnx.py).
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'torch==2.13.0' 'numpy<3' 'onnx==1.23.2' 'onnxscript==0.7.2'
cat > "$home/see.py" <<'PYTHON'
import logging
import sys
import warnings

import onnxscript
import torch
from torch import nn

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
print("torch", torch.__version__, "onnxscript", onnxscript.__version__)


class Reduced(nn.Module):
    def __init__(self, reduce):
        super().__init__()
        self.reduce = reduce

    def forward(self, x):
        return self.reduce(x)


def told(reduce):
    model, x = Reduced(reduce), torch.arange(6.0).reshape(2, 3)
    torch.export.export(model, (x,))
    try:
        torch.onnx.export(model, (x,), dynamo=True, verbose=False)
    except torch.onnx.errors.OnnxExporterError as error:
        return f"refused: {str(error.__cause__).partition(chr(10))[0][:60]}"
    return "exported"


found = {
    "max()": told(lambda x: x.max()),
    "amax((0, 1))": told(lambda x: x.amax((0, 1))),
    "amax()": told(lambda x: x.amax()),
    "amin()": told(lambda x: x.amin()),
}
for name, said in found.items():
    print(f"{name}: {said}")
x = torch.arange(6.0).reshape(2, 3)
same = x.max() == x.amax() == x.amax((0, 1))
refused = [name for name, said in found.items() if said.startswith("refused: Error when translating")]
sys.exit(0 if bool(same) and refused == ["amax()", "amin()"] else 1)
PYTHON
cd "$home" && "$home/venv/bin/python" see.py
