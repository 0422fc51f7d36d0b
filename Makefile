# Needs only Python 3.11 or newer. `make benchmark` and `make test` need nothing before them.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: setup test benchmark check clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,test]'
	scripts/mongod $(BIN)/python
	touch $@

test: setup
	scripts/browser
	scripts/mediapipe-env
	scripts/labelstudio-env
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check

benchmark: setup
	$(BIN)/toolkit benchmark

check: test

clean:
	rm -rf .venv .cache
