# Needs make and Python 3.11 to 3.13. Every target makes its own environment in .venv first.
# PYTHON=/path/to/python picks the interpreter; otherwise the first of CANDIDATES that works is taken.

CANDIDATES = python3.11 python3.12 python3.13 python3
USABLE = import sys, venv, ensurepip, ssl; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
STAMP = .venv/.installed
RUN = PATH="$$PWD/.venv/bin:$$PATH"

.PHONY: demo test test-all check bench docs train-next train-package clean

demo: $(STAMP)
	@$(RUN) scripts/demo

test: $(STAMP)
	@$(RUN) scripts/test

test-all: $(STAMP)
	@$(RUN) scripts/test --all

check: $(STAMP)
	@$(RUN) scripts/check

bench: $(STAMP)
	@$(RUN) scripts/bench

docs: $(STAMP)
	@$(RUN) scripts/docs

# DATA="FOLDER ..." (none: made pictures), MINUTES=30, OPTIONS="--dry-run".
train-next: $(STAMP)
	@$(RUN) scripts/train-next $(addprefix --data ,$(DATA)) --minutes $(or $(MINUTES),30) $(OPTIONS)

# The same work as parts for a machine with a GPU, in the folder package.
train-package: $(STAMP)
	@$(RUN) scripts/train-package $(addprefix --data ,$(DATA)) --minutes $(or $(MINUTES),25) $(OPTIONS)

clean:
	@rm -rf .venv

# An interpreter may run and still find no wheels here, so a failed install goes on to the next candidate.
$(STAMP): pyproject.toml constraints.txt
	@install() { \
	    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
	        -c constraints.txt -e '.[dev]' && touch $(STAMP); \
	}; \
	if .venv/bin/python -c '$(USABLE)' 2>/dev/null; then \
	    echo "updating .venv"; install; exit; \
	fi; \
	for candidate in $(or $(PYTHON),$(CANDIDATES)); do \
	    $$candidate -c '$(USABLE)' 2>/dev/null || continue; \
	    echo "installing into .venv with $$candidate (some minutes the first time)"; \
	    $$candidate -m venv --clear .venv && install && exit 0; \
	    rm -rf .venv; \
	done; \
	echo "No Python that can install segma among: $(or $(PYTHON),$(CANDIDATES)). Name one: make PYTHON=python3.11" >&2; \
	exit 1
