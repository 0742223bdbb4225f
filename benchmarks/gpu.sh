#!/bin/sh
# What a machine with a GPU can say of cmg in a few minutes: whether a step is exact there, how often
# it makes the host wait, how long it takes. Writes one JSON.
#
#   sh benchmarks/gpu.sh [FILE.json] [--device cpu --quick]
#
# Takes the Python that has torch (PYTHON=...). What the step needs besides and is not there comes,
# into a temporary folder, from the folder $WHEELS where it is given, else from the package index.
set -eu
cd "$(dirname "$0")/.."
out=${1:-gpu.json}
[ $# -eq 0 ] || shift
python=${PYTHON:-python3}
beside=$(mktemp -d)
trap 'rm -rf "$beside"' EXIT
missing=$("$python" -c '
from importlib.util import find_spec
needed = {"pydantic": "pydantic", "safetensors": "safetensors", "yaml": "pyyaml", "numpy": "numpy"}
print(*(package for module, package in needed.items() if find_spec(module) is None))')
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086  # several packages
    "$python" -m pip install --quiet --target "$beside" \
        ${WHEELS:+--no-index --find-links "$WHEELS"} $missing
fi
PYTHONPATH="src:.:$beside" "$python" -m benchmarks.gpu --json "$out" "$@"
