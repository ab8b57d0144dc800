# The first `make demo` or `make test` sets up .venv; later runs skip it.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TESTABLE := .venv/.testable
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow lint docs dist notebooks clean

demo: $(READY)
	$(BIN)/tenfold train digits --name demo --overwrite
	@echo "a seven that was drawn for this, not one of the data set's:"
	$(BIN)/tenfold predict runs/demo docs/pictures/seven.png
	@echo "real photographs: tiles of 14 pictures that Python packages bring along; each part is in one split only"
	$(BIN)/python examples/photographs.py demo
	$(BIN)/tenfold train --data demo/data --name photographs --overwrite
	@echo "asked about parts that no split has, and a portrait of Grace Hopper, for which there is no class:"
	$(BIN)/tenfold predict runs/photographs demo/new
	@echo "the reports: open runs/photographs/report.html and runs/demo/report.html in a browser"
	@echo "to use tenfold in this shell: . $(BIN)/activate"

test: $(TESTABLE)
	$(PYTEST) -m "not slow"

test-slow: $(TESTABLE)
	$(PYTEST) -m slow

lint: $(TESTABLE)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/pyright --pythonplatform Windows
	$(BIN)/pyright --pythonplatform Darwin

docs: $(TESTABLE)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --clean
	@echo "the site begins at site/index.html"

notebooks: $(TESTABLE)
	@$(INSTALL) nbclient ipykernel
	$(BIN)/python examples/execute.py

dist: $(TESTABLE)
	$(BIN)/python -m build --no-isolation --outdir dist

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@echo "setting up .venv with the pinned versions (once: a few minutes; 6 GB, because PyTorch brings its CUDA libraries)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(INSTALL) '.[demo]'
	@touch $@

$(TESTABLE): $(READY)
	@echo "adding what the tests need to .venv (once)"
	@$(INSTALL) '.[dev]'
	@touch $@
