# Needs git, make and Python 3.11 or newer. `make` lists the commands.

VENV := .venv
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url $(UPGRADE)

LAMBDA_PYTHON ?= 3.12
LAMBDA_ARCH ?= arm64
SECONDS ?= 120

.PHONY: help serve key doctor test check prove-tools bench bench-cold package vercel-check lock clean
.DELETE_ON_ERROR:

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | sort

serve: $(VENV)/serve.stamp  ## serve on HOST:PORT (127.0.0.1:3040); the demo upstream when no account is configured
	@exec $(BIN)/python -m tools.serve

key: $(VENV)/serve.stamp  ## a key with limits of its own, from KEY_SECRET; ARGS="--models 'gpt-5*' --days 30 --label phone"
	@$(BIN)/python -m tools.make_key $(ARGS)

doctor: $(VENV)/serve.stamp  ## check a deployment from outside and from inside; URL=https://… KEY=…, LIVE=1 spends a little quota
	@URL='$(URL)' KEY='$(KEY)' LIVE='$(LIVE)' $(BIN)/python -m tools.doctor

test: $(VENV)/dev.stamp $(VENV)/vercel.stamp  ## run all tests, with branch coverage over api and lib
	$(BIN)/coverage run -m pytest -rfEs
	$(BIN)/coverage report --skip-covered --fail-under=90

check: $(VENV)/dev.stamp  ## ruff, mypy, import floors, size gates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy api lib tests bench tools
	$(BIN)/lint-imports
	$(BIN)/python -m tools.size_gates

prove-tools: $(VENV)/dev.stamp  ## the parser of prompted tool calls against tests/prompted/corpus.jsonl, or CASES=FILE
	$(BIN)/python -m tools.prove_tools $(CASES)

faults: $(VENV)/dev.stamp  ## run the fault table and write docs/faults.md from what was seen
	$(BIN)/python -m tools.fault_table

bench: $(VENV)/dev.stamp  ## cold start, time to first token, throughput and memory against named controls
	$(BIN)/python -m bench

bench-cold: $(VENV)/dev.stamp  ## the packaged bundle's cold start, on every Python from 3.11 to 3.13 that is here; QUICK=1
	$(BIN)/python -m bench.packaged $(if $(QUICK),--quick)

soak: $(VENV)/dev.stamp  ## mixed traffic with faults, 64 at once, SECONDS=120: what is hidden, what leaks, what grows
	$(BIN)/python -m bench.soak --seconds $(SECONDS)

package: $(VENV)/dev.stamp  ## dist/lambda.zip for AWS Lambda; LAMBDA_PYTHON=3.12, LAMBDA_ARCH=arm64
	@$(BIN)/python -m tools.package --python $(LAMBDA_PYTHON) --arch $(LAMBDA_ARCH)

vercel-check: $(VENV)/dev.stamp $(VENV)/vercel.stamp  ## Vercel's real builder and runtime on a copy of this tree (needs npm)
	@$(BIN)/python -m tools.vercel_check

lock: $(VENV)/dev.stamp  ## pin requirements*.txt anew; UPGRADE=--upgrade takes newer versions
	$(LOCK) --python-version 3.11 requirements.in -o requirements.txt
	$(LOCK) --python-version 3.11 requirements-dev.in -o requirements-dev.txt
	$(LOCK) --python-version 3.12 requirements-vercel.in -o requirements-vercel.txt

clean:  ## remove the environments and all caches
	rm -rf $(VENV) .venv-vercel .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/serve.stamp: requirements.txt
	@echo "Setting up $(VENV), once ..."
	@python="$$(tools/find-python 11)" && "$$python" -m venv --clear $(VENV)
	@$(BIN)/python $(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/serve.stamp
	@echo "Adding what tests and checks need ..."
	@$(BIN)/python $(INSTALL) -r requirements-dev.txt
	@touch $@

# vercel-runtime needs Python 3.12. Under an older one its tests get an environment of their own; on a machine that
# has no 3.12 they are skipped and say so.
$(VENV)/vercel.stamp: requirements-vercel.txt $(VENV)/dev.stamp
	@if $(BIN)/python -c 'import vercel_runtime' 2>/dev/null; then touch $@; \
	elif python="$$(env -u PYTHON tools/find-python 12 2>/dev/null)"; then \
		echo "Setting up .venv-vercel, once ..." && \
		"$$python" -m venv --clear .venv-vercel && \
		.venv-vercel/bin/python $(INSTALL) -r requirements-vercel.txt && touch $@; \
	fi
