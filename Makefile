# Every command a person types. `make help` lists them; `make mock` and `make test` need nothing but Python 3.11+.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup mock test test-kafka kafka check format bench stream lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv with everything, pinned by requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the dependencies into $(VENV) (about a minute the first time) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

mock: setup ## Everything in one process: events on the screen, PostgreSQL, HTTP (ARGS="--port 3001")
	@exec $(BIN)/eventbus mock $(ARGS)

test: setup ## Unit, contract, golden and acceptance tests (ARGS="-k name")
	@$(BIN)/python -m pytest $(ARGS)

test-kafka: setup ## The tests on a real Kafka: KAFKA_BOOTSTRAP_SERVERS, else Docker, else Kafka's jars on Java 17+
	@$(BIN)/python -m tests.kafka.maven
	@$(BIN)/python -m pytest -m kafka $(ARGS)

kafka: setup ## Start that real Kafka by hand and print its address; Ctrl-C stops it
	@exec $(BIN)/python -m tests.kafka.broker

check: setup ## Lint, format, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## Format the code and sort the imports
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup ## Measure everything beside a baseline of the same run (ARGS="generator bus")
	@$(BIN)/python -m tests.bench $(ARGS)

stream: setup ## Stream into a real Kafka (ARGS="--bootstrap-servers localhost:9092 --rate 500")
	@exec $(BIN)/eventbus stream $(ARGS)

lock: setup ## Resolve the dependencies anew into requirements.lock
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --universal --quiet --generate-hashes --no-header --group dev pyproject.toml -o requirements.lock

clean: ## Remove the environment and everything built
	rm -rf $(VENV) dist build node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
