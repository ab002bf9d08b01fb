# Everything happens inside this folder: packages in .venv, temporary files in .venv/tmp-*, gone when a command
# ends. Only pip's own cache is elsewhere. (VENV=DIR names another place than .venv, for a second Python beside it.)

PYTHON ?= python3
UV ?= uv
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help run check test test-long mutants soak coverage bench kafka lock wheel clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/runs ## set up, make sample data, leave its report in report.csv
	@$(call in_tmp,$(BIN)/storepulse sample sample-data --force && \
		$(BIN)/storepulse report --data sample-data --out report.csv)
	@head -n 6 report.csv

check: $(VENV)/checks ## lint, types and the fast tests, in under a minute
	@$(call in_tmp,.ci/check $(VENV))

test: $(VENV)/checks ## set up, then lint, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	@$(call in_tmp,$(BIN)/python -m pytest)

test-long: $(VENV)/checks ## the tests that need minutes
	@$(call in_tmp,$(BIN)/python -m pytest -m "long and not soak")

mutants: $(VENV)/checks ## put known faults into copies of the source, each must make a test fall (ONLY=text)
	@$(call in_tmp,$(BIN)/python -m tests.mutants $(if $(ONLY),"$(ONLY)"))

soak: $(VENV)/checks ## ten times the examples, then rounds of faults, for as long as you like
	@$(call in_tmp,HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -m "hypothesis or soak" --timeout 3600)

# A child that is killed while it writes leaves a file that cannot be read: what it ran does not count, and that is all.
coverage: $(VENV)/checks ## which lines of the product the tests run, child processes included
	@$(call in_tmp,export COVERAGE_FILE="$$tmp/coverage" && \
		{ HYPOTHESIS_PROFILE=fast $(BIN)/coverage run -m pytest -q; tests=$$?; \
		$(BIN)/coverage combine --quiet 2>"$$tmp/unread"; rm -f "$$COVERAGE_FILE".*; \
		$(BIN)/coverage report && exit $$tests; })

bench: $(VENV)/measures ## measure, each figure beside that of a peer, or of the work tree BESIDE=DIR
	@$(call in_tmp,$(BIN)/python -m scripts.dev.bench $(if $(BESIDE),--beside "$(BESIDE)"))

kafka: $(VENV)/runs ## a real Kafka on 127.0.0.1:9092 until Ctrl-C (needs Java 17 and, once, Maven)
	@$(BIN)/python -m scripts.dev.kafka run

lock: ## bring the lock files up to pyproject.toml (needs uv; LOCK=--upgrade for newer versions)
	echo setuptools | $(COMPILE) -o requirements.lock pyproject.toml -
	echo setuptools | $(COMPILE) -o requirements-dev.lock --extra dev -c requirements.lock pyproject.toml -
	echo setuptools | $(COMPILE) -o requirements-bench.lock --extra bench -c requirements-dev.lock pyproject.toml -
	echo quixstreams==3.28.1 | $(COMPILE) -o requirements-bench-quix.lock -

wheel: $(VENV)/runs ## the wheel, in dist
	rm -rf build dist
	@$(call in_tmp,$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .)
	@rm -rf build
	@ls dist/*.whl

clean: ## remove all that the other targets made, .venv too
	rm -rf $(VENV) sample-data report.csv build dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find schemas stream query_api scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Runs a command whose temporary files go with it, also where it fails or is interrupted.
in_tmp = tmp=$$(mktemp -d "$(abspath $(VENV))/tmp-XXXXXX") && trap 'rm -rf "$$tmp"' EXIT && \
	trap 'exit 130' INT TERM && export TMPDIR="$$tmp" && $(1)

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(LOCK)

# Three stamps, each newer than the lock file that was installed last: an unchanged lock installs nothing.
# setuptools is locked too, so that making the package itself asks the index for nothing.
$(VENV)/runs: requirements.lock pyproject.toml | $(BIN)/python
	@echo "installing $<"
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/checks: requirements-dev.lock $(VENV)/runs
	@echo "installing $<"
	@$(PIP) install --require-hashes -r $<
	@touch $@

$(VENV)/measures: requirements-bench.lock $(VENV)/runs
	@echo "installing $<"
	@$(PIP) install --require-hashes -r $<
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "storepulse needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) cannot make a virtual environment: install python3-venv." >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
