# Every target makes the environment it needs in .venv first. Another interpreter: make test PYTHON=python3.12
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
ARGS ?=
WORKERS ?= 2
.DEFAULT_GOAL := help

.PHONY: help mnist mlp test test-full lint format docs bench clean

help:
	@echo "make mnist      train a convolutional network on MNIST (ARGS='--epochs 1' for options)"
	@echo "make mlp        the same with dense layers only"
	@echo "make test       lint, types, the site of the documentation and tests: a few minutes"
	@echo "make test-full  the same with the long forms of the tests"
	@echo "make lint       ruff and mypy; make format repairs what ruff can"
	@echo "make docs       the documentation as a site, into build/site"
	@echo "make bench      graphc and its peers side by side, into docs/performance.md (downloads gigabytes)"
	@echo "make clean      remove the environment and everything that was built"

mnist: $(VENV)/.run
	$(RUN) examples/mnist_cnn.py $(ARGS)

mlp: $(VENV)/.run
	$(RUN) examples/mnist_mlp.py $(ARGS)

test: lint docs
	$(RUN) -m pytest -q -n $(WORKERS) $(ARGS)

test-full: lint docs
	$(RUN) -m pytest -q -n $(WORKERS) -m "" $(ARGS)

lint: $(VENV)/.develop
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(VENV)/.develop
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# NO_MKDOCS_2_WARNING: the theme's notice about its own future
docs: $(VENV)/.develop
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

bench: $(VENV)/.bench
	mkdir -p build
	$(RUN) -m benchmarks --json build/benchmarks.json $(ARGS)
	$(RUN) -m benchmarks.kernels --json build/kernels.json
	$(RUN) -m benchmarks.report build/benchmarks.json --kernels build/kernels.json

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.run: extras := digits
$(VENV)/.develop: extras := test,lint,docs
$(VENV)/.bench: extras := bench
$(VENV)/.run $(VENV)/.develop $(VENV)/.bench: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"graphc needs Python 3.11 or newer, this is {v[0]}.{v[1]}: try make PYTHON=python3.12")'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "no environment could be made: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	$(RUN) -m pip install --quiet --editable '.[$(extras)]'
	@touch $@
