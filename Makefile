# Two commands on a fresh machine: `make demo` and `make test`. Both make the virtual environment they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
LOCK := requirements/lock.txt
SANDBOX ?= build/slurm-sandbox

.DEFAULT_GOAL := help
.PHONY: help demo test test-verl test-slurm slurm-sandbox slurm-sandbox-stop test-all verl lint bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	$(PYTHON) -c 'import sys; assert sys.version_info[:2] == (3, 11), f"Python 3.11 is needed, not {sys.version.split()[0]}: make PYTHON=/path/to/python3.11"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml $(LOCK)
	$(PIP) install --quiet --disable-pip-version-check -c $(LOCK) -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install --quiet --disable-pip-version-check -c $(LOCK) -e '.[dev]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(PIP) install --quiet --disable-pip-version-check -c $(LOCK) -e '.[bench]'
	@touch $@

$(VENV)/.installed-verl: $(VENV)/.installed-dev
	$(PIP) install --quiet --disable-pip-version-check -c $(LOCK) -e '.[verl]'
	@touch $@

verl: $(VENV)/.installed-verl ## install verl and Ray: backend=verl, on a CPU; for GPUs see docs/verl.md

demo: $(VENV)/.installed ## train SFT, RFT, SFT->RFT and Prefix-RFT on the embedded task; print and write the table
	$(BIN)/prefix-rft demo

test: $(VENV)/.installed-dev ## the fast tests
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow and not verl and not vllm and not slurm and not browser and not lighteval and not gpu'

test-verl: $(VENV)/.installed-verl ## the tests that need verl and Ray, in several processes of their own
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'verl and not slow and not vllm and not gpu' -rs

test-slurm: $(VENV)/.installed-dev ## the tests that start a real SLURM on this machine (apt-get install slurm-wlm munge)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm -rs

slurm-sandbox: $(VENV)/.installed ## start a SLURM of two virtual nodes in SANDBOX (apt-get install slurm-wlm munge); docs/slurm.md
	$(BIN)/python -m slurm.testing start $(SANDBOX)

slurm-sandbox-stop: $(VENV)/.installed ## end it again
	$(BIN)/python -m slurm.testing stop $(SANDBOX)

test-all: $(VENV)/.installed-bench $(VENV)/.installed-verl ## every test this machine can run; the others say why they are skipped
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -rs

lint: $(VENV)/.installed-dev ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-bench ## speed and memory against peers, written to benchmarks/results/
	$(BIN)/python -m benchmarks.local_step

clean: ## remove the virtual environment and caches; runs and reports stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
