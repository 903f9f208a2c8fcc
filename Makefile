# make serve   sets up and starts the service with the embedded models (CPU or GPU)
# make test    sets up and runs the tests that take a few seconds at most
# make test-all  those and the rest: real servers and browsers, loads and attacks, training
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CXR_DATA ?= $(wildcard ../shared/cxr ../shared/cxr-adults)

.PHONY: serve test test-all lint types check evaluate bench bom examples lock clean

# PyTorch runs networks on an NVIDIA GPU, and reads other weights than the embedded ones: without either it is not installed.
NEEDS_TORCH := $(shell { nvidia-smi -L || env | grep '^CXR_\(LUNGS\|DISEASE\)_WEIGHTS=.' || \
	grep '^CXR_\(LUNGS\|DISEASE\)_WEIGHTS=.' .env; } >/dev/null 2>&1 && echo yes)

serve: $(VENV)/$(if $(NEEDS_TORCH),torch,serve).stamp
	$(BIN)/python -m app

PYTEST = PYTEST_ADDOPTS="$(PYTEST_ADDOPTS)" $(BIN)/python -m pytest
# Three workers for two cores, because many tests spend their time waiting. In each, PyTorch has one thread.
SIDE_BY_SIDE = OMP_NUM_THREADS=1 $(PYTEST) -n 3 --dist loadfile --no-loadscope-reorder

test: $(VENV)/dev.stamp
	$(SIDE_BY_SIDE) -m "not (system or timing or slow)"

# What loads or times a server needs the machine to itself.
test-all: test
	$(SIDE_BY_SIDE) -m "(system or slow) and not timing"
	$(PYTEST) -m timing tests/robustness

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy

check: lint types test-all

# The embedded default against people, on radiograph packs: fails when a bar is missed.
evaluate: $(VENV)/dev.stamp
	$(BIN)/python -m models.evaluation weights --data $(CXR_DATA) --split val --precision float32 --check --out build/acceptance.html

# Speed, beside the networks alone, the published way of working and other frameworks; an hour and a half on two cores, ten
# minutes with BENCH=--short.
bench: $(VENV)/bench.stamp
	$(BIN)/python -m benchmarks $(BENCH)

# The self-test's known answer, the OpenAPI examples and the README's pictures: after the weights changed.
examples: $(VENV)/dev.stamp
	$(BIN)/python docs/record.py

# CycloneDX bills of materials of both images, without Debian's packages, and of the models, into build/sbom.
bom: $(VENV)/dev.stamp
	$(BIN)/python docker/bom.py

# constraints.txt from what is installed, with Python 3.11: after dependencies in pyproject.toml changed.
lock: $(VENV)/dev.stamp
	$(BIN)/pip freeze --exclude-editable | grep -v '^pip==\|^setuptools==' > constraints.txt
	docker/lock.sh $(BIN)

# The commit stands in the installed version, which setuptools takes from an older egg-info where there is one.
$(VENV)/serve.stamp: pyproject.toml constraints.txt $(wildcard .git/logs/HEAD)
	$(PYTHON) -m venv $(VENV)
	rm -rf *.egg-info
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/torch.stamp: $(VENV)/serve.stamp
	@echo "There is an NVIDIA GPU, or the settings name other weights: installing PyTorch, some 5 GB."
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[torch]'
	touch $@

# --no-compile: Python compiles a module when it is first imported. To compile all of them takes a third of the time.
$(VENV)/dev.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	rm -rf *.egg-info
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/serve.stamp $(VENV)/torch.stamp

$(VENV)/bench.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[bench]'
	touch $@ $(VENV)/dev.stamp $(VENV)/serve.stamp $(VENV)/torch.stamp

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
