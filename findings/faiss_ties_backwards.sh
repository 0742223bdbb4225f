#!/bin/sh
# FAISS's exact index lists equal scores by falling id: the first hit is the last one of the equal ones that it kept.
#
# Best guess, from memory: IndexFlatIP scans the vectors in the order of their ids, so among equal
# scores the first ids are kept and listed first: of eight equal vectors, search(k=4) says 0 1 2 3.
#
# Seen: 3 2 1 0. The first four are kept, and listed backwards, because a heap is emptied from its worst end.
#
# Why it matters: with discrete codes many clips are exactly alike. The "best" clip then is the k-th of the equal
# ones: it changes with k, top-1 is another clip for k = 1 than for k = 10, and a list of ten differs from an exact
# search by sorting although every score is the same. Recall by id counts such hits for or against a model.
#
# What cmg does: cmg.retrieval.index orders FAISS's hits by (score, place), and asks an exact index for more where
# equal scores go on beyond k.
set -eu
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet 'faiss-cpu==1.15.1' 'numpy==2.4.6'
cat > "$home/see.py" <<'PYTHON'
import sys

import faiss
import numpy as np

print("faiss", faiss.__version__)
index = faiss.IndexFlatIP(2)
index.add(np.tile(np.array([[1.0, 0.0]], np.float32), (300, 1)))
query = np.array([[1.0, 0.0]], np.float32)
found = {k: index.search(query, k)[1][0].tolist() for k in (1, 4, 10, 120)}
for k, ids in found.items():
    print(f"k = {k:3}: {' '.join(map(str, ids[:10]))}{' ...' if k > 10 else ''}")
sys.exit(any(ids != list(range(k - 1, -1, -1)) for k, ids in found.items()))
PYTHON
"$home/venv/bin/python" "$home/see.py"
