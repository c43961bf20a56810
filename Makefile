# One virtual environment for everything; each stamp is made once and again when its inputs change.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
OUT ?= demo
# executions for each share of a parser (tests/fuzz/targets.py), and the longest that one parser runs
FUZZ_RUNS ?= 20000
FUZZ_SECONDS ?= 600
FUZZ_STAMP := $(VENV)/.installed-fuzz

.PHONY: demo test test-all check dev bench docs fuzz clean

# the demo needs llama.cpp, torch and the signing libraries
demo: $(RUN_STAMP)
	$(BIN)/qaudit demo --out $(OUT)

# everything that CI runs: linters, types, tests; not the rungs of the zoo between two that it audits. Without coverage,
# whose tracing takes as long again as the tests themselves, and makes what a checkpoint's work is allowed to take too little
test: check
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

# with the slow ones, with other random examples each time, with coverage
test-all: check
	$(BIN)/python -m pytest -n auto --dist worksteal --hypothesis-profile=exploring \
	    --cov --cov-report=term --cov-fail-under=90

check: $(DEV_STAMP)
	$(BIN)/ruff format --check qaudit realign tests benchmarks
	$(BIN)/ruff check qaudit realign tests benchmarks
	$(BIN)/mypy

dev: $(DEV_STAMP)

bench: $(DEV_STAMP)
	$(BIN)/python benchmarks/audit_speed.py

# every parser of a download in a process of its own, with limits on memory and time; exit code 1 on a crash
fuzz: $(FUZZ_STAMP)
	$(BIN)/python tests/fuzz/campaign.py --runs $(FUZZ_RUNS) --seconds $(FUZZ_SECONDS)

docs: $(DEV_STAMP)
	$(BIN)/python -m qaudit.report.publish_schema docs/schema
	$(BIN)/python -m qaudit.attest.publish_schema docs/schema
	$(BIN)/python -m qaudit.static.publish_rules docs/rules.md

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("qaudit needs Python 3.11 or newer: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install -c constraints.txt torch==2.13.0
	$(PIP) install -c constraints.txt -e '.[gguf,realign,sign]'
	touch $@

$(DEV_STAMP): $(RUN_STAMP)
	$(PIP) install -c constraints.txt -e '.[gguf,hf,hub,matrix,realign,serve,sign,dev]'
	touch $@

$(FUZZ_STAMP): $(DEV_STAMP)
	$(PIP) install atheris==3.0.0
	touch $@

clean:
	rm -rf $(VENV) $(OUT) .fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* build dist
