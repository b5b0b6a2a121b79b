# Everything a developer runs. On a fresh machine: Python 3.11 or newer with venv, make, and a package index.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
VAR ?= var
WORKERS ?= 1
JOBS ?= 2
export PORT VAR WORKERS

.DEFAULT_GOAL := help
.PHONY: help run test check fast lint types contracts openapi openapi-check messages messages-check mutants machine machine-mutants stripe-sandbox stripe-cli stripe-triggers fuzz bench lock journeys renderings clean

help: ## Say what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(VENV)/run.stamp: requirements/run.txt bin/make-venv
	@$(PYTHON) bin/make-venv $(VENV) requirements/run.txt && touch $@

$(VENV)/dev.stamp: requirements/dev.txt bin/make-venv
	@$(PYTHON) bin/make-venv $(VENV) requirements/dev.txt && touch $@ $(VENV)/run.stamp

run: $(VENV)/run.stamp ## Serve the whole shop with demo data and test payments (PORT=8000 VAR=var)
	@exec $(BIN)/python -m web.cli serve

test: $(VENV)/dev.stamp ## Run all tests on a real PostgreSQL, in parallel
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q

renderings: $(VENV)/dev.stamp ## Keep how the agreement step looks, by its template's digest, where the shop shows it
	RENDERINGS=$(abspath $(or $(VAR),var))/renderings $(BIN)/python -m pytest -q tests/journeys/test_agreement_step.py

fast: $(VENV)/dev.stamp ## Run the tests that take milliseconds
	$(BIN)/python -m pytest -n $(JOBS) -q -m "not slow and not browser"

lint: $(VENV)/dev.stamp ## Check style, formatting, templates, unused dependencies, forgotten notes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint --quiet --lint web/templates
	$(BIN)/deptry .
	@! git grep -nIE '\b(TODO|FIXME)\b|XXX:' -- '*.py' '*.html' '*.css' '*.js' ':!web/static/vendor' || \
		{ echo 'Finish these or file an issue: no notes to self in the tree.'; exit 1; }

types: $(VENV)/dev.stamp ## Check types
	$(BIN)/mypy kernel accounts catalog pricing agreements checkout insights web sandbox examples benchmarks tests migrations

contracts: $(VENV)/dev.stamp ## Check which room may import which
	$(BIN)/lint-imports

openapi: $(VENV)/dev.stamp ## Write openapi/openapi.json and its changelog from the code
	$(BIN)/python -m web.openapi write

openapi-check: $(VENV)/dev.stamp ## Fail when openapi/ is not what the code says, not valid, or breaks partners' programs
	$(BIN)/python -m web.openapi check

messages: $(VENV)/dev.stamp ## Collect the texts of pages into web/locale, and compile the translations
	$(BIN)/python -m web.messages update

messages-check: $(VENV)/dev.stamp ## Fail when a text has no Spanish translation
	$(BIN)/python -m web.messages check

coverage: $(VENV)/dev.stamp ## Show that the money's code is covered branch by branch
	$(BIN)/python -m pytest -n $(JOBS) -q tests/pricing/engine tests/kernel/test_money.py tests/checkout/test_states.py \
		--cov=pricing.engine --cov=kernel.money --cov=checkout.states --cov-branch --cov-report=term-missing:skip-covered \
		--cov-fail-under=100

check: lint types contracts openapi-check messages-check coverage test ## All that must be green before a commit lands

mutants: $(VENV)/dev.stamp ## Change the money's code in thousands of small ways; its tests must notice (FILES="a.py b.py")
	$(BIN)/python -m tests.mutants.run --children $(JOBS) $(FILES)

machine: $(VENV)/dev.stamp ## Live the whole life of orders and money in ways nobody thought of (LIVES=500 STEPS=60 LIFE_SEED=1)
	LIVES=$${LIVES:-500} STEPS=$${STEPS:-60} LIFE_SEED=$${LIFE_SEED:-any} $(BIN)/python -m pytest -q -s -p no:randomly tests/life/test_life.py

machine-mutants: $(VENV)/dev.stamp ## Make mistakes with money in a copy of the tree; the machine must fall over each (NAMES="a b")
	$(BIN)/python -m tests.life.mutants --write $(NAMES)

stripe-sandbox: $(VENV)/dev.stamp ## Ask Stripe itself what the twin is asked (STRIPE_API_KEY=sk_test_...); docs/stripe-sandbox.md
	@$(BIN)/python -m tests.stripe_cases.sandbox

stripe-cli: ## Install Stripe's own command line from npm into VAR, pinned by version and hash
	@mkdir -p $(VAR)/stripe_cli && cp tests/stripe_cli/package.json tests/stripe_cli/package-lock.json $(VAR)/stripe_cli/
	@cd $(VAR)/stripe_cli && npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error

stripe-triggers: $(VENV)/dev.stamp stripe-cli ## Have Stripe's own command line drive the twin, event by event
	$(BIN)/python -m pytest -q -p no:randomly tests/stripe_cli

fuzz: $(VENV)/dev.stamp ## Ask the API some ten thousand things that its document allows or forbids, links followed
	$(BIN)/python -m pytest -q -s -p no:randomly tests/contract/fuzz.py

bench: $(VENV)/dev.stamp ## Measure, as ratios to a baseline run beside it
	$(BIN)/python -m benchmarks

lock: $(VENV)/dev.stamp ## Compile the hash-pinned requirement files from pyproject.toml (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		pyproject.toml -o requirements/run.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--group dev pyproject.toml -o requirements/dev.txt

clean: ## Remove the virtual environment and all local data
	rm -rf $(VENV) $(VAR)
