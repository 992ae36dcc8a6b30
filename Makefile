# All targets work in a fresh clone: the environment is made where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := .venv-extras
BENCH_JAX := .venv-bench-jax
BENCH_TORCH := .venv-bench-torch
ARGS ?=
CASE ?=

.PHONY: setup train test test-extras test-learning bench lint format clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

train: $(READY)
	$(BIN)/rl-fn train --sys local --hparams ppo_cartpole --output_dir runs/ppo_cartpole $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest tests --ignore tests/learning --ignore tests/parity --ignore tests/extras -n auto $(ARGS)

# The packages compared with bring nightly builds of some of our dependencies, so they have an environment of their own.
$(EXTRAS)/.ready: pyproject.toml constraints.txt constraints-extras.txt
	test -x $(EXTRAS)/bin/python || $(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	$(EXTRAS)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--constraint constraints-extras.txt --editable ".[dev,atari,box2d,envpool,minari,mujoco,parity,plot,video]"
	touch $@

test-extras: $(EXTRAS)/.ready
	$(EXTRAS)/bin/python -m pytest tests/parity tests/extras -n auto $(ARGS)

test-learning: $(READY)
	$(BIN)/python -m pytest tests/learning $(ARGS)

# Each library compared with has an environment of its own; their pins need Python 3.11 or newer.
$(BENCH_JAX)/.ready: constraints-bench-jax.txt
	test -x $(BENCH_JAX)/bin/python || $(PYTHON) -m venv $(BENCH_JAX)
	$(BENCH_JAX)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-bench-jax.txt \
		rejax gymnax jax
	touch $@

$(BENCH_TORCH)/.ready: constraints-bench-torch.txt
	test -x $(BENCH_TORCH)/bin/python || $(PYTHON) -m venv $(BENCH_TORCH)
	$(BENCH_TORCH)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-bench-torch.txt \
		stable-baselines3 sbx-rl torch
	touch $@

bench: $(READY) $(BENCH_JAX)/.ready $(BENCH_TORCH)/.ready
	$(BIN)/python benchmarks/agents.py $(if $(CASE),--cases $(CASE)) $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(EXTRAS) $(BENCH_JAX) $(BENCH_TORCH) build dist *.egg-info
