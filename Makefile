# Everything runs in .venv, which the first target builds (about 1 GB) and every target repairs.
#
#   make PYTHON=python3.12 test   choose the interpreter; default: python3, or a python3.N that will do
#   make CONSTRAINTS= test        no pins, only the ranges of pyproject.toml; what is installed and fits
#                                 stays, so `rm -rf .venv` first for the newest releases
#   make PIP_FLAGS='--extra-index-url https://download.pytorch.org/whl/cpu' test
#                                 options for pip install; these take the small CPU build of torch
PYTHON ?=
CONSTRAINTS ?= constraints.txt
PIP_FLAGS ?=
BIN := .venv/bin

.PHONY: help venv demo voices tuxpaint letters test test-slow browser lint types format docs
.DEFAULT_GOAL := help

help:
	@echo "make demo       train a small model on real data here, and report it (runs/demo)"
	@echo "make voices     train on synthesized voices, read recorded ones (needs the recordings: projects/voices/README.md)"
	@echo "make tuxpaint   60 stamps of Tux Paint, from raw files to transfer (needs the package: projects/tuxpaint/README.md)"
	@echo "make letters    recorded letters and fonts, fold 0, from packages to transfer (needs them: projects/letters/README.md)"
	@echo "make docs       the pages as a site (build/site), strictly; the notebooks are run"
	@echo "make test       lint, format check, layers, types, then the default tests"
	@echo "make test-slow  the tests marked slow"
	@echo "make browser    the explorer and a report in a real Chromium (Debian: apt-get install chromium)"
	@echo "make lint       ruff: lint and format check; import-linter: the layers of the rooms"
	@echo "make types      mypy, strict"
	@echo "make format     let ruff rewrite what it can"
	@echo "make venv       only build or repair .venv"

venv:
	@PYTHON='$(PYTHON)' CONSTRAINTS='$(CONSTRAINTS)' PIP_FLAGS='$(PIP_FLAGS)' sh tools/make_venv.sh

demo: venv
	$(BIN)/cmg demo --out runs/demo --json runs/demo.json --overwrite

voices: venv
	$(BIN)/python -m projects.voices compare --out runs/voices --least 90

# SOURCE=--source=FOLDER names an unpacked package; without a package this fails.
tuxpaint: venv
	$(BIN)/python -m projects.tuxpaint compare --out runs/tuxpaint-60 --stamps 60 --seeds 1 $(SOURCE)

# SOURCE=--source=FOLDER as above, of the unpacked packages.
letters: venv
	$(BIN)/python -m projects.letters build --out stores/letters-0 --fold 0 $(SOURCE)
	$(BIN)/cmg pretrain projects/letters/letters.yaml data=stores/letters-0 --out runs/letters-0
	$(BIN)/cmg report runs/letters-0

# All five run even when one fails, so that one call shows everything; pytest's summary comes last.
# A process per core, with a thread each: tests are small, and two threads would wait for each other.
test: venv
	@failed=; \
	run() { echo "$(BIN)/$$*"; "$(BIN)/$$@" || failed="$$failed [$$*]"; }; \
	run ruff check .; \
	run ruff format --check .; \
	run lint-imports --no-logo; \
	run mypy; \
	export OMP_NUM_THREADS=1; \
	run pytest -n auto --dist loadfile --no-loadscope-reorder; \
	[ -z "$$failed" ] || { echo "failed:$$failed" >&2; exit 1; }

# Strict: a broken link or anchor, a page without a place, or a notebook that fails is an error.
docs: venv
	NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

test-slow: venv
	$(BIN)/pytest -m slow

browser: venv
	@[ -x /usr/bin/chromium ] || { echo "make browser needs /usr/bin/chromium: apt-get install chromium" >&2; exit 1; }
	$(BIN)/pytest -m browser -n 0 tests/browser

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: venv
	$(BIN)/mypy

format: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
