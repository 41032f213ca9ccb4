# `make demo` and `make test` set up everything they need; nothing else has to be run first.
PYTHON ?= python3
PORT ?= 7860
BIN := .venv/bin
# Two files of tests at a time, each of which finds its library, page and browser made once.
TWICE := -n 2 --dist loadfile

.PHONY: demo test check bench soak clean

demo: .venv/runtime
	$(BIN)/python -m vmr demo --port $(PORT) $(ARGS)

test: .venv/dev
	@sh tests/support/setup_chromium.sh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TWICE)

check: test

bench: .venv/dev
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

soak: .venv/dev
	$(BIN)/python -m pytest -m soak --override-ini addopts=

# A stamp file per requirements file, so that the second run starts at once.
.venv/runtime: requirements.txt requirements-sentences.txt requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -c requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-sentences.txt -c requirements.lock
	touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c requirements.lock
	touch $@

clean:
	rm -rf .venv .demo
