#!/bin/sh
# Show the extractors timm:* and torchvision:* once, in an environment of their own.
#
#     sh tools/show_torchvision_backbones.sh [PYTHON] [FOLDER]
#
# timm cannot be imported without torchvision, and torchvision brings a CUDA build of torch (5 GB
# on Linux), so neither is part of what CI installs. FOLDER keeps the environment for another time;
# without it the environment is removed at the end.
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3.11}

if [ -n "${2-}" ]; then
    fresh=$2
else
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
fi
[ -x "$fresh/bin/python" ] || "$python" -m venv "$fresh"
"$fresh/bin/pip" install --quiet torchvision timm 'numpy>=2.0' safetensors pydantic typer rich pyyaml
PYTHONPATH=src "$fresh/bin/python" tools/show_torchvision_backbones.py
