# `make demo` and `make test` do all set-up the first time, into .venv, and none afterwards.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TESTABLE := .venv/.testable
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: demo test lint dist clean

demo: $(READY)
	$(BIN)/tenfold train digits --name demo --overwrite

test: $(TESTABLE)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(TESTABLE)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

dist: $(TESTABLE)
	$(BIN)/python -m build --no-isolation --outdir dist

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@echo "setting up .venv with the pinned versions (a few minutes and 6 GB, once: PyTorch brings its CUDA libraries)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(INSTALL) .
	@touch $@

$(TESTABLE): $(READY)
	@echo "adding what the tests need to .venv (once)"
	@$(INSTALL) '.[dev]'
	@touch $@
