#!/bin/sh
# A state dict that was made by calling a subscripted class, `OrderedDict[str, Tensor]()`, as strict typing invites one
# to write it: torch.save keeps it without a word, and torch.load refuses the file.
#
# Best guess, written down before running: `OrderedDict[str, Tensor]()` is `OrderedDict()`, so both files are the same
# bytes, and torch.load with its default weights_only=True reads either.
#
# Seen: calling the alias sets `__orig_class__` on the instance (OrderedDict has a `__dict__`; a plain dict has none).
# Pickle writes it, so the file names `types.GenericAlias`, and torch.load raises UnpicklingError: "Unsupported global:
# GLOBAL types.GenericAlias was not an allowed global by default". Nothing but weights lies in the file. The same state
# made by `OrderedDict()`, with the annotation on the variable, is read; so is `dict[str, Tensor]()`.
#
# Why it matters: the two spellings are alike to type checkers and readers, saving succeeds, and the loss is met by
# whoever loads the checkpoint. model.state_dict() itself is not hit; converters that build one are.
#
# What cmg does: exports of the authors' format annotate the variable; a round trip through torch.load is a test.
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'torch==2.13.0' 'numpy<3'
cat > "$home/see.py" <<'PYTHON'
import pickle
import sys
from collections import OrderedDict

import torch

made = {
    "OrderedDict()": OrderedDict(),
    "dict[str, Tensor]()": dict[str, torch.Tensor](),
    "OrderedDict[str, Tensor]()": OrderedDict[str, torch.Tensor](),
}
found = {}
for name, state in made.items():
    state["weight"] = torch.ones(2)
    torch.save(state, "state.pt")
    try:
        found[name] = f"read: {torch.load('state.pt')['weight'].tolist()}"
    except pickle.UnpicklingError as error:
        found[name] = "refused: " + next(x for x in str(error).splitlines() if "GLOBAL" in x).strip()
print("torch", torch.__version__, "python", sys.version.split()[0])
for name, what in found.items():
    print(f"{name}: {what}"[:160])
print("equal to each other:", made["OrderedDict()"].keys() == made["OrderedDict[str, Tensor]()"].keys())
plain, mapped, alias = found.values()
same = plain == mapped == "read: [1.0, 1.0]" and "refused" in alias and "types.GenericAlias" in alias
sys.exit(0 if same else 1)
PYTHON
cd "$home" && "$home/venv/bin/python" see.py
