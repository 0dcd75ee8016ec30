# `make demo` on a fresh checkout needs only make and Python 3.11 or newer; everything else is installed below .venv.

PYTHON ?= python3
ARGS ?=
RUNBOOKS ?=

PIP = .venv/bin/python -m pip -qq --disable-pip-version-check --no-input
COMPILE = uv pip compile pyproject.toml --quiet --generate-hashes --no-emit-index-url --python-version 3.11 \
	--universal --no-annotate --no-header

# Of the load tests: where the service is, whose keys and cards are used, what is played, how many people and how long.
HOST ?= http://127.0.0.1:8000
TILLS ?= var/demo/sandbox-samarinda-today.json
JOURNEYS ?= ShopsDay FirstOfTheMonth BusyShop BanksNight
USERS ?= 27
RUN_TIME ?= 60s
LOCUST = AUTHZ_TILLS=$(TILLS) .venv/bin/python -m locust -f loadtests/locustfile.py --host $(HOST)

.PHONY: help demo serve test test-long test-quarters mutants check bench bench-guard bench-profile bench-scale bench-workers \
	bench-roll plots docs screenshots \
	load load-ui lock clean

help:
	@echo "make demo           the programme of 2024 in about a minute, then the service on port 8000 (ARGS=--no-serve: without)"
	@echo "make serve          the service with embedded servers"
	@echo "make test           all tests (ARGS=tests/test_embedded.py: some of them)"
	@echo "make mutants        whether the tests notice every small change to the money rules (two minutes)"
	@echo "make test-long      the state machine for 200 000 calls, some minutes on both cores"
	@echo "make test-quarters  the quarter with a bank that behaves and with one that does not, and the same books, some minutes"
	@echo "make check          format, lint, types, direction of imports"
	@echo "make bench          authorise beside an empty endpoint and TPC-B, eight minutes (ARGS=--quick: one, without verdicts)"
	@echo "make bench-scale    the same sales on 10 000 and on 1 000 000 families, ten minutes and 7 GB of disk (ARGS='--sizes …')"
	@echo "make plots          draws docs/growth-*.png and .svg of the bench-scale run that decision 14 quotes (ARGS=file: of that one)"
	@echo "make bench-guard    whether authorise is still fast enough beside an empty endpoint, half a minute"
	@echo "make bench-profile  where Python's time goes in a sale, a minute; py-spy must be installed (ARGS='--py-spy …')"
	@echo "make bench-roll     a list of 100 000 families: read, compared, approved and applied, some minutes (ARGS='--families …')"
	@echo "make docs           draws docs/hold-states.md and the lists in docs/events.md and docs/metrics.md, and what Prometheus and"
	@echo "                    Grafana read, from the code (RUNBOOKS=https://…: where this deployment has docs/runbooks)"
	@echo "make screenshots    draws docs/console/*.png, the console's pages in a Chromium, half a minute"
	@echo "make load           four journeys against the service at HOST, judged by loadtests/targets.toml (JOURNEYS=ShopsDay: one)"
	@echo "make load-ui        the same journeys, chosen and started on locust's page at http://127.0.0.1:8089"
	@echo "make bench-workers  what two workers do compared with one, three minutes (ARGS=--quick: half of one)"
	@echo "make lock           renews the lock files (ARGS=--upgrade: with the newest versions)"
	@echo "make clean          removes .venv, var and what tools left behind"

demo serve: .venv/installed
	@.venv/bin/authz $@ $(ARGS)

test: .venv/installed
	@.venv/bin/pytest -n 2 $(ARGS)

# From nothing each time: mutmut keeps a verdict until the function changes, also when the test that gave it is gone.
mutants: .venv/installed
	@rm -rf mutants
	@.venv/bin/mutmut run
	@.venv/bin/python -m tests.mutants

test-long: .venv/installed
	@AUTHZ_TEST_OPERATIONS=200000 .venv/bin/pytest -n 2 tests/test_machine.py $(ARGS)

test-quarters: .venv/installed
	@AUTHZ_TEST_QUARTERS=1 .venv/bin/pytest tests/test_two_quarters.py $(ARGS)

check: .venv/installed
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy --strict authz_service tests loadtests
	@.venv/bin/lint-imports

bench: .venv/installed
	@.venv/bin/python -m loadtests.bench $(ARGS)

bench-scale: .venv/installed
	@.venv/bin/python -m loadtests.growth $(ARGS)

plots: .venv/installed
	@.venv/bin/python -m loadtests.plots $(ARGS)

bench-guard: .venv/installed
	@.venv/bin/python -m loadtests.guard

bench-profile: .venv/installed
	@.venv/bin/python -m loadtests.sale_profile $(ARGS)

bench-roll: .venv/installed
	@.venv/bin/python -m loadtests.rolls $(ARGS)

docs: .venv/installed
	@.venv/bin/python -m tests.hold_states
	@.venv/bin/python -m tests.event_examples
	@.venv/bin/python -m tests.metrics_page
	@.venv/bin/python -m authz_service.alerting $(RUNBOOKS)

screenshots: .venv/installed
	@.venv/bin/python -m tests.console_pictures

# One journey after the other, also when one has failed.
load: .venv/installed
	@test -n "$(strip $(JOURNEYS))" || { echo "JOURNEYS names no journey: leave it out for all four." >&2; exit 1; }
	@failed=; for journey in $(JOURNEYS); do echo "$$journey, $(RUN_TIME):"; \
	$(LOCUST) --headless --only-summary --loglevel WARNING --users $(USERS) --spawn-rate $(USERS) \
		--run-time $(RUN_TIME) $(ARGS) $$journey || failed="$$failed $$journey"; done; \
	test -z "$$failed" || { echo "Failed:$$failed" >&2; exit 1; }

load-ui: .venv/installed
	@$(LOCUST) --class-picker --web-host 127.0.0.1 --users $(USERS) --spawn-rate $(USERS) $(ARGS)

bench-workers: .venv/installed
	@.venv/bin/python -m loadtests.workers $(ARGS)

# The file `installed` is written last: without it the last installation was cut short, and the venv is made anew.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, $(PYTHON) is not: say make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module: install it first (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Installing what requirements.lock names into .venv (half a minute) ..."
	@test -e $@ && .venv/bin/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@rm -f $@
	@$(PIP) install --no-compile --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# The second lock is for production: the same versions, without the extras but for what builds the package.
lock:
	@tools=$$(mktemp -d) && trap 'rm -rf "$$tools"' EXIT && $(PYTHON) -m venv "$$tools" && \
	"$$tools/bin/pip" install -qq --disable-pip-version-check uv && \
	"$$tools/bin/"$(COMPILE) --all-extras -o requirements.lock $(ARGS) && \
	"$$tools/bin/"$(COMPILE) --extra build -c requirements.lock -o requirements-production.lock $(ARGS)

clean:
	@rm -rf .venv var build dist mutants *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
