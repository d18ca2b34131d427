# Each target alone does all the set-up it needs; a second run skips what is done.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: figures report test test-faults test-cluster lint clean
.DEFAULT_GOAL := figures

figures: .venv/installed
	$(BIN)/snakemake --cores all figures

# One self-contained page: figures with captions, claims, configuration, run times.
report: .venv/installed
	$(BIN)/snakemake --cores all report_inputs
	$(BIN)/snakemake --report results/report.html --report-stylesheet workflow/report/style.css report_inputs

test: .venv/installed
	$(BIN)/python -m pytest

# The Slurm profile, on a cluster of three nodes that lives on this machine while the tests run.
test-cluster: .venv/installed
	tests/cluster/run $(BIN)/python

# Every row of docs/reliability.md, done for real; the rows with their marks at the end.
test-faults: .venv/installed
	$(BIN)/python -m pytest tests/faults $$(grep -o 'tests/test_[a-z_]*\.py::test_[a-z_0-9]*' docs/reliability.md | sort -u)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/lint-imports

# Results only; the environment stays.
clean:
	rm -rf results .snakemake

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
