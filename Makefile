# Two commands matter: `make demo` and `make test`. Both set up all they need.
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3; do "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up

.PHONY: help setup demo test test-nodes check fmt lock bench soak package test-package clean

help:  ## what can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(STAMP)  ## .venv with an editable install, pinned by hash

$(STAMP): pyproject.toml requirements/dev.txt requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "vagus needs Python 3.11 to 3.13 (or: make PYTHON=/path/to/python)"; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## the main job: two chains, a node, a real model
	@$(BIN)/vagus demo

test: setup  ## the tests, on real nodes
	@tests/tools
	$(BIN)/python -m pytest -n 2 --dist loadgroup --ignore=tests/nodes --ignore=tests/cosmos

test-nodes: setup  ## hubs and adapters on a real Surfpool and wasmd, which are built first, and the grid of rules
	@PYTHONPATH=tests $(BIN)/python -m support.surfpool
	@$(BIN)/python -c "from vagus.daemon.wasmd import wasmd_path; print(wasmd_path())"
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/nodes tests/cosmos

check: setup  ## ruff, mypy, pyright, the layers, the contracts builds: what CI checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python contracts/evm/build.py --check
	$(BIN)/python contracts/solana/build.py --check
	$(BIN)/python contracts/cosmos/build.py --check

bench: setup  ## how fast the node's own code is here, as ratios
	$(BIN)/vagus bench pipeline
	$(BIN)/python benchmarks/sign.py
	$(BIN)/python benchmarks/agent_tools.py

# In CI a soak must end within eight minutes.
INTENTS ?= $(if $(CI),5000,100000)
RATE ?= $(if $(CI),20,25)
soak: setup  ## 100,000 intents while all around the node fails (INTENTS=5000: what CI runs)
	@PYTHONPATH=tests $(BIN)/python -m soak --intents $(INTENTS) --rate $(RATE) $(SOAK)

package: setup  ## a Debian package, in dist/
	@packaging/deb/build

test-package: setup  ## the package on a bare Debian under its own systemd, from nothing to the first fee (root)
	$(BIN)/python -m pytest packaging/tests -o pythonpath="tests packaging/tests"

fmt: setup  ## format and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## pin the dependencies again, by hash and without an address
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --no-header -o requirements/uv.txt requirements/uv.in
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --no-header --extra local --extra solana --extra cosmos --group dev -o requirements/dev.txt pyproject.toml requirements/build.in

clean:  ## remove what make built (the cache of nodes and models stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
