# Each target alone does all the set-up it needs; a second run skips what is done.
PYTHON ?= python3
BIN := .venv/bin
# -P, as in the launcher `snakemake`: no file that lies here hides one of Python's modules.
SNAKEMAKE := $(BIN)/python -P -m snakemake

# Overlays, parted by spaces: make figures CONFIG="presets/paper.yaml mine.yaml". Not what the environment calls so.
ifeq ($(origin CONFIG),command line)
export CONFIG
OVERLAYS := --configfile $$CONFIG
endif

.PHONY: figures report docs examples replicate old clear-old test test-gpu test-faults test-cluster test-image test-oldest test-latest lint clean again
.DEFAULT_GOAL := figures

figures: .venv/installed
	$(SNAKEMAKE) --cores all figures $(OVERLAYS)

# One self-contained page of what `make figures` made: figures with captions, claims, configuration, run times.
report: .venv/installed
	$(SNAKEMAKE) --cores all report_inputs --quiet rules progress host reason $(OVERLAYS)
	$(SNAKEMAKE) --report results/report.html --report-stylesheet workflow/report/style.css report_inputs $(OVERLAYS)

# The site, into site/: broken links end it. With pictures and findings of what `make figures` made.
docs: .venv/installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -P -m mkdocs build --strict --quiet

# Training loops of others, recorded: what they print and draw, into docs/examples/. Some minutes.
examples: .venv/installed
	set -e; for one in $(basename $(notdir $(wildcard docs/examples/*.py))); do rm -rf .examples; \
	$(BIN)/python docs/examples/$$one.py .examples | tee docs/examples/$$one.txt; mv .examples/$$one.png docs/examples/; done
	rm -rf .examples

# The claims again, on fresh seeds of members and data, below results/replication; all verdicts beside those of the run.
# SHIFT numbers the repetition: 1, 2, ...
SHIFT ?= 1
AGAIN = workflow/replication/Snakefile --config seed_shift=$(SHIFT)000000

replicate: .venv/installed
	$(SNAKEMAKE) --cores all judge_claims --snakefile $(AGAIN) $(OVERLAYS)
	$(SNAKEMAKE) --cores all replication $(OVERLAYS)
	@$(BIN)/python -P -m fpkit.claims.replication

# Trainings of other recipes than those that results/runs shows: what is kept of them, and away with it.
old: .venv/installed
	$(BIN)/python -P -m fpkit.jobs.recipes

clear-old: .venv/installed
	$(BIN)/python -P -m fpkit.jobs.recipes --clear

test: .venv/installed
	$(BIN)/python -m pytest

# On a machine with a GPU, where PYTHON has torch and numpy: the checks of tests/gpu, then speeds beside peers.
test-gpu:
	$(PYTHON) -m tests.gpu
	$(PYTHON) -m benchmarks.gpu

# The Slurm profile, on a cluster of three nodes that lives on this machine while the tests run.
test-cluster: .venv/installed
	tests/cluster/run $(BIN)/python

# The image of the Dockerfile, where docker is.
test-image: .venv/installed
	$(BIN)/python -m pytest -n0 -rs tests/image

# Both ends of what pyproject.toml allows, each in an environment of its own. TESTS names some of the tests; TORCH a
# version in place of the oldest, of which there may be a build with CUDA alone. Old libraries are warned by newer ones.
test-oldest:
	$(PYTHON) -m venv --clear .venv-oldest
	$(PYTHON) tests/oldest.py $(if $(TORCH),torch==$(TORCH)) >.venv-oldest/requirements.txt
	.venv-oldest/bin/python -m pip install --quiet --requirement .venv-oldest/requirements.txt
	.venv-oldest/bin/python -m pip install --quiet --no-deps --editable .
	.venv-oldest/bin/python -m pytest -W ignore::DeprecationWarning -W "ignore:numpy.ndarray size changed" $(TESTS)

test-latest:
	$(PYTHON) -m venv --clear .venv-latest
	.venv-latest/bin/python -m pip install --quiet --upgrade --editable '.[dev]'
	.venv-latest/bin/python -m pytest $(TESTS)

# Every row of docs/reliability.md, done for real; the rows with their marks at the end.
test-faults: .venv/installed
	$(BIN)/python -m pytest tests/faults $$(grep -o 'tests/test_[a-z_]*\.py::test_[a-z_0-9]*' docs/reliability.md | sort -u)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/lint-imports
	$(BIN)/actionlint -shellcheck= -pyflakes= .github/workflows/*.yml

# Results only; the environment stays.
clean:
	rm -rf results .snakemake

# The environment is made anew where it is half made, or its Python is gone or another; else brought up to date.
WHOLE := $(shell $(BIN)/python -c 'import importlib.util as u; print(u.find_spec("snakemake") and "whole")' 2>/dev/null)
ASKED := make $(firstword $(MAKECMDGOALS) $(.DEFAULT_GOAL)) PYTHON=python3.12
SUITS := import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	"fpkit needs Python 3.11 or newer, $(PYTHON) is %d.%d: $(ASKED)" % (v[0], v[1]))

.venv/installed: pyproject.toml constraints.txt $(if $(filter whole,$(WHOLE)),,again)
	@if [ "$(WHOLE)" != whole ] || [ ! -e $@ ]; then \
		command -v $(firstword $(PYTHON)) >/dev/null || \
			{ echo 'fpkit needs Python 3.11 or newer, there is no $(PYTHON): $(ASKED)' >&2; exit 1; }; \
		$(PYTHON) -c '$(SUITS)' && $(PYTHON) -m venv --clear .venv; \
	fi
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

again:
