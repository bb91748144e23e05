# Everything runs in .venv, which the first target that needs it creates from uv.lock.
.DEFAULT_GOAL := help
PYTHON ?= python3
UV := 0.13.9
BIN := .venv/bin

.PHONY: help demo test lint features bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/synced ## From a flow file to rows in a database: park, wake, stop, purge
	$(BIN)/python examples/demo.py

test: lint ## Lint, then unit tests, tests on real servers, the quicker fault tests
	$(BIN)/python -m pytest -m "not slow" tests

lint: .venv/synced ## ruff, mypy, import contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

features: .venv/synced ## All fault tests on real servers
	$(BIN)/python -m pytest tests/features

LONG := bench-containers bench-faults bench-publish bench-orders bench-mixed bench-hooks bench-ticks
bench: $(filter-out $(LONG),$(patsubst bench/%.py,bench-%,$(shell grep -l __main__ bench/*.py))) ## All benches but the long ones; each ends with `ratio <median>`

bench-%: .venv/synced ## One bench: make bench-wake, or a long one: bench-containers, bench-faults, -publish, -orders, -mixed, -hooks, -ticks
	$(BIN)/python -m bench.$*

clean: ## Remove the virtual environment and caches; the local stack's data stays
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.venv/synced: pyproject.toml uv.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet "uv==$(UV)"
	$(BIN)/uv sync --frozen --inexact --quiet
	@touch $@
