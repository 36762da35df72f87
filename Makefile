# Mirror Realm's commands. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DEFAULT_GOAL := help

BIN := .venv/bin
EXAMPLE := examples/nas-photo-processing
PYTEST_ARGS ?=
SEED ?= 1
TRIALS ?= 20
JOBS ?= 1
CHAOS_RESULTS ?= chaos/results/campaign.jsonl
NIGHT_RESULTS ?= chaos/results/nights.jsonl

.PHONY: help env demo test lint format bench chaos chaos-night chaos-report docs constraints clean

help: ## this list
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z%-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

env: .venv/.installed-core ## .venv with the product (no torch); again only when pyproject.toml or constraints.txt change

demo: env ## a photo through the whole pipeline: compiled, run, archived, and where to look
	@MIRROR_REALM_HOME="$(CURDIR)/.realm" $(BIN)/realm run $(EXAMPLE)/workflow.yaml --input file_path=$(EXAMPLE)/sample.jpg --root $(EXAMPLE)

test: .venv/.installed-all ## every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/.installed-all ## style, types and the arrows between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports --no-logo

format: .venv/.installed-all ## put every file into the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed-all ## every benchmark; results go to benchmarks/results/
	$(BIN)/python benchmarks/run.py

bench-%: .venv/.installed-all ## one benchmark, as in make bench-startup
	$(BIN)/python benchmarks/run.py $*

chaos: .venv/.installed-all ## random definitions, faults at random times, and what must hold: SEED=, TRIALS=, JOBS=
	$(BIN)/python -m chaos --seed $(SEED) --trials $(TRIALS) --jobs $(JOBS) --results $(CHAOS_RESULTS)

chaos-night: .venv/.installed-all ## 2,000 instances of ten nodes, nodes that fail, a kill every 30 s
	$(BIN)/python -m chaos.long_night --results $(NIGHT_RESULTS)

chaos-report: .venv/.installed-all ## docs/chaos-report.md of what `make chaos` and `make chaos-night` found
	$(BIN)/python -m chaos.report $(CHAOS_RESULTS) --nights $(NIGHT_RESULTS)

docs: .venv/.installed-all ## regenerate docs/cli.md, docs/nodes.md and the JSON Schema
	$(BIN)/python -m mirror_realm.cli.reference

constraints: .venv/.installed-all ## pin the newest versions that pyproject.toml allows
	{ grep '^#' constraints.txt; \
	  uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade pyproject.toml \
	    --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  | sed 's/ *;.*//; s/+cpu//' | LC_ALL=C sort -u; } > constraints.new
	mv constraints.new constraints.txt

clean: ## remove .venv, caches and build leftovers
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a second call costs nothing, a change of the inputs installs again.
.venv/.installed-core: pyproject.toml constraints.txt .ci/env
	@bash .ci/env
	@touch $@

.venv/.installed-all: pyproject.toml constraints.txt .ci/env
	@bash .ci/env ai restore mtcnn media verify lsp dev
	@touch .venv/.installed-core $@
