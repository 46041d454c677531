# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv when there is none.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
PIP_ARGS ?=

.PHONY: demo test install up lint check soak docs-check bench clean

# The stamps hold what was installed last, so that a second call is quick.
$(VENV)/.run: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.run

install: $(VENV)/.dev

demo: $(VENV)/.run
	@$(BIN)/kol demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

# Random faults for so long, and an exact reckoning: make soak MINUTES=30 SEED=1.
MINUTES ?= 30
soak: $(VENV)/.dev
	$(BIN)/python -m tests.kafka.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

# One Kafka and a worker in containers, or several: make up ARGS="--scale worker=3".
up: .env
	docker compose up --build --detach --wait $(ARGS)
	@docker compose ps worker

# What Compose and `kol` read: the token without which the web API of the containers says nothing.
.env:
	@umask 077; printf 'KOL_WEB_TOKEN=%s\n' "$$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" > $@

lint: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/kol schemas --check
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m tools.audit
	@KOL_WEB_TOKEN=any $(BIN)/docker-compose --profile '*' config --quiet

docs-check: $(VENV)/.dev
	$(BIN)/python -m tools.docs_check $(ARGS)

# All benchmarks, an hour or two; some: make bench ARGS="worker rivals".
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks --json bench.json $(ARGS)

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
