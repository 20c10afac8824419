# Everything a fresh machine needs is Python 3.11+, make and git.
#   make demo   build the embedded sample release end to end, then print what was made
#   make test   run the tests
#   make dev    open the Dagster UI on http://127.0.0.1:3000
#   make lint   ruff, mypy, import contract
#   make soak   the long kill, load and scale checks
#   make bench  the benchmarks, one table

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster_home
export DAGSTER_DISABLE_TELEMETRY = 1
export DAGSTER_EVENT_BATCH_SIZE ?= 1000

.PHONY: demo test dev lint soak bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/biomedica build --export commercial --snapshot demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not soak"

# Unset the instance of a developer's shell: tests make their own.
soak: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m soak

dev: $(VENV)/.installed $(DAGSTER_HOME)/dagster.yaml
	$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(DAGSTER_HOME)/dagster.yaml:
	mkdir -p $(DAGSTER_HOME)
	ln -sf $(CURDIR)/dagster.yaml $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make virtual environments. On Debian: apt-get install python3-venv"; exit 1; }

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
	touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(VENV)/.installed $@
