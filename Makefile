# Two commands matter: `make demo` and `make test`. Both set up all they need.
PYTHON ?= $(shell for p in python3.12 python3.13 python3.11 python3; do "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
ZK := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/vagus/zk/env

.PHONY: help setup demo test test-e2e test-nodes zk test-zk check fmt lock bench bench-routing soak byzantine package test-package clean

help:  ## what can be made here
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 12

setup: $(STAMP)  ## .venv with an editable install, pinned by hash

$(STAMP): pyproject.toml requirements/dev.txt requirements/uv.txt
	@test -n "$(PYTHON)" || { echo "vagus needs Python 3.11 to 3.13 (or: make PYTHON=/path/to/python)"; exit 2; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) (a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## the main job: three chains, a node, a real model
	@$(BIN)/vagus demo

test: setup  ## the tests, on real nodes; whole nodes as processes are test-e2e
	@tests/tools
	$(BIN)/python -m pytest -n 2 --dist loadgroup --ignore=tests/nodes --ignore=tests/cosmos --ignore=tests/e2e --ignore=tests/zk

test-e2e: setup  ## whole nodes as processes: crashes, faults, committees, the page, the demo
	@tests/tools
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/e2e

test-nodes: setup  ## hubs and adapters on a real Surfpool and wasmd, which are built first, and the grid of rules
	@PYTHONPATH=tests $(BIN)/python -m support.surfpool
	@$(BIN)/python -c "from vagus.daemon.wasmd import wasmd_path; print(wasmd_path())"
	$(BIN)/python -m pytest -n 2 --dist loadgroup tests/nodes tests/cosmos

zk: setup  ## ezkl in an environment of its own, in the user's cache (130 MB): what mode zk needs
	@echo "Setting up ezkl in $(ZK)"
	@$(BIN)/uv venv -q --allow-existing --python $(PYTHON) $(ZK)
	@$(BIN)/uv pip install -q --python $(ZK)/bin/python --require-hashes -r requirements/zk.txt

test-zk: zk  ## mode zk with real proofs
	$(BIN)/python -m pytest tests/zk

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

bench-routing: setup  ## the router beside others, LiteLLM's among them, in a simulated market
	$(BIN)/python benchmarks/routing

# In CI a soak must end within eight minutes.
INTENTS ?= $(if $(CI),5000,100000)
RATE ?= $(if $(CI),20,25)
soak: setup  ## 100,000 intents while all around the node fails (INTENTS=5000: what CI runs)
	@PYTHONPATH=tests $(BIN)/python -m soak --intents $(INTENTS) --rate $(RATE) $(SOAK)

# Intents in each case, parts of the names of the cases (all of them), and interleavings of what a key may sign.
byzantine: INTENTS = $(if $(CI),80,200)
byzantine: INTERLEAVINGS = $(if $(CI),20000,100000)
byzantine: setup  ## a committee of four with a liar, a bad broker, partitions, kills (CASES=lies INTENTS=40)
	@tests/tools
	@PYTHONPATH=tests $(BIN)/python -m byzantine --intents $(INTENTS) $(addprefix --case ,$(CASES)) $(BYZANTINE)
	$(if $(CASES),,@PYTHONPATH=tests $(BIN)/python -m support.equivocation --intents $(INTERLEAVINGS))

package: setup  ## a Debian package, in dist/
	@packaging/deb/build

test-package: setup  ## the package on a bare Debian under its own systemd, from nothing to the first fee (root)
	$(BIN)/python -m pytest packaging/tests -o pythonpath="tests packaging/tests"

fmt: setup  ## format and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## pin the dependencies again, by hash and without an address
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --no-header -o requirements/uv.txt requirements/uv.in
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --no-header -o requirements/bench.txt requirements/bench.in
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --no-header -o requirements/zk.txt requirements/zk.in
	$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 --no-header --extra local --extra solana --extra cosmos --extra pkcs11 --extra kms --extra broker --extra semantic --extra tee --group dev -o requirements/dev.txt pyproject.toml requirements/build.in

clean:  ## remove what make built (the cache of nodes and models stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
