.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
NODE := tests/clients/node

# The first suitable Python on PATH; looked up only when .venv must be created.
PYTHON = $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		&& echo $$python && break; done)

.PHONY: help demo run test clients soak chaos fuzz bench bench-quick bench-parts check fix lock clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/runtime  ## run the service with a simulated Poe: needs no key, Docker or Redis
	@exec $(BIN)/poe2gpt demo

run: .venv/runtime  ## run the service on this machine: POE_TOKENS=... make run
	@exec $(BIN)/poe2gpt

test: .venv/dev  ## run every test; skip those that need nginx or Docker if there is none
	@exec $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder  # the many short files last

clients: .venv-clients/ready $(NODE)/node_modules/.package-lock.json  ## test with real clients: LangChain, LiteLLM, Agents SDK, Claude Code, Codex, the AI SDK, those for Node
	@PYTHONPATH=$(CURDIR) .venv-clients/bin/python -m pytest tests/clients

soak: .venv/dev  ## test limits and fairness under load, for MINUTES=5
	@$(BIN)/python -m bench.soak $(or $(MINUTES),5)

chaos: .venv/dev  ## answer a thousand requests while workers, gateways and Redis are killed
	@$(BIN)/python -m bench.chaos

fuzz: .venv/dev  ## fuzz everything that parses input, for MINUTES=5
	@$(BIN)/python -m tests.fuzz $(or $(MINUTES),5)

bench: .venv/dev .venv-bench/ready bench/node/node_modules/.package-lock.json  ## compare the gateway with others, in 20 minutes: writes docs/performance.*
	@$(BIN)/python -m bench.compare --sizes --json docs/performance.json
	@.venv-bench/bin/python -m bench.chart docs/performance.json docs/performance.svg
	@$(BIN)/python -m bench.tables docs/performance.json docs/performance.md

bench-quick: .venv/dev  ## the same in a minute, with the peers that are installed
	@$(BIN)/python -m bench.compare --quick

bench-parts: .venv/dev  ## measure Redis scripts, cancellation, hostile bodies and startup with many tokens
	@$(BIN)/python -m bench.scripts
	@$(BIN)/python -m bench.cancel
	@$(BIN)/python -m bench.bodies
	@$(BIN)/python -m bench.startup

check: .venv/dev  ## check style, types, imports between packages and nginx's configuration
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/e2e/test_nginx.py::test_nginx_accepts_the_configuration

fix: .venv/dev  ## fix style automatically
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: .venv/bin/python  ## lock pyproject.toml's dependencies in requirements/; LOCK=--upgrade upgrades all
	@set -e; uv=$$(mktemp -d); trap 'rm -rf "$$uv"' EXIT; \
	$(BIN)/python -m venv "$$uv"; "$$uv/bin/pip" install -q uv; \
	export UV_CUSTOM_COMPILE_COMMAND="make lock"; \
	compile="$$uv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes $(LOCK)"; \
	$$compile pyproject.toml --extra embedded --extra postgres --group test --group lint \
		-o requirements/dev.txt; \
	$$compile pyproject.toml --extra embedded --group test --group clients \
		-o requirements/clients.txt; \
	$$compile pyproject.toml --group bench -o requirements/bench.txt; \
	$$compile pyproject.toml --extra embedded -c requirements/dev.txt -o requirements/runtime.txt; \
	printf 'editables\nhatchling\n' | $$compile - -c requirements/dev.txt -o requirements/build.txt

clean:  ## remove everything that make has created
	rm -rf .venv .venv-clients .venv-bench $(NODE)/node_modules bench/node/node_modules .*_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { \
		echo "No Python 3.11 or later with the venv module was found." >&2; \
		echo "On Debian and Ubuntu: apt install python3 python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# One stamp file per set of requirements, so that an unchanged set is not installed again.
.venv/runtime: .venv/bin/python pyproject.toml requirements/build.txt requirements/runtime.txt
	@echo "installing into .venv, which takes about half a minute"
	$(BIN)/pip install -q --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/runtime requirements/dev.txt
	$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	@touch $@

# Not in .venv: LangChain and LiteLLM need an older openai and half a gigabyte.
.venv-clients/ready: requirements/clients.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later with venv was found." >&2; exit 1; }
	$(PYTHON) -m venv .venv-clients
	@echo "installing into .venv-clients, which takes some minutes"
	.venv-clients/bin/pip install -q --require-hashes -r $<
	@touch $@

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	npm --prefix $(NODE) ci --no-audit --no-fund
	@touch $@

# Apart from .venv: the peers of `make bench` need a gigabyte, and other versions.
.venv-bench/ready: requirements/bench.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later with venv was found." >&2; exit 1; }
	$(PYTHON) -m venv .venv-bench
	@echo "installing into .venv-bench, some minutes"
	.venv-bench/bin/pip install -q --require-hashes -r $<
	@touch $@

bench/node/node_modules/.package-lock.json: bench/node/package-lock.json
	npm --prefix bench/node ci --no-audit --no-fund
	@touch $@
