# The commands in the README. `make` lists them.
# The environment is .venv. PYTHON is the interpreter used to create it (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Disable usage statistics of MLflow and Keras. (Those of DVC: .dvc/config.)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# Variables of your shell with which Python would not start or not find the code, or pip would install elsewhere or
# nothing. Programs drop others themselves: fitgap/system/environment.py.
unexport PYTHONSAFEPATH PYTHONWARNINGS PYTHONHOME PYTHONSTARTUP PYTHONOPTIMIZE PYTHONDEVMODE
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_DRY_RUN PIP_NO_DEPS PIP_PYTHON PIP_IGNORE_INSTALLED

BROWSERS := chromium chromium-browser google-chrome google-chrome-stable
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n)

.DEFAULT_GOAL := help
.PHONY: help install repro quick notes photographs predict serve judge test test-all readme compare photographs-page \
  claims chaos bench browser database cluster try-cluster ui sync lint format lock

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## Create .venv and install the pinned packages

# pip compiles byte-code during the installation. This halves the import time of TensorFlow.
$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	  "fitgap: Python %d.%d: needs 3.11, 3.12 or 3.13; name one, e.g. make PYTHON=python3.12" % v)'
	@$(PYTHON) -c 'import os, sys; p = os.getcwdb(); sys.exit(None if p == p.decode(errors="ignore").encode() else \
	  "fitgap: %a: this folder\047s name is not UTF-8, which Python and DVC cannot store; rename the folder" % p)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	@touch $@

repro: install ## Run the pipeline: all changed stages, several at a time, and the report
	@$(BIN)/python -m fitgap.programs.preflight
	@$(BIN)/python -m fitgap.programs.scheduler

# Each of these takes further CHANGES="KEY=VALUE ..." and a NAME for the experiment.
SETTING = $(BIN)/python -m fitgap.programs.setting settings/$(subst -,_,$@).yaml $(addprefix --name ,$(NAME)) \
  $(CHANGES)

quick: install ## Run a first look in three minutes: few repetitions, fewer remedies (settings/quick.yaml)
	@$(SETTING)

notes: install ## Run on CIFAR-10 with ImageNet's weights, both downloaded once (settings/notes.yaml)
	@$(SETTING)

photographs: install ## Compare on your own PICTURES=folder within MINUTES=20, with ImageNet's weights or WEIGHTS=file
	@$(BIN)/python -m fitgap.programs.photographs $(if $(PICTURES),"$(PICTURES)") $(addprefix --minutes ,$(MINUTES)) \
	  $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(addprefix --name ,$(NAME)) $(CHANGES)

predict: install ## Classify IMAGES=... (files, folders, archives) with the best model, or MODEL=...; of the run NAME=...
	@$(BIN)/python -m fitgap.programs.predict $(addprefix --experiment ,$(NAME)) $(addprefix --model ,$(MODEL)) $(IMAGES)

judge: install ## Say which runs are better: SOURCE=mlflow.db, a server or a .csv file; ARGS="--margin 0.01 ..." (docs/judge.md)
	@$(BIN)/python -m fitgap.programs.judge $(if $(SOURCE),"$(SOURCE)") $(ARGS)

SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadfile
# loadfile runs the tests of a module in one process and in order, as tests on a cloned repository require.
# (With loadgroup, modules could share a clone, but pytest-xdist 3.8 loses its groups with pytest 9.2.)
test: install ## Run the fast tests, in parallel on up to four cores
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-all: install ## Run all tests, including the slow ones
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

chaos: install ## Kill a small pipeline at 30 random times (KILLS=..., SEED=...); compare with an uninterrupted run
	@$(BIN)/python tests/pipeline/chaos.py $(addprefix --kills ,$(KILLS)) $(addprefix --seed ,$(SEED))

# These packages are not pinned: only the benchmark needs them, and PyTorch alone is as large as all others together.
bench: install ## Compare the speed with Keras, PyTorch and others in 20 minutes; write docs/performance.md
	@$(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")' \
	  | $(BIN)/python -m pip install --quiet --requirement /dev/stdin
	$(BIN)/python -m bench

browser: ## Install Chromium (Debian, Ubuntu) and axe-core (npm), which the browser test of the report needs
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	  { $(AS_ROOT) apt-get update -qq && $(AS_ROOT) apt-get install -y -qq chromium >/dev/null; } \
	  || echo "fitgap: no browser for tests/pipeline/test_report_in_browser.py: install Chromium or Chrome"
	@npm ci --ignore-scripts --no-fund --no-audit --prefix tests/pipeline \
	  || echo "fitgap: no axe-core for tests/pipeline/test_report_in_browser.py: install Node.js with npm"

database: ## Install PostgreSQL (Debian, Ubuntu), which the test of two clones starts itself
	@{ command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 && exit 0; \
	  { $(AS_ROOT) apt-get update -qq && $(AS_ROOT) env RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
	  postgresql >/dev/null; } || echo "fitgap: no PostgreSQL for tests/pipeline/test_two_clones.py: install it"

cluster: $(VENV)/installed-cluster ## Install Ray, PostgreSQL's driver and S3 for DVC: several machines (docs/cluster.md)

# Both files: this one holds only what the other lacks, and --require-hashes asks for a hash of every package.
$(VENV)/installed-cluster: $(VENV)/installed requirements-cluster.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt -r requirements-cluster.txt
	@touch $@

try-cluster: cluster ## Start a small cluster on this machine; Ctrl-C, or the end of COMMAND="make repro", stops it
	@$(BIN)/python tests/pipeline/trial_cluster.py $(COMMAND)

# The plain address opens MLflow's pages for language models first. The table is the view that the report stage saves.
ui: install ## Start MLflow's UI on http://127.0.0.1:5000
	@echo "The models: http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=leaderboard&workflowType=machine_learning"
	@$(BIN)/python -m mlflow ui --host 127.0.0.1

serve: install ## Serve the best model over HTTP, on 127.0.0.1 and PORT=5001
	@$(BIN)/python -m fitgap.programs.serve $(addprefix --port ,$(PORT))

compare: install ## Show the experiments of DVC (dvc exp run): test accuracies and settings that differ
	@$(BIN)/dvc exp show --only-changed --hide-workspace \
	  --drop '(fitgap|stages|data|models|results[^:]*$$)|.*_(last|best|sd)$$'

readme: install ## Write the results of the last run into README.md and docs/
	@$(BIN)/python -m docs.write_readme

photographs-page: install ## Write the results of `make photographs` into docs/cifar10.md, and its report beside it
	@$(BIN)/python -m docs.write_photographs

claims: install ## Write docs/claims.md from the claims in the code
	@$(BIN)/python -m docs.write_claims

sync: install ## Log the runs missing in MLflow, e.g. after a server outage; each answer may take 2 minutes
	@MLFLOW_HTTP_REQUEST_TIMEOUT=$${MLFLOW_HTTP_REQUEST_TIMEOUT:-120} $(BIN)/python -m stages.report

lint: install ## Check the style, and that imports respect the layers of packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: install ## Fix and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PINNED := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
  --no-header --quiet pyproject.toml
lock: install ## Update the pins in requirements.txt and requirements-cluster.txt from pyproject.toml (needs uv)
	$(PINNED) --extra lab --extra dev --output-file requirements.txt
	$(PINNED) --extra cluster --extra cluster-tests --constraint requirements.txt --output-file requirements-cluster.txt \
	  $$(sed -n 's/^\([a-z0-9._-]*\)==.*/--no-emit-package \1/p' requirements.txt)
