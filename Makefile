# Two commands do everything on a fresh machine with Python 3.10 or later: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint docs clean

# Trains on the texts in assets/demo, compares with spaCy's default, and shows what came out. Minutes on two cores.
demo: .venv/installed
	$(BIN)/python -m spacy project run demo

# Everything that must hold before a change goes in.
test: lint docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
	# What the native kernel computes is computed by PyTorch where there is none.
	OMP_NUM_THREADS=1 SPACY_ELMO_NATIVE=0 $(BIN)/python -m pytest tests/bilm/inference/test_engine.py

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The site, in docs/_build/html: for reading it needs no network.
docs: .venv/installed
	$(BIN)/python -m sphinx -q -W --keep-going docs docs/_build/html

# torch comes first and alone: its pinned build is the small CPU one where an index offers that.
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv docs/_build corpus training metrics packages
