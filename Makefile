# Two commands set everything up: `make demo` shows the program, `make test` tests it.
# Both create .venv when it is missing or older than what it was made from.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Processes that run the tests; each takes a GB of memory.
JOBS   ?= 2
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Or each of the processes that tests start compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo report-demo test lint format typed docs fuzz bench bench-gpu picture clean

help:
	@echo "make demo    energy of a trained SAFormer, layer by layer (installs into $(VENV) first)"
	@echo "make report-demo  the page of three small networks on digits: out/report"
	@echo "make test    the test suite, in two processes (JOBS=N: in N)"
	@echo "make lint    ruff, mypy, and vulture: code that nobody calls"
	@echo "make format  let ruff rewrite the sources"
	@echo "make docs    the documentation site, in out/site; runs every command of its pages first"
	@echo "make picture docs/images/way_of_the_data.svg, drawn anew"
	@echo "make fuzz    2,400 spoilt files and 200 kills, in some ten minutes"
	@echo "make bench   speed and memory against SpikingJelly, snnTorch, syops, NeuroBench (CIFAR=DIR: on CIFAR-10, too)"
	@echo "make bench-gpu  the same on a GPU, in one table: out/gpu.md"

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	@echo "Installing into $(VENV); this takes a few minutes the first time."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[dev,docs]'
	@touch $@

$(VENV)/.bench: $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --editable '.[dev,docs,bench]'
	@$(BIN)/python -m pip install --quiet --no-deps neurobench==2.3.0  # its dependencies are for its data sets
	@touch $@

demo: $(VENV)/.installed
	@mkdir -p out
	$(BIN)/saformer energy --plot out/energy.png
	@echo
	$(BIN)/saformer compare digits/saformer digits/sdt digits/spikformer
	@echo
	@echo "Next: $(BIN)/saformer energy --layers, or --ckpt FILE --dataset cifar10 --data-dir DIR"

report-demo: $(VENV)/.installed
	$(BIN)/saformer report --out out/report digits/saformer digits/sdt digits/spikformer

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal

lint: $(VENV)/.installed typed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/vulture
	cd build/typed && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p saformer

# Neither mypy nor mkdocstrings follows the mapping of the four folders to one package: they get the package as links.
typed:
	@rm -rf build/typed && mkdir -p build/typed/saformer
	@ln -s $(addprefix $(CURDIR)/saformer/,$(notdir $(wildcard saformer/*))) build/typed/saformer/
	@ln -s $(CURDIR)/analysis $(CURDIR)/reports $(CURDIR)/cli build/typed/saformer/

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed typed
	$(BIN)/python -m pytest --numprocesses $(JOBS) tests/docs --every-command
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Slices, and one case again: see the head of tests/fuzz/run.py.
fuzz: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.run --cases 2400 --kills 200 --processes $(JOBS)

bench: $(VENV)/.bench
	$(BIN)/python tests/benchmarks/run.py $(if $(CIFAR),--cifar $(CIFAR))

bench-gpu: $(VENV)/.bench
	PYTHON=$(BIN)/python tests/benchmarks/gpu.sh

picture:
	$(PYTHON) docs/images/way_of_the_data.py

clean:
	rm -rf $(VENV) build out .pytest_cache .mypy_cache .ruff_cache *.egg-info
