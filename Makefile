# On a bare machine with Python 3.11 or newer: `make demo`, `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test soak fuzz check format bench bench-quick reference clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed-rehearsal ## place one call to each agent and print what was said
	$(BIN)/dialplan demo

test: $(VENV)/installed-test ## the whole test suite
	$(BIN)/python -m pytest

check: $(VENV)/installed-test ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy plugins
	$(BIN)/mypy -p bench

ifdef HOURS
SOAK := tests.day --hours $(HOURS) $(if $(PUBLISH),--publish)
else
SOAK := tests.faults --minutes $(or $(MINUTES),10) $(if $(POSTGRESQL),--postgresql)
endif

soak: $(VENV)/installed-test $(if $(HOURS),$(VENV)/installed-bench) ## HOURS of an ordinary day, or MINUTES in which everything fails
	$(BIN)/python -m $(SOAK) --seed $(or $(SEED),1)

fuzz: $(VENV)/installed-test ## rubbish on every way in, for MINUTES; a table of what it did
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED)) $(if $(PUMPED),--pumped)

bench: $(VENV)/installed-bench ## what a call costs beside other bridges; half an hour on a quiet machine
	$(BIN)/python -m bench --out var/bench.json
	$(BIN)/python -m bench report var/bench.json

bench-quick: $(VENV)/installed-bench ## ratios only, in under a minute
	$(BIN)/python -m bench --quick

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Dialplan needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-%: pyproject.toml constraints.txt $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

reference: $(VENV)/installed-test ## write docs/commands.md from --help
	$(BIN)/python -c 'from tests import test_docs; test_docs.COMMANDS.write_text(test_docs.commands_page())'
