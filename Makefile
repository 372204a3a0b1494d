# Every command a person types. `make help` lists them; `make mock` and `make test` need nothing but Python 3.11+.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_PROGRESS := VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install
UV := $(UV_PROGRESS) --quiet
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev mock test test-kafka kafka check format bench stream lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.run ## Create .venv with what running needs, pinned by requirements.lock

setup-dev: $(VENV)/.dev ## The same with what tests and checks need, pinned by tests/requirements.lock

# uv comes from the lock too: pip installs that one block of it, hashes checked, and uv installs the rest ten times faster.
$(VENV)/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@echo "[1/4] Creating $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "[2/4] Installing uv"
	@awk '/^[^ ]/ { block = /^uv==/ } block' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@echo "[3/4] Installing the dependencies (about 250 MB)"
	@$(UV_PROGRESS) --require-hashes -r requirements.lock
	@echo "[4/4] Installing eventbus from this folder"
	@$(UV) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.run tests/requirements.lock
	@echo "Installing what tests and checks need"
	@$(UV) --require-hashes -r tests/requirements.lock
	@touch $@

mock: setup ## Everything in one process: events on the screen, PostgreSQL, HTTP (ARGS="--port 3001")
	@exec $(BIN)/eventbus mock $(ARGS)

test: setup-dev ## Unit, contract, golden and acceptance tests, on all cores (ARGS="-k name")
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

test-kafka: setup-dev ## The tests on a real Kafka: KAFKA_BOOTSTRAP_SERVERS, else Docker, else Kafka's jars on Java 17+
	@$(BIN)/python -m tests.kafka.maven
	@$(BIN)/python -m pytest -m kafka $(ARGS)

kafka: setup-dev ## Start that real Kafka by hand and print its address; Ctrl-C stops it
	@exec $(BIN)/python -m tests.kafka.broker

check: setup-dev ## Lint, format, types and import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup-dev ## Format the code and sort the imports
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup-dev ## Measure everything beside a baseline of the same run (ARGS="generator bus")
	@$(BIN)/python -m tests.bench $(ARGS)

stream: setup ## Stream into a real Kafka (ARGS="--bootstrap-servers localhost:9092 --rate 500")
	@exec $(BIN)/eventbus stream $(ARGS)

lock: setup-dev ## Resolve the dependencies anew: requirements.lock, then tests/requirements.lock with the same versions
	@$(BIN)/uv pip compile --universal --quiet --generate-hashes --no-header --group setup pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --universal --quiet --generate-hashes --no-header --group dev --constraint requirements.lock \
	  pyproject.toml -o tests/requirements.lock

clean: ## Remove the environment and everything built
	rm -rf $(VENV) dist build node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
