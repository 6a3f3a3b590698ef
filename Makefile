# Everything sets itself up: a virtual environment in .venv, made by plain pip.
PYTHON ?= python3
BIN := .venv/bin
OLDEST := .venv-oldest/bin

.PHONY: help demo test test-slow test-oldest lint format docs tutorials dist bench bench-quick evidence clean

help:  ## the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.venv/%.done: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

demo: .venv/demo.done  ## explain a photograph by six methods; writes demo.png
	$(BIN)/captum-ext explain --output demo.png

test: .venv/test.done  ## the tests
	$(BIN)/python -m pytest

test-slow: .venv/test.done  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

.venv-oldest/test.done: pyproject.toml tests/oldest.py
	test -x $(OLDEST)/python || $(PYTHON) -m venv .venv-oldest
	$(OLDEST)/python -m pip install --quiet --disable-pip-version-check 'tomli; python_version < "3.11"'
	$(OLDEST)/python tests/oldest.py > .venv-oldest/constraints.txt
	$(OLDEST)/python -m pip install --quiet --disable-pip-version-check -c .venv-oldest/constraints.txt -e '.[test]'
	touch $@

test-oldest: .venv-oldest/test.done  ## the tests with the oldest versions that pyproject.toml promises, in .venv-oldest
	$(OLDEST)/python -m pytest

lint: .venv/test.done  ## style, format, types, prose and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m tools.prose
	if test -x $(BIN)/actionlint; then $(BIN)/actionlint -shellcheck=$(BIN)/shellcheck; fi  # packaged for Linux only

format: .venv/test.done  ## bring the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/docs.done  ## the documentation, in docs/_build/html
	$(BIN)/sphinx-build --fail-on-warning --keep-going -q -b html docs docs/_build/html

dist: .venv/dist.done  ## the wheel and the source archive, in dist, checked
	rm -rf dist
	$(BIN)/python -m build --quiet
	$(BIN)/twine check --strict dist/*

tutorials: .venv/test.done  ## run the notebooks and store their outputs; some minutes
	$(BIN)/python -m tutorials

bench: .venv/bench.done  ## time and memory against the bare network, Captum, PAIR and zennit; writes docs/benchmark.md
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.page

bench-quick: .venv/bench.done  ## the same with few rounds and steps, in benchmarks/quick
	$(BIN)/python -m benchmarks --quick --results benchmarks/quick
	$(BIN)/python -m benchmarks.page --results benchmarks/quick --docs benchmarks/quick

.venv/evidence.done: pyproject.toml studies/evidence/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . -e studies/evidence
	touch $@

evidence: .venv/evidence.done  ## docs/evidence.md, docs/evidence/ and their figures, from the stored results of studies/evidence/results
	$(BIN)/python -m evidence.page

clean:
	rm -rf .venv .venv-oldest dist docs/_build docs/images/built
