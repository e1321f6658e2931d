# Everything a visitor or author runs. Each target sets up what it needs in .venv, once, and again when
# pyproject.toml changes. Nothing is installed outside this folder.

PYTHON ?=
VENV   ?= .venv
ARGS   ?=
# Tests wait more than they compute: one or two more at a time than there are cores.
JOBS   ?= 4

BIN := $(VENV)/bin
# The tools see this folder's venv and nothing of another one that may be active.
unexport PYTHONPATH
unexport PYTHONHOME
unexport VIRTUAL_ENV

# Newer than 3.13 works too where python3 is it; the list only helps where python3 is older than 3.11.
CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python)
SUITABLE   := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types docs wheel bench clean
.DELETE_ON_ERROR:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.12 chooses an interpreter, ARGS='-k idle' goes to the tool, VENV=DIR is the environment."

demo: $(VENV)/.installed-run ## Serve sample mail over POP3 with every guard on, on loopback
	@$(BIN)/twistd -n --pidfile= netguard-pop --demo $(ARGS)

test: $(VENV)/.installed-test ## Run the tests (interop tests skip where a peer program is absent)
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

lint: $(VENV)/.installed-lint ## Check style and format
	@$(BIN)/ruff check $(ARGS)
	@$(BIN)/ruff format --check

format: $(VENV)/.installed-lint ## Format the sources
	@$(BIN)/ruff format

types: $(VENV)/.installed-test $(VENV)/.installed-docs $(VENV)/.installed-lint ## Check types, strictly
	@$(BIN)/mypy $(ARGS)

docs: $(VENV)/.installed-docs ## Build the documentation and the manual pages; a warning is an error
	@$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html $(ARGS)
	@$(BIN)/python -m sphinx -W --keep-going -q -b man docs docs/_build/man
	@echo "docs/_build/html/index.html"
	@echo "docs/_build/man/netguard-pop.8 docs/_build/man/netguard-relay.8"

wheel: $(VENV)/.installed-build ## Build the wheel and the sdist into dist/
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . > /dev/null
	@ls dist/*

bench: $(VENV)/.installed-test ## Print speed and memory as ratios to bare Twisted
	@$(BIN)/python tests/bench/run.py $(ARGS)

clean: ## Remove what the targets above made
	@rm -rf .venv* build dist docs/_build .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find netguard twisted tests docs -name __pycache__ -prune -exec rm -rf {} +
	@rm -f twisted/plugins/dropin.cache

# The stamps: .made is an environment with pip in it, .installed-X is netguard (editable) with extra X in it.
$(VENV)/.made:
	@for candidate in $(CANDIDATES); do \
	    if $$candidate -c '$(SUITABLE)' 2>/dev/null; then \
	        echo "Setting up $(VENV) with $$($$candidate --version), once"; \
	        $$candidate -m venv --clear $(VENV) && touch $@ && exit 0; \
	        exit 1; \
	    fi; \
	done; \
	echo "netguard needs Python 3.11 or newer with its venv module; none of these is: $(CANDIDATES)." >&2; \
	echo "Name one with 'make PYTHON=/path/to/python3.12 ...'; on Debian and Ubuntu, install python3-venv." >&2; \
	exit 1

$(VENV)/.installed-run: $(VENV)/.made pyproject.toml
	@echo "Installing netguard"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-%: $(VENV)/.made pyproject.toml
	@echo "Installing netguard and what 'make $*' needs"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[$*]'
	@touch $@
