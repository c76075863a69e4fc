# The commands every operator can rely on; `make help` lists them.

PYTHON ?= python3
PORT ?= 8000
STATE_DIR ?= .local
RATE_LIMIT_SCALE ?= 1
COMPOSE ?= docker compose
PYTEST_ARGS ?=
BENCH_ARGS ?=
DRILL_ARGS ?=

export PORT STATE_DIR RATE_LIMIT_SCALE COMPOSE

DEV = $(PYTHON) scripts/bootstrap.py requirements-dev.lock

.DEFAULT_GOAL := help
.PHONY: help run test lint fmt messages bench drill migrate seed up down lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

run: ## everything for a first look; Ctrl-C ends it (PORT, STATE_DIR, RATE_LIMIT_SCALE)
	@$(PYTHON) scripts/bootstrap.py run

# The gates of `make lint` are tests too (scripts/tests/test_lint.py), so this one command says whether all is well.
test: ## install what is missing and run every test (PYTEST_ARGS)
	@$(DEV) -m pytest $(PYTEST_ARGS)

lint: ## style, types, floors, templates, migrations
	@$(DEV) -m scripts.lint

fmt: ## put code and templates in shape
	@$(DEV) -m scripts.lint --fix

messages: ## collect all texts, name those without a Spanish one, compile the catalogue
	@$(DEV) -m scripts.messages

bench: ## print the figures (BENCH_ARGS)
	@$(DEV) -m bench $(BENCH_ARGS)

drill: ## kill everything 100 times over 10,000 writes, and see that nothing is lost (DRILL_ARGS)
	@$(DEV) -m bench.drill $(DRILL_ARGS)

migrate: ## apply migrations, to what `make run` keeps in STATE_DIR or else to Compose
	@$(PYTHON) scripts/bootstrap.py manage migrate

seed: ## make the demo clinics there
	@$(PYTHON) scripts/bootstrap.py manage seed_demo

up: ## Compose: build and start (makes .env with random secrets on first use)
	@$(PYTHON) scripts/compose_secrets.py
	@$(COMPOSE) up --build --detach --wait
	@$(COMPOSE) ps

down: ## Compose: stop; the data stay in their volumes
	@$(COMPOSE) down

lock: ## compile the lists of packages with hashes (LOCK_ARGS=--upgrade for newer ones)
	@for name in requirements requirements-local requirements-dev requirements-aws; do \
	  $(DEV) -m uv pip compile --quiet $$name.txt --output-file $$name.lock $(LOCK_ARGS) \
	    --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock" || exit 1; \
	done

clean: ## remove .venv and caches; data in STATE_DIR stay
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
