#!/bin/sh
# Print the pins for constraints.txt: everything a fresh install of cmg-torch[dev] brings.
#
#     sh tools/make_constraints.sh [PYTHON] > pins.txt && mv pins.txt constraints.txt && make test
#
# torch is held at the version below; change it here. Run it with the oldest supported Python, and
# without a GPU, so that no CUDA package is pinned: those follow from torch's own requirements.
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3.11}
torch=torch==2.13.0

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
"$python" -m venv "$fresh"
"$fresh/bin/pip" install --quiet "$torch" hatchling >&2
"$fresh/bin/pip" install --quiet --no-build-isolation "$torch" --editable '.[dev]' >&2

cat <<'HEADER'
# The exact versions that `make demo`, `make test` and CI install: a fresh install of
# cmg-torch[dev] and of its build backend on CPU, Python 3.11. pyproject.toml has the supported
# ranges. Refresh with:
#
#     sh tools/make_constraints.sh > pins.txt && mv pins.txt constraints.txt && make test
HEADER
# A local version label such as +cpu names one build; the pin must fit every build.
"$fresh/bin/pip" freeze --all --exclude-editable --exclude pip | sed 's/+cpu$//'
