# Everything here runs in the project's own virtual environment; nothing else has to be installed.
# The lake itself needs only dbt: with .venv active, `dbt build` does the whole job, and `lake` (see
# `lake --help`) whatever is no build.

VENV := .venv
BIN := $(VENV)/bin
LAKE := $(BIN)/python -m lotus_lake
INSTALLED := $(VENV)/.installed

# The first of these that can make a virtual environment; set PYTHON to choose another.
PYTHON_NAMES := python3.12 python3.11 python3 python3.14 python3.13
PYTHON_FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))

# Where the linter may write: never to the lake that the environment names. Nothing lands there.
LINT_LAKE := env LAKE_LANDING_URL=target/lint/landing DBT_TARGET=local DBT_TARGET_PATH=target/lint \
	LAKE_CATALOG=sqlite:target/lint/catalog.sqlite LAKE_DATA_URL=target/lint/data/

export PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
S3_TESTS := tests/unit/test_landing.py tests/system/test_production.py

# What the command line sets is text: make does not expand it, and recipes take it from the
# environment, as "$$NAME", so that no shell reads it as a command either.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),\
	$(eval override export $(name) := $$(value $(name)))))

.DEFAULT_GOAL := help
.PHONY: help setup build test test-ci test-slow lint .lint-engine .lint-sql .lint-dbt .lint-declared format sample docs lock clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Install everything into .venv, if the lock files changed since

$(INSTALLED): requirements.lock requirements-dev.lock
	@if ! $(BIN)/python -c "$(PYTHON_FITS)" 2>/dev/null; then \
		for name in $${PYTHON:-$(PYTHON_NAMES)}; do \
			if "$$name" -c "$(PYTHON_FITS)" 2>/dev/null; then found="$$name"; break; fi; \
		done; \
		if [ -z "$${found:-}" ]; then \
			echo "$${PYTHON:-Python} will not do: 3.11 to 3.14 with the venv module is needed." \
				"Install it (Debian: apt install python3 python3-venv)," \
				"or name it: make setup PYTHON=/path/to/python3" >&2; \
			exit 1; \
		fi; \
		"$$found" -m venv --clear $(VENV) || exit 1; \
	fi
	@total=$$(grep -c '^[a-z].*==' requirements-dev.lock); \
		echo "Installing $$total packages into $(VENV); this takes minutes"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
			--no-deps --require-hashes -r requirements-dev.lock & \
		while sleep 5; kill -0 $$! 2>/dev/null; do \
			echo "  $$(ls -d $(VENV)/lib/python*/site-packages/*.dist-info | wc -l) of $$total"; \
		done; wait $$!
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
		--no-deps --no-build-isolation -e .
	@touch $@

build: setup ## Feed what landed and build every table (a sample shop, if there is no landing zone)
	@if [ -z "$${LAKE_LANDING_URL:-}" ] && [ "$${DBT_TARGET:-local}" = local ] \
		&& [ ! -d .lake/landing/raw ]; then $(MAKE) --no-print-directory sample; fi
	@rm -f "$${DBT_TARGET_PATH:-target}/run_results.json"; \
		$(BIN)/dbt build; code=$$?; $(LAKE) status --build; exit $$code

test: setup ## Test what a change can break, with a PostgreSQL and an S3 server of its own
	@$(BIN)/python -m pytest -m "not slow and not nightly" $$PYTEST_ARGS

test-ci: setup ## Run what .ci/run tests beyond that: kills, rights, deployment
	@$(BIN)/python -m pytest -m slow $$PYTEST_ARGS

test-slow: setup ## Run what is left to the night: faults, 50 kills, recipes, browsers, S3 on SeaweedFS
	@$(BIN)/python -m pytest -m nightly $$PYTEST_ARGS
	@LAKE_TEST_S3=seaweedfs $(BIN)/python -m pytest $$PYTEST_ARGS $(S3_TESTS)

lint: setup ## Check Python, SQL, YAML and the project's conventions
	@$(BIN)/ruff format --check --quiet . \
		|| { echo "lint: Python is not formatted. Run: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet . \
		|| { echo "lint: ruff found the above. Run: make format, then mend what is left" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary \
		|| { echo "lint: mypy found the above. Mend the types" >&2; exit 1; }
	@$(BIN)/yamllint --strict . \
		|| { echo "lint: yamllint found the above. Mend the YAML" >&2; exit 1; }
	@$(MAKE) --no-print-directory .lint-engine .lint-sql .lint-dbt .lint-declared

# The engine serves any project: no source, variable or table of the shop stands in it.
.lint-engine: SHOP := shopify|klaviyo|attribution|shop_timezone|shop_currencies|calendar_(start|end)|fct_(sales|daily)
.lint-engine:
	@! grep -rnE --include='*.py' --include='*.sql' --include='*.yml' --include='*.md' --include='*.tmpl' \
			"$(SHOP)" engine lotus_lake >&2 \
		|| { echo "lint: the engine knows the shop in the lines above. Say it without its names" >&2; exit 1; }

# LINT_FILES names the files to check, for a commit that changed only these; without it all are checked.
.lint-sql: setup
	@mkdir -p target/lint
	@$(LINT_LAKE) $(BIN)/sqlfluff lint --disable-progress-bar --nocolor $$LINT_FILES \
		|| { echo "lint: sqlfluff found the above. Run: make format, then mend what is left" >&2; exit 1; }

# One line for each finding: dbt-bouncer's own table cuts the names of files.
.lint-dbt: FOUND := target/lint/dbt-bouncer
.lint-dbt: setup
	@mkdir -p target/lint
	@$(LINT_LAKE) $(BIN)/dbt parse --quiet \
		|| { echo "lint: dbt cannot read the project. Mend what it says above" >&2; exit 1; }
	@rm -f $(FOUND).json; \
		$(BIN)/dbt-bouncer run --output-only-failures --output-file $(FOUND).json > $(FOUND).txt 2>&1 \
		|| { $(BIN)/python -c "import json; [print(one['file_path'] + ':', one['failure_message']) \
				for one in json.load(open('$(FOUND).json'))]" 2>/dev/null || cat $(FOUND).txt; \
			echo "lint: the dbt project breaks the conventions above; each says what to do" \
				"(dbt-bouncer.yml)"; exit 1; } >&2

# Builds a lake where nothing landed. Its staging tables have the declared columns and no others, so
# that DuckDB refuses a model that reads more than is delivered.
.lint-declared: setup
	@mkdir -p target/lint/landing
	@rm -rf target/lint/catalog.sqlite* target/lint/data
	@$(LINT_LAKE) $(BIN)/dbt --quiet --no-print build --exclude-resource-type test unit_test \
		|| { echo "lint: the models above do not build on the declared columns alone." \
			"Declare what they read in their source's YAML (models/landing)," \
			"then run: lake catalog" >&2; exit 1; }
	@$(LINT_LAKE) $(LAKE) catalog --check

format: setup ## Format Python and SQL, and mend what can be mended
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@mkdir -p target/lint
	@$(LINT_LAKE) $(BIN)/sqlfluff fix --quiet --disable-progress-bar --nocolor \
		|| { echo "format: what is left has to be mended by hand; make lint shows it" >&2; exit 1; }

sample: setup ## Write a sample landing zone to .lake/landing/raw (SAMPLE_ARGS='--orders ...')
	@$(BIN)/python scripts/generate_landing.py --out .lake/landing/raw $$SAMPLE_ARGS

docs: setup ## Write the site (guides, status, data catalog, column lineage) to target/site
	@$(LAKE) docs

lock: setup ## Pin the dependencies of pyproject.toml, with hashes, in requirements*.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-strip-extras \
		--python-version 3.11 --extra build --extra prod --extra site -o requirements.lock pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --no-strip-extras \
		--python-version 3.11 --extra build --extra prod --extra site --extra metrics --extra dev -o requirements-dev.lock pyproject.toml

clean: ## Remove what can be made again; the lake (.lake) and .venv stay
	@rm -rf target logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
