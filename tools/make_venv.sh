#!/bin/sh
# Create, update or repair .venv in this checkout. The Makefile calls it; it is quick when all is well.
#
# From the environment:
#   PYTHON       interpreter to build .venv with; empty: the first of the candidates that will do
#   CONSTRAINTS  file of pinned versions; empty: no pins, only the ranges of pyproject.toml
#   PIP_FLAGS    further options for `pip install`, split at spaces
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON-} CONSTRAINTS=${CONSTRAINTS-} PIP_FLAGS=${PIP_FLAGS-}
python=.venv/bin/python
stamp=.venv/cmg-stamp # written last: without it .venv is half built

# version_of PYTHON: "3.11.7"; nothing where it does not run (absent, dangling, an empty shim).
version_of() {
    "$1" --version 2>&1 | sed -n 's/^Python \([0-9][0-9.]*\).*/\1/p'
}

# refusal_of PYTHON: why .venv cannot be built with it; nothing where it can.
refusal_of() {
    version=$(version_of "$1")
    if [ -z "$version" ]; then
        echo "$1 does not run here"
        return
    fi
    is="$1 is $version at $(command -v "$1")"
    major=${version%%.*} minor=${version#*.} minor=${minor%%.*}
    if [ "$major" -lt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -lt 11 ]; }; then
        echo "$is; cmg needs 3.11 or newer"
    elif ! "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$is, without venv (Debian, Ubuntu: apt install python$major.$minor-venv)"
    fi
}

# choose PYTHON...: the first that will do; else one line about every one of them, and failure.
choose() {
    refusals=
    for candidate in "$@"; do
        refusal=$(refusal_of "$candidate")
        if [ -z "$refusal" ]; then
            echo "$candidate"
            return
        fi
        refusals="$refusals$refusal; "
    done
    echo "${refusals}call make PYTHON=python3.12 ... (or any installed Python from 3.11 on)" >&2
    return 1
}

# What .venv was made for. The checkout is in it because a virtual environment cannot be moved.
description() {
    echo "checkout $PWD"
    echo "pip install $PIP_FLAGS"
    cksum pyproject.toml encoders.txt ${CONSTRAINTS:+"$CONSTRAINTS"}
}

works() {
    [ -f "$stamp" ] && [ -x .venv/bin/cmg ] && [ -x .venv/bin/ruff ] &&
        [ "$(head -n 1 "$stamp")" = "checkout $PWD" ] &&
        { [ -z "$PYTHON" ] || [ "$(version_of "$PYTHON")" = "$(version_of $python)" ]; } &&
        "$python" -c 'import sys, importlib.util as u
sys.exit(not all(map(u.find_spec, ("cmg", "mypy", "numpy", "pip", "pytest", "torch"))))' 2>/dev/null
}

# Quiet in a log; with progress on a terminal, since torch is a large download.
pip_install() {
    # shellcheck disable=SC2086  # PIP_FLAGS is a list
    "$python" -m pip install $quiet ${CONSTRAINTS:+-c "$CONSTRAINTS"} $PIP_FLAGS "$@"
}
quiet=
[ -t 1 ] || quiet=--quiet

[ -z "$PYTHON" ] || choose "$PYTHON" >/dev/null
wanted=$(description)
if works; then
    [ "$(cat "$stamp")" != "$wanted" ] || exit 0
    echo "updating .venv"
    rm -f "$stamp"
else
    if [ -n "$PYTHON" ]; then set -- "$PYTHON"; else set -- python3 python3.13 python3.12 python3.11; fi
    chosen=$(choose "$@")
    echo "building .venv with $chosen ($(version_of "$chosen")): about 1 GB, a minute or more"
    rm -rf .venv
    "$chosen" -m venv .venv
fi
# The build backend comes first and is used as installed, so that it is pinned like all the rest.
pip_install hatchling
pip_install --no-build-isolation --editable '.[dev]'
pip_install --no-deps -r encoders.txt
echo "$wanted" >"$stamp"
