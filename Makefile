# Needs only Python 3.11 or newer. `make benchmark` and `make test` need nothing before them.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: setup test benchmark screenshots check clean

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

# The pictures in docs/images that tests take of pages, the App and Label Studio: look at each.
screenshots: setup
	scripts/browser
	scripts/mediapipe-env
	scripts/labelstudio-env
	TOOLKIT_SCREENSHOTS="$(CURDIR)/docs/images" $(BIN)/python -m pytest -q \
	    tests/labelstudio/test_browser.py tests/toolkit/views/test_app.py tests/toolkit/cli/test_flows_shown.py

check: test

clean:
	rm -rf .venv .cache
