#!/bin/sh
# What a machine with a GPU can say of cmg in a few minutes: whether a step is exact there, and how
# often it makes the host wait. Writes one JSON.
#
#   sh benchmarks/gpu.sh [FILE.json]
#
# Takes the Python that has torch. What cmg needs beside torch and is not there comes from the folder
# $WHEELS where it is given (a machine without a network), else from the package index.
set -eu
cd "$(dirname "$0")/.."
out=${1:-gpu.json}
python=${PYTHON:-python3}
where=$(mktemp -d)
trap 'rm -rf "$where"' EXIT
"$python" -m venv --system-site-packages "$where/venv"
if [ -n "${WHEELS:-}" ]; then
    "$where/venv/bin/pip" install --quiet --no-index --find-links "$WHEELS" pydantic safetensors pyyaml numpy
else
    "$where/venv/bin/pip" install --quiet pydantic safetensors pyyaml numpy
fi
PYTHONPATH=src:. "$where/venv/bin/python" -m benchmarks.gpu --json "$out"
