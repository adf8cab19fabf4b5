# What a newcomer types: `make demo`, `make test`. Every target sets itself up into .venv first; `make setup` does only that.
# Needed on the machine: Python 3.11 or newer with venv, make, git, and a package index that pip can reach.

VENV := .venv
PY := $(VENV)/bin/python
# Made anew when what is locked or how the package is built has changed; removed first, so a failed set-up is not taken for done.
STAMP := $(VENV)/.set-up
ARGS ?=
# Files of tests side by side: a row for each core up to four, and on fewer cores one more, since tests of two nodes wait
# for states a third of their time. PARALLEL= (nothing) runs them one after the other.
ROWS := $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); if [ $$n -lt 4 ]; then echo $$((n + 1)); else echo 4; fi)
PARALLEL ?= --numprocesses $(ROWS) --dist loadfile

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_NO_INPUT := 1
# Tests start a hundred nodes and commands: compiled anew each time, these would take two seconds of it in place of one.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup test test-all demo bench fuzz sbom audit auditor-kit lint fix lock proto clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## .venv with every locked package and this one; done once, again when the lock changes
	@:

$(STAMP): requirements/dev.txt pyproject.toml
	@rm -f $@
	@tools/python.sh $(VENV)
	@echo "Installing the locked packages into $(VENV) (once, a minute or two) ..."
	@$(PY) -m pip install -qq --require-hashes --requirement requirements/dev.txt
	@$(PY) -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

test: setup ## the fast set (ARGS='-k walk' narrows it)
	@$(PY) -m pytest -m "not slow" $(PARALLEL) $(ARGS)

test-all: setup ## everything, with the long runs
	@$(PY) -m pytest $(PARALLEL) $(ARGS)

demo: setup ## two nodes, both sides' documents, an outage, a restore; KEEP=1 leaves them running
	@$(PY) -m tools.demo $(if $(KEEP),--keep) $(ARGS)

bench: setup ## rates, latencies and memory beside their floor (ARGS='--million' for 1M entries)
	@$(PY) -m tools.bench $(ARGS)

fuzz: setup ## hostile bytes at every parser (ARGS='crl note --runs 1000000'); a finding is kept in .fuzz/
	@$(PY) -m pip install -qq --require-hashes --requirement requirements/fuzz.txt
	@PYTHONPATH=. $(PY) -m tests.fuzz.run $(ARGS)

sbom: setup ## build/sbom.json: what a node is made of, CycloneDX, from the hashed lock
	@$(PY) -m pip install -qq --require-hashes --requirement requirements/sbom.txt
	@mkdir -p build
	@$(VENV)/bin/cyclonedx-py requirements requirements/run.txt --pyproject pyproject.toml --output-reproducible \
	  --of JSON -o build/sbom.json
	@echo build/sbom.json

audit: setup ## known weaknesses of what is locked; asks the advisory database over the network
	@$(PY) -m pip install -qq --require-hashes --requirement requirements/audit.txt
	@$(VENV)/bin/pip-audit --require-hashes --disable-pip --requirement requirements/run.txt $(ARGS)

auditor-kit: ## build/auditor-kit: the independent verifier for linux and windows; needs golang-go and golang-golang-x-mod-dev
	@tests/independent/build.sh build/auditor-kit

lint: setup ## style, types, layers, schema, and whether the generated code is current
	@PYTHON=$(PY) tools/lint.sh

fix: setup ## what the tools can put right by themselves
	@$(VENV)/bin/ruff check --quiet --fix-only
	@$(VENV)/bin/ruff format --quiet
	@$(VENV)/bin/buf format --write proto

lock: setup ## resolve pyproject.toml into requirements/*.txt again (ARGS=--upgrade for newer versions)
	@PYTHON=$(PY) tools/lock.sh $(ARGS)

proto: setup ## src/exchange/v1 from proto/
	@PYTHON=$(PY) tools/generate.sh

clean: ## what was made here, .venv included; nothing that is committed
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks .fuzz build dist tests/foreign/node_modules
	@find src adapters tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
