# SaySee. `make` alone lists what can be asked; `make demo` and `make test` need nothing but Python 3.11+ and make.

PYTHON ?= python3
PORT   ?= 8000
ARGS   ?=

DEMO   := .demo
CORPUS := $(DEMO)/corpus
INDEX  := $(DEMO)/index
BUNDLE := demo/bundle
# Scenes of a seed and voices of a set that the shipped bundle was not trained on.
SCENES := 512
SEED   := 1909

SERVE := .venv/bin/python
TEST  := .venv-test/bin/python
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-bundle test check train-env clean python-check port-check

help:
	@echo "make demo       build the demo corpus and its index, then serve it on http://127.0.0.1:$(PORT) (PORT=... for another)"
	@echo "make test       install everything the tests need, then run all checks and tests (ARGS='-k name' is handed to pytest)"
	@echo "make check      the checks alone: ruff, mypy, import-linter"
	@echo "make train-env  .venv-train: what 'python -m training' needs (torch; about 5.6 GB)"
	@echo "make demo-bundle  train the demo's model again from nothing: corpus, voices, fit, tables, bundle (an hour and a half on two cores)"
	@echo "make clean      remove the environments, the demo and every cache"

# ---- environments ---------------------------------------------------------------------------------------------

python-check:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "SaySee needs Python 3.11 or newer and there is no '$(PYTHON)' here: install one, or name it with PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "SaySee needs Python 3.11 or newer and '$(PYTHON)' is $$($(PYTHON) -V 2>&1): name a newer one with PYTHON=python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments (Debian keeps that apart): install the package python3-venv." >&2; exit 1; }

.venv/.ready: pyproject.toml constraints.txt | python-check
	@echo "[1/5] Environment: installing the serving set (no torch) into .venv; about a minute the first time"
	@$(PYTHON) -m venv .venv
	@$(SERVE) $(INSTALL) --editable '.[cpu,map]'
	@touch $@

.venv-test/.ready: pyproject.toml constraints.txt | python-check
	@echo "Environment: installing the serving, training and test sets into .venv-test; about 5.6 GB, some minutes the first time"
	@$(PYTHON) -m venv .venv-test
	@$(TEST) $(INSTALL) --editable '.[cpu,map,milvus,milvus-lite,train,dev]'
	@touch $@

.venv-train/.ready: pyproject.toml constraints.txt | python-check
	@echo "Environment: installing the serving and training sets into .venv-train; about 5.6 GB, some minutes the first time"
	@$(PYTHON) -m venv .venv-train
	@.venv-train/bin/python $(INSTALL) --editable '.[cpu,train]'
	@touch $@

train-env: .venv-train/.ready
	@echo "Ready: . .venv-train/bin/activate && python -m training --help"

# ---- the demo -------------------------------------------------------------------------------------------------
# Each stage leaves a stamp when it is complete; a stage that was cut short takes up where it stopped.

$(DEMO)/.rendered: | .venv/.ready
	@echo "[2/5] Pictures: rendering $(SCENES) scenes into $(CORPUS)"
	@mkdir -p $(DEMO)
	@$(SERVE) -m training scenes --out $(CORPUS) --count $(SCENES) --test $(SCENES) --seed $(SEED)
	@touch $@

$(DEMO)/.spoken: $(DEMO)/.rendered
	@echo "[3/5] Voices: speaking five captions a picture"
	@$(SERVE) -m training speak $(CORPUS)/texts.jsonl --out $(CORPUS) --voices reserved-espeak
	@touch $@

$(INDEX)/CURRENT: $(DEMO)/.spoken $(BUNDLE)/manifest.json
	@echo "[4/5] Index: embedding pictures and captions into $(INDEX)"
	@$(SERVE) -m indexer build --bundle $(BUNDLE) --images $(CORPUS)/images.jsonl \
	  --captions $(CORPUS)/captions.jsonl --index $(INDEX) --promote

# Before anything is installed, not after.
port-check:
	@[ "$(PORT)" -ge 1 ] 2>/dev/null && [ "$(PORT)" -le 65535 ] || { \
	  echo "PORT is '$(PORT)'; it takes a number from 1 to 65535, such as PORT=9000." >&2; exit 1; }

demo: port-check $(INDEX)/CURRENT
	@echo "[5/5] Server: starting; Ctrl-C ends it"
	@exec $(SERVE) -m service --index $(INDEX) --host 127.0.0.1 --port $(PORT)

# ---- the shipped model ----------------------------------------------------------------------------------------
# The one command that makes demo/bundle again: another seed than the demo's, train voices only; an hour and a half on
# two cores. Three engines speak, and flite the test split: apt install librhvoice5 rhvoice-english libttspico-utils
# flite (Debian's contrib and non-free). The new bundle is left in .demo-bundle/bundle;
# put it in place of demo/bundle to ship it. A trial of the whole recipe in two minutes:
#   make demo-bundle DRAWN=400 DEV=20 HELD_OUT=40 FIT='--set stages.0.steps=2 --set stages.1.steps=2 --set stages.0.batch=16'

MAKING   := .demo-bundle
DRAWN    ?= 16000
DEV      ?= 400
HELD_OUT ?= 1000
FIT      ?=
demo-bundle: .venv-train/.ready
	@.venv-train/bin/python -m training scenes --out $(MAKING)/scenes --count $(DRAWN) --seed 7 --dev $(DEV) --test $(HELD_OUT) --close-ups 0.3
	@.venv-train/bin/python -m training speak $(MAKING)/scenes/texts.jsonl --out $(MAKING)/scenes --voices train-all --test-voices reserved
	@.venv-train/bin/python -m training fit --preset scenes --data $(MAKING)/scenes --out $(MAKING)/run $(FIT)
	@rm -rf $(MAKING)/draft $(MAKING)/bundle
	@.venv-train/bin/python -m training export --run $(MAKING)/run --data $(MAKING)/scenes --half --out $(MAKING)/draft
	@.venv-train/bin/python -m training evaluate --bundle $(MAKING)/draft --data $(MAKING)/scenes --by-voice --out $(MAKING)/test.json
	@.venv-train/bin/python -m training export --run $(MAKING)/run --data $(MAKING)/scenes --metrics $(MAKING)/test.json \
	  --licence Apache-2.0 --half --out $(MAKING)/bundle

# ---- checks and tests -----------------------------------------------------------------------------------------

check: .venv-test/.ready
	@echo "ruff" && $(TEST) -m ruff check --quiet . && $(TEST) -m ruff format --quiet --check .
	@echo "mypy" && $(TEST) -m mypy
	@echo "import-linter" && .venv-test/bin/lint-imports --no-cache

test: check
	@$(TEST) -m pytest $(ARGS)

clean:
	rm -rf .venv .venv-test .venv-train $(DEMO) build dist *.egg-info \
	  .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find service training indexer tests -name __pycache__ -type d -prune -exec rm -rf {} +
