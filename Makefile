# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv when there is none.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=
PIP_ARGS ?=

.PHONY: demo test install lint check bench clean

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

lint: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/kol schemas --check

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.sketch
	$(BIN)/python -m benchmarks.encoder
	$(BIN)/python -m benchmarks.worker
	$(BIN)/python -m benchmarks.visibility

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
