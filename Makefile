# `make test`, `make demo` and `make docs` work on a fresh clone: they build the environment first.
PYTHON ?= python3
BIN := .venv/bin
# What is compiled once need not be in each of the tests' processes.
export PYTHONDONTWRITEBYTECODE :=
# -qq: errors only. --no-compile: pip does so in one process.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check -qq install --no-compile
# The lowest transformers allowed, with what it needs and the main environment has newer or lacks.
LOWEST := transformers==5.6.0 huggingface_hub==1.33.0 tokenizers==0.22.2 httpx==0.28.1 httpcore==1.0.9 certifi==2026.10.18
# Two test processes with one thread each beat one process with two.
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: venv lowest lint test pytest demo docs notebooks clean

venv: .venv/.stamp

lowest: .lowest/.stamp

.venv/.stamp: pyproject.toml constraints.txt
	@echo "Building .venv, which takes a few minutes the first time ..."
	@$(PYTHON) -m venv .venv
	@# torch first: it is by far the largest, and a failure to get it shows early.
	@$(INSTALL) -c constraints.txt torch
	@$(INSTALL) -c constraints.txt -e '.[demo,dev,docs]'
	@# Fails at a few files of libraries that are templates, or are for other versions of Python.
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	@touch $@

# Goes in front of the main environment's packages: PYTHONPATH=.lowest
.lowest/.stamp: .venv/.stamp Makefile
	@echo "Building .lowest ..."
	@rm -rf .lowest
	@$(INSTALL) --target .lowest --no-deps $(LOWEST)
	@PYTHONPATH=.lowest $(BIN)/python -c "from transformers import AutoModel, Trainer"
	@touch $@

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# With `make --jobs=2 test` the tests begin beside mypy.
test: lint pytest

pytest: venv lowest
	$(PYTEST)

demo: venv
	$(BIN)/leccr quickstart
	@echo
	@echo "The command is $(BIN)/leccr. To type it as leccr: source $(BIN)/activate"

# NO_MKDOCS_2_WARNING: an advertisement of the theme, and no warning about these pages.
docs: venv
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo "The pages are in build/site; open build/site/index.html."

# The tests run them with short trainings; this runs them as they are, and stores what they show.
notebooks: venv
	$(BIN)/python notebooks/run.py
	$(BIN)/python -m pytest -q tests/notebooks -k stored

clean:
	rm -rf .venv .lowest build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
