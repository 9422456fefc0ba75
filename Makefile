# The commands of the README. `make` alone lists them.
# The environment is .venv; PYTHON names the interpreter that it is made from (3.11 to 3.13).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Neither MLflow nor Keras has anything to tell its makers about your experiments. (DVC: .dvc/config.)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

BROWSERS := chromium chromium-browser google-chrome google-chrome-stable
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n)

.DEFAULT_GOAL := help
.PHONY: help install repro notes photographs test chaos bench browser ui sync lint format lock

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed ## Make .venv and install the pinned packages into it

# pip compiles byte-code as it installs, which halves the time TensorFlow takes to import.
$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else \
	  "fitgap: Python %d.%d: needs 3.11, 3.12 or 3.13; name one, e.g. make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.txt
	@touch $@

repro: install ## Run the pipeline: whatever has changed, two stages at a time, and the report
	@$(BIN)/python -m fitgap.preflight
	@$(BIN)/python -m fitgap.branches
	@echo "The report: reports/report.html    The runs: make ui"

notes: install ## Run the notes' own setting: CIFAR-10 and ImageNet's weights, downloaded once (settings/notes.yaml)
	@$(BIN)/python -m fitgap.setting settings/notes.yaml

photographs: install ## The same with PICTURES=... and WEIGHTS=... of your own (settings/photographs.yaml)
	@$(BIN)/python -m fitgap.setting settings/photographs.yaml $(addprefix data.path=,$(PICTURES)) \
	  $(addprefix backbone.path=,$(WEIGHTS))

# loadfile keeps the tests of a module in one process and in their order, which those on a clone rely on.
# (loadgroup would let modules share a clone, but pytest-xdist 3.8 loses its groups with pytest 9.2.)
test: install ## Run all tests, side by side on up to four cores
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

chaos: install ## Kill a small pipeline at 30 random moments (KILLS=..., SEED=...) and compare with an undisturbed run
	@$(BIN)/python tests/pipeline/chaos.py $(addprefix --kills ,$(KILLS)) $(addprefix --seed ,$(SEED))

# Not among the pinned packages: nothing but this needs them, and PyTorch alone is as large as all the others.
bench: install ## Measure the speed beside PyTorch's, ONNX Runtime's and OpenVINO's; write docs/performance.md
	@$(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")' \
	  | $(BIN)/python -m pip install --quiet --requirement /dev/stdin
	$(BIN)/python -m bench

browser: ## Install what the test of the report in a browser needs: Chromium (Debian, Ubuntu) and axe-core (npm)
	@for name in $(BROWSERS); do command -v $$name >/dev/null && exit 0; done; \
	  { $(AS_ROOT) apt-get update -qq && $(AS_ROOT) apt-get install -y -qq chromium >/dev/null; } \
	  || echo "fitgap: no browser for tests/pipeline/test_report_in_browser.py: install Chromium or Chrome"
	@npm ci --ignore-scripts --no-fund --no-audit --prefix tests/pipeline \
	  || echo "fitgap: no axe-core for tests/pipeline/test_report_in_browser.py: install Node.js with npm"

ui: install ## Compare the runs in MLflow's UI, on http://127.0.0.1:5000
	$(BIN)/mlflow ui --host 127.0.0.1

sync: install ## Write the runs that MLflow is missing, e.g. after its server was away
	$(BIN)/python -m stages.report

lint: install ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: install ## Apply style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## Pin requirements.txt anew from pyproject.toml (needs uv)
	uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url \
	  --no-annotate --no-header --quiet pyproject.toml --output-file requirements.txt
