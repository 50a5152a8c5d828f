.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
NODE := tests/clients/node

# The first Python on PATH that will do; asked only when .venv has to be made.
PYTHON = $(shell for python in python3.13 python3.12 python3.11 python3; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		&& echo $$python && break; done)

.PHONY: help demo run test clients soak chaos fuzz bench bench-quick bench-parts check fix lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/runtime  ## the whole service beside a simulated Poe: no key, no Docker, no Redis
	@exec $(BIN)/poe2gpt demo

run: .venv/runtime  ## the service on this machine: POE_TOKENS=... make run
	@exec $(BIN)/poe2gpt

test: .venv/dev  ## every test; those that lack nginx or Docker say so and are skipped
	@exec $(BIN)/pytest -n 2 --dist loadfile

clients: .venv-clients/ready $(NODE)/node_modules/.package-lock.json  ## what real clients make of the service: LangChain, LiteLLM, openai-node, AI SDK
	@PYTHONPATH=$(CURDIR) .venv-clients/bin/python -m pytest tests/clients

soak: .venv/dev  ## limits and shares under pressure, for MINUTES=5
	@$(BIN)/python -m bench.soak $(or $(MINUTES),5)

chaos: .venv/dev  ## a thousand requests while workers, gateways and Redis are killed
	@$(BIN)/python -m bench.chaos

fuzz: .venv/dev  ## whatever strangers may send, for MINUTES=5
	@$(BIN)/python -m tests.fuzz $(or $(MINUTES),5)

bench: .venv/dev .venv-bench/ready bench/node/node_modules/.package-lock.json  ## the gateway beside others, half an hour: a table, docs/performance.json and .svg
	@$(BIN)/python -m bench.compare --sizes --json docs/performance.json
	@.venv-bench/bin/python -m bench.chart docs/performance.json docs/performance.svg

bench-quick: .venv/dev  ## a minute of it, with the peers that are installed
	@$(BIN)/python -m bench.compare --quick

bench-parts: .venv/dev  ## what the scripts of the hot path cost Redis, how soon Poe hears of who has left, what hostile bodies cost, how starts and idling grow with the tokens
	@$(BIN)/python -m bench.scripts
	@$(BIN)/python -m bench.cancel
	@$(BIN)/python -m bench.bodies
	@$(BIN)/python -m bench.startup

check: .venv/dev  ## style, types, who imports whom, nginx's configuration
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/e2e/test_nginx.py::test_nginx_accepts_the_configuration

fix: .venv/dev  ## what of the style can be mended by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: .venv/bin/python  ## what pyproject.toml asks for, into requirements/; LOCK=--upgrade renews all
	@set -e; uv=$$(mktemp -d); trap 'rm -rf "$$uv"' EXIT; \
	$(BIN)/python -m venv "$$uv"; "$$uv/bin/pip" install -q uv; \
	export UV_CUSTOM_COMPILE_COMMAND="make lock"; \
	compile="$$uv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes $(LOCK)"; \
	$$compile pyproject.toml --extra embedded --group test --group lint -o requirements/dev.txt; \
	$$compile pyproject.toml --extra embedded --group test --group clients \
		-o requirements/clients.txt; \
	$$compile pyproject.toml --group bench -o requirements/bench.txt; \
	$$compile pyproject.toml --extra embedded -c requirements/dev.txt -o requirements/runtime.txt; \
	printf 'editables\nhatchling\n' | $$compile - -c requirements/dev.txt -o requirements/build.txt

clean:  ## back to a fresh clone
	rm -rf .venv .venv-clients .venv-bench $(NODE)/node_modules bench/node/node_modules .*_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { \
		echo "poe2gpt needs Python 3.11 or later with its venv module, and found none." >&2; \
		echo "On Debian and Ubuntu: apt install python3 python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# A stamp per set of requirements: what is already there is not looked at again.
.venv/runtime: .venv/bin/python pyproject.toml requirements/build.txt requirements/runtime.txt
	@echo "installing into .venv, about half a minute"
	$(BIN)/pip install -q --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev: .venv/runtime requirements/dev.txt
	$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	@touch $@

# Apart from .venv: LangChain and LiteLLM need an older openai, and half a gigabyte.
.venv-clients/ready: requirements/clients.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later with venv was found." >&2; exit 1; }
	$(PYTHON) -m venv .venv-clients
	@echo "installing into .venv-clients, some minutes"
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
