# Every verb of this repository. `make help` lists them.

PYTHON ?= python3
# Where torch comes from: empty for the default index; the index of the CPU wheels makes the environment much smaller.
TORCH_INDEX ?=
# What else torch needs is not there, or in other versions; it comes with the rest.
TORCH_FROM := $(if $(TORCH_INDEX),--no-deps --index-url $(TORCH_INDEX))
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := common/maskworks common/maskworks_torch dextr sam tensormask mmdetection
# All in one command: for a name that it is not given, pip would ask an index, where anybody may have it.
EDITABLE := $(foreach folder,$(PACKAGES),-e './$(folder)$(if $(filter common/%,$(folder)),,[commands])')
DEMO := demo-results
DIST := dist

include docker/images.mk
FUZZ_RUNS ?= 20000
MINUTES ?= 20
# How many tests run at a time; each starts processes of its own.
WORKERS ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS)
PIP_AUDIT := 2.10.1

.DEFAULT_GOAL := help
.PHONY: help install mmdetection demo test-quick test test-heavy test-precision test-all lint format bench fuzz soak soak-hostile audit wheels publish clean

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z%\/-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## set everything up in .venv (the other verbs do it by themselves)

$(VENV)/installed: constraints.txt $(PACKAGES:%=%/pyproject.toml) requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed. Debian 12: apt-get install python3. Another one: make PYTHON=python3.11 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing. Debian: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV), torch takes a few minutes the first time ..."
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt $(TORCH_FROM) torch torchvision
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -r requirements-dev.txt $(EDITABLE)
	@touch $@

mmdetection: install  ## add MMDetection: compiles mmcv's operators once, the wheel is kept in wheels/
	sh mmdetection/install.sh $(BIN)/python wheels

demo: install  ## segment the bundled photos with the demo model
	@rm -rf $(DEMO) && mkdir -p $(DEMO)/in
	@cp dextr/demo/photos/*.jpg dextr/demo/photos/*.points $(DEMO)/in/
	$(BIN)/dextr_predict_poll --model demo --overlay --prediction_in $(DEMO)/in --prediction_out $(DEMO)/out
	@echo
	@echo "Results are in $(DEMO)/out, for each photo NAME:"
	@echo "  NAME-overlay.png   what was found, drawn onto the photo: look at these"
	@echo "  NAME.png           the mask (palette image, 0 = background)"
	@echo "  NAME.json          the polygons (OPEX)"

test-quick: install  ## run the tests that take less than a second each: two minutes on two cores
	$(PYTEST) --level quick

test: install  ## run all tests but the heavy ones: about 11 minutes on two cores
	$(PYTEST) --level test

test-heavy: install  ## run what `make test` leaves out
	$(PYTEST) --level heavy

test-precision: install  ## run the tests of models and faults in float32 and in bfloat16, which many CPUs emulate
	$(PYTEST) --level test --precision fp32 tests/models tests/faults
	$(PYTEST) --level test --precision bf16 tests/models tests/faults

test-all: test test-heavy test-precision soak-hostile  ## run all tests there are

lint: install  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint */Dockerfile

format: install  ## let ruff format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install  ## run all benchmarks, ours beside the peers
	$(BIN)/python -m benchmarks

fuzz: install  ## feed FUZZ_RUNS (20000) changed inputs to everything that reads bytes from outside
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt atheris
	$(BIN)/python -m fuzz --runs $(FUZZ_RUNS)

soak: install  ## run a worker of each transport for MINUTES (20) under good and bad requests, watch its memory
	$(BIN)/python -m soak --minutes $(MINUTES)

soak-hostile: install  ## the same with bombs, dear prompts and slow clients beside the good requests
	$(BIN)/python -m soak --hostile --minutes $(MINUTES)

audit: install  ## compare the tested versions with the known vulnerabilities (asks PyPI)
	$(BIN)/uv tool run pip-audit@$(PIP_AUDIT) --strict --no-deps --disable-pip --progress-spinner off -r constraints.txt

wheels: install  ## build the wheels of all distributions into dist/
	@rm -rf $(DIST) $(PACKAGES:%=%/build)
	$(BIN)/pip wheel -q --no-deps --no-index --no-build-isolation -w $(DIST) $(PACKAGES:%=./%)
	@rm -rf $(PACKAGES:%=%/build)
	@ls $(DIST)/*.whl

publish: $(if $(INDEX)$(DRY_RUN),wheels)  ## upload the wheels to the index with the URL INDEX (DRY_RUN=1 shows how; uv reads UV_PUBLISH_TOKEN)
	@$(if $(INDEX)$(DRY_RUN),,echo "INDEX is missing: make publish INDEX=URL, the URL for uploads"; exit 2)
	$(if $(DRY_RUN),@echo) $(BIN)/uv publish --publish-url '$(or $(INDEX),INDEX)' $(DIST)/*.whl

clean:  ## remove results, wheels and caches, keep .venv
	rm -rf $(DIST) $(PACKAGES:%=%/build) $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis
