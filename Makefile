# `make demo` and `make test` set up everything they need; nothing else has to be run first.
PYTHON ?= python3
PORT ?= 7860
BIN := .venv/bin
# Two files of tests at a time, each of which finds its library, page and browser made once.
TWICE := -n 2 --dist loadfile

.PHONY: demo test cluster-test check bench soak clean

demo: .venv/runtime
	$(BIN)/python -m vmr demo --port $(PORT) $(ARGS)

test: .venv/dev
	@sh tests/support/setup_chromium.sh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TWICE) $(ARGS)

# What lies on servers, against real ones that are started here. What cannot start is named, and a
# failure unless MAY_SKIP=1 says otherwise.
cluster-test: .venv-cluster/ready
	OMP_NUM_THREADS=1 .venv-cluster/bin/python -m pytest -q -rs -m cluster --override-ini addopts= tests $(if $(MAY_SKIP),,--no-skips) $(ARGS)

check: test

bench: .venv/dev
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

soak: .venv/dev .venv-cluster/ready
	$(BIN)/python -m pytest -m soak --override-ini addopts=
	.venv-cluster/bin/python -m pytest -s -m server_soak --override-ini addopts= tests/library

# A stamp file per requirements file, so that the second run starts at once.
.venv/runtime: requirements.txt requirements-sentences.txt requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -c requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-sentences.txt -c requirements.lock
	touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c requirements.lock
	touch $@

# Apart from .venv, which stays what a user has, and beside it, so that nothing is there twice.
.venv-cluster/ready: requirements-cluster.txt tests/support/servers.txt .venv/dev
	$(PYTHON) -m venv .venv-cluster
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" > .venv-cluster/beside
	cp .venv-cluster/beside "$$(.venv-cluster/bin/python -c 'import site; print(site.getsitepackages()[0])')/beside.pth"
	.venv-cluster/bin/pip install --quiet --disable-pip-version-check -r requirements-cluster.txt -c requirements.lock
	.venv-cluster/bin/pip install --quiet --disable-pip-version-check --no-deps -r tests/support/servers.txt
	touch $@

clean:
	rm -rf .venv .venv-cluster .demo
