# Every job does its own set-up on a fresh machine: Python 3.11 or newer with pip, nothing else.
#
#   make demo       grade a synthetic study, print the grades, write report and pictures
#   make test       the quick suite                make test-all   with the slow one
#   make lint       style, types, layers           make docs       the pages, into site/
#   make bench      speed beside what one would use instead (BENCH_JSON=path writes the rows, ROWS=a,b)
#
# The environment lives in .venv. What is installed leaves a stamp there, so a second run starts at
# once; changed pins or metadata install again. PYTHON=... chooses the interpreter.

SHELL := /bin/bash
VENV := .venv
RUN := $(VENV)/bin/python
# One thread per process: the suites run in parallel processes. Compiled tests are kept.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest -q -n logical --maxprocesses 4 --dist worksteal

.PHONY: help demo test test-slow test-all lint docs bench clean
help:
	@sed -n 's/^# \{0,1\}//;1,10p' Makefile

demo: $(VENV)/.has-view
	$(VENV)/bin/volspine demo

test: $(VENV)/.has-test,all,ray
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.has-test,all,ray $(VENV)/.has-docs
	$(PYTEST) -m slow

test-all: $(VENV)/.has-test,all,ray
	$(PYTEST) --cov --cov-report=term:skip-covered

lint: $(VENV)/.has-test,all,ray
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports

docs: $(VENV)/.has-docs
	$(RUN) -m mkdocs build --strict

bench: $(VENV)/.has-bench,all
	$(RUN) experiments/benchmarks/run.py $(if $(ROWS),--rows $(ROWS))

clean:
	rm -rf $(VENV) site build dist

# Installs this package, editable, with the extras named in the stamp: .has-view, .has-test,all ...
$(VENV)/.has-%: setup.cfg pyproject.toml constraints.txt $(VENV)/.made
	$(RUN) -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[$*]'
	@touch '$@'

# The first Python on the path that the pinned wheels exist for; any newer one if there is no other.
CANDIDATES = python3 python3.11 python3.12 python3.13 python
define MAKE_VENV
find_python() { \
  for candidate in $(PYTHON) $(CANDIDATES); do \
    "$$candidate" -c "import sys; sys.exit(not (3, 11) <= sys.version_info < $$1)" 2>/dev/null \
      && echo "$$candidate" && return; \
  done; return 1; }; \
python=$$(find_python "(3, 14)" || find_python "(4,)") || { \
  echo "volspine needs Python 3.11 or newer; name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }; \
"$$python" -m venv --clear $(VENV) 2>/dev/null || { \
  "$$python" -m venv --clear --without-pip $(VENV) && \
  "$$python" -m pip --python $(RUN) install -q pip; }
endef

$(VENV)/.made:
	@if ! $(RUN) -m pip --version >/dev/null 2>&1; then \
	  echo "Setting up $(VENV): a few minutes and about 3 GB, once."; $(MAKE_VENV); \
	fi
	@touch $@
