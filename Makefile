# The commands of this checkout. Each does the set-up that it needs; the second time that takes no time.

VENV := .venv/bin
SETUP := pyproject.toml packaging/constraints.txt packaging/bootstrap.sh
ARGS ?=
SEEDS ?= 1-200
JOBS ?= 6

# Each test that starts a process would compile the whole agent anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-platform lint types tests bench soak deb sdist clean
.DEFAULT_GOAL := help

help: ## this list
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1 \2/p' Makefile | awk '{ t = $$1; $$1 = ""; printf "  %-14s%s\n", t, $$0 }'

demo: .venv/.ready-demo ## a whole charging session on this machine (ARGS="--ocpp 1.6 --stay --plain")
	@$(VENV)/chargepoint demo $(ARGS)

test: .venv/.ready-test ## everything: lint, types, tests
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory types
	@$(MAKE) --no-print-directory tests

lint: .venv/.ready-test ## style, and whether the files are formatted
	$(VENV)/ruff check
	$(VENV)/ruff format --check

types: .venv/.ready-test ## types
	$(VENV)/mypy

tests: .venv/.ready-test ## the tests alone (ARGS="tests/drivers -k bus")
	$(VENV)/python -m $(if $(ARGS),pytest -n $(JOBS) --dist loadgroup --durations=10 $(ARGS),tests)

test-platform: .venv/.ready-platform ## the package on booted systems, as root (ARGS="-k watchdog")
	$(VENV)/python -m pytest -n 2 --dist loadgroup --durations=10 tests/platform $(ARGS)

bench: .venv/.ready-test ## figures against a minimal charge point, measured in the same run
	@$(VENV)/python -m tests.benchmarks $(ARGS)

soak: .venv/.ready-test ## simulated charger lives full of faults and power cuts (SEEDS=1-1000)
	@$(VENV)/python -m tests.simulation.soak $(SEEDS) $(ARGS)

deb: ## the Debian package, its bill of materials and the sdist, into dist/
	@packaging/bootstrap.sh deb
	@packaging/deb/build dist

sdist: ## what Yocto and Buildroot build from, into dist/
	@packaging/bootstrap.sh deb
	@packaging/deb/sdist dist

clean: ## remove all that was made here
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find agent drivers tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready-demo: $(SETUP)
	@packaging/bootstrap.sh demo

.venv/.ready-test: $(SETUP)
	@packaging/bootstrap.sh test

.venv/.ready-platform: $(SETUP)
	@packaging/bootstrap.sh platform
